"""JPEG files: walk the segments, check them, strip them, embed and read a text. Nothing is decoded.

https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from .container import (
    CUT,
    EXIF,
    MOST_PIECES,
    Size,
    broken,
    comment_of,
    edited,
    user_comment,
    with_comment,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _FIRST_APP, _APP1, _APP2, _COMMENT, _FILL = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xFE, 0xFF
# JFIF, the colour profile, and Adobe's, which says how colours are coded.
_KEPT_APPS = frozenset({_FIRST_APP, _APP2, 0xEE})
# Markers without a length, which cannot stand between two segments of a header.
_OUT_OF_PLACE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# Markers that may follow scan data: tables, comments, the next scan, the end. In scan data, 0xFF is always escaped.
_MARKER = re.compile(rb"\xff[\xc4\xd9-\xdd\xe0-\xef\xfe]")
# Progressive files have about ten scans; each one costs a pass over all pixels.
_MOST_SCANS = 256
_KEYWORD = b"comet_magic"
_LONGEST = 65_000  # bytes of ours in one segment, whose length has 16 bits


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment, up to the first scan; a fill byte counts as a segment.

    Raises:
        BadImageError: a marker is missing, or there are too many.
        struct.error: the file ends before a scan.
    """
    at = 2
    for _ in range(MOST_PIECES):
        prefix, marker, length = struct.unpack_from(">BBH", data, at)
        if prefix != _FILL or marker in _OUT_OF_PLACE:
            raise broken("a marker is missing")
        end = at + (1 if marker == _FILL else 2 + max(length, 2))
        yield marker, at, end
        if marker == _SCAN:
            return
        at = end
    raise broken("it is made of too many pieces")


def check(data: bytes, max_pixels: int) -> Size:
    """Check for one frame header, scans and an end; give width and height. Of several pictures, the first counts."""
    found = (0, 0)
    end = 0
    for marker, start, end in segments(data):  # noqa: B007 - the last end is that of the scan's header
        if marker in _FRAMES:
            if found != (0, 0):
                raise broken("it has two headers")
            height, width = struct.unpack_from(">HH", data, start + 5)
            found = within((width, height), max_pixels)
    _check_scans(data, end)
    return within(found, max_pixels)


def _check_scans(data: bytes, at: int) -> int:
    """The end of the picture whose scans begin here; BadImageError if it has none."""
    scans = 1
    for _ in range(MOST_PIECES):
        marker = _MARKER.search(data, at)
        if marker is None:
            raise broken(CUT)
        kind = data[marker.start() + 1]
        if kind == _END:
            return marker.end()
        scans += kind == _SCAN
        if scans > _MOST_SCANS:
            raise broken("it is made of too many scans")
        (length,) = struct.unpack_from(">H", data, marker.end())
        at = marker.end() + length
    raise broken("it is made of too many pieces")


def stripped(data: bytes) -> bytes:
    """Leave out EXIF, which Pillow acts upon, and fill bytes."""
    left_out = [
        (start, end, b"")
        for marker, start, end in segments(data)
        if marker == _FILL or _holds(data, marker, start, _APP1, EXIF[:5])
    ]
    return edited(data, left_out)


def plain(data: bytes) -> bytes:
    """Leave out all segments that say something about the picture, further pictures, and bytes after the end."""
    left_out, at = [], 0
    for marker, start, at in segments(data):
        kept = marker in _KEPT_APPS and (
            marker != _APP2 or _holds(data, marker, start, _APP2, b"ICC_PROFILE\0")
        )
        if marker in (_FILL, _COMMENT) or (_FIRST_APP <= marker < _FIRST_APP + 16 and not kept):
            left_out.append((start, at, b""))
    end = _check_scans(data, at)
    return edited(data, [*left_out, (end, len(data), b"")] if end < len(data) else left_out)


def embed(data: bytes, text: bytes) -> bytes:
    """Embed the text in EXIF, or in comment segments if it needs more than 64 KB."""
    found = list(segments(data))
    old_exif = [(start, end) for marker, start, end in found if _holds(data, marker, start, _APP1, EXIF)]
    old = [(start, end) for marker, start, end in found if _holds(data, marker, start, _COMMENT, _KEYWORD)]
    exif = EXIF + with_comment(data[old_exif[0][0] + 4 : old_exif[0][1]] if old_exif else b"", text)
    if len(exif) <= _LONGEST:
        old += old_exif
        ours = _segment(_APP1, exif)
    else:
        pieces = range(0, len(text), _LONGEST)
        ours = b"".join(_segment(_COMMENT, _KEYWORD + text[at : at + _LONGEST]) for at in pieces)
    at = found[0][2] if found[0][0] == _FIRST_APP else 2  # JFIF must be the first segment
    return edited(data, [(at, at, ours), *((start, end, b"") for start, end in old)])


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def read(data: bytes) -> bytes:
    """The text that was embedded, or b""."""
    exif, pieces = b"", []
    for marker, start, end in segments(data):
        if _holds(data, marker, start, _COMMENT, _KEYWORD):
            pieces.append(data[start + 4 + len(_KEYWORD) : end])
        elif not exif and _holds(data, marker, start, _APP1, EXIF):
            exif = data[start + 4 : end]
    return b"".join(pieces) or comment_of(exif)


def texts(data: bytes) -> dict[str, str]:
    """The user comment of the first EXIF segment."""
    for marker, start, end in segments(data):
        if _holds(data, marker, start, _APP1, EXIF):
            return user_comment(data[start + 4 : end])
    return {}


def _holds(data: bytes, marker: int, start: int, wanted: int, beginning: bytes) -> bool:
    """Whether a segment is of this kind and begins with these bytes."""
    return marker == wanted and data.startswith(beginning, start + 4)
