"""A run as seen by the thread that waits for it: its progress, interrupts and signals, its end."""

from __future__ import annotations

import math
import signal
import time
from typing import TYPE_CHECKING, Any, Self

from ..client.batch import BatchCore
from ..client.core import configure
from ..client.loop_thread import LoopHandle, unwrapped
from ..client.process_exit import end_signals
from ..errors import (
    CallAbandoned,
    CometError,
    SourceError,
)
from ..machine import absolute
from ..money import dollars, total
from ..text import counted
from .progress import Display, Status, make_display, say
from .report import Dataset, open_dataset
from .rows import in_words
from .runner import Runner

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..dask import Workers
    from .dataset import DatasetJob
    from .failures import Pause

STEP = 0.02  # seconds between two looks while waiting, so that an interrupt acts at once


class DatasetRun:
    """A run as seen by the thread that waits for it.

    Attributes:
        interrupts: how often the run was interrupted, by Ctrl-C, SIGTERM or SIGHUP. After the first, nothing more is
            sent; after the second, the calls in flight are cancelled. Any thread may count it up.
    """

    def __init__(self, job: DatasetJob, *, cluster: Any, progress: bool) -> None:
        self.interrupts = self._obeyed = 0
        self._signal: int = signal.SIGINT
        self._job = job
        self._cluster = cluster
        self._progress = progress
        self._ended = False
        self._pause: Pause | None = None  # the latest that was shown
        self._workers: Workers | None = None
        self._fetching: set[Future[Any]] = set()  # paid pictures still on their way when the run has ended

    def interrupt(self, number: int) -> None:
        """Count an interrupt by the signal of this number."""
        self._signal = number
        self.interrupts += 1

    def report(self) -> Dataset:
        """Run to the end; gives the report, or raises what ended the run."""
        with end_signals(self.interrupt), self:
            while not (self._ended or self.interrupts):
                if self._display is not None:
                    self._look(self._display)
                time.sleep(STEP)
        fault = self._future.exception()
        if fault is not None:
            raise unwrapped(fault)
        error = self._runner.error
        if error is not None:
            raise self._explained(error) if isinstance(error, CometError) else error
        dataset = Dataset(open_dataset(self._job.folder).folder, self._job.given)
        if self.interrupts:
            raise self._interrupted(dataset)
        return dataset

    def __enter__(self) -> Self:
        folder = absolute(self._job.folder)
        self._core = BatchCore(
            configure({**self._job.client, "archive": folder}),
            max_cost=self._job.max_cost,
            per_minute=self._job.max_per_minute,
        )
        try:
            if self._cluster is not None:
                from ..dask import Workers

                self._workers = Workers(self._core, folder, self._cluster)
            self._runner = Runner(self._job, self._workers or self._core)
            self._runner.rows.begin()
        except BaseException:
            self._let_go()
            raise
        self._display = Display(make_display) if self._progress else None
        self._say()
        self._next_look = time.monotonic() + (self._display.every if self._display else math.inf)
        self._loop = LoopHandle()
        self._future: Future[None] = self._loop.portal.start_task_soon(self._runner.run)
        self._future.add_done_callback(self._end)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.interrupts += interrupted
        if kind is not None and not interrupted:  # a handler of the user's raised it
            self._runner.stop()
        self._drain()
        self._let_go()
        self._loop.release()
        return interrupted  # `report` tells of it

    def _end(self, _: object) -> None:
        """The run has ended; called on the engine's thread, which no interrupt reaches."""
        self._fetching.update(self._core.jobs)
        for job in tuple(self._fetching):
            job.add_done_callback(self._fetching.discard)
        self._ended = True

    def _drain(self) -> None:
        """Wait for the end of the run and for paid pictures still on their way, unless it is cancelled.

        An interrupt is counted and passed on, at whatever moment it comes; the waiting goes on.
        """
        while not self._ended or (self._fetching and self._obeyed < 2):
            try:
                if self._obeyed < min(self.interrupts, 2):
                    self._obeyed += 1
                    self._obey()
                if self._display is not None:
                    self._look(self._display)
                # Nothing that takes a lock in Python: an interrupt within would leave it locked for ever.
                time.sleep(STEP)
            except KeyboardInterrupt:
                self.interrupts += 1
        self._say()
        if self._display is not None:
            self._show(self._display)
            self._display.close()

    def _obey(self) -> None:
        """Pass one interrupt on to the run."""
        self._runner.stop()
        if self._obeyed == 1 and self._display is not None:
            self._display.say(self._stopping)
        if self._obeyed == 2:
            self._loop.portal.start_task_soon(self._cancel)

    async def _cancel(self) -> None:
        await self._runner.cancel()
        for job in self._core.jobs:
            job.drop()

    def _stopping(self) -> str:
        """What is in flight, which is unknown and may be billed if the process is killed before it is here."""
        running = [call for call in self._core.archive.open_calls() if call.session == self._core.session]
        most = dollars(total(call.bound_micro for call in running))
        calls = f"{counted(len(running), 'call')} in flight (at most {most})"
        return f"stopping: {calls} will be finished first; interrupt again to cancel them"

    def _look(self, display: Display) -> None:
        """Show each pause as it begins, and how far the run is when it is time."""
        pause = self._runner.admission.pause
        if pause is not self._pause:
            self._pause = pause
            if pause:
                display.say(pause.text(pause.seconds))
        if time.monotonic() >= self._next_look:
            self._show(display)

    def _show(self, display: Display) -> None:
        display.show(self._status)
        self._next_look = time.monotonic() + display.every

    def _status(self) -> Status:
        spend, runner = self._core.archive.spend(self._job.base.vendor), self._runner
        counts, size = dict(runner.counts), self._job.source.size
        return Status(counts, size, spend, runner.awaited, self._waits(), self._core.limiter.per_minute)

    def _waits(self) -> str:
        """Why nothing is sent right now, and for how long; the strongest reason."""
        if self._runner.admission.text:
            return self._runner.admission.text
        if (left := self._core.limiter.pause_left) > 0:
            return f"waiting {left:.0f} s: the server says too many requests"
        rows = counted(self._runner.short, "row waits", "rows wait")
        return f"{rows} for money that calls in flight have reserved" if self._runner.short else ""

    def _say(self) -> None:
        """Say what a person has to read, with or without progress."""
        while self._runner.rows.notices:
            (self._display.say if self._display is not None else say)(self._runner.rows.notices.pop(0))

    def _let_go(self) -> None:
        if self._workers is not None:
            self._workers.close()
        self._core.close()
        self._core.archive.close()

    def _explained(self, error: CometError) -> CometError:
        """The error that ended the run, with the pictures that the disk refused and the number of open rows."""
        if self._runner.unsaved:
            from ..images import Images

            error.images = Images(self._runner.unsaved)
        sent, spent, written = self._runner.sent, self._runner.spent, self._runner.counts["done"]
        if sent:
            error.run = (
                f"Before it ended, this run sent {counted(sent, 'request')} for at most {dollars(spent)};"
                f" {counted(written, 'row')} of its table {'has' if written == 1 else 'have'} a picture."
            )
        if isinstance(error, SourceError) and spent:
            error.outcome = "billed"
        count = open_dataset(self._job.folder).counts["open"]
        if count:
            rows = counted(count, "row remains", "rows remain")
            error.hint = f"{error.hint} {rows}; run it again to go on.".strip()
        elif isinstance(error, SourceError):
            error.hint = f"{error.hint} Mend the table and run it again: what is paid is kept.".strip()
        return error

    def _interrupted(self, dataset: Dataset) -> CallAbandoned:
        spend = self._core.archive.spend(self._job.base.vendor)
        unknown = (
            f", {dollars(spend.uncertain_micro)} of it for calls of unknown outcome"
            if spend.uncertain
            else ""
        )
        error = CallAbandoned(
            f"stopped: {in_words(dataset.counts)}; {dollars(spend.bound_micro)} spent at most{unknown}",
            outcome="unknown" if spend.uncertain else "billed",
            hint="Run it again: it goes on where it ended, and nothing that exists is paid for again.",
        )
        error.signal = self._signal
        return error
