"""Parquet files with picture bytes, in the shape that `datasets` loads as an `Image` feature by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from ..errors import ConfigurationError
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH = 1000  # rows whose types are found together
# https://huggingface.co/docs/datasets/about_dataset_features#image-feature
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
OUTER = ("cost", "width", "height")


def wide_schema(records: Iterable[dict[str, Any]]) -> Any:
    """One schema for all rows; a column with values of several types is text.

    Raises:
        ConfigurationError: parquet cannot hold a value of a column.
    """
    types: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for record in records:
        rows.append(record)
        if len(rows) == BATCH:
            _widen(types, rows)
            rows = []
    _widen(types, rows)
    fields = [
        pa.field("image", IMAGE),
        *(pa.field(name, _settled(name, kind)) for name, kind in types.items()),
    ]
    features = {field.name: _feature(field.type) for field in fields}
    features["image"] = {"_type": "Image"}
    facts: dict[bytes | str, bytes | str] = {
        b"huggingface": json.dumps({"info": {"features": features}}).encode()
    }
    return pa.schema(fields, metadata=facts)


def _widen(types: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    for name in {name: None for row in rows for name in row}:
        kind = _type_of([row.get(name) for row in rows])
        known = types.get(name, pa.null())
        types[name] = (
            kind if pa.types.is_null(known) else known if pa.types.is_null(kind) else _common(known, kind)
        )


def _type_of(values: list[Any]) -> Any:
    try:
        kind = pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.string()
    return kind if pa.types.is_primitive(kind) or pa.types.is_null(kind) else pa.string()


def _common(one: Any, other: Any) -> Any:
    if one == other:
        return one
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))
    return pa.float64() if numbers else pa.string()


def _settled(name: str, kind: Any) -> Any:
    """A column without any value gets the type that its values would have."""
    if pa.types.is_null(kind):
        return pa.int64() if name in OUTER else pa.string()
    return kind


def _feature(kind: Any) -> dict[str, str]:
    words = {"double": "float64"}
    return {"dtype": words.get(str(kind), str(kind)), "_type": "Value"}


def write_shard(
    file: BinaryIO, schema: Any, samples: Iterable[tuple[int, dict[str, Any], bytes]], *, group: int
) -> None:
    """Write one file, in row groups of `group` bytes of pictures."""
    with parquet.ParquetWriter(file, schema, compression={"image.bytes": "none"}) as writer:
        for rows in _groups(samples, group):
            try:
                table = pa.Table.from_pylist([_fitting(row, schema) for row in rows], schema=schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                problem = clean(error, limit=200)
            else:
                writer.write_table(table)
                continue
            raise ConfigurationError(f"a column cannot be written as parquet: {problem}")


def _groups(
    samples: Iterable[tuple[int, dict[str, Any], bytes]], most: int
) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for _, record, data in samples:
        image = {"bytes": data, "path": record["file_name"]} if record["file_name"] else None
        rows.append({"image": image, **record})
        size += len(data)
        if size >= most or len(rows) >= BATCH:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _fitting(row: dict[str, Any], schema: Any) -> dict[str, Any]:
    """The row, with values of text columns as text."""
    fitted = dict(row)
    for field in schema:
        value = fitted.get(field.name)
        if pa.types.is_string(field.type) and value is not None and not isinstance(value, str):
            fitted[field.name] = json.dumps(value, ensure_ascii=False)
    return fitted
