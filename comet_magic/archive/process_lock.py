"""Which process works on a call, and whether it still lives; what has to be done where a process forks.

A process holds a lock on a file of its own for as long as it lives. The system lets go of the lock when the
process ends, however it ends, so a process id used twice, a container or a restart cannot mislead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sys
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from ..files import inside, make_folder, open_no_follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class ForkHooks:
    """An object with state that must not pass through a fork as it is."""

    def before_fork(self) -> None:
        """Runs before a fork, in the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Runs after the fork, in that thread."""

    def after_fork_in_child(self) -> None:
        """Runs in the child, in its only thread."""


_watched: weakref.WeakSet[ForkHooks] = weakref.WeakSet()
_forking = threading.local()


def watch(one: ForkHooks) -> None:
    """Run the hooks of an object at every fork of this process, for as long as the object lives."""
    _watched.add(one)


def _before() -> None:
    _forking.told = list(_watched)
    for one in _forking.told:
        one.before_fork()


def _in_parent() -> None:
    for one in _forking.__dict__.pop("told", ()):
        one.after_fork_in_parent()


def _in_child() -> None:
    for one in _forking.__dict__.pop("told", ()):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _lock(descriptor: int) -> None:
        while True:
            with contextlib.suppress(OSError):  # after ten seconds
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def file_lock(path: Path, waits: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of a file, which is made; `waits` is called before another one is waited for.

    Raises:
        OSError: the file cannot be made or locked.
    """
    descriptor = open_no_follow(path, os.O_RDWR | os.O_CREAT)
    try:
        if not _try_lock(descriptor):
            waits()
            _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


OWNERS = "owners"
_TOKEN = re.compile(r"[0-9a-f]{16}")


class ProcessLock(ForkHooks):
    """A lock in one archive that shows that this process lives; its end, or `close`, frees the lock."""

    def __init__(self, archive: Path) -> None:
        folder = inside(archive, OWNERS)
        make_folder(folder)
        self._path, descriptor = _signed_on(folder)
        self.token = self._path.stem
        self._end = weakref.finalize(self, _sign_off, descriptor, self._path, os.getpid())
        watch(self)

    @property
    def holds(self) -> bool:
        """Whether the lock is held: not after a fork, nor if somebody removed the folder."""
        return self._end.alive and self._path.exists()

    def close(self) -> None:
        """Release the lock; the open calls of this process count as left behind."""
        self._end()

    def after_fork_in_child(self) -> None:
        """Close the descriptor only: a child that shared the lock would keep its parent alive for ever."""
        self._end()


def _signed_on(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{secrets.token_hex(8)}.lock"
        descriptor = open_no_follow(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        # Who cleans up may have taken the new file for a dead one's before it was locked.
        if _try_lock(descriptor) and path.exists():
            return path, descriptor
        os.close(descriptor)  # pragma: no cover - a window of microseconds


def _sign_off(descriptor: int, path: Path, pid: int) -> None:
    if pid == os.getpid():
        _remove(descriptor, path)
    else:
        os.close(descriptor)


def _remove(descriptor: int, path: Path) -> None:
    """Remove a file and release its lock, in this order, so that nobody takes the lock of a file that is to go."""
    try:
        path.unlink(missing_ok=True)
    except (
        PermissionError
    ):  # Windows removes no file that is open, neither does it for whoever took it meanwhile
        os.close(descriptor)
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
    else:
        os.close(descriptor)


def is_alive(archive: Path, token: str, *, clear: bool = False) -> bool:
    """Whether the process with this token still lives.

    Only a lock that is not there or that nobody holds is a dead process's: one that cannot be opened or asked may be
    a living one's. A token comes from a ledger, which may be a stranger's: what is none is nobody's.

    Args:
        archive: the folder.
        token: of the process.
        clear: remove what a dead process left.
    """
    if not _TOKEN.fullmatch(str(token)):
        return False
    try:
        path = inside(archive, f"{OWNERS}/{token}.lock")
    except OSError:  # a link is on the way
        return False
    try:
        descriptor = _opened(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        alive = not _try_lock(descriptor)
    except OSError:
        alive = True
    if clear and not alive:
        _remove(descriptor, path)
    else:
        os.close(descriptor)
    return alive


def has_lock(archive: Path, token: str) -> bool:
    """Whether the lock of the process with this token is seen from here, though it may be another machine's."""
    try:
        return inside(archive, f"{OWNERS}/{token}.lock").is_file()
    except OSError:  # nobody may look there, or a link is on the way
        return False


def others_alive(archive: Path, own: str = "") -> bool:
    """Whether anybody else works in an archive: a process, or another client of this one; `own` is not counted."""
    tokens = {path.stem for path in (archive / OWNERS).glob("*.lock")} - {own}
    return any(is_alive(archive, token) for token in tokens)


def _opened(path: Path) -> int:
    try:
        return open_no_follow(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    return open_no_follow(path, os.O_RDONLY)
