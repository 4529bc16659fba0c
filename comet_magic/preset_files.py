"""Presets: options and a template for the words, under a name; so a style is a preset.

The user's are in `presets.toml` in the configuration folder, a project's in the nearest `cometimg.toml` upwards to the
git root or home, which may be a stranger's: it can change options of the wire and words, and nothing else.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .catalog import DEFAULT_MODEL, MODELS, WIRE_PARAMETERS, find, resolve_size, suggest
from .errors import ConfigurationError, InvalidRequestError
from .files import from_here, open_inside, replaced
from .machine import here, nearest_file
from .request import MOST_PICTURES, WIRE_KINDS, WireOptions
from .request.checks import check_no_key, check_value, shown
from .request.prompt_template import alternatives_in, filled, names_in
from .tables import ShownAsText, table
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .catalog import Model

Whose = Literal["shipped", "user", "project"]
PROJECT_FILE, USER_FILE = "cometimg.toml", "presets.toml"
LARGEST = 64 * 1024  # bytes of a file
MOST_OF_A_PROJECT = 4  # pictures
_LONGEST_TEMPLATE = 4_000  # characters
_NAME = re.compile(r"\w[\w.-]{0,39}")
_KINDS = {
    **{name: WIRE_KINDS.get(name, str).__name__ for name in WireOptions.__annotations__},
    "template": "str",
}
_OWN_KINDS = {
    "resize": "bool",
    "paste_back": "bool",
    "reuse": "bool",
    "timeout": "float",
    "max_cost": "float",
}
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a table",
}

SHIPPED = {
    "watercolor": "{prompt}, loose watercolor on rough paper, soft wet edges, visible paper grain, muted colors",
    "ink": "{prompt}, black ink line drawing on white paper, confident lines of varied width, no shading, no color",
    "pencil": "{prompt}, detailed graphite pencil sketch on cream paper, soft shading, visible strokes",
    "oil": "{prompt}, oil painting on canvas, thick visible brush strokes, warm light, deep rich colors",
    "woodblock": "{prompt}, traditional woodblock print, bold outlines, flat areas of color, textured paper",
    "flat": "{prompt}, flat vector illustration, simple geometric shapes, five colors, clean edges, no gradients",
    "isometric": "{prompt}, isometric 3D illustration, soft even light, pastel colors, plain background",
    "pixel": "{prompt}, 16-bit pixel art, crisp square pixels, limited palette, side view",
    "studio": "{prompt}, studio product photograph, softbox light, seamless light grey background, sharp focus",
    "film": "{prompt}, cinematic film still, 35 mm lens, shallow depth of field, golden hour light, fine grain",
}


@dataclass(frozen=True)
class Preset:
    """Options and a template under a name.

    Attributes:
        name: as it is written in its file.
        options: of the call, by name.
        template: `{prompt}` stands for the words of the call; "" for none.
        origin: where it is from: `shipped`, `user` or `project`.
        label: the name that tells it from others: `project:NAME` for a project's, `user:NAME` for the user's own where
            a project has one of this name.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    template: str = ""
    origin: Whose = "user"
    label: str = ""


class Presets(ShownAsText, list[Preset]):
    """The presets that can be used here; a table in a notebook.

    Attributes:
        problems: files that cannot be used, one sentence each.
    """

    problems: tuple[str, ...] = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        rows = [(one.label, one.origin, _options_words(one.options), one.template) for one in self]
        bundle: dict[str, str] = table(("preset", "from", "options", "template"), rows, notes=self.problems)
        return bundle


class _PresetFile(NamedTuple):
    """A file of presets: who wrote it, its folder and name, and what to call it."""

    origin: Whose
    folder: Path
    name: str
    shown: str


def presets() -> Presets:
    """The presets that can be used here: the project's, yours, and the styles that are shipped.

    Returns:
        A list of presets with `.name`, `.label`, `.options`, `.template` and `.origin`; `.problems` names files with
        errors. Of two with one name the first counts.

    Example:
        >>> import comet_magic as cm
        >>> [preset.name for preset in cm.presets()][:3]
        ['watercolor', 'ink', 'pencil']
    """
    found, problems = Presets(), list[str]()
    for file in _files():
        try:
            found += _read(file)
        except ConfigurationError as error:
            problems.append(str(error))
    found += [Preset(name, template=template, origin="shipped") for name, template in SHIPPED.items()]
    visible, names = Presets(), set[str]()
    for one in found:
        if one.name not in names or one.origin == "user":
            marked = one.origin == "project" or one.name in names
            visible.append(replace(one, label=f"{one.origin}:{one.name}" if marked else one.name))
        names.add(one.name)
    visible.problems = tuple(problems)
    return visible


def find_preset(name: str) -> Preset:
    """The preset of a name, the nearest first: a project's, the user's, a shipped one; `user:NAME` is the user's.

    Raises:
        InvalidRequestError: there is none.
        ConfigurationError: a file that may hold it cannot be used.
    """
    if not isinstance(name, str):
        raise InvalidRequestError(f"preset is {shown(name)}; it must be the name of a preset", param="preset")
    known = presets()
    if known.problems:  # it could be the one that was meant
        raise ConfigurationError(known.problems[0], hint="Correct the file; nothing was sent.")
    origin, colon, plain = name.rpartition(":")
    for one in known:
        if one.name == plain and (not colon or one.origin == origin):
            return one
    near = suggest(plain, [one.name for one in known])
    raise InvalidRequestError(
        f"there is no preset {shown(name)}; cm.presets() and %cometimg_preset list them",
        param="preset",
        hint=f"Did you mean {near}?" if near else "",
    )


def with_preset(prompt: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Prompt and options of a call after its `preset`: what the call says itself is stronger.

    What was given is in the options as `asked`.

    Raises:
        InvalidRequestError: there is no such preset, or its template needs `vary`.
        ConfigurationError: a file of presets cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None and name != "preset"}
    named = options.get("preset")
    if named is None:
        return prompt, given
    preset = named if isinstance(named, Preset) else find_preset(named)
    if alternatives_in(preset.template):
        raise InvalidRequestError(
            f"the template of the preset {preset.label} has alternatives; a plain call draws none",
            param="preset",
            hint="Use vary, which makes a picture of each.",
        )
    asked = {"preset": preset.label}
    if preset.template and isinstance(prompt, str) and prompt.strip():
        asked["prompt"] = prompt
        prompt = filled(preset.template, {"prompt": prompt})
    return prompt, {**preset.options, **given, "asked": asked}


# --- files


def user_file() -> Path:
    """Where the user's presets are kept.

    Raises:
        ConfigurationError: this user has no home folder.
    """
    from platformdirs import user_config_path

    try:
        return user_config_path("comet_magic", appauthor=False) / USER_FILE
    except (OSError, RuntimeError):
        pass
    raise ConfigurationError("presets cannot be kept: this user has no home folder")


def _files() -> Iterator[_PresetFile]:
    """The files that are there, the nearest first."""
    with suppress(ConfigurationError, OSError):  # there is no folder, or none that can be looked into
        project = nearest_file(here(), PROJECT_FILE)
        if project is not None:
            yield _PresetFile("project", project.parent, project.name, str(from_here(project)))
    with suppress(ConfigurationError, OSError):
        own = user_file().resolve()  # a person may keep it elsewhere, by a link
        if own.exists():
            yield _PresetFile("user", own.parent, own.name, str(user_file()))


def _read(file: _PresetFile) -> list[Preset]:
    """The presets of a file, every one checked.

    Raises:
        ConfigurationError: the file, line and what is wrong there, in one sentence.
    """
    text = _text(file)
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{clean(file.shown)} cannot be read: {clean(error, limit=120)}") from None
    return _checked(found, text, file)


def _checked(found: Mapping[str, Any], text: str, file: _PresetFile) -> list[Preset]:
    known = []
    for top, tables in found.items():
        if top != "presets" or not isinstance(tables, dict):
            raise _wrong(file, text, (top,), f"{shown(top)} is not [presets.NAME], which is all it holds")
        for name, facts in tables.items():
            if not _NAME.fullmatch(name) or not isinstance(facts, dict):
                raise _wrong(file, text, ("presets", name), f"{shown(name)} is not a table with a plain name")
            for option, value in facts.items():
                problem = _problem(option, value, file.origin)
                if problem:
                    raise _wrong(file, text, ("presets", name, option), problem)
            options = {option: value for option, value in facts.items() if option != "template"}
            option, problem = _misfit(options)
            if problem:
                raise _wrong(file, text, ("presets", name, option), problem)
            known.append(Preset(name, options, facts.get("template", ""), file.origin))
    return known


def _text(file: _PresetFile) -> str:
    try:
        with open_inside(file.folder, file.name, largest=LARGEST) as opened:
            return opened.read(LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except OSError as error:
        reason = f"it must be a plain file of at most {LARGEST // 1024} KB ({clean(error.strerror)})"
    raise ConfigurationError(f"{clean(file.shown)} cannot be read: {reason}")


def _problem(option: str, value: Any, origin: Whose) -> str:
    """Why a preset may not have this option, or ""."""
    kinds = _KINDS if origin == "project" else {**_KINDS, **_OWN_KINDS}
    if option not in kinds:
        near = suggest(option, kinds)
        whose = "a project's preset" if origin == "project" else "a preset"
        return f"{shown(option)} is not an option of {whose}" + (f"; did you mean {near}?" if near else "")
    if origin == "project" and option == "extra":
        return "extra is not an option of a project's preset"
    kind = type(value).__name__
    if kind != kinds[option] and (kind, kinds[option]) != ("int", "float"):
        return f"{option} must be {_WORDS[kinds[option]]}"
    most = MOST_OF_A_PROJECT if origin == "project" else MOST_PICTURES
    if option == "n" and not 1 <= value <= most:
        return f"n is {shown(value)}; it must be 1 to {most}" + (
            " in a project's preset" * (most < MOST_PICTURES)
        )
    try:
        check_no_key(option, value)
        if option == "template":
            _check_template(value)
    except InvalidRequestError as error:
        return str(error)
    return ""


def _misfit(options: Mapping[str, Any]) -> tuple[str, str]:
    """An option whose value the preset's model does not take, or no model if it names none; and why, or ""."""
    named = options.get("model")
    models = [find(named)] if named else [find(DEFAULT_MODEL), *MODELS]
    for option, value in options.items():
        if option in WIRE_PARAMETERS and option not in ("model", "n"):
            problems = [_refusal(model, option, value) for model in models]
            if all(problems):
                return option, problems[0]
    return "", ""


def _refusal(model: Model, option: str, value: Any) -> str:
    try:
        check_value(model, option, resolve_size(model, value) if option == "size" else value)
    except InvalidRequestError as error:
        return str(error)
    return ""


def _check_template(template: str) -> None:
    names = names_in(template)
    if names != ("prompt",) or len(template) > _LONGEST_TEMPLATE:
        raise InvalidRequestError(
            "the template must contain {prompt}, no other name, and at most "
            f"{_LONGEST_TEMPLATE:,} characters",
            param="template",
        )


def _wrong(file: _PresetFile, text: str, words: Sequence[str], problem: str) -> ConfigurationError:
    """The error with the line in which these words follow each other."""
    lines, line = [line.partition("#")[0] for line in text.splitlines()], 0
    for word in words:
        exact = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        line = next((place for place in range(line, len(lines)) if exact.search(lines[place])), line)
    return ConfigurationError(f"{clean(file.shown)}, line {line + 1}: {problem}")


# --- changing the user's own


def save_preset(name: str, options: Mapping[str, Any], template: str = "") -> Path:
    """Keep a preset in the user's file, in place of one of that name; comments of the file stay. Gives the file.

    Raises:
        InvalidRequestError: the name, an option or the template cannot be used.
        ConfigurationError: the file has errors or cannot be written; it is as it was.
    """
    import tomlkit

    facts = {**options, **({"template": template} if template else {})}
    if not _NAME.fullmatch(name):
        said = f"preset is {shown(name)}; it takes a plain name such as cheap"
        raise InvalidRequestError(said, param="preset")
    if not facts:
        raise InvalidRequestError(
            f"the preset {name} needs at least one option or a template", param="preset"
        )
    for option, value in facts.items():
        if problem := _problem(option, value, "user"):
            raise InvalidRequestError(problem, param=option)
    option, problem = _misfit(options)
    if problem:
        raise InvalidRequestError(problem, param=option)
    document = _document()
    tables = document.setdefault("presets", tomlkit.table(is_super_table=True))
    kept = tables.setdefault(name, tomlkit.table())
    for option in [option for option in kept if option not in facts]:
        del kept[option]
    for option, value in facts.items():
        kept[option] = value
    return _write(document)


def delete_preset(name: str) -> Path:
    """Take a preset out of the user's file; gives the file.

    Raises:
        InvalidRequestError: the user's file has none of this name.
        ConfigurationError: the file has errors or cannot be written; it is as it was.
    """
    document = _document()
    if name not in document.get("presets", {}):
        origin = next((one.origin for one in presets() if one.name == name), None)
        where = {"shipped": "; it is shipped", "project": f"; it is in the project's {PROJECT_FILE}"}
        raise InvalidRequestError(
            f"{shown(name)} is not among your presets{where.get(origin or '', '')}", param="preset"
        )
    del document["presets"][name]
    return _write(document)


def _document() -> Any:
    """The user's file as a document that keeps its comments; a new one if there is none."""
    import tomlkit

    own = next((file for file in _files() if file.origin == "user"), None)
    if own is not None:
        _read(own)  # one with errors is not written over
        return tomlkit.parse(_text(own))
    return tomlkit.document()


def _write(document: Any) -> Path:
    path = user_file()
    try:
        with replaced(path.resolve()) as file:
            file.write(document.as_string().encode())
    except OSError as error:
        raise ConfigurationError(f"{clean(path)} cannot be written: {clean(error.strerror)}") from None
    return path


def _options_words(options: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={shown(value)}" for name, value in options.items())
