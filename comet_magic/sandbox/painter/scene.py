"""A landscape: the sky of the hour, land or water, the subjects, the weather."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random
from typing import NamedTuple

from PIL import Image, ImageFilter

from .canvas import Canvas, Colour, Ring, curve, ellipse, gradient, lit, mix
from .subjects import SUBJECTS, draw
from .words import Idea, read

# Colours of an hour: sky from the top down, clouds, water far and near, light on things, tone of land and its share.
HOURS = {
    "sunrise": "#45619c #8a83b8 #e79aa0 #fbbf8e #ffe3b0 #ffe6d4 #f2b896 #3b5690 #fff2e6 #6a4a90 0.6",
    "day": "#2f86cf #68b4e6 #aedcf2 #d0eaf2 #eef5ec #ffffff #86c6da #1c6ea3 #fffdf6 #2f7a94 0.3",
    "sunset": "#2b2160 #6b2f7c #c8496f #fb8059 #ffcb75 #ff9a7c #ea7e5e #2a1c54 #ffd6b4 #5a2464 0.65",
    "night": "#070b26 #121a48 #1d2a60 #2c3c7c #43559a #24326c #384a8c #0a1030 #98a4d6 #0e1740 0.8",
    "storm": "#1b2530 #31424f #465a66 #6a7e88 #9aaba9 #2b3944 #6a8086 #14242e #b4c0c6 #1f2f3a 0.7",
    "fog": "#93a9b5 #b3c3ca #c8d4d6 #dcdfda #f1ece0 #eef2f0 #cdd6d6 #7f99a6 #e4e8e6 #4c6876 0.5",
}
# Four layers of land from far to near, their colours and kinds; beside water the far two stand, on its shore.
LANDS = {
    "": ("#8a80a8 #625a88 #3f6a5c #d9b98c", "flat firs firs flat"),
    "mountains": ("#6a7a9a #56688a #3d6a58 #3f6e4c", "rock rock firs hill"),
    "hills": ("#7fae8a #74a866 #6aa858 #5a9a4c", "hill firs hill hill"),
    "forest": ("#5f8a78 #47785f #376a50 #2f5e40", "firs firs firs hill"),
    "desert": ("#d0a070 #dca865 #e2ac62 #d89a52", "hill hill hill hill"),
    "city": ("#7c8aa6 #5c6a8c #434f70 #4c5468", "roofs roofs roofs flat"),
}
# How high each kind is, as a share of the shorter edge, and one side of a fir.
_HEIGHTS = {"rock": 0.36, "roofs": 0.36, "hill": 0.17, "firs": 0.12, "flat": 0.05}
_FIR = ((0, 0.05), (0.26, 0.05), (0.1, -0.34), (0.19, -0.34), (0.06, -0.66), (0.12, -0.66), (0, -1))  # fmt: skip
_SUN, _LAMP, _WHITE, _SHADOW = (255, 243, 210), (255, 217, 138), (244, 248, 255), (20, 12, 48)


class Scene(NamedTuple):
    """A canvas, what belongs on it, and the light it is seen in. Positions and sizes are in pixels."""

    canvas: Canvas
    idea: Idea
    rng: Random
    sky: list[Colour]  # from the top to the horizon
    cloud: Colour
    water: list[Colour]  # far, near
    light: Colour  # multiplies the colours of things
    tone: Colour  # what land leans to
    lean: float  # by this share
    horizon: int
    unit: int  # the shorter edge
    sun: tuple[float, float, float]  # x, y, radius


def paint_scene(canvas: Canvas, prompt: str, seed: str, position: int) -> None:
    """Paint what the prompt names; on a transparent canvas only the subjects, or the land if there are none."""
    idea = read(prompt, seed)
    if alone := bool(canvas.alpha and idea.subjects):
        idea = idea._replace(place="", water="", hour="day", snow=False)
    scene = _staged(canvas, idea, Random(f"{seed}/{position}"), position)  # noqa: S311  # no secret
    if idea.place == "room":
        draw(canvas, "room", (canvas.width / 2, canvas.height, *canvas.size), scene.sky[2], scene.light)
    elif not alone:
        _sky(scene)
        for layer in range(2 * (idea.place + idea.water != "sea") if idea.water else 4):
            _land(scene, layer)
        if idea.water:
            _water(scene)
    _subjects(scene)
    if idea.hour == "fog" and not canvas.alpha:
        canvas.glow(canvas.width / 2, scene.horizon, max(canvas.size), scene.sky[4], 0.6)
    if idea.place != "room" and (idea.snow or idea.hour == "storm"):
        drop = ellipse(0, 0, 0.3, 0.3) if idea.snow else [(0, 0), (0.15, 0), (-1.2, 4.2)]
        _strew(scene, drop, canvas.height)


def _staged(canvas: Canvas, idea: Idea, rng: Random, position: int) -> Scene:
    *named, lean = HOURS[idea.hour].split()
    # No two pictures of a call have quite the same light; without a subject the scene takes the colours that are named.
    hues = [] if idea.subjects else idea.colours
    share, hues = (0.5, hues) if hues else (0.09, [rng.choice(("#c06a8a", "#3f8fa8", "#d8a860"))])
    last = hues[-1] if hues[1:] else mix(hues[0], _WHITE, 0.3)
    tints = [(mix(hues[0], last, min(i, 4) / 4), share if i < 5 else share / 2) for i in range(10)]
    colours = [mix(tone, *tint) for tone, tint in zip(named, tints, strict=True)]
    unit, low = min(canvas.size), idea.hour in {"sunrise", "sunset"}
    level = 0.92 if canvas.alpha and idea.subjects else 0.7 if idea.place in {"room", "city"} else 0.57
    horizon = round(canvas.height * (level + rng.uniform(-0.02, 0.03)))
    high = unit * (0.2 if idea.place else 0.05) if low else canvas.height * rng.uniform(0.35, 0.41)
    x = canvas.width * ((0.66, 0.32, 0.6, 0.74, 0.38)[position % 5] + rng.uniform(-0.02, 0.02))
    sun, sky, water = (x, horizon - high, unit * (0.085 if low else 0.055)), colours[:5], colours[6:8]
    cloud, light, tone = colours[5], colours[8], colours[9]
    return Scene(canvas, idea, rng, sky, cloud, water, light, tone, float(lean), horizon, unit, sun)


def _sky(scene: Scene) -> None:
    canvas, rng, unit, (x, y, radius), hour = scene.canvas, scene.rng, scene.unit, scene.sun, scene.idea.hour
    soft = Canvas((canvas.width // 4 + 1, canvas.height // 4 + 1))  # painted small and enlarged
    soft.image.paste(scene.sky[4], (0, 0, *soft.size))
    soft.image.paste(gradient(scene.sky, (soft.width, max(1, scene.horizon // 4))))
    soft.glow(x / 4, y / 4, unit / 4, _SUN, 0.4)
    soft.glow(x / 4, y / 4, radius * 0.8, _SUN, 0.6)
    for _ in range(8):
        at, level = rng.random() * soft.width, rng.uniform(0.06, 0.7) ** 1.2 * scene.horizon / 4
        wide, puffs = unit * rng.uniform(0.04, 0.08) * (1.6 if hour == "storm" else 1), []
        for _ in range(7):
            shape = (rng.uniform(*ends) * wide for ends in ((-0.8, 0.8), (-0.1, 0), (0.3, 0.8), (0.02, 0.09)))
            puffs.append([(at + u, level + v) for u, v in ellipse(*shape)])
        soft.fill(puffs, scene.cloud, opacity=0.55)
    blurred = soft.image.filter(ImageFilter.GaussianBlur(unit * 0.0024))
    canvas.image.paste(blurred.resize((soft.width * 4, soft.height * 4)))
    if hour == "night":
        _strew(scene, ellipse(0, 0, 0.13, 0.13), scene.horizon)
    if hour != "storm":
        canvas.fill([ellipse(x, y, radius, radius)], _SUN)


def _strew(scene: Scene, shape: Ring, bottom: int) -> None:
    """Paint a white shape, in hundredths of the shorter edge, at random spots and in random sizes."""
    found, rng = [], scene.rng
    for _ in range(130 * max(scene.canvas.size) // scene.unit):
        x, y = rng.random() * scene.canvas.width, rng.random() * bottom
        size = max(2, scene.unit / 100 * rng.uniform(0.4, 1.4))
        found.append([(x + u * size, y + v * size) for u, v in shape])
    scene.canvas.fill(found, _WHITE, opacity=0.75)


def _land(scene: Scene, layer: int, low: float = 0) -> None:
    """Paint one layer of the land; `low` puts it lower."""
    canvas, rng, unit, water = scene.canvas, scene.rng, scene.unit, scene.idea.water
    width, depth = canvas.width, canvas.height - scene.horizon
    colour, kind = (text.split()[layer] for text in LANDS[scene.idea.place])
    distance, base = ((0.74, 0.03), (0.5, 0.17), (0.22, 0.36), (0, 0.58))[layer]
    level = scene.horizon + (low or (0 if water else base)) * depth
    high = _HEIGHTS[kind] * (0.7 if water else 1.2 - layer * 0.2) * unit
    near = mix(lit(mix(colour, _WHITE, 0.85 * scene.idea.snow), scene.light), scene.tone, scene.lean)
    haze = mix(scene.sky[3], scene.sky[2], 0.35)
    tone = mix(near, haze, distance)
    foot = mix(near, haze if distance else scene.tone, min(1, distance + 0.3))
    rough, count = kind == "rock", (20 if kind == "roofs" else 4) * width // unit + 3
    heights = [0.6 + 0.4 * rng.random() if rough and i % 2 else rng.random() for i in range(count)]
    for step in range(5 * rough):  # between any two points a third, moved less and less
        moved = [(a + b) / 2 + rng.uniform(-0.22, 0.22) * 0.5**step for a, b in pairwise(heights)]
        heights = [height for pair in zip(heights, moved, strict=False) for height in pair] + heights[-1:]
    line = [(i * width / (len(heights) - 1), level - high * height) for i, height in enumerate(heights)]
    if kind == "roofs":
        line = [(u, y) for (x, y), (end, _) in pairwise(line) for u in (x, end)]
    elif not rough:
        line = curve(line)
    for x, y in rng.choices(line, k=32 * width // unit) if kind == "firs" else ():
        tall = unit * (0.1 - 0.09 * distance) * rng.uniform(0.4, 1.2)
        sides = ([(x + side * u * tall, y + v * tall) for u, v in _FIR] for side in (1, -1))
        canvas.fill([*sides], mix(tone, scene.tone, 0.25))
    canvas.fill([[*line, (width, canvas.height), (0, canvas.height)]], tone, foot)
    if kind == "roofs" and scene.lean > 0.6:
        floor, third, panes = unit * 0.025, width / len(line) / 1.5, []
        for x, y in line[::2]:
            rows = [y + row * floor for row in range(1, int((level - y) / floor))]
            panes += [ellipse(x + rng.choice((1, 2)) * third, row, floor / 5, floor / 4) for row in rows]
        canvas.fill(panes, _LAMP, opacity=0.75)


def _water(scene: Scene) -> None:
    """What is above the horizon upside down, darker towards the viewer, and a path of light below the sun."""
    canvas, rng, unit, (x, _, radius), top = scene.canvas, scene.rng, scene.unit, scene.sun, scene.horizon
    size = width, depth = canvas.width, canvas.height - top
    above = canvas.image.crop((0, max(0, top - depth), width, top)).resize(size)
    canvas.image.paste(above.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, top))
    fade = gradient([(72, 72, 72), (144, 144, 144), (228, 228, 228)], size).getchannel(0)
    canvas.stain(fade, (0, top), scene.water)
    _ripple(scene, top)
    for path in (False, True):
        streaks = []
        for near in (rng.random() ** 1.5 for _ in range(50 if path else 40 * width // unit)):
            long, thick = (0.4 + 2 * near) * rng.uniform(0.3, 1), unit * (0.0008 + 0.0018 * near)
            middle = x + rng.uniform(-0.7, 0.7) * radius * (0.7 + near) if path else rng.random() * width
            streaks.append(ellipse(middle, top + depth * (0.012 + 0.95 * near), long * unit * 0.045, thick))
        dull = not path or scene.idea.hour in {"storm", "fog"}
        canvas.fill(streaks, _SUN if path else scene.sky[4], opacity=0.3 if dull else 0.7)


def _ripple(scene: Scene, top: int) -> None:
    """Move the rows below a level sideways, as water does, further towards the viewer."""
    image, unit, phase = scene.canvas.image, scene.unit, 0.0
    for y in range(top, image.height):
        near = (y - top) / (image.height - top)
        phase += 1 / (unit * (0.0022 + 0.006 * near))
        shift = unit * 0.009 * (0.3 + near) * (math.sin(phase) + 0.45 * math.sin(phase * 0.37 + 1.3))
        image.paste(image.crop((0, y, image.width, y + 1)), (round(shift), y))


def _subjects(scene: Scene) -> None:
    """The subjects side by side, each on its ground: mirrored in water, with a shadow on land."""
    canvas, water, order = scene.canvas, scene.idea.water, ("water", "air", "table", "land")
    things = [(SUBJECTS[name], name, paint) for name, n, paint in scene.idea.subjects for _ in range(n)]
    things = sorted(things[:5], key=lambda thing: order.index(thing[0].ground))
    towards, depth = 1 if scene.sun[0] > canvas.width / 2 else -1, canvas.height - scene.horizon
    for i, ((own, most, ground, *_), name, colour) in enumerate(things):
        x = canvas.width * ((i + 0.5) / len(things) if things[1:] else 0.5 - 0.1 * towards)
        y = scene.horizon + round(depth * {"water": 0.42, "land": 0.72, "table": 0.35, "air": 0}[ground])
        y = y if ground != "air" else round(scene.horizon * (0.82 + 0.14 * math.sin(i * 2.2)))
        size = scene.unit * most * (6 if canvas.alpha else 4) / (3 + len(things))
        size = min(size, (y - 0.05 * canvas.height) / 1.05)
        if water and ground == "land" and (i == 0 or things[i - 1][0].ground != "land"):
            _land(scene, 3, 0.6)
        if water and ground == "water":
            dark = mix(scene.light, mix(scene.water[0], scene.water[1], 0.5), 0.5)
            draw(canvas, name, (x, y, size * towards, -size), colour or own, dark)
            _ripple(scene, y)
        elif ground != "air":
            canvas.fill([ellipse(x, y, size * 0.4, size * 0.035)], _SHADOW, opacity=0.28)
        draw(canvas, name, (x, y, size * towards, size), colour or own, scene.light)
        if name == "lighthouse" and scene.lean > 0.4:
            canvas.glow(x, y - size * 0.86, scene.unit * 0.4, _LAMP, 0.5)
