"""One run of a dataset: reads rows, keeps a window of calls in flight, and settles every row.

Rows are read by one thread in batches, and no faster than calls are made, so memory does not grow with the table.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Protocol

import anyio
from anyio.to_thread import run_sync

from ..archive import CopyTaken
from ..errors import BudgetExceededError, SaveError
from ..files import make_private_folder
from .row_index import RowIndex, RunState
from .row_status import ends_run, should_send, status_after, status_of
from .rows import write_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from ..archive import Archive, Copy
    from ..client.job import RunningCall
    from ..images import Picture
    from ..protocol.decisions import RowStatus
    from ..request import ImageRequest
    from .expand import Row
    from .job import DatasetJob
    from .source import Record

    Settled = RowStatus | Literal["equal", "claimed_by_others"]

REFRESH = 30.0  # seconds between two writings of the metadata
LOOK = 0.5  # seconds between two looks at the source or at rows of other processes
ToSend = tuple["Row", "Copy | None"]


class Maker(Protocol):
    """Makes pictures: the engine of this process, or workers elsewhere."""

    @property
    def archive(self) -> Archive:
        """The dataset's."""

    async def perform(self, request: ImageRequest, copy: int, *, redo: bool = False) -> RunningCall:
        """Send one request; pictures and errors are in the call."""

    async def refetch(self, call_id: str) -> bool:
        """Fetch the missing pictures of a paid call; nothing is sent. Whether that worked."""

    async def recover(self, *, again: bool = False) -> None:
        """Finish the calls that dead processes left."""


class Runner:
    """One run of one job, on the engine's loop. Any thread may read `counts` and `error` and call `stop`.

    Attributes:
        counts: rows settled so far by status; `equal` are those that share the picture of an earlier row.
        error: what ended the run before its end, or None.
        unsaved: pictures that the disk refused.
        awaited: rows that another process is making, once there is nothing else to do.
    """

    def __init__(self, job: DatasetJob, maker: Maker) -> None:
        self.job = job
        self.counts: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.unsaved: list[Picture] = []
        self.awaited = 0
        self._maker = maker
        self._index = RowIndex(job.folder)
        self._number = 0
        self._state: RunState = "running"
        self._claimed_by_others: list[Row] = []
        self._reading = True
        self._paying = 0
        self._paid = anyio.Event()
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
        """Stop at once; calls that were sent become unknown."""
        self.stop()
        if self._scope is not None:
            self._scope.cancel()

    def _halt(self, error: BaseException) -> None:
        self.error = self.error or error
        self.stop()

    async def run(self) -> None:
        """Make what is to be made; the result is in `counts` and `error`, and on disk."""
        with self._index, self.job.expander:
            await run_sync(self._begin)
            try:
                with anyio.CancelScope() as self._scope:
                    await self._maker.recover()
                    async with anyio.create_task_group() as refreshing:
                        refreshing.start_soon(self._refresh)
                        await self._send_rows()
                        await self._await_others()
                        if self.counts["unknown"]:  # a worker that was given up may have finished its call
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

    # --- rows are read

    async def _send_rows(self) -> None:
        send, receive = anyio.create_memory_object_stream["ToSend"](0)
        async with anyio.create_task_group() as group:
            for _ in range(self.job.in_flight):
                group.start_soon(self._work, receive.clone())
            receive.close()
            reader = ThreadPoolExecutor(1, "comet_magic-rows")
            try:
                await self._read(reader, send)
            finally:
                self._reading = False
                reader.shutdown(wait=False)

    async def _work(self, receive: MemoryObjectReceiveStream[ToSend]) -> None:
        async with receive:
            async for row, found in receive:
                await self._make(row, found)

    async def _read(self, reader: ThreadPoolExecutor, send: MemoryObjectSendStream[ToSend]) -> None:
        """Hand out the rows to send; once the run is halted, a source that may be endless is read no further."""
        batches = self.job.source.batches()
        async with send:
            while not self._read_enough():
                reading = asyncio.wrap_future(reader.submit(self._read_batch, batches))
                while not (reading.done() or self._read_enough()):
                    await asyncio.wait({reading}, timeout=LOOK)
                if not reading.done():
                    return
                fault = reading.exception()
                if fault is not None:  # of the source; the calls in flight are finished all the same
                    self._halt(fault)
                    return
                to_send = reading.result()
                if to_send is None:
                    return
                for one in to_send:
                    await send.send(one)

    def _read_enough(self) -> bool:
        return self.halted and self.job.source.endless

    def _read_batch(self, batches: Iterator[list[Record]]) -> list[ToSend] | None:
        """Expand, index and look up some more rows; gives those to send, or None at the end of the source."""
        batch = next(batches, None)
        if not self._reading:  # a slow source gave it when the run was over
            return None
        if batch is None:
            self._index.replace_former(self._number)
            return None
        rows = [self._within_budget(row) for row in self.job.expander.read(batch)]
        self._index.add(self._number, rows, prompt=self.job.prompt)
        return self._look_up(rows)

    def _within_budget(self, row: Row) -> Row:
        if self.job.max_cost is None or row.template is None or row.template.estimate(row.prompt).known:
            return row
        problem = BudgetExceededError(
            "max_cost is set and the price of this row is unknown", hint="Give price_per_image, in USD."
        )
        return row._replace(problem=problem)

    # --- the way of a row: looked up, made, settled

    def _look_up(self, rows: list[Row]) -> list[ToSend]:
        """The rows to send, with what the ledger has of each; the others are settled."""
        slots = self._maker.archive.copies(row.key for row in rows if row.key)
        to_send: list[ToSend] = []
        for row in rows:
            found = slots.get((row.key, row.copy))
            if row.problem is not None:
                self._settle(row, "over_budget" if row.template else "failed")
            elif row.shares_earlier:
                self._settle(row, "equal")
            elif should_send(found, self.job.redo):
                to_send.append((row, found))
            else:
                self._settle(row, _status_of(found))
        return to_send

    async def _make(self, row: Row, found: Copy | None) -> None:
        """Fetch the picture if it is paid already, or else pay for it."""
        redo = self.job.redo is not None
        if self.halted:
            self._settle(row, "open")
        elif redo and found is not None and await self._maker.refetch(found.call_id):
            self._settle(row, "done")
        else:
            self._settle(row, self._heed(await self._pay(row, redo=redo)))

    async def _pay(self, row: Row, *, redo: bool) -> RunningCall:
        """The call; if money is short, it waits for what the calls in flight give back."""
        assert row.template is not None  # noqa: S101 - a row without a request is never sent
        request = row.template.request(row.prompt)
        while True:
            paid = self._paid
            self._paying += 1
            try:
                call = await self._maker.perform(request, row.copy, redo=redo)
            finally:
                self._paying -= 1
            short = any(isinstance(error, BudgetExceededError) for error in call.errors)
            if not short or self.halted or not self._paying:
                self._paid.set()
                self._paid = anyio.Event()
                return call
            await paid.wait()

    def _heed(self, call: RunningCall) -> Settled:
        """What the row is after its call; an error that ends the run halts it."""
        error = call.errors[0] if call.errors else None
        if isinstance(error, CopyTaken):
            return _status_of(error.taken[0])
        if isinstance(error, BudgetExceededError) and not self.halted:
            self._state = "over_budget"
        if error is not None and ends_run(error):
            self.unsaved += call.pictures
            self._halt(error)
        return status_after(error)

    def _settle(self, row: Row, status: Settled) -> None:
        """The one place that says what became of a row in this run."""
        if status == "claimed_by_others":
            self._claimed_by_others.append(row)
        else:
            self.counts[status] += 1

    async def _await_others(self) -> None:
        """Wait for rows that another process, or our own recovery, is making; make those that it drops."""
        while self._claimed_by_others and not self.halted:
            self.awaited = len(self._claimed_by_others)
            await anyio.sleep(LOOK)
            await self._maker.recover(again=True)
            rows, self._claimed_by_others = self._claimed_by_others, []
            for row, found in await run_sync(self._look_up, rows):
                await self._make(row, found)
        self.counts["open"] += len(self._claimed_by_others)
        self.awaited = 0


def _status_of(found: Copy | None) -> Settled:
    """What the ledger says of a row that is not sent."""
    if found is None:
        return "open"
    return "claimed_by_others" if found.outcome == "open" else status_of(found)
