"""Parquet files with picture bytes, in the shape that `datasets` loads as an `Image` feature by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from ..errors import ConfigurationError
from ..text import clean
from .rows import as_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .export_rows import Sample

GROUP, BATCH = 32 << 20, 1000  # bytes of pictures, and rows, of a row group at most
# https://huggingface.co/docs/datasets/about_dataset_features#image-feature
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TIMES = {"time": pa.timestamp("us", tz="UTC"), "local time": pa.timestamp("us")}
KINDS = {"cost": "float", "width": "int", "height": "int"}


def schema_of(kinds: dict[str, Any], pictures: Iterable[str] = ()) -> Any:
    """One schema for all rows, of the types of their columns; some columns hold pictures."""
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
    types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), **TIMES}
    return types.get(kind or "text", pa.string())


def _feature(kind: Any) -> Any:
    """A type as a feature of `datasets`."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


class ParquetShard:
    """One file, to be written sample by sample; the column `image` holds the bytes of the picture, if there is one."""

    def __init__(self, file: Any, kinds: dict[str, Any], inputs: Iterable[str]) -> None:
        self._inputs = tuple(inputs)
        self._times = tuple(name for name, kind in kinds.items() if isinstance(kind, str) and kind in TIMES)
        self._schema = schema_of(kinds, self._inputs)
        # Pictures are neither alike, which a dictionary is for, nor to be pressed further.
        words = [name for name in kinds if name not in self._inputs]
        self._writer = parquet.ParquetWriter(
            file, self._schema, compression={"image.bytes": "none"}, use_dictionary=words
        )
        self._rows: list[dict[str, Any]] = []
        self._size = 0

    def add(self, sample: Sample) -> None:
        """Write a row, once a row group is full."""
        cells = {name: _picture_cell(sample, sample.record[name]) for name in self._inputs}
        cells |= {name: as_datetime(sample.record[name]) for name in self._times}
        image = _picture_cell(sample, sample.record["file_name"])
        self._rows.append({"image": image, **sample.record, **cells})
        self._size += sample.weight
        if self._size >= GROUP or len(self._rows) >= BATCH:
            self._write()

    def close(self) -> None:
        """Write the remaining rows, and the end of the file."""
        try:
            if self._rows:
                self._write()
        finally:
            self._writer.close()

    def _write(self) -> None:
        rows, self._rows, self._size = self._rows, [], 0
        try:
            table = pa.Table.from_pylist(rows, schema=self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            problem = clean(error, limit=200)
        else:
            self._writer.write_table(table)
            return
        raise ConfigurationError(f"a column cannot be written as parquet: {problem}")


def _picture_cell(sample: Sample, value: Any) -> Any:
    """A picture, or a list of them, as an `Image` feature has it."""
    if isinstance(value, list):
        return [_picture_cell(sample, one) for one in value]
    return {"bytes": sample.data(value), "path": value} if value else None
