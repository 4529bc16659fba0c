"""Paid calls whose pictures are not all here: those of dead processes, and those asked for by their id."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from ..archive import RawAnswer
from ..errors import InvalidRequestError
from ..text import clean
from .exchange import Received
from .in_flight import InFlight
from .job import Job, RunningCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..archive import Archive, Orphan
    from ..request import ImageRequest
    from .results import ResultWriter

    Way = Callable[[Job, RunningCall], Awaitable[None]]


class Takeover:
    """Finishes for nothing what was paid already; nothing is ever sent.

    Args:
        archive: where such calls are found.
        delivery: brings their pictures.
        launch: starts a job of one call in the background.
    """

    def __init__(
        self, archive: Archive, delivery: ResultWriter, launch: Callable[[RunningCall, Way], Job]
    ) -> None:
        self._archive = archive
        self._delivery = delivery
        self._launch = launch
        self._lock = threading.Lock()
        self._running: dict[Job, str] = {}
        self.looked = False

    def take_over(self) -> None:
        """Settle what dead processes left; what needs the network, or its bytes read, goes on in the background."""
        with self._lock:
            for orphan in self._archive.reconcile():
                if orphan.call.request is not None and not self._done_meanwhile(orphan):
                    self._finish(orphan, orphan.call.request)
            self.looked = True

    def _done_meanwhile(self, orphan: Orphan) -> bool:
        """Whether a worker elsewhere, who outlived its driver, has finished the call since it was looked at."""
        path = orphan.raw_answer
        return path is not None and not path.exists() and self._archive.adopt(orphan.call)

    def fetch(self, call_id: str) -> Job:
        """The missing pictures of a paid call, fetched again.

        Raises:
            InvalidRequestError: there is no such call, or nothing of it can be fetched.
        """
        orphan = self._archive.orphan(call_id)
        if orphan is None or orphan.call.request is None or not (orphan.raw_answer or orphan.urls):
            raise InvalidRequestError(f"{clean(call_id)} is no paid call with pictures still to be fetched")
        return self._finish(orphan, orphan.call.request)

    def await_key(self, key: str, seconds: float) -> None:
        """Wait until no picture of this very request is on its way any more, or for so long."""
        wait([job for job, its in tuple(self._running.items()) if its == key], timeout=seconds)

    def _finish(self, orphan: Orphan, request: ImageRequest) -> Job:
        raw = RawAnswer.left_behind(orphan.raw_answer) if orphan.raw_answer else RawAnswer()
        answer = Received(200, {}, stream=False) if orphan.raw_answer else None

        async def way(job: Job, call: RunningCall) -> None:
            try:
                await self._delivery.resume(InFlight(job, call, orphan.call, raw), answer, dict(orphan.urls))
            except FileNotFoundError:
                if not await run_sync(self._done_meanwhile, orphan):
                    raise

        entry = self._archive.entry(orphan.call.id)
        call = RunningCall(0, request, call_id=orphan.call.id, sent=True, reserved=orphan.call.reserved)
        if entry is not None:
            call.cost, call.usage = entry.cost, dict(entry.usage) if entry.usage else None
            call.request_id = entry.request_id
        job = self._launch(call, way)
        self._running[job] = orphan.call.key
        job.add_done_callback(lambda _: self._running.pop(job, None))
        return job
