"""A dataset in other formats: parquet, tar shards or a plain folder; incremental, and gone on with after a kill.

The manifest lists what was written. A file whose rows are as they were is kept; one of ours that is not needed any
more is removed; a file of others is never touched.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ..archive.known_folders import locked
from ..errors import ConfigurationError, SaveError
from ..extras import load_extra
from ..outputs import tell
from ..text import clean, counted
from .card import configs_text
from .export_manifest import ExportedFile, Manifest, dataset_id, read_manifest
from .export_places import HashedFile, digest_at, place_at
from .export_rows import MadePicture, fingerprint, in_threads
from .progress import Meter
from .rows import NAME, Times, metadata_line, time_columns, widened
from .tar import TarShard

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from .export_places import Place
    from .export_rows import ChosenRow, Contents, Sample

Format = Literal["parquet", "webdataset", "folder"]
SHARD_SIZE = 1000  # rows of the dataset that one file is for
README = "README.md"
SAMPLE = 8  # pictures that a card shows
_UNNOTED = 64  # pictures of a folder that are written between two manifests


class Exported(list[str]):
    """The names of the files of an export, in order.

    Attributes:
        written: how many of them were written now; the others were there already.
        removed: the names of earlier files that the dataset does not have any more.
        rows: how many are exported.
        left_out: names of pictures that cannot be decoded or are not what was stored; their rows are left out.
    """

    written = 0
    rows = 0
    removed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        lost = f", {len(self.left_out):,} left out: {clean(', '.join(self.left_out[:3]), limit=200)}"
        return (
            f"{counted(self.rows, 'row')} in {counted(len(self), 'file')}: {self.written:,} written, "
            f"{len(self) - self.written:,} kept, {len(self.removed):,} removed{lost if self.left_out else ''}"
        )


def export_dataset(
    to: str | os.PathLike[str], contents: Contents, *, form: Format, shard_size: int | None = None
) -> Exported:
    """Write rows of a dataset in another format; another process that exports to the same place is waited for.

    Raises:
        ConfigurationError: an option cannot be used, a library is missing, or the place holds other files.
        SaveError: a picture cannot be read, or a file cannot be written.
    """
    if form not in get_args(Format):
        raise ConfigurationError(
            f"format is {clean(form, limit=40)}; format must be parquet, webdataset or folder"
        )
    _check_shard_size(shard_size, form)
    if form == "parquet":
        load_extra("pyarrow")  # looked for before anything is written
    place, problem = place_at(to), ""
    try:
        with locked(place.name, lambda: tell(f"waiting for another export to {clean(to)}", error=True)):
            former = read_manifest(place, dataset_id(contents.folder))
            exporter = _Folders if form == "folder" else _Shards
            exported = exporter(place, contents, former, form, shard_size or SHARD_SIZE).run()
    except (OSError, UnicodeEncodeError) as error:  # parquet takes no half of a surrogate pair
        problem = clean(error, limit=300)
    if problem:
        raise SaveError(f"the export to {clean(to)} failed: {problem}", outcome="not_sent")
    if exported.left_out:
        said = clean(", ".join(exported.left_out), limit=300)
        warnings.warn(f"pictures that cannot be decoded, whose rows are left out: {said}", stacklevel=3)
    return exported


def _check_shard_size(given: Any, form: str) -> None:
    if given is None:
        return
    if form == "folder":
        raise ConfigurationError(
            "shard_size goes with parquet and webdataset; a folder has a file for each picture"
        )
    if type(given) is not int or given < 1:
        raise ConfigurationError(
            f"shard_size is {clean(given, limit=40)}; it must be a number of rows, such as {SHARD_SIZE}"
        )


class _Planned(NamedTuple):
    """What is to be at the place: of each file a hash of what it is made of, and the types of the columns."""

    files: dict[str, str]
    kinds: dict[str, Any]


@dataclass
class Drawn:
    """Some of the pictures that are exported, the same ones each time."""

    names: list[str] = field(default_factory=list)
    _met: int = 0
    _random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - for show

    def add(self, name: str | None) -> None:
        """Take a picture, perhaps, in the place of one taken before."""
        if name is None:
            return
        self._met += 1
        place = len(self.names) if len(self.names) < SAMPLE else self._random.randrange(self._met)
        if place < SAMPLE:
            self.names[place : place + 1] = [name]


@dataclass
class _Exporter:
    """One export. What is kept, written or ours is in `manifest`, which is written as the work goes on."""

    place: Place
    contents: Contents
    former: Manifest
    form: Format
    shard_size: int
    manifest: Manifest = field(init=False)
    splits: tuple[str, ...] = ()
    order: list[str] = field(default_factory=list)
    written: int = 0
    meter: Meter = field(default_factory=lambda: Meter(0, "exported"))
    drawn: Drawn = field(default_factory=Drawn)

    def run(self) -> Exported:
        """Plan, write what has changed, remove what is not needed any more."""
        planned = self._plan()
        self._begin(planned)
        if self.former.unfinished:
            self.place.remove_parts()
        if self.manifest.unfinished:
            self.meter.ended = sum(file.rows or 0 for file in self.manifest.files.values())
            with closing(self.meter):
                self._write(planned)
        self._write_readme()
        removed = self._remove_others()
        self.manifest.unfinished.clear()
        self.manifest.write(self.place)
        exported = Exported(name for name in self.order if name in self.manifest.files)
        files = self.manifest.files.values()
        exported.rows, exported.written = sum(file.rows or 0 for file in files), self.written
        exported.removed = tuple(removed)
        exported.left_out = tuple(dict.fromkeys(name for file in files for name in file.left_out))
        return exported

    def _plan(self) -> _Planned:
        raise NotImplementedError

    def _write(self, planned: _Planned) -> None:
        raise NotImplementedError

    def _begin(self, planned: _Planned) -> None:
        """Find out what is there already, and list what will be written before it is.

        Raises:
            ConfigurationError: a file of others has a name that is needed.
        """
        former, sizes = self.former, self.place.sizes(planned.files)
        self.manifest = Manifest(former.dataset, form=self.form, splits=tuple(filter(None, self.splits)))
        self.manifest.pictures, self.manifest.sample = str(self.contents.form), tuple(self.drawn.names)
        for name, of in planned.files.items():
            self.order.append(name)
            file = former.files.get(name)
            if file and (file.of, file.size) == (of, sizes.get(name)) and not file.left_out:
                self.manifest.files[name] = file
            elif name in sizes and not former.lists(name):
                raise ConfigurationError(
                    f"{clean(self.place.name)} holds {name}, which no export of this dataset wrote",
                    hint="Name another folder.",
                )
        self.manifest.unfinished = {*planned.files, *former.files, *former.unfinished} - set(
            self.manifest.files
        )
        if self.manifest.unfinished:
            self.manifest.write(self.place)

    def _add(self, file: ExportedFile) -> None:
        """Note a file that is whole now."""
        self.manifest.files[file.name] = file
        self.manifest.unfinished.discard(file.name)
        self.written += 1

    def _note(self, since: int, *, most: int) -> int:
        """Write the manifest if more than so many files were written since; gives how many are noted.

        After a kill, what is not noted is written again. The manifest is long if there are many files.
        """
        if self.written - since > max(most, len(self.manifest.files) // 20):
            self.manifest.write(self.place)
            return self.written
        return since

    def _write_readme(self) -> None:
        """Say which files are which split, unless a README of somebody's own is there."""
        mine, there = self.former.files.get(README), self.place.sizes([README])
        if not self.manifest.splits or (there and not (mine and self._is_as_written(mine))):
            return
        text = configs_text(self.form, self.manifest.splits).encode()
        file = HashedFile.of(text)
        self.order.append(README)
        self._add(ExportedFile(README, file.sha256, file.size, ""))
        if mine and mine.sha256 == file.sha256:
            self.written -= 1
            return
        with self.place.open(README) as out:
            out.write(text)

    def _remove_others(self) -> list[str]:
        """Remove what an earlier export wrote and this one has not; not what somebody changed since."""
        removed = []
        for name in sorted(self.place.sizes(self.manifest.unfinished)):
            file = self.former.files.get(name)
            if file is None or self._is_as_written(file):
                self.place.remove(name)
                removed.append(name)
        return removed

    def _is_as_written(self, file: ExportedFile) -> bool:
        there = self.place.sizes([file.name])
        return there.get(file.name) == file.size and digest_at(self.place, file.name) == file.sha256


class _Shards(_Exporter):
    """Parquet or tar: each file has the chosen rows of a block of the dataset's rows, by splits.

    A row that is left out leaves a gap in its block and moves no other, so that a change is one of a single file.
    """

    def _plan(self) -> _Planned:
        blocks: dict[tuple[str, int], list[str]] = {}
        kinds: dict[str, Any] = {}
        times = Times(time_columns(self.contents.folder) if self.form == "parquet" else ())
        for row in self._rows():
            self.meter.total += 1
            self.drawn.add(row.record["file_name"])
            kinds = widened(kinds, row.record)
            times.add(row.record)
            place = row.split, row.number // self.shard_size
            so_far = blocks.get(place, [""])
            blocks[place] = [
                fingerprint(so_far[0], row.number, row.record, list(self.contents.pictures(row)))
            ]
        kinds |= times.kinds()
        numbers: Counter[str] = Counter()
        files = {}
        self._names: dict[tuple[str, int], str] = {}
        self.splits = tuple(dict.fromkeys(split for split, _ in blocks))
        for split, block in sorted(blocks, key=lambda place: place[1]):
            end = "tar" if self.form == "webdataset" else "parquet"
            name = f"{split or 'data'}-{numbers[split]:05d}.{end}"
            numbers[split] += 1
            files[name] = fingerprint(blocks[split, block], kinds, self.contents.inputs)
            self._names[split, block] = name
        return _Planned({name: files[name] for name in sorted(files)}, kinds)

    def _rows(self) -> Iterator[ChosenRow]:
        """The rows; those of tar files have a picture."""
        rows = self.contents.chosen()
        return rows if self.form == "parquet" else (row for row in rows if row.record["file_name"])

    def _write(self, planned: _Planned) -> None:
        due: dict[int, dict[str, str]] = {}
        for (split, block), name in self._names.items():
            if name not in self.manifest.files:
                due.setdefault(block, {})[split] = name
        since = self.written
        for block, rows in groupby(self._rows(), key=lambda row: row.number // self.shard_size):
            names = due.get(block, {})
            if names:
                self._write_block((row for row in rows if row.split in names), names, planned)
            since = self._note(since, most=0)

    def _write_block(self, rows: Iterable[ChosenRow], names: Mapping[str, str], planned: _Planned) -> None:
        """Write the files of a block, all splits side by side."""
        counts: Counter[str] = Counter()
        left_out: dict[str, list[str]] = {split: [] for split in names}
        files = {}
        with ExitStack() as stack:
            writers = {}
            for split, name in names.items():
                files[split] = HashedFile(stack.enter_context(self.place.open(name)))
                writers[split] = stack.enter_context(closing(self._writer(files[split], planned)))
            for sample in in_threads(lambda row: self.contents.sample(row, lambda _: None), rows):
                self.meter.step()
                if sample.unreadable:
                    left_out[sample.split].append(sample.unreadable)
                    continue
                writers[sample.split].add(sample)
                counts[sample.split] += 1
        for split, name in names.items():
            file, lost = files[split], tuple(left_out[split])
            of = planned.files[name]
            self._add(ExportedFile(name, file.sha256, file.size, of, counts[split], lost))

    def _writer(self, file: HashedFile, planned: _Planned) -> Any:
        if self.form == "webdataset":
            return TarShard(file, self.contents.inputs)
        from .parquet import ParquetShard

        return ParquetShard(file, planned.kinds, self.contents.inputs)


class _Folders(_Exporter):
    """The pictures under their names, once each, and `metadata.jsonl`; of a split in a folder of its name."""

    def _plan(self) -> _Planned:
        files: dict[str, str] = {}
        lines = {} if self.contents.splits.given else {"": ""}
        for row in self.contents.chosen():
            self.meter.total += 1
            self.drawn.add(row.record["file_name"])
            pictures = [(f"{_folder_of(row.split)}{name}", of) for name, of in self.contents.pictures(row)]
            files |= pictures
            lines[row.split] = fingerprint(lines.get(row.split), row.record, pictures)
        self.splits = tuple(lines)
        return _Planned({**files, **{f"{_folder_of(split)}{NAME}": of for split, of in lines.items()}}, {})

    def _write(self, planned: _Planned) -> None:
        missing = [name for name in planned.files if name not in self.manifest.files]
        due = {split for split in self.splits if any(name.startswith(_folder_of(split)) for name in missing)}
        names = {split: f"{_folder_of(split)}{NAME}" for split in self.splits if split in due}
        rows: Counter[str] = Counter()
        left_out: dict[str, list[str]] = {split: [] for split in names}
        since = self.written
        with ExitStack() as stack:
            files = {split: HashedFile(stack.enter_context(self.place.open(names[split]))) for split in names}
            for sample in in_threads(
                self._sample, (row for row in self.contents.chosen() if row.split in due)
            ):
                self.meter.step()
                if sample.unreadable:
                    left_out[sample.split].append(sample.unreadable)
                    continue
                self._write_pictures(sample, planned)
                files[sample.split].write(metadata_line(sample.record, self.contents.inputs))
                rows[sample.split] += 1
                since = self._note(since, most=_UNNOTED)
        for split, name in names.items():
            file, of = files[split], planned.files[name]
            self._add(ExportedFile(name, file.sha256, file.size, of, rows[split], tuple(left_out[split])))

    def _sample(self, row: ChosenRow) -> Sample:
        def known(name: str) -> MadePicture | None:
            file = self.manifest.files.get(f"{_folder_of(row.split)}{name}")
            return file and MadePicture(None, file.sha256, file.width or 0, file.height or 0)

        return self.contents.sample(row, known)

    def _write_pictures(self, sample: Sample, planned: _Planned) -> None:
        for own, made in sample.pictures.items():
            name = f"{_folder_of(sample.split)}{own}"
            if made.data is None or name in self.manifest.files:  # rows may share it
                continue
            with self.place.open(name) as file:
                file.write(made.data)
            size, of = len(made.data), planned.files[name]
            self._add(ExportedFile(name, made.sha256, size, of, width=made.width, height=made.height))


def _folder_of(split: str) -> str:
    return f"{split}/" if split else ""
