"""Outlines: polygons, ellipses, smooth curves, strokes. Plain numbers, nothing is painted here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

Point = tuple[float, float]
Points = Sequence[Point] | str
Outline = list[list[Point]]  # the union of these polygons


@lru_cache(maxsize=2048)
def _written(text: str) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split()))


def points(given: Points) -> Sequence[Point]:
    """Points, also from a text such as `0,0 1,0.5`."""
    return _written(given) if isinstance(given, str) else given


def polygon(corners: Points) -> Outline:
    """The shape with these corners."""
    return [list(points(corners))]


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Outline:
    """An ellipse around a centre, turned by degrees; a circle where only one radius is given."""
    ry = rx if ry is None else ry
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    ring = ((rx * a, ry * b) for a, b in _CIRCLE)
    return [[(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in ring]]


def _ring(count: int) -> list[Point]:
    return [(math.cos(math.tau * i / count), math.sin(math.tau * i / count)) for i in range(count)]


_CIRCLE, _JOINT = _ring(64), _ring(16)


def arc(x: float, y: float, radius: float, start: float, end: float, *, squash: float = 1.0) -> list[Point]:
    """Points along a circle between two angles in degrees (0 is right, 90 is down)."""
    steps = max(2, int(abs(end - start) / 8))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(x + radius * math.cos(a), y + radius * squash * math.sin(a)) for a in angles]


def box(x: float, y: float, width: float, height: float, radius: float = 0.0) -> Outline:
    """A rectangle by its upper left corner, with rounded corners if asked for."""
    radius = min(radius, width / 2, height / 2)
    if radius <= 0:
        return polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    right, bottom = x + width - radius, y + height - radius
    corners = (
        (x + radius, y + radius, 180),
        (right, y + radius, 270),
        (right, bottom, 0),
        (x + radius, bottom, 90),
    )
    return [[point for cx, cy, a in corners for point in arc(cx, cy, radius, a, a + 90)]]


def curve(through: Points, *, closed: bool = False, steps: int = 10) -> list[Point]:
    """A smooth line through the points (Catmull-Rom)."""
    knots = points(through)
    count = len(knots)
    found: list[Point] = []
    for i in range(count if closed else count - 1):
        a, b, c, d = (
            knots[(i + k) % count] if closed else knots[min(max(i + k, 0), count - 1)] for k in (-1, 0, 1, 2)
        )
        for step in range(steps):
            t = step / steps
            found.append((_spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t)))
    return found if closed else [*found, knots[-1]]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def blob(through: Points) -> Outline:
    """A round shape through the points."""
    return [curve(through, closed=True)]


def stroke(along: Points, width: float, end_width: float | None = None) -> Outline:
    """A line with round ends, getting thicker or thinner towards its end if asked for."""
    line = points(along)
    last = len(line) - 1
    slope = ((width if end_width is None else end_width) - width) / last
    halves = [(width + slope * i) / 2 for i in range(last + 1)]
    ways = [math.atan2(v - y, u - x) for (x, y), (u, v) in pairwise(line)]
    shape: Outline = []
    sides: list[tuple[Point, Point]] = []
    for i, (x, y) in enumerate(line):
        before, after = ways[max(i - 1, 0)], ways[min(i, last - 1)]
        bend = math.remainder(after - before, math.tau)
        if i in {0, last} or abs(bend) > 0.5:
            shape.append([(x + halves[i] * a, y + halves[i] * b) for a, b in _JOINT])
        normal = before + bend / 2 + math.pi / 2
        u, v = halves[i] * math.cos(normal), halves[i] * math.sin(normal)
        sides.append(((x + u, y + v), (x - u, y - v)))
    return shape + [[a, c, d, b] for (a, b), (c, d) in pairwise(sides)]


def mirrored(outline: Outline) -> Outline:
    """The shape and its mirror image, left and right of x = 0."""
    return outline + [[(-x, y) for x, y in ring] for ring in outline]
