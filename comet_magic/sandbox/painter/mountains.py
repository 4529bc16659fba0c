"""Mountains, and the lake below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import water
from .canvas import Brush, Fade, mix
from .land import ground, meadow, ridge
from .shapes import points, polygon
from .trees import pine

if TYPE_CHECKING:
    from .stage import Stage


_CAP = points("1,0 0.55,-0.22 0.3,0.16 -0.02,-0.2 -0.36,0.2 -0.6,-0.16 -1,0")  # the hem of the snow


def range_of_peaks(stage: Stage, *, level: float, high: float, distance: float, snow: bool) -> None:
    """Mountains with a lit and a shaded face, in no order of depth."""
    dice = stage.dice
    count = max(2, round(stage.width / (high * 1.25)))
    for i in sorted(range(-1, count + 2), key=lambda _: dice.random()):
        x = stage.width * (i + dice.uniform(0.2, 0.8)) / count
        tall = high * dice.uniform(0.62, 1.0)
        brush = Brush(stage.canvas, x, level, tall, flip=stage.falls_from(x) < 0)
        half = dice.uniform(0.75, 1.05)
        _peak(stage, brush, half, distance)
        if snow and tall > stage.unit * 0.12:
            _snowcap(stage, brush, half, distance)


def _peak(stage: Stage, brush: Brush, half: float, distance: float) -> None:
    palette, dice = stage.palette, stage.dice
    rock = palette.land("#7d8aa5", distance)
    dark = mix(rock, palette.tone, 0.38)
    face = polygon([(-half, 0), (0, -1), (half, 0)])
    spine = [(half * dice.uniform(-0.1, 0.16) * (1 + k * 0.2), k / 4 - 1) for k in range(1, 5)]
    brush.fill(face, Fade(mix(rock, palette.sun, 0.16), mix(rock, palette.haze, 0.35)))
    shade = polygon([(0, -1), *spine, (-half, 0)])
    brush.fill(shade, Fade(dark, mix(dark, palette.haze, 0.4)), within=face)


def _snowcap(stage: Stage, brush: Brush, half: float, distance: float) -> None:
    share = stage.dice.uniform(0.26, 0.36)
    hem = [(u * half * share, share * (1 + v) - 1) for u, v in _CAP]
    white = stage.palette.land("#ffffff", distance * 0.6)
    brush.fill(polygon([(0, -1), *hem]), mix(white, stage.palette.sun, 0.25))
    brush.fill(polygon([(0, -1), *hem[3:]]), mix(white, stage.palette.tone, 0.35), 0.8)


def mountains(stage: Stage, *, winter: bool = False) -> None:
    """Two ranges, foothills and a near slope with firs."""
    slope, near = ("#eef4fb", "#f8fbff") if winter else ("#5d8a5e", "#7aa85a")
    dice, unit = stage.dice, stage.unit
    room = min(stage.horizon * 0.72, unit * 0.5)
    range_of_peaks(stage, level=stage.horizon + unit * 0.02, high=room, distance=0.52, snow=True)
    stage.canvas.veil(
        stage.horizon - unit * 0.2, stage.horizon + unit * 0.03, stage.palette.haze, (0.0, 0.55)
    )
    range_of_peaks(stage, level=stage.horizon + unit * 0.07, high=room * 0.58, distance=0.26, snow=True)
    stage.canvas.veil(stage.horizon - unit * 0.1, stage.horizon + unit * 0.08, stage.palette.haze, (0.0, 0.4))
    ground(stage, ridge(stage, stage.horizon + unit * 0.08, unit * 0.06, bumps=4), slope, 0.22)
    for i in range(round(16 * stage.width / unit)):
        x = stage.width * (i + dice.random()) / (16 * stage.width / unit)
        spot = (x, stage.horizon + unit * dice.uniform(0.075, 0.12), unit * dice.uniform(0.05, 0.085))
        pine(stage, spot, "#3d6b52", 0.12, snowy=winter)
    if winter:
        ground(stage, ridge(stage, stage.horizon + unit * 0.16, unit * 0.03, bumps=3), near, 0.0)
    else:
        meadow(stage, near)
    for x in (0.04, 0.13, 0.88, 0.96):
        foot = (stage.width * (x + dice.uniform(-0.02, 0.02)), stage.horizon + unit * dice.uniform(0.2, 0.32))
        pine(stage, (*foot, unit * dice.uniform(0.2, 0.34)), "#32614a", 0.0, snowy=winter)


def lake(stage: Stage) -> None:
    """Mountains and firs mirrored in still water."""
    unit, dice = stage.unit, stage.dice
    room = min(stage.horizon * 0.7, unit * 0.45)
    range_of_peaks(stage, level=stage.horizon + 2, high=room, distance=0.5, snow=True)
    stage.canvas.veil(stage.horizon - unit * 0.16, stage.horizon + 1, stage.palette.haze, (0.0, 0.5))
    ground(stage, ridge(stage, stage.horizon - unit * 0.012, unit * 0.04, bumps=4), "#5d8a5e", 0.25)
    for i in range(round(22 * stage.width / unit)):
        x = stage.width * (i + dice.random()) / (22 * stage.width / unit)
        pine(stage, (x, stage.horizon + 1, unit * dice.uniform(0.04, 0.085)), "#3d6b52", 0.18)
    water.calm(stage)
