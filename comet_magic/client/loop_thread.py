"""The one event loop in its one background thread per process; started by the first client, ended with the last.

A forked child gets a loop of its own. At the interpreter's end what still runs is given up, within two seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
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
        self._thread = threading.Thread(target=self._work, name="comet_magic", daemon=True)
        self._thread.start()
        self.portal = self._started.result()

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
        """Begin a task, from any thread, the loop's own too."""
        begin = partial(self._tasks.start_soon, act, *arguments)
        self._loop.call_soon_threadsafe(begin, context=self._context.copy())

    def call(self, act: Callable[[], T]) -> T:
        """What `act` gives, done on the loop; where it has ended, or is this very thread, done here."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            with contextlib.suppress(RuntimeError):  # it ended just now
                return self.portal.call(act)
        return act()

    def end(self) -> None:
        """Wait for what runs, then for the thread."""
        self.portal.call(self.portal.stop)
        self._thread.join()

    def give_up(self, seconds: float) -> None:
        """Cancel what runs, and wait so long for its last words."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._scope.cancel)
        self._thread.join(seconds)


class LoopHandle:
    """A share in the engine; give it back with `release`."""

    def __init__(self) -> None:
        global _engine  # noqa: PLW0603 - one per process is the point
        with _lock:
            if _engine is None:
                _engine = LoopThread()
            self.portal = _engine.portal
            self.start, self.call = _engine.start, _engine.call
            _leases.add(self)

    def release(self) -> None:
        """Give the share back; the thread ends with the last one."""
        global _engine  # noqa: PLW0603 - likewise
        with _lock:
            held = self in _leases
            _leases.discard(self)
            ended = _engine if held and not _leases and not _ending else None
            if ended is not None:
                _engine = None
        if ended is not None:
            ended.end()

    def release_later(self) -> None:
        """Give the share back from the engine's own thread, which cannot wait for itself."""
        if not _ending:
            threading.Thread(target=self.release, name="comet_magic-release").start()


def ending() -> bool:
    """Whether the interpreter ends: nobody can be told anything any more."""
    return _ending


def unwrapped(fault: BaseException) -> Any:
    """The fault itself, without the groups that the tasks side by side make of it; the first of several."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault


_ending = False
_lock = threading.Lock()
_engine: LoopThread | None = None
_leases: set[LoopHandle] = set()


def _after_fork() -> None:
    global _lock, _engine  # noqa: PLW0603 - the parent's thread does not exist here
    _lock = threading.Lock()
    _engine = None
    _leases.clear()


def _at_exit() -> None:
    global _ending  # noqa: PLW0603 - an interpreter ends once
    _ending = True
    if _engine is not None:
        _engine.give_up(EXIT_TIMEOUT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
