"""The engine side of a dataset: many requests, each for one given copy, under one budget of the whole archive."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import anyio
from anyio.to_thread import run_sync

from ..errors import CometError, InvalidRequestError
from ..protocol import Attempt, Policy, judge
from ..protocol.retry import counts
from .core import Core
from .in_flight import Manners
from .job import Job, RunningCall
from .limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..archive import Archive, Claim
    from ..request import ImageRequest
    from .config import Config

PATIENCE = 600.0  # seconds that the server may ask all calls to wait


class BatchCore(Core):
    """A core whose requests are performed one by one on the engine's loop.

    Args:
        config: as of a client; its archive is the dataset's folder.
        archive: in place of the one that the settings name.
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
        self._per_minute = per_minute
        super().__init__(config, archive=archive)
        self._budget = replace(self._budget, archive=max_cost)
        self._manners = Manners(self._limiter, self._retries, self._of_a_dataset(patient=patient))

    def _new_limiter(self) -> Limiter:
        return Limiter(self.settings.max_in_flight, per_minute=self._per_minute)

    def _of_a_dataset(self, *, patient: bool) -> Policy:
        policy = self._policy()
        return replace(policy, patience=PATIENCE, free_rate_limits=True) if patient else policy

    async def perform(
        self, request: ImageRequest, copy: int, *, redo: bool = False, call_id: str = ""
    ) -> RunningCall:
        """What came of one request for one copy: pictures and errors are in the call; a cancellation is raised."""
        call = RunningCall(0, request, copies=(copy,))
        claim = partial(self._claim, call, redo=redo, call_id=call_id)

        async def way(job: Job, call: RunningCall) -> None:
            await self.journey.travel(job, call, claim, self._manners)

        await self._one(self._job([call], request, options={}), call, way)
        return call

    async def refetch(self, call_id: str) -> bool:
        """Whether the missing pictures of a paid call could be fetched; nothing is sent and nothing is paid."""
        try:
            job = await run_sync(self.fetch, call_id)
        except InvalidRequestError:
            return False
        return await run_sync(job.exception) is None

    # --- calls that others make

    async def delegate(
        self,
        request: ImageRequest,
        copy: int,
        send: Callable[[Claim], Awaitable[CometError | None]],
        *,
        redo: bool = False,
    ) -> RunningCall:
        """As `perform`, but another process sends the request and writes picture and receipt.

        Place, pace, money and ledger stay here; `send` gives what the other ended with.
        """
        call = RunningCall(0, request, copies=(copy,))
        try:
            async with self._limiter.admit():
                claim = await run_sync(partial(self._claim, call, redo=redo))
                call.call_id, call.reserved = claim.id, claim.reserved
                await self._delegated(claim, send)
                self._limiter.succeeded()
                self._retries.succeeded()
        except CometError as error:
            call.errors.append(error.bare())
        return call

    async def _delegated(self, claim: Claim, send: Callable[[Claim], Awaitable[CometError | None]]) -> None:
        error: CometError | None = None
        try:
            error = await self._sent(claim, send)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await run_sync(self.archive.settle, claim, "unknown")
            raise
        if await run_sync(self.archive.adopt, claim):
            return
        if error is None and await run_sync(self.archive.adopt_another, claim):
            return
        if error is None or error.outcome == "unknown":
            if await self.refetch(claim.id):
                return
            error = error or CometError("the worker's receipt is not on the shared disk", outcome="unknown")
        state = {"unknown": "unknown", "billed": "done"}.get(error.outcome, "rejected")
        await run_sync(partial(self.archive.settle, claim, state, error=error))  # type: ignore[arg-type]  # a state
        raise error

    async def _sent(
        self, claim: Claim, send: Callable[[Claim], Awaitable[CometError | None]]
    ) -> CometError | None:
        """What the call ends with, after as many tries as the policy has for those that surely did no work."""
        policy = self._manners.policy
        waited, counted = 0.0, 0
        for number in count(1):
            error = await send(claim)
            if error is None or error.outcome in ("unknown", "billed"):
                return error
            counted += counts(error, policy)
            verdict = judge(_case(error, number, counted, waited), policy)
            if verdict.delay is None or not (not counts(error, policy) or self._retries.take()):
                return verdict.error
            waited += verdict.delay
            await self._limiter.wait(verdict.delay, crowded=error.status_code == 429)
        raise AssertionError("unreachable")


def _case(error: CometError, number: int, counted: int, waited: float) -> Attempt:
    return Attempt(
        error=error,
        number=number,
        counted=counted,
        should_retry=None,
        retry_after=error.retry_after,
        permanent=False,
        waited=waited,
        left=math.inf,
        jitter=random.random(),  # noqa: S311 - jitter, not a secret
    )
