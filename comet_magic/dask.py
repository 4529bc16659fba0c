"""A Dask cluster makes a dataset's pictures; the driver keeps ledger, limiter and money.

Needs the extra `dask`. Each request is one task that calls `generate_one` on a worker.
"""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from . import errors
from .archive import WorkerArchive
from .client.loop_thread import LoopHandle
from .errors import AmbiguousError, CometError, ConfigurationError
from .remote import generate_one
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .archive import Archive, Claim
    from .client.batch import BatchCore
    from .client.job import RunningCall
    from .request import ImageRequest

MESSAGE = 300  # characters of an error on its way to the driver
_TOLD = ("outcome", "code", "param", "request_id", "status_code", "attempts", "retry_after", "retryable")


def perform_on_worker(order: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a worker runs; gives None, or in less than a kilobyte what went wrong."""
    try:
        generate_one(**order)
    except CometError as error:
        told = {name: getattr(error, name) for name in _TOLD}
        return {"kind": type(error).__name__, "message": clean(error, limit=MESSAGE), **told}
    return None


def load() -> None:
    """Have a worker import what its calls need."""
    LoopHandle().release()


class Workers:
    """Performs requests on the workers of a Dask cluster, at most as many at once as the limiter admits.

    Args:
        core: the driver's; its archive is in the folder.
        folder: the dataset's, on a disk that the workers share.
        cluster: a `distributed.Client`, or the address of a scheduler.

    Raises:
        ConfigurationError: dask is not installed, the scheduler does not answer, or it is neither of both.
    """

    def __init__(self, core: BatchCore, folder: Path, cluster: Any) -> None:
        if not isinstance(cluster, str) and not hasattr(cluster, "submit"):
            what = f"cluster is of type {type(cluster).__name__}"
            raise ConfigurationError(f"{what}; a scheduler's address or a distributed.Client is taken")
        self._core = core
        self._own = isinstance(cluster, str)
        self._client = _connected(cluster) if self._own else cluster
        self._threads = ThreadPoolExecutor(core.settings.max_in_flight, "comet_magic-dask")
        self._depot = WorkerArchive(folder)
        given = {
            field.name: getattr(core.settings, field.name)
            for field in fields(core.settings)
            if field.name not in ("archive", "max_attempts", "max_cost", "max_cost_session", "max_cost_day")
        }
        self._order = {**given, "store": str(folder), "base_url": core.base.url, "max_attempts": 1}

    @property
    def archive(self) -> Archive:
        """The driver's."""
        return self._core.archive

    async def perform(self, request: ImageRequest, copy: int, *, redo: bool = False) -> RunningCall:
        """What came of one request for one copy."""
        return await self._core.delegate(request, copy, self, redo=redo)

    async def refetch(self, call_id: str) -> bool:
        """Whether a paid picture could be fetched, by the driver."""
        return await self._core.refetch(call_id)

    async def recover(self, *, again: bool = False) -> None:
        """Take over what dead drivers left; at first, wait until the workers have run something."""
        if not again:
            await self._ended(self._threads.submit(self._warm_up))
        await self._core.recover(again=again)

    def close(self) -> None:
        """Let go of the cluster; it runs on."""
        self._threads.shutdown(wait=False)
        if self._own:
            self._client.close()

    def _warm_up(self) -> None:
        """A worker's first tasks wait for its imports and then start together, however they were paced."""
        tasks = [
            self._client.submit(load, workers=[worker], allow_other_workers=True, pure=False, retries=0)
            for worker in self._client.nthreads()
        ]
        for task in tasks:
            task.exception()  # a worker that cannot load says so in its first call

    async def send(self, claim: Claim) -> CometError | None:
        """Have a worker send a claimed request once; the error that it ended with, or None."""
        assert claim.request is not None  # noqa: S101 - it was claimed here
        (copy,) = claim.copies
        order = {**self._order, "request": claim.request.to_dict(), "copy": copy, "call_id": claim.id}
        task = self._client.submit(
            perform_on_worker, order, key=f"comet-{uuid.uuid4().hex}", pure=False, retries=0
        )
        try:
            ended = await self._ended(self._threads.submit(task.result))
        finally:
            task.release()
        fault = ended.exception()
        if fault is None:
            told = ended.result()
            return None if told is None else _error(told)
        what = clean(f"{type(fault).__name__}: {fault}", limit=MESSAGE)
        if self._depot.begun(claim.id):
            return AmbiguousError(f"the worker was lost ({what})")
        return ConfigurationError(
            f"the workers cannot make pictures ({what})", hint="Is comet_magic installed on every worker?"
        )

    @staticmethod
    async def _ended(waiting: Future[Any]) -> Future[Any]:
        """The same once it is done; nothing is raised."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        waiting.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        return waiting


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        problem, hint = "dask is not installed", "pip install 'comet-magic[dask]'"
    else:
        try:
            connect: Any = Client  # it has no types
            return connect(address, set_as_default=False)
        except (OSError, ValueError) as error:
            problem = clean(error, limit=200) or type(error).__name__
            hint = "Is its scheduler running, and is this its address?"
    raise ConfigurationError(f"the cluster at {clean(address)} cannot be used: {problem}", hint=hint)


def _error(told: Mapping[str, Any]) -> CometError:
    kind = getattr(errors, told["kind"], CometError)
    error: CometError = kind(told["message"])
    return error.with_facts(**{name: told[name] for name in _TOLD})
