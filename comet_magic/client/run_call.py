"""The journey of a call: admitted, claimed, sent, read, checked, stored, settled. `run_call` reads top to bottom.

`exchange` is one attempt at it: it sends the paid request and reads the answer; a failure is a value too.
"""

from __future__ import annotations

import math
import random
import time
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError, InvalidRequestError
from ..formats import sniff
from ..protocol import (
    Retries,
    StreamCollector,
    StreamReader,
    decisions,
    looks_like_a_stream,
    read_preview,
    refusal_of,
    request_id_of,
)
from ..request import wire_request
from ..request.image_request import EDITS
from ..text import clean
from .job import Preview
from .transport import HTTPFault, SendProgress, announced, error_of, silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..archive import Claim, RawAnswer, Settled
    from ..errors import Outcome
    from ..settings import Settings
    from .core import Core
    from .job import Job, RunningCall
    from .transport import Response

REFUSAL_BYTES = 256 * 1024  # of a refusal's body; the rest is of no use
LAST_WORDS = 10.0  # seconds that a stream may go on after its last picture, to say what it used

# What the ledger says of a call that ended with an error of this outcome.
STATES: dict[Outcome, Settled] = {
    "not_sent": "rejected",
    "rejected": "rejected",
    "unknown": "unknown",
    "billed": "done",
}


async def run_call(core: Core, job: Job, call: RunningCall) -> None:
    """Make the pictures of one request; they and all errors are in `call` afterwards, and the ledger knows its end.

    Raises:
        CometError: it could not be claimed: over a limit of money, a copy taken, a folder that cannot be used.
    """
    async with core.limiter.admit():
        flight = await core.in_thread(core.claim, job, call)
        call.call_id, call.reserved = flight.claim.id, flight.claim.reserved
        async with settled(core, flight):
            attempts = Attempts(core, job.timeout or core.settings.timeout)
            while isinstance(answer := await exchange(core, flight, attempts), CometError):
                await attempts.wait_after(answer, flight)  # raises what ends the call
            job.progress(call, "decoding")
            with anyio.CancelScope(shield=True):  # it is paid and nearly here
                items = await core.results.read(flight, answer)
            if items:
                await core.results.collect(flight, items)
            core.limiter.succeeded()
            core.retry_budget.succeeded()


@asynccontextmanager
async def settled(core: Core, flight: InFlight) -> AsyncIterator[None]:
    """Settle a claimed call at the end of the block, however it ends. An error is noted in the call and not raised.

    A fault of ours settles nothing: the call stays open, and the next process finishes it from its raw answer.
    """
    state: Settled = "done"
    stopped: BaseException | None = None
    with closing(flight.raw):
        try:
            yield
        except CometError as error:
            state = STATES[error.outcome]
            flight.note(error)
        except anyio.get_cancelled_exc_class() as fault:
            state, stopped = "unknown" if flight.call.sent else "cancelled", fault
        if not flight.call.settled:
            with anyio.CancelScope(shield=True):
                await core.results.settle(flight, state)
    if stopped is not None:
        raise stopped
    if flight.call.pictures:
        flight.job.progress(flight.call, "done")


@dataclass(frozen=True)
class InFlight:
    """One claimed request under way: its job, its call, its claim in the ledger, the raw answer as it arrives."""

    job: Job
    call: RunningCall
    claim: Claim
    raw: RawAnswer

    def first_byte_leaves(self) -> None:
        """From here on the server may have it."""
        self.call.sent = True
        self.job.progress(self.call, "waiting")

    def show_preview(self, data: bytes, number: int) -> None:
        """Keep a streamed preview, and hand it to whoever listens."""
        self.job.tell(Preview(self.call.index, number, data, sniff(data) or "image/png"))

    def note(self, error: CometError) -> None:
        """Add an error to the call, with what is known of the call."""
        call = self.call
        facts = {"attempts": call.attempts, "partial": error.partial or call.preview}
        call.errors.append(error.bare().with_facts(**facts, request_id=error.request_id or call.request_id))


class Attempts:
    """The attempts of one call: until when its answer is awaited, and when it may be sent again.

    Args:
        core: whose limiter, policy and retry budget count.
        timeout: seconds for all attempts and waits together.
    """

    def __init__(self, core: Core, timeout: float = math.inf) -> None:
        self._limiter = core.limiter
        self._retries = Retries(core.policy, core.retry_budget)
        self.timeout = timeout
        self.deadline = anyio.current_time() + timeout

    async def wait_after(self, error: CometError, flight: InFlight) -> None:
        """Wait until the request may be sent again.

        Raises:
            CometError: this error; the request is not sent again.
        """
        left = self.deadline - anyio.current_time()
        verdict = self._retries.after(error, left=left, jitter=random.random())  # noqa: S311 - no secret
        if verdict.delay is None or flight.job.abandoned:
            raise error.with_facts(attempts=self._retries.attempts, hint=verdict.hint or error.hint)
        flight.call.sent = False  # the last attempt did no work
        note = f"{clean(error, limit=80)}; again in {verdict.delay:.1f} s"
        flight.job.progress(flight.call, "retrying", note)
        # other calls' refusals may make the wait longer than this call has time
        with anyio.CancelScope(deadline=math.inf if verdict.free else self.deadline) as scope:
            await self._limiter.wait(verdict.delay, crowded=error.status_code == 429)
        if scope.cancelled_caught:
            raise error.with_facts(attempts=self._retries.attempts)
        if verdict.free:  # a rate-limit wait does not use up the call's time
            self.deadline = anyio.current_time() + self.timeout


# --- one attempt


@dataclass(frozen=True)
class Received:
    """A 2xx answer, its body in the raw answer.

    Attributes:
        headers: names in lower case.
        stream: whether it is labelled as a stream.
        begins: of a stream, the bytes before the event that decides.
        cut: the error if it is cut and holds no whole picture; None if it is whole.
    """

    status: int
    headers: Mapping[str, str]
    stream: bool
    begins: int = 0
    cut: CometError | None = None


async def exchange(core: Core, flight: InFlight, attempts: Attempts) -> Received | CometError:
    """Send once and read the answer, or say how that failed; nothing is raised but a cancellation."""
    call, request = flight.call, flight.call.request
    progress = SendProgress(flight.first_byte_leaves)
    # the same on every attempt; the number tells the requests of one call apart
    name = f"{flight.claim.id}-{call.copies[0] if call.copies else call.index}"
    call.attempts, call.request_id = call.attempts + 1, None
    flight.job.progress(call, "sending")
    with anyio.CancelScope(deadline=attempts.deadline) as scope:
        try:
            # in JSON, input pictures have to be read and encoded; a form's are read while they are sent
            encoded = request.inputs.images and request.path != EDITS
            wire = await core.in_thread(wire_request, request) if encoded else wire_request(request)
            response = await core.api.send(
                wire,
                accept="text/event-stream" if request.stream else "application/json",
                idempotency_key=name,
                silence=core.settings.stream_idle_timeout if request.stream else None,
                progress=progress,
            )
        except InvalidRequestError as error:  # an input picture is gone
            return error
        except HTTPFault as fault:
            return error_of(fault, progress, core.base.host)
        call.request_id = request_id_of(response.headers)
        try:
            if 200 <= response.status_code < 300:
                scope.deadline = math.inf  # what came until the deadline may hold pictures
                return await _answer(response, flight, attempts, core.settings)
            beginning = await _beginning(response)
            return refusal_of(response.status_code, response.headers, beginning, now=time.time())
        finally:
            await response.aclose()
    row = decisions.LATE if progress.whole else decisions.LATE_UNSENT
    return row.error(f"{core.base.host} gave no answer within {attempts.timeout:g} s")


async def _beginning(response: Response) -> bytes:
    """The first part of a refusal's body; one that is cut is still a refusal."""
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= REFUSAL_BYTES:
                break
    except HTTPFault:
        pass
    return bytes(body[:REFUSAL_BYTES])


async def _answer(
    response: Response, flight: InFlight, attempts: Attempts, settings: Settings
) -> Received | CometError:
    stream = "event-stream" in response.headers.get("content-type", "")
    largest = settings.max_response_bytes * max(1, flight.call.request.n)
    if announced(response.headers) > largest:
        return _too_large(largest)
    live = _LiveStream(flight, settings, largest) if stream else None
    cut: CometError | None = None
    try:
        with anyio.CancelScope(deadline=attempts.deadline) as scope:
            async for piece in response.aiter_raw():
                if live is None and not flight.raw.size and looks_like_a_stream(piece):
                    live = _LiveStream(flight, settings, largest)
                _keep(flight.raw, piece, largest)
                if live is not None:
                    if live.ended(piece):
                        break
                    scope.deadline = min(attempts.deadline, live.deadline)
        if scope.cancelled_caught and (live is None or live.deadline == math.inf):
            cut = decisions.LATE.error(f"the answer was not complete within {attempts.timeout:g} s")
    except HTTPFault as fault:
        cut = _cut(fault, flight.raw.size, stream=live is not None)
    except CometError as error:
        return error
    if cut is not None and not (live.collector.pictures if live else flight.raw.size):
        return cut
    begins = live.collector.begins if live else None
    return Received(response.status_code, response.headers, stream, begins or 0, cut)


def _keep(raw: RawAnswer, piece: bytes, largest: int) -> None:
    """Write a piece of the answer where it stays; a fault of our own file is not the network's."""
    try:
        raw.write(piece)
    except OSError as fault:
        reason = clean(fault.strerror or fault, limit=120)
        raise decisions.NOT_SAVED.error(f"the answer arrived and could not be kept: {reason}") from None
    if raw.size > largest:
        raise _too_large(largest)


def _cut(fault: BaseException, size: int, *, stream: bool) -> CometError:
    if stream and silent(fault):
        return decisions.LATE.error(f"the stream was silent for too long, after {size} bytes", hint="")
    row = decisions.STREAM_CUT if stream else decisions.ANSWER_CUT
    return row.error(f"the answer was cut after {size} bytes ({type(fault).__name__})")


def _too_large(largest: int) -> CometError:
    return decisions.TOO_LARGE.error(f"the answer is larger than max_response_bytes allows, {largest} bytes")


class _LiveStream:
    """Reads a stream while it arrives: hands on its previews and finds its end.

    Attributes:
        deadline: until when the stream is read on, now that all its pictures are here; they are not all yet: infinity.
    """

    def __init__(self, flight: InFlight, settings: Settings, largest: int) -> None:
        self._flight = flight
        self._idle = settings.stream_idle_timeout
        self._previews = 0
        self.deadline = math.inf
        self._largest_picture = settings.max_image_bytes
        self._reader = StreamReader(largest=largest)
        self.collector = StreamCollector(
            largest_picture=settings.max_image_bytes, wanted=max(1, flight.call.request.n)
        )

    def ended(self, piece: bytes) -> bool:
        """Take the next piece; whether nothing that follows is needed."""
        for event in self._reader.feed(piece):
            if event.is_preview:
                preview = read_preview(event, largest_picture=self._largest_picture)
                if preview is not None:
                    self._flight.show_preview(preview, self._previews)
                    self._previews += 1
            elif self.collector.take(event):
                return True
        request = self._flight.call.request
        if self.deadline == math.inf and self.collector.pictures >= request.most_pictures:
            # where previews were asked for and none came, this picture may be one that does not say so
            unsure = request.partial_images and not self._previews
            self.deadline = anyio.current_time() + (max(self._idle, LAST_WORDS) if unsure else LAST_WORDS)
        return False
