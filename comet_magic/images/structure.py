"""The structure of a PNG, JPEG or WEBP file, read without decoding a pixel.

Finds out what a decoder does not say or says too late: the size before memory is taken, bytes that are
missing at the end, damaged chunks, files built to keep a decoder busy. And gives the bytes a decoder
needs (`bare`): without texts, EXIF and animation, which Pillow would unpack, warn about or act upon.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ..errors import BadImageError

_CUT = "it ends too early"

# A picture of 64 MiB in chunks of 2 KiB has half as many.
_MOST_CHUNKS = 65_536
# Progressive files have about ten scans; each one costs a pass over all pixels.
_MOST_SCANS = 256


@dataclass(frozen=True)
class Structure:
    """Size in pixels, and the bytes that a decoder needs (the very same object where nothing was left out)."""

    width: int
    height: int
    bare: bytes


def read_structure(data: bytes, mime: str) -> Structure:
    """The structure of a whole file.

    Raises:
        BadImageError: it is cut, damaged, empty or built against decoders.
    """
    try:
        structure = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[mime](data)
    except (struct.error, IndexError):
        structure = None
    if structure is None:
        raise broken(_CUT)
    if not structure.width or not structure.height:
        raise broken("it has no pixels")
    return structure


def broken(reason: str) -> BadImageError:
    """The error for a picture that cannot be opened."""
    return BadImageError(f"the picture is broken: {reason}")


# https://www.w3.org/TR/png-3/#5DataRep
_PNG_LEFT_OUT = frozenset({b"acTL", b"fcTL", b"fdAT", b"tEXt", b"zTXt", b"iTXt", b"eXIf"})


def _png(data: bytes) -> Structure:
    kept = [data[:8]]
    at, kind, size = 8, b"", (0, 0)
    for _ in range(_MOST_CHUNKS):
        start = at
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if at > len(data):
            raise broken(_CUT)
        _check_crc(data, start, at, kind)
        if (kind == b"IHDR") != (start == 8):
            raise broken("its header is not in its place")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", data, start + 8)
        if kind not in _PNG_LEFT_OUT:
            kept.append(data[start:at])
        if kind == b"IEND":
            break
    else:
        raise broken("it is made of too many pieces")
    whole = sum(map(len, kept)) == len(data)
    return Structure(*size, data if whole else b"".join(kept))


def _check_crc(data: bytes, start: int, end: int, kind: bytes) -> None:
    # Pillow does not look at the checksums of pixel data. Lower case: not needed for the picture.
    critical = not kind[0] & 0x20
    if (
        critical
        and zlib.crc32(memoryview(data)[start + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]
    ):
        raise broken("a checksum is wrong")


# https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_EXIF = b"Exif\0"


def _jpeg(data: bytes) -> Structure:
    kept = [data[:2]]
    at, size = 2, (0, 0)
    for _ in range(_MOST_CHUNKS):
        start = at
        marker, length = struct.unpack_from(">xBH", data, at)
        if data[at] != 0xFF or length < 2 or marker in (0x00, 0xFF, _EOI):
            raise broken("a marker is missing")
        if marker == _SOS:
            break
        at += 2 + length
        if at > len(data):
            raise broken(_CUT)
        if marker in _SOF:
            size = _frame(data, start, size)
        if not (marker == _APP1 and data.startswith(_EXIF, start + 4)):
            kept.append(data[start:at])
    else:
        raise broken("it is made of too many pieces")
    _check_scans(data, at)
    kept.append(data[at:])
    whole = sum(map(len, kept)) == len(data)
    return Structure(*size, data if whole else b"".join(kept))


def _frame(data: bytes, start: int, known: tuple[int, int]) -> tuple[int, int]:
    if known != (0, 0):
        raise broken("it has two headers")
    height, width = struct.unpack_from(">HH", data, start + 5)
    return width, height


def _check_scans(data: bytes, start: int) -> None:
    if data.rfind(b"\xff\xd9") < max(start, data.rfind(b"\xff\xda")):
        raise broken(_CUT)
    if data.count(b"\xff\xda", start) > _MOST_SCANS:
        raise broken("it is made of too many scans")


def _webp(data: bytes) -> Structure:
    # https://developers.google.com/speed/webp/docs/riff_container
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise broken(_CUT)
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
    return Structure(width, height, data)
