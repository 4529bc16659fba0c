"""Fonts of this machine: the one that has the characters of a text, and the text in lines that fit."""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_right
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_OWN = ((32, 126), *((ord(sign), ord(sign)) for sign in "©«°±´·»‘’“”…‹›⁄™"))
_PIECES = re.compile(
    r"\s*[⺀-鿿가-힯＀-￯][、。，！？；：」』）》]*|\s*[^\s⺀-鿿가-힯＀-￯]{1,20}"
)  # a line may end after each


class Face(NamedTuple):
    """A font file and the ranges of characters it has; without a path it is Pillow's own font."""

    path: str = ""
    number: int = 0  # of the font in its file
    ranges: tuple[tuple[int, int], ...] = _OWN

    def has(self, char: str) -> bool:
        """Whether the font has a glyph for the character."""
        at = bisect_right(self.ranges, (ord(char), 0x110000)) - 1
        return at >= 0 and ord(char) <= self.ranges[at][1]

    def sized(self, size: int) -> FreeTypeFont:
        """The font for type of this many pixels."""
        return _font(self.path, self.number, size)


def face_for(text: str) -> Face:
    """The font that has the most characters of a text; Pillow's own if it has them all."""
    faces = [Face(), *(() if all(map(Face().has, text)) else _faces())]
    return max(faces, key=lambda face: sum(map(face.has, text)))  # the first of the best


def broken_into_lines(text: str, face: Face, size: int, width: float) -> list[str]:
    """The text in lines of at most this width in pixels; a piece that is wider has a line of its own."""
    lines: list[str] = []
    for piece in _PIECES.findall(text):
        longer = lines[-1] + piece if lines else ""
        if lines and face.sized(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece.lstrip())
    return lines


@cache
def _faces() -> tuple[Face, ...]:
    """This machine's outline fonts in the order that fontconfig prefers them; none without fontconfig."""
    command = ["fc-match", "--sort", "--format", "%{color}\t%{file}\t%{index}\t%{charset}\n", "sans-serif"]
    try:
        listed = subprocess.run(command, capture_output=True, timeout=5, check=True).stdout.decode()  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ()
    found = []
    for path, number, charset in re.findall(r"(?im)^(?:False)?\t(.+\.[ot]t[fc])\t(\d+)\t(.+)$", listed):
        if Path(path).is_file():
            ends = [[int(end, 16) for end in part.split("-")] for part in charset.split()]
            found.append(Face(path, int(number), tuple((end[0], end[-1]) for end in ends)))
    return tuple(found)


@lru_cache(maxsize=64)
def _font(path: str, number: int, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    if path:
        return ImageFont.truetype(path, size, number)
    # Which shaping library is there differs from machine to machine; the basic layout is everywhere the same.
    own = cast("FreeTypeFont", ImageFont.load_default(size))
    return own.font_variant(layout_engine=ImageFont.Layout.BASIC)
