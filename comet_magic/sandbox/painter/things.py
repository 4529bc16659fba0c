"""Plants, things and people. Origin: middle of the base, one unit high."""

from __future__ import annotations

import math

from .canvas import Brush, Fade, mix
from .shapes import Outline, arc, blob, box, curve, ellipse, mirrored, polygon, stroke

_INK = "#2c2438"


def mug(brush: Brush, colour: str) -> None:
    """A steaming mug."""
    dark = mix(colour, "#2a1038", 0.25)
    for x, lean in ((-0.12, 1), (0.03, -1), (0.16, 1)):
        steam = curve(
            [(x, -0.74), (x + 0.045 * lean, -0.84), (x - 0.035 * lean, -0.95), (x + 0.03 * lean, -1.08)],
            steps=8,
        )
        brush.fill(stroke(steam, 0.045, 0.008), "#ffffff", 0.5)
    brush.fill(ellipse(0.34, -0.36, 0.17, 0.19), dark, cut=ellipse(0.33, -0.36, 0.1, 0.12))
    body = [
        [
            (-0.34, -0.64),
            *curve("-0.33,-0.3 -0.29,-0.08 -0.2,0"),
            *curve("0.2,0 0.29,-0.08 0.33,-0.3"),
            (0.34, -0.64),
        ]
    ]
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.1), colour))
    brush.fill(body, dark, 0.55, within=blob("0.14,-0.8 0.18,-0.3 0.05,0.1 0.5,0.1 0.5,-0.8"))
    brush.fill(box(-0.4, -0.33, 0.8, 0.05), "#fff6e8", 0.85, within=body)
    brush.fill(box(-0.27, -0.54, 0.04, 0.36, 0.02), "#ffffff", 0.35)
    brush.fill(ellipse(0, -0.64, 0.34, 0.075), mix(colour, "#ffffff", 0.4))
    brush.fill(ellipse(0, -0.635, 0.3, 0.058), Fade("#4a2c22", "#7a4a32"))
    brush.fill(ellipse(-0.08, -0.64, 0.11, 0.018), "#c98f5f", 0.7)


def vase(brush: Brush, colour: str) -> None:
    """Flowers in a vase."""
    for x, y, k, paint in (
        (-0.2, -0.72, 0.32, "#f0718a"),
        (0.2, -0.76, 0.32, "#f7b14a"),
        (0.0, -0.9, 0.36, "#fff3e0"),
        (-0.06, -0.62, 0.26, "#c98fe0"),
    ):
        brush.fill(stroke(curve([(0, -0.34), (x * 0.6, -0.5), (x, y)]), 0.018), "#4c8a3a")
        brush.fill(
            [
                r
                for i in range(7)
                for r in ellipse(x + math.cos(i * 0.9) * 0.2 * k, y + math.sin(i * 0.9) * 0.2 * k, 0.15 * k)
            ],
            paint,
        )
        brush.fill(ellipse(x, y, 0.12 * k), "#e8a03c")
    brush.fill(mirrored(blob("0.02,-0.4 0.14,-0.52 0.28,-0.5 0.14,-0.42")), "#5f9a4c")
    body = [
        [*curve("-0.1,-0.42 -0.08,-0.34 -0.2,-0.18 -0.15,0"), *curve("0.15,0 0.2,-0.18 0.08,-0.34 0.1,-0.42")]
    ]
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.2), colour))
    brush.fill(body, "#28103c", 0.18, within=box(0.05, -0.5, 0.3, 0.6))


def apple(brush: Brush, colour: str) -> None:
    """An apple with a leaf."""
    brush.fill(stroke(curve("0,-0.78 0.02,-0.9 0.07,-0.98"), 0.035, 0.045), "#6b4635")
    brush.fill(
        [curve("0.03,-0.86 0.16,-1 0.34,-0.96") + curve("0.34,-0.96 0.24,-0.82 0.03,-0.86")],
        Fade("#8cc860", "#4c8a3a"),
    )
    body = blob(
        "0,-0.76 -0.2,-0.83 -0.41,-0.66 -0.4,-0.34 -0.22,-0.03 0,-0.05 0.22,-0.03 0.4,-0.34 "
        "0.41,-0.66 0.2,-0.83"
    )
    brush.fill(body, Fade(mix(colour, "#ffd0a0", 0.15), mix(colour, "#3c0c2c", 0.15)))
    brush.fill(body, "#2c0c30", 0.2, cut=ellipse(-0.1, -0.5, 0.44, 0.46))
    brush.fill(ellipse(-0.22, -0.6, 0.06, 0.12, 20), "#ffffff", 0.4)


def book(brush: Brush, colour: str) -> None:
    """An open book."""
    brush.fill(mirrored([[(0, 0.0), (0.56, -0.08), (0.56, -0.5), (0, -0.42)]]), mix(colour, "#201030", 0.15))
    page = [
        [
            (0, -0.03),
            *curve("0,-0.03 0.26,-0.14 0.52,-0.12"),
            (0.52, -0.56),
            *curve("0.52,-0.56 0.26,-0.58 0,-0.46"),
        ]
    ]
    brush.fill(mirrored(page), Fade("#fffaf0", "#eadfce"))
    brush.fill(
        [
            [
                (0, -0.03),
                *curve("0,-0.03 0.1,-0.09 0.16,-0.11"),
                (0.16, -0.54),
                *curve("0.16,-0.54 0.08,-0.51 0,-0.46"),
            ]
        ],
        "#a98f9a",
        0.35,
    )
    lines: Outline = [
        s
        for k in range(5)
        for s in stroke(
            curve([(0.09, -0.46 + k * 0.07), (0.26, -0.525 + k * 0.075), (0.46, -0.51 + k * 0.075)]), 0.012
        )
    ]
    brush.fill(mirrored(lines), "#b9a9a6", 0.8)


def umbrella(brush: Brush, colour: str) -> None:
    """An open umbrella."""
    brush.fill(stroke("0,-0.9 0,-0.12", 0.022) + stroke(arc(-0.06, -0.1, 0.06, 0, 180), 0.03), "#5b4038")
    dome = [[*arc(0, -0.46, 0.5, 180, 360, squash=0.9)]]
    scallops = [r for k in range(4) for r in ellipse(-0.375 + k * 0.25, -0.46, 0.125, 0.06)]
    brush.fill(dome, Fade(mix(colour, "#ffffff", 0.12), colour), cut=scallops)
    inner = [[*arc(0, -0.46, 0.25, 180, 360, squash=1.8)]]
    brush.fill(inner, mix(colour, "#ffffff", 0.28), cut=scallops, within=dome)
    brush.fill(stroke("0,-0.9 0,-0.97", 0.02), "#5b4038")


def lantern(brush: Brush, colour: str) -> None:
    """A paper lantern that glows."""
    brush.glow(0, -0.5, 0.75, "#ffb45e", 0.5)
    brush.fill(stroke("0,-1 0,-0.86", 0.014) + stroke("0,-0.14 0,0", 0.014), "#e8b64a")
    body = ellipse(0, -0.5, 0.38, 0.34)
    brush.fill(body, Fade(mix(colour, "#ffb060", 0.3), colour), lamp=True)
    for half in (0.26, 0.13):
        brush.fill(ellipse(0, -0.5, half, 0.34), "#ffe3a0", 0.26, lamp=True)
    brush.fill(box(-0.15, -0.88, 0.3, 0.06, 0.015) + box(-0.15, -0.18, 0.3, 0.06, 0.015), "#e8b64a")
    brush.fill([r for x in (-0.06, 0, 0.06) for r in stroke([(x, -0.12), (x, 0.06)], 0.012)], "#e8b64a")


def kite(brush: Brush, colour: str) -> None:
    """A diamond kite and its tail."""
    tail = curve("0,-0.36 -0.1,-0.22 0.05,-0.1 -0.06,0.04", steps=8)
    brush.fill(stroke(tail, 0.012), "#6b5a78")
    for x, y in tail[5::7]:
        brush.fill(
            polygon([(x, y), (x - 0.07, y - 0.035), (x - 0.07, y + 0.035)])
            + polygon([(x, y), (x + 0.07, y - 0.035), (x + 0.07, y + 0.035)]),
            colour,
        )
    quarters = (
        ("0,-1 -0.3,-0.72 0,-0.72", colour),
        ("0,-1 0.3,-0.72 0,-0.72", mix(colour, "#ffffff", 0.35)),
        ("0,-0.36 -0.3,-0.72 0,-0.72", mix(colour, "#fff0a0", 0.6)),
        ("0,-0.36 0.3,-0.72 0,-0.72", mix(colour, "#30104c", 0.25)),
    )
    for corners, paint in quarters:
        brush.fill(polygon(corners), paint)


def star(brush: Brush, colour: str) -> None:
    """A five-pointed star."""
    points = [
        (
            math.cos(math.pi * i / 5 - math.pi / 2) * (0.5 if i % 2 == 0 else 0.22),
            -0.48 + math.sin(math.pi * i / 5 - math.pi / 2) * (0.5 if i % 2 == 0 else 0.22),
        )
        for i in range(10)
    ]
    brush.fill([points], Fade(mix(colour, "#ffffff", 0.3), colour))
    for i in range(0, 10, 2):
        brush.fill(polygon([(0, -0.48), points[i], points[(i + 1) % 10]]), mix(colour, "#8a3a10", 0.3), 0.5)


def heart(brush: Brush, colour: str) -> None:
    """A heart."""
    half = curve("0,-0.68 0.12,-0.84 0.3,-0.86 0.44,-0.72 0.42,-0.48 0.24,-0.22 0,0")
    body = [half + [(-x, y) for x, y in reversed(half)]]
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.18), mix(colour, "#40082c", 0.15)))
    brush.fill(ellipse(-0.24, -0.66, 0.1, 0.06, -35), "#ffffff", 0.4)
