"""An EXIF block with a text of ours as its user comment; EXIF that others wrote is kept."""

from __future__ import annotations

import struct

EXIF = b"Exif\0\0"
_USER_COMMENT = 0x9286
_OUR_IFD = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x8769, 4, 1, 26, 0)  # one entry: the EXIF part, at 26
_MARK = b'ASCII\0\0\0{"comet_magic":'


def with_comment(old: bytes, text: bytes) -> bytes:
    """A block that holds the text.

    Args:
        old: the block that is there, or b"". If others wrote it, the text follows all that its offsets point to.
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
