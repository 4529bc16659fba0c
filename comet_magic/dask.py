"""A Dask cluster makes a dataset's pictures; the driver keeps ledger, limiter and money.

Needs the extra `dask`. Each request is one task that calls `generate_one` on a worker.
"""

from __future__ import annotations

import asyncio
import platform
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import errors
from .archive import WorkerArchive
from .archive.process_lock import has_lock
from .client.loop_thread import LoopHandle
from .errors import AmbiguousError, CometError, ConfigurationError
from .extras import load_extra
from .remote import generate_one
from .request import ImageRequest, Inputs
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .archive import Archive, Claim
    from .client.batch import BatchCore
    from .client.job import RunningCall

MESSAGE = 300  # characters of an error on its way to the driver
_FACTS = ("outcome", "code", "param", "request_id", "status_code", "attempts", "retry_after", "retryable")


def perform_on_worker(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a worker runs; gives None, or the error as a mapping of less than a kilobyte."""
    given = {**arguments}
    blind = check_worker(given["store"], given.pop("token"))  # it may have joined after the others were asked
    if blind is not None:
        return blind
    inputs = Inputs.from_list(given.pop("inputs", []), Path(given["store"]))
    try:
        if inputs.images:
            given["request"] = ImageRequest.from_dict(given["request"], inputs)
        generate_one(**given)
    except CometError as error:
        return _told(error)
    return None


def check_worker(folder: str, token: str) -> dict[str, Any] | None:
    """Whether this worker sees the folder in which the driver works; gives None, or the error as a mapping.

    What calls need is imported by this, too: calls that wait for it would start together, whatever the pace.
    """
    LoopHandle().release()
    if has_lock(Path(folder), token):
        return None
    return _told(
        ConfigurationError(
            f"the worker on {platform.node()} does not see the folder {clean(folder)} of this run",
            hint="Workers write the pictures there: give `out` a folder that all of them see under the same path, "
            "such as one on a network drive, or leave out `cluster`.",
        )
    )


class Workers:
    """Makes pictures on the workers of a Dask cluster, at most as many at once as the limiter admits.

    Args:
        core: the driver's; its archive is in the folder.
        folder: the dataset's, on a disk that the workers share: the driver's lock in it shows that they do.
        cluster: a `distributed.Client`, or the address of a scheduler.

    Raises:
        ConfigurationError: dask is not installed, the scheduler does not answer, or `cluster` is something else.
    """

    def __init__(self, core: BatchCore, folder: Path, cluster: Any) -> None:
        if not isinstance(cluster, str) and not hasattr(cluster, "submit"):
            what = type(cluster).__name__
            raise ConfigurationError(
                f"cluster must be a distributed.Client or a scheduler's address, not {what}"
            )
        self._core = core
        self._own = isinstance(cluster, str)
        self._client = _connected(cluster) if self._own else cluster
        self._threads = ThreadPoolExecutor(core.settings.max_in_flight, "comet_magic-dask")
        self._marks = WorkerArchive(folder)
        given = {
            field.name: getattr(core.settings, field.name)
            for field in fields(core.settings)
            if field.name not in ("archive", "max_attempts", "max_cost", "max_cost_session", "max_cost_day")
        }
        self._arguments = {**given, **core.base.options(), "store": str(folder), "max_attempts": 1}

    @property
    def archive(self) -> Archive:
        """The driver's."""
        return self._core.archive

    async def perform(self, request: ImageRequest, copy: int, *, redo: bool = False) -> RunningCall:
        """Send one request by a worker; pictures and errors are in the call."""
        return await self._core.delegate(request, copy, self, redo=redo)

    async def refetch(self, call_id: str, request: ImageRequest) -> BaseException | None:
        """Fetch the missing pictures of a paid call, by the driver; None if they are there now."""
        return await self._core.refetch(call_id, request)

    def abandon(self) -> None:
        """Cancel what no worker has yet, or what waits to be sent again."""
        self._core.abandon()

    async def recover(self, *, again: bool = False) -> None:
        """Finish the calls that dead drivers left; the first time, ask the workers whether they see the folder.

        Raises:
            ConfigurationError: one does not, or the cluster does not answer.
        """
        if not again:
            fault = (await self._ended(self._threads.submit(self._check))).exception()
            if fault is not None:
                raise fault if isinstance(fault, CometError) else _cannot(fault)
        await self._core.recover(again=again)

    def close(self) -> None:
        """Disconnect from the cluster; it runs on."""
        self._threads.shutdown(wait=False)
        if self._own:
            self._client.close()

    def _check(self) -> None:
        folder, token = self._arguments["store"], self.archive.token
        self._arguments["token"] = token
        answers = self._client.run(check_worker, folder, token, on_error="return")
        # a worker that could not be asked fails in its first call
        blind = {address: told for address, told in answers.items() if isinstance(told, dict)}
        if not blind:
            return
        error = _error(next(iter(blind.values())))
        if len(blind) > 1:
            names = clean(", ".join(map(str, blind)), limit=MESSAGE)
            error = ConfigurationError(
                f"{len(blind)} of {len(answers)} workers do not see the folder {clean(folder)} of this run: {names}",
                hint=error.hint,
            )
        raise error

    async def send(self, claim: Claim) -> CometError | None:
        """Have a worker send a claimed request once; the error that it ended with, or None."""
        assert claim.request is not None  # noqa: S101 - it was claimed here
        (copy,) = claim.copies
        request = claim.request.to_dict()
        arguments = {**self._arguments, "request": request, "copy": copy, "call_id": claim.id}
        if claim.request.inputs.images:  # their files are in the folder that all share
            arguments["inputs"] = claim.request.inputs.to_list()
        task = self._client.submit(
            perform_on_worker, arguments, key=f"comet-{uuid.uuid4().hex}", pure=False, retries=0
        )
        try:
            ended = await self._ended(self._threads.submit(task.result))
        finally:
            task.release()
        fault = ended.exception()
        if fault is None:
            told = ended.result()
            return None if told is None else _error(told)
        if self._marks.begun(claim.id):
            return AmbiguousError(f"the worker was lost ({_named(fault)})")
        return _cannot(fault)

    @staticmethod
    async def _ended(waiting: Future[Any]) -> Future[Any]:
        """Wait until a future is done, and give it back; nothing is raised."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        waiting.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        return waiting


def _connected(address: str) -> Any:
    distributed = load_extra("distributed", "dask")
    try:
        return distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        problem = clean(error, limit=200) or type(error).__name__
    raise ConfigurationError(
        f"the cluster at {clean(address)} cannot be used: {problem}",
        hint="Is its scheduler running, and is this its address?",
    )


def _named(fault: BaseException) -> str:
    return clean(f"{type(fault).__name__}: {fault}", limit=MESSAGE)


def _cannot(fault: BaseException) -> CometError:
    return ConfigurationError(
        f"the workers cannot make pictures ({_named(fault)})",
        hint="Is comet_magic installed on every worker?",
    )


def _told(error: CometError) -> dict[str, Any]:
    texts = {"message": clean(error, limit=MESSAGE), "hint": clean(error.hint, limit=MESSAGE)}
    return {"kind": type(error).__name__, **texts, **{name: getattr(error, name) for name in _FACTS}}


def _error(told: Mapping[str, Any]) -> CometError:
    kind = getattr(errors, told["kind"], CometError)
    error: CometError = kind(told["message"])
    return error.with_facts(**{name: told[name] for name in ("hint", *_FACTS)})
