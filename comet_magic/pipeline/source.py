"""A source: the rows of a table in their order, read in batches and never held whole.

read_source     the source of whatever was given
source_files    of files, addresses and open handles
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CometError, SourceError
from ..text import clean
from .values import is_missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .source_folder import SourceFolder

BATCH = 500  # rows
FEW = 8  # rows at once, if they hold pictures
LINGER = 0.1  # seconds to wait for a batch to fill
LOOKED_AT = 1000  # rows of a stream that are looked through before anything is sent
LOOK = 1.0  # seconds in which these must come; what comes later is not waited for
Record = Mapping[Any, Any]


class SourceRow(NamedTuple):
    """One row of a source.

    Attributes:
        record: its values by column.
        place: where it is, as "rows.csv, line 7".
        label: its label in the frame's index.
        problem: why it cannot be read; the record is empty then.
        folder: of the file that it is from, if it is from one and pictures are named in it.
    """

    record: Record
    place: str
    label: Any = None
    problem: SourceError | None = None
    folder: SourceFolder | None = None


@dataclass(frozen=True)
class FrameIndex:
    """The index of a frame: names and pandas types of its levels."""

    names: tuple[Any, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A table of prompts.

    Attributes:
        rows: reads it from its first row to its last.
        whole: it can be read again, so it is looked through whole before anything is sent; otherwise it is a stream,
            may never end, and is read no further than calls are made.
        size: how many rows it has, None if only reading it tells.
        columns: their names, None if only the rows tell.
        index: of the frame that it is, or None.
        pictures: its rows hold pictures, so that few are read at once.
    """

    rows: Callable[[], Iterator[SourceRow]]
    whole: bool = True
    size: int | None = None
    columns: tuple[Any, ...] | None = None
    index: FrameIndex | None = None
    pictures: bool = False

    @property
    def endless(self) -> bool:
        """Whether it may never end."""
        return not self.whole

    def batches(self, size: int = BATCH) -> Iterator[tuple[list[SourceRow], bool]]:
        """The rows in lists of at most `size`, each with whether it is the last; that one may be empty.

        What a slow source has given is handed on after 0.1 s; the first list of a stream after 1,000 rows or 1 s. If
        the source fails, the rows before the fault come first, and no list is the last.
        """
        size = min(size, FEW) if self.pictures else size
        ahead = size if self.pictures else max(size, LOOKED_AT)
        most, wait = (size, LINGER) if self.whole else (ahead, LOOK)
        batch: list[SourceRow] = []
        last = False
        try:
            until = time.monotonic() + wait
            for row in self.rows():
                batch.append(row)
                if len(batch) == most or time.monotonic() > until:
                    full, batch = batch, []
                    yield full, False
                    most, wait = size, LINGER
                    until = time.monotonic() + wait
            last = True
        finally:
            if batch or last:
                yield batch, last


def read_row(
    row: Any, place: str, *, prompt: str, columns: tuple[str, ...] = (), label: Any = None
) -> SourceRow:
    """A row that is a text, a mapping or, with `columns`, a tuple of values; a missing one has no prompt."""
    if isinstance(row, Mapping):
        return SourceRow(row, place, label)
    if isinstance(row, str) or is_missing(row):
        return SourceRow({prompt: row}, place, label)
    problem = f"{place} is of type {type(row).__name__}; a row must be a text or a mapping"
    hint = "Rows that are tuples need their names: columns=['prompt', 'size']."
    if hasattr(row, "columns"):
        hint = "Give the frames one after the other, with append=True."
    if columns and isinstance(row, (tuple, list)):
        if len(row) == len(columns):
            return SourceRow(dict(zip(columns, row, strict=True)), place, label)
        problem, hint = f"{place} has {len(row)} values for {len(columns)} columns", ""
    return SourceRow({}, place, label, SourceError(problem, hint=hint))


def check_columns(names: tuple[Any, ...], what: str) -> None:
    """Check that no two columns have one name.

    Raises:
        SourceError: two have.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        numbers = " and ".join(str(number) for number, name in enumerate(names, 1) if name == twice)
        raise SourceError(
            f"{what}: the column {clean(twice, limit=80)} stands twice (columns {numbers})",
            hint="Give each column a name of its own.",
        )


def source_error(fault: BaseException) -> BaseException:
    """What a source raised, as an error that tells of it."""
    if isinstance(fault, SourceError) or not isinstance(fault, Exception):
        return fault
    if isinstance(fault, CometError):
        return SourceError(str(fault), hint=fault.hint)
    error = SourceError(f"the source failed: {type(fault).__name__}: {clean(fault, limit=200)}")
    error.__cause__ = fault
    return error


# --- Arrow's tables


def without_bytes(schema: Any, pictures: Collection[str] = ()) -> list[str]:
    """The columns that hold no bytes or are named: pictures are not read into memory only to be left out."""
    return [field.name for field in schema if field.name in pictures or not _has_bytes(field.type)]


def _has_bytes(kind: Any) -> bool:
    if kind.num_fields:
        return any(_has_bytes(kind.field(number).type) for number in range(kind.num_fields))
    return "binary" in str(kind)


def arrow_rows(
    tables: Iterable[Any], place: str, schema: Any = None, pictures: Collection[str] = ()
) -> Iterator[SourceRow]:
    """The rows of tables or batches; columns of bytes, which are not kept, hold b"" in each.

    Args:
        tables: one after the other.
        place: what a row is called.
        schema: of all columns, where the tables have only some of them.
        pictures: columns whose bytes are kept.
    """
    number, size = 0, FEW if pictures else BATCH
    for table in tables:
        names = without_bytes(table.schema, pictures)
        others = {name: b"" for name in (schema or table.schema).names if name not in names}
        for start in range(0, table.num_rows, size):
            for record in table.slice(start, size).select(names).to_pylist():
                yield SourceRow({**record, **others}, f"{place} {number}")
                number += 1
