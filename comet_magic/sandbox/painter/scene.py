"""A scene: the land at its hour, the subjects on it, the weather over it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from . import cast, land, mountains, places, sky, water
from .palette import HOURS
from .stage import Land, Stage

if TYPE_CHECKING:
    from random import Random

    from .canvas import Canvas
    from .words import Idea


def _harbour(stage: Stage) -> None:
    places.skyline(stage)
    water.calm(stage)


LANDS: dict[str, Land] = {
    "water": Land(water.pond, 0.56, 0.42, "water"),
    "sea": Land(water.open_sea, 0.54, 0.44, "water"),
    "lake": Land(mountains.lake, 0.55, 0.45, "water"),
    "harbour": Land(_harbour, 0.56, 0.46, "water"),
    "beach": Land(land.beach, 0.46, 0.72),
    "hills": Land(land.hills, 0.58, 0.66),
    "mountains": Land(mountains.mountains, 0.60, 0.66),
    "snowy mountains": Land(partial(mountains.mountains, winter=True), 0.60, 0.66),
    "forest": Land(land.forest, 0.62, 0.70),
    "desert": Land(land.desert, 0.58, 0.66),
    "snow": Land(land.snow, 0.56, 0.72),
    "city": Land(places.city, 0.66, 0.36, drive=0.7),
    "road": Land(land.road, 0.52, 0.66),
    "room": Land(places.room, 0.62, 0.46, "table", sky=False),
    "space": Land(places.space, 0.86, 0.2, "none", sky=False),
    "moon": Land(places.moonscape, 0.68, 0.55, sky=False),
    "deep": Land(water.deep, 0.80, 0.2, "none", sky=False),
}


def paint_scene(canvas: Canvas, idea: Idea, dice: Random, *, position: int, seed: int) -> None:
    """Paint the idea on the whole canvas."""
    place = LANDS[idea.land]
    stage = _stage(canvas, idea, place, dice, position=position, seed=seed)
    if place.sky:
        _overhead(stage, idea)
    if idea.hour == "storm" and idea.land == "sea":
        _tempest(stage, idea, place)
    else:
        place.paint(stage)
        if place.sky:
            _air(stage, idea)
        cast.appear(stage, idea.subjects, place)
    if place.sky:
        _falling(stage, idea)


def _overhead(stage: Stage, idea: Idea) -> None:
    sky.heavens(stage)
    if "aurora" in idea.weather:
        sky.aurora(stage)
    if "rainbow" in idea.weather:
        sky.rainbow(stage)


def _tempest(stage: Stage, idea: Idea, place: Land) -> None:
    """Lightning and five rows of swell; the fourth washes over what floats."""
    sky.lightning(stage)
    for row in range(3):
        water.rough_sea(stage, row)
    stand = (0.62 * stage.depth + 0.03 * stage.unit) / min(stage.depth, stage.unit * 0.62)
    cast.appear(stage, idea.subjects, replace(place, stand=stand, surface="swell"))
    for row in (3, 4):
        water.rough_sea(stage, row)


def _air(stage: Stage, idea: Idea) -> None:
    """Far birds and mist, between the land and the subjects."""
    if idea.hour in {"sunrise", "day", "sunset"} and (stage.position % 2 == 0 or not idea.subjects):
        sky.birds(stage)
    if "mist" in idea.weather:
        for share, thick in ((0.02, 0.55), (0.4, 0.3)):
            level = stage.horizon + stage.depth * share
            stage.canvas.veil(level - stage.unit * 0.13, level, stage.palette.haze, (0.0, thick))
            stage.canvas.veil(level, level + stage.unit * 0.16, stage.palette.haze, (thick, 0.0))


def _falling(stage: Stage, idea: Idea) -> None:
    if "rain" in idea.weather or idea.hour == "storm":
        sky.rain(stage)
    if "snowfall" in idea.weather or idea.land == "snow":
        sky.snowfall(stage)


def _stage(canvas: Canvas, idea: Idea, place: Land, dice: Random, *, position: int, seed: int) -> Stage:
    hours = HOURS[idea.hour]
    unit = min(canvas.width, canvas.height)
    horizon = round(canvas.height * (place.horizon + (0.0, 0.03, -0.035)[(seed + position) % 3]))
    across = (0.62, 0.33, 0.6, 0.74, 0.4)[position % 5]
    radius = unit * {"sunrise": 0.075, "sunset": 0.085, "fog": 0.05}.get(idea.hour, 0.052)
    high = horizon * dice.uniform(0.6, 0.76)
    if idea.hour in {"sunrise", "sunset"}:
        high = radius * dice.uniform(0.1, 0.9)
    elif idea.hour == "storm":
        high, radius = horizon * 0.5, radius * 2
    palette = hours[(seed + position) % len(hours)]
    if idea.land in {"space", "moon"}:
        palette = replace(palette, light="#ffffff", shade="#b4addc")
    sun = (canvas.width * across, horizon - high, radius)
    return Stage(canvas, palette, idea.hour, horizon, sun, dice, position)
