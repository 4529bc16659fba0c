"""The raw answer of a paid call: on disk as it arrives, in memory only if the disk refuses.

Nothing is parsed before it is here, so a crash or a fault of ours leaves the paid bytes behind. It is not synced: a
process that is killed loses nothing of it; a machine that loses power may, and then the call is listed as unknown.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..files import inside, make_folder, open_no_follow, place, replaced, write_all, write_whole
from ..formats import kind_of
from ..protocol import is_complete, looks_like_a_stream
from ..text import without_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 256 * 1024
SMALL = 1024 * 1024  # bytes that need no file if nothing is kept on disk anyway
LARGEST_PAGE = 1024 * 1024  # a larger body is pictures, whose base64 repeats nothing
LARGEST = 1 << 30  # bytes that a raw answer may unpack to when it is looked through


class RawAnswer:
    """A body that is written once and may be read any number of times.

    Its file stays open until it is closed, so that it can be read also when somebody has removed its name.

    Args:
        path: its file, made by the first byte; without one it is held in memory, and a large one in a temporary file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.size = 0
        self._in_memory: float = 0 if path else SMALL
        self._held: list[bytes] = []
        self._file: BinaryIO | None = None
        self._temporary: weakref.finalize[..., RawAnswer] | None = None

    @classmethod
    def left_behind(cls, path: Path) -> RawAnswer:
        """The raw answer that a dead process left.

        Raises:
            OSError: there is none, or something that is not a file has its name.
        """
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "this is not a file", str(path))
        answer = cls(path)
        answer.size = status.st_size
        return answer

    @property
    def on_disk(self) -> bool:
        """Whether the whole body is in the file."""
        return not self._held and self.path is not None

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        self._held.append(piece)
        self.size += len(piece)
        if self.size > self._in_memory:
            self._store()

    def pieces(self, begins: int = 0) -> Iterator[bytes]:
        """The body, from its beginning or after so many bytes."""
        if self._held:
            yield from _after(begins, self._held)
        elif self._file is not None:
            yield from _read(self._file, begins)
        elif self.size and self.path is not None:
            with self.path.open("rb", buffering=0) as file:
                yield from _read(file, begins)

    def close(self) -> None:
        """Close the file; the body can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep(self) -> Path | None:
        """Move the body to `rescue`, without a key that the server repeated; None if the disk refuses."""
        self._store()
        self.close()
        if not self.on_disk or self.path is None:
            return None
        try:
            self._redact(self.path)
            return self._kept(self.path)
        except OSError:
            return None

    def keep_part(self, index: int, data: bytes, suffix: str) -> Path | None:
        """Write a picture of the answer, of a kind that is not opened, to `rescue`; None if the disk refuses."""
        if self.path is None or self._temporary is not None:
            return None
        try:
            rescue = inside(self.path.parent.parent, "rescue")
            make_folder(rescue)
            part = rescue / f"{self.path.stem}.{index}{suffix}"
            with contextlib.suppress(FileExistsError):
                write_whole(part, without_keys(data) if suffix in (".html", ".svg") else data)
        except OSError:
            return None
        return part

    def drop(self) -> None:
        """Remove the body: its pictures are safe elsewhere."""
        self.close()
        self._held.clear()
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _store(self) -> None:
        written = self.size - sum(map(len, self._held))
        try:
            while self._held:
                if self._file is None:
                    self._file = self._opened()
                write_all(self._file.fileno(), self._held[0])
                written += len(self._held.pop(0))
        except OSError:  # go on in memory with what the disk already took
            self._in_memory = math.inf
            if written and self._file is not None:
                self._held.insert(0, b"".join(_read(self._file, 0))[:written])
            self.close()

    def _opened(self) -> BinaryIO:
        if self.path is None:
            folder = Path(tempfile.mkdtemp(prefix="cometimg-"))
            self._temporary = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self.path = folder / "answer.body"
        descriptor = open_no_follow(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        return os.fdopen(descriptor, "w+b", buffering=0)

    def _redact(self, path: Path) -> None:
        if not 0 < self.size <= LARGEST_PAGE:
            return
        body = path.read_bytes()
        redacted = without_keys(body)
        if redacted != body:
            with replaced(path) as file:
                file.write(redacted)

    def _kept(self, path: Path) -> Path:
        if self._temporary is not None:
            self._temporary.detach()
            return path
        rescue = inside(path.parent.parent, "rescue")
        make_folder(rescue)
        kept = rescue / f"{path.stem}{_suffix(path)}"
        with contextlib.suppress(FileExistsError):
            place(path, kept)
        return kept


def _suffix(path: Path) -> str:
    """How the name of a raw answer ends, by its first bytes."""
    with path.open("rb") as file:
        beginning = file.read(4096)
    kind = kind_of(beginning)
    if kind is not None:
        return kind.suffix
    if beginning.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"[")):
        return ".json"
    return ".txt" if looks_like_a_stream(beginning) else ".body"


def is_whole(path: Path) -> bool:
    """Whether a dead process left all of an answer: its bytes alone tell."""
    try:
        return is_complete(RawAnswer.left_behind(path).pieces(), largest=LARGEST)
    except OSError:
        return False


def _read(file: BinaryIO, begins: int) -> Iterator[bytes]:
    file.seek(begins)
    while piece := file.read(PIECE):
        yield piece


def _after(begins: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if begins < len(piece):
            yield piece[begins:] if begins else piece
        begins = max(0, begins - len(piece))
