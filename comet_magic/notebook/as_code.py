"""A request as code: the `%%cometimg` cell that makes it, or the Python call."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..images import prepare_inputs
from ..recipes import options_of
from ..request import requests_of
from .arguments import refuse_key, usage_error
from .cell_call import parse_cell
from .cell_inputs import input_options
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


def cell_text(request: ImageRequest) -> str:
    """The text of a `%%cometimg` cell for this request."""
    return _cell_of(options_of(request))


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


def python_text(prompt: str, options: Mapping[str, Any], *, name: str = "") -> str:
    """The call of `generate` with this prompt and these options, assigned to `name` if one is given."""
    words = [f"{key}={value!r}" for key, value in options.items() if key != "prompt"]
    lines = "".join(f"    {word},\n" for word in (repr(prompt), *words))
    return f"import comet_magic as cm\n\n{name and f'{name} = '}cm.generate(\n{lines})"


def call_texts(prompt: str, options: Mapping[str, Any], requests: Sequence[ImageRequest]) -> dict[str, str]:
    """A call as a `%%cometimg` cell, as Python, and as the bodies of its requests: `cell`, `python`, `request`.

    Args:
        prompt: as it is typed.
        options: those about the call itself are read.
        requests: that the call is made of.
    """
    first, count = requests[0], sum(one.n for one in requests)
    call = {name: options[name] for name in ("timeout", "max_cost", "reuse") if name in options}
    facts = {name: value for name, value in first.to_dict().items() if name not in ("prompt", "n", "inputs")}
    facts |= {"n": count} if count > 1 else {}
    bodies = [json.dumps({**one.body(), "prompt": prompt}, ensure_ascii=False, indent=2) for one in requests]
    times = [f"\n({bodies.count(body)} times)" if bodies.count(body) > 1 else "" for body in bodies]
    request = "\n".join(dict.fromkeys(map("".join, zip(bodies, times, strict=True))))
    texts = {"python": python_text(prompt, {**facts, **call}, name="images"), "request": request}
    try:
        head = cell_text(first).partition("\n")[0]
    except InvalidRequestError as error:
        return {"cell": str(error), **texts}
    words = []
    if len(requests) > 1:
        head = head.replace(f" -n {first.n}", "", 1) if first.n > 1 else head
        words = ["-n", str(count)]
    words += [f"--{name.replace('_', '-')}={value:g}" for name, value in call.items() if name != "reuse"]
    words += ["--reuse"] if call.get("reuse") else []
    return {"cell": " ".join([head, *map(shlex.quote, words)]) + f"\n{prompt}", **texts}
