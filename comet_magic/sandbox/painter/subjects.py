"""The things that can be painted, each written down as a few soft shapes.

A shape is `paint kind points;`. Points are hundredths of the subject's size; 0,0 is the middle of its foot and y
grows downwards. The paint is `main` or a colour, `+40` lighter or `-40` darker by so many hundredths, `a>b` from
top to bottom, `*a` shining by itself, `a/50` half transparent. The kind is `poly`, `blob` (smooth), `oval`
(x,y,rx,ry) or `line7` (smooth, seven hundredths wide); a `|` behind it adds the mirror image.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import NamedTuple

from .canvas import Canvas, Colour, Ring, curve, ellipse, lit, mix


class Subject(NamedTuple):
    """A thing: its own colour, its size as a share of the shorter edge, what carries it, and where it belongs."""

    colour: str
    size: float
    ground: str  # land, water, air, table
    place: str
    shapes: str


SUBJECTS = {
    "paper boat": Subject("#fbf3ea", 0.56, "water", "lake", """main-52 poly -52,-27.5 0,-22.5 52,-27.5 0,-9;
    main+50>main-6 poly 0,-56 -24,-20 0,-11; main-30>main-42 poly 0,-56 24,-20 0,-11; main+40>main-16 poly
    -52,-27.5 0,-13.5 0,3 -30,3; main-30>main-46 poly 52,-27.5 0,-13.5 0,3 30,3; main+50>main poly -52,-27.5
    0,-13.5 -30,3; main-16>main-26 poly 52,-27.5 0,-13.5 30,3"""),
    "sailboat": Subject("#d9583f", 0.62, "water", "sea", """#7a5236 line1.8 2,-12 2,-98; #fffaf0>#e9ddd0 poly 4,-94
    10,-84 24,-60 35,-38 41,-20 4,-20; main+12>main poly 0,-88 -8,-72 -24,-44 -37,-20 0,-20; main poly 2,-98
    16,-95.5 2,-93; main>main-25 poly -46,-16 -38,-2 -28,3 30,3 39,-3 46,-17; #fdf6ea poly -47,-17 47,-18 45,-13
    -44,-12.5"""),
    "lighthouse": Subject("#c8443c", 0.86, "water", "sea", """#6d6a80>#46445c poly -46,1 -36,-5 -24,-9 -14,-15
    12,-14 22,-8 36,-5 46,1; #8d8a9c poly -36,-5 -24,-9 -14,-15 -6,-15 -12,-4 -26,1 -46,1; #fbf6ee poly -11.5,-13
    -7,-79 7,-79 11.5,-13; main poly -10.7,-25 10.7,-25 9.9,-37 -9.9,-37; main poly -9.1,-48 9.1,-48 8.4,-59
    -8.4,-59; main poly -7.7,-69 7.7,-69 7,-79 -7,-79; #2a2148/22 poly 2.5,-79 7,-79 11.5,-13 3,-13; #3d3a58 oval
    0,-64,1.9,2.6 0,-43,2.1,2.9; #5b4038 poly -3.5,-12 -3.5,-19 -2,-22 2,-22 3.5,-19 3.5,-12; #3d3a58 poly
    -10,-81.5 10,-81.5 10,-78.5 -10,-78.5; *#ffe39a poly -5.5,-90.5 5.5,-90.5 5.5,-81 -5.5,-81; main poly -7.5,-90
    -5,-95 0,-98.5 5,-95 7.5,-90; #3d3a58 line1 0,-97 0,-103"""),
    "house": Subject("#b5523f", 0.42, "land", "hills", """#a86a58 poly 20,-90 31,-90 31,-60 20,-60; #fff/45 oval
    27,-98,3,3 31,-107,4.2,4.2 29,-117,5.4,5.4; #fff4e2>#ecd6c0 poly -40,-50 40,-50 40,0 -40,0; #7a5a78/14 poly
    14,-50 40,-50 40,0 14,0; main+8>main-14 poly -50,-46 -30,-82 30,-82 50,-46; #fff poly| 15,-38 33,-38 33,-19
    15,-19; *#fff0b8>#ffcf7a poly| 17,-36 31,-36 31,-21 17,-21; #fff line1.3| 24,-37 24,-20; #fff line1.3| 16,-28.5
    32,-28.5; #7a4a36 poly -8.5,0 -8.5,-27 -5,-33 0,-35 5,-33 8.5,-27 8.5,0"""),
    "tree": Subject("#5f9a4c", 0.6, "land", "hills", """#8a5f45>#6b4635 poly -9,0 -4.5,-10 -3.5,-45 3.5,-45 5,-10
    10,0; main-16 oval 0,-52,19,19 -20,-60,19,19 21,-60,19,19; main>main-10 oval 0,-72,26,26 -12,-83,16,16
    12,-83,16,16 -22,-62,16,16 20,-63,16,15; main+25/60 oval -6,-77,15,15 -16,-86,9,9 -26,-66,9,9 9,-88,9,8
    14,-67,9,8"""),
    "cat": Subject("#e8964a", 0.42, "land", "hills", """main-12 line7 17,-6 34,-5 40,-20 34,-33 38,-43;
    main>main-12 blob 0,-62 -15,-54 -20,-34 -25,-14 -20,0 0,1 20,0 25,-14 20,-34 15,-54; #fff4e4 oval 0,-30,11,21;
    main+6 blob| 1,-32 10,-32 12,-10 11,-1 2,-1; #fff4e4 oval| 7.5,-2.8,7,3.5; main poly| 5,-86 18.5,-100 22.5,-76;
    #f2b3ab poly| 10,-87 17.5,-95.5 19.5,-81; main+8>main blob 0,-93 -16,-89 -24.5,-74 -20,-58 0,-51.5 20,-58
    24.5,-74 16,-89; main-30/80 poly -1,-93 1,-93 0,-81; main-30/80 poly| 4,-92 7,-91.5 4.5,-82; #fff4e4 oval
    0,-60,10,6.5; #2c2438 oval| 10,-72.5,3.4,4.2; #fff oval 11.2,-74,1.2,1.2 -8.8,-74,1.2,1.2; #2c2438 blob 0,-61
    -3.2,-64.5 0,-65.4 3.2,-64.5; #2c2438 line.9| 0,-61 1,-58.6 4,-58.2 5.6,-60"""),
    "bird": Subject("#f4efe9", 0.3, "air", "sea", """main-25 blob -2,-40 -14,-68 -32,-96 -26,-64 -16,-36; main-25
    poly -28,-33 -52,-36 -50,-26 -28,-26; main>main-18 blob 35,-40 26,-47 10,-44 -14,-39 -36,-30 -10,-22 16,-26
    30,-33; main-8>main blob 13,-38 18,-64 43,-99 10,-84 -8,-62 -14,-34; #4a4a62 blob 43,-99 29,-80 25,-86; #f2a33c
    poly 32,-43 46,-38 32,-36; #2c2438 oval 27,-41,1.6,1.6"""),
    "person": Subject("#c8513f", 0.46, "land", "hills", """#3a4160 poly| 1.5,-36 10,-36 9,-2 2,-2; #5b3a30 blob|
    1,-4 10,-4.5 11,0 1,0; main-30 line7| 11,-70 17,-54 16.5,-42; main+8>main-8 blob -5,-78 -13,-72 -14,-52 -18,-29
    0,-27 18,-29 14,-52 13,-72 5,-78; #e8b48f oval 0,-88,9.2,10; #4a3040 blob 0,-100 -9.5,-95 -10.8,-85 -6,-79
    6,-79 10.8,-85 9.5,-95; #f2b84b blob -8.5,-79 0,-80.5 8.5,-79 8,-74.5 0,-73.5 -8,-74.5"""),
    "flower": Subject("#e8607a", 0.52, "land", "hills", """#4c8a3a line3.2 0,0 3,-25 0,-60; #7fbf5a>#4c8a3a blob
    2,-17 12,-32 31,-34 19,-19; #7fbf5a>#4c8a3a blob 0,-28 -12,-42 -30,-44 -18,-30; main-18 oval 18,-72,11,8
    -18,-72,11,8 0,-90,8,11 0,-54,8,11; main oval 12.5,-84.5,9,9 -12.5,-84.5,9,9 12.5,-59.5,9,9 -12.5,-59.5,9,9;
    main+14 oval 0,-72,15,15; #ffd97a>#f0a53c oval 0,-72,8.5,8.5"""),
    "mug": Subject("#d9694a", 0.42, "table", "room", """#fff/40 line3 -12,-74 -8,-84 -15,-95 -9,-108; #fff/40 line3
    8,-74 4,-86 11,-96 5,-110; main-22 line7 32,-52 48,-46 46,-28 29,-20; main+10>main-8 poly -34,-64 34,-64 33,-38
    30,-14 27,-6 22,-1 0,1 -22,-1 -27,-6 -30,-14 -33,-38; #28103c/18 poly 14,-62 34,-64 33,-38 30,-14 27,-6 22,-1
    8,0 15,-20; main+40 oval 0,-64,34,7.5; #4a2c22>#7a4a32 oval 0,-63.5,30,5.8"""),
    "car": Subject("#d9583f", 0.6, "land", "city", """main blob -27,-25 -20,-42 -6,-47.5 10,-46 22,-36 31,-25;
    main+10>main-26 blob -50,-20 -46,-27 -28,-29.5 0,-29.5 30,-28.5 46,-23.5 50,-16 47,-9 20,-8 -20,-8 -48,-9;
    #d8f0f6>#8fbcd2 poly -22.5,-28.5 -17.5,-39 -6,-43 -2,-43 -2,-28.5; #d8f0f6>#8fbcd2 poly 2.5,-43 10,-41.5 18,-35
    23.5,-28.5 2.5,-28.5; main-28 line.8 0,-28 0,-11; *#fff1b8 oval 46.5,-20,2.8,3.5; #b9b4c4 line2.4 -48,-10.5
    48,-10.5; #2b2838 oval -28,-9.5,11,11 28,-9.5,11,11; #d9d6de oval -28,-9.5,5.4,5.4 28,-9.5,5.4,5.4"""),
    "balloon": Subject("#d9583f", 0.56, "air", "mountains", """#6b4c3b line.7| 13,-36 6.5,-14; main+6>main-8 blob
    0,-100 -24,-93 -34.5,-70 -27,-47 -10,-31 10,-31 27,-47 34.5,-70 24,-93; #fdf3df>#e9d6c4 blob| 13,-97 23,-90
    26,-70 20,-48 9,-31 14,-48 17,-70; #fdf3df>#e9d6c4 blob 0,-100 5,-90 6,-70 4,-47 0,-31 -4,-47 -6,-70 -5,-90;
    #30204a/14 blob 8,-99 24,-93 34.5,-70 27,-47 10,-31 4,-31 17,-48 23,-70; #b9814f>#8a5a36 poly -7.5,-15 7.5,-15
    6.5,-2 -6.5,-2; #6f4429 line2.4 -8,-15 8,-15"""),
    "room": Subject("", 1.0, "land", "room", """#e2cfba>#f0e2d0 poly -50,-100 50,-100 50,-28 -50,-28; #fbf5ec poly
    12,-90 40,-90 40,-42 12,-42; main>main+60 poly 13,-88 39,-88 39,-44 13,-44; #fbf5ec poly 25.6,-90 26.4,-90
    26.4,-42 25.6,-42; #fbf5ec poly 12,-67 40,-67 40,-66 12,-66; #b9825a>#7d5238 poly -50,-28 50,-28 50,0 -50,0;
    #fff/14 poly -12,-28 20,-28 8,-4 -34,-4"""),
}  # fmt: skip


def draw(canvas: Canvas, name: str, spot: tuple[float, ...], main: str | Colour, light: Colour) -> None:
    """Paint a subject of a main colour in a light; a spot is x and y of its foot, width and height (-: mirrored)."""
    x, y, width, height = spot
    for paint, rings in _shapes(name):
        placed, tones = [[(x + u * width, y + v * height) for u, v in ring] for ring in rings], []
        body, _, opacity = paint.partition("/")
        for base, *change in (re.split(r"(?=[+-])", tone) for tone in body.lstrip("*").split(">")):
            share = int(change[0]) / 100 if change else 0
            tone = mix(main if base == "main" else base, "#ffffff" if share > 0 else "#2e2858", abs(share))
            tones.append(tone if body[0] == "*" else lit(tone, light))
        canvas.fill(placed, tones[0], tones[-1], int(opacity or 100) / 100)


@cache
def _shapes(name: str) -> list[tuple[str, list[Ring]]]:
    found = []
    for paint, kind, *groups in (shape.split() for shape in SUBJECTS[name].shapes.split(";")):
        numbers = [[float(number) / 100 for number in group.split(",")] for group in groups]
        knots = [(x, y) for x, y, *_ in numbers]
        rings = [curve(knots, closed=True) if kind.startswith("blob") else knots]
        if kind.startswith("oval"):
            rings = [ellipse(*four) for four in numbers]
        elif kind.startswith("line"):
            rings = [_stroke(curve(knots), float(kind[4:].rstrip("|")) / 200)]
        found.append((paint, rings + [[(-x, y) for x, y in ring] for ring in rings if kind.endswith("|")]))
    return found


def _stroke(line: Ring, half: float) -> Ring:
    """The outline of a line of even width."""
    sides: tuple[Ring, Ring] = [], []
    for (x, y), (u, v), (a, b) in zip(line[:1] + line, line[1:] + line[-1:], line, strict=False):
        far = math.hypot(u - x, v - y) / half
        sides[0].append((a + (y - v) / far, b + (u - x) / far))
        sides[1].append((a - (y - v) / far, b - (u - x) / far))
    return sides[0] + sides[1][::-1]
