"""The one event loop in one background thread per process: started by the first client, ended with the last.

A forked child gets a loop of its own, and a loop that died is replaced. When the interpreter ends, what still runs
is cancelled within two seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from concurrent.futures import CancelledError, Future
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

EXIT_TIMEOUT = 2.0  # seconds


class LoopThread:
    """A loop in a thread, with a portal to it.

    anyio's own way to start one ends it when the last reference goes, which in a forked child waits for ever for
    a thread that is not there.
    """

    def __init__(self) -> None:
        self._started: Future[BlockingPortal] = Future()
        self.thread = threading.Thread(target=self._work, name="comet_magic", daemon=True)
        self.thread.start()
        self.portal = self._started.result()

    @property
    def alive(self) -> bool:
        """Whether it can still run something."""
        return self.thread.is_alive() and not self._loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this very thread."""
        return threading.current_thread() is self.thread

    def _work(self) -> None:
        try:
            Context().run(anyio.run, self._serve)
        except BaseException as fault:
            if not self._started.done():
                self._started.set_exception(fault)
            elif not ending():  # then threads cannot be started any more, which the loop's end may want
                raise

    async def _serve(self) -> None:
        self._loop, self._context = asyncio.get_running_loop(), copy_context()
        with anyio.CancelScope() as self._scope:
            async with anyio.create_task_group() as self._tasks, BlockingPortal() as portal:
                self._started.set_result(portal)
                await portal.sleep_until_stopped()

    def start(self, act: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Begin a task, from any thread, the loop's own too.

        Raises:
            RuntimeError: the loop has ended.
        """
        begin = partial(self._tasks.start_soon, act, *arguments)
        self._loop.call_soon_threadsafe(begin, context=self._context.copy())

    def call(self, act: Callable[[], T]) -> T:
        """The result of `act`, run once on the loop; run here if the loop has ended, or is this very thread's."""
        if self.is_here or not self.alive:
            return act()
        try:
            running = self.portal.start_task_soon(act)
        except RuntimeError:  # it ended just now
            return act()
        try:
            return running.result()
        except CancelledError:  # it ended before it came to this
            return act()

    def end(self) -> None:
        """Wait for what runs, then for the thread."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self.portal.call(self.portal.stop)
        self.thread.join()

    def give_up(self, seconds: float) -> None:
        """Cancel what runs, and wait at most so long for it to end."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._scope.cancel)
        self.thread.join(seconds)


class LoopHandle:
    """A share in the process's loop thread; give it back with `release`, make a new one if the thread has died."""

    def __init__(self) -> None:
        global _thread  # noqa: PLW0603 - one per process is the point
        with _lock:
            if _thread is None or not _thread.alive:
                _handles.clear()  # those of a dead thread have nothing to give back
                _thread = LoopThread()
            self.thread = _thread
            _handles.add(self)
        self.portal = self.thread.portal

    def release(self) -> None:
        """Give the share back, from any thread; the loop's thread ends with the last one."""
        global _thread  # noqa: PLW0603 - likewise
        with _lock:
            held = self in _handles
            _handles.discard(self)
            ended = _thread if held and not _handles and not _ending else None
            if ended is not None:
                _thread = None
        if ended is not None and ended.is_here:  # it cannot wait for itself
            threading.Thread(target=ended.end, name="comet_magic-release").start()
        elif ended is not None:
            ended.end()


class WorkerThreads:
    """Threads for what would stop the loop; used on the loop, made when they are needed.

    anyio's own take two more turns of the loop for each piece of work, a tenth of what a call costs. These too end with
    the process, whatever they do then.

    Args:
        most: threads at the same time; what comes beyond waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._begin()

    async def run(self, act: Callable[..., T], *arguments: Any) -> T:
        """The result of `act` in a thread; a cancellation waits for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._running += 1
        if self._threads < min(self._running, self._most):
            self._threads += 1
            threading.Thread(
                target=_serve, args=(self._work,), name="comet_magic-worker", daemon=True
            ).start()
        self._work.put(partial(_finish, loop, done, act, arguments))
        try:
            with anyio.CancelScope(shield=True):
                await done
        finally:
            self._running -= 1
        return done.result()

    def end(self) -> None:
        """End the threads, which have nothing more to do."""
        self._end()
        self._begin()

    def _begin(self) -> None:
        self._threads = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._end = weakref.finalize(self, self._work.put, None)
        self._end.atexit = False  # then calls still come to their end, and the threads end with the process


def _serve(work: SimpleQueue[Callable[[], None] | None]) -> None:
    """Do what is in the queue, until None is; the other threads of the queue find it there too."""
    while (piece := work.get()) is not None:
        piece()
        del piece
    work.put(None)


def _finish(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[T],
    act: Callable[..., T],
    arguments: tuple[Any, ...],
) -> None:
    """Do a piece of work and hand its result, or its fault, to the loop."""
    try:
        tell = partial(done.set_result, act(*arguments))
    except BaseException as fault:  # noqa: BLE001 - it is raised where the result is awaited
        tell = partial(done.set_exception, fault)
    with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(_tell, done, tell)
    del tell  # a fault leads to this frame


def _tell(done: asyncio.Future[Any], tell: Callable[[], None]) -> None:
    if not done.done():
        tell()


def ending() -> bool:
    """Whether the interpreter ends, when a job that fails has no one left to report to."""
    return _ending


def unwrapped(fault: BaseException) -> Any:
    """The fault itself, without the exception groups that task groups wrap it in; the first of several."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault


_ending = False
_lock = threading.Lock()
_thread: LoopThread | None = None
_handles: set[LoopHandle] = set()


def _after_fork() -> None:
    global _lock, _thread  # noqa: PLW0603 - the parent's thread does not exist here
    _lock = threading.Lock()
    _thread = None
    _handles.clear()


def _at_exit() -> None:
    global _ending  # noqa: PLW0603 - an interpreter ends once
    _ending = True
    if _thread is not None:
        _thread.give_up(EXIT_TIMEOUT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
