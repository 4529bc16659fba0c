"""Animals that sit and look at you: one drawing, many breeds. Origin: middle of the base, one unit high."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Brush, Fade, mix
from .shapes import arc, blob, box, curve, ellipse, mirrored, stroke

_INK = "#2c2438"


@dataclass(frozen=True)
class Breed:
    """What tells one sitting animal from another."""

    coat: str
    belly: str
    ears: str = "pointed"  # pointed, floppy, round, long
    tail: str = "curl"  # curl, bushy, stub, none
    mask: str = ""  # "" or muzzle, patches, stripes, mane, panda
    muzzle: float = 0.0  # how far the snout stands out: 0 cat, 1 dog
    nose: str = "#d9727a"


BREEDS = {
    "cat": Breed("#e8964a", "#fdf0dd", mask="stripes"),
    "dog": Breed("#c98d52", "#fdf2e0", ears="floppy", muzzle=1.0, nose=_INK),
    "fox": Breed("#e2763b", "#fff6ea", tail="bushy", mask="muzzle", muzzle=0.5, nose=_INK),
    "rabbit": Breed("#d9cfc8", "#fffaf4", ears="long", tail="stub"),
    "bear": Breed("#9a6844", "#d9b48c", ears="round", tail="none", muzzle=1.0, nose=_INK),
    "panda": Breed("#fbf8f2", "#fbf8f2", ears="round", tail="none", mask="panda", muzzle=0.6, nose=_INK),
    "lion": Breed("#e3a857", "#f9dfae", ears="round", tail="curl", mask="mane", muzzle=0.8, nose="#7a4a3a"),
    "tiger": Breed("#ee8f36", "#fff3e2", ears="round", tail="curl", mask="stripes", muzzle=0.6),
    "otter": Breed("#8a6146", "#e9cfae", ears="round", tail="bushy", mask="muzzle", muzzle=0.7, nose=_INK),
    "wolf": Breed("#8a93a6", "#eef0f4", tail="bushy", mask="muzzle", muzzle=0.7, nose=_INK),
    "mouse": Breed("#b3adb8", "#efe6e4", ears="round", tail="curl"),
}


def sitting(brush: Brush, colour: str, breed: Breed) -> None:
    """An animal that sits and looks at you."""
    coat = colour or breed.coat
    dark = mix(coat, "#2a1c3c", 0.22)
    _tail(brush, coat, breed)
    body = blob(
        "0,-0.62 -0.15,-0.54 -0.2,-0.34 -0.255,-0.14 -0.2,0 0,0.012 0.2,0 0.255,-0.14 0.2,-0.34 0.15,-0.54"
    )
    brush.fill(body, Fade(coat, mix(coat, "#2a1c3c", 0.1)))
    if breed.mask == "stripes":
        brush.fill(
            [
                s
                for y in (-0.36, -0.27, -0.18)
                for s in mirrored(blob([(0.25, y - 0.03), (0.13, y), (0.25, y + 0.02)]))
            ],
            dark,
            0.8,
            within=body,
        )
    brush.fill(ellipse(0, -0.3, 0.115, 0.22), breed.belly, within=body)
    legs = mirrored(box(0.0, -0.33, 0.115, 0.33, 0.055))
    brush.fill(legs, _INK if breed.mask == "panda" else mix(coat, "#ffffff", 0.06))
    brush.fill(stroke("0,-0.28 0,-0.02", 0.008), dark, 0.6)
    brush.fill(mirrored(ellipse(0.075, -0.028, 0.07, 0.035)), breed.belly if breed.mask != "panda" else _INK)
    if breed.mask == "mane":
        brush.fill([ring for a in arc(0, -0.7, 0.2, 0, 345) for ring in ellipse(*a, 0.1)], "#a85f2c")
    _ears(brush, coat, breed)
    _head(brush, coat, breed, dark)


def _tail(brush: Brush, coat: str, breed: Breed) -> None:
    if breed.tail == "curl":
        brush.fill(
            stroke(curve("0.17,-0.06 0.34,-0.05 0.4,-0.2 0.34,-0.33 0.38,-0.43", steps=8), 0.075, 0.06),
            mix(coat, "#2a1c3c", 0.12),
        )
    elif breed.tail == "bushy":
        tail = blob("0.14,-0.04 0.32,-0.02 0.44,-0.17 0.42,-0.4 0.33,-0.5 0.31,-0.36 0.27,-0.2")
        brush.fill(tail, mix(coat, "#2a1c3c", 0.1))
        brush.fill(tail, breed.belly, within=box(0, -0.6, 0.6, 0.2))
    elif breed.tail == "stub":
        brush.fill(ellipse(0.24, -0.09, 0.07), breed.belly)


def _ears(brush: Brush, coat: str, breed: Breed) -> None:
    inner = "#f2b3ab"
    if breed.ears == "pointed":
        brush.fill(mirrored([[(0.05, -0.86), (0.185, -1.0), (0.225, -0.76)]]), coat)
        brush.fill(mirrored([[(0.1, -0.87), (0.175, -0.955), (0.195, -0.81)]]), inner)
    elif breed.ears == "round":
        brush.fill(mirrored(ellipse(0.17, -0.89, 0.08)), _INK if breed.mask == "panda" else coat)
        if breed.mask != "panda":
            brush.fill(mirrored(ellipse(0.172, -0.885, 0.045)), inner, 0.8)
    elif breed.ears == "long":
        brush.fill(mirrored(ellipse(0.1, -1.02, 0.058, 0.19, 8)), coat)
        brush.fill(mirrored(ellipse(0.1, -1.01, 0.03, 0.14, 8)), inner)


def _head(brush: Brush, coat: str, breed: Breed, dark: tuple[int, int, int]) -> None:
    head = blob("0,-0.93 -0.16,-0.89 -0.245,-0.74 -0.2,-0.58 0,-0.515 0.2,-0.58 0.245,-0.74 0.16,-0.89")
    brush.fill(head, Fade(mix(coat, "#ffffff", 0.08), coat))
    if breed.mask == "stripes":
        brush.fill(
            box(-0.012, -0.95, 0.024, 0.13, 0.012) + mirrored(box(0.045, -0.94, 0.022, 0.1, 0.011)),
            dark,
            0.8,
            within=head,
        )
        brush.fill(
            mirrored(blob("0.26,-0.72 0.17,-0.7 0.26,-0.68") + blob("0.26,-0.65 0.18,-0.64 0.26,-0.61")),
            dark,
            0.8,
            within=head,
        )
    if breed.mask == "panda":
        brush.fill(mirrored(ellipse(0.1, -0.735, 0.062, 0.078, -28)), _INK)
    if breed.mask == "muzzle":
        brush.fill(mirrored(blob("0,-0.64 0.1,-0.69 0.27,-0.7 0.2,-0.55 0,-0.5")), breed.belly, within=head)
    snout = ellipse(0, -0.6, 0.085 + 0.025 * breed.muzzle, 0.055 + 0.018 * breed.muzzle)
    brush.fill(snout, breed.belly)
    _face(brush, breed)
    if breed.ears == "floppy":
        flap = blob("0.14,-0.92 0.24,-0.89 0.3,-0.74 0.27,-0.6 0.2,-0.62 0.18,-0.77")
        brush.fill(mirrored(flap), dark)


def _face(brush: Brush, breed: Breed) -> None:
    white = "#ffffff"
    brush.fill(mirrored(ellipse(0.1, -0.725, 0.034, 0.042)), _INK if breed.mask != "panda" else "#000000")
    brush.fill(ellipse(0.112, -0.74, 0.012) + ellipse(-0.088, -0.74, 0.012), white)
    size = 0.026 + 0.012 * breed.muzzle
    brush.fill(blob([(0, -0.612), (-size, -0.645), (0, -0.652), (size, -0.645)]), breed.nose)
    mouth = stroke(arc(-0.028, -0.598, 0.028, 10, 150), 0.009) + stroke(
        arc(0.028, -0.598, 0.028, 30, 170), 0.009
    )
    brush.fill(mouth + stroke("0,-0.62 0,-0.595", 0.009), _INK)
    brush.fill(mirrored(ellipse(0.165, -0.645, 0.03, 0.02)), "#f08f86", 0.45)
    if breed.muzzle < 0.6:
        lines = [
            s
            for k in (-1, 0, 1)
            for s in stroke([(0.12, -0.61 + 0.018 * k), (0.29, -0.625 + 0.04 * k)], 0.005)
        ]
        brush.fill(mirrored(lines), "#ffffff", 0.75)
