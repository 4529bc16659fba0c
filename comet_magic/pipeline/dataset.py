"""The public functions that make a dataset: one waits, one is awaited; an interrupt lets the calls in flight finish."""

from __future__ import annotations

import asyncio
import contextvars
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..archive import Reader
from ..client.batch import BatchCore
from ..client.core import configure
from ..client.loop_thread import LoopHandle, unwrapped
from ..errors import CallAbandoned, CometError
from ..money import dollars, total
from ..text import counted
from .job import DatasetJob, DatasetOptions, Redo, read_job
from .progress import Status, make_display
from .report import Dataset, open_dataset
from .row_status import in_words
from .runner import Runner

if TYPE_CHECKING:
    import os
    from concurrent.futures import Future
    from pathlib import Path

    from ..dask import Workers

STEP = 0.02  # seconds between two looks while waiting, so that an interrupt acts at once


def generate_dataset(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    dedupe: bool = False,
    redo: Redo | None = None,
    max_per_minute: float | None = None,
    cluster: Any = None,
    progress: bool = True,
    **options: Unpack[DatasetOptions],
) -> Dataset:
    """Turn a table of prompts into a folder of pictures; run it again to go on where it ended.

    Every picture that exists is kept and never paid for again, however rows are added, removed or shuffled. Ten
    equal rows give ten pictures. A refused prompt costs one row. An interrupt lets the calls in flight finish; a
    second one cancels them.

    Args:
        source: a pandas or pyarrow frame, a list of texts or mappings, a path to csv, jsonl or parquet, or any
            iterable, which is read no faster than it is worked off. Columns named like parameters (`size`,
            `quality`, `model`...) hold for their row; `n` makes as many rows of it; all others travel into the
            metadata.
        out: the folder; it is an archive with a ledger, and `datasets.load_dataset("imagefolder", data_dir=out)`
            loads it.
        prompt: the column of the prompts.
        dedupe: equal rows share one picture.
        redo: run just the rows that `failed`, were `refused`, or are `unknown`; the last may bill twice.
        max_per_minute: pictures a minute at the most.
        cluster: a `distributed.Client` or the address of its scheduler: workers make the calls.
        progress: show how far it is.
        **options: parameters of every picture, and settings of the client such as `max_in_flight` (8). `max_cost`
            is what all runs of this dataset together may cost in USD; rows beyond it end as `over_budget`.

    Returns:
        The report: counts, cost, rows, failures, contact sheet, exports.

    Raises:
        AuthenticationError, PermissionDeniedError, QuotaError, RateLimitError: the run ended at once, after the
            calls in flight; its rows are open.
        MissingKeyError, ConfigurationError, InvalidRequestError: nothing was sent.
        SaveError: the disk refused; the pictures that were not saved are in `images`.
        CallAbandoned: it was interrupted.

    Example:
        >>> import comet_magic as cm
        >>> prompts = ["a red boat", "a blue boat"]
        >>> report = cm.generate_dataset(prompts, "boats", model="dall-e-2", size="256x256", progress=False)
        >>> report.counts["done"], report.cost
        (2, 32000)
        >>> again = cm.generate_dataset(prompts, "boats", model="dall-e-2", size="256x256", progress=False)
        >>> again.cost
        32000
    """
    job = read_job(
        source, out, prompt=prompt, dedupe=dedupe, redo=redo, max_per_minute=max_per_minute, options=options
    )
    _warn_of_billing_twice(job)
    return DatasetRun(job, cluster=cluster, progress=progress).report()


async def agenerate_dataset(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    dedupe: bool = False,
    redo: Redo | None = None,
    max_per_minute: float | None = None,
    cluster: Any = None,
    progress: bool = True,
    **options: Unpack[DatasetOptions],
) -> Dataset:
    """Turn a table of prompts into a dataset, awaited; takes, gives and raises what `generate_dataset` does.

    Cancelling the await is an interrupt: the calls in flight finish first.
    """
    job = read_job(
        source, out, prompt=prompt, dedupe=dedupe, redo=redo, max_per_minute=max_per_minute, options=options
    )
    _warn_of_billing_twice(job)
    run = DatasetRun(job, cluster=cluster, progress=progress)
    # Connecting, waiting and reading the report block: the caller's loop is left free.
    with ThreadPoolExecutor(1, "comet_magic-dataset") as thread:
        context = contextvars.copy_context()  # in a kernel it says which cell the progress belongs to
        ended = asyncio.get_running_loop().run_in_executor(thread, context.run, run.report)
        while not ended.done():
            try:
                await asyncio.wait({ended})
            except asyncio.CancelledError:
                run.interrupts += 1
    if run.interrupts:
        ended.exception()  # asyncio complains of an error that nobody asked for
        raise asyncio.CancelledError
    return ended.result()


class DatasetRun:
    """A run of a dataset, as seen by the thread that waits for it.

    Attributes:
        interrupts: how often the run was interrupted. The first time nothing more is sent, the second time the calls
            in flight are cancelled.
    """

    def __init__(self, job: DatasetJob, *, cluster: Any, progress: bool) -> None:
        self.interrupts = self._obeyed = 0
        self._job = job
        self._cluster = cluster
        self._progress = progress
        self._ended = False
        self._fetching: set[Future[Any]] = (
            set()
        )  # paid pictures that are still fetched when the run has ended

    def report(self) -> Dataset:
        """Run to the end; gives the report, or raises what the run ended with."""
        with self:
            self._wait(shown=True)
        fault = self._future.exception()
        if fault is not None:
            raise unwrapped(fault)
        error = self._runner.error
        if isinstance(error, CometError):
            raise self._explained(error)
        if error is not None:
            raise error
        dataset = open_dataset(self._job.folder)
        if self.interrupts:
            raise self._interrupted(dataset)
        return dataset

    def __enter__(self) -> Self:
        folder = self._job.folder.absolute()
        self._core = BatchCore(
            configure({**self._job.client, "archive": folder}),
            max_cost=self._job.max_cost,
            per_minute=self._job.per_minute,
        )
        self._workers = _workers(self._core, folder, self._cluster)
        self._runner = Runner(self._job, self._workers or self._core)
        self._display = make_display(shown=self._progress)
        self._next_look = time.monotonic() + self._display.every
        self._loop = LoopHandle()
        self._future: Future[None] = self._loop.portal.start_task_soon(self._runner.run)
        self._future.add_done_callback(self._end)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.interrupts += interrupted
        self._wait(shown=False)
        self._display.show(self._status())
        self._display.close()
        if self._workers is not None:
            self._workers.close()
        self._core.close()
        self._core.archive.close()
        self._loop.release()
        return interrupted  # `report` tells of it

    def _end(self, _: object) -> None:
        """The run has ended; called on the engine's thread, which no interrupt reaches."""
        self._fetching.update(self._core.jobs)
        for job in tuple(self._fetching):
            job.add_done_callback(self._fetching.discard)
        self._ended = True

    def _wait(self, *, shown: bool) -> None:
        """Wait for the end of the run and for paid pictures that are still fetched, unless it is cancelled.

        An interrupt is counted and passed on, at whatever moment it comes; the waiting goes on.
        """
        while not self._ended or (self._fetching and self.interrupts < 2):
            try:
                if self._obeyed < min(self.interrupts, 2):
                    self._obeyed += 1
                    self._obey()
                if shown and time.monotonic() >= self._next_look:
                    self._display.show(self._status())
                    self._next_look = time.monotonic() + self._display.every
                # Nothing that takes a lock in Python: an interrupt within would leave it locked for ever.
                time.sleep(STEP)
            except KeyboardInterrupt:
                self.interrupts += 1

    def _obey(self) -> None:
        """Pass one interrupt on to the run."""
        self._runner.stop()
        if self._obeyed == 1:
            self._display.say("stopping: calls in flight are finished first; interrupt again to cancel them")
        else:
            self._loop.portal.start_task_soon(self._runner.cancel)

    def _status(self) -> Status:
        runner = self._runner
        spend = self._core.archive.spend(self._job.base.vendor)
        return Status(dict(runner.counts), self._job.source.size, spend, runner.awaited)

    def _explained(self, error: CometError) -> CometError:
        """The error that ended the run, with the pictures that the disk refused and the number of open rows."""
        if self._runner.unsaved:
            from ..images import Images

            error.images = Images(self._runner.unsaved)
        count = open_dataset(self._job.folder).counts["open"]
        if count:
            rows = counted(count, "row is", "rows are")
            error.hint = f"{error.hint} {rows} open; run it again to go on.".strip()
        return error

    def _interrupted(self, dataset: Dataset) -> CallAbandoned:
        spend = self._core.archive.spend(self._job.base.vendor)
        return CallAbandoned(
            f"stopped: {in_words(dataset.counts)}; {dollars(spend.bound)} spent at most",
            outcome="unknown" if spend.uncertain else "billed",
            hint="Run it again: it goes on where it ended, and nothing that exists is paid for again.",
        )


def _workers(core: BatchCore, folder: Path, cluster: Any) -> Workers | None:
    if cluster is None:
        return None
    from ..dask import Workers

    return Workers(core, folder, cluster)


def _warn_of_billing_twice(job: DatasetJob) -> None:
    bounds = [call.bound for call in Reader(job.folder).uncertain()] if job.redo == "unknown" else []
    if bounds:
        calls = counted(len(bounds), "call of unknown outcome is", "calls of unknown outcome are")
        warnings.warn(
            f"{calls} sent again and may be billed twice ({dollars(total(bounds))} at the most)", stacklevel=3
        )
