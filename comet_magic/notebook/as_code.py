"""A request as code: the `%%cometimg` cell that makes it, or the Python call."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..images import prepare_inputs
from ..recipes import options_of
from ..request import INPUT_OPTIONS, requests_of
from ..request.prompt_template import alternatives_in
from .arguments import refuse_key, usage_error
from .cell_call import parse_cell
from .cell_names import input_options
from .flags import wire_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..request import ImageRequest


def request_code(request: ImageRequest) -> str:
    """The code of a cell that makes exactly this request; `code_of` explains it.

    Raises:
        UsageError: the request contains what looks like an API key, or an input picture is gone.
    """
    try:
        options = options_of(request)
    except InvalidRequestError as error:
        problem = f"{error}; there is no cell without it"
    else:
        return code_of(options)
    raise usage_error(problem)


def code_of(options: Mapping[str, Any]) -> str:
    """The code of a cell that calls `generate` with exactly these options.

    It is a `%%cometimg` cell, or a Python call if a cell cannot say it: a prompt that begins or ends with empty
    lines, for example.

    Raises:
        UsageError: they contain what looks like an API key.
    """
    text = _cell_of(options)
    refuse_key(text)
    if _makes(text, options):
        return text
    return python_text(options["prompt"], {name: _shown(value) for name, value in options.items()}) + "\n"


def _shown(value: Any) -> Any:
    """Paths as texts, which Python reads back."""
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _makes(cell: str, options: Mapping[str, Any]) -> bool:
    """Whether the cell makes the requests of these options."""
    line, _, body = cell.partition("\n")
    asked = {name: value for name, value in options.items() if name != "prompt"}
    try:
        typed = parse_cell(line.removeprefix("%%cometimg"), body)
        said = {
            **typed.wire,
            "extra": dict(typed.values["raw"] or ()),
            **input_options(typed.values, (), None),
        }
        made = requests_of(typed.prompt, said, prepare_inputs(said))
        return made == requests_of(options["prompt"], asked, prepare_inputs(asked))
    except InvalidRequestError:
        return False


def typed(value: Any) -> str:
    """A value as one types it in a cell, or in the form of the panel."""
    if isinstance(value, list | tuple):
        return ",".join(map(typed, value))
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(dict(value), ensure_ascii=False) if value else ""


def _cell_of(options: Mapping[str, Any]) -> str:
    words = ["%%cometimg"]
    for flag in wire_flags():
        value = options.get(flag.name)
        if value is None or value is False:
            continue
        spelling = flag.short or flag.spelling
        if not flag.takes_value:
            words.append(spelling)
        elif str(value).startswith("-"):  # behind a blank it could be taken for the next flag
            words.append(shlex.quote(f"{spelling}={value}"))
        else:
            words += [spelling, shlex.quote(str(value))]
    for name, value in (options.get("extra") or {}).items():
        words += ["--raw", shlex.quote(f"{name}={json.dumps(value, ensure_ascii=False)}")]
    words += _input_flags(options)
    if re.search(r"\{\s*[^\W\d]", options["prompt"]):
        words.append("--no-interpolate")
    return f"{' '.join(words)}\n{options['prompt']}\n"


def _input_flags(options: Mapping[str, Any]) -> Iterator[str]:
    for role in ("image", "mask", "markup"):
        given = options.get(role) or []
        for path in given if isinstance(given, list) else [given]:
            yield from (f"--{role}", shlex.quote(str(path)))
    for name in ("paste_back", "resize"):
        if options.get(name) is False:
            yield f"--no-{name.replace('_', '-')}"


def python_text(prompt: str, options: Mapping[str, Any], *, call: str = "") -> str:
    """The code that calls `generate`, or with `call` that function, whose result then gets a name."""
    words = [f"{key}={value!r}" for key, value in options.items() if key != "prompt"]
    lines = "".join(f"    {word},\n" for word in (repr(prompt), *words))
    name = {"generate": "images = ", "vary": "grid = "}.get(call, "")
    return f"import comet_magic as cm\n\n{name}cm.{call or 'generate'}(\n{lines})"


def call_texts(prompt: str, options: Mapping[str, Any], requests: Sequence[ImageRequest]) -> dict[str, str]:
    """A call as a `%%cometimg` cell, as Python, and as the bodies of its requests: `cell`, `python`, `request`.

    Args:
        prompt: as it is typed.
        options: as they are typed; a list of values makes a grid.
        requests: that the call is made of.
    """
    given = {name: value for name, value in options.items() if name not in INPUT_OPTIONS}
    varied = {name: value for name, value in given.items() if isinstance(value, list)}
    bodies = [_body_text(request, prompt) for request in requests]
    times = [f"\n({bodies.count(body)} times)" if bodies.count(body) > 1 else "" for body in bodies]
    request = "\n".join(dict.fromkeys(map("".join, zip(bodies, times, strict=True))))
    try:
        pictures = {name: value for name, value in options_of(requests[0]).items() if name in INPUT_OPTIONS}
    except InvalidRequestError as error:
        return {"cell": str(error), "python": str(error), "request": request}
    said = {**given, **{name: _shown(value) for name, value in pictures.items()}}
    if varied:
        said |= {"reuse": bool(given.get("reuse"))}
        said |= {"image": [said["image"]]} if "image" in said else {}  # all of them at once
    python = python_text(prompt, said, call="vary" if varied else "generate")
    plain = {name: value for name, value in given.items() if name not in varied}
    head, _, body = _cell_of({**plain, **pictures, "prompt": prompt}).partition("\n")
    if varied and alternatives_in(prompt):
        head = head.replace(" --no-interpolate", "")
    words = [word for name, values in varied.items() for word in ("--vary", f"{name}={typed(values)}")]
    words += [f"--preset={plain['preset']}"] if "preset" in plain else []
    words += [
        f"--{name.replace('_', '-')}={typed(plain[name])}"
        for name in ("timeout", "max_cost")
        if name in plain
    ]
    if varied:
        words += [] if plain.get("reuse") else ["--no-reuse"]
    elif plain.get("reuse"):
        words.append("--reuse")
    cell = " ".join([head, *map(shlex.quote, words)]) + f"\n{body[:-1]}"
    return {"cell": cell, "python": python, "request": request}


def _body_text(request: ImageRequest, prompt: str) -> str:
    """The body of a request; a prompt that is not typed yet stays empty."""
    body = request.body()
    return json.dumps(body if prompt.strip() else {**body, "prompt": ""}, ensure_ascii=False, indent=2)
