"""The index of a dataset: which rows it has, in their order, and the state of the run that read them.

It is written as rows are read and can always be made again from the source; what was paid is in the ledger. The rows
of the run before stand until the new source was read to its end. Then the new ones take their place, or join them.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from ..archive.layout import is_hash, is_input
from ..archive.ledger import BUSY, DATABASE_FAULTS, open_to_read, open_to_write, refuse_code
from ..errors import ConfigurationError
from ..request import Inputs
from ..text import clean
from .source import DatetimeText, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .expand import Row
    from .source import FrameIndex

NAME = "index.sqlite"
BATCH = 1000  # rows
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
RunState = Literal["running", "complete", "over_budget", "stopped"]

# The columns of each table. A reader finds an empty one in place of a table that an earlier version did not make.
_TABLES = {
    "runs": """(
        number INTEGER PRIMARY KEY,
        started REAL NOT NULL,
        vendor TEXT NOT NULL,
        size INTEGER,           -- rows of the source, NULL where unknown
        state TEXT NOT NULL
    )""",
    "ends": "(run INTEGER PRIMARY KEY, why TEXT NOT NULL)",  # of runs that an error ended
    "whole": "(run INTEGER PRIMARY KEY)",  # runs whose source was read to its end
    "rows": """(
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
    ) WITHOUT ROWID""",
    "scores": "(key TEXT, copy INT, facts TEXT NOT NULL, PRIMARY KEY (key, copy))",  # facts: JSON
    "inputs": "(key TEXT PRIMARY KEY, facts TEXT NOT NULL)",  # the pictures that go into a request
    "times": "(name TEXT PRIMARY KEY)",  # columns of sources that held dates with times
    # names and types of the index of a frame, as JSON
    "frames": "(run INTEGER PRIMARY KEY, names TEXT NOT NULL, types TEXT NOT NULL)",
    # another value after every change of runs or rows, and what was counted when index and ledger had these stamps
    "stamp": "(one INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
    "summary": "(one INTEGER PRIMARY KEY, index_stamp TEXT, ledger_stamp INTEGER, facts TEXT)",
}
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


@dataclass(frozen=True)
class Run:
    """A run: when it began, whom it sends to, how many rows its source has (None if unknown), its state."""

    number: int
    started: float
    vendor: str
    size: int | None
    state: RunState


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
    inputs: str | None = None

    def given(self, folder: Path) -> Inputs:
        """The pictures that go into its request, with their files in the folder."""
        return Inputs.from_list(json.loads(self.inputs or "[]"), folder)


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
        """Make the file of the index, without rows; one of an earlier version gets what is new."""
        with self._changing():
            pass

    def begin(
        self, *, vendor: str, size: int | None, frame: FrameIndex | None = None, alone: bool = False
    ) -> int:
        """Begin a run and give its number; the rows of the run before stand until `replace_former`.

        Args:
            vendor: whom the requests are sent to.
            size: rows that the source makes, None where unknown.
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
        query = f"""SELECT key, copy FROM rows WHERE run = (SELECT number FROM ({_FORMER})) AND key != ''
            EXCEPT SELECT key, copy FROM rows WHERE run = ?"""  # noqa: S608 - our own
        return self._found(query, run, run)

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
        return next(starmap(Run, self._found(_STANDING)), None)

    def latest(self) -> Run | None:
        """The run that began last, also if its rows do not stand."""
        return next(starmap(Run, self._found(f"{_RUNS} ORDER BY number DESC LIMIT 1")), None)

    def why_ended(self) -> str:
        """The words of the error that ended the latest run that has ended, or ""."""
        return "".join(clean(why, limit=400) for (why,) in self._found("SELECT why FROM ends LIMIT 1"))

    def rows(self, run: int) -> Iterator[list[IndexedRow]]:
        """The rows of a run in their order, some at a time."""
        batches = self._batches(f"{_ROWS} WHERE run = ?", run, BATCH)
        return ([row for row in starmap(IndexedRow, found) if is_sound(row)] for found in batches)

    def places(self, run: int) -> Iterator[tuple[str, int]]:
        """Key and copy of each row of a run that has a request, much faster than `rows` gives them."""
        query = "SELECT position, key, copy FROM rows WHERE run = ? AND key != ''"
        batches = self._batches(query, run, 10 * BATCH)
        return ((key, copy) for found in batches for _, key, copy in found if is_place(key, copy))

    def columns(self, run: int) -> Iterator[dict[str, Any]]:
        """The columns of each row of a run that has any, much faster than `rows` gives them."""
        query = "SELECT position, columns FROM rows WHERE run = ? AND columns != '{}'"
        batches = self._batches(query, run, 10 * BATCH)
        texts = (parsed(text) for found in batches for _, text in found)
        return (columns for columns in texts if isinstance(columns, dict))

    def _batches(self, query: str, run: int, size: int) -> Iterator[list[Any]]:
        """What a query, whose first column is the position, finds of a run, so many rows at a time."""
        last = -1
        while found := self._found(f"{query} AND position > ? ORDER BY position LIMIT ?", run, last, size):
            yield found
            last = found[-1][0]

    def _found(self, query: str, *values: Any) -> list[Any]:
        """The rows that a query finds; none if there is no index."""
        if not self.path.exists():
            return []
        with self.opened() as connection:
            return connection.execute(query, values).fetchall()

    def row(self, run: int, place: int, count: int) -> IndexedRow | None:
        """A row of a run, which has so many, by its place; None if there is none, or it is not made as ours."""
        # each end by itself is looked up; both in one question would be sought in all rows
        ends = "SELECT (SELECT MIN(position) FROM rows WHERE run = ?), (SELECT MAX(position) FROM rows WHERE run = ?)"
        ((first, last),) = self._found(ends, run, run)
        gaps = first is None or last - first + 1 != count
        where = "ORDER BY position LIMIT 1 OFFSET ?" if gaps else "AND position = ?"
        found = self._found(f"{_ROWS} WHERE run = ? {where}", run, place if gaps else first + place)
        return next(filter(is_sound, starmap(IndexedRow, found)), None)

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
        which = "" if keys is None else "WHERE key IN (SELECT value FROM json_each(?))"
        values = () if keys is None else (json.dumps(list(keys)),)
        found = self._found(f"SELECT key, copy, facts FROM scores {which}", *values)  # noqa: S608 - our own
        return {(key, copy): facts for key, copy, text in found if (facts := _scores_in(text))}

    def input_columns(self, run: int) -> set[str]:
        """The columns that hold pictures that go in."""
        query = """SELECT DISTINCT json_extract(one.value, '$.column')
            FROM rows JOIN inputs USING (key), json_each(inputs.facts) AS one WHERE run = ?"""
        return {name for (name,) in self._found(query, run) if isinstance(name, str)}

    def time_columns(self) -> set[str]:
        """The columns of sources that held dates with times."""
        return {name for (name,) in self._found("SELECT name FROM times") if isinstance(name, str)}

    def frame_index(self, run: Run) -> tuple[list[Any], list[str], list[Any]] | None:
        """Of the frame that a run read: names and types of its index, and the label of each row; or None."""
        found = self._found("SELECT names, types FROM frames WHERE run = ?", run.number)
        if not found:  # also of 0.1.0, whose rows have no labels
            return None
        query = "SELECT label FROM rows WHERE run = ? ORDER BY position"
        labels = [label for (label,) in self._found(query, run.number)]
        return (
            None if None in labels else (*map(json.loads, found[0]), [json.loads(label) for label in labels])
        )

    def count(self, run: int) -> int:
        """How many rows of a run were read."""
        return sum(number for (number,) in self._found(_COUNT, run))

    def stamp(self) -> str | None:
        """A text that every change of runs or rows changes; None if there is none yet."""
        return next((stamp for (stamp,) in self._found(f"SELECT {_STAMP}")), None)

    def keep_summary(self, stamp: str, ledger_stamp: int, facts: str) -> None:
        """Keep what was counted when index and ledger had these stamps.

        Raises:
            ConfigurationError: the index cannot be written.
        """
        with self.opened(write=True) as connection:
            connection.execute("REPLACE INTO summary VALUES (1, ?, ?, ?)", (stamp, ledger_stamp, facts))

    def summary(self, ledger_stamp: int | None) -> object:
        """What was counted at this stamp of the ledger, if no row has changed since; otherwise None."""
        query = f"SELECT facts FROM summary WHERE one = 1 AND ledger_stamp = ? AND index_stamp = {_STAMP}"  # noqa: S608
        return next((facts for (facts,) in self._found(query, ledger_stamp)), None)

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
    facts = parsed(text)
    ours = isinstance(facts, dict) and all(name.startswith("check_") for name in facts)
    return facts if ours else {}


def _open(path: Path, *, write: bool) -> sqlite3.Connection:
    connection = open_to_write(path, BUSY) if write else open_to_read(path, BUSY)
    refuse_code(connection, path)
    connection.isolation_level = "DEFERRED"  # the statements of one `with` are one transaction
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for name in _TABLES.keys() - there:
        where = "" if write else "TEMP"
        connection.execute(f"CREATE {where} TABLE IF NOT EXISTS {name} {_TABLES[name]}")
    if write:
        connection.execute("PRAGMA synchronous = NORMAL")
        if "label" not in {column[1] for column in connection.execute("PRAGMA table_info(rows)")}:  # of 0.1.0
            connection.execute("ALTER TABLE rows ADD COLUMN label TEXT")
    return connection


def _join(connection: sqlite3.Connection, run: int, former: int) -> None:
    """Give a run's rows to a former one: what both have keeps its place and takes the new columns."""
    names = {"run": run, "former": former}
    for statement in (
        # A table with a key of its own: without one, each row would be looked for among all.
        "CREATE TEMP TABLE shared (key TEXT, copy INT, columns TEXT, PRIMARY KEY (key, copy)) WITHOUT ROWID",
        "INSERT OR REPLACE INTO shared SELECT key, copy, columns FROM rows WHERE run = :run AND key != ''",
        """UPDATE rows SET columns = (SELECT columns FROM shared s WHERE s.key = rows.key AND s.copy = rows.copy)
            WHERE run = :former AND (key, copy) IN (SELECT key, copy FROM shared)""",
        "DROP TABLE shared",
        """DELETE FROM rows WHERE run = :run AND key != '' AND (key, copy) IN (
            SELECT key, copy FROM rows WHERE run = :former)""",
        """DELETE FROM rows WHERE run = :run AND key = '' AND (prompt, columns) IN (
            SELECT prompt, columns FROM rows WHERE run = :former AND key = '')""",
    ):
        connection.execute(statement, names)
    end = "SELECT MAX(position) + 1 FROM rows WHERE run IN (:run, :former)"
    names["end"] = connection.execute(end, names).fetchone()[0]
    for statement in (
        "UPDATE rows SET run = :former, position = position + :end WHERE run = :run",
        "UPDATE runs SET size = NULL WHERE number = :former",
        "DELETE FROM runs WHERE number = :run",
    ):
        connection.execute(statement, names)


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


# --- rows of an index that may be a stranger's


def is_place(key: object, copy: object) -> bool:
    """Whether it names a copy of a request."""
    return is_hash(key) and type(copy) is int and copy >= 0


def is_sound(row: IndexedRow) -> bool:
    """Whether a row of an index, which may be a stranger's, is made as ours; others count as absent."""
    return (
        (is_place(row.key, row.copy) or (row.key == "" and type(row.copy) is int))
        and isinstance(row.prompt, str)
        and (row.model is None or isinstance(row.model, str))
        and (row.error is None or isinstance(row.error, str))
        and (row.message is None or isinstance(row.message, str))
        and (row.columns == "{}" or isinstance(parsed(row.columns), dict))
        and _are_parameters(row.parameters)
        and _are_inputs(row.inputs)
    )


def parsed(text: object) -> Any:
    """What a text of JSON says; None if it is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


@lru_cache(256)  # most rows of a table have the same
def _are_parameters(text: object) -> bool:
    return text is None or isinstance(parsed(text), dict)


@lru_cache(256)
def _are_inputs(text: object) -> bool:
    inputs = parsed("[]" if text is None else text)
    return isinstance(inputs, list) and all(map(is_input, inputs))
