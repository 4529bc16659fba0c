"""The database of one archive: opened late, one connection behind one lock, safe between processes and after a fork.

What is written in one transaction is durable when it ends (write-ahead log with synchronous=FULL: one fsync,
a third of a millisecond on a local disk, a quarter of what a rollback journal takes), unless it says that it can wait.
Whoever only asks opens it only to read.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..text import clean
from .database import BUSY, closed_on_failure, open_to_read, open_to_write
from .fork_hooks import ForkHooks, watch
from .schema import ready_to_read, ready_to_write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


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
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            self.until = time.monotonic() + BUSY
            try:
                yield connection
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
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
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
        self._connection, self._writes = connection, writes
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
