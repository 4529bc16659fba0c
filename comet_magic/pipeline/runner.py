"""The run itself: reads rows, keeps a window of calls in flight, and ends with every row accounted for.

Rows are read by one thread in batches, and no faster than they are worked off, so memory does not grow with the table.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.to_thread import run_sync

from ..archive import CopyTaken
from ..errors import BudgetExceededError, SaveError
from ..files import make_private_folder
from ..protocol.decisions import ENDS_RUN, row_after, row_status
from .dataset_plan import slots_of
from .metadata import write_metadata
from .row_index import RowIndex, RunState
from .row_status import should_send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from ..archive import Archive, Slot
    from ..client.job import RunningCall
    from ..images import Picture
    from ..request import ImageRequest
    from .expand import Row
    from .job import DatasetJob
    from .source import Record

REFRESH = 30.0  # seconds between two writings of the metadata
LOOK = 0.5  # seconds between two looks at what others are making
Wanted = tuple["Row", "Slot | None"]


class Maker(Protocol):
    """Who performs one request: the engine here, or workers elsewhere."""

    @property
    def archive(self) -> Archive:
        """The dataset's."""

    async def perform(self, request: ImageRequest, copy: int, *, redo: bool = False) -> RunningCall:
        """What came of it."""

    async def refetch(self, call_id: str) -> bool:
        """Whether a paid picture could be fetched for nothing."""

    async def recover(self, *, again: bool = False) -> None:
        """Take over what dead processes left."""


class Runner:
    """One run of one job, on the engine's loop; `counts`, `error` and `stop` are for any thread."""

    def __init__(self, job: DatasetJob, maker: Maker) -> None:
        self.job = job
        self.counts: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.unsaved: list[Picture] = []
        self.awaited = 0  # rows that others have in hand, once there is nothing else to do
        self._maker = maker
        self._index = RowIndex(job.folder)
        self._number = 0
        self._state: RunState = "running"
        self._claimed_by_others: list[Row] = []
        self._read_off = False  # nothing is read from the source any more
        self._paying = 0
        self._settled = anyio.Event()
        self._scope: anyio.CancelScope | None = None

    @property
    def halted(self) -> bool:
        """Whether no further call is begun."""
        return self._state != "running"

    def stop(self) -> None:
        """Begin no further call; those in flight are finished."""
        if not self.halted:
            self._state = "stopped"

    async def cancel(self) -> None:
        """Stop at once; what was sent becomes unknown."""
        self.stop()
        if self._scope is not None:
            self._scope.cancel()

    def _halt(self, error: BaseException) -> None:
        self.error = self.error or error
        self.stop()

    async def run(self) -> None:
        """Make what is to be made; how it went is in `counts` and `error`, and on disk."""
        with self._index:
            await run_sync(self._begin)
            try:
                with anyio.CancelScope() as self._scope:
                    await self._maker.recover()
                    async with anyio.create_task_group() as refreshing:
                        refreshing.start_soon(self._refresh)
                        await self._work_off()
                        await self._await_others()
                        if self.counts["unknown"]:  # a worker may have finished one that was given up
                            await self._maker.recover(again=True)
                        refreshing.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await run_sync(self._end)

    def _begin(self) -> None:
        make_private_folder(self.job.folder)
        self._number = self._index.begin(vendor=self.job.base.vendor, size=self.job.source.size)

    def _end(self) -> None:
        self._index.end(self._number, "complete" if self._state == "running" else self._state)
        self._write_metadata()

    def _write_metadata(self) -> None:
        try:
            write_metadata(self.job.folder)
        except OSError as fault:
            self._halt(
                SaveError(
                    f"metadata.jsonl cannot be written: {fault.strerror}",
                    hint="The pictures and the ledger are on disk; run it again when there is room.",
                )
            )

    async def _refresh(self) -> None:
        while True:
            await anyio.sleep(REFRESH)
            began = anyio.current_time()
            await run_sync(self._write_metadata)
            await anyio.sleep(20 * (anyio.current_time() - began))

    # --- rows

    async def _work_off(self) -> None:
        send, receive = anyio.create_memory_object_stream["Wanted"](0)
        async with anyio.create_task_group() as group:
            for _ in range(self.job.in_flight):
                group.start_soon(self._work, receive.clone())
            receive.close()
            reader = ThreadPoolExecutor(1, "comet_magic-rows")
            try:
                await self._read(reader, send)
            finally:
                self._read_off = True
                reader.shutdown(wait=False)

    async def _read(self, reader: ThreadPoolExecutor, send: MemoryObjectSendStream[Wanted]) -> None:
        """Hand out what is to be made; a source without an end is not read on once the run is halted."""
        batches = self.job.source.batches()
        async with send:
            while not (self.halted and self.job.source.size is None):
                reading = asyncio.wrap_future(reader.submit(self._read_batch, batches))
                while not reading.done() and not (self.halted and self.job.source.size is None):
                    await asyncio.wait({reading}, timeout=LOOK)
                if not reading.done():
                    return
                fault = reading.exception()
                if fault is not None:  # of the source: the calls in flight have nothing to do with it
                    self._halt(fault)
                    return
                wanted = reading.result()
                if wanted is None:
                    return
                for one in wanted:
                    await send.send(one)

    def _read_batch(self, batches: Iterator[list[Record]]) -> list[Wanted] | None:
        batch = next(batches, None)
        if batch is None or self._read_off:  # a slow source gave it when the run was over
            return None
        items = [self._affordable(item) for item in self.job.expander.read(batch)]
        self._index.add(self._number, items, prompt=self.job.prompt)
        return self._due(items)

    def _due(self, items: list[Row]) -> list[Wanted]:
        """The items that are to be made; the others are counted."""
        slots = slots_of(self._maker.archive, items)
        looked_up = [(item, slots.get((item.key, item.copy))) for item in items]
        return [(item, slot) for item, slot in looked_up if self._is_due(item, slot)]

    def _affordable(self, item: Row) -> Row:
        if self.job.max_cost is None or item.series is None or item.series.estimate(item.prompt).known:
            return item
        problem = BudgetExceededError(
            "max_cost is set and the price of this row is unknown", hint="Give price_per_image, in USD."
        )
        return item._replace(problem=problem)

    def _is_due(self, item: Row, slot: Slot | None) -> bool:
        """Whether the item is to be made; what is not is counted here."""
        if item.problem is not None:
            self.counts["over_budget" if item.series else "failed"] += 1
        elif item.shares_earlier:
            self.counts["equal"] += 1
        elif should_send(slot, self.job.redo):
            return True
        elif slot is not None and slot.outcome == "open":
            self._claimed_by_others.append(item)
        else:
            self.counts[row_status(slot.outcome, slot.error) if slot else "open"] += 1
        return False

    # --- calls

    async def _work(self, receive: MemoryObjectReceiveStream[Wanted]) -> None:
        async with receive:
            async for item, slot in receive:
                await self._make(item, slot)

    async def _make(self, item: Row, slot: Slot | None) -> None:
        """One row: fetched for nothing where it is paid already, else paid for."""
        if self.halted:
            self.counts["open"] += 1
            return
        redo = self.job.redo is not None
        if redo and slot is not None and await self._maker.refetch(slot.call_id):
            self.counts["done"] += 1
            return
        self._note(item, await self._pay(item, redo=redo))

    async def _pay(self, item: Row, *, redo: bool) -> RunningCall:
        """The call; where money is short it waits for what calls in flight give back."""
        assert item.series is not None  # noqa: S101 - a row without a request is never due
        request = item.series.request(item.prompt)
        while True:
            settled = self._settled
            self._paying += 1
            try:
                call = await self._maker.perform(request, item.copy, redo=redo)
            finally:
                self._paying -= 1
            if not _lacks_money(call) or self.halted or not self._paying:
                self._settled.set()
                self._settled = anyio.Event()
                return call
            await settled.wait()

    def _note(self, item: Row, call: RunningCall) -> None:
        """What came of a call, in the counts and for the run."""
        error = call.errors[0] if call.errors else None
        if isinstance(error, CopyTaken) and error.taken[0].outcome == "open":
            self._claimed_by_others.append(item)
        elif isinstance(error, CopyTaken):
            self.counts[error.taken[0].outcome] += 1
        elif isinstance(error, BudgetExceededError):
            self.counts["over_budget"] += 1
            if not self.halted:
                self._state = "over_budget"
        elif error is None:
            self.counts["done"] += 1
        elif isinstance(error, SaveError):
            self.unsaved += call.pictures
            self.counts["failed"] += 1
            self._halt(error)
        else:
            self.counts[row_after(error)] += 1
            if type(error).__name__ in ENDS_RUN:
                self._halt(error)

    # --- what others make

    async def _await_others(self) -> None:
        """Wait for rows that another process, or our own recovery, has in hand; take over what they drop."""
        while self._claimed_by_others and not self.halted:
            self.awaited = len(self._claimed_by_others)
            await anyio.sleep(LOOK)
            await self._maker.recover(again=True)
            items, self._claimed_by_others = self._claimed_by_others, []
            for item, slot in await run_sync(self._due, items):
                await self._make(item, slot)
        self.counts["open"] += len(self._claimed_by_others)
        self.awaited = 0


def _lacks_money(call: RunningCall) -> bool:
    return any(isinstance(error, BudgetExceededError) for error in call.errors)
