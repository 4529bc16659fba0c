"""The functions of this package for any of the three kinds of pictures, and the names of kinds that are not opened."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import BadImageError
from . import jpeg, png, webp
from .container import CUT, MOST_TEXT, broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .container import Size

SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
_DAMAGED = (BadImageError, struct.error, IndexError)


class FileKind(NamedTuple):
    """A kind of file.

    Attributes:
        name: as a person calls it.
        suffix: how the names of its files end.
    """

    name: str
    suffix: str


# https://www.iana.org/assignments/media-types/, and https://en.wikipedia.org/wiki/List_of_file_signatures
_BEGINNINGS = (
    (b"GIF8", FileKind("GIF", ".gif")),
    (b"II*\0", FileKind("TIFF", ".tiff")),
    (b"MM\0*", FileKind("TIFF", ".tiff")),
    (b"\0\0\1\0", FileKind("ICO", ".ico")),
    (b"\0\0\0\x0cjP  ", FileKind("JPEG 2000", ".jp2")),
    (b"\xff\x4f\xff\x51", FileKind("JPEG 2000", ".j2k")),
    (b"\0\0\0\x0cJXL ", FileKind("JPEG XL", ".jxl")),
    (b"\xff\x0a", FileKind("JPEG XL", ".jxl")),
    (b"8BPS", FileKind("Photoshop", ".psd")),
    (b"%PDF", FileKind("PDF", ".pdf")),
    (b"%!PS", FileKind("PostScript", ".eps")),
    (b"qoif", FileKind("QOI", ".qoi")),
    (b"v/1\x01", FileKind("OpenEXR", ".exr")),
    (b"\x1aE\xdf\xa3", FileKind("WebM", ".webm")),
)
# Of the ISO base media format: https://mp4ra.org/registered-types/brands
_BRANDS = (
    (b"avi", FileKind("AVIF", ".avif")),
    (b"mif", FileKind("HEIC", ".heic")),
    (b"msf", FileKind("HEIC", ".heic")),
    (b"he", FileKind("HEIC", ".heic")),
)


class _Format(Protocol):
    """The functions of a format's module; each raises BadImageError, or struct.error if the file is cut."""

    def check(self, data: bytes, max_pixels: int, /) -> Size: ...
    def stripped(self, data: bytes, /) -> bytes: ...
    def plain(self, data: bytes, /) -> bytes: ...
    def embed(self, data: bytes, text: bytes, /) -> bytes: ...
    def read(self, data: bytes, /) -> bytes: ...
    def texts(self, data: bytes, /) -> dict[str, str]: ...


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


def kind_of(data: bytes) -> FileKind | None:
    """The kind of picture or other file by its first bytes, also one that is not opened; None if it is not known."""
    mime = sniff(data)
    return FileKind(mime.partition("/")[2].upper(), SUFFIX[mime]) if mime else foreign_kind(data)


def foreign_kind(data: bytes) -> FileKind | None:
    """The kind of a file that is known and not opened, or None."""
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return FileKind("BMP", ".bmp")
    if data[4:8] == b"ftyp":
        return next(
            (kind for brand, kind in _BRANDS if data[8:12].startswith(brand)), FileKind("MP4", ".mp4")
        )
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in data[:4096].lower():
        return FileKind("SVG", ".svg")
    return FileKind("HTML", ".html") if head.startswith((b"<!doctype html", b"<html")) else None


def check_picture(data: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """Check the container of a picture, and give its MIME type, width and height. Pixels are not decoded.

    PNG: header, chunks, checksums, end. JPEG: markers, frame header, scans, end. WEBP: RIFF length, one picture,
    canvas. Bytes after the end are allowed; of several pictures or frames, the first counts.

    Args:
        data: the whole file.
        max_pixels: the largest product of width and height.

    Raises:
        BadImageError: it is not a PNG, JPEG or WEBP image, or it is damaged or cut.
        TooLargeError: it has too many pixels.
    """
    mime = sniff(data)
    if mime is None:
        kind = foreign_kind(data)
        what = f" but {kind.name}, which is not opened" if kind else ""
        raise BadImageError(f"the bytes are not a PNG, JPEG or WEBP image{what}")
    try:
        return mime, *_FORMATS[mime].check(data, max_pixels)
    except (struct.error, IndexError):
        pass  # read after the end
    raise broken(CUT)


def stripped(data: bytes, mime: str) -> bytes:
    """The bytes of a picture that Pillow needs; the same object if nothing is left out or the file is damaged.

    Pillow refuses good PNGs with long texts and good JPEGs with broken EXIF, and acts upon animation.
    """
    try:
        return _FORMATS[mime].stripped(data)
    except _DAMAGED:
        return data


def plain(data: bytes, mime: str) -> bytes:
    """The picture without any text about it (EXIF, XMP, comments, places); the same object if there is none.

    Raises:
        BadImageError: it is damaged.
    """
    try:
        return _FORMATS[mime].plain(data)
    except (struct.error, IndexError):
        pass  # read after the end
    raise broken(CUT)


def embed_metadata(data: bytes, mime: str, facts: Mapping[str, Any]) -> bytes:
    """Embed facts in a picture; a file of unusual structure is given back as it was.

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
        text = _FORMATS[mime].read(data) if mime else b""
        facts = json.loads(text or b"{}") if len(text) <= MOST_TEXT else {}
    except (*_DAMAGED, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def embedded_texts(data: bytes) -> dict[str, str]:
    """The texts that any program put into a picture, by their names, up to 4 MiB in all; {} if it is damaged.

    Those of a PNG have the names of their chunks; the user comment of EXIF is `UserComment`.
    """
    mime = sniff(data)
    try:
        return _FORMATS[mime].texts(data) if mime else {}
    except _DAMAGED:
        return {}
