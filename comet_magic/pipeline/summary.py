"""How many rows of a dataset ended in which way, and why: counted by SQLite, not row by row.

What ends a run or decides on pictures keeps what it counted, with the stamps of index and ledger at that time. Each
transaction gives its file another stamp, so counts whose stamps are those of the files are those of the rows. Whoever
asks reads them in constant time, or counts if they do not hold.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ..archive import Spend
from ..archive.claims import copy_of_row
from ..archive.ledger import has_locks
from ..errors import ConfigurationError, InvalidRequestError
from ..extras import load_extra
from ..money import dollars, usd
from ..tables import table
from ..text import clean, counted
from .row_index import IndexedRow, RowIndex, parsed
from .rows import ROW_STATUSES, row_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from ..archive import Reader
    from ..protocol.decisions import RowStatus
    from .row_index import Run, RunState

MOST_SHOWN = 50  # values of a column
MOST_KEPT = 1000  # ways in which rows ended; whoever asks counts if there are more
_SUMS = ("spent_micro", "reserved_micro", "uncertain_micro", "calls", "unpriced")
# What differs from call to call: addresses, uuids, hexadecimal and long mixed ids, times, ids after a word for one.
_IDS = re.compile(
    r"\bhttps?://[^\s<>'\")]+"
    r"|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b(?=[a-z]*\d)[0-9a-z]{16,}\b|\d{6,}"
    r"|\b\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d+)?)?(z|[+-]\d\d:?\d\d)?"
    r"|\b(req|request|trace|task|ray|call|run|resp|img|gen|chatcmpl|cmpl|id|rid)[-_](?=[\w-]*\d)[\w-]{4,}",
    re.IGNORECASE,
)
_OWN = {"model": "r.model", "prompt": "r.prompt", "parameters": "r.parameters"}
_DECIDED = "FROM decisions d WHERE d.key = r.key AND d.copy = r.copy"
# The copy that a row shows: one that was made in the place of a rejected one, or its own.
_SHOWN = f"""COALESCE((SELECT CAST(d.reason AS INTEGER) {_DECIDED} AND d.decision = 'reroll'
    ORDER BY d.number DESC LIMIT 1), r.copy)"""
_REJECTED = f"""(SELECT d.decision {_DECIDED} ORDER BY d.number DESC LIMIT 1) = 'reject'"""
_HERE = "CASE WHEN p.path IS NULL THEN 0 WHEN {rejected} THEN 2 ELSE 1 END"
_OUTCOME = f"r.key = '', r.error, r.message, c.state, c.error, c.code, c.message, {_HERE}"
_ROWS = """FROM main.rows r LEFT JOIN ledger.pictures p ON p.key = r.key AND p.copy = {shown}
    LEFT JOIN ledger.calls c ON c.number = """
# A picture that is here, which most are, needs no look at its call.
_QUICK = f"{_ROWS} CASE WHEN p.path IS NULL THEN p.call END WHERE r.run = :run"
_SHARE = "(SELECT COUNT(*) FROM ledger.pictures s WHERE s.call = p.call AND s.path IS NOT NULL)"
_TOTAL = "SELECT COUNT(*) FROM main.rows WHERE run = :run"
_NO_LEDGER = """
CREATE TABLE ledger.pictures (key, copy, call, path);
CREATE TABLE ledger.calls (number, state, error, code, message, cost, seconds);
"""
_NO_DECISIONS = "CREATE TEMP TABLE decisions (key, copy, number, decision, reason)"  # of 0.1.0
_CACHE = "PRAGMA ledger.cache_size = -65536"  # KiB; with less, each of many rows reads its page from the disk again


class Group(NamedTuple):
    """Rows that are alike: their value of a column, how they ended and why, and what they are together."""

    value: Any
    status: RowStatus
    error: str | None
    code: str | None
    message: str | None
    rows: int
    cost_micro: int | None
    seconds: float | None
    timed: int


class Ends(NamedTuple):
    """How the rows of a dataset ended, those that ended alike together.

    Attributes:
        state: of the run whose rows they are.
        found: what index and ledger say of a row that ended so, with the number of rows.
    """

    state: RunState
    found: list[tuple[Any, ...]]

    def groups(self) -> list[Group]:
        """The rows that are alike, without cost and seconds."""
        return [_group((None, *facts, rows, None, None, 0), self.state) for *facts, rows in self.found]


class Summary(NamedTuple):
    """A dataset as a whole.

    Attributes:
        ends: how its rows ended.
        spend: the money of all its runs.
        unsettled: whether any call runs, was cut off, or has an unknown outcome.
    """

    ends: Ends
    spend: Spend
    unsettled: bool

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(end[-1] for end in self.ends.found)


def ends_of(archive: Reader, folder: Path) -> Ends:
    """How the rows of a dataset ended, counted anew.

    Raises:
        ConfigurationError: the index or the ledger cannot be read.
    """
    with _joined(archive, folder) as joined:
        if joined is None:
            return Ends("running", [])
        connection, run = joined
        return Ends(run.state, _by_end(connection, run))


def keep_summary(archive: Reader, folder: Path) -> None:
    """Count a dataset and keep that, so that its counts are read in constant time until something changes.

    A folder that cannot be written, or that another process works in, is left as it is: whoever asks counts then.
    """
    with contextlib.suppress(ConfigurationError), RowIndex(folder) as index:
        if index.stamp() is None:
            index.make()
        stamp, ledger_stamp = index.stamp(), archive.stamp()
        if stamp is None or ledger_stamp is None:
            return
        ends, spend = ends_of(archive, folder), archive.spend()
        unsettled = bool(archive.unsettled())
        unchanged = (index.stamp(), archive.stamp()) == (stamp, ledger_stamp)
        if unchanged and len(ends.found) <= MOST_KEPT:
            sums = [getattr(spend, name) for name in _SUMS]
            facts = {"state": ends.state, "ends": ends.found, "spend": sums, "unsettled": unsettled}
            index.keep_summary(stamp, ledger_stamp, json.dumps(facts))


def kept_summary(archive: Reader, folder: Path) -> Summary | None:
    """What was counted last, if neither a row nor the ledger has changed since; otherwise None.

    Raises:
        ConfigurationError: the index or the ledger cannot be read.
    """
    with RowIndex(folder) as index:
        facts = parsed(index.summary(archive.stamp()))
    if not isinstance(facts, dict):
        return None
    ends, sums = facts.get("ends"), facts.get("spend")
    # The index may be a stranger's.
    if not isinstance(ends, list) or not all(map(_is_end, ends)):
        return None
    if not isinstance(sums, list) or len(sums) != len(_SUMS) or not all(map(_is_count, sums)):
        return None
    state: Any = facts.get("state")
    spend = Spend(**dict(zip(_SUMS, sums, strict=True)))
    return Summary(Ends(state, [tuple(end) for end in ends]), spend, bool(facts.get("unsettled")))


def _is_end(end: object) -> bool:
    """Whether it is made as `_by_end` gives it: is there no key, six texts, is a picture here, how many rows."""
    if not isinstance(end, list) or len(end) != 9:
        return False
    no_key, *texts, here, rows = end
    return all(map(_is_count, (no_key, here, rows))) and all(
        text is None or isinstance(text, str) for text in texts
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


@contextlib.contextmanager
def _joined(archive: Reader, folder: Path) -> Iterator[tuple[sqlite3.Connection, Run] | None]:
    """A connection that reads the index and, as `ledger`, the ledger, both as they are at one moment; and the run.

    None if no run has begun.
    """
    archive.copies(("",))  # a ledger that is not one of ours is refused here
    with RowIndex(folder) as index:
        run = index.standing()
        if run is None:
            yield None
            return
        with index.opened() as connection:
            connection.commit()  # nothing is attached inside of a transaction
            _attach(connection, folder / "ledger.sqlite")
            try:
                found = connection.execute("SELECT 1 FROM ledger.sqlite_master WHERE name = 'decisions'")
                if not found.fetchone():
                    connection.executescript(_NO_DECISIONS)
                connection.execute(_CACHE)
                connection.execute("BEGIN")  # so that the queries tell of one moment
                yield connection, run
            finally:
                connection.execute("DROP TABLE IF EXISTS temp.decisions")
                connection.commit()
                connection.execute("DETACH DATABASE ledger")


def _attach(connection: sqlite3.Connection, ledger: Path) -> None:
    """Attach a ledger to read it, also where nothing can be written or locked; empty tables if there is none."""
    address = f"file:{quote(str(ledger.absolute()))}?mode=ro"
    has_log = ledger.with_name(f"{ledger.name}-wal").exists()
    places = [address, f"{address}&immutable=1"] if ledger.exists() else [":memory:"]
    if not has_log and not has_locks(ledger.parent):  # a lock would be waited for
        del places[:-1]
    for place in places:
        try:
            connection.execute("ATTACH DATABASE ? AS ledger", (place,))
            found = connection.execute("SELECT 1 FROM ledger.sqlite_master WHERE name = 'calls'").fetchone()
        except sqlite3.OperationalError:
            if any(name == "ledger" for _, name, _ in connection.execute("PRAGMA database_list")):
                connection.execute("DETACH DATABASE ledger")
            if has_log or place == places[-1]:
                raise
        else:
            if not found:
                connection.executescript(_NO_LEDGER)
            return


def _by_end(connection: sqlite3.Connection, run: Run) -> list[tuple[Any, ...]]:
    """The rows by how they ended. Those that are done, mostly all, are what the others leave: nothing is sorted.

    Messages that differ in ids only are one.
    """
    query = (
        f"SELECT {_OUTCOME}, COUNT(*) {_QUICK} AND NOT (r.error IS NULL AND {_HERE} = 1) GROUP BY {_OUTCOME}"
    )
    names = {"run": run.number}
    others: Counter[tuple[Any, ...]] = Counter()
    for *facts, message, here, rows in connection.execute(_decided(connection, query), names):
        others[*facts, message and _IDS.sub("…", message), here] += rows
    done = connection.execute(_TOTAL, names).fetchone()[0] - others.total()
    found = [(*facts, rows) for facts, rows in others.items()]
    return [*found, (0, *[None] * 6, 1, done)] if done else found


def _decided(connection: sqlite3.Connection, query: str) -> str:
    """A query that looks at decisions only if there are any."""
    if connection.execute("SELECT 1 FROM decisions LIMIT 1").fetchone():
        return query.format(shown=_SHOWN, rejected=_REJECTED)
    return query.format(shown="r.copy", rejected="0")


def _by_value(connection: sqlite3.Connection, run: Run, column: str) -> tuple[str, dict[str, Any]]:
    value, names = _value_of(connection, column, {"run": run.number})
    timed = any(row[1] == "seconds" for row in connection.execute("PRAGMA ledger.table_info(calls)"))
    seconds = f"CASE WHEN p.path IS NOT NULL THEN {'c.seconds' if timed else 'NULL'} END"
    first = "ROW_NUMBER() OVER (PARTITION BY r.key, r.copy ORDER BY r.position) = 1"  # only it costs
    cost = f"CASE WHEN p.path IS NOT NULL THEN CASE WHEN {first} THEN c.cost / {_SHARE} ELSE 0 END END"
    rows = f"SELECT {value} AS value, {_OUTCOME}, {cost} AS cost, {seconds} AS seconds {_ROWS} p.call"
    sums = "COUNT(*), SUM(cost), SUM(seconds), COUNT(seconds)"
    query = f"SELECT *, {sums} FROM ({rows} WHERE r.run = :run) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9"  # noqa: S608 - our own
    return _decided(connection, query), names


def _value_of(
    connection: sqlite3.Connection, column: str, names: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The expression for a row's value of a column."""
    if column in _OWN:
        return _OWN[column], names
    names = {**names, "column": column, "path": f'$."{column}"'}
    has = "EXISTS (SELECT 1 FROM json_each(r.columns) WHERE key = :column)"
    query = f"SELECT 1 FROM main.rows r WHERE run = :run AND {has} LIMIT 1"  # noqa: S608 - our own
    if connection.execute(query, names).fetchone() is None:
        some = connection.execute("SELECT columns FROM main.rows WHERE run = :run LIMIT 100", names)
        there = sorted({name for (columns,) in some for name in json.loads(columns)} | {"model"})
        raise InvalidRequestError(
            f"there is no column {clean(column, limit=80)}; the columns are: {clean(', '.join(there), limit=300)}",
            param="column",
        )
    if '"' in column or "\\" in column:  # no path can name it
        return "(SELECT value FROM json_each(r.columns) WHERE key = :column)", names
    return "json_extract(r.columns, :path)", names


def _group(found: tuple[Any, ...], state_of_run: RunState) -> Group:
    value, no_key, row_error, row_message, state, error, code, message, here, *sums = found
    count, cost, seconds, timed = sums[-4:]
    copy = None
    if not no_key and (here or state is not None):
        copy = copy_of_row(("", 0, state, "", "images/-" if here else None, error, code, message))
        if here == 2:
            copy = copy._replace(outcome="rejected")
    row = IndexedRow(0, "", 0, "", None, None, "{}", row_error, row_message)
    status = row_status(row, copy, state_of_run)
    if row_error is not None:
        return Group(value, status, row_error, None, row_message, count, cost, seconds, timed)
    if copy is None or status == "done":
        error = code = message = None
    return Group(value, status, error, code, message, count, cost, seconds, timed)


@dataclass(frozen=True)
class Breakdown:
    """A dataset by the values of a column: a table in a notebook.

    Attributes:
        column: whose values these are.
        lines: for each value its rows by status, their cost in USD, and the mean seconds of a picture; None if unknown.
    """

    column: str
    lines: tuple[tuple[Any, dict[RowStatus, int], float | None, float | None], ...]

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with a line for each value.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        load_extra("pandas")
        from ..frames import Frame

        names = self._statuses()
        rows = [
            (value, sum(counts.values()), *(counts.get(name, 0) for name in names), cost, seconds)
            for value, counts, cost, seconds in self.lines
        ]
        return Frame(rows, columns=[self.column, "rows", *names, "cost", "seconds"])

    def _statuses(self) -> list[RowStatus]:
        return [name for name in ROW_STATUSES if any(line[1].get(name) for line in self.lines)]

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        names = self._statuses()
        rows = [
            (
                "missing" if value is None else value,
                f"{sum(counts.values()):,}",
                *(f"{counts.get(name, 0):,}" for name in names),
                "" if cost is None else dollars(round(cost * 1_000_000)),
                "" if seconds is None else f"{seconds:.1f}",
            )
            for value, counts, cost, seconds in self.lines[:MOST_SHOWN]
        ]
        more = len(self.lines) - len(rows)
        notes = [f"and {counted(more, 'more value')}; .to_frame() has all"] if more else []
        bundle: dict[str, str] = table(
            (self.column, "rows", *names, "cost", "seconds each"), rows, notes=notes
        )
        return bundle


def breakdown(archive: Reader, folder: Path, column: str) -> Breakdown:
    """The rows of a dataset by the values of a column, the most frequent first.

    Raises:
        InvalidRequestError: the dataset has no such column.
        ConfigurationError: the index or the ledger cannot be read.
    """
    lines: dict[Any, list[Group]] = {}
    with _joined(archive, folder) as joined:
        if joined is not None:
            connection, run = joined
            for found in connection.execute(*_by_value(connection, run, column)):
                group = _group(found, run.state)
                lines.setdefault(group.value, []).append(group)
    many = {value: sum(group.rows for group in groups) for value, groups in lines.items()}
    ordered = sorted(lines.items(), key=lambda item: (-many[item[0]], item[0] is None, str(item[0])))
    return Breakdown(column, tuple(_line(value, groups) for value, groups in ordered))


def _line(value: Any, groups: list[Group]) -> tuple[Any, dict[RowStatus, int], float | None, float | None]:
    counts: Counter[RowStatus] = Counter()
    for group in groups:
        counts[group.status] += group.rows
    done = [group for group in groups if group.status == "done"]
    known = all(group.cost_micro is not None for group in done)
    cost = usd(sum(group.cost_micro or 0 for group in done)) if known else None
    timed = sum(group.timed for group in done)
    seconds = sum(group.seconds or 0.0 for group in done) / timed if timed else None
    return value, dict(counts), cost, seconds


def stamp(folder: Path) -> tuple[Any, ...]:
    """What changes with the index or the ledger of a folder: sizes and times of their files."""
    found = []
    for name in ("index.sqlite", "ledger.sqlite"):
        for end in ("", "-wal"):
            with contextlib.suppress(OSError):
                status = (folder / f"{name}{end}").stat()
                found.append((name, end, status.st_size, status.st_mtime_ns))
    return tuple(found)
