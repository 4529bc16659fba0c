"""SQLite files that may come from a stranger; the ledger of one archive, which is one of them.

The files are private, never a link, and opened by readers only to read. The ledger is opened late: one connection
behind one lock, safe between processes and after a fork.
What is written in one transaction is durable when it ends (write-ahead log with synchronous=FULL: one fsync,
a third of a millisecond on a local disk, a quarter of what a rollback journal takes), unless it says that it can wait.
Whoever only asks opens it only to read.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import sqlite3
import stat
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..files import PART, make_private_folder, open_no_follow
from ..machine import absolute
from ..text import clean
from .process_lock import ForkHooks, watch
from .schema import ready_to_read, ready_to_write, refuse_false_money

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

BUSY = 30.0  # seconds to wait for another process's transaction
_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_LONGEST = 64 << 20  # bytes of a value or of a query
_UNREADABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
# What using a database raises; the last one if a name in it, which an error quotes, is no text.
DATABASE_FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)


def open_to_write(path: Path, busy: float = BUSY) -> sqlite3.Connection:
    """A connection that writes ahead; the file is made if there is none, and a private folder for it.

    Args:
        path: the file.
        busy: seconds to wait for another process's transaction.

    Raises:
        ConfigurationError: it, or a file beside it, is a link or no file; or its folder cannot be written.
        OSError: the file cannot be made.
        sqlite3.Error: it cannot be opened.
    """
    _refuse_foreign(path)
    if not path.exists():
        if not path.parent.is_dir():
            make_private_folder(path.parent)
        # SQLite would make it readable for others.
        os.close(open_no_follow(path, os.O_RDWR | os.O_CREAT))
    if not has_locks(path.parent):
        raise ConfigurationError(
            f"the file system of {clean(path.parent)} has no locks, so nothing can be kept there safely",
            hint="Name a folder on a local disk: archive=, %config CometMagics.archive, or COMETIMG_ARCHIVE.",
        )
    connection = _connect(path, "mode=rw", busy)
    with closed_on_failure(connection):
        _write_ahead(connection, busy)
    return connection


def open_to_read(path: Path, busy: float = BUSY) -> sqlite3.Connection:
    """A connection that changes nothing, also if nothing can be written.

    Raises:
        ConfigurationError: it, or a file beside it, is a link or no file.
        sqlite3.Error: it cannot be opened.
    """
    _refuse_foreign(path)
    try:
        return _connect(path, "mode=ro", 0.0 if not has_locks(path.parent) else busy)
    except sqlite3.OperationalError as error:
        # Where no side file can be made, or nothing be locked, nobody writes, unless a log is there already.
        unreadable = error.sqlite_errorcode & 0xFF in _UNREADABLE or not has_locks(path.parent)
        if not unreadable or _has_log(path):
            raise
    return _connect(path, "mode=ro&immutable=1", busy)


def has_locks(folder: Path) -> bool:
    """Whether files in a folder can be locked; True where that cannot be tried.

    SQLite takes the answer of a file system without locks for a lock of somebody else, and waits for its end.
    A file of SQLite's own is not tried: closing it would release the locks of this process on it.
    """
    try:
        device = folder.stat().st_dev
        if device not in _has_locks:
            _has_locks[device] = _can_lock(folder)
        return _has_locks[device]
    except OSError:
        return True


_has_locks: dict[int, bool] = {}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def _can_lock(folder: Path) -> bool:
    if sys.platform == "win32":  # pragma: no cover - every file system of Windows has locks
        return True
    import fcntl

    files = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    found = next((path for path in files if ".sqlite" not in path.name), None)
    path, flags, kind = found, os.O_RDONLY, fcntl.LOCK_SH
    if path is None:
        path, flags, kind = folder / f".{secrets.token_hex(6)}{PART}", os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX
    descriptor = open_no_follow(path, flags)
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    finally:
        os.close(descriptor)
        if found is None:
            path.unlink(missing_ok=True)
    return True


def refuse_code(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that defines what would be run: a view, a trigger, a computed column, a check.

    Raises:
        ConfigurationError: it does.
    """
    query = """SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')
        OR sql LIKE '%CHECK%' OR sql LIKE '%GENERATED%' OR sql LIKE '%AS (%' OR sql LIKE '%VIRTUAL%' LIMIT 1"""
    if connection.execute(query).fetchone():
        raise ConfigurationError(f"{clean(path)} was not written by comet_magic", hint="Remove it.")


@contextlib.contextmanager
def closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that could not be prepared."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _refuse_foreign(path: Path) -> None:
    """Refuse what SQLite would follow, wait for, or be led astray by: the file, and those that it puts beside it.

    A rollback journal may name another file, which SQLite removes; ours never do.
    https://sqlite.org/fileformat2.html#the_rollback_journal
    """
    for name in (path.name, *(f"{path.name}{suffix}" for suffix in ("-journal", "-wal", "-shm"))):
        place = path.with_name(name)
        try:
            found = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
            wrong, hint = "is a link", "Remove it, or name the folder it leads to."
        elif not stat.S_ISREG(found.st_mode):
            wrong, hint = "is not a file", "Remove it, or name another folder."
        elif name.endswith("-journal") and _names_another(place):
            wrong, hint = "was not written by comet_magic", "Remove it, or name another folder."
        else:
            continue
        raise ConfigurationError(f"{clean(place)} cannot be used: it {wrong}", hint=hint)


def _names_another(journal: Path) -> bool:
    """Whether a rollback journal ends with the name of another file."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - len(_JOURNAL)))
            return file.read() == _JOURNAL
    except FileNotFoundError:  # its transaction ended just now
        return False


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _connect(path: Path, how: str, busy: float) -> sqlite3.Connection:
    # https://sqlite.org/uri.html
    connection = sqlite3.connect(
        f"{absolute(path).as_uri()}?{how}",
        uri=True,
        timeout=busy,
        isolation_level=None,
        check_same_thread=False,
    )
    with closed_on_failure(connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA schema_version").fetchone()  # only the first question opens the file
    return connection


def _write_ahead(connection: sqlite3.Connection, busy: float) -> None:
    """Write ahead from now on; SQLite does not wait by itself while another process switches.

    https://sqlite.org/wal.html
    """
    deadline = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


# --- the ledger

LEAST_ROW = 16  # bytes
MOST_ROWS = (1 << 31) - 1  # that SQLite gives at once
STEPS = 1_000_000  # of SQLite's machine, between two looks at the time


class Ledger(ForkHooks):
    """The ledger at a path; with no path it lives in memory and ends with this object."""

    def __init__(self, path: Path | None, *, busy: float = BUSY) -> None:
        self.path = path
        self._busy = busy
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._writes = False  # whether the connection may write
        self._checked = False  # whether the amounts of the calls were looked at
        self._synced: bool | None = None  # whether each transaction is made durable now; not said yet: None
        self._inode: int | None = None
        self.until = math.inf  # when what is asked now is given up
        watch(self)

    @property
    def exists(self) -> bool:
        """Whether there is anything to read; asking makes nothing."""
        with self._faults_told():
            return self._connection is not None if self.path is None else self.path.exists()

    @contextlib.contextmanager
    def transaction(self, *, create: bool = False, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """All of what is done inside, durable at the end, or nothing of it; alone among all processes.

        Args:
            create: make the ledger if there is none.
            synced: False leaves it to the next transaction to make this one durable.

        Raises:
            ConfigurationError: the ledger cannot be opened or written, or is gone.
        """
        with self._lock, self._faults_told():
            self.until = time.monotonic() + BUSY
            connection = self._to_write(create=create)
            if connection is None:
                message = f"the ledger {clean(self.path)} is gone"
                raise ConfigurationError(message, hint="Was its folder removed?")
            if synced != self._synced:
                connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._synced = synced
            connection.execute("BEGIN IMMEDIATE")
            self.until = time.monotonic() + BUSY
            try:
                before = connection.total_changes
                yield connection
                # what changes nothing is not written, and waits for no disk
                if connection.total_changes != before:
                    connection.execute("REPLACE INTO stamp VALUES (1, ?)", (secrets.randbits(63),))
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """What a query finds, as rows that also know their columns; nothing if there is no ledger yet.

        Raises:
            ConfigurationError: the ledger cannot be opened or read.
        """
        with self._lock, self._faults_told():
            self.until = time.monotonic() + BUSY
            connection = self._to_read()
            if connection is None:
                return []
            if not self._checked:
                refuse_false_money(connection, clean(self.path))
                self._checked = True
            most = self._most_rows()
            try:
                found = connection.execute(query, values).fetchmany(most)
            except (UnicodeDecodeError, sqlite3.OperationalError) as error:
                if "decode" not in str(error):
                    raise
                connection.text_factory = _readable  # slower, so only where a text is damaged
                found = connection.execute(query, values).fetchmany(most)
            if len(found) == most:
                raise sqlite3.DataError("it has more rows than its size allows")
            return found

    def stamp(self) -> int | None:
        """A number that every change changes; None if there is no ledger, or one that has none yet.

        It is asked for often, so no call is looked at.

        Raises:
            ConfigurationError: the ledger cannot be opened or read.
        """
        with self._lock, self._faults_told():
            self.until = time.monotonic() + BUSY
            connection = self._to_read()
            query = "SELECT value FROM stamp WHERE one = 1"
            found = None if connection is None else connection.execute(query).fetchone()
            return found[0] if found else None

    def _most_rows(self) -> int:
        """More rows than the file can hold: pages that lead to each other, as a stranger writes them, have no end."""
        if self.path is None:
            return MOST_ROWS
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return min(MOST_ROWS, 10_000 + size // LEAST_ROW)

    def close(self) -> None:
        """Close the connection; the next use opens it again, or begins anew in memory."""
        with self._lock:
            if self._connection is not None:
                self._end()
                self._connection, self._writes = None, False

    @contextlib.contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except DATABASE_FAULTS as error:
            hint = "Is its disk full, or does another program hold it? Otherwise name another folder."
            message = f"the ledger {clean(self.path)} cannot be used: {clean(error)}"
            raise ConfigurationError(message, hint=hint) from error

    def _to_write(self, *, create: bool) -> sqlite3.Connection | None:
        inode = self._file_under_the_name()
        if not self._writes and (create or inode is not None):
            self.close()
            if self.path is None:
                connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            else:
                connection = open_to_write(self.path, self._busy)
            with closed_on_failure(connection):
                self._bound(connection)
                ready_to_write(connection, clean(self.path))
            self._keep(connection, writes=True)
        return self._connection

    def _to_read(self) -> sqlite3.Connection | None:
        inode = self._file_under_the_name()
        if self._connection is None and self.path is not None and inode is not None:
            connection = open_to_read(self.path, self._busy)
            with closed_on_failure(connection):
                self._bound(connection)
                ready = ready_to_read(connection, clean(self.path))
            if not ready:
                connection.close()
                return None
            self._keep(connection, writes=False)
        return self._connection

    def _file_under_the_name(self) -> int | None:
        """The inode under the path now; a connection to another one is closed: its folder was removed or replaced."""
        try:
            inode = self.path.stat().st_ino if self.path else None
        except (FileNotFoundError, NotADirectoryError):
            inode = None
        if self._connection is not None and self._inode != inode:
            self.close()
        return inode

    def _keep(self, connection: sqlite3.Connection, *, writes: bool) -> None:
        self._connection, self._writes, self._checked = connection, writes, writes
        self._synced = None
        self._inode = self.path.stat().st_ino if self.path else None
        connection.row_factory = sqlite3.Row
        connection.create_function("holds", 2, _holds, deterministic=True)
        self._end = weakref.finalize(self, connection.close)

    def _bound(self, connection: sqlite3.Connection) -> None:
        """Give up what takes longer than `until`."""
        this = weakref.ref(self)
        connection.set_progress_handler(lambda: _is_late(this()), STEPS)

    def before_fork(self) -> None:
        """Close the file: SQLite's locks on it, and what it believes of them, do not survive in a child."""
        # https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork_
        self._lock.acquire()
        if self.path is not None:
            self.close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew; in memory, with nothing."""
        self._lock = threading.RLock()
        self.close()


def _is_late(ledger: Ledger | None) -> bool:
    return ledger is None or time.monotonic() > ledger.until


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _holds(text: str | None, words: str) -> bool:
    folded = (text or "").casefold()
    return all(word in folded for word in words.casefold().split())
