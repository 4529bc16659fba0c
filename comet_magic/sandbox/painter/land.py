"""The ground: hills, mountains, forest, desert, snow, beach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import water
from .canvas import Brush, Fade, mix
from .shapes import Outline, Point, box, curve, ellipse, polygon, stroke
from .trees import bush, fir, pine

if TYPE_CHECKING:
    from .stage import Stage


def ridge(stage: Stage, level: float, high: float, bumps: int) -> list[Point]:
    """A smooth skyline from the left edge to the right one."""
    dice = stage.dice
    step = stage.width / bumps
    points = [
        (step * (i + dice.uniform(-0.2, 0.2)), level - high * dice.random()) for i in range(-2, bumps + 3)
    ]
    return curve(points, steps=12)


def ground(stage: Stage, line: list[Point], colour: str, distance: float) -> Outline:
    """Fill everything below a skyline."""
    shape = polygon([*line, (line[-1][0], stage.height + 4), (line[0][0], stage.height + 4)])
    top = stage.palette.land(colour, distance)
    lower = mix(top, stage.palette.tone, 0.22) if distance < 0.5 else mix(top, stage.palette.haze, 0.25)
    stage.canvas.fill(shape, Fade(mix(top, stage.palette.sun, 0.08), lower))
    return shape


def hills(stage: Stage) -> None:
    """Meadows one behind another, with far trees."""
    dice, unit = stage.dice, stage.unit
    greens = (("#7fb069", 0.62), ("#6aa84f", 0.4), ("#5b9a4a", 0.2))
    for i, (green, distance) in enumerate(greens):
        level = stage.horizon + unit * (0.01 + 0.055 * i)
        line = ridge(stage, level, unit * 0.085, bumps=round(2 + stage.width / unit))
        if i < 2:
            for x, y in dice.sample(line[20:-20], 9):
                size = unit * dice.uniform(0.012, 0.022) * (1 + i * 0.5)
                bush(stage, (x, y + unit * 0.004, size), distance * 0.9)
        ground(stage, line, green, distance)
    meadow(stage)


def meadow(stage: Stage, colour: str = "#6fae4c") -> None:
    """The near ground with tufts and small flowers."""
    dice, unit = stage.dice, stage.unit
    top = stage.horizon + unit * 0.16
    ground(stage, ridge(stage, top, unit * 0.03, bumps=3), colour, 0.0)
    tufts: Outline = []
    petals: dict[str, Outline] = {"#fff3d6": [], "#f7b7c4": [], "#ffd166": []}
    for _ in range(round(60 * stage.width / unit)):
        share = dice.random()
        x, y, size = (
            dice.random() * stage.width,
            top + (stage.height - top) * (0.1 + 0.9 * share),
            unit * (0.005 + 0.011 * share),
        )
        if dice.random() < 0.6:
            for lean in (-0.6, 0.0, 0.6):
                tufts += polygon(
                    [
                        (x + lean * size * 0.6 - size * 0.13, y),
                        (x + lean * size * 1.6, y - size * (1.7 - abs(lean))),
                        (x + lean * size * 0.6 + size * 0.13, y),
                    ]
                )
        else:
            petals[dice.choice(list(petals))] += ellipse(x, y, size * 0.38)
    stage.canvas.fill(tufts, stage.palette.land("#4c8a3a"), 0.85)
    for petal, outline in petals.items():
        stage.canvas.fill(outline, stage.palette.land(petal), 0.95)


def forest(stage: Stage) -> None:
    """Firs in ever clearer rows, a glade in front."""
    dice, unit = stage.dice, stage.unit
    for row, (distance, tall) in enumerate(((0.66, 0.34), (0.46, 0.38), (0.24, 0.44))):
        level = stage.horizon + unit * (0.02 + 0.05 * row)
        count = round((15 - 3 * row) * stage.width / unit)
        ground(stage, ridge(stage, level - unit * 0.01, unit * 0.02, bumps=4), "#4f7f50", distance)
        spots = [
            (stage.width * (i + dice.random()) / count, unit * tall * dice.uniform(0.6, 1.05))
            for i in range(count)
        ]
        if row < 2:
            far = [part for x, size in spots for part in fir((x, level + unit * 0.01, size))]
            stage.canvas.fill(far, stage.palette.land("#34664a", distance))
        else:
            for x, size in spots:
                pine(stage, (x, level + unit * 0.01, size), "#34664a", distance)
        stage.canvas.veil(level - unit * 0.22, level + unit * 0.04, stage.palette.haze, (0.0, 0.28))
    meadow(stage, "#5f9a4c")
    for x in (0.03, 0.15, 0.9, 0.99):
        spot = (
            stage.width * x,
            stage.horizon + unit * dice.uniform(0.2, 0.3),
            unit * dice.uniform(0.6, 0.78),
        )
        pine(stage, spot, "#2a5640", 0.0)


def desert(stage: Stage) -> None:
    """Table mountains and dunes with a sharp crest."""
    dice, unit = stage.dice, stage.unit
    for _ in range(2):
        x, wide = stage.width * dice.uniform(0.1, 0.9), unit * dice.uniform(0.2, 0.32)
        mesa = polygon("-0.5,0.1 -0.37,-0.35 -0.3,-0.4 0.28,-0.4 0.35,-0.34 0.5,0.1")
        Brush(stage.canvas, x, stage.horizon, wide).fill(mesa, stage.palette.land("#c98b62", 0.5))
    for row, distance in enumerate((0.42, 0.24, 0.08)):
        _dunes(stage, stage.horizon + unit * (0.035 + 0.085 * row), unit * (0.06 + 0.02 * row), distance)


def _dunes(stage: Stage, level: float, high: float, distance: float) -> None:
    dice, unit = stage.dice, stage.unit
    line = ridge(stage, level, high, bumps=round(2 + stage.width / unit))
    body = ground(stage, line, "#f3c27c", distance)
    side = -stage.falls_from(stage.width / 2)
    line = line[::side]
    tone = stage.palette.land("#b9774f", distance)
    for i in range(2, len(line) - 2):
        if not (line[i][1] < line[i - 1][1] and line[i][1] <= line[i + 1][1]):
            continue
        end = next((k for k in range(i + 1, len(line) - 1) if line[k][1] > line[k + 1][1]), len(line) - 1)
        (x, y), (u, v) = line[i], line[end]
        sag = unit * dice.uniform(0.05, 0.09)
        foot = curve(
            [
                (u, v),
                ((x + 2 * u) / 3, v + sag * 0.55),
                ((2 * x + u) / 3, v + sag),
                (x + (u - x) * 0.12, y + (v - y) * 0.7 + sag * 0.5),
                (x, y),
            ]
        )
        stage.canvas.fill(
            polygon([*line[i:end], *foot]),
            Fade(tone, stage.palette.land("#dba46c", distance)),
            0.75,
            within=body,
        )


def snow(stage: Stage) -> None:
    """White hills, firs with snow on them."""
    dice, unit = stage.dice, stage.unit
    for row, distance in enumerate((0.5, 0.3, 0.1)):
        level = stage.horizon + unit * (0.01 + 0.07 * row)
        line = ridge(stage, level, unit * 0.075, bumps=round(2 + stage.width / unit))
        for x, y in dice.sample(line[14:-14], 8 - 2 * row):
            size = unit * dice.uniform(0.08, 0.12) * (1 + 0.55 * row)
            pine(stage, (x, y + unit * 0.012, size), "#3a6a5c", distance, snowy=True)
        ground(stage, line, "#f4f8ff", distance)
    ground(stage, ridge(stage, stage.horizon + unit * 0.22, unit * 0.035, bumps=3), "#f8fbff", 0.0)


def beach(stage: Stage) -> None:
    """A bay: sea, a line of foam, sand."""
    water.open_sea(stage)
    unit = stage.unit
    shore = ridge(stage, stage.horizon + stage.depth * 0.42, unit * 0.04, bumps=3)
    wet = [(x, y - unit * 0.018) for x, y in shore]
    ground(stage, [(x, y - unit * 0.034) for x, y in shore], "#ffffff", 0.0)
    ground(stage, wet, "#c9a878", 0.0)
    ground(stage, shore, "#f2d6a2", 0.0)
    specks: Outline = []
    for _ in range(60):
        x, y = stage.dice.random() * stage.width, stage.horizon + stage.depth * stage.dice.uniform(0.5, 1)
        specks += ellipse(x, y, unit * stage.dice.uniform(0.0012, 0.003))
    stage.canvas.fill(specks, stage.palette.land("#b98f5e"), 0.6)


def road(stage: Stage) -> None:
    """Hills with a road in front."""
    hills(stage)
    unit = stage.unit
    top = stage.horizon + stage.depth * 0.52
    low = min(stage.height * 0.98, top + unit * 0.2)
    stage.canvas.fill(
        box(-9, top, stage.width + 18, low - top),
        Fade(stage.palette.land("#6d717c"), stage.palette.land("#565a66")),
    )
    dashes: Outline = []
    for i in range(-1, round(stage.width / (unit * 0.16)) + 2):
        dashes += box(i * unit * 0.16, (top + low) / 2, unit * 0.08, unit * 0.011)
    stage.canvas.fill(dashes, stage.palette.land("#fbf1d5"))
    stage.canvas.fill(
        stroke([(-9, top), (stage.width + 9, top)], unit * 0.008), stage.palette.land("#e9e2cf")
    )
