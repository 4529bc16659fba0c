"""Whether a failed request is sent again, and after how long.

`decisions.TABLE` says which failures leave no work behind; here are the limits: attempts, waits, and a retry budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from ..errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import CometError

LONGEST_HINT = 60.0  # seconds that a person waits; a dataset waits longer
YEAR = 365 * 86_400.0
LONGEST_SUM = 120.0  # seconds that one call may wait in all

LONGEST_BACKOFF = 8.0  # seconds
JITTER = 0.25  # each wait is shortened by up to this share, so that clients do not retry in step


@dataclass(frozen=True)
class RetryPolicy:
    """The limits of a call's attempts.

    Attributes:
        max_attempts: how often it is sent at most.
        base_delay: seconds after the first attempt; doubles up to 8.
        patience: the longest wait in seconds that the server may ask for.
        free_rate_limits: whether a 429 uses up no attempt (a dataset waits for all its calls at once).
    """

    max_attempts: int = 3
    base_delay: float = 0.5
    patience: float = LONGEST_HINT
    free_rate_limits: bool = False


@dataclass(frozen=True)
class RetryVerdict:
    """What follows a failed attempt.

    Attributes:
        delay: seconds until the same request is sent again; None: it is not, and the error is raised.
        hint: what the error should say beside that, or "" for its own hint.
        free: a rate limit that the policy waits out: it uses up no attempt, no token and no time of the call.
    """

    delay: float | None
    hint: str = ""
    free: bool = False


@dataclass
class Retries:
    """Counts the attempts of one call, and says after each failure whether and when it is sent again.

    It is sent again only if its error is `retryable`, as the decision table says.

        retries = Retries(policy, budget)
        while True:
            answer = await attempt()                      # an answer, or an error
            if not isinstance(answer, CometError):
                return answer
            verdict = retries.after(answer, left=deadline - now, jitter=random.random())
            if verdict.delay is None:
                raise answer.with_facts(attempts=retries.attempts, hint=verdict.hint or answer.hint)
            await sleep(verdict.delay)                    # after a free one the call's time starts again

    Attributes:
        attempts: how often the request was sent so far.
        used: how many of these count against the limit.
        waited: seconds between them.
    """

    policy: RetryPolicy
    budget: RetryBudget
    attempts: int = 0
    used: int = 0
    waited: float = 0.0

    def after(self, error: CometError, *, left: float, jitter: float) -> RetryVerdict:
        """What follows this failure.

        Args:
            error: how the attempt failed.
            left: seconds until the call's deadline.
            jitter: a random number from 0 to 1.
        """
        self.attempts += 1
        free = self.policy.free_rate_limits and isinstance(error, RateLimitError)
        self.used += not free
        if not error.retryable or self.used >= self.policy.max_attempts:
            return RetryVerdict(None)
        asked = error.retry_after or 0.0
        if asked > self.policy.patience:
            return RetryVerdict(None, f"The server asks to wait {_span(asked)}; run it again then.")
        delay = max(asked, backoff(self.attempts, base=self.policy.base_delay, jitter=jitter))
        too_long = self.waited + delay > max(LONGEST_SUM, self.policy.patience)
        if too_long or (delay >= left and not free) or not (free or self.budget.take()):
            return RetryVerdict(None)
        self.waited += delay
        return RetryVerdict(delay, free=free)


def _span(seconds: float) -> str:
    if seconds > YEAR:
        return "without end"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


class RetryBudget:
    """A bucket of 20 tokens: a retry takes 1, a success gives back 0.2, so an outage does not multiply the load."""

    CAPACITY = 20.0
    REFUND = 0.2

    def __init__(self) -> None:
        self._tokens = self.CAPACITY

    def take(self) -> bool:
        """Take a token for one retry; False if the bucket is empty."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def succeeded(self) -> None:
        """Give back a part of a token."""
        self._tokens = min(self.CAPACITY, self._tokens + self.REFUND)


def backoff(number: int, *, base: float, jitter: float) -> float:
    """Seconds before attempt `number + 1`: doubles from `base` up to 8 s, minus up to a quarter.

    Args:
        number: the attempt that failed, from 1.
        base: seconds after the first.
        jitter: a random number from 0 to 1.
    """
    doubled = base * 2.0 ** min(number - 1, 60)
    return min(LONGEST_BACKOFF, doubled) * (1 - JITTER * jitter)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds the server asks to wait, or None: `retry-after-ms`, then `retry-after` as seconds or date.

    A date is compared with the answer's own `Date`, so a wrong clock here does no harm. Negative,
    past and unreadable values are ignored; a number too large for a float is infinite.
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


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or value < 0 else value


def _date(text: str) -> float | None:
    try:
        from email.utils import parsedate_to_datetime

        date = parsedate_to_datetime(text)
        # the oldest form has no zone; all three mean UTC: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
