"""Shared by the PNG, JPEG and WEBP modules: errors, limits, one way to edit a file, and a text in EXIF."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..errors import BadImageError, TooLargeError
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

# A picture of 64 MiB in chunks of 2 KiB has half as many.
MOST_PIECES = 65_536
CUT = "it ends too early"
MOST_TEXT = 4 << 20  # bytes of texts in a file that are read

Size = tuple[int, int]
Edit = tuple[int, int, bytes]  # start and end of a span, and the bytes that take its place


def broken(reason: str, name: str = "") -> BadImageError:
    """The error for a damaged picture; `name` is its file, if it has one."""
    picture = f"the picture {clean(name)}" if name else "the picture"
    return BadImageError(f"{picture} is broken: {reason}")


def within(size: Size, max_pixels: int) -> Size:
    """Give the size back if it is allowed.

    Raises:
        BadImageError: a side is zero.
        TooLargeError: it has more pixels than allowed.
    """
    width, height = size
    if not width or not height:
        raise broken("it has no pixels")
    if width * height > max_pixels:
        raise TooLargeError(f"the picture is {width}x{height}; up to {max_pixels:,} pixels are opened")
    return size


def edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The data with each span replaced; spans must not overlap. Without edits, the same object is given back."""
    view, pieces, at = memoryview(data), list[bytes | memoryview](), 0
    for start, end, new in sorted(edits):
        pieces += view[at:start], new
        at = end
    return b"".join([*pieces, view[at:]]) if pieces else data


# --- EXIF: the text is its user comment; EXIF that others wrote is kept

EXIF = b"Exif\0\0"
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_OUR_IFD = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x8769, 4, 1, 26, 0)  # one entry: the EXIF part, at 26
_MARK = b'ASCII\0\0\0{"comet_magic":'


def with_comment(old: bytes, text: bytes) -> bytes:
    """The EXIF block with the text in it.

    Args:
        old: the block of the file, or b"". Text is appended to one that others wrote, so its offsets stay right.
        text: JSON.
    """
    others = old.removeprefix(EXIF).partition(_MARK)[0]
    if not others or others[: len(_OUR_IFD)] == _OUR_IFD:
        comment = struct.pack("<HHHIII", 1, _USER_COMMENT, 7, len(_MARK) + len(text) + 1, 44, 0)
        others = _OUR_IFD + comment
    return others + _MARK + text + b"}"


def comment_of(block: bytes) -> bytes:
    """The text that `with_comment` put in, or b""."""
    text = block.partition(_MARK)[2]
    return text[: text.rfind(b"}")]


def user_comment(block: bytes) -> dict[str, str]:
    """The user comment of an EXIF block that any program wrote, as `UserComment`; {} if it has none.

    https://www.cipa.jp/std/documents/e/DC-X008-Translation-2023-E.pdf, 4.6.6: the first eight bytes name the coding.
    """
    tiff = block.removeprefix(EXIF)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return {}
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    for wanted in (_EXIF_IFD, _USER_COMMENT):
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        entries = (struct.unpack_from(f"{order}HHII", tiff, at + 2 + 12 * each) for each in range(count))
        length, at = next(((size, value) for tag, _, size, value in entries if tag == wanted), (0, 0))
        if not at:
            return {}
    comment = tiff[at : at + min(length, MOST_TEXT)]
    text = comment[8:]
    coded = "utf-8"
    if comment.startswith(b"UNICODE\0"):  # programs do not agree on the order of its bytes
        coded = "utf-16-le" if text[1:2] == b"\0" else "utf-16-be"
    return {"UserComment": text.decode(coded, "replace").rstrip("\0")}
