"""The manifest of an export: which files are ours, their hashes, and what each was made of.

It is a hidden JSON file in the exported folder, which no reader of datasets looks at. A later export keeps the files
whose rows are as they were, writes the others, and removes only what the manifest lists. It may be a stranger's.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError
from ..files import is_name_inside
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .export_places import Place

MANIFEST = ".comet_magic-export.json"
FORMATS = ("parquet", "webdataset", "folder")
LARGEST = 1 << 30  # bytes of a manifest that is read
VERSION = 1  # of what an export writes; another one writes every file anew
_OURS = re.compile(
    r"[A-Za-z_]\w*-\d{5,}\.(?:parquet|tar)|README\.md"
    r"|(?:[A-Za-z_]\w*/)?(?:metadata\.jsonl|(?:images|inputs)/(?:[0-9a-f]{2}/){1,2}[^/\\]+)"
)  # what is written


class ExportedFile(NamedTuple):
    """A file of an export.

    Attributes:
        name: relative to the place, with slashes.
        sha256: of its bytes.
        size: in bytes.
        of: a hash of the rows and options that it was made of.
        rows: in a shard or in `metadata.jsonl`; None of a picture.
        left_out: names of pictures of the dataset that could not be read, whose rows are not in it.
        width, height: of a picture; None of others.
    """

    name: str
    sha256: str
    size: int
    of: str
    rows: int | None = None
    left_out: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None

    def facts(self) -> dict[str, Any]:
        """What JSON holds of it."""
        return {name: value for name, value in self._asdict().items() if value not in (None, ())}


@dataclass
class Manifest:
    """What is at a place.

    Attributes:
        dataset: which dataset it is an export of.
        files: that are whole, by name.
        unfinished: names of ours that may be missing, half written, or of an earlier export.
        form: `parquet`, `webdataset` or `folder`.
        splits: the names of the splits, none if there are none.
        pictures: how they were made anew, for a person to read.
        sample: names of some pictures of the dataset that are in it.
    """

    dataset: str
    files: dict[str, ExportedFile] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    form: str = ""
    splits: tuple[str, ...] = ()
    pictures: str = ""
    sample: tuple[str, ...] = ()

    def lists(self, name: str) -> bool:
        """Whether a file is ours."""
        return name in self.files or name in self.unfinished

    def write(self, place: Place) -> None:
        """Write it; the same export gives the same bytes.

        Raises:
            OSError: the place refuses.
        """
        told = {
            "comet_magic": "export", "version": VERSION, "dataset": self.dataset, "format": self.form,
            "splits": list(self.splits), "pictures": self.pictures, "sample": list(self.sample),
            "complete": not self.unfinished,
            "rows": sum(file.rows or 0 for file in self.files.values()),
            "files": [self.files[name].facts() for name in sorted(self.files)],
            "unfinished": sorted(self.unfinished),
        }  # fmt: skip
        with place.open(MANIFEST) as file:
            file.write(json.dumps(told, ensure_ascii=False, indent=0).encode() + b"\n")


def dataset_id(folder: Path) -> str:
    """What tells the datasets of this machine apart, without their paths."""
    return hashlib.sha256(str(folder.absolute()).encode(errors="replace")).hexdigest()[:16]


def read_manifest(place: Place, dataset: str = "") -> Manifest:
    """The manifest at a place; an empty one if nothing is there.

    Raises:
        ConfigurationError: the place holds files of others or of another dataset.
        OSError: the place cannot be read.
    """
    where = f"{clean(place.name)} holds"
    try:
        with place.read(MANIFEST) as file:
            found = _parsed(file.read(LARGEST))
    except FileNotFoundError:
        if place.has_files():
            found = None
        else:
            return Manifest(dataset)
    if found is None:
        raise ConfigurationError(
            f"{where} files that no export of this dataset wrote", hint="Name an empty folder."
        )
    if dataset and found.dataset != dataset:
        raise ConfigurationError(f"{where} the export of another dataset", hint="Name an empty folder.")
    return found


def _parsed(text: bytes) -> Manifest | None:
    """A manifest; None if it is not ours."""
    try:
        told = json.loads(text)
        if told["comet_magic"] != "export" or told["format"] not in FORMATS:
            return None
        files = {one["name"]: _file(one) for one in told["files"]} if told["version"] == VERSION else {}
        names = {*told["unfinished"], *(one["name"] for one in told["files"] if one["name"] not in files)}
        _check_names([*files, *names])
        splits = tuple(name for name in told["splits"] if name.isidentifier())
        facts = str(told["dataset"]), files, names, told["format"], splits
        return Manifest(*facts, str(told["pictures"]), tuple(filter(is_name_inside, told["sample"])))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _file(told: dict[str, Any]) -> ExportedFile:
    file = ExportedFile(**{**told, "left_out": tuple(told.get("left_out", ()))})
    texts = (file.sha256, file.of, *file.left_out)
    counts = (file.size, *(count for count in (file.rows, file.width, file.height) if count is not None))
    if not all(isinstance(text, str) for text in texts) or any(type(count) is not int for count in counts):
        raise ValueError
    return file


def _check_names(names: Iterable[str]) -> None:
    """Refuse names that no export of ours writes."""
    if not all(is_name_inside(name) and _OURS.fullmatch(name) for name in names):
        raise ValueError
