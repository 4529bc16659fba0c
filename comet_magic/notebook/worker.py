"""The one thread of a panel: does what takes time, and sends everything that the browser gets."""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from ..outputs import running_shell

if TYPE_CHECKING:
    from collections.abc import Callable


class Worker:
    """Does tasks one after the other.

    Args:
        after: called after each task and each `wake`, on the thread; if it raises, once more.
        failed: called with what a task, or `after`, raised; the thread goes on.
    """

    def __init__(self, after: Callable[[], object], failed: Callable[[BaseException], object]) -> None:
        self._after = after
        self._failed = failed
        self._bell = threading.Condition()
        self._tasks: deque[Callable[[], object]] = deque()
        self._later: deque[Callable[[], object]] = deque()
        self._awake = self._busy = self._ended = False
        kind: Any = getattr(
            sys.modules.get("marimo"), "Thread", threading.Thread
        )  # marimo's knows its session
        self._thread = kind(target=self._work, name="comet_panel", daemon=True)
        self._thread.start()

    def do(self, task: Callable[[], object], *, later: bool = False) -> None:
        """Have a task done soon; `later` lets the others pass."""
        with self._bell:
            (self._later if later else self._tasks).append(task)
            self._bell.notify_all()

    def wake(self) -> None:
        """Have `after` called soon."""
        with self._bell:
            self._awake = True
            self._bell.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether everything was done in time."""
        with self._bell:
            return self._bell.wait_for(lambda: self._ended or not (self._pending() or self._busy), timeout)

    def end(self) -> None:
        """End when the task at work is done, and wait for that; what waits is not done."""
        with self._bell:
            self._ended = True
            self._bell.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _pending(self) -> bool:
        return bool(self._tasks or self._later or self._awake)

    def _work(self) -> None:
        # ipykernel sends the next click to where the last message was published from: with a blank parent it is read
        # beside a cell that blocks the kernel. https://github.com/ipython/ipykernel/pull/1559
        parent: Any = getattr(getattr(running_shell(), "kernel", None), "_shell_parent", None)
        if hasattr(parent, "set"):
            parent.set({})
        while self._next():
            # once more, so that the fault itself is shown; what fails again would be tried for ever
            if not self._try(self._after) and not self._try(self._after):
                with self._bell:
                    self._awake = False

    def _next(self) -> bool:
        with self._bell:
            self._busy = False
            self._bell.notify_all()
            self._bell.wait_for(lambda: self._ended or self._pending())
            if self._ended:
                return False
            self._busy, self._awake = True, False
            queue = self._tasks or self._later
            task = queue.popleft() if queue else None
        if task is not None:
            self._try(task)
        return True

    def _try(self, task: Callable[[], object]) -> bool:
        try:
            task()
        except BaseException as fault:  # noqa: BLE001 - on this thread nobody else would see it
            self._failed(fault)
            return False
        return True
