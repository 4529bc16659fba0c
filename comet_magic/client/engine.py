"""The one event loop in its one background thread per process; started by the first client, ended with the last.

A forked child gets a loop of its own. At the interpreter's end what still runs is given up, within two seconds.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from anyio.from_thread import BlockingPortalProvider

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

_provider = BlockingPortalProvider()
EXIT_TIMEOUT = 2.0  # seconds


class Lease:
    """A share in the engine; give it back with `release`."""

    def __init__(self) -> None:
        self._provider = _provider
        self._pid = os.getpid()
        self.portal: BlockingPortal = self._provider.__enter__()
        self._lock = threading.Lock()
        self._held = True
        _leases.add(self)

    @property
    def usable(self) -> bool:
        """Whether this lease was taken in this very process and is still held."""
        return self._held and self._pid == os.getpid()

    def release(self) -> None:
        """Give the share back; the thread ends with the last one."""
        with self._lock:
            held, self._held = self.usable, False
        _leases.discard(self)
        if held:
            self._provider.__exit__(None, None, None)

    def release_later(self) -> None:
        """Give the share back from the engine's own thread, which cannot wait for itself."""
        threading.Thread(target=self.release, name="comet_magic-release").start()


_leases: set[Lease] = set()


def _after_fork() -> None:
    global _provider  # noqa: PLW0603 - the parent's thread does not exist here
    _provider = BlockingPortalProvider()
    _leases.clear()


def _at_exit() -> None:
    lease = next(iter(_leases), None)
    if lease is None or not lease.usable:
        return

    def stop() -> None:
        lease.portal.call(lease.portal.stop, True)  # noqa: FBT003 - cancel what remains

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    thread.join(EXIT_TIMEOUT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
