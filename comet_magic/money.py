"""Amounts of money: whole micro-USD inside, in names that end in `_micro` where users see them; dollars for users.

dollars(4704) -> "$0.0047"; usd(4704) -> 0.004704; parse_dollars("$5") -> 5_000_000; total([4704, None]) -> None
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, overload

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

MILLION = 1_000_000
NARROW = 1.25  # a range whose ends are nearer than this reads as its upper end
_MOST = 1_000_000  # dollars; a larger amount is a mistake in the unit


@dataclass(frozen=True)
class Price:
    """What something will cost, from the least to the most; None means unknown."""

    low_micro: int | None
    high_micro: int | None

    @property
    def low(self) -> float | None:
        """The least, in USD."""
        return usd(self.low_micro)

    @property
    def high(self) -> float | None:
        """The most, in USD."""
        return usd(self.high_micro)

    @property
    def known(self) -> bool:
        """Whether both ends are known."""
        return self.low_micro is not None and self.high_micro is not None

    def __add__(self, other: Price) -> Price:
        low = total((self.low_micro, other.low_micro))
        return Price(low, total((self.high_micro, other.high_micro)))

    def __str__(self) -> str:
        if self.low_micro is None or self.high_micro is None:
            return "unknown"
        low, high = dollars(self.low_micro), dollars(self.high_micro)
        if low == high:
            return high
        return f"at most {high}" if self.high_micro <= self.low_micro * NARROW else f"{low} to {high}"


def total(amounts: Iterable[int | None]) -> int | None:
    """The sum of the amounts, or None if one of them is unknown."""
    known = list(amounts)
    return None if None in known else sum(filter(None, known))


def sum_in_words(amounts: Iterable[int | None]) -> str:
    """The sum of the amounts: "$0.03"; "at least $0.03" if some are unknown, "cost unknown" if nothing is known."""
    known = list(amounts)
    some = sum(filter(None, known))
    if None not in known:
        return dollars(some)
    return f"at least {dollars(some)}" if some else "cost unknown"


@overload
def usd(micro: int) -> float: ...
@overload
def usd(micro: int | None) -> float | None: ...
def usd(micro: int | None) -> float | None:
    """An amount of micro-USD in USD, as users get it; None stays None."""
    return None if micro is None else micro / MILLION


def dollars(micro: int | None) -> str:
    """An amount of micro-USD as people write it: "$0.0047", "$1.50"; "unknown" for None."""
    if micro is None:
        return "unknown"
    places = 2 if micro >= MILLION else 4 if micro >= 100 else 6
    whole, _, part = f"{Decimal(micro) / MILLION:.{places}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def parse_dollars(amount: str | float, *, name: str = "max_cost") -> int:
    """An amount in USD as whole micro-USD: "5", "$0.50", 5.0.

    Raises:
        InvalidRequestError: it is not an amount of money; `param` is `name`.
    """
    try:
        dollar = Decimal(str(amount).strip().removeprefix("$"))
    except InvalidOperation:
        dollar = Decimal("NaN")
    if not dollar.is_finite() or not 0 <= dollar <= _MOST:
        said = f"{name} is {str(amount)[:40]}; it must be an amount in USD, such as 0.50"
        raise InvalidRequestError(said, param=name)
    return round(dollar * MILLION)


def optional_dollars(amount: str | float | None, *, name: str) -> int | None:
    """As `parse_dollars`; None, for no limit or no price, stays None."""
    return None if amount is None else parse_dollars(amount, name=name)
