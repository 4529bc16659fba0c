"""The structure of a PNG, JPEG or WEBP file, read without decoding a pixel.

Finds out what a decoder does not say or says too late: the size before memory is taken, bytes that are
missing at the end, damaged chunks, files built to keep a decoder busy. And gives the bytes a decoder
needs (`bare`): without texts, EXIF and animation, which Pillow would unpack, warn about or act upon.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ..errors import BadImageError, TooLargeError

_CUT = "it ends too early"

# A picture of 64 MiB in chunks of 2 KiB has half as many.
_MOST_PIECES = 65_536
# Progressive files have about ten scans; each one costs a pass over all pixels.
_MOST_SCANS = 256


Span = tuple[int, int]


@dataclass(frozen=True)
class Structure:
    """What is known of a file without its pixels.

    Attributes:
        width: in pixels.
        height: in pixels.
        bare: the bytes that a decoder needs; the very same object where nothing was left out.
        pixels: of a PNG, where its pixel data lies in the whole file.
    """

    width: int
    height: int
    bare: bytes
    pixels: tuple[Span, ...] = ()


def read_structure(
    data: bytes, mime: str, *, max_pixels: int | None = None, checked: bool = False
) -> Structure:
    """The structure of a whole file.

    Args:
        data: the file.
        mime: what it is.
        max_pixels: the largest product of width and height.
        checked: it was read before, so what needs a look at every byte was seen.

    Raises:
        BadImageError: it is cut, damaged, empty or built against decoders.
        TooLargeError: its header promises too many pixels, whatever follows.
    """
    walk = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[mime]
    try:
        return walk(data, max_pixels, checked)
    except (struct.error, IndexError):
        pass  # a number that lies behind the end
    raise broken(_CUT)


def broken(reason: str) -> BadImageError:
    """The error for a picture that cannot be opened."""
    return BadImageError(f"the picture is broken: {reason}")


def _allowed(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    if not width or not height:
        raise broken("it has no pixels")
    if max_pixels is not None and width * height > max_pixels:
        raise TooLargeError(f"the picture is {width}x{height}; up to {max_pixels:,} pixels are opened")
    return width, height


def _without(data: bytes, left_out: list[Span]) -> bytes:
    """The data without these spans; the very same object where there are none."""
    if not left_out:
        return data
    view = memoryview(data)
    edges = [0, *(edge for span in left_out for edge in span), len(data)]
    return b"".join(view[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))


# https://www.w3.org/TR/png-3/#5DataRep
_PNG_START = 8
_PNG_LEFT_OUT = frozenset({b"acTL", b"fcTL", b"fdAT", b"tEXt", b"zTXt", b"iTXt", b"eXIf"})


def _png(data: bytes, max_pixels: int | None, checked: bool) -> Structure:  # noqa: FBT001 - one table of walks
    width, height = struct.unpack_from(">II", data, _PNG_START + 8)
    _allowed(width, height, max_pixels)
    left_out: list[Span] = []
    pixels: list[Span] = []
    at = _PNG_START
    for _ in range(_MOST_PIECES):
        start = at
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if at > len(data):
            raise broken(_CUT)
        if not checked:
            _check_crc(data, start, at, kind)
        if (kind == b"IHDR") != (start == _PNG_START):
            raise broken("its header is not in its place")
        if kind in _PNG_LEFT_OUT:
            left_out.append((start, at))
        if kind == b"IDAT":
            pixels.append((start + 8, at - 4))
        if kind == b"IEND":
            return Structure(width, height, _without(data[:at], left_out), tuple(pixels))
    raise broken("it is made of too many pieces")


def _check_crc(data: bytes, start: int, end: int, kind: bytes) -> None:
    # Pillow does not look at the checksums of pixel data. Lower case: not needed for the picture.
    if kind[:1].islower():
        return
    (stated,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(memoryview(data)[start + 4 : end - 4]) != stated:
        raise broken("a checksum is wrong")


# https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _APP1, _FILL = 0xDA, 0xE1, 0xFF
# What has no length does not stand between two segments of a header.
_OUT_OF_PLACE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
_EXIF = b"Exif\0"


def _jpeg(data: bytes, max_pixels: int | None, checked: bool) -> Structure:  # noqa: FBT001 - likewise
    left_out: list[Span] = []
    at, size = 2, (0, 0)
    for _ in range(_MOST_PIECES):
        start = at
        prefix, marker, length = struct.unpack_from(">BBH", data, at)
        if prefix != 0xFF or marker in _OUT_OF_PLACE:
            raise broken("a marker is missing")
        if marker == _SOS:
            if not checked:
                _check_scans(data, start)
            return Structure(*_allowed(*size, max_pixels), _without(data, left_out))
        at += 1 if marker == _FILL else 2 + length
        if marker in _SOF:
            size = _frame(data, start, size, max_pixels)
        if marker == _FILL or (marker == _APP1 and data.startswith(_EXIF, start + 4)):
            left_out.append((start, at))
    raise broken("it is made of too many pieces")


def _frame(data: bytes, start: int, known: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    if known != (0, 0):
        raise broken("it has two headers")
    height, width = struct.unpack_from(">HH", data, start + 5)
    return _allowed(width, height, max_pixels)


def _check_scans(data: bytes, start: int) -> None:
    last, scans = start, 1
    while (at := data.find(b"\xff\xda", last + 2)) >= 0:
        last, scans = at, scans + 1
        if scans > _MOST_SCANS:
            raise broken("it is made of too many scans")
    if data.rfind(b"\xff\xd9") < last:
        raise broken(_CUT)


def _webp(data: bytes, max_pixels: int | None, _: bool) -> Structure:  # noqa: FBT001 - likewise
    # https://developers.google.com/speed/webp/docs/riff_container
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise broken("it holds no picture")
    size = _allowed(width, height, max_pixels)
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise broken(_CUT)
    return Structure(*size, data)
