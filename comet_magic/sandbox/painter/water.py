"""Water: what it mirrors, how it ripples, and waves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from .canvas import Canvas, Fade, mix, ramp
from .shapes import Outline, Point, arc, curve, ellipse, polygon, stroke

if TYPE_CHECKING:
    from .stage import Stage


def pond(stage: Stage) -> None:
    """Still water in front of low hills."""
    dice, unit = stage.dice, stage.unit
    side = -1 if stage.sun[0] > stage.width / 2 else 1
    for distance, high in ((0.72, 0.055), (0.52, 0.032)):
        middle = stage.width * (0.5 + side * dice.uniform(0.2, 0.55))
        half = stage.width * dice.uniform(0.4, 0.6)
        points = [
            (middle + half * u, stage.horizon - unit * high * (1 - u * u) * dice.uniform(0.7, 1.2))
            for u in (-1, -0.6, -0.2, 0.2, 0.6, 1)
        ]
        stage.canvas.fill([curve(points)], mix(stage.palette.tone, stage.palette.haze, distance))
    calm(stage)


def calm(stage: Stage) -> None:
    """Still water: the sky upside down, darker towards the viewer, with a path of light below the sun."""
    _mirror(stage)
    _sheen(stage)
    _glitter(stage)


def open_sea(stage: Stage) -> None:
    """Water with rows of small waves."""
    calm(stage)
    _crests(stage)


def rough_sea(stage: Stage, row: int) -> None:
    """One of five rows of swell; the subject rides between them."""
    dice, unit = stage.dice, stage.unit
    far, near = stage.palette.water
    share = (row + 1) / 5
    level = stage.horizon + stage.depth * (0.02 + 0.2 * row)
    long, high = unit * (0.16 + 0.11 * row), unit * (0.012 + 0.017 * row)
    x = -long * dice.uniform(0.1, 0.9)
    crest: list[Point] = []
    foam: Outline = []
    while x < stage.width + long:
        tip = (x + long * 0.62, level - high * dice.uniform(0.9, 1.5))
        wave = curve(
            [(x, level), (x + long * 0.32, level - high * 0.45), tip, (x + long * 0.8, level - high * 0.2)]
        )
        crest += wave
        foam += stroke(wave[12:26], unit * 0.0015, unit * (0.003 + 0.0012 * row))
        x += long * dice.uniform(0.92, 1.08)
    body = polygon([*crest, (stage.width + long, stage.height + 2), (-long, stage.height + 2)])
    tone = mix(far, near, share)
    stage.canvas.fill(body, Fade(mix(tone, far, 0.45), mix(tone, near, 0.5)))
    stage.canvas.fill(foam, mix("#ffffff", far, 0.15), 0.35 + 0.1 * row)


def _mirror(stage: Stage) -> None:
    top, width, height = round(stage.horizon), stage.width, stage.height - round(stage.horizon)
    above = stage.canvas.image.crop((0, 0, width, top)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    shown = min(top, max(1, round(height * 1.15)))
    picture = above.crop((0, 0, width, shown)).resize((width, height), Image.Resampling.BILINEAR)
    picture = rippled(picture, stage.unit, strength=0.010)
    tone = ramp(stage.palette.water, (width, height))
    mask = ramp(("#404040", "#8c8c8c", "#e4e4e4"), (width, height)).getchannel(0)
    picture.paste(tone, (0, 0), mask)
    stage.canvas.image.paste(picture, (0, top))


def rippled(picture: Image.Image, unit: float, strength: float) -> Image.Image:
    """The picture seen in moving water: strips shifted sideways, wider and further towards the viewer."""
    found = picture.copy()
    phase = 0.0
    for y in range(picture.height):
        near = y / picture.height
        phase += 1 / (unit * (0.0022 + 0.006 * near))
        shift = round(
            unit * strength * (0.3 + near) * (math.sin(phase) + 0.45 * math.sin(phase * 0.37 + 1.3))
        )
        if shift:
            row = picture.crop((0, y, picture.width, y + 1))
            found.paste(row, (shift, y))
    return found


def _sheen(stage: Stage) -> None:
    """Thin lenses of lighter and darker water, small and dense far away."""
    dice, unit = stage.dice, stage.unit
    far, near = stage.palette.water
    light: Outline = []
    dark: Outline = []
    for _ in range(round(52 * max(1, stage.width / stage.height))):
        share = dice.random() ** 1.5
        y = stage.horizon + stage.depth * (0.03 + 0.95 * share)
        long = unit * dice.uniform(0.02, 0.06) * (0.4 + 2.2 * share)
        (light if dice.random() < 0.6 else dark).extend(
            lens(dice.random() * stage.width, y, long, unit * 0.0021 * (0.3 + share))
        )
    stage.canvas.fill(dark, mix(near, "#000020", 0.2), 0.22)
    stage.canvas.fill(light, mix(far, stage.palette.sky[-1], 0.6), 0.38)


def lens(x: float, y: float, long: float, thick: float) -> Outline:
    """A flat streak with pointed ends."""
    upper = [(x + long * u, y - thick * (1 - u * u)) for u in (-1, -0.7, -0.35, 0, 0.35, 0.7, 1)]
    lower = [(x + long * u, y + thick * (1 - u * u)) for u in (0.7, 0.35, 0, -0.35, -0.7)]
    return polygon([*upper, *lower])


def _glitter(stage: Stage) -> None:
    x, y, radius = stage.sun
    if stage.hour in {"storm", "fog"} or y > stage.horizon + radius:
        return
    dice, unit = stage.dice, stage.unit
    path: Outline = []
    for i in range(46):
        share = (i / 46) ** 1.4
        spread = radius * (0.75 + 0.9 * share)
        long = spread * dice.uniform(0.25, 0.95) * (1 - 0.55 * share)
        shift = dice.uniform(-1, 1) * spread * 0.65
        level = stage.horizon + stage.depth * (0.012 + 0.9 * share)
        path += lens(x + shift, level, long, unit * (0.0012 + 0.0021 * share))
    stage.canvas.fill(path, Fade(stage.palette.sun, mix(stage.palette.glow, stage.palette.sun, 0.3)), 0.72)


def _crests(stage: Stage) -> None:
    dice, unit = stage.dice, stage.unit
    white: Outline = []
    for i in range(30):
        share = ((i + dice.random()) / 30) ** 1.4
        y = stage.horizon + stage.depth * (0.05 + 0.92 * share)
        x, size = dice.random() * stage.width, unit * (0.014 + 0.036 * share)
        thick = size * 0.1
        upper = arc(x, y, size, 195, 345, squash=0.34)
        white.append([*upper, *((u, v + thick * (1 - abs(u - x) / size)) for u, v in reversed(upper))])
    stage.canvas.fill(white, mix("#ffffff", stage.palette.water[0], 0.35), 0.55)


def rings(stage: Stage, x: float, y: float, width: float) -> None:
    """Ripples around something that floats."""
    for i, opacity in ((1, 0.5), (2, 0.32), (3, 0.2)):
        half, flat = width * (0.42 + 0.16 * i), width * (0.03 + 0.028 * i)
        thick = max(0.8, stage.unit * 0.003)
        inner = ellipse(x, y + flat * 0.35, half - thick * 3, max(0.1, flat - thick))
        stage.canvas.fill(ellipse(x, y + flat * 0.35, half, flat), stage.palette.sky[-1], opacity, cut=inner)


def contact(stage: Stage, x: float, y: float, half: float) -> None:
    """The dark line where something meets the water."""
    dark = mix(stage.palette.water[1], "#100820", 0.35)
    for grow in (0.78, 0.64, 0.5):
        stage.canvas.fill(ellipse(x, y, half * grow, max(0.6, half * 0.035 * grow)), dark, 0.16)


def reflection(layer: Image.Image, stage: Stage, *, below: int) -> Image.Image:
    """The layer upside down as the water shows it; what lies under its water line (`below` pixels) is dropped."""
    upper = layer.crop((0, 0, layer.width, layer.height - below)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    upper = upper.resize((upper.width, max(1, round(upper.height * 0.82))), Image.Resampling.BILINEAR)
    upper = rippled(upper, stage.unit, strength=0.007)
    colours, alpha = upper.convert("RGB"), upper.getchannel("A")
    colours = Image.blend(colours, Image.new("RGB", colours.size, mix(*stage.palette.water, 0.6)), 0.42)
    fade = ramp(("#c8c8c8", "#9a9a9a", "#303030"), upper.size).getchannel(0)
    colours.putalpha(ImageChops.multiply(alpha, fade))
    return colours


def deep(stage: Stage) -> None:
    """Below the surface: light from above, plants, sand, bubbles."""
    canvas, dice, unit = stage.canvas, stage.dice, stage.unit
    night = stage.palette.lamps
    stops = ("#1b5f8c", "#12466f", "#0c2c50") if night else ("#9be7e0", "#3fb6c6", "#1c7ba8", "#14508a")
    canvas.image.paste(ramp(stops, canvas.image.size), (0, 0))
    canvas.glow(stage.width * 0.5, -unit * 0.1, unit * 0.9, "#f2fff0", 0.25 if night else 0.6)
    _rays(stage, 0.12 if night else 0.26)
    _seabed(stage, night=night)
    bubbles: Outline = []
    for _ in range(26):
        x, y, size = (
            dice.random() * stage.width,
            dice.random() * stage.height * 0.85,
            unit * dice.uniform(0.003, 0.012),
        )
        bubbles += ellipse(x, y, size)
    canvas.fill(bubbles, "#eafffb", 0.32)


def _rays(stage: Stage, strength: float) -> None:
    """Shafts of light that fade on their way down; painted small, since they are soft."""
    dice, small = stage.dice, Canvas(math.ceil(stage.width / 4), math.ceil(stage.height / 4))
    unit, low = stage.unit / 4, small.height * 0.85
    for _ in range(5):
        x, wide = small.width * dice.uniform(0.1, 0.9), unit * dice.uniform(0.03, 0.08)
        lean = (x - small.width / 2) * 0.5
        ray = polygon(
            [
                (x - wide * 0.4, -2),
                (x + wide * 0.4, -2),
                (x + lean + wide * 1.6, low),
                (x + lean - wide * 1.6, low),
            ]
        )
        small.fill(ray, "#f4fff2", strength)
    layer = small.finished()
    fade = ramp(("#ffffff", "#707070", "#000000"), (small.width, math.ceil(low))).getchannel(0)
    alpha = Image.new("L", layer.size)
    alpha.paste(fade, (0, 0))
    layer.putalpha(ImageChops.multiply(layer.getchannel("A"), alpha))
    stage.canvas.lay(layer.resize((small.width * 4, small.height * 4), Image.Resampling.BICUBIC), 0, 0)


def _seabed(stage: Stage, *, night: bool) -> None:
    dice, unit = stage.dice, stage.unit
    ground = "#31517a" if night else "#e7d6a0"
    for layer, tone in ((0, 0.45), (1, 0.1)):
        base = stage.height - unit * (0.15 - 0.07 * layer)
        points = [(stage.width * i / 5, base + dice.uniform(-0.03, 0.03) * unit) for i in range(-1, 7)]
        body = polygon(
            [*curve(points), (stage.width * 1.3, stage.height + 9), (-stage.width * 0.3, stage.height + 9)]
        )
        stage.canvas.fill(body, mix(ground, "#1c6a98", tone))
        for _ in range(5):
            x = stage.width * dice.choice((dice.uniform(0, 0.3), dice.uniform(0.7, 1)))
            _weed(
                stage,
                x,
                base + unit * 0.04,
                unit * dice.uniform(0.1, 0.26),
                dice.choice(("#1f8a70", "#2fa37a", "#c75b7a", "#e0884f")),
            )


def _weed(stage: Stage, x: float, y: float, tall: float, colour: str) -> None:
    bend = stage.dice.uniform(0.08, 0.16)
    for k in (-1, 0, 1):
        top = tall * (1 - 0.25 * abs(k))
        line = [
            (x + k * tall * 0.1 + math.sin(i * 1.1 + k) * tall * bend * i / 6, y - top * i / 6)
            for i in range(7)
        ]
        stage.canvas.fill(
            stroke(curve(line, steps=5), tall * 0.07, tall * 0.02), mix(colour, "#1c6a98", 0.25)
        )
