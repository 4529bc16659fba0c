"""What pictures cost, in whole micro-USD: rates of tokens, counts of tokens, printed prices.

    price.picture(size, quality) -> micro-USD of one picture without its prompt, or None
    price.least(size, quality) -> the least that it may be billed
    price.prompt(characters) -> micro-USD of the prompt, an upper estimate
    price.of_usage(usage) -> micro-USD of an answered call, or None
    price.partial -> micro-USD of one streamed preview, or None

`size` and `quality` are never `auto` here. A price has its date, its grade (A: the vendor's own page, B: a copy of
that page, C: a third party) and its source. Nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..money import MILLION
from .rules import edges

PARTIAL_TOKENS = 100  # each streamed preview; https://developers.openai.com/api/docs/guides/image-generation
PROMPT_TOKENS = 16  # beside at most one token per character: a rough upper estimate

Grade = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Formula:
    """The count of gpt-image-2 and 2.5, from the calculator in the vendor's guide.

    It gives every price printed there: https://developers.openai.com/api/docs/guides/image-generation
    """

    base: tuple[tuple[str, int], ...]

    def count(self, size: str, quality: str) -> int | None:
        """Output tokens of one picture, or None for a quality the formula does not have."""
        base, pixels = dict(self.base).get(quality), edges(size)
        if base is None or pixels is None:
            return None
        short, long = sorted(pixels)
        units = _half_even(base * short, long)
        return -(-base * units * (2 * MILLION + short * long) // (4 * MILLION))


def _half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest whole number, exact halves to the even one."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


@dataclass(frozen=True)
class Table:
    """A number for each size and quality: tokens, or printed prices in micro-USD."""

    sizes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]

    def count(self, size: str, quality: str) -> int | None:
        """The number for this size and quality, or None."""
        row = dict(self.rows).get(quality)
        return row[self.sizes.index(size)] if row and size in self.sizes else None


@dataclass(frozen=True)
class Tariff:
    """What a model costs and who says so.

    Attributes:
        date: the day the source was read, as YYYY-MM-DD.
        grade: how close to the vendor the source is.
        source: the page.
        text_in: micro-USD per million tokens of the prompt, or None if tokens are not counted.
        image_in: the same for tokens of input pictures.
        image_out: the same for tokens of output pictures.
        tokens: how many output tokens a picture takes, or None if unknown.
        printed: prices per picture; they win over `tokens`.
        flat: one price per picture of any size.
    """

    date: str
    grade: Grade
    source: str
    text_in: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    tokens: Formula | Table | None = None
    printed: Table | None = None
    flat: int | None = None

    def picture(self, size: str, quality: str) -> int | None:
        """Micro-USD of one picture without its prompt, or None if unknown."""
        if self.flat is not None:
            return self.flat
        if self.printed is not None:
            return self.printed.count(size, quality)
        return self._by_tokens(size, quality)

    def least(self, size: str, quality: str) -> int | None:
        """The same where an answer's own count of tokens may come to less than the printed price."""
        printed, counted = self.picture(size, quality), self._by_tokens(size, quality)
        return counted if printed is None else printed if counted is None else min(printed, counted)

    def _by_tokens(self, size: str, quality: str) -> int | None:
        tokens = self.tokens.count(size, quality) if self.tokens else None
        return None if tokens is None or self.image_out is None else _round_up(tokens * self.image_out)

    def prompt(self, characters: int) -> int:
        """Micro-USD of a prompt, an upper estimate."""
        return _round_up((PROMPT_TOKENS + characters) * (self.text_in or 0))

    def inputs(self, tokens: int) -> int:
        """Micro-USD of so many tokens of input pictures."""
        return _round_up(tokens * (self.image_in or 0))

    @property
    def partial(self) -> int | None:
        """Micro-USD of one streamed preview."""
        return None if self.image_out is None else _round_up(PARTIAL_TOKENS * self.image_out)

    def of_usage(self, usage: Mapping[str, Any] | None) -> int | None:
        """The cost of an answered call by its own count of tokens, rounded up; None if that is missing."""
        if not usage or self.image_out is None:
            return None
        made, given = _tokens(usage, "output_tokens"), _tokens(usage, "input_tokens")
        if made is None or given is None:
            return None
        details = usage.get("input_tokens_details")
        pictures = _tokens(details, "image_tokens") or 0 if isinstance(details, Mapping) else 0
        words = max(given - pictures, 0)
        parts = words * (self.text_in or 0) + pictures * (self.image_in or 0) + made * self.image_out
        return _round_up(parts)


def _round_up(millionths: int) -> int:
    return -(-millionths // MILLION)


def _tokens(usage: Mapping[str, Any], name: str) -> int | None:
    """A count from a server's answer, which may be absent, null, text or nonsense."""
    count = usage.get(name)
    return count if type(count) is int and 0 <= count < MILLION * MILLION else None
