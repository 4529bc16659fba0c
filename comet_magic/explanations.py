"""What the docstrings of public names say of each option: the one place, which helps of flags and commands quote."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

_HEADING = re.compile(r"(?:Args|Attributes|Options of [a-z ]+|Pictures that go in):")
_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*): (.*)")
_CLAUSE, _SENTENCE = re.compile(r"(.*?)(?:[.;:] |\.$|$)"), re.compile(r"(.*?)(?:\. |(?<!\.)\.$|$)")


@cache
def explanations(thing: Any) -> dict[str, str]:
    """What a docstring says of each option, by name, in the order in which it explains them."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
        if line and not line.startswith(" "):
            inside = bool(_HEADING.fullmatch(line))
        elif inside and (entry := _ENTRY.fullmatch(line)):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif inside and line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def quoted(thing: Any, name: str, more: str = "") -> str:
    """The first sentence that a docstring says of an option; or its first clause, and what is to be said beside it."""
    said: Any = (_CLAUSE if more else _SENTENCE).match(
        explanations(thing).get(name, "").removeprefix("False ").replace("`", "")
    )
    return ": ".join(filter(None, (said[1], more)))
