"""The archive's folder: where each file lies, pictures put and checked, receipts written and read. No ledger."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..files import inside, is_linked, is_name_inside, make_folder, native, place, slug, write_whole
from ..formats import SUFFIX
from .records import is_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .records import StoredPicture

_PIECE = 1 << 20
_PICTURE = {"copy", "position", "path", "mime", "width", "height", "size", "sha256", "revised_prompt"}
_NAME = re.compile(r".*-(?P<key>[0-9a-f]{10})\.(?P<copy>\d+)(?:-\d+)?\.(?:png|jpg|webp)")


def picture_name(key: str, copy: int, mime: str, prompt: str | None) -> str:
    """Where a picture belongs, relative to the folder; the same for the same request on every machine."""
    return f"images/{key[:2]}/{slug(prompt or '')}-{key[:10]}.{copy}{SUFFIX[mime]}"


def receipt_name(key: str, copy: int) -> str:
    """Where the receipt of an answer lies, named after the first picture it brought."""
    return f"receipts/{key[:2]}/{key}.{copy}.json"


def raw_answer_name(call_id: str) -> str:
    """Where the raw answer of a call lies until its pictures are safe, relative to the folder."""
    return f"spool/{call_id}.body"


def parsed_name(name: str) -> tuple[str, int] | None:
    """The beginning of the key and the copy index in the name of a picture file."""
    match = _NAME.fullmatch(name)
    return (match["key"], int(match["copy"])) if match else None


def must_be_there(folder: Path) -> None:
    """Nothing is put into a folder that somebody removed: nobody would find it there.

    Raises:
        FileNotFoundError: it is gone.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the archive's folder is gone", str(folder))


def put(folder: Path, name: str, part: Path | bytes, sha256: str) -> str:
    """Bring a picture under its name, or beside it where that is taken by another; gives the name it got.

    Raises:
        OSError: the folder is gone, the disk is full, and the like.
    """
    wanted = PurePosixPath(name)
    number = 1
    while True:
        ending = wanted.suffix if number == 1 else f"-{number}{wanted.suffix}"
        candidate = str(wanted.with_name(wanted.stem + ending))
        try:
            _in_its_folder(folder, candidate, partial(_put_once, part=part))
        except FileExistsError:
            if matches(folder, candidate, sha256):
                if isinstance(part, Path):
                    part.unlink(missing_ok=True)
                return candidate
            number += 1
        else:
            return candidate


def _in_its_folder(folder: Path, name: str, write: Callable[[Path], None]) -> None:
    """Write a file of the archive; the folder it lies in is made where it is the first one there."""
    wanted = PurePosixPath(name)
    path = inside(folder, str(wanted.parent)) / wanted.name  # a link under the very name is not followed
    try:
        write(path)
    except FileNotFoundError:
        must_be_there(folder)
        make_folder(path.parent)
        write(path)


def _put_once(final: Path, part: Path | bytes) -> None:
    if isinstance(part, bytes):
        write_whole(final, part)
        return
    try:
        place(part, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_whole(final, pieces(part))
        part.unlink(missing_ok=True)


def pieces(path: Path) -> Iterator[bytes]:
    """A file's bytes, a megabyte at a time."""
    with native(path).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def digest(path: Path) -> str:
    """The sha256 of a file."""
    whole = hashlib.sha256()
    for piece in pieces(path):
        whole.update(piece)
    return whole.hexdigest()


def digest_of(data: bytes) -> str:
    """The sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def files(folder: Path, pattern: str) -> list[Path]:
    """What the folder has under names of this pattern, in order; nothing that is, or lies behind, a link."""
    return [path for path in sorted(native(folder).glob(pattern)) if not is_linked(folder, path)]


def is_there(folder: Path, name: str) -> bool:
    """Whether there is a real file under this name in the folder."""
    try:
        return inside(folder, name).is_file()
    except OSError:
        return False


def matches(folder: Path, name: str, sha256: str) -> bool:
    """Whether there is a real file with these bytes under this name in the folder."""
    return is_there(folder, name) and digest(inside(folder, name)) == sha256


def write_receipt(
    folder: Path, call_id: str, facts: Mapping[str, Any], pictures: tuple[StoredPicture, ...]
) -> None:
    """One JSON file for an answer, durable; it alone is enough to find the answer's pictures again."""
    named = [{"copy": p.copy, "position": p.position, "path": p.path, "mime": p.mime, "width": p.width,
              "height": p.height, "size": p.size, "sha256": p.sha256, "revised_prompt": p.revised_prompt}
             for p in pictures]  # fmt: skip
    key, copy = pictures[0].key, pictures[0].copy
    text = json.dumps({"version": 1, "id": call_id, **facts, "pictures": named}, default=str)
    try:
        _in_its_folder(folder, receipt_name(key, copy), partial(write_whole, data=text.encode()))
    except FileExistsError:
        if find_receipt(folder, key, copy).get("id") != call_id:
            raise


def find_receipt(folder: Path, key: str, copy: int) -> dict[str, Any]:
    """The receipt of the answer whose first picture was this copy; {} where there is none."""
    name = receipt_name(key, copy)
    return read_receipt(inside(folder, name)) if is_there(folder, name) else {}


def read_receipt(path: Path) -> dict[str, Any]:
    """A receipt's content; {} where there is none or it is not one."""
    try:
        content = json.loads(native(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and _is_receipt(content) else {}


def _is_receipt(content: dict[str, Any]) -> bool:
    """Whether it has what the names of files and the rows of the ledger are made of; a stranger's may not."""
    pictures, created = content.get("pictures"), content.get("created")
    return (
        content.get("version") == 1
        and is_call(content.get("id"), content.get("key"), content.get("copies"))
        and isinstance(created, (int, float))
        and isinstance(pictures, list)
        and all(isinstance(facts, dict) and _is_picture(facts) for facts in pictures)
    )


def _is_picture(facts: dict[str, Any]) -> bool:
    return (
        facts.keys() == _PICTURE
        and is_name_inside(facts["path"])
        and isinstance(facts["sha256"], str)
        and type(facts["copy"]) is type(facts["position"]) is int
    )
