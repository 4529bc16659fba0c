"""Places people made or dream of: a city, a room with a window, space, the open sky."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import sky
from .canvas import Brush, Canvas, Fade, mix, ramp
from .land import ground, ridge
from .mountains import range_of_peaks
from .shapes import Outline, box, ellipse, polygon, stroke

if TYPE_CHECKING:
    from PIL import Image

    from .stage import Stage


def city(stage: Stage) -> None:
    """Three rows of houses and a street in front."""
    skyline(stage)
    _street(stage)


def skyline(stage: Stage) -> None:
    """Three rows of houses."""
    unit = stage.unit
    for row, (distance, tall, wide) in enumerate(
        ((0.66, 0.46, 0.085), (0.42, 0.38, 0.1), (0.14, 0.28, 0.12))
    ):
        _row_of_houses(stage, row, distance=distance, tall=unit * tall, wide=unit * wide)
        if row < 2:
            stage.canvas.veil(
                stage.horizon - unit * 0.2, stage.horizon + unit * 0.06, stage.palette.haze, (0.0, 0.35)
            )


def _row_of_houses(stage: Stage, row: int, *, distance: float, tall: float, wide: float) -> None:
    dice, unit = stage.dice, stage.unit
    base = stage.horizon + unit * 0.07
    x = -wide * dice.random()
    lamps: Outline = []
    panes: Outline = []
    while x < stage.width:
        across = wide * dice.uniform(0.7, 1.3)
        high = tall * (0.45 + 0.55 * dice.random() ** 1.3)
        colour = dice.choice(("#8d9bb5", "#a98f8f", "#7f8fa6", "#b7a48f", "#8a86a8"))
        _house(stage, (x, base - high, across, high), colour, distance)
        for pane in _windows(x, base - high, across, high, unit):
            (lamps if dice.random() < (0.5 if stage.palette.lamps else 0.12) else panes).extend(pane)
        x += across + (wide * 0.03 if row == 2 else 0)
    dark = mix(stage.palette.land("#41506e", distance), stage.palette.tone, 0.25)
    stage.canvas.fill(panes, dark, 0.42 if distance > 0.3 else 0.6)
    stage.canvas.fill(lamps, mix("#ffdf8e", stage.palette.haze, distance * 0.5), 0.92)


def _house(stage: Stage, place: tuple[float, float, float, float], colour: str, distance: float) -> None:
    x, y, across, high = place
    dice, land = stage.dice, stage.palette.land
    wall = land(colour, distance)
    roof = dice.randrange(4)
    if roof == 1:
        stage.canvas.fill(
            box(x + across * 0.2, y - across * 0.28, across * 0.6, across * 0.3),
            mix(wall, stage.palette.tone, 0.1),
        )
    elif roof == 2:
        stage.canvas.fill(
            stroke([(x + across * 0.5, y), (x + across * 0.5, y - across * 0.6)], across * 0.035), wall
        )
    elif roof == 3:
        stage.canvas.fill(polygon([(x, y + 1), (x + across, y + 1), (x + across, y - across * 0.3)]), wall)
    stage.canvas.fill(
        box(x, y, across, high), Fade(mix(wall, stage.palette.sun, 0.1), mix(wall, stage.palette.haze, 0.25))
    )
    side = x + across * 0.72 if stage.sun[0] < x else x
    stage.canvas.fill(box(side, y, across * 0.28, high), mix(wall, stage.palette.tone, 0.35), 0.55)


def _windows(x: float, y: float, across: float, high: float, unit: float) -> list[Outline]:
    columns = max(2, int(across / (unit * 0.022)))
    gap = across / (columns * 1.7 + 0.7)
    rows = int((high - gap * 1.4) / (gap * 2.3))
    return [
        box(x + gap * 0.7 + c * gap * 1.7, y + gap * 1.2 + r * gap * 2.3, gap, gap * 1.35)
        for c in range(columns)
        for r in range(rows)
    ]


def _street(stage: Stage) -> None:
    unit, land = stage.unit, stage.palette.land
    top = stage.horizon + unit * 0.065
    kerb = top + (stage.height - top) * 0.36
    stage.canvas.fill(box(-9, top, stage.width + 18, kerb - top + 2), Fade(land("#c9c3bd"), land("#d8d2c8")))
    stage.canvas.fill(box(-9, kerb, stage.width + 18, stage.height), Fade(land("#70757f"), land("#555a66")))
    stage.canvas.fill(box(-9, kerb, stage.width + 18, unit * 0.012), land("#ece5d8"))
    line, dashes = kerb + (stage.height - kerb) * 0.5, []
    for i in range(-1, int(stage.width / (unit * 0.16)) + 2):
        dashes += box(i * unit * 0.16, line, unit * 0.085, unit * 0.011, unit * 0.003)
    stage.canvas.fill(dashes, land("#f4ead2"))
    for k in range(round(3.4 * stage.width / unit)):
        _street_lamp(
            stage, stage.width * (k + 0.5) / round(3.4 * stage.width / unit), top + (kerb - top) * 0.3
        )


def _street_lamp(stage: Stage, x: float, y: float) -> None:
    brush = Brush(stage.canvas, x, y, stage.unit * 0.2)
    iron = stage.palette.land("#3d4460")
    brush.fill(stroke("0,0 0,-0.9", 0.035, 0.022) + box(-0.06, -0.05, 0.12, 0.05, 0.02), iron)
    brush.fill(polygon("-0.1,-0.92 0.1,-0.92 0.05,-1.02 -0.05,-1.02"), iron)
    if stage.palette.lamps:
        brush.glow(0, -0.86, 0.8, "#ffd98a", 0.5)
    brush.fill(
        box(-0.07, -0.92, 0.14, 0.08, 0.03),
        "#fff0c0" if stage.palette.lamps else stage.palette.land("#f4ead2"),
    )


def space(stage: Stage) -> None:
    """Stars, a nebula, planets."""
    canvas, dice, unit = stage.canvas, stage.dice, stage.unit
    canvas.image.paste(ramp(("#080a24", "#151040", "#2a1a5c", "#3d2470"), canvas.image.size), (0, 0))
    for colour, x, y in (("#7a3fb0", 0.3, 0.55), ("#2c6fb8", 0.75, 0.3), ("#c2478f", 0.6, 0.8)):
        canvas.glow(stage.width * x, stage.height * y, unit * dice.uniform(0.4, 0.6), colour, 0.42)
    sky.stars(replace(stage, horizon=stage.height), count=260)
    left = stage.position % 2 == 0
    _planet(
        stage,
        stage.width * (0.83 if left else 0.17),
        stage.height * 0.2,
        unit * 0.1,
        ("#f0a868", "#c4627a"),
        ringed=True,
    )
    _planet(
        stage,
        stage.width * (0.14 if left else 0.86),
        stage.height * 0.42,
        unit * 0.042,
        ("#7fd1d8", "#3d77b8"),
        ringed=False,
    )


def _planet(
    stage: Stage, x: float, y: float, radius: float, colours: tuple[str, str], *, ringed: bool
) -> None:
    disc = ellipse(x, y, radius)
    stage.canvas.glow(x, y, radius * 1.9, colours[0], 0.35)
    stage.canvas.fill(disc, Fade(*colours))
    for v, thick in ((-0.45, 0.1), (-0.1, 0.16), (0.35, 0.09)):
        stage.canvas.fill(
            ellipse(x, y + v * radius, radius * 1.2, radius * thick, -14),
            mix(colours[0], "#ffffff", 0.3),
            0.35,
            within=disc,
        )
    stage.canvas.fill(
        disc,
        mix(colours[1], "#140a30", 0.6),
        0.55,
        cut=ellipse(x - radius * 0.32, y - radius * 0.24, radius * 1.08),
    )
    if ringed:
        hole = ellipse(x, y, radius * 1.52, radius * 0.3, -14)
        ring = ellipse(x, y, radius * 1.95, radius * 0.46, -14)
        front = polygon(
            [
                (x - 3 * radius, y + 0.75 * radius),
                (x + 3 * radius, y - 0.75 * radius),
                (x + 3 * radius, y + 3 * radius),
                (x - 3 * radius, y + 3 * radius),
            ]
        )
        stage.canvas.fill(ring, "#f6dcb4", 0.85, cut=hole, within=front)
        back = polygon(
            [
                (x - 3 * radius, y + 0.75 * radius),
                (x + 3 * radius, y - 0.75 * radius),
                (x + 3 * radius, y - 3 * radius),
                (x - 3 * radius, y - 3 * radius),
            ]
        )
        stage.canvas.fill(ring, "#f6dcb4", 0.6, cut=hole + disc, within=back)


def moonscape(stage: Stage) -> None:
    """Ground with craters under a black sky."""
    space(stage)
    unit, dice = stage.unit, stage.dice
    level = stage.horizon + unit * 0.06
    line = ridge(stage, level, unit * 0.05, bumps=4)
    stage.canvas.fill(
        polygon([*line, (stage.width * 1.6, stage.height + 4), (-stage.width * 0.6, stage.height + 4)]),
        Fade("#b9b4d6", "#6d6796"),
    )
    for _ in range(9):
        share = dice.random()
        x, y, size = (
            dice.random() * stage.width,
            level + (stage.height - level) * (0.2 + 0.75 * share),
            unit * (0.02 + 0.05 * share),
        )
        stage.canvas.fill(ellipse(x, y, size, size * 0.32), "#565080", 0.7)
        stage.canvas.fill(ellipse(x, y + size * 0.09, size * 0.92, size * 0.25), "#8a84b4", 0.9)


_WALLS = {
    "night": ("#5a5878", "#474566"),
    "sunrise": ("#e9c9b0", "#dba98f"),
    "sunset": ("#e9c9b0", "#dba98f"),
}


def room(stage: Stage) -> None:
    """A wall with a window on the hour outside, and a table to put things on."""
    canvas, unit = stage.canvas, stage.unit
    night = stage.palette.lamps
    wall = _WALLS["night"] if night else _WALLS.get(stage.hour, ("#e6ddd0", "#d6c7b8"))
    canvas.image.paste(ramp(wall, canvas.image.size), (0, 0))
    view = _view(stage)
    left = (stage.width - view.width) / 2 + stage.width * (0.0, 0.12, -0.12)[stage.position % 3]
    top = max(unit * 0.05, stage.horizon - view.height * 1.05)
    _window(stage, view, left, top, frame="#8f88a8" if night else "#fbf6ee")
    canvas.glow(left + view.width / 2, top + view.height / 2, unit * 0.75, stage.palette.glow, 0.22)
    _table(stage, night=night)


def _view(stage: Stage) -> Image.Image:
    """What is outside: the sky of the hour over mountains and a meadow."""
    canvas = Canvas(round(stage.unit * 0.62), round(stage.unit * 0.56), ground="#000000")
    sun = (canvas.width * 0.66, canvas.height * 0.42, stage.unit * 0.05)
    outside = replace(stage, canvas=canvas, horizon=canvas.height * 0.78, sun=sun)
    sky.heavens(outside)
    range_of_peaks(outside, level=outside.horizon + 4, high=stage.unit * 0.16, distance=0.45, snow=False)
    ground(outside, ridge(outside, outside.horizon, stage.unit * 0.04, bumps=3), "#6aa84f", 0.2)
    return canvas.image


def _window(stage: Stage, view: Image.Image, left: float, top: float, *, frame: str) -> None:
    canvas, thick = stage.canvas, stage.unit * 0.022
    wide, high = view.size
    canvas.fill(box(left - thick, top - thick, wide + 2 * thick, high + 2 * thick, thick * 0.4), frame)
    canvas.image.paste(view, (round(left), round(top)))
    upright = box(left + wide / 2 - thick * 0.35, top, thick * 0.7, high)
    canvas.fill(upright + box(left, top + high * 0.46, wide, thick * 0.7), frame)
    sill = box(left - thick * 2, top + high + thick * 0.6, wide + 4 * thick, thick * 1.3, thick * 0.3)
    canvas.fill(sill, mix(frame, "#6a5a5a", 0.12))


def _table(stage: Stage, *, night: bool) -> None:
    unit = stage.unit
    top = stage.horizon + stage.depth * 0.18
    wood = ("#6a4a4a", "#4c3440") if night else ("#c98f5f", "#a8693f")
    stage.canvas.fill(box(-9, top, stage.width + 18, stage.height), Fade(*wood))
    stage.canvas.fill(box(-9, top, stage.width + 18, unit * 0.012), mix(wood[0], "#fff0d8", 0.4))
    grain: Outline = []
    for _ in range(14):
        y, x = top + (stage.height - top) * stage.dice.uniform(0.1, 1), stage.dice.random() * stage.width
        grain += box(x, y, unit * stage.dice.uniform(0.1, 0.3), unit * 0.0035, unit * 0.0017)
    stage.canvas.fill(grain, wood[1], 0.5)
