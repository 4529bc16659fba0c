"""Prompt templates: alternatives `{red|blue}`, names `{animal}`, and doubled braces for single ones.

    variants("a {red|blue} {animal}") -> Variant("a red {animal}", ("red",)), and the same with blue
    drawn("a {red|blue} {animal}", seed=7)  -> one of them, the same in every run
    filled("a red {animal}", {"animal": "cat"}) -> "a red cat"

Alternatives come first, and may contain names; then the names are filled in. A value is never looked through again.
"""

from __future__ import annotations

import re
from itertools import product
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidRequestError
from .checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAME = r"[^\W\d]\w*"
_PART = rf"(?:[^{{}}|]|\{{{_NAME}\}})*"
_ALTERNATIVES = rf"\{{(?P<alternatives>{_PART}(?:\|{_PART})+)\}}"
_DOUBLED = r"\{\{|\}\}"
_FIRST = re.compile(rf"{_DOUBLED}|{_ALTERNATIVES}")
_DOUBLE = "Braces that are meant as such are doubled: {{ and }}."
_THEN = re.compile(rf"(?P<doubled>{_DOUBLED})|\{{(?P<name>{_NAME})\}}|(?P<wrong>[{{}}])")


class Variant(NamedTuple):
    """A template with one of each alternatives taken.

    Attributes:
        text: names and doubled braces are still in it; `filled` gives the prompt.
        words: what was taken, in the order of the template.
    """

    text: str
    words: tuple[str, ...]


def alternatives_in(text: str) -> tuple[str, ...]:
    """The alternatives of a text as they are typed, each with its braces; in doubled braces there are none."""
    return tuple(found[0] for found in _FIRST.finditer(text) if found["alternatives"] is not None)


def sent_as_typed(prompt: object) -> str:
    """A sentence for a call that draws no alternatives and whose prompt has some, or ""."""
    found = alternatives_in(prompt) if isinstance(prompt, str) else ()
    return f"{shown(found[0])} is sent as typed; alternatives are drawn by vary only" if found else ""


def variants(text: str) -> Iterator[Variant]:
    """Every variant of a template, the last alternatives change fastest; lazily, as they may be very many."""
    between, groups = _split(text)
    return (Variant(_joined(between, words), words) for words in product(*groups))


def groups_in(text: str) -> tuple[tuple[str, ...], ...]:
    """The words of each group of alternatives, in the order of the template."""
    return tuple(_split(text)[1])


def with_words(text: str, words: Iterable[str]) -> str:
    """The template with one word for each group of its alternatives; names and doubled braces are still in it."""
    return _joined(_split(text)[0], tuple(words))


def drawn(text: str, seed: int | str) -> Variant:
    """One variant of a template, each word as likely as another; the same for the same seed, on every machine."""
    between, groups = _split(text)
    # Python promises the same numbers of `random` for a seed in all versions, not of `choice`.
    random = Random(seed)  # noqa: S311 - not for secrets
    words = tuple(group[int(random.random() * len(group))] for group in groups)
    return Variant(_joined(between, words), words)


def names_in(text: str) -> tuple[str, ...]:
    """The names that a template needs, once each; those in alternatives too.

    Raises:
        InvalidRequestError: it contains a brace that belongs to no name, no alternatives and no pair.
    """
    every = _FIRST.sub(lambda found: (found["alternatives"] or found[0]).replace("|", " "), text)
    return tuple(dict.fromkeys(found["name"] for found in _read(every) if found["name"]))


def filled(text: str, values: Mapping[str, object]) -> str:
    """The prompt: each `{name}` replaced by the text of its value, `{{` and `}}` by single braces.

    Raises:
        InvalidRequestError: a name has no value; or it contains another brace, such as `{a.b}` or `{a:>9}`.
    """
    pieces, end = list[str](), 0
    for found in _read(text):
        name = found["name"]
        if name is not None and name not in values:
            raise InvalidRequestError(
                f"{{{name}}} in the prompt has no value; there are {_listed(values)}",
                param="prompt",
                hint=_DOUBLE,
            )
        pieces += [text[end : found.start()], found[0][0] if name is None else str(values[name])]
        end = found.end()
    return "".join([*pieces, text[end:]])


def text_of(value: object) -> str | None:
    """The text of a value for a prompt; None if it has none, as None, pictures, functions and bytes have none."""
    text = str(value)
    if isinstance(value, str):
        return text
    in_angles = text.startswith("<") and text.endswith(">")  # as Python shows what cannot be written as text
    return None if value is None or isinstance(value, bytes | bytearray) or in_angles else text


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"{{{shown(name)}}}" for name in list(values)[:20]) or "none"


def _split(text: str) -> tuple[list[str], list[tuple[str, ...]]]:
    """What stands between alternatives, and each group of them without blanks at their ends."""
    between, groups, end = list[str](), list[tuple[str, ...]](), 0
    for found in _FIRST.finditer(text):
        if found["alternatives"] is not None:
            words = (word.strip() for word in found["alternatives"].split("|"))
            groups.append(tuple(dict.fromkeys(words)))
            between.append(text[end : found.start()])
            end = found.end()
    return [*between, text[end:]], groups


def _joined(between: list[str], words: tuple[str, ...]) -> str:
    return "".join(piece for pair in zip(between, (*words, ""), strict=True) for piece in pair)


def _read(text: str) -> Iterator[re.Match[str]]:
    for found in _THEN.finditer(text):
        if found["wrong"]:
            start = found.start()
            raise InvalidRequestError(
                f"{shown(text[start : start + 40])} in the prompt cannot be filled in; only {{name}} can, without "
                "attributes, indexes and formats",
                param="prompt",
                hint=_DOUBLE,
            )
        yield found
