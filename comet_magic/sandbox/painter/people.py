"""People, and a robot. Origin: middle of the base, one unit high."""

from __future__ import annotations

from .canvas import Brush, Fade, mix
from .shapes import arc, blob, box, curve, ellipse, mirrored, stroke

_INK = "#2c2438"


def robot(brush: Brush, colour: str) -> None:
    """A friendly robot."""
    metal, dark = "#c9d3de", "#6f7c92"
    brush.fill(stroke("0,-0.9 0,-0.97", 0.02), dark)
    brush.fill(ellipse(0, -0.985, 0.035), "#f2733c")
    brush.fill(mirrored(box(0.04, -0.17, 0.1, 0.15, 0.02) + box(0.025, -0.055, 0.15, 0.06, 0.025)), dark)
    brush.fill(mirrored(stroke(curve("0.2,-0.46 0.32,-0.4 0.33,-0.26"), 0.07)), dark)
    brush.fill(mirrored(ellipse(0.33, -0.22, 0.055)), metal)
    body = box(-0.215, -0.52, 0.43, 0.37, 0.08)
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.15), mix(colour, "#201040", 0.12)))
    brush.fill(body, "#201040", 0.14, within=box(0.08, -0.6, 0.3, 0.6))
    brush.fill(box(-0.12, -0.43, 0.24, 0.16, 0.03), "#2f3550")
    brush.fill(
        stroke("-0.09,-0.35 -0.05,-0.35 -0.025,-0.4 0.01,-0.3 0.035,-0.35 0.09,-0.35", 0.014),
        "#6ff0c4",
        lamp=True,
    )
    brush.fill(ellipse(-0.07, -0.21, 0.022) + ellipse(0.07, -0.21, 0.022), "#ffd97a")
    brush.fill(box(-0.06, -0.56, 0.12, 0.06), dark)
    brush.fill(mirrored(box(0.225, -0.78, 0.06, 0.13, 0.025)), dark)
    head = box(-0.25, -0.9, 0.5, 0.36, 0.1)
    brush.fill(head, Fade("#eef3f7", metal))
    brush.fill(box(-0.195, -0.845, 0.39, 0.245, 0.085), "#2f3550")
    brush.fill(mirrored(ellipse(0.09, -0.735, 0.047, 0.055)), "#7ff0f0", lamp=True)
    brush.fill(ellipse(0.105, -0.755, 0.015) + ellipse(-0.075, -0.755, 0.015), "#ffffff")
    brush.fill(stroke(arc(0, -0.675, 0.045, 25, 155), 0.014), "#7ff0f0", lamp=True)


def person(brush: Brush, colour: str) -> None:
    """A person in a coat, seen from behind, looking at the scene."""
    dark = mix(colour, "#1c1034", 0.3)
    brush.fill(mirrored(box(0.015, -0.36, 0.085, 0.34, 0.03)), "#3a4160")
    brush.fill(mirrored(box(0.01, -0.045, 0.105, 0.05, 0.022)), "#5b3a30")
    brush.fill(mirrored(stroke(curve("0.12,-0.7 0.175,-0.54 0.165,-0.4"), 0.075, 0.06)), dark)
    brush.fill(mirrored(ellipse(0.165, -0.375, 0.03)), "#e8b48f")
    coat = [
        [
            *curve("-0.06,-0.78 -0.14,-0.72 -0.145,-0.52 -0.175,-0.28"),
            (0.175, -0.28),
            *curve("0.175,-0.28 0.145,-0.52 0.14,-0.72 0.06,-0.78"),
        ]
    ]
    brush.fill(coat, Fade(mix(colour, "#ffffff", 0.1), colour))
    brush.fill(stroke("0,-0.44 0,-0.29", 0.008), dark)
    brush.fill(box(-0.035, -0.82, 0.07, 0.08), "#d9a07c")
    brush.fill(ellipse(0, -0.885, 0.092, 0.1), "#e8b48f")
    brush.fill(
        blob("0,-1 -0.095,-0.95 -0.108,-0.85 -0.06,-0.8 0,-0.79 0.06,-0.8 0.108,-0.85 0.095,-0.95"), "#4a3040"
    )
    brush.fill(box(-0.085, -0.795, 0.17, 0.055, 0.027), "#f2b84b")


def astronaut(brush: Brush, colour: str) -> None:
    """An astronaut waving."""
    suit, shade = "#f6f4f2", "#bdb8cc"
    brush.fill(box(-0.2, -0.72, 0.4, 0.4, 0.06), "#8f8aa8")
    brush.fill(mirrored(box(0.02, -0.33, 0.13, 0.32, 0.05)), Fade(suit, shade))
    brush.fill(mirrored(box(0.01, -0.07, 0.16, 0.075, 0.03)), "#6d6788")
    brush.fill(stroke(curve("0.15,-0.62 0.29,-0.66 0.33,-0.86"), 0.1), suit)
    brush.fill(stroke(curve("-0.15,-0.62 -0.26,-0.5 -0.23,-0.36"), 0.1), shade)
    brush.fill(ellipse(0.335, -0.89, 0.06) + ellipse(-0.225, -0.34, 0.058), colour)
    brush.fill(box(-0.17, -0.7, 0.34, 0.42, 0.09), Fade(suit, mix(suit, shade, 0.6)))
    brush.fill(box(-0.09, -0.56, 0.18, 0.12, 0.02), "#4b4a63")
    brush.fill(ellipse(-0.045, -0.5, 0.02) + ellipse(0.045, -0.5, 0.02), "#ffd97a")
    brush.fill(box(-0.17, -0.36, 0.34, 0.03), colour)
    brush.fill(ellipse(0, -0.84, 0.185), Fade(suit, shade))
    brush.fill(
        blob("-0.13,-0.86 -0.1,-0.95 0,-0.97 0.1,-0.95 0.13,-0.86 0.1,-0.77 0,-0.745 -0.1,-0.77"),
        Fade("#5a6fc0", "#241c4c"),
    )
    brush.fill(ellipse(-0.06, -0.9, 0.03, 0.018, -30), "#ffffff", 0.7)
