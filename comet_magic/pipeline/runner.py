"""One run of a dataset: reads rows into the index, keeps a window of calls in flight, and settles every row.

Rows are read by one thread in batches, and no faster than calls are made, so memory does not grow with the table. No
row leaves a folder untold: what a new table lets go is counted before the first call and once more when the source was
read to its end, for another process may have come between, and a stream cannot be read ahead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Literal

import anyio
from anyio.to_thread import run_sync

from ..archive import CopyTaken
from ..archive.known_folders import remember_folder
from ..errors import (
    BudgetExceededError,
    CometError,
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
    SaveError,
)
from ..files import make_private_folder
from ..money import dollars
from ..text import clean, counted
from .dataset_plan import leaving_message, tally, too_many
from .failures import Admission, is_outage
from .prompts import AT_ONCE
from .row_index import RowIndex
from .rows import (
    should_send,
    status_after,
    status_of,
    was_empty,
    was_lost,
    write_metadata,
)
from .source import BATCH, source_error
from .summary import keep_summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from ..archive import Archive, Copy
    from ..client.batch import BatchCore
    from ..client.job import RunningCall
    from ..dask import Workers
    from ..images import Picture
    from ..protocol.decisions import RowStatus
    from .dataset import DatasetJob
    from .dataset_plan import DatasetPlan
    from .expand import Row
    from .row_index import RunState
    from .source import SourceRow

    SettledStatus = RowStatus | Literal["equal", "claimed_by_others"]

REFRESH = 30.0  # seconds between two writings of the metadata
LOOK = 0.5  # seconds between two looks at the source or at rows of other processes
ToSend = tuple["Row", "Copy | None"]


class IndexedRun:
    """The rows of one run in the index of its folder.

    Attributes:
        notices: sentences that a person has to read, each once.
    """

    def __init__(self, job: DatasetJob, archive: Archive) -> None:
        self.notices: list[str] = []
        self._job = job
        self._archive = archive
        self._index = RowIndex(job.folder)
        self._number = 0
        self._shared = False

    def begin(self) -> None:
        """Make the folder, look the source through if it can be read twice, and begin the run.

        Raises:
            ConfigurationError: the folder or its index cannot be used, or the rows of the folder would leave it.
        """
        job, index = self._job, self._index
        if job.kept:
            stands = index.standing()
            self._number = stands.number if stands else 0
            self.notices.append(_redo_message(tally(job.again(), shared=True)))
            return
        make_private_folder(job.folder, ignored=False)
        index.make()  # the archive hides an empty folder from git
        self._shared = self._archive.is_shared()
        if job.replace and self._shared:
            raise ConfigurationError(
                f"another process works in {clean(job.folder)}, and replace=True may remove its rows",
                hint="Wait for it, or add rows with append=True.",
            )
        stood = index.standing() is not None
        remember_folder(job.folder)
        self._number = index.begin(
            vendor=job.base.vendor, size=job.source.size, frame=job.source.index, alone=not self._shared
        )
        if job.source.whole and stood:
            try:
                plan = tally(job.again(), shared=self._shared)
            except BaseException:
                self.end("stopped")
                raise
            self.notices += [leaving_message(plan.leaving)] if plan.leaving else []
            self.notices += [_redo_message(plan)] if job.redo else []

    def add(self, rows: Iterable[Row], *, last: bool) -> None:
        """Add some more rows; with the last ones they take the place of those that stand, or join them."""
        if self._job.kept:
            return
        self._index.add(self._number, rows, store_prompts=self._job.client.get("store_prompts", True))
        if last:
            self._change_over()

    def _change_over(self) -> None:
        job, index, keep = self._job, self._index, self._job.append
        gone = [] if keep or job.replace else index.leaving(self._number)
        if gone and (self._shared or not job.source.whole):
            standing = index.standing()
            keep = standing is not None and too_many(len(gone), index.count(standing.number))
            rows = counted(len(gone), "row of the folder is", "rows of the folder are")
            stay = f"{rows} not in this table, and {'stays' if len(gone) == 1 else 'stay'} in it"
            self.notices.append(stay if keep else leaving_message(len(gone)))
        self._number = index.replace_former(self._number, keep=keep)

    def end(self, state: RunState, why: str = "") -> None:
        """Note how the run ended; what a source that broke has added stays added."""
        with self._index:
            if self._job.append:
                self._number = self._index.replace_former(self._number, keep=True)
            self._index.end(self._number, state, why)


class Runner:
    """One run of one job, on the engine's loop. Any thread may read `counts` and `error` and call `stop`.

    Args:
        job: what is to be made.
        maker: who makes the pictures: the engine of this process, or the workers of a cluster.

    Attributes:
        counts: rows settled so far by status; `equal` are those that share the picture of an earlier row.
        error: what ended the run before its end, or None.
        unsaved: pictures that the disk refused.
        sent: requests that left in this run.
        spent: the most that these have cost, in micro-USD.
        awaited: rows that another process is making, once there is nothing else to do.
        short: rows that wait for the money that calls in flight have reserved.
        admission: when the next call may begin.
        rows: those of this run in the index of the folder.
    """

    def __init__(self, job: DatasetJob, maker: BatchCore | Workers) -> None:
        self.job = job
        self.counts: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.unsaved: list[Picture] = []
        self.sent = self.spent = 0
        self.awaited = self.short = 0
        self.admission = Admission(job.policy)
        self._maker = maker
        self.rows = IndexedRun(job, maker.archive)
        self._state: RunState = "running"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._claimed_by_others: list[Row] = []
        self._left: list[tuple[ToSend, int]] = []  # not begun by the server, each with the news until then
        self._drops_unsent = False
        self._reading = True
        self._paying = 0
        self._paid = anyio.Event()
        self._scope: anyio.CancelScope | None = None

    @property
    def halted(self) -> bool:
        """Whether no further call is begun."""
        return self._state != "running"

    def stop(self) -> None:
        """Begin no further call; what was sent is finished, what waits to be sent is not."""
        self._drops_unsent = True
        self._halt()

    async def cancel(self) -> None:
        """Stop at once; calls that were sent become unknown."""
        self.stop()
        if self._scope is not None:
            self._scope.cancel()

    def _halt(self, error: BaseException | None = None, state: RunState = "stopped") -> None:
        self.error = self.error or error
        if not self.halted:
            self._state = state
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._let_nothing_begin)

    def _let_nothing_begin(self) -> None:
        """Once the run is halted nothing begins, and what is not sent yet may be dropped; on the engine's loop."""
        if self.halted:
            self.admission.close()
        if self._drops_unsent:
            self._maker.abandon()

    async def run(self) -> None:
        """Make what is to be made; the result is in `counts` and `error`, and on disk."""
        self._loop = asyncio.get_running_loop()
        self._let_nothing_begin()
        with self.job.expander:
            try:
                with anyio.CancelScope() as self._scope:
                    await self._maker.recover()
                    async with anyio.create_task_group() as refreshing:
                        refreshing.start_soon(self._refresh)
                        await self._send_rows()
                        await self._await_others()
                        await self._try_again()
                        if self.counts["unknown"]:  # a worker that was given up may have finished its call
                            await self._maker.recover(again=True)
                        refreshing.cancel_scope.cancel()
            except CometError as error:  # before the first row, such as a worker that does not see the folder
                self._halt(error)
            finally:
                with anyio.CancelScope(shield=True):
                    await run_sync(self._end)

    def _end(self) -> None:
        why = str(self.error) if isinstance(self.error, CometError) else ""
        self.rows.end("complete" if self._state == "running" else self._state, why)
        self._write_metadata()
        keep_summary(self._maker.archive, self.job.folder)

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
        reader = ThreadPoolExecutor(1, "comet_magic-rows")
        try:
            await self._send(partial(self._read, reader))
        finally:
            self._reading = False
            reader.shutdown(wait=False)

    async def _send(self, hand_out: Callable[[MemoryObjectSendStream[ToSend]], Awaitable[None]]) -> None:
        """Make the rows that are handed out, so many side by side."""
        send, receive = anyio.create_memory_object_stream["ToSend"](0)
        async with anyio.create_task_group() as group:
            for _ in range(self.job.in_flight):
                group.start_soon(self._work, receive.clone())
            receive.close()
            await hand_out(send)

    async def _try_again(self) -> None:
        """Make the rows that the server did not begin, if it has answered since or the run pauses."""
        while not self.halted:
            news, left = self.admission.news, self._left
            again = [row for row, known in left if known < news]
            if not again:
                break
            self._left = [one for one in left if one[1] == news]
            await self._send(partial(_hand_out, again))
        self.counts["open"] += len(self._left)

    async def _work(self, receive: MemoryObjectReceiveStream[ToSend]) -> None:
        async with receive:
            async for row, found in receive:
                await self._make(row, found)

    async def _read(self, reader: ThreadPoolExecutor, send: MemoryObjectSendStream[ToSend]) -> None:
        """Hand out the rows to send; once the run is halted, a source that may be endless is read no further."""
        # a batch of prompts to rewrite is small, so that the first pictures need not wait for many of them
        batches = self.job.source.batches(AT_ONCE if self.job.expander.rewriter else BATCH)
        endless = self.job.source.endless
        async with send:
            while not (endless and self.halted):
                reading = asyncio.wrap_future(reader.submit(next, batches))
                while not reading.done():
                    await asyncio.wait({reading}, timeout=LOOK)
                    if endless and self.halted and not reading.done():
                        return
                fault = reading.exception()
                if fault is not None:  # the calls in flight are finished anyway
                    self._halt(source_error(fault))
                    return
                taking = asyncio.wrap_future(reader.submit(self._take, *reading.result()))
                await asyncio.wait({taking})
                fault = taking.exception()
                if fault is not None:
                    self._halt(fault)
                    return
                to_send, last = taking.result()
                for one in to_send:
                    await send.send(one)
                if last:
                    return

    def _take(self, batch: list[SourceRow], last: bool) -> tuple[list[ToSend], bool]:  # noqa: FBT001 - as it was read
        """Expand, index and look up some more rows; gives those to send, and whether they are the last."""
        if not self._reading:  # a slow source gave it when the run was over
            return [], True
        rows = [self._within_budget(row) for row in self.job.expander.read(batch, sends=True)]
        self.rows.add(rows, last=last)
        return self._look_up(rows), last

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
        copies = self._maker.archive.copies(row.key for row in rows if row.key)
        to_send: list[ToSend] = []
        for row in rows:
            place = row.key, row.copy
            found = copies.get(place)
            if row.problem is not None:
                self._settle(row, "over_budget" if row.template else "failed")
            elif row.shares_earlier:
                self._settle(row, "equal")
            elif should_send(place, found, self.job.redo):
                to_send.append((row, found))
            else:
                self._settle(row, _status_of(found))
        return to_send

    async def _make(self, row: Row, found: Copy | None) -> None:
        """Fetch the picture if it is paid already, or else pay for it; what is paid and not lost is never bought."""
        if self.halted:
            self._settle(row, "open")
            return
        again = self.job.redo is not None or (found is not None and was_lost(found))
        if found is not None and again:
            assert row.template is not None  # noqa: S101 - a row without a request is never sent
            fault = await self._maker.refetch(found.call_id, row.template.request(row.prompt))
            gone = isinstance(fault, InvalidRequestError) or was_empty(found) or was_lost(found)
            if fault is None or not gone:
                self._settle(row, "failed" if fault else "done")
                return
        epoch = await self.admission.enter()
        if epoch is None:
            self._settle(row, "open")
            return
        call = await self._pay(row, redo=again)
        status = self._heed(call, epoch)
        error = call.errors[0] if call.errors else None
        if status == "open" and error is not None and error.retryable and is_outage(error):
            self._left.append(((row, found), self.admission.news))
        else:
            self._settle(row, status)

    async def _pay(self, row: Row, *, redo: bool) -> RunningCall:
        """Make the call; if money is short, wait for what the calls in flight give back."""
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
            self.short += 1
            await paid.wait()
            self.short -= 1
            if self._drops_unsent:
                return call

    def _heed(self, call: RunningCall, epoch: int) -> SettledStatus:
        """What the row is after its call; failures may pause the run or end it."""
        error = call.errors[0] if call.errors else None
        paid = error is None or error.outcome in ("unknown", "billed")
        self.sent += paid or call.attempts > 0
        self.spent += ((call.reserved if call.cost is None else call.cost) or 0) if paid else 0
        own_models = "model" in self.job.expander.parameters
        ending = self.admission.heard(error, epoch, own_models=own_models)
        if isinstance(error, CopyTaken):
            return _status_of(error.taken[0])
        if isinstance(error, BudgetExceededError):
            self._halt(state="over_budget")
        if (
            isinstance(error, RateLimitError) and self._drops_unsent
        ):  # it is not sent again because the run stops
            ending = None
        if ending is not None:
            self.unsaved += call.pictures
            self._halt(ending)
            self.stop()
        if error is not None and type(error) is CometError and error.outcome == "not_sent":  # it was stopped
            return "open"
        return status_after(error)

    def _settle(self, row: Row, status: SettledStatus) -> None:
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
            await self._send(partial(_hand_out, await run_sync(self._look_up, rows)))
        self.counts["open"] += len(self._claimed_by_others)
        self.awaited = 0


async def _hand_out(rows: list[ToSend], send: MemoryObjectSendStream[ToSend]) -> None:
    async with send:
        for one in rows:
            await send.send(one)


def _status_of(found: Copy | None) -> SettledStatus:
    """What the ledger says of a row that is not sent."""
    if found is None:
        return "open"
    return "claimed_by_others" if found.outcome == "open" else status_of(found)


def _redo_message(plan: DatasetPlan) -> str:
    """One line on what sending rows again costs."""
    again = counted(plan.to_generate, "row is", "rows are") if plan.to_generate else "no row is"
    fetched = f"; {counted(plan.to_fetch, 'paid picture is', 'paid pictures are')} fetched again, free"
    cost = f" for at most {dollars(plan.price.high_micro)}" if plan.to_generate else ""
    return f"{again} sent again{cost}{fetched if plan.to_fetch else ''}"
