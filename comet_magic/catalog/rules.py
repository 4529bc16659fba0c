"""Rules for parameters: a rule says what it `admits`, and ends the sentence "n is 4; qwen-image takes 1".

    rule.admits(value) -> bool      rule.choices() -> the values to offer, () if open
    str(rule) -> "low, medium or high"      rule.nearest(value) -> a word or size it admits, or None
    rule.kind -> "choice", "integer" (an `Interval`, with `low` and `high`), "size", "boolean", "text"

The rules of sizes are in `sizes`. Nothing here knows a model, a price or the wire.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

RuleKind = Literal["choice", "integer", "size", "boolean", "text"]


def enumerate_words(words: Iterable[str]) -> str:
    """The words, one at least, as a sentence lists them: "a, b or c"."""
    *others, final = words
    return f"{', '.join(others)} or {final}" if others else final


def suggest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, or None."""
    known = {candidate.casefold(): candidate for candidate in words}
    found = get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


@dataclass(frozen=True)
class Rule(ABC):
    """What one parameter of one model may be; as text it ends the sentence "n is 4; qwen-image takes"."""

    kind: ClassVar[RuleKind]

    @abstractmethod
    def admits(self, value: object) -> bool:
        """Whether the value may be sent."""

    def choices(self) -> tuple[str, ...]:
        """The values to offer; () if open."""
        return ()

    def nearest(self, value: object) -> str | None:  # noqa: ARG002 - for those that have one
        """A word or size the rule admits, close to the value given, or None."""
        return None


@dataclass(frozen=True)
class Choice(Rule):
    """One of a few words."""

    kind: ClassVar[RuleKind] = "choice"
    options: tuple[str, ...]

    def admits(self, value: object) -> bool:
        """Whether it is exactly one of the words."""
        return isinstance(value, str) and value in self.options

    def choices(self) -> tuple[str, ...]:
        """The words."""
        return self.options

    def nearest(self, value: object) -> str | None:
        """The word that was probably meant."""
        return suggest(value, self.options) if isinstance(value, str) else None

    def __str__(self) -> str:
        return enumerate_words(self.options)


@dataclass(frozen=True)
class Interval(Rule):
    """A whole number from `low` to `high`, both included."""

    kind: ClassVar[RuleKind] = "integer"
    low: int
    high: int

    def admits(self, value: object) -> bool:
        """Whether it is a whole number within the bounds; a bool is not."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True)
class Boolean(Rule):
    """True or false."""

    kind: ClassVar[RuleKind] = "boolean"

    def admits(self, value: object) -> bool:
        """Whether it is True or False."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Text(Rule):
    """Any text of one line; the server decides."""

    kind: ClassVar[RuleKind] = "text"

    def admits(self, value: object) -> bool:
        """Whether it is a printable text that is not blank."""
        return isinstance(value, str) and bool(value.strip()) and value.isprintable()

    def __str__(self) -> str:
        return "a text of one line"
