"""The working part of a dataset: many requests, each for one given copy, under one budget of the whole archive."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.lowlevel import checkpoint

from ..errors import CometError, InvalidRequestError
from .core import Core
from .job import Job, RunningCall
from .run_call import STATES, Attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..archive import Archive, Claim
    from ..request import ImageRequest
    from .core import Config
    from .run_call import InFlight

PATIENCE = 600.0  # seconds that the server may ask all calls to wait


class Sender(Protocol):
    """Sends claimed requests from somewhere else, and writes their pictures and receipts to the archive's folder."""

    async def send(self, claim: Claim) -> CometError | None:
        """Send once; the error that it ended with, or None."""


class BatchCore(Core):
    """A core whose requests are performed one by one on the loop.

    Args:
        config: as of a client; its archive is the dataset's folder.
        archive: used instead of the one that the settings name.
        max_cost: micro-USD that the archive may ever cost at its vendor, or None.
        per_minute: requests a minute at the most, or None.
        patient: a 429 makes all calls wait, for up to ten minutes, and costs no attempt.
    """

    def __init__(
        self,
        config: Config,
        *,
        archive: Archive | None = None,
        max_cost: int | None = None,
        per_minute: float | None = None,
        patient: bool = True,
    ) -> None:
        super().__init__(config, archive=archive, per_minute=per_minute)
        self.archive.nested = True
        self.budget = replace(self.budget, archive=max_cost)
        self._performing: set[Job] = set()
        if patient:
            self.policy = replace(self.policy, patience=PATIENCE, free_rate_limits=True)

    async def perform(
        self, request: ImageRequest, copy: int, *, redo: bool = False, call_id: str = ""
    ) -> RunningCall:
        """Run one request for one copy: pictures and errors are in the call; a cancellation is raised."""
        call = RunningCall(0, request, copies=(copy,), redo=redo, call_id=call_id)
        with self._performed(call) as job:
            await self.run_part(job, call)
        return call

    @contextmanager
    def _performed(self, call: RunningCall) -> Iterator[Job]:
        job = Job([call], first=call.request)
        self._performing.add(job)
        try:
            yield job
        finally:
            self._performing.discard(job)

    def abandon(self) -> None:
        """Cancel what is not sent yet, or waits to be sent again; what was sent is finished."""
        for job in tuple(self._performing):
            job.abandon()

    async def refetch(self, call_id: str, request: ImageRequest) -> BaseException | None:
        """Fetch the missing pictures of a paid call; nothing is sent and nothing is paid.

        Returns:
            None if they are here, else why not: an InvalidRequestError if nothing is kept to fetch them from.
        """
        try:
            job = await anyio.to_thread.run_sync(self.takeover.fetch, call_id, request)
        except InvalidRequestError as error:
            return error
        return await anyio.to_thread.run_sync(job.exception)

    # --- calls that others make

    async def delegate(
        self, request: ImageRequest, copy: int, sender: Sender, *, redo: bool = False
    ) -> RunningCall:
        """As `perform`, but another process sends the request and writes picture and receipt.

        Admission, pace, money and ledger stay here.
        """
        call = RunningCall(0, request, copies=(copy,), redo=redo)
        with self._performed(call) as job, anyio.CancelScope() as call.scope:
            try:
                async with self.limiter.admit():
                    flight = await self.in_thread(self.claim, job, call)
                    call.call_id, call.reserved = flight.claim.id, flight.claim.reserved
                    await self._delegated(flight, sender)
                    self.limiter.succeeded()
                    self.retry_budget.succeeded()
            except CometError as error:
                call.errors.append(error.bare())
        if call.scope.cancelled_caught:
            call.errors.append(call.stopped("cancelled before it was sent"))
        return call

    async def _delegated(self, flight: InFlight, sender: Sender) -> None:
        claim, error = flight.claim, None
        try:
            attempts = Attempts(self)
            await checkpoint()  # a call that was cancelled meanwhile ends here, before it is sent
            flight.call.sent = True
            while (error := await sender.send(claim)) is not None:
                await attempts.wait_after(error, flight)
                flight.call.sent = True
        except CometError as final:
            error = final
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                sent = flight.call.sent
                await self.in_thread(self.archive.settle, claim, "unknown" if sent else "cancelled")
            raise
        if await self.in_thread(self.archive.adopt, claim):
            return
        if error is None and await self.in_thread(self.archive.adopt_another, claim):
            return
        if error is None or error.outcome == "unknown":
            if await self.refetch(claim.id, flight.call.request) is None:
                return
            error = error or CometError("the worker's receipt is not on the shared disk", outcome="unknown")
        settle = partial(self.archive.settle, claim, STATES[error.outcome], error=error)
        await self.in_thread(settle)
        raise error
