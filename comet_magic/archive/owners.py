"""Which process works on a call, and whether it still lives.

A process holds a lock on a file of its own for as long as it lives. The system lets go of the lock when the
process ends, however it ends, so a process id used twice, a container or a restart cannot mislead.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import weakref
from typing import TYPE_CHECKING

from comet_magic.files import make_folder

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Owner:
    """This process's sign of life in one archive; it ends with the process or with `close`."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.token = secrets.token_hex(8)
        self._path = folder / f"{self.token}.lock"
        self._descriptor = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        _try_lock(self._descriptor)
        _living.add(self)

    @property
    def holds(self) -> bool:
        """Whether it stands: not after a fork, nor when somebody removed the folder."""
        return self._descriptor >= 0 and self._path.exists()

    def close(self) -> None:
        """End the sign of life; the calls of this owner count as left behind."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            self.forget()

    def forget(self) -> None:
        """Let go of the descriptor only: after a fork the lock is the parent's."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1


def is_alive(folder: Path, token: str) -> bool:
    """Whether the process with this token still lives; what a dead one left is removed."""
    path = folder / f"{token}.lock"
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        if not _try_lock(descriptor):
            return True
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


_living: weakref.WeakSet[Owner] = weakref.WeakSet()


def _after_fork() -> None:
    # A lock is shared with a forked child: it would keep the parent alive beyond its death.
    for owner in list(_living):
        owner.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
