"""The SQLite file: opened late, one connection behind one lock, safe between processes and after a fork.

What is written in one transaction is durable when it ends (write-ahead log with synchronous=FULL: one fsync,
a third of a millisecond on a local disk, a quarter of what a rollback journal takes), unless it says that it can wait.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..files import make_private_folder, open_no_follow
from ..text import clean
from .fork_hooks import ForkHooks, watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA = 1
BUSY = 30.0  # seconds to wait for another process's transaction

_TABLES = """
CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    vendor TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT,            -- NULL where prompts are not kept
    prompt_sha256 TEXT NOT NULL,
    request TEXT NOT NULL,  -- JSON, without the prompt
    copies TEXT NOT NULL,   -- JSON list
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    session TEXT NOT NULL,
    run TEXT NOT NULL,
    day TEXT NOT NULL,      -- of the local calendar
    created REAL NOT NULL,
    received REAL,
    ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER,       -- micro-USD
    cost INTEGER,           -- micro-USD
    request_id TEXT,
    status INTEGER,
    usage TEXT,             -- JSON
    error TEXT,
    code TEXT,
    message TEXT
);
CREATE INDEX calls_open ON calls (state) WHERE state IN ('claimed', 'received', 'unknown');
CREATE TABLE pictures (
    key TEXT NOT NULL,
    copy INTEGER NOT NULL,
    call INTEGER NOT NULL REFERENCES calls (number),
    position INTEGER NOT NULL,
    url TEXT,               -- with its query only until the picture is here
    path TEXT,              -- NULL until the picture is here; '' where nothing is kept on disk
    mime TEXT,
    width INTEGER,
    height INTEGER,
    size INTEGER,
    sha256 TEXT,
    revised_prompt TEXT,
    PRIMARY KEY (key, copy)
) WITHOUT ROWID;
CREATE INDEX pictures_call ON pictures (call, position);
CREATE VIEW slots AS        -- every copy with its call; free: it may be given to a new call
SELECT p.*, c.id, c.state, c.owner, c.request_id, c.error, c.code, c.message,
    p.path IS NULL AND p.url IS NULL AND c.state NOT IN ('claimed', 'received', 'unknown') AS free
FROM pictures p JOIN calls c ON c.number = p.call;
CREATE VIEW kept AS         -- every picture that is here, with its share of the call's cost
SELECT p.*, c.id, c.request_id,
    c.cost / (SELECT COUNT(*) FROM pictures s WHERE s.call = p.call AND s.path IS NOT NULL) AS cost
FROM pictures p JOIN calls c ON c.number = p.call WHERE p.path IS NOT NULL;
CREATE TABLE money (        -- micro-USD; always the sum over calls
    vendor TEXT NOT NULL,
    day TEXT NOT NULL,
    session TEXT NOT NULL,
    spent INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    uncertain INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (vendor, day, session)
) WITHOUT ROWID;
"""
# The columns of `calls`, in their order.
COLUMNS = (
    *(
        "number",
        "id",
        "key",
        "vendor",
        "model",
        "prompt",
        "prompt_sha256",
        "request",
        "copies",
        "state",
        "owner",
    ),
    *("host", "pid", "session", "run", "day", "created", "received", "ended", "attempts", "reserved", "cost"),
    *("request_id", "status", "usage", "error", "code", "message"),
)


class Ledger(ForkHooks):
    """The database of one archive; with no path it lives in memory and ends with this object."""

    def __init__(self, path: Path | None, *, busy: float = BUSY) -> None:
        self.path = path
        self._busy = busy
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        watch(self)

    @property
    def exists(self) -> bool:
        """Whether there is anything to read; asking makes nothing."""
        return self._connection is not None if self.path is None else self.path.exists()

    @contextlib.contextmanager
    def transaction(self, *, create: bool = False, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """All of what is done inside, durable at the end, or nothing of it; alone among all processes.

        Args:
            create: make the ledger where there is none.
            synced: False leaves it to the next transaction to make this one durable.

        Raises:
            ConfigurationError: the ledger cannot be opened or written, or is gone.
        """
        with self._opened(create=create) as connection:
            if connection is None:
                message = f"the ledger {clean(self.path)} is gone"
                raise ConfigurationError(message, hint="Was its folder removed?")
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds, as tuples; nothing where there is no ledger yet.

        Raises:
            ConfigurationError: the ledger cannot be opened or read.
        """
        with self._opened() as connection:
            return connection.execute(query, values).fetchall() if connection else []

    def close(self) -> None:
        """Close the connection; the next use opens it again, or begins anew in memory."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._end()
            self._connection = None

    @contextlib.contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            try:
                yield self._current(create=create)
            except (sqlite3.Error, OSError) as error:
                hint = "Is its disk full, or does another program hold it? Otherwise name another folder."
                message = f"the ledger {clean(self.path)} cannot be used: {clean(error)}"
                raise ConfigurationError(message, hint=hint) from error

    def _current(self, *, create: bool) -> sqlite3.Connection | None:
        """The connection to the file that bears the name now: its folder may have been removed or replaced."""
        inode = _inode(self.path)
        if self._connection is not None and self._inode != inode:
            self._close()
        if self._connection is None and (create or inode is not None):
            self._connection = _open(self.path, self._busy)
            self._inode = _inode(self.path)
            self._end = weakref.finalize(self, self._connection.close)
        return self._connection

    def before_fork(self) -> None:
        """Close the file: SQLite's locks on it, and what it believes of them, do not survive in a child."""
        # https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork_
        self._lock.acquire()
        if self.path is not None:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew; in memory, with nothing."""
        self._lock = threading.RLock()
        self._close()


def _inode(path: Path | None) -> int | None:
    """Which file bears the name; None for none."""
    try:
        return path.stat().st_ino if path else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _open(path: Path | None, busy: float) -> sqlite3.Connection:
    if path is not None:
        _make_file(path)
    connection = sqlite3.connect(
        path or ":memory:", timeout=busy, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path, busy)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    """The file must be there before SQLite makes it, which would make it readable for others."""
    if path.is_symlink():
        raise ConfigurationError(f"the ledger {clean(path)} is a link", hint="Name the folder it leads to.")
    if path.exists():
        return
    make_private_folder(path.parent)
    os.close(open_no_follow(path, os.O_RDWR | os.O_CREAT))


def _prepare(connection: sqlite3.Connection, path: Path | None, busy: float) -> None:
    version = _version(connection)
    if version > SCHEMA:
        message = f"the archive {clean(path)} was written by a newer comet_magic"
        hint = "Upgrade with: pip install -U comet-magic; or name another folder for the archive."
        raise ConfigurationError(message, hint=hint)
    switch_to_wal(connection, busy)
    connection.execute("PRAGMA secure_delete = ON")  # signed addresses are gone when they are deleted
    connection.create_function("holds", 2, _holds, deterministic=True)
    if version < SCHEMA:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) < SCHEMA:  # another process may have been quicker
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")


def _holds(text: str | None, words: str) -> bool:
    folded = (text or "").casefold()
    return all(word in folded for word in words.casefold().split())


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def switch_to_wal(connection: sqlite3.Connection, busy: float) -> None:
    """Write ahead from now on; SQLite does not wait by itself, up to `busy` seconds, while another process switches.

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
