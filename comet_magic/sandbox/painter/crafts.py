"""Subjects that carry people: boats, cars, balloons, rockets. Origin: middle of the base, one unit high or wide."""

from __future__ import annotations

from .canvas import Brush, Fade, mix
from .shapes import arc, blob, box, curve, ellipse, polygon, stroke


def paper_boat(brush: Brush, colour: str) -> None:
    """A boat folded from a sheet: hull, inner fold, sail."""
    white, dark, deep = mix(colour, "#ffffff", 0.5), mix(colour, "#8a86b4", 0.42), mix(colour, "#5d5a8c", 0.6)
    brush.fill(polygon("-0.52,-0.275 0,-0.225 0.52,-0.275 0,-0.09"), deep)
    brush.fill(polygon("0,-0.56 -0.24,-0.2 0,-0.11"), Fade(white, mix(colour, dark, 0.12)))
    brush.fill(polygon("0,-0.56 0.24,-0.2 0,-0.11"), Fade(mix(colour, dark, 0.72), dark))
    brush.fill(polygon("-0.52,-0.275 0,-0.135 0,0.03 -0.3,0.03"), Fade(white, mix(colour, dark, 0.4)))
    brush.fill(
        polygon("0.52,-0.275 0,-0.135 0,0.03 0.3,0.03"), Fade(mix(colour, dark, 0.55), mix(dark, deep, 0.35))
    )
    brush.fill(polygon("-0.52,-0.275 0,-0.135 -0.3,0.03"), white)
    brush.fill(polygon("0.52,-0.275 0,-0.135 0.3,0.03"), mix(colour, dark, 0.4))
    creases = [
        stroke([a, b], 0.004)
        for a, b in (((-0.52, -0.275), (0, -0.135)), ((0.52, -0.275), (0, -0.135)), ((0, -0.56), (0, -0.12)))
    ]
    brush.fill([part for crease in creases for part in crease], "#ffffff", 0.55)


def sailboat(brush: Brush, colour: str) -> None:
    """A small yacht with main sail and jib."""
    brush.fill(stroke("0.02,-0.12 0.02,-0.98", 0.018), "#7a5236")
    main = [[*curve("0.045,-0.94 0.26,-0.62 0.4,-0.2"), (0.045, -0.2)]]
    jib = [[*curve("0,-0.88 -0.14,-0.56 -0.36,-0.2"), (0.0, -0.2)]]
    brush.fill(main, Fade("#fffaf0", "#e9ddd0"))
    brush.fill(main, "#c9b6bd", 0.45, within=polygon("0.2,-1 0.5,-1 0.5,0 0.12,0"))
    brush.fill(jib, Fade(mix(colour, "#ffffff", 0.12), colour))
    brush.fill(polygon("0.02,-0.98 0.16,-0.955 0.02,-0.93"), colour)
    hull = [
        [
            *curve("-0.45,-0.155 -0.38,-0.03 -0.28,0.03"),
            (0.3, 0.03),
            *curve("0.36,0.02 0.42,-0.06 0.46,-0.165"),
        ]
    ]
    brush.fill(hull, Fade(mix(colour, "#ffffff", 0.1), mix(colour, "#20203c", 0.25)))
    brush.fill(box(-0.5, -0.17, 1.0, 0.045), "#fdf6ea", within=box(-0.455, -0.17, 0.918, 0.045, 0.01))
    brush.fill(box(-0.5, -0.015, 1, 0.06), mix(colour, "#20203c", 0.55), within=hull)


def ship(brush: Brush, colour: str) -> None:
    """A liner with two funnels."""
    for x in (-0.1, 0.12):
        brush.fill(
            polygon([(x - 0.045, -0.34), (x + 0.045, -0.34), (x + 0.065, -0.5), (x - 0.025, -0.5)]), colour
        )
        brush.fill(
            polygon([(x - 0.029, -0.47), (x + 0.061, -0.47), (x + 0.065, -0.5), (x - 0.025, -0.5)]), "#2d2a3c"
        )
    for i, (left, wide) in enumerate(((-0.3, 0.58), (-0.24, 0.48))):
        brush.fill(box(left, -0.27 - 0.09 * i, wide, 0.1, 0.012), Fade("#fffaf2", "#dfd8dc"))
        for k in range(round(wide / 0.06)):
            brush.fill(ellipse(left + 0.04 + k * 0.06, -0.215 - 0.09 * i, 0.013), "#48607f")
    hull = polygon("-0.5,-0.2 0.5,-0.22 0.42,0.04 -0.42,0.04")
    brush.fill(hull, Fade("#364a70", "#22304f"))
    brush.fill(box(-0.5, -0.03, 1, 0.1), mix(colour, "#301020", 0.1), within=hull)
    brush.fill(box(-0.5, -0.175, 1, 0.02), "#fdf6ea", within=hull)


def hot_air_balloon(brush: Brush, colour: str) -> None:
    """A striped balloon and its basket."""
    brush.fill(stroke("-0.13,-0.36 -0.065,-0.14", 0.008) + stroke("0.13,-0.36 0.065,-0.14", 0.008), "#6b4c3b")
    brush.fill(stroke("-0.05,-0.33 -0.03,-0.14", 0.006) + stroke("0.05,-0.33 0.03,-0.14", 0.006), "#6b4c3b")
    hull = blob(
        "0,-1 -0.24,-0.93 -0.345,-0.7 -0.27,-0.47 -0.1,-0.31 0.1,-0.31 0.27,-0.47 0.345,-0.7 0.24,-0.93"
    )
    brush.fill(hull, Fade(mix(colour, "#ffffff", 0.08), colour))
    for half, paint in ((0.24, "#fdf3df"), (0.135, colour), (0.045, "#fdf3df")):
        side = [
            (half * 0.75, -1.01),
            (half * 1.06, -0.9),
            (half * 1.1, -0.7),
            (half * 0.8, -0.47),
            (half * 0.36, -0.3),
        ]
        gore = curve(side) + [(-x, y) for x, y in reversed(curve(side))]
        brush.fill([gore], paint, within=hull)
    brush.fill(hull, "#30204a", 0.2, cut=ellipse(-0.12, -0.72, 0.34, 0.42))
    brush.fill(blob("-0.16,-0.9 -0.24,-0.74 -0.2,-0.6 -0.15,-0.74"), "#ffffff", 0.25)
    brush.fill(box(-0.1, -0.335, 0.2, 0.035, 0.015), mix(colour, "#301828", 0.35))
    brush.fill(box(-0.078, -0.15, 0.156, 0.13, 0.025), Fade("#b9814f", "#8a5a36"))
    brush.fill(box(-0.088, -0.155, 0.176, 0.03, 0.014), "#6f4429")


def rocket(brush: Brush, colour: str) -> None:
    """A rocket on its flame."""
    for half, low, paint in ((0.11, 0.34, "#ff8a3d"), (0.075, 0.24, "#ffc14f"), (0.04, 0.13, "#fff3c4")):
        flame = blob(
            [
                (-half, -0.16),
                (-half * 0.7, low * 0.3 - 0.06),
                (0, low - 0.05),
                (half * 0.7, low * 0.3 - 0.06),
                (half, -0.16),
            ]
        )
        brush.fill(flame, paint, 0.95, lamp=True)
    for side in (-1, 1):
        fin = [
            [*curve([(side * 0.12, -0.42), (side * 0.26, -0.27), (side * 0.27, -0.08)]), (side * 0.12, -0.17)]
        ]
        brush.fill(fin, colour if side < 0 else mix(colour, "#2a1030", 0.25))
    brush.fill(box(-0.085, -0.17, 0.17, 0.045, 0.01), "#4b4a63")
    hull = blob(
        "0,-1 -0.1,-0.84 -0.155,-0.58 -0.135,-0.3 -0.1,-0.15 0.1,-0.15 0.135,-0.3 0.155,-0.58 0.1,-0.84"
    )
    brush.fill(hull, "#f6f1ea")
    brush.fill(hull, "#b9b4cc", 0.75, within=blob("0.06,-1.05 0.02,-0.6 0.04,-0.1 0.4,-0.1 0.4,-1.05"))
    brush.fill(hull, colour, within=box(-0.3, -1.05, 0.6, 0.285))
    brush.fill(
        hull,
        mix(colour, "#2a1030", 0.25),
        within=blob("0.05,-1.05 0.03,-0.9 0.045,-0.765 0.4,-0.765 0.4,-1.05"),
    )
    brush.fill(ellipse(0, -0.565, 0.078), "#4b4a63")
    brush.fill(ellipse(0, -0.565, 0.057), Fade("#bfeaf5", "#4d9fd0"))
    brush.fill(polygon("-0.026,-0.3 0.026,-0.3 0.02,-0.08 -0.02,-0.08"), colour)


def car(brush: Brush, colour: str) -> None:
    """A small car from the side."""
    dark = mix(colour, "#201838", 0.3)
    cabin = blob("-0.27,-0.25 -0.2,-0.42 -0.06,-0.475 0.1,-0.46 0.22,-0.36 0.31,-0.25")
    brush.fill(cabin, colour)
    body = blob(
        "-0.5,-0.2 -0.46,-0.27 -0.28,-0.295 0,-0.295 0.3,-0.285 0.46,-0.235 0.5,-0.16 "
        "0.47,-0.09 0.2,-0.08 -0.2,-0.08 -0.48,-0.09"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.12), dark))
    glass = Fade("#d8f0f6", "#8fbcd2")
    brush.fill(blob("-0.225,-0.285 -0.175,-0.39 -0.06,-0.43 -0.02,-0.43 -0.02,-0.285"), glass)
    brush.fill(blob("0.025,-0.43 0.1,-0.415 0.18,-0.35 0.235,-0.285 0.025,-0.285"), glass)
    brush.fill(polygon("-0.16,-0.285 -0.1,-0.42 -0.06,-0.42 -0.12,-0.285"), "#ffffff", 0.4)
    brush.fill(stroke("0,-0.28 0,-0.11", 0.007), dark)
    brush.fill(box(0.05, -0.24, 0.06, 0.016, 0.008) + box(-0.2, -0.24, 0.06, 0.016, 0.008), "#fff4e0")
    brush.fill(ellipse(0.465, -0.2, 0.028, 0.035), "#fff1b8", lamp=True)
    brush.fill(ellipse(-0.475, -0.2, 0.02, 0.032), "#e2463f")
    brush.fill(box(-0.5, -0.115, 1.0, 0.03, 0.015), mix(dark, "#e8e4ea", 0.45))
    for x in (-0.28, 0.28):
        brush.fill(ellipse(x, -0.095, 0.118), mix(dark, "#100c20", 0.5))
        _wheel(brush.moved(x, -0.095, 0.095))


def _wheel(brush: Brush) -> None:
    brush.fill(ellipse(0, 0, 1), "#2b2838")
    brush.fill(ellipse(0, 0, 0.56), "#d9d6de")
    brush.fill(ellipse(0, 0, 0.2), "#2b2838")


def train(brush: Brush, colour: str) -> None:
    """A steam engine with a wagon."""
    for x, r in ((0.36, 0.05), (0.29, 0.07), (0.19, 0.09)):
        brush.fill(ellipse(x - 0.02, -0.56 - (0.36 - x) * 0.6, r), "#ffffff", 0.75)
    brush.fill(polygon("0.33,-0.38 0.39,-0.38 0.42,-0.52 0.3,-0.52"), "#3a3450")
    brush.fill(
        box(0.08, -0.385, 0.39, 0.24, 0.09), Fade(mix(colour, "#ffffff", 0.15), mix(colour, "#201838", 0.25))
    )
    brush.fill(box(-0.08, -0.52, 0.2, 0.4, 0.02), mix(colour, "#201838", 0.12))
    brush.fill(box(-0.115, -0.56, 0.27, 0.05, 0.02), "#3a3450")
    brush.fill(box(-0.04, -0.46, 0.12, 0.12, 0.015), "#ffe3a0", lamp=True)
    brush.fill(box(-0.5, -0.36, 0.37, 0.24, 0.02), Fade("#f0c26a", "#c98a45"))
    for x in (-0.43, -0.31):
        brush.fill(box(x, -0.31, 0.09, 0.09, 0.012), "#ffe3a0", lamp=True)
    brush.fill(box(-0.5, -0.14, 1.0, 0.05, 0.02), "#3a3450")
    for x, r in ((-0.42, 0.06), (-0.22, 0.06), (0.02, 0.085), (0.2, 0.06), (0.36, 0.06)):
        _wheel(brush.moved(x, -r, r))


def plane(brush: Brush, colour: str) -> None:
    """A small propeller plane in flight."""
    dark = mix(colour, "#201838", 0.28)
    brush.fill(polygon("-0.42,-0.33 -0.5,-0.56 -0.4,-0.56 -0.28,-0.36"), dark)
    hull = blob("-0.48,-0.36 -0.2,-0.42 0.15,-0.45 0.38,-0.4 0.42,-0.3 0.3,-0.2 0,-0.2 -0.3,-0.28")
    brush.fill(hull, Fade(mix(colour, "#ffffff", 0.15), dark))
    brush.fill(box(-0.6, -0.335, 1.2, 0.04), "#fff6e6", within=hull)
    brush.fill(blob("0.02,-0.44 0.08,-0.54 0.2,-0.53 0.27,-0.43"), Fade("#dff4fa", "#8fc0d8"))
    brush.fill(blob("-0.12,-0.3 0.1,-0.31 0.02,-0.06 -0.12,-0.03"), Fade("#fff3e0", "#d9c6c0"))
    brush.fill(box(-0.5, -0.385, 0.16, 0.035, 0.017), "#fff3e0")
    brush.fill(ellipse(0.44, -0.31, 0.02, 0.2), "#ffffff", 0.6)
    brush.fill(ellipse(0.43, -0.31, 0.035), "#3a3450")


def bicycle(brush: Brush, colour: str) -> None:
    """A bicycle with a basket."""
    for x in (-0.28, 0.3):
        brush.fill(ellipse(x, -0.2, 0.2), "#2f2c40", cut=ellipse(x, -0.2, 0.175))
        for a in range(0, 180, 30):
            ends = arc(x, -0.2, 0.178, a, a + 1)[0], arc(x, -0.2, 0.178, a + 180, a + 181)[0]
            brush.fill(stroke(ends, 0.005), "#8e8aa0")
    for start, end in (
        ((-0.28, -0.2), (-0.03, -0.2)),
        ((-0.28, -0.2), (-0.12, -0.45)),
        ((-0.03, -0.2), (-0.14, -0.53)),
        ((-0.12, -0.45), (0.2, -0.47)),
        ((-0.03, -0.2), (0.2, -0.44)),
        ((0.3, -0.2), (0.18, -0.58)),
    ):
        brush.fill(stroke([start, end], 0.03), colour)
    brush.fill(stroke(curve("0.18,-0.58 0.24,-0.61 0.28,-0.57"), 0.024), "#2f2c40")
    brush.fill(box(-0.22, -0.56, 0.16, 0.04, 0.02), "#6f4429")
    brush.fill(ellipse(-0.03, -0.2, 0.035), "#2f2c40")
    brush.fill(polygon("0.22,-0.54 0.42,-0.54 0.39,-0.4 0.25,-0.4"), Fade("#c99560", "#9a6a3f"))
