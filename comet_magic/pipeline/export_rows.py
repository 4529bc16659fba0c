"""The rows of an export: which are chosen, in which split, and their pictures, made ready by several threads."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..archive import Reader
from ..errors import BadImageError, TooLargeError
from ..files import read_inside, without_split_words
from .rows import indexed_records, input_columns, read_records, stored_name
from .training import SUFFIXES, PictureForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from .training import RowChoice, Splits

T = TypeVar("T")
S = TypeVar("S")
MetadataRow = dict[str, Any]
WORKERS = os.cpu_count() or 1


class ChosenRow(NamedTuple):
    """A row that is exported: its place among all, its split, the columns to keep, and all that is known of it."""

    number: int
    split: str
    record: MetadataRow
    facts: MetadataRow


class MadePicture(NamedTuple):
    """A picture as it is exported; without its bytes if it is at its place already."""

    data: bytes | None
    sha256: str
    width: int
    height: int


class Sample(NamedTuple):
    """A row with the pictures that it needs, by their names in its record.

    `unreadable` is the name of a picture that could not be read, "" if there is none.
    """

    number: int
    split: str
    record: MetadataRow
    pictures: Mapping[str, MadePicture]
    unreadable: str = ""

    def data(self, name: str | None) -> bytes:
        """The bytes of one of its pictures."""
        return (self.pictures[name].data if name else None) or b""

    @property
    def weight(self) -> int:
        """Bytes of all its pictures."""
        return sum(len(one.data or b"") for one in self.pictures.values())


@dataclass
class Contents:
    """What is exported: chosen rows, by splits, with their pictures as they came or made anew.

    Attributes:
        folder: of the dataset.
        form: how pictures are made anew.
        choice: which rows and columns.
        splits: which split each row belongs to.
        embed: whether each picture says how it was made.
    """

    folder: Path
    form: PictureForm
    choice: RowChoice
    splits: Splits
    embed: bool = False
    inputs: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = input_columns(self.folder)

    def chosen(self) -> Iterator[ChosenRow]:
        """The rows that are exported, in their order."""
        takes, prompts = self.choice.takes(), cache(Reader(self.folder).prompt_sha256)
        for number, (row, record) in enumerate(indexed_records(self.folder)):
            if takes(number, record):
                # A prompt that is not kept has its hash in the ledger: the row is in the same split.
                prompt = row.prompt or (prompts(row.key) or row.key)
                split = self.splits.of(record, self.inputs, prompt, is_hash=not row.prompt)
                yield ChosenRow(number, split, self.choice.kept(record, self.inputs), record)

    def pictures(self, row: ChosenRow) -> Iterator[tuple[str, str]]:
        """Of each picture of a row the name that it will have, and a hash of what it is made of."""
        for name in picture_names(row.record, self.inputs):
            own = name == row.record["file_name"]
            of = (row.facts["sha256"], self._told(row.facts)) if own else name
            yield self.name_of(name), fingerprint(of, repr(self.form))

    def name_of(self, name: str) -> str:
        """What a picture is called in an export: without words that `datasets` takes for a split's."""
        path = PurePosixPath(name)
        suffix = SUFFIXES[self.form.image_format] if self.form.image_format else path.suffix
        return str(path.with_name(f"{without_split_words(path.stem)}{suffix}"))

    def sample(self, row: ChosenRow, known: Callable[[str], MadePicture | None]) -> Sample:
        """Read the pictures of a row and make them anew; those that are `known` by name are not read."""
        pictures: dict[str, MadePicture] = {}
        record = dict(row.record)
        try:
            for name in picture_names(record, self.inputs):
                told = row.facts if name == record["file_name"] else None
                given = self.name_of(name)
                pictures[given] = known(given) or self._made(name, told)
        except _UnreadableError as error:
            return Sample(row.number, row.split, record, {}, error.name)
        if record["file_name"]:
            record["file_name"] = self.name_of(record["file_name"])
            made = pictures[record["file_name"]]
            facts = {"width": made.width, "height": made.height, "sha256": made.sha256}
            record.update({fact: value for fact, value in facts.items() if fact in record})
        for column in self.inputs:
            value = record[column]
            several = (
                [self.name_of(one) for one in value if stored_name(one)] if isinstance(value, list) else None
            )
            record[column] = self.name_of(value) if stored_name(value) else several
        return Sample(row.number, row.split, record, pictures)

    def _made(self, name: str, told: MetadataRow | None) -> MadePicture:
        """Read, check and decode a picture, and make it anew; `told` is of one that came out."""
        data = read_inside(self.folder, name)
        if told is not None and hashlib.sha256(data).hexdigest() != told["sha256"]:
            raise _UnreadableError(name)  # it is not what was stored
        try:
            data, width, height = self.form.made(data, self._told(told) if told is not None else None)
        except (BadImageError, TooLargeError):
            pass
        else:
            return MadePicture(data, hashlib.sha256(data).hexdigest(), width, height)
        raise _UnreadableError(name)

    def _told(self, record: MetadataRow) -> dict[str, Any] | None:
        """What a file tells of its making, in the words of `Images.save`; None if nothing is embedded."""
        if not self.embed:
            return None
        names = ("prompt", "model", "revised_prompt", "request_id")
        created = record["created"] and int(datetime.fromisoformat(record["created"]).timestamp())
        request = json.loads(record["parameters"] or "{}")
        told = {name: record[name] for name in names} | {"created": created, "request": request}
        return {"software": "comet_magic", **{name: value for name, value in told.items() if value}}


class _UnreadableError(Exception):
    """A picture of a dataset cannot be decoded, or is not the one that was stored."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def picture_names(record: MetadataRow, inputs: Iterable[str]) -> Iterator[str]:
    """The pictures of a row: what came out, and what went in."""
    if record["file_name"]:
        yield record["file_name"]
    for column in inputs:
        value = record[column]
        yield from filter(stored_name, value if isinstance(value, list) else [value])


def undecodable(folder: Path) -> Iterator[str]:
    """The pictures of a dataset that cannot be decoded, each once.

    Raises:
        OSError: one cannot be read.
    """
    inputs, form = input_columns(folder), PictureForm()

    def decode(name: str) -> str | None:
        try:
            form.made(read_inside(folder, name))
        except (BadImageError, TooLargeError):
            return name
        return None

    records = read_records(folder)
    names = (name for record in records for name in picture_names(record, inputs))
    return iter(dict.fromkeys(filter(None, in_threads(decode, names))))


def fingerprint(*facts: Any) -> str:
    """A short hash of what JSON can hold."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def in_threads(work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """The results in the order of the items, a few of which are worked on at once: Pillow lets other threads run."""
    with ThreadPoolExecutor(WORKERS, "comet_magic-pictures") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
