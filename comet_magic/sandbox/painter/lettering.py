"""The prompt's words, in a font that has their characters; never the empty boxes of one that has not."""

from __future__ import annotations

import re
from unicodedata import bidirectional, category

from PIL import Image, ImageDraw

from ...fonts import Face, broken_into_lines, face_for

_READ, _LINES, _LEADING = 400, 3, 1.36  # characters and lines that are shown; the height of a line of type
PAPER, _INK, _SEAL = "#faf6ee", "#2f2c3d", "#c4472f"


def caption(prompt: str, width: int, size: int) -> Image.Image:
    """A card with the prompt's words and a seal that says sandbox; the width and the size of type are in pixels."""
    lines, face, missing = _lines(prompt, width - 6 * size, size)
    card = Image.new("RGB", (width, round((_LEADING * max(1, len(lines)) + 0.8) * size)), PAPER)
    draw, small = ImageDraw.Draw(card), Face().sized(round(size * 0.66))
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
        draw.text((at, round(number * _LEADING * size)), line, _INK, face.sized(size), anchor)
    return card


def _lines(prompt: str, width: float, size: int) -> tuple[list[str], Face, str]:
    """The words broken into lines, their font, and how many characters no font has; the last line may be cut."""
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", prompt[:_READ]).split())
    face = face_for(text)
    shown = " ".join("".join(filter(face.has, text)).split())
    # Joiners and marks are no characters to a reader.
    count = sum(not face.has(char) and category(char) not in {"Cf", "Mn"} for char in text)
    if count and not any(map(str.isalnum, shown)):
        shown, count = "", len(text.replace(" ", ""))
    missing = f"{count} character{'' if count == 1 else 's'}" if count or not shown else ""
    lines = broken_into_lines(shown, face, size, width - 0.45 * size * len(missing))
    if len(lines) > _LINES or len(prompt) > _READ:
        lines[_LINES - 1 :] = [line + "…" * face.has("…") for line in lines[_LINES - 1 : _LINES]]
    return lines, face, missing
