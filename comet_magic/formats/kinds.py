"""The three kinds of pictures that are opened, and what one asks about any of them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BadImageError
from . import jpeg, png, webp
from .container import CUT, broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .container import Size

SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
_DAMAGED = (BadImageError, struct.error, IndexError)


class _Format(Protocol):
    """What the module of a format does; each may raise BadImageError, or struct.error if the file is cut."""

    def check(self, data: bytes, max_pixels: int, /) -> Size: ...
    def stripped(self, data: bytes, /) -> bytes: ...
    def embed(self, data: bytes, text: bytes, /) -> bytes: ...
    def read(self, data: bytes, /) -> bytes: ...


_FORMATS: dict[str, _Format] = {"image/png": png, "image/jpeg": jpeg, "image/webp": webp}


def sniff(data: bytes) -> str | None:
    """The kind of picture by its first twelve bytes: png, jpeg or webp as a MIME type, else None."""
    if data[:8] == png.SIGNATURE:
        return "image/png"
    if data[:3] == jpeg.SIGNATURE:
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def check_picture(data: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """MIME type, width and height of a picture whose container is whole; its pixels are not decoded.

    Checked are, of a PNG, the header, the chunks, their checksums and the end; of a JPEG, the markers, the frame
    header, the scans and the end; of a WEBP, the RIFF length, the one picture and the canvas. Bytes behind the
    end are tolerated; of several pictures or frames the first counts.

    Args:
        data: the whole file.
        max_pixels: the largest product of width and height.

    Raises:
        BadImageError: it is no png, jpeg or webp, or it is damaged or cut.
        TooLargeError: it has too many pixels.
    """
    mime = sniff(data)
    if mime is None:
        raise BadImageError("the bytes are not a PNG, JPEG or WEBP image")
    try:
        return mime, *_FORMATS[mime].check(data, max_pixels)
    except (struct.error, IndexError):
        pass  # a number that would stand behind the end
    raise broken(CUT)


def stripped(data: bytes, mime: str) -> bytes:
    """The bytes of a picture that a decoder needs; the very same object if nothing is left out, or it is damaged.

    Pillow refuses good PNGs with long texts and good JPEGs with broken EXIF, and acts upon animation.
    """
    try:
        return _FORMATS[mime].stripped(data)
    except _DAMAGED:
        return data


def embed_metadata(data: bytes, mime: str, facts: Mapping[str, Any]) -> bytes:
    """The same picture with facts inside; a file of unusual structure comes back as it was.

    Args:
        data: a whole png, jpeg or webp.
        mime: its MIME type.
        facts: what JSON can hold; they replace facts embedded earlier.
    """
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"), default=str).encode()
    if mime not in _FORMATS or sniff(data) != mime:
        return data
    try:
        return _FORMATS[mime].embed(data, text)
    except _DAMAGED:
        return data


def embedded_metadata(data: bytes) -> dict[str, Any]:
    """The facts that `embed_metadata` put into a picture, or {}."""
    mime = sniff(data)
    try:
        facts = json.loads(_FORMATS[mime].read(data) or b"{}") if mime else {}
    except (*_DAMAGED, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
