"""What is above the horizon and what falls from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

from .canvas import Brush, Canvas, Fade, mix, ramp
from .shapes import Outline, arc, box, curve, ellipse, polygon, stroke

if TYPE_CHECKING:
    from .stage import Stage

_COARSE = 4  # a smooth sky is painted small and enlarged


def heavens(stage: Stage) -> None:
    """Sky, stars, sun or moon, clouds."""
    _gradient(stage)
    if stage.palette.stars:
        stars(stage, count=150)
        moon(stage)
    elif stage.hour != "storm":
        _sun(stage)
    if stage.hour == "storm":
        _overcast(stage)
    elif stage.hour == "fog" or stage.position % 3 == 1 or stage.hour == "night":
        streaks(stage)
    else:
        cumulus(stage)


def _gradient(stage: Stage) -> None:
    size = (math.ceil(stage.width / _COARSE), math.ceil(stage.height / _COARSE))
    small = Canvas(*size, ground="#000000")
    horizon = max(1, round(stage.horizon / _COARSE))
    small.image.paste(stage.palette.haze, (0, 0, *size))
    small.image.paste(ramp(stage.palette.sky, (size[0], horizon)), (0, 0))
    x, y, radius = (value / _COARSE for value in stage.sun)
    reach = stage.unit / _COARSE
    small.glow(x, y, reach * 1.0, stage.palette.glow, 0.55, power=1.6)
    small.glow(x, y, radius * 3.2, stage.palette.sun, 0.55, power=1.8)
    full = (size[0] * _COARSE, size[1] * _COARSE)
    stage.canvas.image.paste(small.image.resize(full, Image.Resampling.BILINEAR), (0, 0))


def _sun(stage: Stage) -> None:
    x, y, radius = stage.sun
    stage.canvas.fill(ellipse(x, y, radius), stage.palette.sun)


def stars(stage: Stage, count: int) -> None:
    """Small stars, a few of them bright, more towards the zenith."""
    dice, unit = stage.dice, stage.unit
    faint: Outline = []
    bright: Outline = []
    for _ in range(count):
        x, y = dice.random() * stage.width, dice.random() ** 1.4 * stage.horizon
        size = unit * dice.uniform(0.0008, 0.0021)
        if dice.random() < 0.07:
            bright += spark(x, y, size * 5.5)
        else:
            faint += ellipse(x, y, max(size, 0.45))
    stage.canvas.fill(faint, "#ffffff", 0.75)
    stage.canvas.fill(bright, "#fffbe8", 0.95)


def spark(x: float, y: float, size: float, points: int = 4) -> Outline:
    """A star with concave sides."""
    corners = []
    for i in range(points * 2):
        reach = size if i % 2 == 0 else size * (0.16 if points == 4 else 0.42)
        angle = math.pi * i / points - math.pi / 2
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return [corners]


def moon(stage: Stage) -> None:
    """A full moon with its seas, or a crescent in every second picture."""
    x, y, radius = stage.sun
    disc = ellipse(x, y, radius)
    if stage.position % 2 == 1 and radius < stage.unit * 0.1:
        stage.canvas.fill(
            disc, stage.palette.sun, cut=ellipse(x - radius * 0.42, y - radius * 0.2, radius * 0.86)
        )
        return
    stage.canvas.fill(disc, stage.palette.sun)
    seas = (
        (-0.35, -0.28, 0.3),
        (0.28, -0.42, 0.17),
        (0.2, 0.2, 0.34),
        (-0.38, 0.42, 0.16),
        (0.58, -0.02, 0.12),
    )
    spots = [ring for u, v, r in seas for ring in ellipse(x + u * radius, y + v * radius, r * radius)]
    stage.canvas.fill(spots, mix(stage.palette.sun, stage.palette.sky[-1], 0.35), 0.5, within=disc)


def cumulus(stage: Stage) -> None:
    """Round clouds with a flat base."""
    dice, unit = stage.dice, stage.unit
    count = max(2, min(6, round(2.6 * stage.width / stage.height**0.5 / unit**0.5)))
    light, shade = stage.palette.cloud
    for i in range(count):
        x = stage.width * (i + dice.uniform(0.15, 0.85)) / count
        y = stage.horizon * (
            0.26 + 0.4 * ((i * 2 + stage.position) % count) / count + dice.uniform(-0.04, 0.04)
        )
        size = unit * dice.uniform(0.04, 0.066) * (1.25 - y / stage.horizon)
        stage.canvas.fill(_cloud(stage, x, y, size), Fade(light, mix(shade, light, 0.3)), 0.85)


def _cloud(stage: Stage, x: float, y: float, size: float) -> Outline:
    shape: Outline = []
    side = stage.dice.choice((-1, 1))
    for u, v, r in ((-1.3, -0.2, 0.5), (-0.5, -0.42, 0.8), (0.42, -0.55, 1.0), (1.3, -0.28, 0.62)):
        shape += ellipse(x + u * size * side, y + v * size, size * r * stage.dice.uniform(0.88, 1.1))
    base = box(x - 2.35 * size, y - 0.5 * size, 4.7 * size, 0.84 * size, 0.42 * size)
    roof = y + 0.34 * size
    return base + [[(u, min(v, roof)) for u, v in ring] for ring in shape]


def streaks(stage: Stage) -> None:
    """Long thin clouds, some of them two or three deep."""
    dice, unit = stage.dice, stage.unit
    light, shade = stage.palette.cloud
    for _ in range(5):
        x, y = dice.random() * stage.width, stage.horizon * dice.uniform(0.18, 0.88)
        long, thick = unit * dice.uniform(0.18, 0.42), unit * dice.uniform(0.011, 0.018)
        shape: Outline = []
        for row in range(dice.randint(1, 3)):
            shift, length = dice.uniform(-0.3, 0.3) * long, long * dice.uniform(0.5, 1.0)
            shape += box(x - length / 2 + shift, y + row * thick * 0.98, length, thick, thick / 2)
        stage.canvas.fill(shape, Fade(light, mix(light, shade, 0.6)), 0.5)


def _overcast(stage: Stage) -> None:
    dice, unit = stage.dice, stage.unit
    light, shade = stage.palette.cloud
    for layer, share in enumerate((0.62, 0.4, 0.2)):
        base = stage.horizon * share
        shape = box(-unit, -unit, stage.width + 2 * unit, base + unit)
        x = -unit * 0.1
        while x < stage.width + unit * 0.1:
            radius = unit * dice.uniform(0.06, 0.12)
            shape += ellipse(x, base + dice.uniform(-0.02, 0.02) * unit, radius, radius * 0.72)
            x += radius * dice.uniform(1.0, 1.5)
        tone = mix(light, shade, 0.3 + 0.3 * layer)
        stage.canvas.fill(shape, Fade(mix(tone, stage.palette.sky[0], 0.6), tone), 0.8)


def lightning(stage: Stage) -> None:
    """A bolt and the light around it."""
    dice, unit = stage.dice, stage.unit
    x, y = stage.width * dice.choice((0.2, 0.28, 0.74, 0.82)), stage.horizon * 0.3
    stage.canvas.glow(x, (y + stage.horizon) / 2, unit * 0.5, "#dfe8ff", 0.35)
    points, last = [(x, y)], stage.horizon * 0.97
    while points[-1][1] < last:
        u, v = points[-1]
        points.append(
            (u + dice.uniform(-0.055, 0.055) * unit, min(last, v + dice.uniform(0.03, 0.09) * unit))
        )
    stage.canvas.fill(stroke(points, unit * 0.009, unit * 0.003), "#fffef0")
    u, v = points[len(points) // 2]
    branch = [(u, v), (u + 0.05 * unit, v + 0.06 * unit), (u + 0.06 * unit, v + 0.12 * unit)]
    stage.canvas.fill(stroke(branch, unit * 0.005, unit * 0.002), "#fffef0")


def rain(stage: Stage) -> None:
    """Slanted streaks over everything."""
    dice, unit = stage.dice, stage.unit
    drops: Outline = []
    for _ in range(round(110 * (stage.width * stage.height) ** 0.5 / unit)):
        x, y, long = (
            dice.uniform(-0.1, 1.1) * stage.width,
            dice.random() * stage.height,
            unit * dice.uniform(0.02, 0.05),
        )
        thick = max(0.6, unit * 0.0012)
        drops += polygon(
            [(x, y), (x + thick, y), (x + thick - long * 0.3, y + long), (x - long * 0.3, y + long)]
        )
    stage.canvas.fill(drops, "#e8f1f6", 0.4)


def snowfall(stage: Stage) -> None:
    """Flakes of three sizes."""
    dice, unit = stage.dice, stage.unit
    flakes: Outline = []
    for _ in range(round(120 * (stage.width * stage.height) ** 0.5 / unit)):
        x, y = dice.random() * stage.width, dice.random() * stage.height
        flakes += ellipse(x, y, unit * dice.choice((0.002, 0.003, 0.0045)))
    stage.canvas.fill(flakes, "#ffffff", 0.8)


def aurora(stage: Stage) -> None:
    """Curtains of green and violet light."""
    small = Canvas(math.ceil(stage.width / _COARSE), math.ceil(stage.height / _COARSE))
    dice, top, step = stage.dice, stage.horizon / _COARSE, stage.horizon / _COARSE * 0.055
    for colour, base in (("#a06bf0", 0.42), ("#57d9c9", 0.58), ("#3df0a8", 0.7)):
        spots = [(small.width * i / 6, top * (base + dice.uniform(-0.12, 0.12))) for i in range(-1, 8)]
        line = curve(spots, steps=12)
        for k in range(9):
            lower = [(x, y - step * k * 0.25) for x, y in line]
            upper = [
                (x, y - step * (k + 1) * (1 + 0.12 * math.sin(x * 40 / small.width)))
                for x, y in reversed(line)
            ]
            small.fill([lower + upper], colour, 0.14 * (1 - k / 11))
    layer = small.finished().resize((small.width * _COARSE, small.height * _COARSE), Image.Resampling.BICUBIC)
    stage.canvas.lay(layer, 0, 0)


def rainbow(stage: Stage) -> None:
    """Six bands over the land."""
    radius, thick = min(stage.width * 0.46, stage.horizon * 0.86), stage.unit * 0.017
    colours = ("#f05d5e", "#f7a145", "#f9e076", "#6cc58a", "#5aa9e6", "#9b72cf")
    for i, colour in enumerate(colours):
        points = arc(stage.width / 2, stage.horizon * 1.02, radius - i * thick, 180, 360)
        stage.canvas.fill(stroke(points, thick * 1.04), colour, 0.55)


def birds(stage: Stage) -> None:
    """A few far birds."""
    dice, unit = stage.dice, stage.unit
    x, y = stage.width * dice.uniform(0.2, 0.75), stage.horizon * dice.uniform(0.25, 0.5)
    for i in range(dice.randint(3, 5)):
        brush = Brush(stage.canvas, x + unit * dice.uniform(0.03, 0.05) * i, y + unit * dice.uniform(-0.03, 0.03),
                      unit * dice.uniform(0.014, 0.022))  # fmt: skip
        wings = stroke(curve("-1,-0.35 -0.5,-0.42 0,0 0.5,-0.42 1,-0.35", steps=5), 0.16)
        brush.fill(wings, mix(stage.palette.tone, "#101020", 0.4), 0.75)
