"""Looking for a key: the forms in which it may hide, and everything that can be reached from a thing."""

from __future__ import annotations

import base64
from collections import deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 8


def forms(key: str) -> set[str]:
    """Every text that would betray the key, in lower case."""
    raw = key.encode()
    encoded = {base64.b64encode(bytes(before) + raw).decode()[4:-4] for before in range(3)}
    encoded |= {base64.urlsafe_b64encode(bytes(before) + raw).decode()[4:-4] for before in range(3)}
    parts = {key[at : at + PART] for at in range(len(key) - PART + 1)}
    return {form.lower() for form in {*parts, *encoded, quote(key, safe=""), raw.hex()}}


def found(key: str, text: str | bytes) -> list[str]:
    """The forms of the key that stand in a text, whatever their case."""
    folded = (text.decode("latin-1") if isinstance(text, bytes) else text).lower()
    return sorted(form for form in forms(key) if form in folded)


def attributes(thing: Any) -> Iterator[Any]:
    """What hangs on a thing: its items, its variables, its slots, and what its methods are bound to."""
    if isinstance(thing, dict):
        yield from (*thing.keys(), *thing.values())
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        yield from thing
    elif isinstance(thing, MethodType):
        yield thing.__self__
    elif not isinstance(thing, (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes)):
        yield from getattr(thing, "__dict__", {}).values()
        names = [getattr(kind, "__slots__", ()) for kind in type(thing).__mro__]
        flat = [name for each in names for name in ((each,) if isinstance(each, str) else each)]
        yield from (getattr(thing, name, None) for name in flat)


def reached(thing: Any, most: int = 20_000) -> Iterator[Any]:
    """A thing and everything that can be reached from it by looking into it."""
    seen: dict[int, Any] = {}
    waiting = deque([thing])
    while waiting and len(seen) < most:
        one = waiting.popleft()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        yield one
        waiting.extend(attributes(one))
