"""The files of an archive's folder: their names, pictures written and checked, receipts written and read.

The folder may come from a stranger, so whatever a file is named by or found by is checked here first.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from operator import attrgetter, itemgetter
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..files import (
    inside,
    is_linked,
    is_name_inside,
    make_folder,
    native,
    open_inside,
    open_no_follow,
    slug,
    without_split_words,
    write_all,
    write_whole,
)
from ..formats import SUFFIX, embedded_metadata, sniff
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from sqlite3 import Row

    from ..request import Inputs
    from .records import StoredPicture

FIRST_MOMENT = -62_135_510_400  # the second day of the year 1
LAST_MOMENT = 253_402_300_799  # the last second of the year 9999
RECEIPTS = "receipts.jsonl"
_RECEIPT = 2  # the version of the receipts that are written
_LONGEST = 4 << 20  # bytes of a receipt
_LONGEST_LOG = 4 << 30  # bytes of all of them
_PLACES = ("owners", "spool", "images", "rescue", "receipts", "inputs", "unpasted")
_FACTS = (
    *("id", "key", "vendor", "model", "prompt", "prompt_sha256", "created", "session", "day", "seconds"),
    *("request_id", "status", "attempts"),
)
JSON = ("request", "asked", "copies", "parents", "inputs", "usage")
_MONEY = ("reserved", "cost")
_PICTURE = (
    *("copy", "position", "path", "mime", "width", "height", "size", "sha256", "revised_prompt", "unpasted"),
)
_NUMBERS = ("copy", "position", "width", "height", "size")
_ID, _KEY = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r".*-(?P<key>[0-9a-f]{10})\.(?P<copy>\d+)(?:-\d+)?\.(?:png|jpg|webp)")


def picture_name(key: str, copy: int, mime: str, prompt: str | None, *, nested: bool = False) -> str:
    """The name of a picture, relative to the folder; a request gets the same name on every machine.

    In datasets they are nested, so that a million pictures have about 15 in a folder.
    """
    words = without_split_words(slug(prompt or "")) or "image"
    place = f"{key[:2]}/{key[2:4]}" if nested else key[:2]
    return f"images/{place}/{words}-{key[:10]}.{copy}{SUFFIX[mime]}"


def picture_files(folder: Path, key: str, copy: int) -> list[Path]:
    """The files under names that a copy of a request may have, nested or not."""
    name = f"*-{key[:10]}.{copy}.*"
    return [
        path
        for place in (key[:2], f"{key[:2]}/{key[2:4]}")
        for path in files(folder, f"images/{place}/{name}")
    ]


def receipt_name(key: str, copy: int) -> str:
    """The name of a worker's receipt, after the first picture of its answer."""
    return f"receipts/{key[:2]}/{key}.{copy}.json"


def raw_answer_name(call_id: str) -> str:
    """The name of a call's raw answer, which is there until its pictures are safe."""
    return f"spool/{call_id}.body"


def parsed_name(name: str) -> tuple[str, int] | None:
    """The beginning of the key and the copy index in the name of a picture file."""
    match = _NAME.fullmatch(name)
    return (match["key"], int(match["copy"])) if match else None


def must_be_ours(folder: Path) -> None:
    """Refuse a folder in which nothing could be kept, before anything is paid: a link or a pipe has one of our names.

    Raises:
        ConfigurationError: it is so.
    """
    for name in (RECEIPTS, *_PLACES):
        path = native(folder / name)
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        file = name == RECEIPTS
        fits = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 if file else stat.S_ISDIR(found.st_mode)
        if not fits or is_linked(folder, path):
            raise ConfigurationError(
                f"the archive cannot be written: {clean(path)} is not a {'file' if file else 'folder'} of its own",
                hint="Remove it, or name another folder.",
            )


def put(folder: Path, name: str, data: bytes, sha256: str) -> str:
    """Write a picture; add -2, -3... if the name holds other bytes; give the name used.

    Raises:
        OSError: the folder is gone, the disk is full, and the like.
    """
    wanted = PurePosixPath(name)
    number = 1
    while True:
        ending = wanted.suffix if number == 1 else f"-{number}{wanted.suffix}"
        candidate = str(wanted.with_name(wanted.stem + ending))
        try:
            write_whole(to_write(folder, candidate), data)
        except FileExistsError:
            if matches(folder, candidate, sha256):
                return candidate
            number += 1
        else:
            return candidate


def keep_inputs(folder: Path, inputs: Inputs) -> None:
    """Write the input pictures that are not here yet, each under the hash of its pixels.

    Raises:
        OSError: the disk is full, and the like.
    """
    for _, picture in inputs:
        place = to_write(folder, picture.name)
        if not os.path.lexists(place):
            with contextlib.suppress(FileExistsError):
                write_whole(place, picture.read())


def keep_unpasted(folder: Path, data: bytes) -> str:
    """Write the bytes of a picture that is kept pasted; give their name."""
    sha256 = digest_of(data)
    name = f"unpasted/{sha256[:2]}/{sha256}{SUFFIX.get(sniff(data) or '', '.png')}"
    with contextlib.suppress(FileExistsError):
        write_whole(to_write(folder, name), data)
    return name


def unpasted_name(folder: Path, data: bytes) -> str | None:
    """The name of what came, of a picture that says that it was pasted; None if it does not say so."""
    sha256 = str(embedded_metadata(data).get("pasted_over"))
    if not is_hash(sha256):
        return None
    names = [f"unpasted/{sha256[:2]}/{sha256}{suffix}" for suffix in SUFFIX.values()]
    return next((name for name in names if is_there(folder, name)), names[0])


def to_write(folder: Path, name: str) -> Path:
    """Where a new file of the archive is to be written; its own folder is made if it is the first one in it.

    A link under the same name is for whoever opens it, who does not follow it.

    Raises:
        OSError: the archive's folder is gone, a link is on the way, and the like.
    """
    place, _, last = name.rpartition("/")
    own = inside(folder, place)
    if not own.is_dir():
        if not folder.is_dir():  # somebody removed it, and nobody would find the file
            raise FileNotFoundError(errno.ENOENT, "the archive's folder is gone", str(folder))
        make_folder(own)
    return own / last


def digest_of(data: bytes) -> str:
    """The sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def files(folder: Path, pattern: str) -> list[Path]:
    """The files under names of this pattern, in order, without links and what lies behind links."""
    return [path for path in sorted(native(folder).glob(pattern)) if not is_linked(folder, path)]


def is_there(folder: Path, name: str) -> bool:
    """Whether there is a real file under this name in the folder."""
    try:
        return inside(folder, name).is_file()
    except OSError:
        return False


def matches(folder: Path, name: str, sha256: str) -> bool:
    """Whether there is a real file with these bytes under this name in the folder."""
    try:
        with open_inside(folder, name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


# --- receipts: what an answer brought, enough to make its row in the ledger again -----------------------


def receipt_of(row: Row, pictures: tuple[StoredPicture, ...]) -> dict[str, Any]:
    """The receipt of a settled call, from its row by columns and its pictures; it says which amounts are micro-USD."""
    content = {"version": _RECEIPT, **dict(zip(_FACTS, itemgetter(*_FACTS)(row), strict=True))}
    for name in JSON:
        content[name] = json.loads(row[name] or "null")
    for name in _MONEY:
        content[f"{name}_micro_usd"] = row[name]
    return content | {
        "pictures": [dict(zip(_PICTURE, attrgetter(*_PICTURE)(one), strict=True)) for one in pictures]
    }


def append_receipt(folder: Path, receipt: Mapping[str, Any]) -> None:
    """Add a receipt to the log. It is not synced: the ledger is, and the log is for when that is lost.

    Raises:
        OSError: the disk is full, the folder is gone, and the like.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)  # of a pipe nobody reads
    descriptor = open_no_follow(inside(folder, RECEIPTS), flags)
    try:
        # The newline comes first, so that what a power cut left of a line damages no other.
        write_all(descriptor, b"\n" + json.dumps(receipt).encode())
    finally:
        os.close(descriptor)


def write_receipt(folder: Path, receipt: Mapping[str, Any]) -> None:
    """Write a receipt to a file of its own, durable and found by key and copy: a worker's proof of what it made.

    Raises:
        OSError: the disk is full, another answer's receipt has the name, and the like.
    """
    key, copy = receipt["key"], receipt["pictures"][0]["copy"]
    try:
        write_whole(to_write(folder, receipt_name(key, copy)), json.dumps(receipt).encode())
    except FileExistsError:
        if find_receipt(folder, key, copy).get("id") != receipt["id"]:
            raise


def has_receipts(folder: Path) -> bool:
    """Whether there are receipts that a ledger could be made of."""
    return (folder / RECEIPTS).exists() or (folder / "receipts").is_dir()


def find_receipt(folder: Path, key: str, copy: int) -> dict[str, Any]:
    """A worker's receipt by the first copy of its answer; {} if there is none."""
    return _parsed(folder, receipt_name(key, copy))


def receipts(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every receipt with its place, from the log and from files; {} for one that cannot be read."""
    try:
        with open_inside(folder, RECEIPTS, largest=_LONGEST_LOG) as file:
            number = 0
            while line := file.readline(_LONGEST):
                number += 1
                if line.strip():
                    yield f"{RECEIPTS}:{number}", _receipt_in(line)
    except FileNotFoundError:
        pass
    except OSError:
        yield RECEIPTS, {}
    for path in sorted(native(folder).glob("receipts/*/*.json")):
        yield relative(folder, path), _parsed(folder, relative(folder, path))


def relative(folder: Path, path: Path) -> str:
    """A file's path as the ledger writes it, whatever the locale."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")


def _parsed(folder: Path, name: str) -> dict[str, Any]:
    try:
        with open_inside(folder, name, largest=_LONGEST) as file:
            return _receipt_in(file.read())
    except OSError:
        return {}


def _receipt_in(text: bytes) -> dict[str, Any]:
    """A receipt under the ledger's names of columns; {} if the text is none. Version 1 is that of 0.1."""
    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or content.get("version") not in (1, _RECEIPT):
        return {}
    for name in _MONEY if content["version"] == _RECEIPT else ():
        content[name] = content.pop(f"{name}_micro_usd", None)
    content = dict.fromkeys((*_FACTS, *JSON)) | content
    return content if _is_receipt(content) else {}


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and the like are no JSON


def _is_receipt(content: dict[str, Any]) -> bool:
    """Whether it has what the names of files and the rows of the ledger are made of; a stranger's may not."""
    pictures, texts = content.get("pictures"), ("vendor", "model", "prompt_sha256", "session", "day")
    optional, moments = ("prompt", "request_id"), ("created", "seconds")
    return (
        is_call(content["id"], content["key"], content["copies"])
        and all(isinstance(content[name], str) for name in texts)
        and all(isinstance(content[name], (str, NoneType)) for name in optional)
        and isinstance(content["request"], dict)
        and isinstance(content["usage"], (dict, NoneType))
        and all(_is_amount(content.get(name)) for name in (*_MONEY, "attempts", "status"))
        and content["created"] is not None
        and all(content[name] is None or is_moment(content[name]) for name in moments)
        and isinstance(pictures, list)
        and all(isinstance(facts, dict) and _is_picture(facts) for facts in pictures)
    )


def _is_amount(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value < 1 << 53)


def _is_picture(facts: dict[str, Any]) -> bool:
    facts.setdefault("unpasted")
    return (
        facts.keys() == set(_PICTURE)
        and is_name_inside(facts["path"])
        and is_hash(facts["sha256"])
        and facts["mime"] in tuple(SUFFIX)
        and all(type(facts[name]) is int and 0 <= facts[name] < 1 << 53 for name in _NUMBERS)
        and all(isinstance(facts[name], (str, NoneType)) for name in ("revised_prompt", "unpasted"))
    )


# --- what is said on disk


def is_call(call_id: object, key: object, copies: object) -> bool:
    """Whether an id, a key and copies from disk are made as ours; names of files are made of them."""
    return (
        (isinstance(call_id, str) and _ID.fullmatch(call_id) is not None)
        and is_hash(key)
        and isinstance(copies, list)
        and all(type(copy) is int and 0 <= copy < 1 << 53 for copy in copies)
    )


def is_hash(value: object) -> bool:
    """Whether a value from disk is a sha256 in hexadecimal digits."""
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def is_moment(value: object) -> bool:
    """Whether a value from disk is a number of seconds since 1970, by whatever clock, that a calendar has."""
    return type(value) in (int, float) and FIRST_MOMENT <= value <= LAST_MOMENT  # type: ignore[operator]  # a number


def is_input(facts: object) -> bool:
    """Whether what a ledger says of an input picture is made as ours; the name of a file is made of it."""
    return (
        isinstance(facts, dict)
        and facts.get("role") in ("image", "mask", "markup", "original")
        and is_hash(facts.get("sha256"))
        and facts.get("mime") in tuple(SUFFIX)
        and all(type(facts.get(side)) is int and 0 < facts[side] < 1 << 20 for side in ("width", "height"))
    )


def is_place(path: object) -> bool:
    """Whether a path from disk names a place in the archive's own folder, or is "" for none on disk."""
    return path == "" or is_name_inside(path)
