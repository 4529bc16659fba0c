"""The index of a dataset: which rows it has, in their order, and how the run that read them stands.

It is written as rows are read and can always be made again from the source; what was paid is in the ledger.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from ..archive.ledger import switch_to_wal
from ..errors import ConfigurationError
from ..files import open_no_follow
from ..text import clean
from .expand import PARAMETERS
from .source import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .expand import Row

NAME = "index.sqlite"
BUSY = 30.0  # seconds to wait for another process
BATCH = 1000  # rows
RunState = Literal["running", "complete", "over_budget", "stopped"]

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    vendor TEXT NOT NULL,
    size INTEGER,           -- rows of the source, NULL where unknown
    state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rows (
    run INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,      -- '' where the row breaks a rule
    copy INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    model TEXT,
    parameters TEXT,        -- JSON
    columns TEXT NOT NULL,  -- JSON
    error TEXT,
    message TEXT,
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
"""


class IndexedRow(NamedTuple):
    """One row as the index has it."""

    position: int
    key: str
    copy: int
    prompt: str
    model: str | None
    parameters: str | None
    columns: str
    error: str | None
    message: str | None


@dataclass(frozen=True)
class Run:
    """The latest run: how many rows its source has, how many it has read, how it stands."""

    number: int
    started: float
    vendor: str
    size: int | None
    state: RunState
    read: int


class RowIndex:
    """The rows of the latest run in a folder; a context manager that any thread may use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def begin(self, *, vendor: str, size: int | None) -> int:
        """A new run, whose rows take the place of all former ones; gives its number."""
        if not self.path.exists():
            os.close(open_no_follow(self.path, os.O_RDWR | os.O_CREAT))
        with self._opened() as connection:
            connection.executescript(_TABLES)
            cursor = connection.execute(
                "INSERT INTO runs (started, vendor, size, state) VALUES (?, ?, ?, 'running')",
                (time.time(), vendor, size),
            )
            connection.execute("DELETE FROM rows WHERE run < ?", (cursor.lastrowid,))
            connection.execute("DELETE FROM runs WHERE number < ?", (cursor.lastrowid,))
            return int(cursor.lastrowid or 0)

    def add(self, run: int, items: Iterable[Row], *, prompt: str) -> None:
        """Some more rows."""
        ours = frozenset((*PARAMETERS, prompt))
        rows = [(run, *_row(item, ours)) for item in items]
        with self._opened() as connection:
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def end(self, run: int, state: RunState) -> None:
        """How the run ended."""
        with self._opened() as connection:
            connection.execute("UPDATE runs SET state = ? WHERE number = ?", (state, run))

    def latest(self) -> Run | None:
        """The run whose rows the dataset has, or None where there was none."""
        if not self.path.exists():
            return None
        with self._opened() as connection:
            found = connection.execute(
                """SELECT number, started, vendor, size, state,
                    (SELECT COUNT(*) FROM rows WHERE run = number)
                FROM runs ORDER BY number DESC LIMIT 1"""
            ).fetchone()
        return Run(*found) if found else None

    def rows(self, run: int) -> Iterator[list[IndexedRow]]:
        """The rows of a run in their order, some at a time."""
        last = -1
        while True:
            with self._opened() as connection:
                found = connection.execute(
                    """SELECT position, key, copy, prompt, model, parameters, columns, error, message
                    FROM rows WHERE run = ? AND position > ? ORDER BY position LIMIT ?""",
                    (run, last, BATCH),
                ).fetchall()
            if not found:
                return
            yield [IndexedRow(*row) for row in found]
            last = found[-1][0]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        problem = ""
        with self._lock:
            try:
                self._connection = self._connection or _open(self.path)
                with self._connection:
                    yield self._connection
            except sqlite3.Error as error:
                problem = clean(error)
        if problem:
            raise ConfigurationError(
                f"the index {clean(self.path)} cannot be used: {problem}",
                hint="It may be removed: the next run makes it again, and nothing paid is lost.",
            )


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, check_same_thread=False)
    try:
        switch_to_wal(connection, BUSY)
    except sqlite3.Error:
        connection.close()
        raise
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _row(item: Row, ours: frozenset[str]) -> tuple[Any, ...]:
    columns = {str(name): plain(value) for name, value in item.record.items() if name not in ours}
    series, problem = item.series, item.problem
    return (
        *(item.position, item.key, item.copy, clean(item.prompt, limit=1 << 20) if problem else item.prompt),
        *((series.model, series.parameters) if series else (None, None)),
        json.dumps(columns),
        *((type(problem).__name__, clean(problem)) if problem else (None, None)),
    )
