"""The mask brush: strokes as numbers from a browser, drawn at the picture's full size. brush.js shows the same.

A stroke is `{"tool": "brush" | "erase", "size": diameter, "points": [x, y, x, y, …]}`, `{"tool": "box", "points":
[x, y, x, y]}` or `{"tool": "invert"}`, in pixels of the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

MOST_STROKES = 5000
MOST_NUMBERS = 20_000  # coordinates in one mask; brush.js stops there
_TOOLS = ("brush", "erase", "box", "invert")


def draw_strokes(strokes: Any, size: tuple[int, int]) -> Image:
    """The mask that strokes make, of mode L: 255 is to change, 0 stays. What lies outside the picture is cut off.

    Args:
        strokes: a list as in this module's docstring; nothing in it is trusted.
        size: of the picture, in pixels.

    Raises:
        InvalidRequestError: it is not such a list, or has too many strokes or coordinates.
    """
    from PIL import Image, ImageChops, ImageDraw

    mask = Image.new("L", size, 0)
    for tool, width, points in _checked(strokes, max(size)):
        draw, ink = ImageDraw.Draw(mask), 0 if tool == "erase" else 255
        if tool == "invert":
            mask = ImageChops.invert(mask)
        elif tool == "box":
            (left, right), (top, bottom) = (sorted(map(round, sides)) for sides in zip(*points, strict=True))
            mask.paste(ink, (left, top, right, bottom))
        else:
            draw.line(points, fill=ink, width=width)
            for x, y in points:  # round ends and joints
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=ink)
    return mask


def _checked(strokes: Any, edge: int) -> Iterator[tuple[Any, int, list[tuple[float, float]]]]:
    """Tool, diameter and points of each stroke; points at most one edge away from the picture."""
    left = MOST_NUMBERS
    for stroke in strokes if isinstance(strokes, list) and len(strokes) <= MOST_STROKES else [None]:
        given = stroke if isinstance(stroke, dict) else {}
        tool, width, numbers = given.get("tool"), given.get("size", 1), given.get("points", [])
        count = len(numbers) if isinstance(numbers, list) else -1
        wanted = {"invert": 0, "box": 4}.get(tool, max(count, 2)) if tool in _TOOLS else None
        fits = count == wanted and count <= left and count % 2 == 0
        if not fits or not all(type(n) in (int, float) and abs(n) < 1e9 for n in (width, *numbers)):
            raise InvalidRequestError(
                "the brush strokes cannot be read; clear the mask, draw it again", param="mask"
            )
        left -= count
        near = [max(-edge, min(n, 2 * edge)) for n in numbers]
        yield tool, max(1, min(round(width), edge)), list(zip(near[::2], near[1::2], strict=True))
