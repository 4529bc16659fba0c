"""The index of a dataset: which rows it has, in their order, and the state of the run that read them.

It is written as rows are read and can always be made again from the source; what was paid is in the ledger. The rows
of the run before stand until the new source was read to its end. Then the new ones take their place, or join them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from ..archive.ledger import BUSY, DATABASE_FAULTS, open_to_read, open_to_write, refuse_code
from ..errors import ConfigurationError
from ..text import clean
from .indexed_row import IndexedRow, is_place, is_sound, parsed
from .values import DatetimeText, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .expand import Row
    from .source import FrameIndex

NAME = "index.sqlite"
BATCH = 1000  # rows
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
RunState = Literal["running", "complete", "over_budget", "stopped"]

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    vendor TEXT NOT NULL,
    size INTEGER,           -- rows of the source, NULL where unknown
    state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ends (run INTEGER PRIMARY KEY, why TEXT NOT NULL);  -- of runs that an error ended
CREATE TABLE IF NOT EXISTS whole (run INTEGER PRIMARY KEY);  -- runs whose source was read to its end
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
    label TEXT,             -- JSON, in the index of the frame
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (key TEXT, copy INT, facts TEXT NOT NULL, PRIMARY KEY (key, copy));  -- facts: JSON
CREATE TABLE IF NOT EXISTS inputs (key TEXT PRIMARY KEY, facts TEXT NOT NULL);  -- the pictures that go into a request
CREATE TABLE IF NOT EXISTS times (name TEXT PRIMARY KEY);  -- columns of sources that held dates with times
-- Names and types of the index of a frame, as JSON.
CREATE TABLE IF NOT EXISTS frames (run INTEGER PRIMARY KEY, names TEXT NOT NULL, types TEXT NOT NULL);
-- Another value after every change of runs or rows, and what was counted when index and ledger had these stamps.
CREATE TABLE IF NOT EXISTS stamp (one INTEGER PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS summary (one INTEGER PRIMARY KEY, index_stamp TEXT, ledger_stamp INTEGER, facts TEXT);
"""
_ROWS = """SELECT position, key, copy, prompt, model, parameters, columns, error, message,
    (SELECT facts FROM inputs i WHERE i.key = rows.key) FROM rows"""
_RUNS = "SELECT number, started, vendor, size, state FROM runs"
_HAS_ROWS = "EXISTS (SELECT 1 FROM rows WHERE run = number)"
_WHOLE = "(number IN (SELECT run FROM whole) OR state = 'complete')"  # 0.1.0 kept no table `whole`
# The run whose rows the dataset has: a whole one, or else the oldest that has any; a newer one removes it when it
# takes its place.
_STANDING = f"{_RUNS} ORDER BY {_WHOLE} DESC, {_HAS_ROWS} DESC, number LIMIT 1"
# Another run's rows that a run finds when its source is read to its end; what a living run still reads is its own.
_FORMER = f"""SELECT number, {_WHOLE} FROM runs WHERE number != ? AND ({_WHOLE} OR state != 'running' AND
    EXISTS (SELECT 1 FROM rows WHERE run = number)) ORDER BY 2 DESC, number DESC LIMIT 1"""  # noqa: S608 - our own
_COUNT = "SELECT COUNT(*) FROM rows WHERE run = ?"
# 0.1.0 leaves the stamp as it is, but each run that it begins has a number of its own.
_STAMP = "(SELECT value || ' ' || (SELECT MAX(number) FROM runs) FROM stamp WHERE one = 1)"
_SAME = "key != '' AND (key, copy) IN (SELECT key, copy FROM rows WHERE run = :other)"


@dataclass(frozen=True)
class Run:
    """A run: when it began, whom it sends to, how many rows its source has (None if unknown), its state."""

    number: int
    started: float
    vendor: str
    size: int | None
    state: RunState


class RowIndex:
    """The rows of a dataset; a context manager that any thread may use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._writes = False  # whether the connection may write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def make(self) -> None:
        """Make the file of the index, without rows; one of an earlier version gets what is new.

        Raises:
            ConfigurationError: the index is not a file of its own or cannot be used.
        """
        with self._changing():
            pass

    def begin(
        self, *, vendor: str, size: int | None, frame: FrameIndex | None = None, alone: bool = False
    ) -> int:
        """Begin a run and give its number; the rows of the run before stand until `replace_former`.

        Args:
            vendor: whom the requests are sent to.
            size: rows of the source, None where unknown.
            frame: the index of the frame that it is, or None.
            alone: nobody else works in the folder, so runs that seem to are dead.

        Raises:
            ConfigurationError: the index is not a file of its own or cannot be used.
        """
        with self._changing() as connection:
            if alone:
                connection.execute("UPDATE runs SET state = 'stopped' WHERE state = 'running'")
            connection.execute("DELETE FROM ends")
            cursor = connection.execute(
                "INSERT INTO runs (started, vendor, size, state) VALUES (?, ?, ?, 'running')",
                (time.time(), vendor, size),
            )
            number = int(cursor.lastrowid or 0)
            if frame is not None:
                names = json.dumps(plain(frame.names)), json.dumps(frame.types)
                connection.execute("REPLACE INTO frames VALUES (?, ?, ?)", (number, *names))
            return number

    def add(self, run: int, rows: Iterable[Row], *, store_prompts: bool = True) -> None:
        """Add rows to a run; without their prompts if these are not to be kept."""
        rows = list(rows)
        values = [(run, *_values(row if store_prompts else row._replace(prompt=""))) for row in rows]
        inputs = [(row.key, json.dumps(row.inputs)) for row in rows if row.inputs]
        cells = (cell for row in rows for cell in row.columns.items())
        times = {name for name, value in cells if type(value) is DatetimeText}
        with self._changing() as connection:
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            connection.executemany("REPLACE INTO inputs VALUES (?, ?)", inputs)
            connection.executemany("INSERT OR IGNORE INTO times VALUES (?)", [(name,) for name in times])

    def leaving(self, run: int) -> list[tuple[str, int]]:
        """Key and copy of the rows that stand and that a run, whose source was read to its end, does not have."""
        with self.opened() as connection:
            former, _ = connection.execute(_FORMER, (run,)).fetchone() or (None, 0)
            return connection.execute(
                """SELECT key, copy FROM rows WHERE run = ? AND key != ''
                EXCEPT SELECT key, copy FROM rows WHERE run = ?""",
                (former, run),
            ).fetchall()

    def replace_former(self, run: int, *, keep: bool = False) -> int:
        """The source was read to its end: its rows take the place of those that stand, or join them.

        Args:
            run: whose rows they are.
            keep: remove no row; rows that are new come behind those that stand.

        Returns:
            The number of the run whose rows the dataset has now, and that this one goes on as.
        """
        with self._changing() as connection:
            former, whole = connection.execute(_FORMER, (run,)).fetchone() or (run, 0)
            if former != run and (keep or (whole and former > run)):  # a newer one is not replaced
                _join(connection, run, former)
                run = int(former)
            connection.execute("INSERT OR IGNORE INTO whole VALUES (?)", (run,))
            _remove_others(connection, run)
            return run

    def end(self, run: int, state: RunState, why: str = "") -> None:
        """Note how the run ended, and why if an error ended it.

        A run whose source was not read to its end takes the place of another such run if it got at least as far;
        otherwise its rows are removed.
        """
        with self._changing() as connection:
            connection.execute("UPDATE runs SET state = ? WHERE number = ?", (state, run))
            connection.execute("DELETE FROM ends")
            connection.execute("INSERT INTO ends VALUES (?, ?)", (run, why))
            standing = Run(*connection.execute(_STANDING).fetchone())
            if standing.number >= run or standing.state == "running":
                return
            read, former = (
                connection.execute(_COUNT, (one,)).fetchone()[0] for one in (run, standing.number)
            )
            (whole,) = connection.execute(
                f"SELECT {_WHOLE} FROM runs WHERE number = ?",  # noqa: S608 - our own
                (standing.number,),
            ).fetchone()
            if whole or read < former:
                connection.execute("DELETE FROM rows WHERE run = ?", (run,))
            else:
                _remove_others(connection, run)

    def standing(self) -> Run | None:
        """The run whose rows the dataset has, or None if there was none."""
        return self._run(_STANDING)

    def latest(self) -> Run | None:
        """The run that began last, also if its rows do not stand."""
        return self._run(f"{_RUNS} ORDER BY number DESC LIMIT 1")

    def why_ended(self) -> str:
        """The words of the error that ended the latest run that has ended, or ""."""
        if not self.path.exists():
            return ""
        with self.opened() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ends'").fetchone():
                return ""
            (why,) = connection.execute("SELECT why FROM ends").fetchone() or ("",)
        return clean(why, limit=400)

    def _run(self, query: str) -> Run | None:
        if not self.path.exists():
            return None
        with self.opened() as connection:
            found = connection.execute(query).fetchone()
        return Run(*found) if found else None

    def rows(self, run: int) -> Iterator[list[IndexedRow]]:
        """The rows of a run in their order, some at a time."""
        last = -1
        while True:
            with self.opened() as connection:
                found = connection.execute(
                    f"{_ROWS} WHERE run = ? AND position > ? ORDER BY position LIMIT ?",
                    (run, last, BATCH),
                ).fetchall()
            if not found:
                return
            yield [row for row in itertools.starmap(IndexedRow, found) if is_sound(row)]
            last = found[-1][0]

    def places(self, run: int) -> Iterator[tuple[str, int]]:
        """Key and copy of each row of a run that has a request, much faster than `rows` gives them."""
        found = self._some("key, copy", "key != ''", run)
        return ((key, copy) for key, copy in found if is_place(key, copy))

    def columns(self, run: int) -> Iterator[dict[str, Any]]:
        """The columns of each row of a run that has any, much faster than `rows` gives them."""
        found = (parsed(text) for (text,) in self._some("columns", "columns != '{}'", run))
        return (columns for columns in found if isinstance(columns, dict))

    def _some(self, names: str, condition: str, run: int) -> Iterator[tuple[Any, ...]]:
        last = -1
        query = f"SELECT position, {names} FROM rows WHERE run = ? AND position > ? AND {condition}"  # noqa: S608
        while True:
            with self.opened() as connection:
                found = connection.execute(
                    f"{query} ORDER BY position LIMIT ?", (run, last, 10 * BATCH)
                ).fetchall()
            if not found:
                return
            for _, *values in found:
                yield tuple(values)
            last = found[-1][0]

    def row(self, run: int, place: int, count: int) -> IndexedRow | None:
        """A row of a run, which has so many, by its place; None if there is none, or it is not made as ours."""
        with self.opened() as connection:
            # each end by itself is looked up; both in one question would be sought in all rows
            first, last = connection.execute(
                """SELECT (SELECT MIN(position) FROM rows WHERE run = :run),
                    (SELECT MAX(position) FROM rows WHERE run = :run)""",
                {"run": run},
            ).fetchone()
            gaps = first is None or last - first + 1 != count
            where = "ORDER BY position LIMIT 1 OFFSET ?" if gaps else "AND position = ?"
            found = connection.execute(
                f"{_ROWS} WHERE run = ? {where}",
                (run, place if gaps else first + place),
            ).fetchone()
        return IndexedRow(*found) if found and is_sound(IndexedRow(*found)) else None

    def score(self, found: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
        """Keep what checks found in pictures, by key and copy; columns that others found stay."""
        old = self.scores(key for key, _ in found)
        rows = [
            (*place, json.dumps({**old.get(place, {}), "check_error": None, **facts}))
            for place, facts in found.items()
        ]
        with self.opened(write=True) as connection:
            connection.executemany("REPLACE INTO scores VALUES (?, ?, ?)", rows)

    def scores(self, keys: Iterable[str] | None = None) -> dict[tuple[str, int], dict[str, Any]]:
        """What checks found in the pictures of these keys, or in all, by key and copy."""
        with self.opened() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'scores'").fetchone():
                return {}
            which = "" if keys is None else "WHERE key IN (SELECT value FROM json_each(?))"
            values = () if keys is None else (json.dumps(list(keys)),)
            query = f"SELECT key, copy, facts FROM scores {which}"  # noqa: S608 - our own
            found = connection.execute(query, values).fetchall()
        return {(key, copy): facts for key, copy, text in found if (facts := _scores_in(text))}

    def input_columns(self, run: int) -> set[str]:
        """The columns that hold pictures that go in."""
        with self.opened() as connection:
            query = """SELECT DISTINCT json_extract(one.value, '$.column')
                FROM rows JOIN inputs USING (key), json_each(inputs.facts) AS one WHERE run = ?"""
            return {name for (name,) in connection.execute(query, (run,)) if isinstance(name, str)}

    def time_columns(self) -> set[str]:
        """The columns of sources that held dates with times."""
        with self.opened() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'times'").fetchone():
                return set()  # of an earlier version
            return {name for (name,) in connection.execute("SELECT name FROM times") if isinstance(name, str)}

    def frame_index(self, run: Run) -> tuple[list[Any], list[str], list[Any]] | None:
        """Of the frame that a run read: names and types of its index, and the label of each row; or None."""
        with self.opened() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'frames'").fetchone():
                return None  # of 0.1.0
            found = connection.execute(
                "SELECT names, types FROM frames WHERE run = ?", (run.number,)
            ).fetchone()
            query = "SELECT label FROM rows WHERE run = ? ORDER BY position"
            labels = [label for (label,) in connection.execute(query, (run.number,))]
        if found is None or None in labels:
            return None
        return (*map(json.loads, found), [json.loads(label) for label in labels])

    def count(self, run: int) -> int:
        """How many rows of a run were read."""
        with self.opened() as connection:
            return int(connection.execute(_COUNT, (run,)).fetchone()[0])

    def stamp(self) -> str | None:
        """A text that every change of runs or rows changes; None if there is none yet."""
        if not self.path.exists():
            return None
        with self.opened() as connection:
            found: tuple[str | None] = connection.execute(f"SELECT {_STAMP}").fetchone()
        return found[0]

    def keep_summary(self, stamp: str, ledger_stamp: int, facts: str) -> None:
        """Keep what was counted when index and ledger had these stamps.

        Raises:
            ConfigurationError: the index cannot be written.
        """
        with self.opened(write=True) as connection:
            connection.execute("REPLACE INTO summary VALUES (1, ?, ?, ?)", (stamp, ledger_stamp, facts))

    def summary(self, ledger_stamp: int | None) -> object:
        """What was counted at this stamp of the ledger, if no row has changed since; otherwise None."""
        if ledger_stamp is None or not self.path.exists():
            return None
        query = f"SELECT facts FROM summary WHERE one = 1 AND ledger_stamp = ? AND index_stamp = {_STAMP}"  # noqa: S608
        with self.opened() as connection:
            found = connection.execute(query, (ledger_stamp,)).fetchone()
        return found[0] if found else None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes runs or rows, and therefore the stamp."""
        with self.opened(write=True) as connection:
            connection.execute("REPLACE INTO stamp VALUES (1, ?)", (secrets.randbits(63),))
            yield connection

    @contextlib.contextmanager
    def opened(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection and one transaction, which nobody else writes into; for reading unless `write`.

        Raises:
            ConfigurationError: the index is not a file of its own or cannot be used.
        """
        with self._lock:
            try:
                if self._connection is None or (write and not self._writes):
                    self._close()
                    self._connection, self._writes = _open(self.path, write=write), write
                with self._connection:
                    # before the first look, so that nobody writes between a look and what follows from it
                    if write:
                        self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except DATABASE_FAULTS as error:
                problem = clean(getattr(error, "strerror", None) or error)
                code = getattr(error, "sqlite_errorcode", None)
                damaged = code in _DAMAGED or isinstance(error, UnicodeDecodeError)
            else:
                return
        made_again = "It may be removed: the next run makes it again, and nothing paid is lost."
        raise ConfigurationError(
            f"the index {clean(self.path)} cannot be used: {problem}",
            hint=made_again if damaged else "Is its disk full, or does another program hold it?",
        )


def _scores_in(text: object) -> dict[str, Any]:
    """What checks found, of an index that may be a stranger's; {} if it is not ours."""
    try:
        facts = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    ours = isinstance(facts, dict) and all(name.startswith("check_") for name in facts)
    return facts if ours else {}


def _open(path: Path, *, write: bool) -> sqlite3.Connection:
    connection = open_to_write(path, BUSY) if write else open_to_read(path, BUSY)
    refuse_code(connection, path)
    connection.isolation_level = "DEFERRED"  # the statements of one `with` are one transaction
    if write:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_TABLES)
        if "label" not in {column[1] for column in connection.execute("PRAGMA table_info(rows)")}:  # of 0.1.0
            connection.execute("ALTER TABLE rows ADD COLUMN label TEXT")
    elif not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'whole'").fetchone():
        connection.execute("CREATE TEMP TABLE whole (run INTEGER)")  # of 0.1.0
    if not write and not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'inputs'").fetchone():
        connection.execute("CREATE TEMP TABLE inputs (key TEXT, facts TEXT)")  # of an earlier version
    if not write and not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'summary'").fetchone():
        connection.execute("CREATE TEMP TABLE stamp (one, value)")  # of an earlier version
        connection.execute("CREATE TEMP TABLE summary (one, index_stamp, ledger_stamp, facts)")
    return connection


def _join(connection: sqlite3.Connection, run: int, former: int) -> None:
    """Give a run's rows to a former one: what both have keeps its place and takes the new columns."""
    names = {"run": run, "former": former}
    # A table with a key of its own: without one, each row would be looked for among all.
    connection.execute(
        "CREATE TEMP TABLE shared (key TEXT, copy INT, columns TEXT, PRIMARY KEY (key, copy)) WITHOUT ROWID"
    )
    connection.execute(
        "INSERT OR REPLACE INTO shared SELECT key, copy, columns FROM rows WHERE run = :run AND key != ''",
        names,
    )
    connection.execute(
        """UPDATE rows SET columns = (SELECT columns FROM shared s WHERE s.key = rows.key AND s.copy = rows.copy)
        WHERE run = :former AND (key, copy) IN (SELECT key, copy FROM shared)""",
        names,
    )
    connection.execute(f"DELETE FROM rows WHERE run = :run AND {_SAME}", {"run": run, "other": former})  # noqa: S608
    connection.execute("DROP TABLE shared")
    connection.execute(
        """DELETE FROM rows WHERE run = :run AND key = '' AND (prompt, columns) IN (
        SELECT prompt, columns FROM rows WHERE run = :former AND key = '')""",
        names,
    )
    (end,) = connection.execute(
        "SELECT MAX(position) + 1 FROM rows WHERE run IN (:run, :former)", names
    ).fetchone()
    connection.execute(
        "UPDATE rows SET run = :former, position = position + :end WHERE run = :run",
        {**names, "end": end},
    )
    connection.execute("UPDATE runs SET size = NULL WHERE number = :former", {"former": former})
    connection.execute("DELETE FROM runs WHERE number = :run", {"run": run})


def _remove_others(connection: sqlite3.Connection, run: int) -> None:
    """Remove the rows of all runs but one and those that a living run still reads, and what older runs left."""
    reading = f"SELECT number FROM runs WHERE state = 'running' AND NOT {_WHOLE}"  # noqa: S608 - our own
    connection.execute(f"DELETE FROM rows WHERE run != ? AND run NOT IN ({reading})", (run,))  # noqa: S608
    connection.execute("DELETE FROM whole WHERE run != ?", (run,))
    connection.execute("DELETE FROM runs WHERE number < ? AND state != 'running'", (run,))


def _values(row: Row) -> tuple[Any, ...]:
    template, problem = row.template, row.problem
    return (
        *(row.position, row.key, row.copy, clean(row.prompt, limit=1 << 20) if problem else row.prompt),
        *((template.model, template.parameters) if template else (row.model, None)),
        json.dumps(row.columns),
        *((type(problem).__name__, clean(problem)) if problem else (None, None)),
        None if row.label is None else json.dumps(plain(row.label)),
    )
