"""The pictures that go into a request: prepared, known by their pixels, never written out in a text."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

from ..errors import InvalidRequestError
from ..files import open_inside, write_all
from ..formats import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

_SMALL = 4 << 20  # bytes; a larger picture waits on disk until it is sent
_IN_MEMORY = 32 << 20  # bytes of all smaller ones; what is more waits on disk too
_FULL = 32 << 20  # bytes of a file after which a new one is begun
Role = Literal["image", "mask", "markup", "original"]


class _SpoolFile:
    """A file without a name that pictures share: it is gone with the last of them, or with the process, if killed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it outlives this
        self.size = 0
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes) -> _Spooled:
        """Write bytes at the end; the lock is held."""
        self._file.seek(self.size)
        write_all(self._file.fileno(), data)
        spooled = _Spooled(self, self.size, len(data))
        self.size += len(data)
        return spooled

    def read(self, start: int, count: int) -> bytes:
        """Bytes from a place in it; a forked child shares the file, but no position in it."""
        if sys.platform != "win32":
            return os.pread(self._file.fileno(), count, start)
        with _lock:  # pragma: no cover - Windows
            self._file.seek(start)
            return self._file.read(count) or b""


_lock = threading.RLock()  # a picture may be let go of while it is held
_newest: weakref.ref[_SpoolFile] | None = None
_held = 0  # bytes of pictures in memory


def _after_fork() -> None:
    """Write to a file of its own in the child."""
    global _lock, _newest
    _lock, _newest = threading.RLock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _let_go(count: int) -> None:
    global _held  # noqa: PLW0603 - one per process is the point
    with _lock:
        _held -= count


def _kept(data: bytes) -> _Held | _Spooled:
    """The bytes: in memory if they are few together with those that wait there, else on disk, if that takes them."""
    global _held, _newest  # noqa: PLW0603 - likewise
    with _lock:
        if len(data) > _SMALL or _held + len(data) > _IN_MEMORY:
            with contextlib.suppress(OSError):  # memory takes them too
                file = _newest() if _newest else None
                if file is None or file.size > _FULL:
                    file = _SpoolFile()
                    _newest = weakref.ref(file)
                return file.append(data)
        _held += len(data)
    held = _Held(data)
    weakref.finalize(held, _let_go, len(data))
    return held


@dataclass(frozen=True, eq=False)
class _Held:
    """Bytes in memory."""

    data: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _kept, (self.data,)


@dataclass(frozen=True, eq=False)
class _Spooled:
    """Bytes on disk for as long as this object lives."""

    file: _SpoolFile
    start: int
    length: int

    def __reduce__(self) -> tuple[Any, ...]:  # on another machine it is written anew
        return _kept, (self.file.read(self.start, self.length),)


class GivenFile(NamedTuple):
    """The file that a picture was given as, which may be a picture of an archive.

    Attributes:
        size: in bytes.
        sha256: of its bytes; None if they are the picture's own, and can still be hashed.
    """

    size: int
    sha256: str | None = None


class _SpoolReader(io.RawIOBase):
    """Reads spooled bytes as a file."""

    def __init__(self, spooled: _Spooled) -> None:
        super().__init__()
        self._spooled = spooled
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._spooled.length)[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self._spooled.length - self._at)
        count = rest if size is None or size < 0 else min(size, rest)
        data = self._spooled.file.read(self._spooled.start + self._at, count)
        self._at += len(data)
        return data


@dataclass(frozen=True)
class InputPicture:
    """One prepared picture.

    Attributes:
        sha256: of its pixels, with their mode and size; the same picture has the same one in any file.
        mime: `image/png`, `image/jpeg` or `image/webp`.
        width: in pixels.
        height: in pixels.
        source: the file that it was given as; None if it was given as pixels.
        content: where the bytes are; None if only the ledger knows it.
    """

    sha256: str
    mime: str
    width: int
    height: int
    source: GivenFile | None = field(default=None, compare=False, repr=False)
    content: _Held | _Spooled | Path | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls, data: bytes, mime: str, size: tuple[int, int], sha256: str, source: GivenFile | None = None
    ) -> Self:
        """A picture with its bytes, which are kept on disk if they are many."""
        return cls(sha256, mime, *size, source, _kept(data))

    @property
    def name(self) -> str:
        """Its file in an archive, relative to the folder."""
        return f"inputs/{self.sha256[:2]}/{self.sha256}{SUFFIX[self.mime]}"

    @property
    def in_memory(self) -> bytes | None:
        """Its bytes, if they are in memory anyway."""
        return self.content.data if isinstance(self.content, _Held) else None

    @property
    def size(self) -> int | None:
        """How many bytes it has; None if they are in an archive."""
        if isinstance(self.content, _Held):
            return len(self.content.data)
        return self.content.length if isinstance(self.content, _Spooled) else None

    def open(self) -> BinaryIO:
        """Its bytes as a file.

        Raises:
            InvalidRequestError: they are gone; nothing was sent.
        """
        content = self.content
        try:
            if isinstance(content, _Held):
                return io.BytesIO(content.data)
            if isinstance(content, _Spooled):
                return cast("BinaryIO", _SpoolReader(content))
            if content is not None:  # of an archive, which may be a stranger's
                return open_inside(content.parents[2], self.name)
        except OSError:
            pass
        raise InvalidRequestError(
            f"the input picture {self.name} is gone", param="image", hint="Give the picture again by image=."
        )

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            InvalidRequestError: they are gone.
        """
        with self.open() as file:
            return file.read()

    def to_dict(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {"sha256": self.sha256, "mime": self.mime, "width": self.width, "height": self.height}


@dataclass(frozen=True)
class Inputs:
    """The pictures of one request; `images` is empty if there are none.

    Attributes:
        images: the pictures to edit or to follow, in order.
        mask: of the first one's size; where it is transparent, the picture may change.
        markup: scribbles to lay over the first one.
        original: the first one as it was given, if what is sent differs from it and it is pasted back.
        paste_back: whether the original is put back outside the mask.
        notices: what preparation changed, one sentence each.
    """

    images: tuple[InputPicture, ...] = ()
    mask: InputPicture | None = None
    markup: InputPicture | None = None
    original: InputPicture | None = None
    paste_back: bool = field(default=True, compare=False)
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[tuple[Role, InputPicture]]:
        """Each picture with its role."""
        for image in self.images:
            yield "image", image
        if self.mask is not None:
            yield "mask", self.mask
        if self.markup is not None:
            yield "markup", self.markup
        if self.original is not None:
            yield "original", self.original

    @property
    def key(self) -> list[list[str]]:
        """What of them changes the answer: role and hash of each picture that is sent."""
        return [[role, picture.sha256] for role, picture in self if role != "original"]

    def to_list(self) -> list[dict[str, Any]]:
        """What the ledger keeps of them."""
        pasted = {} if self.paste_back else {"paste_back": False}
        return [{"role": role, **picture.to_dict(), **pasted} for role, picture in self]

    @classmethod
    def from_list(cls, facts: list[Mapping[str, Any]], folder: Path | None) -> Self:
        """The pictures that `to_list` gave, with their files in an archive's folder."""
        found: dict[str, list[InputPicture]] = {"image": [], "mask": [], "markup": [], "original": []}
        for one in facts:
            picture = InputPicture(one["sha256"], one["mime"], one["width"], one["height"])
            found[one["role"]].append(replace(picture, content=folder / picture.name if folder else None))
        mask, markup, original = (next(iter(found[role]), None) for role in ("mask", "markup", "original"))
        paste_back = all(one.get("paste_back", True) for one in facts)
        return cls(tuple(found["image"]), mask, markup, original, paste_back)


NO_INPUTS = Inputs()
