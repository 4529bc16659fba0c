"""A request as code: the `%%cometimg` cell that makes it, or the Python call."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..files import from_here
from ..images import prepare_inputs
from ..request import requests_of
from .arguments import refuse_key, usage_error
from .cell_call import parse_cell
from .cell_inputs import input_options
from .flags import wire_flags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..request import ImageRequest


def request_code(request: ImageRequest) -> str:
    """The code of a cell that makes exactly this request.

    It is a `%%cometimg` cell, or a Python call if a cell cannot say it: a prompt that begins or ends with empty
    lines, for example.

    Raises:
        UsageError: the request contains what looks like an API key.
    """
    text = cell_text(request)
    refuse_key(text)
    if _makes(text, request):
        return text
    inputs: dict[str, Any] = {}
    for role, path in _input_paths(request):
        inputs[role] = [*inputs.get(role, ()), path] if role == "image" else path
    return python_text(request.prompt, {**request.to_dict(), **inputs}) + "\n"


def _makes(cell: str, request: ImageRequest) -> bool:
    """Whether the cell makes this request."""
    line, _, body = cell.partition("\n")
    try:
        typed = parse_cell(line.removeprefix("%%cometimg"), body)
        options = {
            **typed.wire,
            "extra": dict(typed.values["raw"] or ()),
            **input_options(typed.values, (), None),
        }
        return requests_of(typed.prompt, options, prepare_inputs(options)) == (request,)
    except InvalidRequestError:
        return False


def cell_text(request: ImageRequest) -> str:
    """The text of a `%%cometimg` cell for this request."""
    words = ["%%cometimg"]
    body = request.body()
    for flag in wire_flags():
        value = body.get(flag.name)
        if value is None or value is False:
            continue
        spelling = flag.short or flag.spelling
        if not flag.takes_value:
            words.append(spelling)
        elif str(value).startswith("-"):  # behind a blank it could be taken for the next flag
            words.append(shlex.quote(f"{spelling}={value}"))
        else:
            words += [spelling, shlex.quote(str(value))]
    for name, value in request.extra.items():
        words += ["--raw", shlex.quote(f"{name}={json.dumps(value, ensure_ascii=False)}")]
    for role, path in _input_paths(request):
        words += [f"--{role}", shlex.quote(path)]
    if request.inputs.images and not request.inputs.paste_back:
        words.append("--no-paste-back")
    if re.search(r"\{\s*[^\W\d]", request.prompt):
        words.append("--no-interpolate")
    return f"{' '.join(words)}\n{request.prompt}\n"


def _input_paths(request: ImageRequest) -> list[tuple[str, str]]:
    """The role and the file of each picture that goes in.

    Raises:
        UsageError: one is not in the archive any more.
    """
    found: list[tuple[str, str]] = []
    for role, picture in request.inputs:
        if role == "original":
            continue
        path = picture.content
        try:
            picture.open().close()  # a link would be followed by whoever runs the cell
        except InvalidRequestError:
            path = None
        if not isinstance(path, Path):
            raise usage_error(f"the input picture {picture.name} is gone; there is no cell without it")
        found.append((role, str(from_here(path))))
    return found


def python_text(prompt: str, options: Mapping[str, Any], *, name: str = "") -> str:
    """The call of `generate` with this prompt and these options, assigned to `name` if one is given."""
    words = [f"{key}={value!r}" for key, value in options.items() if key != "prompt"]
    lines = "".join(f"    {word},\n" for word in (repr(prompt), *words))
    return f"import comet_magic as cm\n\n{name and f'{name} = '}cm.generate(\n{lines})"
