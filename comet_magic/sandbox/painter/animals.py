"""Animals. Origin: middle of the base, one unit high."""

from __future__ import annotations

from .canvas import Brush, Fade, mix
from .shapes import Outline, arc, blob, curve, ellipse, mirrored, polygon, stroke

_INK = "#2c2438"


def bird(brush: Brush, colour: str) -> None:
    """A song bird, round and looking sideways."""
    dark = mix(colour, "#1c1440", 0.35)
    brush.fill(
        stroke("-0.03,-0.16 -0.03,0 0.03,0", 0.02) + stroke("0.06,-0.16 0.06,0 0.12,0", 0.02), "#c9743a"
    )
    brush.fill(polygon("-0.24,-0.4 -0.56,-0.3 -0.52,-0.2 -0.2,-0.26"), dark)
    brush.fill(polygon("0.27,-0.72 0.43,-0.665 0.27,-0.62"), "#f2a33c")
    body = blob(
        "0.08,-0.9 -0.08,-0.84 -0.16,-0.66 -0.3,-0.42 -0.24,-0.22 0,-0.12 0.22,-0.2 "
        "0.32,-0.42 0.31,-0.7 0.22,-0.86"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.12), colour))
    brush.fill(ellipse(0.16, -0.33, 0.2, 0.24), "#fff0d6", within=body)
    wing = blob("0.04,-0.56 -0.12,-0.57 -0.3,-0.42 -0.46,-0.22 -0.2,-0.21 0.02,-0.32")
    brush.fill(wing, dark)
    for k in (0, 1):
        brush.fill(
            stroke(
                curve(
                    [
                        (-0.02 - k * 0.05, -0.42 + k * 0.07),
                        (-0.18, -0.33 + k * 0.06),
                        (-0.36, -0.25 + k * 0.015),
                    ]
                ),
                0.014,
                0.006,
            ),
            mix(dark, "#ffffff", 0.35),
        )
    brush.fill(ellipse(0.17, -0.71, 0.04), _INK)
    brush.fill(ellipse(0.183, -0.723, 0.014), "#ffffff")
    brush.fill(ellipse(0.14, -0.62, 0.035, 0.024), "#f08f86", 0.6)


def gull(brush: Brush, colour: str) -> None:
    """A white bird in flight, wings spread."""
    tone = mix(colour, "#8a94b4", 0.35)
    far = [curve("-0.02,-0.42 -0.1,-0.7 -0.3,-0.96") + curve("-0.3,-0.96 -0.24,-0.64 -0.16,-0.38")]
    brush.fill(far, tone)
    brush.fill(polygon("-0.3,-0.32 -0.52,-0.36 -0.5,-0.26 -0.3,-0.26"), tone)
    body = blob("0.34,-0.42 0.26,-0.47 0.1,-0.44 -0.14,-0.39 -0.36,-0.3 -0.1,-0.22 0.16,-0.26 0.3,-0.34")
    brush.fill(body, Fade(colour, mix(colour, "#8a94b4", 0.25)))
    near = [curve("0.12,-0.38 0.16,-0.62 0.42,-0.98") + curve("0.42,-0.98 0.1,-0.84 -0.1,-0.62 -0.14,-0.34")]
    brush.fill(near, Fade(mix(colour, "#8a94b4", 0.1), colour))
    brush.fill(near, "#4a4a62", within=polygon("0.24,-1 0.5,-1 0.5,-0.86 0.26,-0.84"))
    brush.fill(polygon("0.32,-0.425 0.45,-0.375 0.32,-0.37"), "#f2a33c")
    brush.fill(ellipse(0.27, -0.415, 0.016), _INK)


def owl(brush: Brush, colour: str) -> None:
    """An owl on a branch."""
    dark = mix(colour, "#1c1230", 0.3)
    brush.fill(stroke(curve("-0.62,-0.06 -0.2,-0.1 0.3,-0.07 0.66,-0.13"), 0.07, 0.045), "#6b4a38")
    brush.fill(mirrored([[(0.1, -0.86), (0.27, -1.0), (0.27, -0.76)]]), dark)
    body = blob(
        "0,-0.92 -0.2,-0.87 -0.3,-0.66 -0.3,-0.36 -0.18,-0.12 0,-0.06 0.18,-0.12 0.3,-0.36 "
        "0.3,-0.66 0.2,-0.87"
    )
    brush.fill(body, Fade(colour, mix(colour, "#1c1230", 0.12)))
    brush.fill(ellipse(0, -0.32, 0.19, 0.25), "#f2dcb8", within=body)
    for row, count in ((0, 3), (1, 4), (2, 3)):
        for k in range(count):
            brush.fill(
                stroke(arc((k - (count - 1) / 2) * 0.085, -0.44 + row * 0.1, 0.03, 0, 180), 0.014), dark, 0.7
            )
    brush.fill(mirrored(blob("0.2,-0.6 0.31,-0.58 0.33,-0.34 0.22,-0.13 0.17,-0.36")), dark)
    brush.fill(mirrored(ellipse(0.115, -0.7, 0.125)), "#f9ecd2")
    brush.fill(mirrored(ellipse(0.105, -0.7, 0.078)), "#f5b13d")
    brush.fill(mirrored(ellipse(0.1, -0.7, 0.05)), _INK)
    brush.fill(ellipse(0.115, -0.72, 0.018) + ellipse(-0.085, -0.72, 0.018), "#ffffff")
    brush.fill(polygon("-0.035,-0.66 0.035,-0.66 0,-0.565"), "#e8913a")
    brush.fill(mirrored(ellipse(0.08, -0.085, 0.055, 0.03)), "#e8913a")


def penguin(brush: Brush, colour: str) -> None:
    """A penguin with a scarf of the colour."""
    coat = "#2f3550"
    brush.fill(mirrored(ellipse(0.1, -0.02, 0.1, 0.035)), "#f2a33c")
    brush.fill(mirrored(ellipse(0.27, -0.36, 0.06, 0.2, -16)), mix(coat, "#000000", 0.15))
    body = blob(
        "0,-0.98 -0.16,-0.92 -0.22,-0.74 -0.27,-0.4 -0.22,-0.08 0,-0.01 0.22,-0.08 0.27,-0.4 "
        "0.22,-0.74 0.16,-0.92"
    )
    brush.fill(body, coat)
    brush.fill(ellipse(0, -0.3, 0.195, 0.29), "#fffaf2", within=body)
    brush.fill(mirrored(ellipse(0.075, -0.74, 0.1, 0.115)), "#fffaf2", within=body)
    brush.fill(mirrored(ellipse(0.08, -0.77, 0.026, 0.032)), _INK)
    brush.fill(ellipse(0.09, -0.782, 0.01) + ellipse(-0.07, -0.782, 0.01), "#ffffff")
    brush.fill(polygon("-0.05,-0.72 0.05,-0.72 0,-0.65"), "#f2a33c")
    brush.fill(blob("-0.235,-0.62 0,-0.57 0.235,-0.62 0.245,-0.54 0,-0.49 -0.245,-0.54"), colour)
    brush.fill(polygon("0.08,-0.55 0.17,-0.56 0.2,-0.34 0.1,-0.33"), mix(colour, "#301030", 0.18))


def duck(brush: Brush, colour: str) -> None:
    """A duck that swims."""
    dark = mix(colour, "#8a4a10", 0.3)
    brush.fill(blob("0.38,-0.6 0.5,-0.63 0.58,-0.57 0.5,-0.52 0.36,-0.53"), "#f08a35")
    body = blob(
        "-0.52,-0.42 -0.4,-0.3 -0.1,-0.33 0.1,-0.42 0.13,-0.6 0.17,-0.75 0.3,-0.8 0.42,-0.71 "
        "0.42,-0.56 0.34,-0.44 0.38,-0.24 0.28,-0.04 0,0.03 -0.3,0.01 -0.48,-0.16"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.12), mix(colour, dark, 0.6)))
    brush.fill(blob("-0.36,-0.24 -0.1,-0.28 0.16,-0.22 0.06,-0.08 -0.18,-0.06"), dark, 0.75)
    brush.fill(ellipse(0.31, -0.66, 0.032), _INK)
    brush.fill(ellipse(0.32, -0.672, 0.011), "#ffffff")


def fish(brush: Brush, colour: str) -> None:
    """A tropical fish with two bands."""
    dark = mix(colour, "#40102c", 0.25)
    brush.fill(blob("-0.3,-0.5 -0.44,-0.74 -0.56,-0.76 -0.5,-0.5 -0.56,-0.24 -0.44,-0.26"), dark)
    brush.fill(
        blob("-0.16,-0.72 0,-0.92 0.2,-0.8 0.16,-0.7") + blob("-0.12,-0.28 -0.02,-0.12 0.1,-0.22 0.1,-0.3"),
        dark,
    )
    body = blob(
        "0.46,-0.5 0.34,-0.67 0.08,-0.77 -0.16,-0.7 -0.36,-0.53 -0.36,-0.47 -0.16,-0.3 0.08,-0.23 0.34,-0.33"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.12), dark))
    for x, wide in ((0.16, 0.075), (-0.14, 0.06)):
        band = blob(
            [
                (x, -0.85),
                (x + wide, -0.66),
                (x + wide * 1.3, -0.5),
                (x + wide, -0.34),
                (x, -0.15),
                (x - wide * 0.8, -0.34),
                (x - wide * 0.5, -0.5),
                (x - wide * 0.8, -0.66),
            ]
        )
        brush.fill(band, "#fff8ec", within=body)
    brush.fill(blob("0.06,-0.46 -0.1,-0.42 -0.12,-0.32 0.02,-0.34"), mix(colour, "#ffffff", 0.25))
    brush.fill(ellipse(0.31, -0.54, 0.058), "#ffffff")
    brush.fill(ellipse(0.32, -0.54, 0.034), _INK)
    brush.fill(ellipse(0.332, -0.555, 0.012), "#ffffff")
    brush.fill(stroke(arc(0.38, -0.46, 0.05, 60, 150), 0.012), _INK)


def whale(brush: Brush, colour: str) -> None:
    """A whale with a pale belly."""
    dark = mix(colour, "#0c1440", 0.3)
    brush.fill(blob("-0.38,-0.44 -0.52,-0.62 -0.68,-0.64 -0.56,-0.5 -0.7,-0.4 -0.52,-0.36"), dark)
    body = blob(
        "0.56,-0.5 0.44,-0.7 0.16,-0.76 -0.14,-0.64 -0.42,-0.5 -0.5,-0.42 -0.3,-0.32 0,-0.2 "
        "0.3,-0.2 0.5,-0.32"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.12), colour))
    belly = blob("0.62,-0.44 0.3,-0.4 0,-0.32 -0.3,-0.36 0,-0.1 0.5,-0.1")
    brush.fill(belly, "#e8f2f4", within=body)
    for k in range(4):
        brush.fill(
            stroke(
                curve([(0.53, -0.38 + k * 0.038), (0.3, -0.355 + k * 0.042), (0.06, -0.3 + k * 0.035)]), 0.008
            ),
            mix(colour, "#ffffff", 0.35),
            within=body,
        )
    brush.fill(blob("0.14,-0.34 0.04,-0.36 -0.06,-0.16 0.02,-0.1"), dark)
    brush.fill(ellipse(0.4, -0.47, 0.024), _INK)
    brush.fill(ellipse(0.407, -0.478, 0.008), "#ffffff")


def butterfly(brush: Brush, colour: str) -> None:
    """A butterfly seen from above."""
    dark = mix(colour, "#2a0c40", 0.4)
    upper = mirrored(blob("0.02,-0.56 0.14,-0.86 0.42,-0.96 0.5,-0.74 0.36,-0.54 0.08,-0.48"))
    lower = mirrored(blob("0.03,-0.5 0.26,-0.5 0.38,-0.34 0.3,-0.14 0.14,-0.16 0.05,-0.36"))
    brush.fill(lower, Fade(colour, dark))
    brush.fill(upper, Fade(mix(colour, "#ffffff", 0.15), colour))
    brush.fill(mirrored(blob("0.3,-0.97 0.44,-0.96 0.51,-0.74 0.4,-0.57 0.42,-0.74")), dark, within=upper)
    brush.fill(mirrored(ellipse(0.24, -0.76, 0.075, 0.055) + ellipse(0.22, -0.34, 0.06)), "#fff3d8", 0.85)
    brush.fill(blob("0,-0.66 -0.028,-0.5 0,-0.18 0.028,-0.5"), _INK)
    feelers = curve("0.008,-0.64 0.06,-0.8 0.13,-0.86", steps=6)
    brush.fill(mirrored(stroke(feelers, 0.01)) + mirrored(ellipse(0.13, -0.86, 0.014)), _INK)


def horse(brush: Brush, colour: str) -> None:
    """A horse from the side, walking."""
    dark = mix(colour, "#1c1028", 0.45)
    far, near = mix(colour, "#1c1028", 0.25), colour
    for x, lean, paint in ((-0.24, -0.06, far), (0.2, 0.08, far), (-0.3, 0.05, near), (0.26, -0.03, near)):
        leg: Outline = stroke(
            curve([(x, -0.4), (x + lean * 0.4, -0.22), (x + lean, -0.02)], steps=5), 0.1, 0.05
        )
        brush.fill(leg, paint)
        brush.fill(
            polygon(
                [
                    (x + lean - 0.03, -0.045),
                    (x + lean + 0.025, -0.045),
                    (x + lean + 0.05, 0),
                    (x + lean - 0.035, 0),
                ]
            ),
            dark,
        )
    brush.fill(blob("-0.36,-0.58 -0.48,-0.5 -0.5,-0.28 -0.44,-0.16 -0.42,-0.34"), dark)
    body = blob(
        "-0.38,-0.56 -0.2,-0.63 0.08,-0.6 0.24,-0.7 0.34,-0.9 0.44,-0.94 0.56,-0.8 0.62,-0.7 "
        "0.56,-0.64 0.46,-0.7 0.4,-0.6 0.36,-0.42 0.16,-0.33 -0.12,-0.33 -0.34,-0.36"
    )
    brush.fill(body, Fade(mix(colour, "#ffffff", 0.08), near))
    brush.fill(polygon("0.38,-0.92 0.4,-1.02 0.45,-0.92"), near)
    brush.fill(blob("0.4,-0.97 0.28,-0.9 0.16,-0.68 0.18,-0.58 0.27,-0.7 0.36,-0.86"), dark)
    brush.fill(ellipse(0.48, -0.82, 0.018), _INK)
    brush.fill(ellipse(0.585, -0.7, 0.012), dark)
