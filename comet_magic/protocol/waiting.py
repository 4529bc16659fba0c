"""How long to wait before a request is sent again."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_BACKOFF = 8.0  # seconds
JITTER = 0.25  # a wait is cut by up to this share, so that clients do not march in step


def backoff(number: int, *, base: float, chance: float) -> float:
    """Seconds before attempt `number + 1`: the base doubling up to 8 s, less up to a quarter.

    Args:
        number: the attempt that failed, from 1.
        base: seconds after the first.
        chance: a random number from 0 to 1.
    """
    doubled = base * 2.0 ** min(number - 1, 60)
    return min(LONGEST_BACKOFF, doubled) * (1 - JITTER * chance)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds the server asks to wait, or None: `retry-after-ms`, then `retry-after` as seconds or date.

    A date is compared with the answer's own `Date`, so that a wrong clock here does no harm. What is negative,
    past or no number is ignored; what is too large for a float is infinite.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return seconds / unit
    asked = _date(headers.get("retry-after", ""))
    if asked is None:
        return None
    sent = _date(headers.get("date", ""))
    seconds = asked - (now if sent is None else sent)
    return seconds if seconds > 0 else None


def vouched(headers: Mapping[str, str]) -> bool | None:
    """What the server says of sending again, or None where it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or value < 0 else value


def _date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        # the oldest form names no zone; all three are UTC: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
