"""Parquet files with picture bytes, in the shape that `datasets` loads as an `Image` feature by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from ..errors import ConfigurationError
from ..text import clean
from .values import widened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH = 1000  # rows of a row group at most
# https://huggingface.co/docs/datasets/about_dataset_features#image-feature
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
KINDS = {"cost": "float", "width": "int", "height": "int"}


def wide_schema(records: Iterable[dict[str, Any]], pictures: Iterable[str] = ()) -> Any:
    """One schema for all rows; some columns hold pictures."""
    kinds: dict[str, Any] = {}
    for record in records:
        kinds = widened(kinds, record)
    types = {name: _arrow_type(KINDS.get(name) if kind is None else kind) for name, kind in kinds.items()}
    features: dict[str, Any] = {name: _feature(kind) for name, kind in types.items()}
    features["image"] = {"_type": "Image"}
    for name in pictures:
        several = isinstance(kinds[name], list)
        types[name] = pa.list_(IMAGE) if several else IMAGE
        features[name] = {"feature": {"_type": "Image"}, "_type": "List"} if several else {"_type": "Image"}
    facts: dict[bytes | str, bytes | str] = {
        b"huggingface": json.dumps({"info": {"features": features}}).encode()
    }
    return pa.schema([("image", IMAGE), *types.items()], metadata=facts)


def _arrow_type(kind: Any) -> Any:
    if isinstance(kind, list):
        return pa.list_(_arrow_type(kind[0]))
    if kind and isinstance(kind, dict):
        return pa.struct([(name, _arrow_type(one)) for name, one in kind.items()])
    return {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}.get(kind or "text", pa.string())


def _feature(kind: Any) -> Any:
    """A type as a feature of `datasets`."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def write_shard(
    file: BinaryIO, schema: Any, samples: Iterable[tuple[int, dict[str, Any], bytes]], *, group: int
) -> None:
    """Write one file, in row groups of `group` bytes of pictures."""
    with parquet.ParquetWriter(file, schema, compression={"image.bytes": "none"}) as writer:
        for rows in _groups(samples, group):
            try:
                table = pa.Table.from_pylist(rows, schema=schema)
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
        given = [one for cell in record.values() for one in (cell if isinstance(cell, list) else [cell])]
        size += len(data) + sum(len(one.get("bytes") or b"") for one in given if isinstance(one, dict))
        if size >= most or len(rows) >= BATCH:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
