"""The prompt's words, in a font that has their characters; never the empty boxes of one that has not."""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_right
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple, cast
from unicodedata import bidirectional, category

from PIL import Image, ImageDraw, ImageFont

_READ, _LINES, _LEADING = 400, 3, 1.36  # characters and lines that are shown; the height of a line of type
_OWN = ((32, 126), *((ord(sign), ord(sign)) for sign in "©«°±´·»‘’“”…‹›⁄™"))
_PIECES = re.compile(
    r"\s*[⺀-鿿가-힯＀-￯][、。，！？；：」』）》]*|\s*[^\s⺀-鿿가-힯＀-￯]{1,20}"
)  # a line may end after each
PAPER, _INK, _SEAL = "#faf6ee", "#2f2c3d", "#c4472f"


class Face(NamedTuple):
    """A font file and the ranges of characters it has; without a path it is Pillow's own font."""

    path: str = ""
    number: int = 0  # of the font in its file
    ranges: tuple[tuple[int, int], ...] = _OWN

    def has(self, char: str) -> bool:
        """Whether the font has a glyph for the character."""
        at = bisect_right(self.ranges, (ord(char), 0x110000)) - 1
        return at >= 0 and ord(char) <= self.ranges[at][1]


def caption(prompt: str, width: int, size: int) -> Image.Image:
    """A card with the prompt's words and a seal that says sandbox; the width and the size of type are in pixels."""
    lines, face, missing = _lines(prompt, width - 6 * size, size)
    card = Image.new("RGB", (width, round((_LEADING * max(1, len(lines)) + 0.8) * size)), PAPER)
    draw, small = ImageDraw.Draw(card), _font("", 0, round(size * 0.66))
    left, right = size * 0.6, width - size * 0.6
    y = round(max(1, len(lines)) * _LEADING * size)
    for text, fill, ink in (("sandbox", _SEAL, PAPER), (missing, PAPER, _INK)):
        if text:
            long = small.getlength(text) + size
            start = right - long if lines or fill == _SEAL else left
            area = (start, y - size * 0.92, start + long, y + size * 0.34)
            draw.rounded_rectangle(area, size // 5, fill, ink, max(1, size // 16))
            draw.text((start + size / 2, y - size * 0.06), text, ink, small, "ls")
            right = start - size / 2
    sides = (side for char in "".join(lines) if (side := bidirectional(char)) in {"L", "R", "AL"})
    at, anchor = (left, "ls") if next(sides, "L") == "L" else (right, "rs")
    for number, line in enumerate(lines, 1):
        draw.text((at, round(number * _LEADING * size)), line, _INK, _font(*face[:2], size), anchor)
    return card


def _lines(prompt: str, width: float, size: int) -> tuple[list[str], Face, str]:
    """The words broken into lines, their font, and how many characters no font has; the last line may be cut."""
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", prompt[:_READ]).split())
    faces = [Face(), *(() if all(map(Face().has, text)) else _faces())]
    face = max(faces, key=lambda face: sum(map(face.has, text)))  # the first of the best
    shown = " ".join("".join(filter(face.has, text)).split())
    # Joiners and marks are no characters to a reader.
    count = sum(not face.has(char) and category(char) not in {"Cf", "Mn"} for char in text)
    if count and not any(map(str.isalnum, shown)):
        shown, count = "", len(text.replace(" ", ""))
    missing = f"{count} character{'' if count == 1 else 's'}" if count or not shown else ""
    lines: list[str] = []
    for piece in _PIECES.findall(shown):
        longer = lines[-1] + piece if lines else ""
        if lines and _font(*face[:2], size).getlength(longer) <= width - 0.45 * size * len(missing):
            lines[-1] = longer
        else:
            lines.append(piece.lstrip())
    if len(lines) > _LINES or len(prompt) > _READ:
        lines[_LINES - 1 :] = [line + "…" * face.has("…") for line in lines[_LINES - 1 : _LINES]]
    return lines, face, missing


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
def _font(path: str, number: int, size: int) -> ImageFont.FreeTypeFont:
    if path:
        return ImageFont.truetype(path, size, number)
    # Which shaping library is there differs from machine to machine; the basic layout is everywhere the same.
    own = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    return own.font_variant(layout_engine=ImageFont.Layout.BASIC)
