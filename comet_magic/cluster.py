"""One request on a worker of a distributed engine, and the driver's side of a Dask cluster.

The driver keeps ledger, limiter and money; a worker writes picture and receipt to the folder that all share, and
finds its own API key. Work that is finished is found by its receipt, work that was begun by its mark.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from . import errors
from .archive import WorkerArchive
from .client.batch import BatchCore
from .client.config import configure
from .client.loop_thread import LoopHandle
from .errors import AmbiguousError, CometError, ConfigurationError, InvalidRequestError
from .request import ImageRequest
from .settings import ClientOptions, hide_keys, resolve_base_url
from .text import clean

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from .archive import Archive, Claim
    from .client.job import RunningCall

MESSAGE = 300  # characters of an error on its way to the driver
_TOLD = ("outcome", "code", "param", "request_id", "status_code", "attempts", "retry_after")


def generate_one(
    request: ImageRequest | Mapping[str, Any],
    store: str | os.PathLike[str],
    *,
    copy: int = 0,
    call_id: str = "",
    redo: bool = False,
    **client: Unpack[ClientOptions],
) -> dict[str, Any]:
    """Make one picture in a shared folder, or find it there; for tasks of Ray, Spark, Daft, Dask.

    Asked again for a copy that is finished it pays nothing. Asked again for one that was begun elsewhere it finishes
    what was paid, or refuses: it may be billed already.

    Args:
        request: what is asked, also as its `to_dict()`.
        store: the folder; all workers see the same.
        copy: which of several equal pictures.
        call_id: of the driver's ledger; one is derived from request and copy where there is none.
        redo: send also what was begun and is unknown; it may be billed twice.
        **client: settings of the client; the key is looked up where this runs.

    Returns:
        Less than a kilobyte: key, copy, path in the folder, mime, width, height, size, sha256, cost in micro-USD,
        request id.

    Raises:
        AmbiguousError: it was begun before, and nothing of it is here.
        CometError: as the call ended.
    """
    hide_keys(client)
    asked = request if isinstance(request, ImageRequest) else ImageRequest.from_dict(request)
    if asked.n != 1:
        raise InvalidRequestError(f"n is {asked.n}; one picture is made", param="n")
    depot = WorkerArchive(Path(store).expanduser(), store_prompts=client.get("store_prompts", True))
    key = asked.key(resolve_base_url(client.get("base_url")).vendor)
    found = depot.finished(key, copy)
    if found is not None:
        return _brief(found)
    call_id = call_id or (uuid.uuid4().hex if redo else _derived_id(key, copy))
    config = configure({**client, "archive": None})
    core = BatchCore(config, archive=depot, patient=False)
    make = _begin if depot.begin(call_id) else _finish
    try:
        make(core, depot, asked, copy, call_id)
    finally:
        core.close()
        depot.close()
    return _brief(depot.finished(key, copy) or {})


def _derived_id(key: str, copy: int) -> str:
    return hashlib.sha256(f"{key}.{copy}".encode()).hexdigest()[:32]


def _brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in ("id", "position", "revised_prompt")}


def _begin(core: BatchCore, depot: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """The call, marked as begun for as long as its end is open."""
    loop = LoopHandle()
    try:
        call = loop.portal.call(partial(core.perform, request, copy, call_id=call_id))
    finally:
        loop.release()
    error = call.errors[0] if call.errors else None
    if error is None or error.outcome in ("not_sent", "rejected"):
        depot.unmark(call_id)
    if error is not None:
        raise error


def _finish(core: BatchCore, depot: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """What somebody began and did not finish: its whole answer may be here, and costs nothing more."""
    depot.claim(request, vendor=core.base.vendor, reserve=None, copies=(copy,), call_id=call_id)
    try:
        job = core.fetch(call_id)
    except InvalidRequestError:
        problem = AmbiguousError(
            "this picture was begun by a worker that is gone; it may be billed",
            hint="redo=True makes it again; it may be billed twice.",
        )
    else:
        job.result()
        depot.unmark(call_id)
        return
    raise problem


# --- Dask


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

        async def send(claim: Claim) -> CometError | None:
            return await self._on_a_worker(claim, request, copy)

        return await self._core.delegate(request, copy, send, redo=redo)

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

    async def _on_a_worker(self, claim: Claim, request: ImageRequest, copy: int) -> CometError | None:
        order = {**self._order, "request": request.to_dict(), "copy": copy, "call_id": claim.id}
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
