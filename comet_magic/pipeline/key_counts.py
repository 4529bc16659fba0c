"""How often each request of a table was asked for, in little memory."""

from __future__ import annotations

import sqlite3

from ..errors import ConfigurationError
from ..text import clean

MOST_RECENT = 100_000  # requests whose counts are held in memory


class KeyCounts:
    """How often each request was asked for. Memory is bounded: what is older is in a temporary database."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._connection: sqlite3.Connection | None = None

    def add(self, key: str, count: int) -> int:
        """Count a request so many times more; gives how often it was counted before.

        Raises:
            ConfigurationError: the folder for temporary files is full or cannot be written.
        """
        short = bytes.fromhex(key[:32])
        try:
            before = self._recent.get(short)
            if before is None:
                before = self._moved_out(short)
            self._recent[short] = before + count
            if len(self._recent) > MOST_RECENT:
                self._move_out()
        except sqlite3.Error as error:
            problem = clean(error)
        else:
            return before
        raise ConfigurationError(
            f"the rows cannot be counted in the folder for temporary files: {problem}",
            hint="Make room there, or set SQLITE_TMPDIR to another folder.",
        )

    def count(self, key: str) -> int:
        """How often a request was counted so far."""
        short = bytes.fromhex(key[:32])
        recent = self._recent.get(short)
        return self._moved_out(short) if recent is None else recent

    def _moved_out(self, short: bytes) -> int:
        if self._connection is None:
            return 0
        found = self._connection.execute("SELECT count FROM counts WHERE key = ?", (short,)).fetchone()
        return int(found[0]) if found else 0

    def _move_out(self) -> None:
        if self._connection is None:
            # "" is a database in a file of its own that SQLite removes: https://sqlite.org/inmemorydb.html
            self._connection = sqlite3.connect("", check_same_thread=False)
            self._connection.execute(
                "CREATE TABLE counts (key BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID"
            )
        self._connection.executemany("REPLACE INTO counts VALUES (?, ?)", sorted(self._recent.items()))
        self._connection.commit()
        self._recent.clear()

    def close(self) -> None:
        """Remove the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
