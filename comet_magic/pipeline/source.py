"""A source: the rows of a table in their order, read in batches and never held whole; and values as JSON has them.

read_source     the source of whatever was given
source_files    of files, addresses and open handles
"""

from __future__ import annotations

import datetime
import json
import math
import numbers
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CometError, SourceError
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .source_folder import SourceFolder

BATCH = 500  # rows
FEW = 8  # rows at once, if they hold pictures
LINGER = 0.1  # seconds to wait for a batch to fill
LOOKED_AT = 1000  # rows of a stream that are looked through before anything is sent
LOOK = 1.0  # seconds in which these must come; what comes later is not waited for
_MOST_INT = 1 << 63  # what 64 bits hold; beyond that a number is kept as text
_MOST_EXACT = 1 << 53  # floats below it are exact
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
        size: how many rows it has, None if only reading it tells; once looked through, how many it makes.
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


# --- values


class HoldsPictureError(ValueError):
    """A value is a picture or bytes, or holds one."""


class DatetimeText(str):
    """A date with a time, in ISO form; the index notes which columns have these."""

    __slots__ = ()


def is_missing(value: object) -> bool:
    """Whether it is None, NaN, NaT or NA."""
    kind = type(value)
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or kind.__name__ in ("NaTType", "NAType")
    )


def plain(value: Any) -> Any:
    """A value as JSON can hold it: missing ones and infinities are None, whole floats whole numbers, CRLF is LF.

    Raises:
        HoldsPictureError: it is, or holds, a picture or bytes.
        TypeError: JSON has no form for it.
    """
    kind = type(value)
    if kind is str:
        return value.replace("\r\n", "\n") if "\r" in value else value
    if kind is bool or is_missing(value):
        return None if value is None or kind is not bool else value
    if kind is int:
        return value if -_MOST_INT <= value < _MOST_INT else str(value)
    if kind is float:
        whole = value.is_integer() and abs(value) < _MOST_EXACT
        return int(value) if whole else value if math.isfinite(value) else None
    return _other(value)


def _other(value: Any) -> Any:
    if isinstance(value, str):  # of numpy, or of an enumeration
        return plain(str.__str__(value))
    if _is_picture(value):
        raise HoldsPictureError
    if isinstance(value, Mapping):
        return {text: plain(value[name]) for name, text in text_names(value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):  # in one order, so that equal rows give equal bytes
        return sorted(map(plain, value), key=json.dumps)
    if isinstance(value, Enum):
        return plain(value.value)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    name = type(value).__name__
    if name in ("datetime64", "timedelta64"):  # those of nanoseconds are numbers to `tolist`
        return plain(value.astype(f"{name}[us]").tolist())
    for method in ("tolist", "to_list", "as_py"):  # of numpy, pandas, polars, pyarrow
        if hasattr(value, method):
            return plain(getattr(value, method)())
    if isinstance(value, datetime.timedelta):
        return str(datetime.timedelta(value.days, value.seconds, value.microseconds))
    if hasattr(value, "isoformat"):
        text = value.isoformat()
        return DatetimeText(text) if isinstance(value, datetime.datetime) else text
    if isinstance(value, (numbers.Number, uuid.UUID, os.PathLike)) or name in ("Period", "Interval"):
        return str(value)
    raise TypeError(f"of type {name}")


def _is_picture(value: object) -> bool:
    """Whether it is bytes, a picture of Pillow or of a dataset, or an array of pixels."""
    if isinstance(value, (bytes, bytearray, memoryview)) or type(value).__name__ == "LazyImage":
        return True
    image = getattr(sys.modules.get("PIL.Image"), "Image", None)
    pixels = getattr(value, "ndim", 0) in (2, 3) and str(getattr(value, "dtype", "")) == "uint8"
    return pixels or (image is not None and isinstance(value, image))


def text_names(names: Collection[Any], taken: Collection[str] = ()) -> dict[Any, str]:
    """Each name as text, and no two the same: the number 1 beside the text "1" is `1_int`."""
    found: dict[Any, str] = {}
    used = set(taken)
    for name in sorted(names, key=lambda name: not isinstance(name, str)):  # texts keep theirs
        text = str(name)
        while text in used:
            text = f"{text}_{type(name).__name__}"
        found[name] = text
        used.add(text)
    return {name: found[name] for name in names}
