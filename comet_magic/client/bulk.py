"""The engine side of a dataset: many requests, each for one given copy, under one budget of the whole archive."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from ..errors import InvalidRequestError
from .core import Core
from .job import Call, Job
from .limiter import Limiter
from .trip import Manners

if TYPE_CHECKING:
    from ..protocol import Policy
    from ..request import ImageRequest
    from .config import Config

PATIENCE = 600.0  # seconds that the server may ask all calls to wait


class Bulk(Core):
    """A core whose requests are performed one by one on the engine's loop.

    Args:
        config: as of a client; its archive is the dataset's folder.
        max_cost: micro-USD that the archive may ever cost at its vendor, or None.
        per_minute: requests a minute at the most, or None.
    """

    def __init__(
        self, config: Config, *, max_cost: int | None = None, per_minute: float | None = None
    ) -> None:
        self._per_minute = per_minute
        super().__init__(config)
        self._budget = replace(self._budget, archive=max_cost)

    def _new_limiter(self) -> Limiter:
        return Limiter(self.settings.max_in_flight, per_minute=self._per_minute)

    def _policy(self) -> Policy:
        return replace(super()._policy(), patience=PATIENCE, free_rate_limits=True)

    async def perform(self, request: ImageRequest, copy: int, *, redo: bool = False) -> Call:
        """What came of one request for one copy: pictures and errors are in the call; a cancellation is raised."""
        call = Call(0, request, copies=(copy,))
        manners = Manners(self._limiter, self._retries, self._policy())

        async def way(job: Job, call: Call) -> None:
            await self.journey.travel(job, call, partial(self._claim, call, redo=redo), manners)

        await self._one(self._job([call], request, options={}), call, way)
        return call

    async def refetch(self, call_id: str) -> bool:
        """Whether the missing pictures of a paid call could be fetched; nothing is sent and nothing is paid."""
        try:
            job = await run_sync(self.fetch, call_id)
        except InvalidRequestError:
            return False
        return await run_sync(job.exception) is None
