"""What was given becomes a source: a frame, a file, a mapping of columns, or rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set, Sized
from typing import Any

from ..errors import ConfigurationError, SourceError
from ..text import clean
from .source import Source, SourceRow, read_row
from .source_files import FileOptions, no_column, read_files, read_handle
from .source_frames import is_of, of_pandas, read_frame, refuse_other_frames


def read_source(
    source: Any,
    *,
    prompt: str,
    columns: Iterable[str] | None = None,
    format: str | None = None,  # noqa: A002 - the word for it
    encoding: str | None = None,
    sep: str | None = None,
    needs_prompt: bool = True,
    pictures: Iterable[str] = (),
) -> Source:
    """The source of a table; its rows are not read yet.

    Args:
        source: what `generate_dataset` takes.
        prompt: the column of the prompts.
        columns: the names of the values of rows that are tuples.
        format: what kind of file it is, if its name does not say it.
        encoding: of a text file.
        sep: between two values of a csv file.
        needs_prompt: a table must have the column of the prompts.
        pictures: columns whose bytes are read, or whose names lead beside the file.

    Raises:
        SourceError: it is not a table, or cannot be opened.
        ConfigurationError: an option cannot be used.
    """
    named = tuple(pictures)
    options = FileOptions(prompt, format, encoding, sep, needs_prompt, named)
    if isinstance(source, (str, os.PathLike)):
        return read_files(source, options)
    if hasattr(source, "read") and hasattr(source, "readable"):
        return read_handle(source, options)
    for name, value in (("format", format), ("encoding", encoding), ("sep", sep)):
        if value is not None:
            raise ConfigurationError(f"{name} is for files; the source is of type {type(source).__name__}")
    frame = read_frame(source, prompt, named)
    if frame is not None:
        return frame
    if isinstance(source, Mapping):
        return _of_mapping(source, prompt if needs_prompt else _longest(source, prompt))
    refuse_other_frames(source)
    if isinstance(source, Set):
        raise SourceError("a set has no order", hint="Give a list: sorted(prompts).")
    if not isinstance(source, Iterable) or isinstance(source, (bytes, bytearray, memoryview)):
        raise SourceError(
            f"source must be a frame, a path or an iterable of rows, not {type(source).__name__}"
        )
    whole = isinstance(source, Sized) and iter(source) is not source
    names = tuple(columns or ())

    def rows() -> Iterator[SourceRow]:
        return (
            read_row(row, f"row {number}", prompt=prompt, columns=names) for number, row in enumerate(source)
        )

    return Source(rows, whole=whole, size=len(source) if isinstance(source, Sized) else None)


def _of_mapping(source: Mapping[Any, Any], prompt: str) -> Source:
    """One row, or several if the prompts are a list; then a single value holds for all of them."""
    if prompt not in source:
        raise no_column(prompt, tuple(source))
    if not _is_column(source[prompt]):
        return Source(lambda: iter([SourceRow(source, "row 0")]), size=1, columns=tuple(source))
    if any(is_of(value, "pandas", "Series") for value in source.values()):
        return of_pandas(sys.modules["pandas"].DataFrame(source))
    columns = {name: list(value) if _is_column(value) else value for name, value in source.items()}
    size = len(columns[prompt])
    for name, value in columns.items():
        if isinstance(value, list) and len(value) != size:
            raise SourceError(
                f"the column {clean(name, limit=80)} has {len(value)} values, and {clean(prompt, limit=80)} has {size}"
            )

    def rows() -> Iterator[SourceRow]:
        for number in range(size):
            record = {
                name: value[number] if isinstance(value, list) else value for name, value in columns.items()
            }
            yield SourceRow(record, f"row {number}")

    return Source(rows, size=size, columns=tuple(columns))


def _longest(source: Mapping[Any, Any], otherwise: Any) -> Any:
    """A column that has a value for each row, or any if none has."""
    several = (name for name, value in source.items() if _is_column(value))
    return next(several, next(iter(source), otherwise))


def _is_column(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, Set))
