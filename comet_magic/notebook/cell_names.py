"""The names of the notebook in a cell: `{names}` in its prompt, and the pictures that its flags name.

Nothing is evaluated, and no function is called by this module.
"""

from __future__ import annotations

import re
from collections import ChainMap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from ..images.masks import as_box
from ..machine import expanded
from ..request.prompt_template import text_of
from .arguments import usage_error

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from ..images import Images

_NAME = r"[^\W\d]\w*"
_STEP = rf"\.(?!__){_NAME}|\[-?\d+\]|\[(?:'[^'\]]*'|\"[^\"\]]*\"|{_NAME})\]"
_FIELD = rf"({_NAME})((?:{_STEP})*)"
_BRACES = re.compile(
    rf"\{{\{{(?P<literal>{_FIELD})\}}\}}"
    rf"|\{{(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)\}}"
    rf"|(?<!\{{)\{{\s*(?P<start>{_NAME})(?P<tail>[^{{}}\n]*)\}}"
)
# A conversion or a format code, as in {price!r} and {price:.2f}; {a: 1} is no format code.
_FORMAT = re.compile(rf"(?:{_STEP})*(?:![rsa](?::.*)?|:[^\s\"'].*)")
_PICTURE = re.compile(rf"({_NAME})((?:\[-?\d{{1,9}}\])*)")
_INDEX = re.compile(r"\[(-?\d+)\]")
_MISSING = object()

# --- in the prompt: only a name that exists is replaced, with its attributes and indexes; every other brace stays as
# it was typed, so JSON, LaTeX and `$5` pass


class Filled(NamedTuple):
    """A prompt with the known names replaced, and a sentence for each field that was not."""

    text: str
    warnings: tuple[str, ...]


def fill(
    prompt: str,
    *namespaces: Mapping[str, Any],
    hidden: Mapping[str, Any] | None = None,
    words: Container[str] | None = None,
) -> Filled:
    """The prompt with `{name}`, `{name.attr}`, `{name[0]}` and `{name[key]}` replaced by their values.

    The first namespace that has a name wins. `{{name}}` gives a literal `{name}`. What cannot be filled in stays
    as typed. It is warned about if a name was meant: one that is unknown, or known and not used as above.
    Names that are `hidden` are never suggested. `words` are those of a template, which is filled in later: they stay,
    as doubled braces do, and those in a value are doubled.
    """
    names: ChainMap[str, Any] = ChainMap(*(dict(namespace) for namespace in namespaces))
    visible = [name for name in names if name not in (hidden or {})]
    warnings: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if words is not None and (match["literal"] or match["name"] in words):
            return match[0]
        if match["literal"]:
            return "{" + match["literal"] + "}"
        value, warning = _value(match, names, visible)
        if words is not None and value is not None:
            value = value.replace("{", "{{").replace("}", "}}")
        if warning:
            warnings.append(warning)
        return match[0] if value is None else value

    return Filled(_BRACES.sub(replace, prompt), tuple(dict.fromkeys(warnings)))


def _value(match: re.Match[str], names: Mapping[str, Any], visible: list[str]) -> tuple[str | None, str]:
    """The text for one field, None to leave it as typed; and a warning, "" if none is due."""
    field, name = match[0], match["name"] or match["start"]
    if name not in names:
        meant = match["name"] or _FORMAT.fullmatch(match["tail"])
        return None, _unknown_name(field, name, visible) if meant else ""
    if match["name"]:
        value, problem = _walk(names[name], re.findall(_STEP, match["steps"]))
        return (
            value,
            f"{field} in the prompt cannot be read ({problem}); it is left as typed" if problem else "",
        )
    if name not in visible or match["tail"].startswith("|"):  # {red|blue} are alternatives
        return None, ""
    return None, (
        f"{field} in the prompt is left as typed: only {{name}}, {{name.attr}} and {{name[0]}} are filled in, "
        "without format codes or calls (--no-interpolate hides this line)"
    )


def _unknown_name(field: str, name: str, words: list[str]) -> str:
    near = get_close_matches(name, [word for word in words if not word.startswith("_")], 1)
    advice = f"did you mean {{{near[0]}}}?" if near else "--no-interpolate hides this line"
    return f"{field} in the prompt is not a name that is defined; it is left as typed ({advice})"


def _walk(value: Any, steps: list[str]) -> tuple[str | None, str]:
    """The text at the end of the steps and "", or None and the class name of what went wrong."""
    try:
        for step in steps:
            value = getattr(value, step[1:]) if step.startswith(".") else _item(value, step[1:-1])
        text = text_of(value)
        return text, f"{type(value).__name__} has no text" if text is None else ""
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        return None, type(error).__name__


def _item(value: Any, index: str) -> Any:
    if re.fullmatch(r"-?\d+", index):
        try:
            return value[int(index)]
        except KeyError:  # a mapping whose keys are written in digits
            return value[index]
    return value[index.strip("'\"")]


# --- pictures: variables, with or without an index, or paths


def input_options(
    values: Mapping[str, Any], namespaces: Sequence[Mapping[str, Any]], newest: Images | None
) -> dict[str, Any]:
    """The options `image`, `mask`, `markup`, `resize` and `paste_back` as `generate` takes them.

    Args:
        values: the value of each flag of the cell.
        namespaces: where variables are looked up, in this order.
        newest: what the last cell made, for `--edit`.

    Raises:
        UsageError: a name or a path leads to nothing.
    """
    options: dict[str, Any] = {}
    named = [found_picture(text, "--image", namespaces) for text in values["image"] or ()]
    if values["edit"]:
        named = [_newest(newest, others=bool(named))]
    if named:
        options["image"] = named
    if values["mask"] is not None:
        options["mask"] = as_box(values["mask"]) or found_picture(values["mask"], "--mask", namespaces)
    if values["markup"] is not None:
        options["markup"] = found_picture(values["markup"], "--markup", namespaces)
    if values["no_resize"]:
        options["resize"] = False
    if values["no_paste_back"]:
        options["paste_back"] = False
    return options


def _newest(newest: Images | None, *, others: bool) -> Images:
    if others:
        raise usage_error("--edit takes the last picture; with --image, leave --edit out")
    if newest is None or not newest:
        raise usage_error(
            "there is no picture to edit yet; make one, or name one: --image boats[0], --image boat.png"
        )
    if len(newest) > 1:
        raise usage_error(
            f"the last cell made {len(newest)} pictures; name the one to edit: --image boats[1]"
        )
    return newest


def found_picture(text: str, flag: str, namespaces: Sequence[Mapping[str, Any]]) -> Any:
    """The variable of this name, an element of it, or the path."""
    match = _PICTURE.fullmatch(text.strip())
    value: Any = next((space[match[1]] for space in namespaces if match and match[1] in space), _MISSING)
    if match and value is not _MISSING:
        for index in _INDEX.findall(match[2]):
            try:
                value = value[int(index)]
            except (LookupError, TypeError):
                raise usage_error(f"{flag} is {text}; {match[1]} has no element [{index}]") from None
        if value is None:  # left out, the call would be another one
            raise usage_error(f"{flag} is {text}, which is None; name a picture, or leave the flag out")
        return value
    if match and not expanded(text).exists():
        raise usage_error(f"{flag} is {text}; there is no variable and no file of this name")
    return text
