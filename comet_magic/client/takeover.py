"""Paid calls whose pictures are not all here: those of dead processes, and those asked for by their id."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..archive import RawAnswer
from ..errors import InvalidRequestError, SaveError
from ..protocol import ReplyItem
from ..text import clean
from .job import Job, RunningCall
from .run_call import InFlight, Received, settled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Archive, Orphan
    from ..request import ImageRequest
    from .core import Core


async def resume_call(core: Core, job: Job, call: RunningCall) -> None:
    """Finish a paid call from its raw answer, or from the addresses of its pictures; nothing is sent."""
    orphan = call.orphan
    assert orphan is not None  # noqa: S101 - only such calls are resumed
    items: Mapping[int, ReplyItem] = {index: ReplyItem(url=url) for index, url in orphan.urls}
    try:
        raw = RawAnswer.left_behind(orphan.raw_answer) if orphan.raw_answer else RawAnswer()
        flight = InFlight(job, call, orphan.call, raw)
        async with settled(core, flight):
            if orphan.raw_answer:
                job.progress(call, "decoding")
                items = await core.results.read(flight, Received(200, {}, stream=False))
            await core.results.collect(flight, items)
    except OSError:
        if not await core.in_thread(_finished_elsewhere, core.archive, orphan):
            raise SaveError(f"the raw answer of {orphan.call.id} is gone, or cannot be read") from None


def _finished_elsewhere(archive: Archive, orphan: Orphan) -> bool:
    """Whether a worker that outlived its driver has finished the call since it was looked at."""
    path = orphan.raw_answer
    return path is not None and not path.exists() and archive.adopt(orphan.call)


class Takeover:
    """Finds paid calls that are not finished, and finishes them free of charge; nothing is ever sent."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._running: dict[Job, str] = {}
        self.looked = False

    def take_over(self) -> None:
        """Settle what dead processes left; what needs the network, or its bytes read, goes on in the background."""
        with self._lock:
            for orphan in self._core.archive.reconcile(self._core.base.vendor):
                request = orphan.call.request
                if request is not None and not _finished_elsewhere(self._core.archive, orphan):
                    self._finish(orphan, request)
            self.looked = True

    def fetch(self, call_id: str, request: ImageRequest | None = None) -> Job:
        """The missing pictures of a paid call, fetched again; `request` is needed where prompts are not kept.

        Raises:
            InvalidRequestError: there is no such call, or nothing of it can be fetched.
        """
        orphan = self._core.archive.orphan(call_id)
        running = [job for job, its in tuple(self._running.items()) if orphan and its == orphan.call.id]
        if running:
            return running[0]
        request = orphan.call.request if orphan and orphan.call.request else request
        if orphan is not None and orphan.call.vendor != self._core.base.vendor:
            raise InvalidRequestError(
                f"{clean(call_id)} is a call of {clean(orphan.call.vendor)}; only a client of it fetches its pictures"
            )
        if orphan is None or request is None or not (orphan.raw_answer or orphan.urls):
            raise InvalidRequestError(
                f"{clean(call_id)} is not a paid call with pictures still to be fetched"
            )
        return self._finish(orphan, request)

    def fetches(self, call_id: str) -> bool:
        """Whether pictures of this call are being fetched here."""
        return call_id in tuple(self._running.values())

    def _finish(self, orphan: Orphan, request: ImageRequest) -> Job:
        call = RunningCall(0, request, orphan=orphan, sent=True, call_id=orphan.call.id)
        call.reserved = orphan.call.reserved
        entry = self._core.archive.entry(orphan.call.id)
        if entry is not None:
            call.cost, call.usage = entry.cost_micro, dict(entry.usage) if entry.usage else None
            call.request_id = entry.request_id
        job = self._core.launch(Job([call], first=request, folder=self._core.archive.folder))
        self._running[job] = orphan.call.id
        job.add_done_callback(lambda _: self._running.pop(job, None))
        return job
