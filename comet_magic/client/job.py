"""One call as its caller sees it: a Future that can also be abandoned, dropped and looked into."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import CallAbandoned, CometError
from ..images import Images
from ..request import dollars, total
from ..text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio import CancelScope

    from ..images import Picture
    from ..request import ImageRequest, Price
    from .events import CallState, Event

STEP = 0.1  # seconds between two looks while waiting, so that an interrupt acts at once


@dataclass(frozen=True)
class CallView:
    """One request of a job at a moment: `sent` once its first byte may have left; `reserved` in micro-USD."""

    index: int
    state: CallState
    request: ImageRequest
    sent: bool
    elapsed: float
    request_id: str | None
    reserved: int | None


@dataclass(frozen=True)
class Abandoned:
    """What abandoning a job did: calls cancelled before they were sent, calls that run on, most those can cost."""

    cancelled: int
    sent: int
    bound: int | None


@dataclass
class RunningCall:
    """One request on its journey; touched on the engine's loop only, read from anywhere."""

    index: int
    request: ImageRequest
    state: CallState = "queued"
    sent: bool = False
    started: float = field(default_factory=time.monotonic)
    request_id: str | None = None
    reserved: int | None = None
    copies: Sequence[int] | None = None
    scope: CancelScope | None = None
    pictures: list[Picture] = field(default_factory=list)
    errors: list[CometError] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    created: int | None = None
    cost: int | None = None
    call_id: str | None = None
    attempts: int = 0
    preview: bytes | None = None

    def view(self) -> CallView:
        """A value of the present moment."""
        elapsed = time.monotonic() - self.started
        return CallView(
            self.index, self.state, self.request, self.sent, elapsed, self.request_id, self.reserved
        )


class Job(Future[Images]):
    """A call under way; `result()` gives its `Images` or raises.

    It runs on the engine's thread: the caller may wait, look, or go away.
    """

    def __init__(
        self,
        calls: Sequence[RunningCall],
        *,
        first: ImageRequest,
        price: Price,
        reused: Sequence[Picture] = (),
        on_event: Callable[[Event], None] | None = None,
        folder: str | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.parts = tuple(calls)
        self.first = first
        self.price = price
        self.reused = tuple(reused)
        self.on_event = None if on_event is None else partial(self._tell, on_event)
        self._heard: Future[None] = Future()
        self._heard.set_result(None)
        self.folder = folder
        self.timeout = timeout
        self.started = time.monotonic()
        self.abandoned = False
        self.call_on_engine: Callable[[Callable[[], Any]], Any] = lambda act: act()

    def _tell(self, listener: Callable[[Event], None], event: Event) -> None:
        """Tell a listener, whose own faults are logged by the future and cost no picture."""
        self._heard.add_done_callback(lambda _: listener(event))

    @property
    def requests(self) -> tuple[ImageRequest, ...]:
        """The requests it is made of."""
        return tuple(call.request for call in self.parts)

    @property
    def calls(self) -> tuple[CallView, ...]:
        """How each request stands now."""
        return tuple(call.view() for call in self.parts)

    def abandon(self) -> Abandoned:
        """Cancel what was not sent; what was sent runs on, and its pictures land in the archive."""
        return self._on_engine(self._abandon)

    def drop(self) -> Abandoned:
        """Cancel everything and close the connections; what was sent may be billed all the same."""
        return self._on_engine(self._drop)

    def _on_engine(self, act: Callable[[], Abandoned]) -> Abandoned:
        result: Abandoned = self.call_on_engine(act)
        return result

    def _abandon(self) -> Abandoned:
        self.abandoned = True
        open_calls = [call for call in self.parts if call.state not in ("done", "failed")]
        waiting = [call for call in open_calls if not call.sent]
        for call in waiting:
            if call.scope is not None:
                call.scope.cancel()
        sent = [call for call in open_calls if call.sent]
        return Abandoned(len(waiting), len(sent), total(call.reserved for call in sent))

    def _drop(self) -> Abandoned:
        self.abandoned = True
        open_calls = [call for call in self.parts if call.state not in ("done", "failed")]
        for call in open_calls:
            if call.scope is not None:
                call.scope.cancel()
        return Abandoned(len(open_calls), 0, total(call.reserved for call in open_calls if call.sent))


def wait(job: Job, tick: Callable[[], None] | None = None) -> Images:
    """The job's result; an interrupt abandons the job and says what that means for the money.

    Args:
        job: the call to wait for.
        tick: called about ten times a second on this thread.

    Raises:
        CallAbandoned: on an interrupt.
        CometError: as the call ended.
    """
    try:
        while True:
            try:
                return job.result(timeout=STEP)
            except TimeoutError:
                if job.done():
                    raise
            if tick is not None:
                tick()
    except KeyboardInterrupt:
        pass
    raise interrupted(job, job.abandon())


def interrupted(job: Job, what: Abandoned) -> CallAbandoned:
    """The message of an interrupt: what was cancelled, what runs on and is billed, where it will be."""
    seconds = time.monotonic() - job.started
    if what.sent == 0:
        return CallAbandoned(f"stopped after {seconds:.0f} s, before anything was sent", outcome="not_sent")
    requests = counted(what.sent, "request was", "requests were")
    runs_on = "runs on" if what.sent == 1 else "run on"
    bound = "" if what.bound is None else f" (at most {dollars(what.bound)})"
    where = f"{job.folder}/images" if job.folder else "memory only: there is no archive"
    return CallAbandoned(
        f"stopped after {seconds:.0f} s; "
        f"{requests} already sent, will be billed{bound} and {runs_on} in the background",
        outcome="unknown",
        hint=f"The pictures will be in {where}; %cometimg_status shows them, %cometimg_cancel drops them.",
    )
