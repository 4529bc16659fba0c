"""The end of a process: signals that ask for it are heard, and what was sent is waited for.

`end_signals` hears `docker stop` or a closed terminal while a run or a wait lasts. The end of a script waits for the
calls that were sent and cancels those that were not: when the main thread has ended, before Python ends the threads
that a call needs.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import math
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING

from ..money import dollars, total
from ..outputs import tell
from ..text import clean, counted
from .loop_thread import EXIT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from .core import Core
    from .job import Job, RunningCall

NAMES = ("SIGTERM", "SIGHUP")
BURST = 0.1  # seconds; a closed terminal and `timeout` send one request to end several times at once
MOST = 2  # requests to end that are heard; the next one ends the process as ever


@contextlib.contextmanager
def end_signals(hear: Callable[[int], object]) -> Iterator[None]:
    """Hand SIGTERM and SIGHUP to a function for the block, in place of their default, which ends the process at once.

    It changes nothing outside the main thread, and nothing where a signal is ignored (`nohup`) or has a handler of the
    user's; afterwards all is as before. A forked child is ended by them as ever.

    Args:
        hear: called with the number of the signal in the main thread; it must be quick and take no lock.
    """
    process, heard, last = os.getpid(), 0, float("-inf")

    def pass_on(number: int, _: FrameType | None) -> None:
        nonlocal heard, last
        now = time.monotonic()
        same, last = now - last < BURST, now
        heard += not same
        if os.getpid() != process or heard > MOST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not same:
            hear(number)

    ours: list[int] = []
    try:
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    ours.append(number)
                    signal.signal(number, pass_on)
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is pass_on:  # not if somebody has set another one meanwhile
                signal.signal(number, signal.SIG_DFL)


# --- the end of a script

SILENT = 2.0  # seconds of waiting before a line says so
STEP = 0.02  # seconds between two looks

_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_ending = False


def wait_at_exit(core: Core) -> None:
    """Wait for the calls of this core when the script ends."""
    _cores.add(core)


def too_late() -> bool:
    """Whether the script has ended and nobody is left who could wait for a new call of this thread."""
    return _ending and threading.current_thread().daemon


def _jobs() -> list[Job]:
    return [job for core in list(_cores) for job in core.jobs]


def _at_exit() -> None:
    global _ending  # noqa: PLW0603 - a process ends once
    _ending = True
    tell_at, cancelled = time.monotonic() + SILENT, 0
    signals: list[int] = []
    jobs: Sequence[Job] = ()
    try:
        with end_signals(signals.append):  # the first changes nothing: what was sent is waited for
            while len(signals) < 2 and (jobs := _jobs()):
                # a thread that Python itself waits for goes on with its own
                left = [job for job in jobs if not (job.abandoned or job.has_waiter())]
                cancelled += sum(job.abandon().cancelled for job in left)
                if time.monotonic() >= tell_at and (sent := _sent(jobs)):
                    tell(_waiting(len(sent), cancelled), error=True)
                    tell_at = math.inf
                time.sleep(STEP)
    except KeyboardInterrupt:
        _leave(jobs)
    else:
        if jobs:
            _leave(jobs)


def _sent(jobs: Sequence[Job]) -> list[RunningCall]:
    return [call for job in jobs for call in job.calls if call.sent and not call.ended]


def _waiting(sent: int, cancelled: int) -> str:
    calls = counted(sent, "request that was sent", "requests that were sent")
    others = counted(cancelled, "that was not sent is", "that were not sent are")
    return f"waiting for {calls}; {others} cancelled; interrupt to leave without waiting"


def _leave(jobs: Sequence[Job]) -> None:
    """Leave what was sent as unknown, and list it."""
    calls = _sent(jobs)
    for job in jobs:
        job.drop()
    number = counted(len(calls), "request was", "requests were")
    bound = dollars(total(call.reserved for call in calls))
    lines = [f"{number} sent and not answered; unknown, and may be billed (at most {bound}):"]
    lines += [
        f"  {call.call_id} {call.request.model}: {clean(call.request.prompt, limit=60)}" for call in calls
    ]
    tell("\n".join(lines), error=True)
    end = time.monotonic() + EXIT_TIMEOUT
    while time.monotonic() < end and not all(job.done() for job in jobs):
        time.sleep(STEP)


# Python ends its pools of threads by this hook, the last one first; at `atexit` they are gone, and with them the
# thread that looks up the names of hosts.
with contextlib.suppress(RuntimeError):  # it is imported by a script that has ended already
    importlib.import_module("concurrent.futures.thread")
    getattr(threading, "_register_atexit", atexit.register)(_at_exit)
