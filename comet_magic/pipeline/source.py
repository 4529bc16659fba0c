"""The rows of a source: a frame, a list, a file or a generator. Read in batches, never held whole."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..extras import load_extra
from ..text import clean, counted

BATCH = 500  # rows
LINGER = 0.1  # seconds to wait for a batch to fill
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A table that is read once, from its first row to its last.

    Attributes:
        size: how many rows it has, None if only reading it tells.
        records: its rows, as mappings of column to value.
        endless: it may never end, and is read no further than calls are made.
    """

    size: int | None
    records: Iterator[Record]
    endless: bool = False

    def batches(self, size: int = BATCH) -> Iterator[tuple[list[Record], bool]]:
        """The rows in lists of at most `size`, each with whether it is the last; that one may be empty.

        What a slow source has given is handed on after 0.1 s. If the source fails, the rows before the fault come
        first, and no list is the last.
        """
        batch: list[Record] = []
        last = False
        try:
            until = time.monotonic() + LINGER
            for record in self.records:
                batch.append(record)
                if len(batch) == size or time.monotonic() > until:
                    whole, batch = batch, []
                    yield whole, False
                    until = time.monotonic() + LINGER
            last = True
        finally:
            if batch or last:
                yield batch, last


def read_source(source: Any, *, prompt: str) -> Source:
    """The rows of a table.

    Args:
        source: a pandas or pyarrow frame; a path that ends in .csv, .tsv, .jsonl or .parquet; or any iterable of
            texts or mappings.
        prompt: the column of the prompts.

    Raises:
        ConfigurationError: the source is not a table or cannot be read. The column is looked for with the first row.
    """
    if isinstance(source, (str, os.PathLike)):
        opened = _of_file(Path(os.path.expanduser(source)))  # noqa: PTH111 - a home that does not exist is named as a file
    elif _is(source, "pandas", "DataFrame"):
        opened = Source(len(source), _of_frame(source))
    elif _is(source, "pyarrow", "Table"):
        opened = Source(source.num_rows, _of_arrow(source.to_batches(max_chunksize=BATCH)))
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        size = len(source) if isinstance(source, Sized) else None
        opened = Source(size, _of_rows(source, prompt), endless=size is None)
    else:
        raise ConfigurationError(
            f"source must be a frame, a path or an iterable of rows, not {type(source).__name__}"
        )
    return replace(opened, records=_with_column(opened.records, prompt))


def _is(value: object, module: str, name: str) -> bool:
    """Whether a value is an instance of a library's class; the library is not imported to find out."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _with_column(records: Iterator[Record], prompt: str) -> Iterator[Record]:
    first = next(records, None)
    if first is None:
        return
    if prompt not in first:
        there = ", ".join(str(name) for name in first) or "none"
        raise ConfigurationError(
            f"there is no column {clean(prompt, limit=80)}; the columns are: {clean(there, limit=300)}",
            hint="Name the column of the prompts: prompt='caption', or --prompt-column caption.",
        )
    yield first
    yield from records


def _of_rows(rows: Iterable[Any], prompt: str) -> Iterator[Record]:
    for number, row in enumerate(rows):
        if isinstance(row, str):
            yield {prompt: row}
        elif isinstance(row, Mapping):
            yield row
        else:
            raise ConfigurationError(
                f"row {number} is of type {type(row).__name__}; a row must be a text or a mapping"
            )


def _of_frame(frame: Any) -> Iterator[Record]:
    for start in range(0, len(frame), BATCH):
        yield from frame.iloc[start : start + BATCH].to_dict("records")


def _of_arrow(batches: Iterable[Any]) -> Iterator[Record]:
    for batch in batches:
        yield from batch.to_pylist()


# --- files


def _of_file(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(f"{clean(path)} is not a table; its name must end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ConfigurationError(f"there is no file {clean(path)}")
    if suffix == ".parquet":
        return _of_parquet(path)
    if suffix in (".csv", ".tsv"):
        return Source(None, _named(path, _of_csv(path, "\t" if suffix == ".tsv" else ",")))
    return Source(None, _named(path, _of_jsonl(path)))


def _named(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    """The rows of a file; an error names the file."""
    problem = ""
    try:
        yield from records
    except OSError as error:
        problem = error.strerror or clean(error, limit=200)
    except (ValueError, csv.Error) as error:
        problem = clean(error, limit=200)
    if problem:
        raise ConfigurationError(f"{clean(path)} cannot be read: {problem}")


def _of_csv(path: Path, delimiter: str) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        for record in reader:
            beyond = record.pop(None, None)
            if beyond:
                message = f"line {reader.line_num} has {counted(len(beyond), 'value')} too many"
                raise ValueError(message)
            yield {name: value or None for name, value in record.items()}


def _of_jsonl(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                record = json.loads(line)
                if not isinstance(record, dict):
                    message = f"line {number} is not a JSON object"
                    raise ValueError(message)
                yield record


def _of_parquet(path: Path) -> Source:
    load_extra("pyarrow")
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        return Source(file.metadata.num_rows, _named(path, _of_arrow(file.iter_batches(batch_size=BATCH))))
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        problem = clean(error, limit=200)
    raise ConfigurationError(f"{clean(path)} cannot be read: {problem}")


# --- values


def plain(value: Any) -> Any:
    """A value of a column as JSON can hold it; NaN, infinities, NaT and NA become None.

    Raises:
        ConfigurationError: the value is bytes.
    """
    kind = type(value)
    if kind in (str, int, bool) or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ConfigurationError(
            "a column holds bytes, which the metadata cannot hold", hint="Leave that column out."
        )
    if isinstance(value, Mapping):
        return {text: plain(value[name]) for name, text in text_names(value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # of numpy
        return plain(value.tolist())
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def text_names(names: Iterable[Any]) -> dict[Any, str]:
    """Each name as text, and no two the same: the number 1 beside the text "1" is `1_int`."""
    names = list(names)
    found: dict[Any, str] = {name: name for name in names if isinstance(name, str)}
    taken = set(found)
    for name in names:
        if name not in found:
            text = str(name)
            while text in taken:
                text = f"{text}_{type(name).__name__}"
            found[name] = text
            taken.add(text)
    return {name: found[name] for name in names}
