"""The signals that ask a process to end, heard while a run or a wait lasts: `docker stop`, a closed terminal."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

NAMES = ("SIGTERM", "SIGHUP")
BURST = 0.1  # seconds; a closed terminal and `timeout` send one request to end several times at once
MOST = 2  # requests to end that are heard; the next one ends the process as ever


class EndSignals:
    """Hands SIGTERM and SIGHUP to a function, in place of their default, which is to end the process at once.

    A context manager. It changes nothing outside the main thread, and nothing where a signal is ignored (`nohup`) or
    has a handler of the user's; afterwards all is as before. A forked child is ended by them as ever.

    Args:
        hear: called with the number of the signal in the main thread; it must be quick and take no lock.
    """

    def __init__(self, hear: Callable[[int], object]) -> None:
        self._tell = hear
        self._process = os.getpid()
        self._count, self._last = 0, float("-inf")
        self._ours: list[int] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
            self._ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
            for number in self._ours:
                signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._ours:
            if signal.getsignal(number) == self._hear:  # not if somebody has set another one meanwhile
                signal.signal(number, signal.SIG_DFL)

    def _hear(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        same, self._last = now - self._last < BURST, now
        self._count += not same
        if os.getpid() != self._process or self._count > MOST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not same:
            self._tell(number)
