"""WEBP files: walk the RIFF chunks, check them, embed and read a text. Nothing is decoded.

https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .container import CUT, MOST_PIECES, Size, broken, comment_of, edited, user_comment, with_comment, within

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = 12
_FRAME_HEADER = 16  # bytes of an ANMF chunk before the chunks of its picture
_ANIMATED, _HAS_XMP, _HAS_EXIF = 0x02, 0x04, 0x08  # flags of VP8X
_IMAGES = frozenset({b"VP8 ", b"VP8L"})
Chunk = tuple[bytes, int, int]


def chunks(data: bytes, at: int = _FIRST, end: int | None = None) -> Iterator[Chunk]:
    """Kind, start and end (without padding) of each chunk inside the RIFF chunk, or inside another one.

    Args:
        data: the whole file.
        at: the offset of the first chunk.
        end: the offset at which the enclosing chunk ends; by default the end of the RIFF chunk.

    Raises:
        BadImageError: the file is cut, a chunk is longer than the one that encloses it, or there are too many.
    """
    end = _riff_end(data) if end is None else end
    if end > len(data):
        raise broken(CUT)
    for _ in range(MOST_PIECES):
        if end - at < 8:  # no room for another one
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise broken(CUT)
        yield kind, at, at + 8 + length
        at += 8 + length + length % 2
    raise broken("it is made of too many pieces")


def _riff_end(data: bytes) -> int:
    length: int = struct.unpack_from("<I", data, 4)[0]
    return length + 8


def _head(data: bytes, kind: bytes, at: int) -> tuple[int, int, bool]:
    """Width, height and transparency, read from the body of a chunk at this offset."""
    if kind == b"VP8X":
        flags, _, low_width, high_width, low_height, high_height = struct.unpack_from("<B3sHBHB", data, at)
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1, bool(flags & 0x10)
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, at)
        if signature != 0x2F:
            raise broken("its picture has no beginning")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if kind == b"VP8 ":
        signature, across, down = struct.unpack_from("<3x3sHH", data, at)
        if signature != b"\x9d\x01\x2a":
            raise broken("its picture has no beginning")
        return across & 0x3FFF, down & 0x3FFF, False
    raise broken("it holds no picture")


def check(data: bytes, max_pixels: int) -> Size:
    """Check the RIFF length, the canvas, and the one picture or first frame, and give width and height."""
    canvas = within(_head(data, data[_FIRST : _FIRST + 4], _FIRST + 8)[:2], max_pixels)
    found = list(chunks(data))
    if found[0][0] == b"VP8X" and data[_FIRST + 8] & _ANIMATED:
        _check_first_frame(data, canvas, found)
    elif _only_picture(data, found) != canvas:
        raise broken("it has two sizes")
    return canvas


def _check_first_frame(data: bytes, canvas: Size, found: list[Chunk]) -> None:
    """Raise BadImageError unless there is a frame, and the first one lies on the canvas."""
    start, end = next(((start, end) for kind, start, end in found if kind == b"ANMF"), (0, 0))
    if not end:
        raise broken("it holds no picture")
    left, top = (2 * int.from_bytes(data[at : at + 3], "little") for at in (start + 8, start + 11))
    width, height = _only_picture(data, list(chunks(data, start + 8 + _FRAME_HEADER, end)))
    if left + width > canvas[0] or top + height > canvas[1]:
        raise broken("it has two sizes")


def _only_picture(data: bytes, found: list[Chunk]) -> Size:
    """The size of the only picture among chunks."""
    pictures = [(kind, start) for kind, start, _ in found if kind in _IMAGES]
    if len(pictures) != 1:
        raise broken(f"it holds {len(pictures)} pictures" if pictures else "it holds no picture")
    kind, start = pictures[0]
    return _head(data, kind, start + 8)[:2]


def stripped(data: bytes) -> bytes:
    """Give the file back as it is: Pillow does not act upon anything in it."""
    return data


def plain(data: bytes) -> bytes:
    """Leave out EXIF and XMP, and bytes after the end."""
    last = _riff_end(data)
    found = [
        (start, min(end + (end - start) % 2, last))
        for kind, start, end in chunks(data)
        if kind in (b"EXIF", b"XMP ")
    ]
    if not found and last == len(data):
        return data
    flags = bytes(
        [data[_FIRST + 8] & ~(_HAS_XMP | _HAS_EXIF)]
    )  # only a file with VP8X, the first chunk, has these
    edits = [(start, end, b"") for start, end in found] + ([(_FIRST + 8, _FIRST + 9, flags)] if found else [])
    changed = edited(data, [*edits, (last, len(data), b"")])
    return edited(changed, [(4, 8, struct.pack("<I", len(changed) - 8))])


def embed(data: bytes, text: bytes) -> bytes:
    """Embed the text in the EXIF chunk, and add the VP8X header that a file with EXIF needs."""
    found, last = list(chunks(data)), _riff_end(data)
    kind, at, end = found[0]
    width, height, alpha = _head(data, kind, at + 8)
    flags = data[at + 8] | _HAS_EXIF if kind == b"VP8X" else alpha << 4 | _HAS_EXIF
    header = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    old = [(start, end) for name, start, end in found if name == b"EXIF"]
    exif = with_comment(data[old[0][0] + 8 : old[0][1]] if old else b"", text)
    before = next((start for name, start, _ in found if name == b"XMP "), last)
    padding = b"\0" * (before % 2)  # a last chunk may lack its own
    edits = [(start, min(end + end % 2, last), b"") for start, end in old]
    edits.append((at, end if kind == b"VP8X" else at, _chunk(b"VP8X", header)))
    edits.append((before, before, padding + _chunk(b"EXIF", exif)))
    changed = edited(data, edits)
    length = struct.pack("<I", last - 8 + len(changed) - len(data))
    return edited(changed, [(4, 8, length)])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def read(data: bytes) -> bytes:
    """The text that was embedded, or b""."""
    spans = ((start, end) for kind, start, end in chunks(data) if kind == b"EXIF")
    start, end = next(spans, (0, 0))
    return comment_of(data[start + 8 : end])


def texts(data: bytes) -> dict[str, str]:
    """The user comment of the EXIF chunk."""
    return next(
        (user_comment(data[start + 8 : end]) for kind, start, end in chunks(data) if kind == b"EXIF"), {}
    )
