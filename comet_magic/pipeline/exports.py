"""A dataset in other formats: parquet, tar shards or a plain folder; on this machine or at an address of fsspec.

The index of the dataset lists what was written where: exporting again removes what the dataset does not have any more,
and a folder with other files is refused.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from ..errors import ConfigurationError, SaveError
from ..extras import load_extra
from ..files import inside, native, read_inside, replaced
from ..machine import expanded
from ..text import clean
from .row_index import RowIndex
from .rows import NAME, input_columns, json_line, lines, read_records, stored_name

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

Format = Literal["parquet", "webdataset", "folder"]
SHARD = 512 << 20  # bytes of pictures in one file
GROUP = 64 << 20  # bytes of pictures in one row group of a parquet file
_OURS = re.compile(
    r"data-\d{5,}\.(?:parquet|tar)|metadata\.jsonl|(?:images|inputs)/[0-9a-f]{2}/[^/\\]+"
)  # what is written
_UNSAFE = re.compile(r"[^\w.-]")  # in the name of a member
MetadataRow = dict[str, Any]


class Folder:
    """A folder of this machine; its files are written whole or not at all, for whom the user's umask lets read."""

    def __init__(self, folder: Path) -> None:
        self._folder = native(folder).absolute()
        self.name = str(self._folder)

    def has_files(self) -> bool:
        """Whether it holds anything but hidden files."""
        return self._folder.is_dir() and any(not path.name.startswith(".") for path in self._folder.iterdir())

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        inside(self._folder, name).unlink(missing_ok=True)

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A temporary file in the same folder, which takes the name at the end."""
        return replaced(self._folder / name, private=False)


class Address:
    """A folder at an address of fsspec; object stores show a file once it is closed."""

    def __init__(self, address: str) -> None:
        self.name = address
        load_extra("fsspec")
        from fsspec.core import url_to_fs

        try:
            self._system, self._root = url_to_fs(address)
        except (ImportError, ValueError) as error:  # its driver is missing, or there is none
            problem = clean(error, limit=200)
        else:
            return
        raise ConfigurationError(
            f"{clean(address)} cannot be written: {problem}", hint="pip install 'comet-magic[data]'"
        )

    def has_files(self) -> bool:
        """Whether it holds anything but hidden files; some object stores list the folder itself."""
        if not self._system.exists(self._root):
            return False
        paths = {path.rstrip("/") for path in self._system.ls(self._root, detail=False)}
        names = (path.rpartition("/")[2] for path in paths - {self._root.rstrip("/")})
        return any(not name.startswith(".") for name in names)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self._system.exists(self._path(name)):
            self._system.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The file."""
        path = self._path(name)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._system.open(path, "wb") as file:
            yield file


class ExportPlace:
    """A place whose files are listed in the index of the dataset before they are written."""

    def __init__(self, place: Folder | Address, index: RowIndex) -> None:
        self._place, self._index = place, index

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file of the place."""
        with contextlib.suppress(
            ConfigurationError
        ):  # a dataset that cannot be written is exported all the same
            self._index.list_export(self._place.name, name)
        return self._place.open(name)


def export_records(folder: Path, to: str | os.PathLike[str], *, form: Format) -> list[str]:
    """Write the dataset of a folder in another format; gives the names of the files written.

    Raises:
        ConfigurationError: the format is unknown, a library is missing, or the place holds other files.
        SaveError: a picture cannot be read, or a file cannot be written.
    """
    writers = {"parquet": _parquet, "webdataset": _webdataset, "folder": _folder}
    if form not in writers:
        raise ConfigurationError(
            f"format is {clean(form, limit=40)}; format must be parquet, webdataset or folder"
        )
    place = Address(str(to)) if "://" in str(to) else Folder(expanded(to))
    problem = ""
    try:
        with RowIndex(folder) as index:
            former = index.exported(place.name)
            if not former and place.has_files():
                raise ConfigurationError(
                    f"{clean(to)} holds files that no export of this dataset wrote",
                    hint="Name an empty folder.",
                )
            names = list(writers[form](folder, ExportPlace(place, index)))
            for name in former.difference(names):
                if _OURS.fullmatch(name):
                    place.remove(name)
                index.unlist_export(place.name, name)
            return names
    except (OSError, UnicodeEncodeError) as error:  # parquet takes no half of a surrogate pair
        problem = clean(error, limit=300)
    raise SaveError(f"the export to {clean(to)} failed: {problem}", outcome="not_sent")


def _bytes(folder: Path, record: MetadataRow) -> bytes | None:
    return read_inside(folder, record["file_name"]) if record["file_name"] else None


def _inputs(record: MetadataRow, columns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each picture that went into a row: its column, numbered if there are several, and the name of its file."""
    for column in columns:
        value = record[column]
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            name = stored_name(one)
            if name:
                yield f"{column}.{number}" if isinstance(value, list) else column, name


# --- folder


def _folder(folder: Path, place: ExportPlace) -> Iterator[str]:
    """The pictures under their names, once each, and then `metadata.jsonl`."""
    seen, columns = set[str](), input_columns(folder)
    for record in read_records(folder):
        names = [name for _, name in _inputs(record, columns)]
        for name in [record["file_name"], *names] if record["file_name"] else names:
            if name not in seen:
                seen.add(name)
                data = read_inside(folder, name)
                with place.open(name) as file:
                    file.write(data)
                yield name
    with place.open(NAME) as file:
        file.writelines(lines(folder))
    yield NAME


# --- tar shards


def _webdataset(folder: Path, place: ExportPlace) -> Iterator[str]:
    """Shards that hold `000000000.png`, `000000000.<column>.png` of what went in, and `000000000.json`, by row."""
    columns = input_columns(folder)
    samples = ((number, record) for number, record in enumerate(read_records(folder)) if record["file_name"])
    for name, shard in _shards(folder, samples, "data-{:05d}.tar"):
        # USTAR has no times beyond seconds and no owners' names: the same rows give the same bytes.
        with (
            place.open(name) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for number, record, data in shard:
                suffix = record["file_name"].rpartition(".")[2]
                _add(tar, f"{number:09d}.{suffix}", data)
                for column, given in _inputs(record, columns):
                    member = f"{number:09d}.{_UNSAFE.sub('_', column)}.{given.rpartition('.')[2]}"
                    _add(tar, member, read_inside(folder, given))
                _add(tar, f"{number:09d}.json", json_line(record).rstrip())
        yield name


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _shards(
    folder: Path, samples: Iterable[tuple[int, MetadataRow]], name: str
) -> Iterator[tuple[str, Iterator[tuple[int, MetadataRow, bytes]]]]:
    """The samples in shards of at most 512 MB of pictures, each with its name; one after the other."""
    remaining = iter(samples)
    for number, first in enumerate(remaining):
        yield name.format(number), _filled(folder, chain([first], remaining))


def _filled(
    folder: Path, samples: Iterable[tuple[int, MetadataRow]]
) -> Iterator[tuple[int, MetadataRow, bytes]]:
    """The samples of one shard, with their bytes; the others are left where they are."""
    size = 0
    for number, record in samples:
        data = _bytes(folder, record) or b""
        yield number, record, data
        size += len(data)
        if size >= SHARD:
            return


# --- parquet


def _parquet(folder: Path, place: ExportPlace) -> Iterator[str]:
    """Shards with all rows; the column `image` holds the bytes of the picture, if there is one."""
    load_extra("pyarrow")  # looked for before anything is written
    from .parquet import wide_schema, write_shard

    columns = input_columns(folder)

    def samples() -> Iterator[tuple[int, MetadataRow]]:
        return enumerate(read_records(folder))

    def with_inputs(
        shard: Iterable[tuple[int, MetadataRow, bytes]],
    ) -> Iterator[tuple[int, MetadataRow, bytes]]:
        for number, record, data in shard:
            yield number, {**record, **{name: _cell(folder, record[name]) for name in columns}}, data

    schema = wide_schema((record for _, record in samples()), columns)
    for name, shard in _shards(folder, samples(), "data-{:05d}.parquet"):
        with place.open(name) as file:
            write_shard(file, schema, with_inputs(shard), group=GROUP)
        yield name


def _cell(folder: Path, value: Any) -> Any:
    """The value of an `Image` feature, or of a list of them."""
    if isinstance(value, list):
        return [_cell(folder, one) for one in value]
    name = stored_name(value)
    return {"bytes": read_inside(folder, name), "path": name} if name else None
