"""Paints a flat illustration from the words of a prompt, English or Chinese: same request, same pixels."""

from __future__ import annotations

import math
from random import Random

from PIL import Image

from .abstract import paint_tiles
from .canvas import Canvas
from .cast import alone
from .finish import encode, grained, labelled, partials
from .scene import paint_scene
from .shapes import ellipse
from .words import Idea, read, throw

__all__ = ["encode", "paint", "partials"]

_MOST_PIXELS = 2_100_000  # larger pictures are painted at this size and enlarged
_LEAST, _LONGEST = 64, 6  # the shorter edge in pixels, and how many times longer the other may be


def paint(
    prompt: str,
    *,
    width: int,
    height: int,
    position: int = 0,
    transparent: bool = False,
    label: str = "sandbox",
) -> Image.Image:
    """A picture of what the prompt names.

    Args:
        prompt: any text; words that are not known are passed over.
        width: pixels, at least 1.
        height: pixels, at least 1.
        position: which of n pictures; each has its own light, palette and composition.
        transparent: only the subject, on nothing.
        label: the small word in the lower right corner; none if empty.

    Returns:
        RGB, or RGBA if transparent. The same arguments give the same pixels.
    """
    idea, seed = read(prompt), throw(prompt)
    size = _canvas_size(width, height)
    dice = Random(f"{seed}/{position}")  # noqa: S311  # the same throws for the same request
    image = (
        _cut_out(size, idea, dice, position, seed)
        if transparent
        else _painted(size, idea, dice, position, seed)
    )
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    if not transparent:
        image = grained(image, dice)
    return labelled(image, label) if label else image


def _canvas_size(width: int, height: int) -> tuple[int, int]:
    """What is painted before it is enlarged, or reduced where hardly anything would fit."""
    share = min(1.0, math.sqrt(_MOST_PIXELS / (width * height)))
    across, down = round(width * share), round(height * share)
    return max(across, down // _LONGEST, _LEAST), max(down, across // _LONGEST, _LEAST)


def _painted(size: tuple[int, int], idea: Idea, dice: Random, position: int, seed: int) -> Image.Image:
    canvas = Canvas(*size, ground="#000000")
    if idea.abstract:
        paint_tiles(canvas, dice, position=position, seed=seed)
    else:
        paint_scene(canvas, idea, dice, position=position, seed=seed)
    return canvas.image


def _cut_out(size: tuple[int, int], idea: Idea, dice: Random, position: int, seed: int) -> Image.Image:
    if idea.subjects:
        return alone(size, idea.subjects, dice, position=position)
    edge = min(size)
    badge = _painted((edge, edge), idea, dice, position, seed)
    mask = Canvas(edge, edge, ground="#000000")
    mask.fill(ellipse(edge / 2, edge / 2, edge * 0.44), "#ffffff")
    badge.putalpha(mask.image.getchannel(0))
    whole = Image.new("RGBA", size)
    whole.paste(badge, ((size[0] - edge) // 2, (size[1] - edge) // 2))
    return whole
