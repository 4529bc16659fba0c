"""A dataset in other formats: parquet, tar shards or a plain folder; on this machine or at an address of fsspec.

The index of the dataset lists what was written where: exporting again removes what the dataset does not have any more,
and a folder with other files is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tarfile
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

from ..errors import ConfigurationError, SaveError
from ..extras import load_extra
from ..files import inside, native, read_inside, replaced
from ..machine import expanded
from ..text import clean
from .row_index import RowIndex
from .rows import NAME, input_columns, json_line, metadata_line, read_records, stored_name

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .training import PictureForm, RowChoice, Splits

Format = Literal["parquet", "webdataset", "folder"]
SHARD = 512 << 20  # bytes of pictures in one file
GROUP = 64 << 20  # bytes of pictures in one row group of a parquet file
_OURS = re.compile(
    r"[A-Za-z_]\w*-\d{5,}\.(?:parquet|tar)|(?:[A-Za-z_]\w*/)?(?:metadata\.jsonl|(?:images|inputs)/[0-9a-f]{2}/[^/\\]+)"
)  # what is written
_UNSAFE = re.compile(r"[^\w.-]")  # in the name of a member
AHEAD = 8  # rows whose pictures are made ready before they are written
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


class Sample(NamedTuple):
    """A row with the pictures that it needs, by their names in its record."""

    number: int
    record: MetadataRow
    pictures: Mapping[str, bytes]

    @property
    def data(self) -> bytes | None:
        """The picture that came out."""
        return self.pictures[self.record["file_name"]] if self.record["file_name"] else None

    @property
    def weight(self) -> int:
        """Bytes of all its pictures."""
        return sum(map(len, self.pictures.values()))


@dataclass
class Contents:
    """What is exported: chosen rows, by splits, with their pictures as they came or made anew.

    Attributes:
        folder: of the dataset.
        form: how pictures are made anew.
        choice: which rows and columns.
        splits: which split each row belongs to.
        broken: names of pictures that cannot be decoded; their rows are left out.
    """

    folder: Path
    form: PictureForm
    choice: RowChoice
    splits: Splits
    inputs: list[str] = field(init=False)
    broken: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = input_columns(self.folder)

    def chosen(self) -> Iterator[tuple[int, str, MetadataRow]]:
        """Number, split and record of each row that is exported, without its pictures."""
        takes = self.choice.takes()
        for number, record in enumerate(read_records(self.folder)):
            if takes(number, record):
                split = self.splits.of(record, self.inputs)
                yield number, split, self.choice.kept(record, self.inputs)

    def samples(self, split: str) -> Iterator[Sample]:
        """The rows of a split; a few are made ready at the same time, for Pillow leaves other threads running."""
        with ThreadPoolExecutor() as pool:
            waiting: deque[Future[Sample | None]] = deque()
            for number, own, record in self.chosen():
                if own == split:
                    waiting.append(pool.submit(self._sample, number, record))
                if len(waiting) > AHEAD and (ready := waiting.popleft().result()):
                    yield ready
            while waiting:
                if ready := waiting.popleft().result():
                    yield ready

    def _sample(self, number: int, record: MetadataRow) -> Sample | None:
        pictures: dict[str, bytes] = {}
        record = dict(record)
        try:
            if record["file_name"]:
                record["file_name"] = self._made(record["file_name"], pictures, record)
            for column in self.inputs:
                value = record[column]
                if isinstance(value, list):
                    record[column] = [self._made(one, pictures) for one in value if stored_name(one)]
                else:
                    record[column] = self._made(value, pictures) if stored_name(value) else None
        except UnreadableError as error:
            self.broken[error.name] = None
            return None
        return Sample(number, record, pictures)

    def _made(self, name: str, pictures: dict[str, bytes], record: MetadataRow | None = None) -> str:
        """Read a picture and make it anew; gives its name, and puts its new facts into the record."""
        data = read_inside(self.folder, name)
        if self.form:
            try:
                data, suffix, size = self.form.made(data)
            except (OSError, ValueError, SyntaxError):
                raise UnreadableError(name) from None
            name = str(PurePosixPath(name).with_suffix(suffix))
            facts = {"width": size[0], "height": size[1], "sha256": hashlib.sha256(data).hexdigest()}
            if record is not None:
                record.update({fact: value for fact, value in facts.items() if fact in record})
        pictures[name] = data
        return name


class UnreadableError(Exception):
    """A picture of a dataset cannot be decoded."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def export_records(to: str | os.PathLike[str], contents: Contents, *, form: Format) -> list[str]:
    """Write rows of a dataset in another format; gives the names of the files written.

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
        with RowIndex(contents.folder) as index:
            former = index.exported(place.name)
            if not former and place.has_files():
                raise ConfigurationError(
                    f"{clean(to)} holds files that no export of this dataset wrote",
                    hint="Name an empty folder.",
                )
            splits = (
                dict.fromkeys(split for _, split, _ in contents.chosen()) if contents.splits.given else [""]
            )
            names = [
                name for split in splits for name in writers[form](contents, split, ExportPlace(place, index))
            ]
            for name in former.difference(names):
                if _OURS.fullmatch(name):
                    place.remove(name)
                index.unlist_export(place.name, name)
    except (OSError, UnicodeEncodeError) as error:  # parquet takes no half of a surrogate pair
        problem = clean(error, limit=300)
    if problem:
        raise SaveError(f"the export to {clean(to)} failed: {problem}", outcome="not_sent")
    if contents.broken:
        said = clean(", ".join(contents.broken), limit=300)
        warnings.warn(f"pictures that cannot be decoded, whose rows are left out: {said}", stacklevel=3)
    return names


# --- folder


def _folder(contents: Contents, split: str, place: ExportPlace) -> Iterator[str]:
    """The pictures under their names, once each, and `metadata.jsonl`; of a split in a folder of its name."""
    seen, within = set[str](), f"{split}/" if split else ""
    with place.open(f"{within}{NAME}") as metadata:
        for sample in contents.samples(split):
            for name, data in sample.pictures.items():
                if name not in seen:
                    seen.add(name)
                    with place.open(f"{within}{name}") as file:
                        file.write(data)
                    yield f"{within}{name}"
            metadata.write(metadata_line(sample.record, contents.inputs))
    yield f"{within}{NAME}"


# --- tar shards


def _webdataset(contents: Contents, split: str, place: ExportPlace) -> Iterator[str]:
    """Shards that hold `000000000.png`, `000000000.<column>.png` of what went in, and `000000000.json`, by row."""
    samples = (sample for sample in contents.samples(split) if sample.record["file_name"])
    for name, shard in _shards(samples, f"{split or 'data'}-{{:05d}}.tar"):
        # USTAR has no times beyond seconds and no owners' names: the same rows give the same bytes.
        with (
            place.open(name) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for sample in shard:
                stem, record = f"{sample.number:09d}", sample.record
                _add(tar, f"{stem}{PurePosixPath(record['file_name']).suffix}", sample.data or b"")
                for column, given in _inputs(record, contents.inputs):
                    member = f"{stem}.{_UNSAFE.sub('_', column)}{PurePosixPath(given).suffix}"
                    _add(tar, member, sample.pictures[given])
                _add(tar, f"{stem}.json", json_line(record).rstrip())
        yield name


def _inputs(record: MetadataRow, columns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each picture that went into a row: its column, numbered if there are several, and the name of its file."""
    for column in columns:
        value = record[column]
        for number, name in enumerate(value if isinstance(value, list) else [value]):
            if name:
                yield f"{column}.{number}" if isinstance(value, list) else column, name


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _shards(samples: Iterable[Sample], name: str) -> Iterator[tuple[str, Iterator[Sample]]]:
    """The samples in shards of at most 512 MB of pictures, each with its name; one after the other."""
    remaining = iter(samples)
    for number, first in enumerate(remaining):
        yield name.format(number), _filled(chain([first], remaining))


def _filled(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples of one shard; the others are left where they are."""
    size = 0
    for sample in samples:
        yield sample
        size += sample.weight
        if size >= SHARD:
            return


# --- parquet


def _parquet(contents: Contents, split: str, place: ExportPlace) -> Iterator[str]:
    """Shards with all rows; the column `image` holds the bytes of the picture, if there is one."""
    load_extra("pyarrow")  # looked for before anything is written
    from .parquet import wide_schema, write_shard

    schema = wide_schema((record for *_, record in contents.chosen()), contents.inputs)
    for name, shard in _shards(contents.samples(split), f"{split or 'data'}-{{:05d}}.parquet"):
        rows = ((sample.number, _cells(sample, contents.inputs), sample.data or b"") for sample in shard)
        with place.open(name) as file:
            write_shard(file, schema, rows, group=GROUP)
        yield name


def _cells(sample: Sample, columns: Iterable[str]) -> MetadataRow:
    """The record of a row with pictures in these columns, as an `Image` feature has them."""

    def cell(value: Any) -> Any:
        if isinstance(value, list):
            return [cell(one) for one in value]
        return {"bytes": sample.pictures[value], "path": value} if value else None

    return {**sample.record, **{name: cell(sample.record[name]) for name in columns}}
