"""What was given becomes a source: a frame, a mapping of columns, rows, or a file.

Frames are those of pandas, Dask and polars, Arrow's tables and streams, and Hugging Face datasets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set, Sized
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, SourceError
from ..extras import load_extra
from ..text import clean
from .source import (
    BATCH,
    FEW,
    FrameIndex,
    Source,
    SourceRow,
    arrow_rows,
    check_columns,
    read_row,
    without_bytes,
)
from .source_files import FileOptions, no_column, read_files, read_handle

if TYPE_CHECKING:
    from collections.abc import Collection

# What other frames are converted by; the first that a frame has is named.
_CONVERSIONS = ("to_arrow", "to_pandas", "toPandas", "_to_pandas", "to_pandas_df", "to_dataframe")


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
    named, is_name = tuple(pictures), isinstance(source, (str, os.PathLike))
    if is_name or (hasattr(source, "read") and hasattr(source, "readable")):
        options = FileOptions(prompt, format, encoding, sep, needs_prompt, named)
        return read_files(source, options) if is_name else read_handle(source, options)
    for name, value in (("format", format), ("encoding", encoding), ("sep", sep)):
        if value is not None:
            raise ConfigurationError(f"{name} is for files; the source is of type {type(source).__name__}")
    frame = _read_frame(source, prompt, named)
    if frame is not None:
        return frame
    if isinstance(source, Mapping):
        return _of_mapping(source, prompt if needs_prompt else _longest(source, prompt))
    _refuse_other_frames(source)
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
    if any(_is_of(value, "pandas", "Series") for value in source.values()):
        return _of_pandas(sys.modules["pandas"].DataFrame(source))
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


# --- frames


def _is_of(value: object, module: str, *names: str) -> bool:
    """Whether a value is an instance of one of a library's classes; the library is not imported to find out."""
    kinds = [getattr(sys.modules.get(module), name, None) for name in names]
    return any(kind is not None and isinstance(value, kind) for kind in kinds)


def _read_frame(source: Any, prompt: str, pictures: Collection[str] = ()) -> Source | None:
    """The source of a frame; None if it has no columns. The bytes in columns of `pictures` are read too.

    Raises:
        SourceError: two columns have one name, or it is a frame of a library that is not read here.
    """
    if _is_of(source, "pandas", "DataFrame"):
        return _of_pandas(source)
    if _is_of(source, "pandas", "Series"):
        labelled = zip(source.index, source, strict=True)
        rows = [
            read_row(row, f"row {n}", prompt=prompt, label=label) for n, (label, row) in enumerate(labelled)
        ]
        return Source(lambda: iter(rows), size=len(rows), index=_index(source.index))
    if _is_of(source, "dask.dataframe", "DataFrame", "Series"):
        return _of_dask(source.to_frame(prompt) if source.ndim == 1 else source)
    if _is_of(source, "datasets", "DatasetDict", "IterableDatasetDict"):
        first, names = next(iter(source), "train"), ", ".join(source)
        raise SourceError(f"the source has splits: {clean(names)}", hint=f"Name one: source[{first!r}].")
    if _is_of(source, "datasets", "Dataset"):
        return _of_hugging_face(source, pictures)
    if _is_of(source, "datasets", "IterableDataset"):
        return Source(lambda: _of_rows(source, prompt), whole=False)
    if _is_of(source, "polars", "LazyFrame"):
        source = source.collect()
    if any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")):
        return _of_arrow(source, prompt, pictures)
    return None


def _refuse_other_frames(source: Any) -> None:
    """Refuse the frame of a library that is not read here: what iterating it gives may be anything.

    Raises:
        SourceError: it is.
    """
    own = any(hasattr(source, name) for name in ("columns", "column_names", "__dataframe__", "schema"))
    if not own and not getattr(getattr(source, "dtype", None), "names", None):
        return
    call = next(
        (f"source.{name}()" for name in _CONVERSIONS if hasattr(source, name)), "pandas.DataFrame(source)"
    )
    kind = type(source)
    raise SourceError(f"a {kind.__module__}.{kind.__name__} is not read here", hint=f"Give {call}.")


def _of_rows(rows: Iterable[Any], prompt: str) -> Iterator[SourceRow]:
    return (read_row(row, f"row {number}", prompt=prompt) for number, row in enumerate(rows))


# --- pandas and Dask


def _of_pandas(frame: Any) -> Source:
    """The source of a frame of pandas."""
    names = tuple(frame.columns)
    check_columns(names, "the frame")
    return Source(lambda: _pandas_rows([frame]), size=len(frame), columns=names, index=_index(frame.index))


def _index(index: Any) -> FrameIndex:
    levels = [index.get_level_values(number) for number in range(index.nlevels)]
    return FrameIndex(tuple(index.names), tuple(str(level.dtype) for level in levels))


def _of_dask(frame: Any) -> Source:
    names = tuple(frame.columns)
    check_columns(names, "the frame")
    index = FrameIndex((frame.index.name,), (str(frame.index.dtype),))
    return Source(
        lambda: _pandas_rows(part.compute() for part in frame.partitions), columns=names, index=index
    )


def _pandas_rows(frames: Iterable[Any]) -> Iterator[SourceRow]:
    number = 0
    for frame in frames:
        for start in range(0, len(frame), BATCH):
            part = frame.iloc[start : start + BATCH]
            for label, record in zip(part.index, part.to_dict("records"), strict=True):
                yield SourceRow(record, f"row {number}", label)
                number += 1


# --- Arrow


def _of_arrow(source: Any, prompt: str, pictures: Collection[str]) -> Source:
    pyarrow = load_extra("pyarrow")
    if isinstance(source, pyarrow.RecordBatchReader):
        check_columns(tuple(source.schema.names), "the source")
        return Source(
            lambda: arrow_rows(source, "row", pictures=pictures),
            whole=False,
            columns=tuple(source.schema.names),
        )
    values = getattr(source, "to_pylist", None) or getattr(source, "to_list", None)
    if values is not None and not hasattr(source, "schema"):  # a single column
        rows = list(_of_rows(values(), prompt))
        return Source(lambda: iter(rows), size=len(rows))
    table = pyarrow.table(source)
    names = tuple(table.column_names)
    check_columns(names, "the frame")
    return Source(lambda: arrow_rows([table], "row", pictures=pictures), size=table.num_rows, columns=names)


def _of_hugging_face(dataset: Any, pictures: Collection[str]) -> Source:
    schema = dataset.features.arrow_schema
    columns = without_bytes(schema, pictures)

    def rows() -> Iterator[SourceRow]:
        tables = dataset.select_columns(columns).with_format("arrow").iter(FEW if pictures else BATCH)
        return arrow_rows(tables, "row", schema, pictures)

    return Source(rows, size=len(dataset), columns=tuple(schema.names))
