"""The pictures that go into a request: prepared, known by their pixels, never written out in a text."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import InvalidRequestError
from ..files import open_inside
from ..formats import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_IN_MEMORY = 256 * 1024  # bytes; a larger picture waits on disk until it is sent
Role = Literal["image", "mask", "markup", "original"]


@dataclass(frozen=True, eq=False)
class _Spooled:
    """Bytes on disk for as long as this object lives."""

    path: Path

    @classmethod
    def of(cls, data: bytes) -> Self:
        descriptor, name = tempfile.mkstemp(prefix="comet_magic-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        spooled = cls(Path(name))
        weakref.finalize(spooled, _discard, name, os.getpid())
        return spooled

    def __reduce__(self) -> tuple[Any, ...]:  # on another machine it is written anew
        return type(self).of, (self.path.read_bytes(),)


def _discard(name: str, process: int) -> None:
    if os.getpid() == process:  # not in a forked child, at whose end the parent's files stay
        Path(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class InputPicture:
    """One prepared picture.

    Attributes:
        sha256: of its pixels, with their mode and size; the same picture has the same one in any file.
        mime: `image/png`, `image/jpeg` or `image/webp`.
        width: in pixels.
        height: in pixels.
        source: the sha256 of the bytes that it was given as, or "" if it was not given as bytes.
        content: where the bytes are; None if only the ledger knows it.
    """

    sha256: str
    mime: str
    width: int
    height: int
    source: str = field(default="", compare=False, repr=False)
    content: bytes | Path | _Spooled | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, data: bytes, mime: str, size: tuple[int, int], sha256: str, source: str = "") -> Self:
        """A picture with its bytes, which are kept on disk if they are many."""
        content = data if len(data) <= _IN_MEMORY else _Spooled.of(data)
        return cls(sha256, mime, *size, source, content)

    @property
    def name(self) -> str:
        """Its file in an archive, relative to the folder."""
        return f"inputs/{self.sha256[:2]}/{self.sha256}{SUFFIX[self.mime]}"

    def open(self) -> BinaryIO:
        """Its bytes as a file.

        Raises:
            InvalidRequestError: they are gone; nothing was sent.
        """
        content = self.content
        try:
            if isinstance(content, bytes):
                return io.BytesIO(content)
            if isinstance(content, _Spooled):
                return content.path.open("rb")
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
