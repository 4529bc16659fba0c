"""A tar file of webdataset: `000000000.png`, `000000000.<column>.png` of what went in, `000000000.json` of each row."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from .rows import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .export_rows import Sample

_UNSAFE = re.compile(r"[^\w.-]")  # in the name of a member


class TarShard:
    """One tar file, to be written sample by sample."""

    def __init__(self, file: Any, inputs: Iterable[str]) -> None:
        # USTAR has no times beyond seconds and no owners' names: the same rows give the same bytes.
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - `close` does
        self._inputs = tuple(inputs)

    def add(self, sample: Sample) -> None:
        """Write a row that has a picture."""
        stem, record = f"{sample.number:09d}", sample.record
        name = record["file_name"]
        self._add(f"{stem}{PurePosixPath(name).suffix}", sample.data(name))
        for column, given in _inputs(record, self._inputs):
            member = f"{stem}.{_UNSAFE.sub('_', column)}{PurePosixPath(given).suffix}"
            self._add(member, sample.data(given))
        self._add(f"{stem}.json", json_line(record).rstrip())

    def close(self) -> None:
        """Write the end of the file."""
        self._tar.close()

    def _add(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        self._tar.addfile(info, io.BytesIO(data))


def _inputs(record: dict[str, Any], columns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each picture that went into a row: its column, numbered if there are several, and the name of its file."""
    for column in columns:
        value = record[column]
        for number, name in enumerate(value if isinstance(value, list) else [value]):
            if name:
                yield f"{column}.{number}" if isinstance(value, list) else column, name
