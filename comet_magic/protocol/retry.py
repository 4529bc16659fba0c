"""May this be sent again? Only with positive reason to believe that no work was started.

| what happened | server can have started | verdict |
| --- | --- | --- |
| no connection; the body was never sent whole | no | again |
| certificate refused | no, and it will not change | stop |
| 408, 425, 429, 521, 523, 525, 526; 503, 529 with Retry-After; `x-should-retry: true` | no, says the server | again |
| a quota, policy or request code, whatever the status | no | stop |
| any other 5xx, or sent and then silence, reset, a cut answer | perhaps | stop, unknown |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..errors import APIConnectionError, CometError, RateLimitError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_HINT = 60.0  # seconds a person waits for; a pipeline is more patient
YEAR = 365 * 86_400.0
LONGEST_SUM = 120.0  # seconds of waiting in one call

LONGEST_BACKOFF = 8.0  # seconds
JITTER = 0.25  # a wait is cut by up to this share, so that clients do not march in step


@dataclass(frozen=True)
class Policy:
    """How patient a call is.

    Attributes:
        max_attempts: how often it is sent at the most.
        base_delay: seconds after the first attempt.
        patience: longest wait the server may ask for, seconds.
        free_rate_limits: whether a 429 costs no attempt (a pipeline waits for all its calls at once).
    """

    max_attempts: int = 3
    base_delay: float = 0.5
    patience: float = LONGEST_HINT
    free_rate_limits: bool = False


@dataclass(frozen=True)
class Attempt:
    """How one attempt failed.

    Attributes:
        error: what it would be for the user.
        number: which attempt, from 1.
        counted: how many attempts count against the limit.
        should_retry: what the server says of sending again (`x-should-retry`), or None.
        retry_after: seconds the server asked to wait, or None.
        permanent: true where trying again cannot help (a certificate).
        waited: seconds waited in this call so far.
        left: seconds until the call's deadline.
        jitter: a random number from 0 to 1.
    """

    error: CometError
    number: int
    counted: int
    should_retry: bool | None
    retry_after: float | None
    permanent: bool
    waited: float
    left: float
    jitter: float


@dataclass(frozen=True)
class Verdict:
    """Send again after `delay` seconds, or None: raise `error`."""

    delay: float | None
    error: CometError


def judge(attempt: Attempt, policy: Policy) -> Verdict:
    """Whether this attempt may be sent again and after how long; else the error to raise."""
    stop = Verdict(None, attempt.error.with_facts(attempts=attempt.number, retry_after=attempt.retry_after))
    if not _no_work_was_started(attempt) or attempt.counted >= policy.max_attempts:
        return stop
    if attempt.retry_after is not None and attempt.retry_after > policy.patience:
        attempt.error.hint = f"The server asks to wait {_span(attempt.retry_after)}; run it again then."
        return stop
    own = backoff(attempt.number, base=policy.base_delay, jitter=attempt.jitter)
    delay = max(own, attempt.retry_after or 0.0)
    longest = max(LONGEST_SUM, policy.patience)
    if attempt.waited + delay > longest or delay >= attempt.left:
        return stop
    return Verdict(delay, attempt.error)


def counts(error: CometError, policy: Policy) -> bool:
    """Whether a failed attempt counts against the limit of attempts."""
    return not (policy.free_rate_limits and isinstance(error, RateLimitError))


def _no_work_was_started(attempt: Attempt) -> bool:
    if attempt.should_retry is not None:
        return attempt.should_retry
    if isinstance(attempt.error, APIConnectionError):
        return attempt.error.outcome == "not_sent" and not attempt.permanent
    return isinstance(attempt.error, (RateLimitError, ServerError)) and attempt.error.outcome == "rejected"


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


class Retries:
    """The attempts of one call: counts them, and says after each failure whether and when it is sent again.

    It is sent again only if its error is `retryable`, which the decision table says (`decisions.TABLE`).

        retries = Retries(policy, budget)
        while True:
            answer = await attempt()                      # an answer, or the error that there was none
            if not isinstance(answer, CometError):
                return answer
            verdict = retries.after(answer, left=deadline - now, jitter=random.random())
            if verdict.delay is None:
                raise answer.with_facts(attempts=retries.attempts, hint=verdict.hint or answer.hint)
            await sleep(verdict.delay)                    # after a free one the call's time begins anew

    Attributes:
        attempts: how often the request was sent so far.
    """

    def __init__(self, policy: Policy, budget: RetryBudget) -> None:
        self._policy = policy
        self._budget = budget
        self._used = 0  # attempts that count against the limit
        self._waited = 0.0
        self.attempts = 0

    def after(self, error: CometError, *, left: float, jitter: float) -> RetryVerdict:
        """What follows this failure.

        Args:
            error: how the attempt failed.
            left: seconds until the call's deadline.
            jitter: a random number from 0 to 1.
        """
        self.attempts += 1
        free = self._policy.free_rate_limits and isinstance(error, RateLimitError)
        self._used += not free
        if not error.retryable or self._used >= self._policy.max_attempts:
            return RetryVerdict(None)
        asked = error.retry_after or 0.0
        if asked > self._policy.patience:
            return RetryVerdict(None, f"The server asks to wait {_span(asked)}; run it again then.")
        delay = max(asked, backoff(self.attempts, base=self._policy.base_delay, jitter=jitter))
        too_long = self._waited + delay > max(LONGEST_SUM, self._policy.patience)
        if too_long or (delay >= left and not free) or not (free or self._budget.take()):
            return RetryVerdict(None)
        self._waited += delay
        return RetryVerdict(delay, free=free)


def _span(seconds: float) -> str:
    if seconds > YEAR:
        return "without end"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


class RetryBudget:
    """A bucket of 20 tokens: 1 for each repeat, 0.2 back for each success, so an outage cannot multiply the load."""

    CAPACITY = 20.0
    REFUND = 0.2

    def __init__(self) -> None:
        self._tokens = self.CAPACITY

    def take(self) -> bool:
        """Pay for one repeat; False when the bucket is empty."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def succeeded(self) -> None:
        """Give a part of a token back."""
        self._tokens = min(self.CAPACITY, self._tokens + self.REFUND)


def backoff(number: int, *, base: float, jitter: float) -> float:
    """Seconds before attempt `number + 1`: the base doubling up to 8 s, less up to a quarter.

    Args:
        number: the attempt that failed, from 1.
        base: seconds after the first.
        jitter: a random number from 0 to 1.
    """
    doubled = base * 2.0 ** min(number - 1, 60)
    return min(LONGEST_BACKOFF, doubled) * (1 - JITTER * jitter)


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
