"""The subjects of a scene: where they go, in what light, and their shadow or reflection."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from . import water
from .canvas import Brush, Canvas, Fade, mix, rgb, swatch
from .palette import HOURS
from .shapes import box, curve, ellipse, polygon
from .stage import Stage
from .subjects import BY_NAME, RIDERS, SEATS, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from .stage import Land
    from .words import Mention

_MOST = 6  # subjects in one picture
_SHRINK = (1.0, 0.84, 0.7, 0.6, 0.54, 0.5)  # so many share the room
_SHOT = (1.0, 0.86, 0.94, 1.06, 0.8)  # from closer or further, by position
_ANCHOR = (0.44, 0.58, 0.36, 0.5, 0.64)  # one alone stands off the middle
_VARIED = ("#3f8fd0", "#f2b03c", "#5fa86a", "#9a6fc0", "#f0718a")  # for the second and later of a kind


@dataclass(frozen=True)
class Actor:
    """A subject in its colour, and who rides on it."""

    subject: Subject
    colour: str
    passenger: Actor | None = None


@dataclass(frozen=True)
class Placed:
    """An actor on the canvas: the middle of its base, and pixels per unit."""

    actor: Actor
    x: float
    y: float
    scale: float
    flip: bool
    islet: bool = False  # it stands in the water, on ground of its own


def appear(stage: Stage, mentions: Sequence[Mention], place: Land) -> None:
    """Paint the subjects, the far ones first."""
    for placed in sorted(_arranged(stage, actors(mentions), place), key=lambda one: one.y):
        layer, left, top = portrait(stage, placed)
        kind = placed.actor.subject.place
        if place.surface == "water" and kind not in {"air", "deep"}:
            _float(stage, placed, layer, left, top)
        elif place.surface in {"ground", "table"} and kind != "air":
            _shadow(stage, placed)
        _behind(stage, placed)
        stage.canvas.lay(layer, left, top)


def actors(mentions: Sequence[Mention]) -> list[Actor]:
    """Each subject as often as it is mentioned; the first that can ride does so where another has a seat."""
    found: list[Actor] = []
    for mention in mentions:
        subject = BY_NAME[mention.name]
        for number in range(mention.count):
            own = _VARIED[(number - 1) % len(_VARIED)] if subject.varied and number else subject.colour
            found.append(Actor(subject, mention.colour or own))
    riders = [actor for actor in found if actor.subject.name in RIDERS]
    carriers = [actor for actor in found if actor.subject.name in SEATS]
    if riders and carriers:
        found = [actor for actor in found if actor.subject.name not in RIDERS]
        found[found.index(carriers[0])] = replace(carriers[0], passenger=riders[0])
    return found[:_MOST]


def _arranged(stage: Stage, wanted: Sequence[Actor], place: Land) -> list[Placed]:
    dice, count = stage.dice, len(wanted)
    # On tall strips the width is all there is, so it is used a little more.
    size = stage.unit * _SHOT[stage.position % 5] * min(1.35, max(1.0, math.sqrt(stage.height / stage.width)))
    found: list[Placed] = []
    for number, actor in enumerate(wanted):
        subject = actor.subject
        back = dice.uniform(0.72, 0.92) if number else 1.0
        scale = size * subject.size * _SHRINK[count - 1] * back
        margin = min(subject.half * scale * 1.06, stage.width / 2)
        x = min(max(_across(stage, number, count), margin), stage.width - margin)
        y = _level(stage, place, subject, scale, back=back)
        islet = (
            place.surface == "water" and subject.place in {"ground", "road"} and subject.name != "lighthouse"
        )
        found.append(Placed(actor, x, y, scale, flip=stage.sun[0] > x, islet=islet))
    return found


def _across(stage: Stage, number: int, count: int) -> float:
    """One stands off the middle; several share the width, the first one in the middle."""
    if count == 1:
        return stage.width * _ANCHOR[stage.position % 5]
    room = min(stage.width, stage.unit * 1.9)
    hand = -1 if stage.position % 2 else 1
    order = sorted(range(count), key=lambda slot: (abs(slot - (count - 1) / 2), slot * hand))
    slot = (order[number] + 0.5) / count - 0.5
    return stage.width / 2 + room * slot + stage.dice.uniform(-0.02, 0.02) * stage.unit


def _level(stage: Stage, place: Land, subject: Subject, scale: float, *, back: float) -> float:
    if subject.place in {"air", "deep"} or place.surface == "none":
        room = stage.height if subject.place == "deep" else stage.horizon
        middle = room * (0.5 + stage.dice.uniform(-0.1, 0.1))
        return min(middle + scale * 0.5, stage.height)
    stand = place.drive if subject.place == "road" and place.drive else place.stand
    reach = stand * (1 - (1 - back) * 0.9)
    level = stage.horizon + min(stage.depth, stage.unit * 0.62) * reach
    return min(max(level, scale * 0.9), stage.height * 0.98)


def portrait(stage: Stage, placed: Placed) -> tuple[Image.Image, int, int]:
    """The actor in the light of the hour, cut out, and where its upper left corner goes."""
    scale = placed.scale
    width, above, below = math.ceil(scale * 1.5), math.ceil(scale * 1.25), math.ceil(scale * 0.46)
    canvas = Canvas(width, above + below)
    _draw(Brush(canvas, width / 2, above, scale, placed.flip), stage, placed)
    layer = _lit(canvas, stage, placed)
    found = layer.getbbox() or (0, 0, 1, 1)
    return layer.crop(found), round(placed.x - width / 2) + found[0], round(placed.y - above) + found[1]


def _draw(brush: Brush, stage: Stage, placed: Placed) -> None:
    actor = placed.actor
    if placed.islet:
        half = min(0.74, actor.subject.half * 1.3 + 0.08)
        mound = curve([(-half, 0.03), (-half * 0.7, -0.03), (0, -0.055), (half * 0.7, -0.03), (half, 0.03)])
        brush.fill([mound], Fade(stage.palette.land("#7fae58"), stage.palette.land("#8a7a62")))
        brush = brush.moved(0, -0.035)
    if actor.passenger is None:
        actor.subject.draw(brush, actor.colour)
        return
    seat, rider = SEATS[actor.subject.name], actor.passenger
    place = brush.moved(seat.x, seat.y, seat.size)
    if seat.behind:
        rider.subject.draw(place, rider.colour)
    actor.subject.draw(brush, actor.colour)
    if not seat.behind:
        rider.subject.draw(place, rider.colour)


def _lit(canvas: Canvas, stage: Stage, placed: Placed) -> Image.Image:
    light, shade = rgb(stage.palette.light), mix(stage.palette.light, stage.palette.shade, 0.6)
    ends = (light, shade) if stage.sun[0] < placed.x else (shade, light)
    lit = ImageChops.multiply(canvas.image, swatch(Fade(*ends, sideways=True), canvas.image.size))
    if stage.palette.lamps:
        lit.paste(canvas.image, (0, 0), canvas.lamps)
    canvas.image = lit
    return canvas.finished()


def _float(stage: Stage, placed: Placed, layer: Image.Image, left: int, top: int) -> None:
    waterline = round(placed.y)
    below = max(0, top + layer.height - waterline)
    if below < layer.height:
        stage.canvas.lay(water.reflection(layer, stage, below=below), left, waterline)
        water.contact(stage, placed.x, placed.y, placed.actor.subject.half * placed.scale)
        water.rings(stage, placed.x, placed.y, placed.actor.subject.half * placed.scale * 1.5)


def _shadow(stage: Stage, placed: Placed) -> None:
    half = placed.actor.subject.half * placed.scale
    x = placed.x - stage.falls_from(placed.x) * half * 0.12
    ink = mix(stage.palette.tone, "#100820", 0.5)
    for grow in (1.16, 1.08, 1.0, 0.92, 0.84):
        stage.canvas.fill(ellipse(x, placed.y, half * grow, max(1.0, half * 0.11 * grow**2)), ink, 0.09)


def _behind(stage: Stage, placed: Placed) -> None:
    """What belongs to a subject but reaches beyond it."""
    brush = Brush(stage.canvas, placed.x, placed.y, placed.scale, placed.flip)
    name = placed.actor.subject.name
    if name == "lighthouse" and (stage.palette.lamps or stage.hour == "fog"):
        brush.glow(0, -0.86, 0.5, "#ffe9a8", 0.6)
        for end in (-2.4, 2.4):
            for wide, opacity in ((0.3, 0.16), (0.16, 0.2)):
                beam = polygon([(0, -0.87), (end, -0.87 - wide), (end, -0.87 + wide)])
                brush.fill(beam, "#fff3c8", opacity)
    elif name == "rocket":
        brush.glow(0, 0.02, 0.55, "#ffb45e", 0.55)
    elif name == "train":
        sleepers = [ring for k in range(-40, 40) for ring in box(k * 0.09, 0.0, 0.03, 0.03)]
        brush.fill(sleepers, stage.palette.land("#7a5a46"))
        brush.fill(box(-9, -0.004, 18, 0.018), stage.palette.land("#5a5666"))
    elif name == "kite":
        string = curve("0,-0.5 -0.35,0.4 -1,1.4")
        brush.fill([[*string, *((x + 0.008, y) for x, y in reversed(string))]], "#ffffff", 0.7)


def alone(size: tuple[int, int], mentions: Sequence[Mention], dice: Random, *, position: int) -> Image.Image:
    """The subjects on nothing, in plain light, as large as they fit."""
    palette = replace(HOURS["day"][0], light="#ffffff", shade="#dcdce8")
    stage = Stage(Canvas(*size), palette, "day", size[1], (0.0, 0.0, 1.0), dice, position)
    wanted = actors(mentions)
    count = len(wanted)
    cells = [(size[0] / columns, size[1] / math.ceil(count / columns)) for columns in range(1, count + 1)]
    wide, high = max(cells, key=min)
    columns = round(size[0] / wide)
    for number, actor in enumerate(wanted):
        trial = Placed(actor, 0, 0, 100, flip=(number + position) % 2 == 1)
        layer, left, top = portrait(stage, trial)
        fit = min(wide / layer.width, high / layer.height) * (0.84, 0.74, 0.8)[position % 3]
        x = wide * (number % columns + 0.5) - (left + layer.width / 2) * fit
        y = high * (number // columns + 0.5) - (top + layer.height / 2) * fit
        stage.canvas.lay(*portrait(stage, replace(trial, x=x, y=y, scale=100 * fit)))
    return stage.canvas.finished()
