"""`Client` and `AsyncClient`: the public classes; the work is done by their `Core`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from weakref import WeakKeyDictionary

import anyio

from ..request import Options
from ..settings import ClientOptions, hide_keys
from .core import Core, configure
from .job import Job, wait
from .vendor import balance, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent import futures

    from ..archive import Archive, Spend
    from ..images import Images
    from .core import Plan
    from .vendor import Balance, Listed

F = TypeVar("F", bound="Callable[..., Any]")


def named(function: F) -> F:
    """Show every option by its name in signatures, help and completion; the one list of them is `Options`."""
    shown = inspect.signature(function)
    own = [one for one in shown.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__)
        for name, kind in Options.__annotations__.items()
    ]
    function.__signature__ = shown.replace(parameters=[*own, *options])  # type: ignore[attr-defined]  # PEP 362
    return function


HEARTBEAT = 0.2  # seconds; an interrupt of an awaited call acts when the loop next wakes
OURS = str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent)  # no line of theirs is the caller's


class _BaseClient:
    """What `Client` and `AsyncClient` share."""

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        """Make a client; nothing is sent and nothing is written yet.

        Args:
            **options: `api_key`, `base_url`, and by name what `help(comet_magic.settings.Settings)` explains with its
                units and defaults: `timeout`, `max_in_flight`, `archive`, `max_cost_session`...

        Raises:
            MissingKeyError: no key was found.
            ConfigurationError: a setting cannot be used.
        """
        self._core = Core(configure(options))

    def __repr__(self) -> str:
        core = getattr(self, "_core", None)  # a traceback may show a client whose making failed
        return f"{type(self).__name__}({core!r})"

    @named
    def submit(self, prompt: str, **options: Unpack[Options]) -> Job:
        """Start a call and return at once; takes what `comet_magic.generate` does.

        Returns:
            A `concurrent.futures.Future` of `Images`. `.abandon()` cancels what was not sent yet, `.price` is what
            it should cost.

        Raises:
            InvalidRequestError: a parameter breaks a rule; nothing was sent. All else is raised by `.result()`.
        """
        hide_keys(options)
        return self._core.submit(prompt, options)

    @named
    def plan(self, prompt: str, **options: Unpack[Options]) -> Plan:
        """What a call would send and cost; takes what `comet_magic.generate` does, and sends nothing.

        Returns:
            `.requests`, each with `.body()`, and `.price`: `.low` and `.high` in micro-USD, None where unknown.

        Raises:
            InvalidRequestError: a parameter breaks a rule.
        """
        hide_keys(options)
        return self._core.plan(prompt, options)

    @property
    def archive(self) -> Archive:
        """Where the pictures and the ledger are."""
        return self._core.archive

    @property
    def vendor(self) -> str:
        """The account that money is counted for: `cometapi`, `sandbox`, or a host."""
        return self._core.base.vendor

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._core.base.url

    @property
    def key_source(self) -> str:
        """Where the key was found; never the key."""
        return self._core.key.source

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Calls that still run, also in the background."""
        return self._core.jobs

    async def _awaited(self, prompt: str, options: Options) -> Images:
        """Make a call from an asyncio loop; with `reuse`, which reads the archive, it is started in a thread."""
        start = partial(self.submit, prompt, **options)
        job = await started(self._core, start) if options.get("reuse") else start()
        return checked(await finished(job), options)

    def spend(self) -> Spend:
        """What this process has spent at this client's vendor in its archive, with its upper bound."""
        return self._core.archive.spend(vendor=self.vendor, session=self._core.session)


class Client(_BaseClient):
    """A client whose calls wait for their pictures.

    Example:
        >>> import comet_magic as cm
        >>> with cm.start_sandbox() as sandbox, cm.Client(
        ...     base_url=sandbox.base_url, api_key="sandbox", archive=None
        ... ) as client:
        ...     client.generate("a paper boat", size="256x256", model="dall-e-2").image.size
        (256, 256)
    """

    @named
    def generate(self, prompt: str, **options: Unpack[Options]) -> Images:
        """Turn a prompt into pictures; takes, gives and raises what `comet_magic.generate` does."""
        hide_keys(options)
        return checked(wait(self.submit(prompt, **options)), options)

    def fetch(self, call_id: str) -> Images:
        """Fetch the missing pictures of a paid call again, while their addresses live; free.

        Args:
            call_id: the call's id in the history, or the beginning of it.

        Raises:
            InvalidRequestError: that call has no pictures left to fetch.
            CometError: the pictures could not be fetched this time either.
        """
        return wait(self._core.fetch(call_id))

    def catalogue(self) -> tuple[Listed, ...]:
        """The image models and prices that the vendor lists today; read without the key, kept for an hour.

        Raises:
            CometError: the catalogue cannot be read.
        """
        return self._core.start(catalogue, self._core.api, self._core.base).result()

    def balance(self) -> Balance:
        """Money that the key has used and has left, as the vendor reports it.

        Raises:
            CometError: the vendor does not report it.
        """
        return self._core.start(balance, self._core.api, self._core.base).result()

    def close(self) -> None:
        """Take no more calls; what was already sent runs on in the background."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_BaseClient):
    """A client whose calls are awaited, from any asyncio loop.

    Example:
        >>> import asyncio, comet_magic as cm
        >>> async def fleet(base_url):
        ...     async with cm.AsyncClient(base_url=base_url, api_key="sandbox", archive=None) as client:
        ...         calls = [client.generate(f"{n} boats", model="dall-e-2", size="256x256") for n in (2, 3)]
        ...         return [images.prompt for images in await asyncio.gather(*calls)]
        >>> with cm.start_sandbox() as sandbox:
        ...     asyncio.run(fleet(sandbox.base_url))
        ['2 boats', '3 boats']
    """

    @named
    async def generate(self, prompt: str, **options: Unpack[Options]) -> Images:
        """Turn a prompt into pictures; takes, gives and raises what `Client.generate` does.

        Cancelling the await leaves calls that were already sent running in the background.
        """
        hide_keys(options)
        return await self._awaited(prompt, options)

    async def fetch(self, call_id: str) -> Images:
        """Fetch the missing pictures of a paid call again; takes, gives and raises what `Client.fetch` does."""
        return await finished(await started(self._core, partial(self._core.fetch, call_id)))

    async def catalogue(self) -> tuple[Listed, ...]:
        """The image models and prices that the vendor lists today; gives and raises what `Client.catalogue` does."""
        return await asyncio.wrap_future(self._core.start(catalogue, self._core.api, self._core.base))

    async def balance(self) -> Balance:
        """Money that the key has used and has left; gives and raises what `Client.balance` does."""
        return await asyncio.wrap_future(self._core.start(balance, self._core.api, self._core.base))

    async def aclose(self) -> None:
        """Take no more calls; what was already sent runs on in the background."""
        await asyncio.to_thread(self._core.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def started(core: Core, start: Callable[[], Job]) -> Job:
    """The job that a blocking function starts, in a thread; abandoned if the await is cancelled meanwhile."""
    starting = core.start(anyio.to_thread.run_sync, start)
    waiting = asyncio.wrap_future(starting)
    waiting.add_done_callback(_retrieve)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        starting.add_done_callback(_abandon_started)
        raise


def _abandon_started(starting: futures.Future[Job]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().abandon()


async def finished(job: Job) -> Images:
    """A job's result, awaited while the loop wakes often enough that an interrupt acts within 0.2 s."""
    future = asyncio.wrap_future(job)
    future.add_done_callback(_retrieve)
    try:
        with _heartbeat(asyncio.get_running_loop()):
            await asyncio.wait({future})
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.to_thread(job.abandon))
        raise
    return future.result()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve how a future ended: asyncio would warn about an error that is never looked at."""
    if not future.cancelled():
        future.exception()


_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


@contextlib.contextmanager
def _heartbeat(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wake a loop every 0.2 s, once for all tasks that wait in it."""
    beating = loop in _waiting
    _waiting[loop] = _waiting.get(loop, 0) + 1
    if not beating:
        _beat(loop)
    try:
        yield
    finally:
        _waiting[loop] -= 1


def _beat(loop: asyncio.AbstractEventLoop) -> None:
    if _waiting[loop]:
        loop.call_later(HEARTBEAT, _beat, loop)
    else:
        del _waiting[loop]


def checked(images: Images, options: Options) -> Images:
    """The pictures; warns in the caller's own line if they are fewer than requested."""
    asked = options.get("n") or 1
    if len(images) < asked:
        message = f"{asked} pictures were requested; the answer held {len(images)}"
        warnings.warn(message, stacklevel=callers_level())
    return images


def callers_level() -> int:
    """The `stacklevel` of the first frame outside of this package and asyncio, as seen by the function that warns."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        frame, level = frame.f_back, level + 1
    return level
