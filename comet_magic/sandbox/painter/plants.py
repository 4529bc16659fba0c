"""Plants. Origin: middle of the base, one unit high."""

from __future__ import annotations

import math

from .canvas import Brush, Fade, mix
from .shapes import blob, box, curve, ellipse, mirrored, polygon, stroke


def tree(brush: Brush, colour: str) -> None:
    """A broad-leaved tree."""
    trunk = [
        [*curve("-0.1,0 -0.045,-0.1 -0.035,-0.45"), (0.035, -0.45), *curve("0.035,-0.45 0.05,-0.1 0.11,0")]
    ]
    brush.fill(trunk, Fade("#8a5f45", "#6b4635"))
    brush.fill(
        stroke("0,-0.34 0.15,-0.52", 0.035, 0.02) + stroke("0,-0.3 -0.14,-0.46", 0.03, 0.02), "#7a533d"
    )
    puffs = (
        (0, -0.72, 0.26),
        (-0.2, -0.6, 0.19),
        (0.21, -0.6, 0.19),
        (-0.1, -0.83, 0.16),
        (0.12, -0.83, 0.16),
        (0.0, -0.52, 0.19),
    )
    crown = [ring for x, y, r in puffs for ring in ellipse(x, y, r)]
    brush.fill(crown, Fade(mix(colour, "#fff4c0", 0.14), mix(colour, "#12304a", 0.18)))
    light = [ring for x, y, r in puffs[:5] for ring in ellipse(x - r * 0.24, y - r * 0.26, r * 0.58)]
    brush.fill(light, mix(colour, "#fff4b0", 0.32), 0.55, within=crown)


def pine(brush: Brush, colour: str) -> None:
    """A fir of four tiers."""
    brush.fill(box(-0.045, -0.14, 0.09, 0.15), "#6b4635")
    for low, top, half in ((0.1, 0.46, 0.3), (0.28, 0.64, 0.245), (0.46, 0.82, 0.19), (0.64, 1.0, 0.13)):
        tier = [
            [
                (0, -top),
                *curve(
                    [
                        (half, -low),
                        (half * 0.4, -low + 0.025),
                        (0, -low + 0.01),
                        (-half * 0.4, -low + 0.025),
                        (-half, -low),
                    ]
                ),
            ]
        ]
        brush.fill(tier, Fade(mix(colour, "#fff4c0", 0.12), mix(colour, "#0c2440", 0.2)))
        brush.fill(
            tier,
            mix(colour, "#0c2440", 0.4),
            0.5,
            within=polygon([(0, -top), (half * 1.2, -low + 0.05), (half * 0.1, -low + 0.05)]),
        )


def palm(brush: Brush, colour: str) -> None:
    """A leaning palm."""
    trunk = curve("-0.12,0 -0.08,-0.3 0.02,-0.56 0.14,-0.76", steps=8)
    brush.fill(stroke(trunk, 0.085, 0.05), "#9a6f4a")
    for x, y in trunk[2::3]:
        brush.fill(stroke([(x - 0.03, y), (x + 0.03, y + 0.008)], 0.01), "#7a533a", 0.8)
    for angle, long in (
        (-165, 0.4),
        (-130, 0.34),
        (-95, 0.28),
        (-50, 0.34),
        (-15, 0.42),
        (20, 0.34),
        (160, 0.32),
    ):
        _frond(brush, angle, long, mix(colour, "#0c3040", 0.25) if angle in {-130, -50, 160} else colour)
    brush.fill(ellipse(0.12, -0.73, 0.035) + ellipse(0.17, -0.715, 0.035), "#7a4a2c")


def _frond(brush: Brush, angle: float, long: float, colour: str | tuple[int, int, int]) -> None:
    u, v = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    root, tip = (0.14, -0.76), (0.14 + u * long, -0.76 + v * long * 0.6 + long * 0.34)
    middle = (0.14 + u * long * 0.55, -0.76 + v * long * 0.6 - 0.03)
    upper = curve([root, (middle[0], middle[1] - 0.03), tip])
    lower = curve([tip, (middle[0] - u * 0.02, middle[1] + 0.06), root])
    brush.fill([upper + lower], colour)


def cactus(brush: Brush, colour: str) -> None:
    """A saguaro."""
    dark = mix(colour, "#0c2430", 0.3)
    body = stroke("0,0 0,-0.84", 0.22)
    arms = stroke(curve("0.02,-0.34 0.2,-0.34 0.27,-0.42 0.27,-0.64"), 0.13) + stroke(
        curve("0,-0.46 -0.18,-0.46 -0.25,-0.54 -0.25,-0.76"), 0.13
    )
    brush.fill(arms, dark)
    brush.fill(body, colour, within=box(-0.5, -1, 1, 1))
    brush.fill([r for x in (-0.05, 0.0, 0.05) for r in stroke([(x, -0.03), (x, -0.86)], 0.012)], dark, 0.7)
    brush.fill(ellipse(0.02, -0.965, 0.04) + ellipse(-0.03, -0.95, 0.035), "#f0718a")


def flower(brush: Brush, colour: str) -> None:
    """One big flower with two leaves."""
    brush.fill(stroke(curve("0,0 0.03,-0.25 0,-0.6"), 0.032), "#4c8a3a")
    for side, y in ((1, -0.18), (-1, -0.3)):
        leaf = [
            curve([(0.02, y), (side * 0.12, y - 0.14), (side * 0.3, y - 0.15)])
            + curve([(side * 0.3, y - 0.15), (side * 0.18, y - 0.01), (0.02, y)])
        ]
        brush.fill(leaf, Fade("#7fbf5a", "#4c8a3a"))
    for turn, reach, paint in ((0.0, 0.19, mix(colour, "#50103c", 0.22)), (math.pi / 8, 0.165, colour)):
        for k in range(8):
            angle = math.tau * k / 8 + turn
            x, y = math.cos(angle) * reach, -0.72 + math.sin(angle) * reach
            brush.fill(ellipse(x, y, 0.115, 0.062, math.degrees(angle)), paint)
    brush.fill(ellipse(0, -0.72, 0.09), Fade("#ffd97a", "#f0a53c"))
    brush.fill(
        [
            r
            for k in range(7)
            for r in ellipse(math.cos(k * 2.4) * 0.05, -0.72 + math.sin(k * 2.4) * 0.05, 0.011)
        ],
        "#b9692c",
        0.8,
    )


def tulip(brush: Brush, colour: str) -> None:
    """A tulip."""
    brush.fill(stroke("0,0 0,-0.6", 0.034), "#4c8a3a")
    leaf = [curve("0,-0.02 0.16,-0.2 0.22,-0.5") + curve("0.22,-0.5 0.06,-0.3 0,-0.02")]
    brush.fill(mirrored(leaf), Fade("#7fbf5a", "#4c8a3a"))
    brush.fill(mirrored(blob("0.02,-0.56 0.17,-0.66 0.19,-0.98 0.08,-0.86")), colour)
    brush.fill(
        blob("0,-0.94 -0.12,-0.76 -0.09,-0.6 0,-0.55 0.09,-0.6 0.12,-0.76"), mix(colour, "#ffffff", 0.22)
    )


def mushroom(brush: Brush, colour: str) -> None:
    """A toadstool."""
    stem = blob("-0.1,-0.48 -0.13,-0.2 -0.17,-0.02 0,0.015 0.17,-0.02 0.13,-0.2 0.1,-0.48")
    brush.fill(stem, Fade("#fff7ea", "#dccbb8"))
    brush.fill(blob("-0.36,-0.42 0,-0.5 0.36,-0.42 0,-0.36"), "#e8d6c0")
    cap = [
        curve("-0.46,-0.42 -0.4,-0.68 -0.18,-0.88 0,-0.92 0.18,-0.88 0.4,-0.68 0.46,-0.42")
        + curve("0.46,-0.42 0.2,-0.47 -0.2,-0.47 -0.46,-0.42")
    ]
    brush.fill(cap, Fade(mix(colour, "#ffffff", 0.1), mix(colour, "#3c0c24", 0.12)))
    spots = (
        ellipse(-0.2, -0.68, 0.075, 0.065)
        + ellipse(0.06, -0.76, 0.085, 0.07)
        + ellipse(0.27, -0.58, 0.06, 0.055)
        + ellipse(-0.33, -0.52, 0.045)
        + ellipse(0.04, -0.55, 0.055, 0.04)
    )
    brush.fill(spots, "#fff7ea", within=cap)
