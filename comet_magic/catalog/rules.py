"""Rules for parameters: a rule says what it `admits`, and ends the sentence "n is 4; qwen-image takes 1".

    rule.admits(value) -> bool      rule.choices() -> the values to offer, () if open
    str(rule) -> "low, medium or high"      rule.nearest(value) -> a word or size it admits, or None
    rule.kind -> "choice", "integer" (an `Interval`, with `low` and `high`), "size", "boolean", "text"

A size also becomes another one: rule.of_ratio(16 / 9) -> "1536x864", or None if none has this orientation or ratio.
Distance between sizes is measured in log width and log height, that is, by how much one must be stretched to become
the other: a size that is too large keeps its ratio, and one that is too long keeps its area.

Nothing here knows a model, a price or the wire.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from math import ceil, floor, log, sqrt
from typing import TYPE_CHECKING, ClassVar, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


# --- sizes

_PIXELS = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})")
_ROUND = 16  # proposed sizes are multiples of it
_ROOM = 1.5  # a size for a ratio may have up to half as many pixels more than the usual square


def edges(size: object) -> tuple[int, int] | None:
    """Width and height of a text like "1024x768", or None."""
    found = _PIXELS.fullmatch(size) if isinstance(size, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _distance(one: tuple[int, int], other: tuple[int, int]) -> float:
    return log(one[0] / other[0]) ** 2 + log(one[1] / other[1]) ** 2


def _off(size: tuple[int, int], ratio: float) -> float:
    return round(abs(log(size[0] / size[1]) - log(ratio)), 9)


def _own(size: str) -> tuple[int, int]:
    return cast("tuple[int, int]", edges(size))


@dataclass(frozen=True)
class SizeList(Rule):
    """One of a few sizes; `auto` chooses from the `usual` ones, and the first is the default."""

    kind: ClassVar[RuleKind] = "size"
    usual: tuple[str, ...]
    words: tuple[str, ...] = ()

    def admits(self, value: object) -> bool:
        """Whether it is one of the list."""
        return isinstance(value, str) and value in self.choices()

    def choices(self) -> tuple[str, ...]:
        """All sizes and words."""
        return (*self.words, *self.usual)

    def nearest(self, value: object) -> str | None:
        """The size of the list that needs the least stretching."""
        asked = edges(value)
        return min(self.usual, key=lambda size: _distance(_own(size), asked)) if asked else None

    def of_ratio(self, ratio: float) -> str | None:
        """The size whose ratio is nearest, the first of equals; never a square for another ratio."""
        if ratio != 1 and all(width == height for width, height in map(_own, self.usual)):
            return None
        return min(self.usual, key=lambda size: _off(_own(size), ratio))

    def __str__(self) -> str:
        return enumerate_words(self.choices())


@dataclass(frozen=True)
class FreeSize(Rule):
    """Any width and height within bounds, and a few words.

    Attributes:
        grid: both edges are multiples of it.
        ratio: the long edge is at most this many times the short one.
        edge: no edge is longer.
        low: the fewest pixels.
        high: the most pixels.
        usual: the vendor's own sizes, the default first; a ratio that one of them has becomes that size.
        words: further values, such as `auto` or `2K`.
        common: further sizes worth offering.
    """

    kind: ClassVar[RuleKind] = "size"
    grid: int
    ratio: int
    edge: int
    low: int
    high: int
    usual: tuple[str, ...]
    words: tuple[str, ...] = ()
    common: tuple[str, ...] = ()

    def admits(self, value: object) -> bool:
        """Whether it is one of the words, or a size within all bounds."""
        size = edges(value)
        return self._fits(*size) if size else isinstance(value, str) and value in self.words

    def _fits(self, width: int, height: int) -> bool:
        return (
            width % self.grid == 0
            and height % self.grid == 0
            and max(width, height) <= min(self.edge, self.ratio * min(width, height))
            and self.low <= width * height <= self.high
        )

    def choices(self) -> tuple[str, ...]:
        """The words and the sizes worth offering; there are others."""
        return (*self.words, *self.usual, *self.common)

    def nearest(self, value: object) -> str | None:
        """The legal size that needs the least stretching, or None if the value is not a size."""
        asked = edges(value)
        if asked is None:
            return None
        return "{}x{}".format(*(asked if self._fits(*asked) else _nearest_size(self, *asked)))

    def near(self, height: int) -> Iterator[tuple[int, int]]:
        """The legal sizes of each round width with the next heights below and above."""
        widths = range(self._step, self.edge + 1, self._step)
        return (size for width in widths for size in self._around(width, height))

    @property
    def _step(self) -> int:
        """Proposed sizes are round, even if the model takes any number."""
        return max(self.grid, _ROUND)

    def _around(self, width: int, height: float) -> Iterator[tuple[int, int]]:
        """The legal sizes of this width with the next heights below and above."""
        lowest = ceil(max(self.low / width, width / self.ratio, 1) / self._step)
        highest = floor(min(self.high / width, width * self.ratio, self.edge) / self._step)
        if lowest <= highest:
            for steps in {floor(height / self._step), ceil(height / self._step)}:
                yield width, min(max(steps, lowest), highest) * self._step

    def of_ratio(self, ratio: float) -> str | None:
        """One of the usual sizes if it has the ratio, else the closest size, the smallest of equals.

        It has at least as many pixels as the default size and at most half as many more.
        """
        if not 1 / self.ratio <= ratio <= self.ratio:
            return None
        for size in self.usual:
            if _off(_own(size), ratio) == 0:
                return size
        width, height = _own(self.usual[0])
        least, most = width * height, min(width * height * _ROOM, self.high)
        spread = range(self._step, floor(sqrt(most * ratio)) + 1, self._step)
        ways = [size for wide in spread for size in self._around(wide, wide / ratio)]
        near = [size for size in ways if least <= size[0] * size[1] <= most]
        best = min(near, key=lambda size: (_off(size, ratio), size[0] * size[1]))
        return "{}x{}".format(*best)

    def __str__(self) -> str:
        grid = f" in multiples of {self.grid}" if self.grid > 1 else ""
        words = enumerate_words((*self.words, f"WIDTHxHEIGHT{grid}"))
        return f"{words} up to {self.edge}, at most {self.ratio}:1, {self.low} to {self.high} pixels"


@lru_cache(maxsize=256)  # the panel prices every model at the same size again and again
def _nearest_size(rule: FreeSize, width: int, height: int) -> tuple[int, int]:
    """The legal size that needs the least stretching; of equally near ones the larger."""
    asked = width, height
    return min(rule.near(height), key=lambda size: (round(_distance(size, asked), 12), -size[0] * size[1]))
