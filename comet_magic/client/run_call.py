"""The journey of a call: admitted, claimed, sent, read, checked, stored, settled. `run_call` reads top to bottom."""

from __future__ import annotations

import math
import random
import time
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError
from ..formats import sniff
from ..protocol import Retries
from ..text import clean
from .events import Preview, Progress
from .exchange import exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..archive import Claim, RawAnswer, Settled
    from ..errors import Outcome
    from .core import Core
    from .events import CallState
    from .job import Job, RunningCall

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
            flight.tell("decoding")
            with anyio.CancelScope(shield=True):  # it is paid and nearly here
                items = await core.results.read(flight, answer)
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
        with anyio.CancelScope(shield=True):
            await core.results.settle(flight, state)
    if stopped is not None:
        raise stopped
    if flight.call.pictures:
        flight.tell("done")


@dataclass(frozen=True)
class InFlight:
    """One claimed request under way: its job, its call, its claim in the ledger, the raw answer as it arrives."""

    job: Job
    call: RunningCall
    claim: Claim
    raw: RawAnswer

    @property
    def idempotency_key(self) -> str:
        """Its own name, the same on every attempt; the number tells the requests of one call apart."""
        return f"{self.claim.id}-{self.call.copies[0] if self.call.copies else self.call.index}"

    def tell(self, state: CallState, note: str = "") -> None:
        """Note a step, and hand it to whoever listens."""
        call, job = self.call, self.job
        call.state = state
        job.tell(Progress(call.index, len(job.calls), state, time.monotonic() - job.started, note))

    def begin_attempt(self) -> None:
        """It is about to be sent, perhaps again."""
        self.call.attempts += 1
        self.call.request_id = None
        self.tell("sending")

    def first_byte_leaves(self) -> None:
        """From here on the server may have it."""
        self.call.sent = True
        self.tell("waiting")

    def wait_to_resend(self, why: str) -> None:
        """The last attempt did no work; another one follows."""
        self.call.sent = False
        self.tell("retrying", why)

    def show_preview(self, data: bytes, number: int) -> None:
        """Keep a streamed preview, and hand it to whoever listens."""
        self.call.preview = data
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
        if verdict.delay is None:
            raise error.with_facts(attempts=self._retries.attempts, hint=verdict.hint or error.hint)
        flight.wait_to_resend(f"{clean(error, limit=80)}; again in {verdict.delay:.1f} s")
        # other calls' refusals may make the wait longer than this call has time
        with anyio.CancelScope(deadline=math.inf if verdict.free else self.deadline) as scope:
            await self._limiter.wait(verdict.delay, crowded=error.status_code == 429)
        if scope.cancelled_caught:
            raise error.with_facts(attempts=self._retries.attempts)
        if verdict.free:  # a rate-limit wait does not use up the call's time
            self.deadline = anyio.current_time() + self.timeout
