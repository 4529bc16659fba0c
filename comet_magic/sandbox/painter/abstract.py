"""What is painted when no word is known: a grid of shapes in a chosen set of colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .canvas import Brush, Canvas
from .shapes import Point, arc, box, ellipse, points, polygon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_LIMIT = box(-1, -1, 2, 2)  # a tile in its own measures
_CORNERS = points("-1,-1 1,-1 1,1 -1,1")
_SETS = (
    ("#f4ead8", "#e4572e", "#17508a", "#f3a712", "#29335c", "#a8c5a0"),
    ("#f7f0e3", "#d1495b", "#00798c", "#edae49", "#30638e", "#003d5b"),
    ("#fbf3e4", "#e07a5f", "#3d405b", "#81b29a", "#f2cc8f", "#5f6f94"),
    ("#f1ece2", "#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51"),
    ("#f6eee6", "#8f2d56", "#218380", "#fbb13c", "#d81159", "#73d2de"),
    ("#f3efe6", "#233d4d", "#fe7f2d", "#fcca46", "#a1c181", "#619b8a"),
)


def paint_tiles(canvas: Canvas, dice: Random, *, position: int, seed: int) -> None:
    """Quarter circles, arches and stripes on a grid; large tiles among small ones."""
    colours = _SETS[(seed + position) % len(_SETS)]
    canvas.fill(box(0, 0, canvas.width, canvas.height), colours[0])
    short = min(canvas.width, canvas.height)
    side = short / (5, 4, 6)[(seed + position) % 3]
    columns, rows = max(1, round(canvas.width / side)), max(1, round(canvas.height / side))
    wide, high = canvas.width / columns, canvas.height / rows
    taken: set[tuple[int, int]] = set()
    for row in range(rows):
        for column in range(columns):
            if (column, row) in taken:
                continue
            free = all((column + a, row + b) not in taken for a in (0, 1) for b in (0, 1))
            span = 2 if free and column + 1 < columns and row + 1 < rows and dice.random() < 0.22 else 1
            taken |= {(column + a, row + b) for a in range(span) for b in range(span)}
            place = (column * wide, row * high, wide * span, high * span)
            _tile(canvas, place, dice.sample(colours, 3), dice)


def _tile(
    canvas: Canvas, place: tuple[float, float, float, float], colours: Sequence[str], dice: Random
) -> None:
    x, y, wide, high = place
    canvas.fill(box(x, y, wide, high), colours[0])
    brush = Brush(canvas, x + wide / 2, y + high / 2, min(wide, high) / 2)
    dice.choice(_MOTIFS)(brush, colours, _CORNERS[dice.randrange(4)])


def _rainbow(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    for reach, paint in ((2.0, colours[1]), (1.34, colours[2]), (0.67, colours[0])):
        brush.fill(ellipse(*corner, reach), paint, within=_LIMIT)


def _halves(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    start = math.degrees(math.atan2(*corner)) - 45
    brush.fill(ellipse(0, 0, 0.74), colours[1])
    brush.fill([arc(0, 0, 0.74, start, start + 180)], colours[2])


def _petal(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    brush.fill(ellipse(*corner, 2), colours[1], within=_LIMIT)
    brush.fill(ellipse(-corner[0] * 0.45, -corner[1] * 0.45, 0.28), colours[2])


def _stripes(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    upright = corner[0] == corner[1]
    for k in range(4):
        place = k * 0.5 - 1
        brush.fill(box(place, -1, 0.25, 2) if upright else box(-1, place, 2, 0.25), colours[1])


def _diagonal(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    brush.fill(polygon([other for other in _CORNERS if other != corner]), colours[1])
    brush.fill(ellipse(corner[0] * 0.4, corner[1] * 0.4, 0.22), colours[2])


def _target(brush: Brush, colours: Sequence[str], _corner: Point) -> None:
    for reach, paint in ((0.9, colours[1]), (0.6, colours[0]), (0.34, colours[2])):
        brush.fill(ellipse(0, 0, reach), paint)


def _arches(brush: Brush, colours: Sequence[str], _corner: Point) -> None:
    brush.fill([arc(0, 0, 1, 180, 360)], colours[2])
    brush.fill([arc(0, 1, 1, 180, 360)], colours[1])


def _dots(brush: Brush, colours: Sequence[str], corner: Point) -> None:
    for u in (-0.6, 0.0, 0.6):
        for v in (-0.6, 0.0, 0.6):
            brush.fill(ellipse(u, v, 0.15), colours[1 if u * corner[0] + v * corner[1] >= 0 else 2])


_MOTIFS = (_rainbow, _halves, _petal, _stripes, _diagonal, _target, _arches, _dots)
