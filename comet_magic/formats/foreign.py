"""Kinds of files that are not opened: they are told by their first bytes, and named in words."""

from __future__ import annotations

from typing import NamedTuple


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
