"""One background thread of a panel, there only while there is something to do.

Widgets' callbacks come on a thread of the host's choice and must return at once, and the engine's thread
must not be held up either: what takes time, and everything that is drawn while a call runs, is done here.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT = 0.25  # seconds between two looks while something runs


class Hand:
    """Does tasks one after the other, and looks after what runs in between.

    Args:
        look: draws what has changed; returns whether something still runs and is to be looked after.
    """

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._bell = threading.Condition()
        self._tasks: deque[Callable[[], object]] = deque()
        self._rung = False
        self._thread: threading.Thread | None = None
        # A kernel knows by its context where a thread's messages belong.
        # https://github.com/jupyter-widgets/ipywidgets/issues/4001
        self._context = copy_context()

    def do(self, task: Callable[[], object], *, first: bool = False) -> None:
        """Have a task done soon; `first` lets it pass those that wait."""
        with self._bell:
            if first:
                self._tasks.appendleft(task)
            else:
                self._tasks.append(task)
            self._wake()

    def ring(self) -> None:
        """Have a look at once: something happened."""
        with self._bell:
            self._rung = True
            self._wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether everything was done in time."""
        with self._bell:
            return self._bell.wait_for(lambda: self._thread is None, timeout)

    def _wake(self) -> None:
        self._bell.notify_all()
        if self._thread is None:
            run = self._context.copy().run
            self._thread = threading.Thread(target=run, args=(self._work,), name="comet_panel", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:
            busy = True
            while (task := self._next(busy=busy)) is not None:
                task()
                busy = self._look()
        finally:
            with self._bell:
                # After a fault of ours the next task finds a new thread.
                if self._thread is threading.current_thread():
                    self._thread = None
                self._bell.notify_all()

    def _next(self, *, busy: bool) -> Callable[[], object] | None:
        """What to do next; None, and the thread is gone, when there is nothing."""
        with self._bell:
            if not self._tasks and not self._rung:
                if busy:
                    self._bell.wait(BEAT)
                else:
                    self._thread = None
                    return None
            self._rung = False
            return self._tasks.popleft() if self._tasks else _nothing


def _nothing() -> None:
    """Only look."""
