"""Subjects that stand, from lighthouse to snowman. Origin: middle of the base, one unit high."""

from __future__ import annotations

import math

from .canvas import Brush, Fade, mix
from .shapes import Outline, Point, arc, blob, box, curve, ellipse, mirrored, polygon, stroke

_LAMP = "#ffe39a"


def lighthouse(brush: Brush, colour: str) -> None:
    """A striped tower on a rock."""
    rock = [
        (-0.46, 0.06),
        (-0.36, -0.05),
        (-0.24, -0.09),
        (-0.14, -0.15),
        (0.12, -0.14),
        (0.22, -0.08),
        (0.36, -0.05),
        (0.46, 0.06),
    ]
    brush.fill([rock], Fade("#6d6a80", "#46445c"))
    brush.fill(
        polygon("-0.36,-0.05 -0.24,-0.09 -0.14,-0.15 -0.06,-0.15 -0.12,-0.04 -0.26,0.06 -0.44,0.06"),
        "#8d8a9c",
    )
    brush.fill(box(0.1, -0.25, 0.15, 0.13), Fade("#f7f0e6", "#ddd0cc"))
    brush.fill(polygon("0.08,-0.24 0.175,-0.32 0.27,-0.24"), mix(colour, "#301028", 0.2))
    brush.fill(box(0.155, -0.2, 0.035, 0.045, 0.008), _LAMP, lamp=True)
    tower = polygon("-0.115,-0.13 -0.07,-0.79 0.07,-0.79 0.115,-0.13")
    brush.fill(tower, "#fbf6ee")
    for low, high in ((0.25, 0.37), (0.48, 0.59), (0.69, 0.79)):
        brush.fill(box(-0.2, -high, 0.4, high - low), colour, within=tower)
    brush.fill(tower, "#2a2148", 0.22, within=polygon("0.025,-0.8 0.03,-0.1 0.2,-0.1 0.2,-0.8"))
    brush.fill(box(-0.022, -0.64, 0.044, 0.06, 0.02) + box(-0.022, -0.43, 0.044, 0.06, 0.02), "#3d3a58")
    brush.fill(box(-0.035, -0.22, 0.07, 0.1, 0.035), "#5b4038")
    brush.fill(box(-0.1, -0.815, 0.2, 0.03, 0.008), "#3d3a58")
    brush.fill(box(-0.055, -0.905, 0.11, 0.1), _LAMP, lamp=True)
    brush.fill(
        box(-0.06, -0.91, 0.013, 0.1) + box(0.047, -0.91, 0.013, 0.1) + box(-0.006, -0.91, 0.012, 0.1),
        "#3d3a58",
    )
    brush.fill([arc(0, -0.905, 0.075, 180, 360)], colour)
    brush.fill(ellipse(0, -0.985, 0.014) + box(-0.004, -1.02, 0.008, 0.04), "#3d3a58")


def house(brush: Brush, colour: str) -> None:
    """A cottage with a chimney and lit windows."""
    brush.fill(box(0.2, -0.9, 0.11, 0.3), "#a86a58")
    brush.fill(box(0.185, -0.925, 0.14, 0.045, 0.01), "#8a5348")
    for x, y, r in ((0.27, -0.985, 0.03), (0.31, -1.06, 0.042), (0.29, -1.16, 0.052)):
        brush.fill(ellipse(x, y, r), "#ffffff", 0.55)
    brush.fill(box(-0.4, -0.5, 0.8, 0.5), Fade("#fff4e2", "#ecd6c0"))
    brush.fill(box(0.14, -0.5, 0.26, 0.5), "#7a5a78", 0.14)
    roof = polygon("-0.5,-0.46 -0.3,-0.82 0.3,-0.82 0.5,-0.46")
    brush.fill(roof, Fade(mix(colour, "#ffffff", 0.1), mix(colour, "#301028", 0.15)))
    for row in range(3):
        y, shift = -0.58 - row * 0.09, (row % 2) * 0.04 - 0.48
        tiles = [part for k in range(13) for part in stroke(arc(k * 0.08 + shift, y, 0.04, 20, 160), 0.009)]
        brush.fill(tiles, mix(colour, "#301028", 0.3), 0.6, within=roof)
    for x in (-0.31, 0.17):
        brush.fill(box(x - 0.018, -0.378, 0.176, 0.186, 0.012), "#ffffff")
        brush.fill(box(x, -0.36, 0.14, 0.15), Fade("#fff0b8", "#ffcf7a"), lamp=True)
        brush.fill(box(x + 0.063, -0.36, 0.014, 0.15) + box(x, -0.292, 0.14, 0.014), "#ffffff")
        brush.fill(box(x - 0.02, -0.2, 0.18, 0.04, 0.012), "#8a5a3c")
        brush.fill([r for k in range(5) for r in ellipse(x + 0.01 + k * 0.03, -0.212, 0.018)], "#5f9a4c")
        brush.fill([r for k in range(3) for r in ellipse(x + 0.025 + k * 0.045, -0.226, 0.012)], "#f0718a")
    brush.fill([[*arc(0, -0.27, 0.085, 180, 360), (0.085, 0), (-0.085, 0)]], "#7a4a36")
    brush.fill(ellipse(0.05, -0.15, 0.012), "#f2c46a")
    brush.fill(box(-0.12, -0.02, 0.24, 0.025, 0.008), "#b9a89a")


def castle(brush: Brush, colour: str) -> None:
    """Towers with pointed roofs and flags."""
    stone, shade = "#d9cfd6", "#b3a6b8"
    for x, half, top in (
        (-0.36, 0.085, 0.62),
        (0.36, 0.085, 0.62),
        (-0.16, 0.075, 0.74),
        (0.18, 0.075, 0.7),
        (0.0, 0.085, 0.84),
    ):
        _tower(brush, x, half, top, colour)
    wall = box(-0.42, -0.36, 0.84, 0.36)
    teeth: Outline = [r for k in range(11) for r in box(-0.42 + k * 0.08, -0.405, 0.045, 0.06)]
    brush.fill(wall + teeth, Fade(stone, mix(stone, shade, 0.6)))
    for x in (-0.44, 0.28):
        brush.fill(
            box(x, -0.45, 0.16, 0.45)
            + [r for k in range(3) for r in box(x - 0.012 + k * 0.068, -0.5, 0.048, 0.08)],
            Fade(mix(stone, "#ffffff", 0.3), stone),
        )
        brush.fill(box(x + 0.11, -0.45, 0.05, 0.45), shade, 0.6)
        brush.fill(box(x + 0.055, -0.34, 0.045, 0.1, 0.022), "#4d4060")
    brush.fill([[*arc(0, -0.17, 0.115, 180, 360), (0.115, 0), (-0.115, 0)]], shade)
    brush.fill([[*arc(0, -0.16, 0.09, 180, 360), (0.09, 0), (-0.09, 0)]], "#5b3d3a")
    brush.fill(
        stroke("-0.045,-0.23 -0.045,0", 0.008)
        + stroke("0.045,-0.23 0.045,0", 0.008)
        + stroke("0,-0.25 0,0", 0.008),
        "#3f2a2c",
    )
    for x in (-0.2, 0.2):
        brush.fill(box(x - 0.02, -0.26, 0.04, 0.085, 0.02), _LAMP, lamp=True)


def _tower(brush: Brush, x: float, half: float, top: float, colour: str) -> None:
    brush.fill(box(x - half, -top, half * 2, top), "#e6dde2")
    brush.fill(box(x + half * 0.3, -top, half * 0.7, top), "#a99bb2", 0.6)
    roof = polygon([(x - half * 1.3, -top), (x, -top - half * 2.1), (x + half * 1.3, -top)])
    brush.fill(roof, mix(colour, "#ffffff", 0.08))
    brush.fill(
        polygon([(x + half * 0.25, -top), (x, -top - half * 2.1), (x + half * 1.3, -top)]),
        mix(colour, "#28103c", 0.28),
    )
    brush.fill(box(x - half * 0.22, -top + half * 0.6, half * 0.44, half * 1.0, half * 0.22), "#4d4060")
    tip = -top - half * 2.1
    brush.fill(stroke([(x, tip), (x, tip - half * 0.8)], 0.008), "#4d4060")
    brush.fill(
        polygon([(x, tip - half * 0.8), (x + half * 0.85, tip - half * 0.58), (x, tip - half * 0.34)]),
        "#f2b84b",
    )


def windmill(brush: Brush, colour: str) -> None:
    """A windmill with four sails."""
    tower = polygon("-0.2,0 -0.115,-0.62 0.115,-0.62 0.2,0")
    brush.fill(tower, Fade("#fff6ea", "#e3d2c6"))
    brush.fill(tower, "#4a3560", 0.16, within=box(0.03, -0.7, 0.3, 0.7))
    brush.fill([[(-0.14, -0.61), *arc(0, -0.62, 0.13, 180, 360), (0.14, -0.61)]], colour)
    brush.fill([[*arc(0, -0.13, 0.055, 180, 360), (0.055, 0), (-0.055, 0)]], "#7a4a36")
    brush.fill(box(-0.03, -0.42, 0.06, 0.08, 0.02), _LAMP, lamp=True)
    for angle in (28, 118, 208, 298):
        _sail(brush, math.radians(angle))
    brush.fill(ellipse(0, -0.64, 0.03), "#6f4429")


def _sail(brush: Brush, angle: float) -> None:
    def at(along: float, across: float) -> Point:
        u, v = math.cos(angle), math.sin(angle)
        return u * along - v * across, -0.64 + v * along + u * across

    brush.fill(polygon([at(0.1, 0.0), at(0.46, 0.0), at(0.46, 0.1), at(0.1, 0.08)]), "#fdf3e2", 0.95)
    rungs = [
        part for k in range(5) for part in stroke([at(0.1 + k * 0.09, 0.0), at(0.1 + k * 0.09, 0.095)], 0.007)
    ]
    brush.fill(rungs + stroke([at(0, 0), at(0.47, 0)], 0.016), "#8a5a3c")


def pagoda(brush: Brush, colour: str) -> None:
    """A temple tower with five curved roofs."""
    brush.fill(box(-0.34, -0.05, 0.68, 0.06, 0.01), "#b9aea8")
    level, half = 0.05, 0.235
    for storey in range(4):
        tall = 0.135 - storey * 0.008
        brush.fill(box(-half * 0.8, -level - tall, half * 1.6, tall), Fade("#f7e6cf", "#e2c2a2"))
        for k in (-1, 0, 1):
            brush.fill(
                box(k * half * 0.46 - half * 0.13, -level - tall * 0.72, half * 0.26, tall * 0.72, 0.01),
                _LAMP if k else "#8a3b34",
                lamp=k != 0,
            )
        posts = [r for u in (-0.8, -0.26, 0.2, 0.74) for r in box(u * half, -level - tall, half * 0.06, tall)]
        brush.fill(posts, colour)
        top = -level - tall
        wide = half * 1.5
        eave = curve(
            [
                (-wide, top - 0.018),
                (-wide * 0.7, top + 0.014),
                (0, top + 0.02),
                (wide * 0.7, top + 0.014),
                (wide, top - 0.018),
            ]
        )
        crest = curve([(half * 0.62, top - 0.085), (0, top - 0.09), (-half * 0.62, top - 0.085)])
        brush.fill([eave + crest], Fade(mix("#3f5d6b", "#ffffff", 0.12), "#2c4552"))
        brush.fill(stroke(eave, 0.012), colour)
        level, half = level + tall + 0.075, half * 0.84
    brush.fill(polygon([(-0.05, -level), (0, -level - 0.07), (0.05, -level)]), "#2c4552")
    brush.fill(stroke([(0, -level - 0.04), (0, -0.99)], 0.012) + ellipse(0, -level - 0.09, 0.018), "#e8b64a")


def bridge(brush: Brush, colour: str) -> None:
    """A red arched bridge."""

    def deck(lift: float) -> list[tuple[float, float]]:
        return curve(
            [
                (-0.62, -0.02 - lift),
                (-0.3, -0.2 - lift),
                (0, -0.26 - lift),
                (0.3, -0.2 - lift),
                (0.62, -0.02 - lift),
            ]
        )

    dark = mix(colour, "#2a1030", 0.3)
    for x, y in deck(0.0)[4:-3:6]:
        brush.fill(stroke([(x, y), (x, y - 0.13)], 0.018), dark)
    brush.fill(stroke(deck(0.12), 0.026) + stroke(deck(0.06), 0.012), colour)
    brush.fill(
        [
            [
                *deck(0.02),
                (0.62, 0.06),
                *curve("0.46,0.06 0.24,-0.1 0,-0.15 -0.24,-0.1 -0.46,0.06"),
                (-0.62, 0.06),
            ]
        ],
        Fade(colour, dark),
    )


def tent(brush: Brush, colour: str) -> None:
    """A tent and a camp fire."""
    dark = mix(colour, "#2a1030", 0.35)
    brush.fill(polygon("-0.1,-0.62 0.36,0 -0.56,0"), Fade(mix(colour, "#ffffff", 0.12), colour))
    brush.fill(polygon("-0.1,-0.62 0.36,0 0.12,0"), dark)
    brush.fill(polygon("-0.1,-0.5 0.04,0 -0.28,0"), Fade("#ffe6a3", "#f2a65a"), lamp=True)
    brush.fill(polygon("-0.1,-0.5 -0.19,-0.18 -0.28,0"), mix(colour, "#ffffff", 0.25))
    brush.fill(stroke("0.4,-0.015 0.62,-0.05", 0.035) + stroke("0.4,-0.05 0.62,-0.015", 0.035), "#5b4038")
    brush.glow(0.51, -0.12, 0.42, "#ffb45e", 0.5)
    for half, tall, paint in ((0.075, 0.26, "#f2733c"), (0.05, 0.18, "#fcb045"), (0.025, 0.1, "#fff0b8")):
        brush.fill(
            blob(
                [
                    (0.51, -0.04 - tall),
                    (0.51 - half * 0.8, -0.1),
                    (0.51 - half * 0.6, -0.04),
                    (0.51 + half * 0.6, -0.04),
                    (0.51 + half * 0.8, -0.12),
                ]
            ),
            paint,
            lamp=True,
        )


def snowman(brush: Brush, colour: str) -> None:
    """A snowman with hat and scarf."""
    for y, r in ((-0.2, 0.235), (-0.52, 0.175), (-0.765, 0.13)):
        brush.fill(ellipse(0, y, r), Fade("#ffffff", "#d6e0f0"))
        brush.fill(ellipse(0, y, r), "#7f93c0", 0.25, cut=ellipse(-r * 0.25, -r * 0.18 + y, r))
    arms = stroke("0.15,-0.55 0.36,-0.7", 0.02) + stroke("0.28,-0.645 0.3,-0.72", 0.014)
    brush.fill(mirrored(arms), "#6b4a38")
    brush.fill(box(-0.15, -0.685, 0.3, 0.06, 0.03) + box(0.05, -0.67, 0.065, 0.22, 0.025), colour)
    brush.fill(
        mirrored(ellipse(0.045, -0.8, 0.016))
        + [r for k in range(3) for r in ellipse(0, -0.59 + k * 0.09, 0.016)],
        "#2c2438",
    )
    brush.fill(polygon("0,-0.785 0,-0.745 0.14,-0.755"), "#f08a3c")
    brush.fill(box(-0.14, -0.895, 0.28, 0.032, 0.014) + box(-0.09, -1.03, 0.18, 0.15, 0.012), "#3a3450")
    brush.fill(box(-0.09, -0.935, 0.18, 0.04), colour)
