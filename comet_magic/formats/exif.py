"""Embed a text in EXIF as the user comment, keeping EXIF that others wrote; and read it back."""

from __future__ import annotations

import struct

EXIF = b"Exif\0\0"
_USER_COMMENT = 0x9286
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
