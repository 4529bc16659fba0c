"""One call as its caller sees it: its events, and a Future of `Images` to abandon, drop and look into."""

from __future__ import annotations

import logging
import threading
import time
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..errors import CallAbandoned, CometError, PartialResultError, SaveError
from ..images import Images
from ..money import Price, dollars, total, usd
from ..text import counted
from .process_exit import end_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from anyio import CancelScope

    from ..archive import Orphan
    from ..errors import Outcome
    from ..images import Picture
    from ..request import ImageRequest
    from .loop_thread import LoopThread

T = TypeVar("T")
STEP = 0.1  # seconds between two looks while waiting, so that an interrupt acts at once
MOST_NOTES = 3  # of requests side by side that are told at once
GRAVITY: tuple[Outcome, ...] = ("not_sent", "rejected", "unknown", "billed")
FREE = Price(0, 0)
log = logging.getLogger("comet_magic")

# --- events: handed to `on_event` on the thread that runs all calls

CallState = Literal[
    "queued", "awaiting", "sending", "waiting", "retrying", "downloading", "decoding", "done", "failed"
]
STATE_WORDS: dict[CallState, str] = {  # what a person reads of each
    "queued": "waiting for its turn",
    "awaiting": "waiting for the same request, which is still running",
    "sending": "sending",
    "waiting": "waiting for the model",
    "retrying": "sending again",
    "downloading": "downloading",
    "decoding": "reading the answer",
    "done": "done",
    "failed": "failed",
}


@dataclass(frozen=True)
class Progress:
    """A step of one request of a call.

    Attributes:
        index: which request of the call, from 0.
        total: how many requests the call is made of.
        state: what it does now.
        elapsed: seconds since the call was asked for.
        note: a few words for a person, or "".
    """

    index: int
    total: int
    state: CallState
    elapsed: float
    note: str = ""


@dataclass(frozen=True)
class Preview:
    """A streamed partial picture: `data` holds its encoded bytes, `number` counts from 0."""

    index: int
    number: int
    data: bytes
    mime: str


@dataclass(frozen=True)
class Arrived:
    """A finished picture: checked, and on disk where there is an archive."""

    index: int
    picture: Picture


Event = Progress | Preview | Arrived

# --- the requests of a job


@dataclass(frozen=True)
class Abandoned:
    """What abandoning a job did.

    Attributes:
        cancelled: requests that were cancelled.
        sent: requests that were sent already and run on.
        bound_micro: the most that those that were sent may cost; None where unknown.
    """

    cancelled: int
    sent: int
    bound_micro: int | None

    @property
    def bound(self) -> float | None:
        """The most that those that were sent may cost, in USD; None where unknown."""
        return usd(self.bound_micro)


@dataclass
class RunningCall:
    """One request of a job: how far it is, and what came of it. Written on the loop only, read from anywhere.

    Attributes:
        sent: its first byte may have left.
        copies: which copies of equal pictures it makes; None takes the next free ones.
        redo: it may be sent although an earlier call for its copies may be billed.
        reuse: pictures that other calls make for its copies are taken, and not bought.
        orphan: the paid call of a dead process that it finishes; it sends nothing.
        call_id: its id in the ledger, given by its claim or by another process.
        note: what its newest step says beside its state, in words, or "".
        reserved: the most it may cost in micro-USD.
        scope: cancelling it ends the call.
        arrived: the finished pictures in the order they came, also while others are still fetched.
        preview: the last streamed preview.
        settled: its end is in the ledger.
    """

    index: int
    request: ImageRequest
    copies: Sequence[int] | None = None
    redo: bool = False
    reuse: bool = False
    orphan: Orphan | None = None
    call_id: str = ""
    state: CallState = "queued"
    note: str = ""
    sent: bool = False
    request_id: str | None = None
    reserved: int | None = None
    scope: CancelScope | None = None
    pictures: list[Picture] = field(default_factory=list)
    arrived: list[Picture] = field(default_factory=list)
    errors: list[CometError] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    created: int | None = None
    cost: int | None = None
    attempts: int = 0
    preview: bytes | None = None
    settled: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed")

    def end(self, *errors: CometError) -> None:
        """It is over, with these errors beside those that it has."""
        self.errors += errors
        self.state = "failed" if self.errors and not self.pictures else "done"

    def stopped(self, why: str) -> CometError:
        """The error of a call that is stopped here and now; what was sent decides about its outcome."""
        return CometError(why, outcome="unknown" if self.sent else "not_sent", request_id=self.request_id)


class Job(futures.Future[Images]):
    """A call under way; `result()` gives its `Images` or raises.

    It runs on the loop's thread: the caller may wait, look, or go away.

    Args:
        calls: the requests that it is made of.
        first: the request as it was asked, also where nothing is to be sent.
        price: what the requests should cost.
        reused: pictures of the archive that are part of the result.
        copies: the numbers of these, and of all that its calls name; with `reuse` only.
        on_event: called with each event on the loop's thread; what it raises is logged and changes nothing.
        folder: the archive's, for messages; None where nothing is kept on disk.
        timeout: seconds for each request; None is the client's.
        parents: the keys of the calls whose pictures go in; None leaves it to the claim to look for them.
    """

    def __init__(
        self,
        calls: Sequence[RunningCall],
        *,
        first: ImageRequest,
        price: Price = FREE,
        reused: Sequence[Picture] = (),
        copies: Iterable[int] = (),
        on_event: Callable[[Event], object] | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
        parents: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.calls = tuple(calls)
        self.first = first
        self.price = price
        self.reused = tuple(reused)
        self.copies = set(copies)
        self.folder = folder
        self.timeout = timeout
        self.parents = parents
        self.started = time.monotonic()
        self.abandoned = False
        self.loop: LoopThread | None = None
        self._on_event = on_event
        self._waiting_threads = [threading.current_thread()]  # who makes it is about to wait for it

    def tell(self, event: Event) -> None:
        """Note an event, and hand it to whoever listens."""
        call = self.calls[event.index]
        match event:
            case Progress(state=state, note=note):
                call.state, call.note = state, note
            case Preview(data=data):
                call.preview = data
            case Arrived(picture=picture):
                call.arrived.append(picture)
        if self._on_event is not None:
            _call_listener(self._on_event, event)

    def progress(self, call: RunningCall, state: CallState, note: str = "") -> None:
        """Note a step of a call, and hand it to whoever listens."""
        self.tell(Progress(call.index, len(self.calls), state, time.monotonic() - self.started, note))

    def add_done_callback(self, fn: Callable[[futures.Future[Images]], object]) -> None:
        """Call a function with the job when it has ended; what it raises is logged and changes nothing."""
        super().add_done_callback(partial(_call_listener, fn))

    def result(self, timeout: float | None = None) -> Images:
        """The pictures, once all have arrived; raises what the call ended with."""
        with self.waited_for():
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call ended with, or None for pictures."""
        with self.waited_for():
            return super().exception(timeout)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Say that this thread waits for the job."""
        self._waiting_threads.append(threading.current_thread())
        try:
            yield
        finally:
            self._waiting_threads.remove(threading.current_thread())

    def has_waiter(self) -> bool:
        """Whether it belongs to a thread, beside the main one, that Python waits for when the script ends."""
        main = threading.main_thread()
        return any(
            one is not main and one.is_alive() and not one.daemon for one in tuple(self._waiting_threads)
        )

    @property
    def requests(self) -> tuple[ImageRequest, ...]:
        """The requests it is made of."""
        return tuple(call.request for call in self.calls)

    def abandon(self) -> Abandoned:
        """Cancel what was not sent; what was sent runs on, and its pictures land in the archive."""
        return self._stop(sent_too=False)

    def drop(self) -> Abandoned:
        """Cancel everything and close the connections; what was sent may be billed anyway."""
        return self._stop(sent_too=True)

    def _stop(self, *, sent_too: bool) -> Abandoned:
        stop = partial(self._cancel, sent_too=sent_too)
        return self.loop.call(stop) if self.loop else stop()

    def _cancel(self, *, sent_too: bool) -> Abandoned:
        self.abandoned = True  # also for those that have not begun
        left = [call for call in self.calls if not call.ended]
        sent = [call for call in left if call.sent]
        cancelled = [call for call in left if sent_too or not call.sent]
        for call in cancelled:
            if call.scope is not None:
                call.scope.cancel()
        bound = total(call.reserved for call in sent)
        return Abandoned(len(cancelled), 0 if sent_too else len(sent), bound)

    def fail(self, fault: BaseException) -> None:
        """End the job with a fault of ours; if the loop was stopped, with what is known of each request."""
        if isinstance(fault, Exception):
            self.set_exception(fault)
            return
        for call in self.calls:
            if not call.ended:
                call.end(call.stopped("the thread that runs all calls was stopped"))
        self.finish()

    def finish(self) -> None:
        """End the job with the pictures of all its requests, or with one error for all that failed."""
        try:
            ended = self._combined()
        except BaseException as fault:  # noqa: BLE001 - a fault of ours must reach the caller, who waits
            ended = fault
        if isinstance(ended, Images):
            self.set_result(ended)
        else:
            self.set_exception(ended)

    def _combined(self) -> Images | BaseException:
        pictures, created = list(self.reused), None
        errors: list[CometError] = []
        usage: dict[str, Any] | None = None
        costs: list[int | None] = []
        notice, sent = "", False
        for call in self.calls:
            for one in call.pictures:
                notice = notice or call.request.difference(one.mime, one.width, one.height)
            pictures += call.pictures
            errors += call.errors
            usage = _sum_usage(usage, call.usage) if usage and call.usage else usage or call.usage
            costs.append(call.cost)
            created = call.created if created is None else created
            sent = sent or call.sent
        images = Images(
            pictures,
            prompt=self.first.prompt,
            model=self.first.model,
            created=created,
            usage=usage,
            cost_micro=total(costs),
            notice="; ".join(dict.fromkeys(filter(None, (notice, *map(attrgetter("notice"), pictures))))),
            request=self.first,
            parents=self.parents or (),
            seconds=time.monotonic() - self.started if sent else None,
        )
        return _one_error(errors, images) if errors else images


def progress_words(calls: Sequence[RunningCall]) -> str:
    """How far requests are, in words: "waiting for the model, 1 of 2 done"."""
    running = [call for call in calls if not call.ended]
    words = [STATE_WORDS[running[0].state if running else "decoding"]]
    if len(calls) > 1:
        words.append(f"{sum(call.state == 'done' for call in calls)} of {len(calls)} done")
    notes = [*dict.fromkeys(call.note for call in running if call.note)]
    return ", ".join([*words, *notes[:MOST_NOTES]])


def _one_error(errors: Sequence[CometError], images: Images) -> CometError:
    """One error for all requests of a job: the only one, or what part of the pictures is missing and why."""
    failures = [error for error in errors if not isinstance(error, SaveError)]
    if not failures:
        return errors[0].with_facts(images=images)
    if not images.pictures:
        return failures[0].with_facts(errors=tuple(failures) if len(failures) > 1 else ())
    first, count = failures[0], len(images.pictures)
    return PartialResultError(
        f"{count} of {count + len(failures)} pictures arrived; the first failure: {first}",
        outcome=_gravest(images.pictures, failures),
        hint=first.hint,
        request_id=first.request_id,
        attempts=first.attempts,
        partial=first.partial,
        images=images,
        errors=tuple(failures),
        urls=tuple(url for error in failures for url in error.urls),
        rescue_path=first.rescue_path,
    )


def _call_listener(listener: Callable[[T], object], news: T) -> None:
    """Call a caller's own function; whatever it raises, `SystemExit` too, is logged and stays its own."""
    try:
        listener(news)
    except BaseException:
        log.exception("a function that listens to a call failed")


def _gravest(pictures: Sequence[Picture], failures: Sequence[CometError]) -> Outcome:
    """What is known of the money of all requests together; reused pictures cost none."""
    if any(not picture.reused for picture in pictures):
        return "billed"
    return max((error.outcome for error in failures), key=GRAVITY.index)


def _sum_usage(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The usage of two answers: numbers added up, also inside; of what does not add up, the first."""
    summed = {**other, **one}
    for name in one.keys() & other.keys():
        first, second = one[name], other[name]
        if type(first) is type(second) is int:
            summed[name] = first + second
        elif isinstance(first, dict) and isinstance(second, dict):
            summed[name] = _sum_usage(first, second)
    return summed


def wait(job: Job, tick: Callable[[], object] | None = None) -> Images:
    """The job's result; an interrupt abandons the job and says what that means for the money.

    Args:
        job: the call to wait for.
        tick: called about ten times a second on this thread.

    Raises:
        CallAbandoned: on an interrupt, by Ctrl-C, SIGTERM or SIGHUP.
        CometError: as the call ended.
    """
    wait_for_all((job,), tick)
    return job.result()


def wait_for_all(jobs: Sequence[Job], tick: Callable[[], object] | None = None) -> None:
    """Wait until all jobs have ended; an interrupt abandons them all. `wait` explains it."""
    signals: list[int] = []
    try:
        with ExitStack() as waiting:
            waiting.enter_context(end_signals(signals.append))
            for job in jobs:
                waiting.enter_context(job.waited_for())
            while not signals:
                if not futures.wait(jobs, STEP).not_done:
                    return
                if tick is not None:
                    tick()
    except KeyboardInterrupt:
        pass
    error = interrupted(jobs)
    error.signal = signals[0] if signals else error.signal
    raise error


def interrupted(jobs: Sequence[Job]) -> CallAbandoned:
    """Abandon jobs after an interrupt; says what was cancelled, what runs on and is billed, where it will be."""
    ends = [job.abandon() for job in jobs]
    sent, most = sum(one.sent for one in ends), total(one.bound_micro for one in ends if one.sent)
    first = min(jobs, key=lambda job: job.started)
    seconds = time.monotonic() - first.started
    where = f"{first.folder}/images" if first.folder else "memory only: there is no archive"
    if sent == 0 and any(job.done() and job.exception() is None for job in jobs):
        return CallAbandoned(f"stopped after {seconds:.0f} s; the pictures are in {where}", outcome="billed")
    if sent == 0:
        return CallAbandoned(f"stopped after {seconds:.0f} s, before anything was sent", outcome="not_sent")
    requests = counted(sent, "request was", "requests were")
    runs_on = "runs on" if sent == 1 else "run on"
    bound = "" if most is None else f" (at most {dollars(most)})"
    unsent = sum(one.cancelled for one in ends)
    more = f", {counted(unsent, 'more was', 'more were')} cancelled unsent" if unsent else ""
    return CallAbandoned(
        f"stopped after {seconds:.0f} s; {requests} sent and {runs_on} in the background{bound}{more}",
        outcome="unknown",
        hint=f"The pictures will be in {where}; %cometimg_cancel cancels them.",
    )
