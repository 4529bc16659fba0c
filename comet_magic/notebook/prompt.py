"""A prompt with its `{names}` filled in from the notebook.

Only names that exist are replaced; every other brace stays as it was typed, so JSON, LaTeX and `$5` pass.
Nothing is evaluated: a name, attributes and indexes are looked up, and no function is called by this module.
"""

from __future__ import annotations

import re
from collections import ChainMap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = r"[^\W\d]\w*"
_STEP = rf"\.(?!__){_NAME}|\[-?\d+\]|\[(?:'[^'\]]*'|\"[^\"\]]*\"|{_NAME})\]"
_FIELD = rf"({_NAME})((?:{_STEP})*)"
_BRACES = re.compile(rf"\{{\{{(?P<literal>{_FIELD})\}}\}}|\{{(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)\}}")


class Filled(NamedTuple):
    """A prompt with the known names replaced, and a sentence for each name that could not be."""

    text: str
    warnings: tuple[str, ...]


def fill(prompt: str, *namespaces: Mapping[str, Any], hidden: Mapping[str, Any] | None = None) -> Filled:
    """The prompt with `{name}`, `{name.attr}`, `{name[0]}` and `{name[key]}` replaced by what they hold.

    The first namespace that knows a name wins. `{{name}}` gives a literal `{name}`. What cannot be read stays
    untouched and is warned about, with the nearest name of those that are not `hidden`.
    """
    names: ChainMap[str, Any] = ChainMap(*(dict(namespace) for namespace in namespaces))
    warnings: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["literal"]:
            return "{" + match["literal"] + "}"
        name, steps = match["name"], match["steps"]
        if name not in names:
            warnings.append(_unknown(match[0], name, [word for word in names if word not in (hidden or {})]))
            return match[0]
        value, problem = _walk(names[name], re.findall(_STEP, steps))
        if problem:
            warnings.append(f"{match[0]} in the prompt cannot be read ({problem}); it is left as typed")
            return match[0]
        return value

    return Filled(_BRACES.sub(replace, prompt), tuple(dict.fromkeys(warnings)))


def _unknown(field: str, name: str, words: list[str]) -> str:
    near = get_close_matches(name, [word for word in words if not word.startswith("_")], 1)
    advice = f"did you mean {{{near[0]}}}?" if near else "--no-interpolate keeps braces without this line"
    return f"{field} in the prompt is not a name that is defined; it is left as typed ({advice})"


def _walk(value: Any, steps: list[str]) -> tuple[str, str]:
    """The text at the end of the steps, or "" and the class name of what went wrong."""
    try:
        for step in steps:
            value = getattr(value, step[1:]) if step.startswith(".") else _item(value, step[1:-1])
        return str(value), ""
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        return "", type(error).__name__


def _item(value: Any, index: str) -> Any:
    if re.fullmatch(r"-?\d+", index):
        try:
            return value[int(index)]
        except KeyError:  # a mapping whose keys are written in digits
            return value[index]
    return value[index.strip("'\"")]
