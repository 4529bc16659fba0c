"""When the failures of a run pause it or end it, and when its next call may begin."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ..errors import (
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    ConfigurationError,
    ContentPolicyError,
    NotFoundError,
    SaveError,
)
from ..protocol import decisions
from ..text import clean

if TYPE_CHECKING:
    from ..errors import CometError

SAME_CODE = 2  # so many failures in a row that no row can change end a run


@dataclass(frozen=True)
class FailurePolicy:
    """How many failures a run bears.

    Attributes:
        stop_after: so many failures of the same class and code in a row end it; None: no number does.
        unknown_in_a_row: after so many calls in a row without a usable answer it pauses.
        pauses: seconds of the first pause, the second...; behind each, one row is tried. When the row behind the last
            one fails too, the run ends.

    Raises:
        ConfigurationError: `stop_after` cannot be used.
    """

    stop_after: int | None = 20
    unknown_in_a_row: int = 3
    pauses: tuple[float, ...] = (5.0, 15.0, 45.0, 135.0)

    def __post_init__(self) -> None:
        number = self.stop_after
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise ConfigurationError(
                f"stop_after is {clean(number, limit=40)}; it must be a whole number from 1, or None"
            )

    def most_failing(self, calls: int, in_flight: int) -> int:
        """How many of so many calls can fail and be paid before the run ends, if none succeeds."""
        return calls if self.stop_after is None else min(calls, self.stop_after + in_flight - 1)


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for some seconds; then one row is tried, number `attempt` of `attempts`."""

    seconds: float
    attempt: int
    attempts: int
    reason: str

    def text(self, left: float) -> str:
        """What a person reads while so many seconds are left."""
        span = f" {left:.0f} s, then" if left > 0 else ","
        return f"paused{span} one row, try {self.attempt} of {self.attempts}: {self.reason}"


def is_outage(error: CometError) -> bool:
    """Whether there was no usable answer, or no connection, by no fault of the row."""
    if error.outcome == "unknown":
        return True
    return decisions.row_after(error) == "open" and type(error).__name__ not in decisions.ENDS_RUN


def no_row_can_change(error: CometError, *, own_models: bool) -> bool:
    """Whether every row would fail so: no such model, a wrong base URL, a proxy or certificate that forbids it.

    Args:
        error: how a call ended.
        own_models: rows name their models, so another row may have one that exists.
    """
    if isinstance(error, NotFoundError):
        return not own_models
    if isinstance(error, APIConnectionError):
        return not error.retryable
    if error.hint == decisions.BASE_URL_HINT:  # also of a web page with status 200
        return True
    return isinstance(error, BadRequestError) and error.status_code in decisions.WRONG_ADDRESS.statuses


def _is_of_its_row(error: CometError) -> bool:
    """Whether it says nothing of other rows: refused by moderation, or ended here before anything was tried."""
    if error.outcome == "not_sent":
        return not isinstance(error, (APIConnectionError, APITimeoutError))
    return isinstance(error, ContentPolicyError)


class Failures:
    """Says after each call whether the run goes on, pauses, or ends.

    Attributes:
        epoch: changes with each pause; a failure of a call that began before says nothing new.
        pause: the one that holds, until a call was answered.
        news: changes with each pause and each answer.
    """

    def __init__(self, policy: FailurePolicy) -> None:
        self.epoch = self.news = 0
        self.pause: Pause | None = None
        self._policy = policy
        self._kind: tuple[str, str | None] | None = None
        self._alike = self._unanswered = 0

    def heard(self, error: CometError | None, epoch: int, *, own_models: bool = False) -> CometError | None:
        """Take the end of a call; gives the error that ends the run, or None.

        Args:
            error: what it ended with, or None for a picture.
            epoch: of the moment at which it began.
            own_models: rows name their models.
        """
        if error is None:
            self._kind, self._alike = None, 0
            self._answered()
        elif type(error).__name__ in decisions.ENDS_RUN or isinstance(error, SaveError):
            return error
        elif is_outage(error) and epoch < self.epoch:
            self._unanswered += 1
        elif not _is_of_its_row(error):
            return self._failed(error, own_models=own_models)
        return None

    def _failed(self, error: CometError, *, own_models: bool) -> CometError | None:
        policy, kind = self._policy, (type(error).__name__, error.code or None)
        self._alike = self._alike + 1 if kind == self._kind else 1
        self._kind = kind
        if no_row_can_change(error, own_models=own_models) and self._alike >= SAME_CODE:
            address = isinstance(error, BadRequestError) and not error.hint
            return _ending(error, "every row would fail so", decisions.BASE_URL_HINT if address else "")
        if policy.stop_after is not None and self._alike >= policy.stop_after:
            return _ending(
                error,
                f"{self._alike} calls in a row failed alike",
                "stop_after=None (--stop-after none) does not end a run so.",
            )
        if not is_outage(error):
            self._answered()
            return None
        self._unanswered += 1
        tried = self.pause.attempt if self.pause else 0
        if self._unanswered < policy.unknown_in_a_row and not tried:
            return None
        if tried == len(policy.pauses):
            return _ending(
                error, f"{self._unanswered} calls in a row had no usable answer, {tried} of them tries"
            )
        reason = f"{self._unanswered} calls in a row had no usable answer ({clean(error, limit=80)})"
        self.pause = Pause(policy.pauses[tried], tried + 1, len(policy.pauses), reason)
        self.epoch += 1
        self.news += 1
        return None

    def _answered(self) -> None:
        """The server answers: a pause is over."""
        self._unanswered = 0
        self.news += 1
        self.epoch += self.pause is not None
        self.pause = None


def _ending(error: CometError, why: str, hint: str = "") -> CometError:
    """The same error with the reason why it ends the run."""
    facts = {**vars(error), "hint": f"{error.hint} {hint}".strip()}
    return type(error)(f"the run was stopped, {why}: {error}", **facts)


class Admission(Failures):
    """Lets calls begin. Used on the loop's thread; any thread may read `pause` and `text`."""

    def __init__(self, policy: FailurePolicy) -> None:
        super().__init__(policy)
        self._resume_at = -math.inf
        self._trying = self._closed = False
        self._changed = anyio.Event()

    @property
    def text(self) -> str:
        """Why nothing is sent, and for how long, or ""."""
        pause = self.pause
        return pause.text(self._resume_at - time.monotonic()) if pause else ""

    async def enter(self) -> int | None:
        """Wait until a call may begin; gives the epoch to end it with, or None: the run has stopped."""
        while not self._closed:
            left = self._resume_at - time.monotonic() if self.pause else -math.inf
            if not self.pause or (left <= 0 and not self._trying):
                self._trying = self.pause is not None
                return self.epoch
            with anyio.move_on_after(left if left > 0 else math.inf):
                await self._changed.wait()
        return None

    def heard(self, error: CometError | None, epoch: int, *, own_models: bool = False) -> CometError | None:
        """Take the end of a call that `enter` let begin; gives the error that ends the run, or None."""
        before = self.pause
        self._trying = self._trying and epoch < self.epoch
        ending = super().heard(error, epoch, own_models=own_models)
        if self.pause is not before:
            self._trying = False
            self._resume_at = time.monotonic() + (self.pause.seconds if self.pause else -math.inf)
        self._closed = self._closed or ending is not None
        self._notify()
        return ending

    def close(self) -> None:
        """Let nothing more begin; who waits is told."""
        self._closed = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
