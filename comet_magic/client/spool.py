"""The raw body of a paid answer: on disk as it arrives, in memory only where the disk refuses."""

from __future__ import annotations

import contextlib
import math
import os
from typing import TYPE_CHECKING, BinaryIO

from ..files import write_all
from ..text import without_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PIECE = 256 * 1024
SMALL = 1024 * 1024  # what need not go to disk where nothing is kept there anyway
LARGEST_PAGE = 1024 * 1024  # a larger body is pictures, whose base64 repeats nothing


class Spool:
    """A body that is written once and may be read any number of times.

    Nothing is parsed before it is here, so a crash or a fault of ours leaves the paid bytes behind.
    """

    def __init__(self, path: Path | None, *, in_memory: int = 0) -> None:
        """Nothing is opened yet.

        Args:
            path: the file, or None for no file at all.
            in_memory: bytes that may stay in memory before there is a file.
        """
        self.path = path
        self.size = 0
        self._in_memory: float = in_memory if path else math.inf
        self._held: list[bytes] = []
        self._file: BinaryIO | None = None

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

    def to_disk(self) -> None:
        """Have all of the body in the file, where there can be one, and close it."""
        if self.path is not None:
            self._store()
        self.close()

    def _store(self) -> None:
        written = self.size - sum(map(len, self._held))
        try:
            while self._held:
                self._append(self._held[0])
                written += len(self._held.pop(0))
        except OSError:  # go on in memory with what the disk already took
            self.close()
            self._in_memory = math.inf
            if written and self.path is not None:
                self._held.insert(0, self.path.read_bytes()[:written])

    def _append(self, piece: bytes) -> None:
        if self._file is None:
            assert self.path is not None  # noqa: S101 - without a path nothing is stored
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb", buffering=0)
        write_all(self._file.fileno(), piece)

    def close(self) -> None:
        """Close the file; the body can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def pieces(self, begins: int = 0) -> Iterator[bytes]:
        """The body, from its beginning or after so many bytes."""
        self.close()
        if self._held:
            yield from _after(begins, self._held)
        elif self.size and self.path is not None:
            with self.path.open("rb", buffering=0) as file:
                file.seek(begins)
                while piece := file.read(PIECE):
                    yield piece

    def redact(self) -> None:
        """Take out a key that the server repeated: what is kept for good holds none."""
        if self.path is None or not 0 < self.size <= LARGEST_PAGE:
            return
        body = self.path.read_bytes()
        redacted = without_keys(body)
        if redacted != body:
            self.path.write_bytes(redacted)

    def discard(self) -> None:
        """Remove the file and the note that it is whole: the pictures are safe elsewhere."""
        self.close()
        self._held.clear()
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
                self.path.with_suffix(".head").unlink(missing_ok=True)

    @classmethod
    def left_behind(cls, path: Path) -> Spool:
        """The spool that a crashed process left."""
        spool = cls(path)
        spool.size = path.stat().st_size
        return spool


def _after(begins: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if begins < len(piece):
            yield piece[begins:] if begins else piece
        begins = max(0, begins - len(piece))
