"""PNG files: walk the chunks, check them, strip them, embed and read a text. Nothing is inflated.

https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from .container import CUT, MOST_PIECES, MOST_TEXT, Size, broken, edited, within

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FIRST = len(SIGNATURE)
_HEADER_END = _FIRST + 25
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # bits, by colour type
_PALETTE = 3
# Only the first picture counts; Pillow would unpack, warn about or act upon texts and EXIF.
_STRIPPED = frozenset({b"acTL", b"fcTL", b"fdAT", b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_KEYWORD = b"comet_magic\0"


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk, up to and including IEND.

    Raises:
        BadImageError: a chunk ends behind the file, or there are too many.
        struct.error: the file ends where a chunk should begin.
    """
    at = _FIRST
    for _ in range(MOST_PIECES):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise broken(CUT)
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end
    raise broken("it is made of too many pieces")


def check(data: bytes, max_pixels: int) -> Size:
    """Check the header, the checksums, the pixel data's presence and the end, and give width and height.

    Checksums of ancillary chunks are not checked: the picture does not need these chunks.
    """
    seen = set()
    found = (0, 0)
    for kind, start, end in chunks(data):
        if (kind == b"IHDR") != (start == _FIRST):
            raise broken("its header is not in its place")
        if kind[:1].isupper() and not _intact(data, start, end):
            raise broken("a checksum is wrong")
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, start + 8)
            found = within((width, height), max_pixels)
            palette = _checked_header(data[start:end]) == _PALETTE
        seen.add(kind)
        if kind == b"IDAT" and palette and b"PLTE" not in seen:
            raise broken("its palette is missing")
    if b"IDAT" not in seen:
        raise broken("it has no pixels")
    return found


def _checked_header(header: bytes) -> int:
    """The colour type; BadImageError if the standard does not allow this header."""
    if len(header) == _HEADER_END - _FIRST:
        depth, colour, compression, filters, interlace = header[16:21]
        if depth in _DEPTHS.get(colour, ()) and compression == filters == 0 and interlace <= 1:
            return colour
    raise broken("its header makes no sense")


def _intact(data: bytes, start: int, end: int) -> bool:
    """Whether the checksum of a chunk is right."""
    stated: int = struct.unpack_from(">I", data, end - 4)[0]
    return zlib.crc32(memoryview(data)[start + 4 : end - 4]) == stated


def stripped(data: bytes) -> bytes:
    """Leave out animation, texts, EXIF, damaged ancillary chunks, and bytes after the end."""
    left_out, end = [], len(data)
    for kind, start, end in chunks(data):
        if kind in _STRIPPED or (kind[:1].islower() and not _intact(data, start, end)):
            left_out.append((start, end, b""))
    return edited(data, [*left_out, (end, len(data), b"")] if end < len(data) else left_out)


plain = stripped


def embed(data: bytes, text: bytes) -> bytes:
    """Embed the text as an iTXt chunk after the header, in place of an earlier one of ours."""
    payload = b"iTXt" + _KEYWORD + bytes(4) + text
    ours = struct.pack(">I", len(payload) - 4) + payload + struct.pack(">I", zlib.crc32(payload))
    found = list(chunks(data))
    if found[0] != (b"IHDR", _FIRST, _HEADER_END):
        raise broken("its header is not in its place")
    old = [(start, end, b"") for kind, start, end in found if _is_ours(data, kind, start)]
    return edited(data, [(_HEADER_END, _HEADER_END, ours), *old])


def read(data: bytes) -> bytes:
    """The text that was embedded, or b""."""
    for kind, start, end in chunks(data):
        if _is_ours(data, kind, start):
            return data[start + 8 + len(_KEYWORD) + 4 : end - 4]
    return b""


def _is_ours(data: bytes, kind: bytes, start: int) -> bool:
    return kind == b"iTXt" and data.startswith(_KEYWORD, start + 8)


def texts(data: bytes) -> dict[str, str]:
    """The texts of all chunks by their keywords; one that would make more than 4 MiB of them is left out."""
    found: dict[str, str] = {}
    room = MOST_TEXT
    for kind, start, end in chunks(data):
        if kind not in (b"tEXt", b"zTXt", b"iTXt") or end - start > room:
            continue
        keyword, _, rest = data[start + 8 : end - 4].partition(b"\0")
        coded, packed = "latin-1", kind == b"zTXt"
        if kind == b"iTXt":  # two flags, a language and a translated keyword come before the text
            coded, packed = "utf-8", rest[:1] == b"\1"
            rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        elif packed:
            rest = rest[1:]
        text = _unpacked(rest, room) if packed else rest
        room -= len(text)
        found.setdefault(keyword.decode("latin-1"), text.decode(coded, "replace"))
    return found


def _unpacked(data: bytes, most: int) -> bytes:
    """The inflated text; b"" if it is damaged or longer than this."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, most)
    except zlib.error:
        return b""
    return text if inflater.eof else b""
