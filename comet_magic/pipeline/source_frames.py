"""Sources that have columns: frames of pandas, Dask and polars, Arrow's tables and streams, Hugging Face datasets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..extras import load_extra
from ..text import clean
from .source import BATCH, FEW, FrameIndex, Source, SourceRow, check_columns, read_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# What other frames are converted by; the first that a frame has is named.
_CONVERSIONS = ("to_arrow", "to_pandas", "toPandas", "_to_pandas", "to_pandas_df", "to_dataframe")


def is_of(value: object, module: str, *names: str) -> bool:
    """Whether a value is an instance of one of a library's classes; the library is not imported to find out."""
    kinds = [getattr(sys.modules.get(module), name, None) for name in names]
    return any(kind is not None and isinstance(value, kind) for kind in kinds)


def read_frame(source: Any, prompt: str, pictures: Collection[str] = ()) -> Source | None:
    """The source of a frame; None if it has no columns. The bytes in columns of `pictures` are read too.

    Raises:
        SourceError: two columns have one name, or it is a frame of a library that is not read here.
    """
    if is_of(source, "pandas", "DataFrame"):
        return of_pandas(source)
    if is_of(source, "pandas", "Series"):
        labelled = zip(source.index, source, strict=True)
        rows = [
            read_row(row, f"row {n}", prompt=prompt, label=label) for n, (label, row) in enumerate(labelled)
        ]
        return Source(lambda: iter(rows), size=len(rows), index=_index(source.index))
    if is_of(source, "dask.dataframe", "DataFrame", "Series"):
        return _of_dask(source.to_frame(prompt) if source.ndim == 1 else source)
    if is_of(source, "datasets", "DatasetDict", "IterableDatasetDict"):
        first, names = next(iter(source), "train"), ", ".join(source)
        raise SourceError(f"the source has splits: {clean(names)}", hint=f"Name one: source[{first!r}].")
    if is_of(source, "datasets", "Dataset"):
        return _of_hugging_face(source, pictures)
    if is_of(source, "datasets", "IterableDataset"):
        return Source(lambda: _of_rows(source, prompt), whole=False)
    if is_of(source, "polars", "LazyFrame"):
        source = source.collect()
    if any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")):
        return _of_arrow(source, prompt, pictures)
    return None


def refuse_other_frames(source: Any) -> None:
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


def of_pandas(frame: Any) -> Source:
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
