"""The raw body of a paid answer: on disk as it arrives, in memory only where the disk refuses."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO

from ..text import without_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE = 256 * 1024
LARGEST_PAGE = 1024 * 1024  # a larger body is pictures, whose base64 repeats nothing


class Spool:
    """A body that is written once and may be read any number of times.

    Nothing is parsed before it is here, so a crash or a fault of ours leaves the paid bytes behind.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.size = 0
        self._memory: io.BytesIO | None = None if path else io.BytesIO()
        self._file: BinaryIO | None = None

    @property
    def on_disk(self) -> bool:
        """Whether the whole body is in the file."""
        return self._memory is None and self.path is not None

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        if self._memory is None and self.path is not None:
            try:
                self._write_file(self.path, piece)
            except OSError:
                self._to_memory()
        if self._memory is not None:
            self._memory.write(piece)
        self.size += len(piece)

    def _write_file(self, path: Path, piece: bytes) -> None:
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _to_memory(self) -> None:
        """Go on in memory with what the disk already took."""
        self.close()
        self._memory = io.BytesIO()
        if self.size and self.path is not None:
            self._memory.write(self.path.read_bytes()[: self.size])

    def close(self) -> None:
        """Close the file; the body can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning."""
        self.close()
        if self._memory is not None:
            yield self._memory.getvalue()
        elif self.size and self.path is not None:
            with self.path.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    yield piece

    def head(self, size: int) -> bytes:
        """The first bytes of the body."""
        return next(self.pieces(), b"")[:size]

    def redact(self) -> None:
        """Take out a key that the server repeated: what is kept for good holds none."""
        if self.path is None or not 0 < self.size <= LARGEST_PAGE:
            return
        body = self.path.read_bytes()
        redacted = without_keys(body)
        if redacted != body:
            self.path.write_bytes(redacted)

    def discard(self) -> None:
        """Remove the file: the pictures are safe elsewhere."""
        self.close()
        self._memory = None
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    @classmethod
    def left_behind(cls, path: Path) -> Spool:
        """The spool that a crashed process left."""
        spool = cls(path)
        spool.size = path.stat().st_size
        return spool
