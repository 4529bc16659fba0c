"""Simulated failures and a rate limit. Pure: no clock, no socket."""

from __future__ import annotations

import math
import random
import re
from itertools import chain, repeat
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Failures of the connection, and an empty success, instead of an error reply.
HANG, CUT, DROP, EMPTY, IGNORED_MASK = "hang", "cut", "drop", "empty", "ignored-mask"
NAMES = (HANG, CUT, DROP, EMPTY, "moderation", "quota", IGNORED_MASK)

_ITEM = re.compile(r"(?P<what>[a-z-]+|[45]\d\d)(?::(?P<count>\d+)|@(?P<share>0?\.\d+|1(?:\.0+)?))?")


def faults(fail: str | int | Sequence[str | int] | None) -> Iterator[str]:
    """The failure of each good request in turn: a status or a name, "" for none.

    Args:
        fail: a text such as `500` (always), `429:2` (the first two), `hang:1,500@0.2` (one that hangs, then a
            fifth of them, chosen by a fixed seed), or a list with one status or name per request.

    Raises:
        ConfigurationError: it is none of these.
    """
    if fail is None:
        return repeat("")
    if isinstance(fail, (str, int)):
        return chain(*[_repeated(*_parsed(item)) for item in str(fail).split(",")], repeat(""))
    return chain([_one_fault(item) for item in fail], repeat(""))


def _one_fault(item: str | int) -> str:
    what, *often = _parsed(item)
    if any(often):
        raise ConfigurationError(f"fail holds {item!r}; a list takes one status or name per request")
    return what


def _parsed(item: str | int) -> tuple[str, str | None, str | None]:
    match = _ITEM.fullmatch(str(item).strip())
    if not match or not (match["what"].isdigit() or match["what"] in NAMES):
        names = ", ".join(NAMES)
        raise ConfigurationError(f"fail is {item!r}; it takes a status from 400 to 599 or one of {names}")
    return match["what"], match["count"], match["share"]


def _repeated(what: str, count: str | None, share: str | None) -> Iterator[str]:
    if count is not None:
        return repeat(what, int(count))
    if share is None:
        return repeat(what)
    rng = random.Random(0)  # noqa: S311 - a simulation must repeat itself
    return (what if rng.random() < float(share) else "" for _ in repeat(None))


class RateGate:
    """Admits `rate` requests a second, in bursts of up to one second's worth."""

    def __init__(self, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise ConfigurationError(f"rate is {rate}; it takes requests per second above 0")
        self._interval = 1 / rate
        self._slack = max(1.0, rate) * self._interval - self._interval
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a request would be admitted; 0 admits this one."""
        start = max(self._free_at, now)
        too_early = start - now - self._slack
        if too_early > 1e-9:
            return too_early
        self._free_at = start + self._interval
        return 0.0
