"""Paints a placeholder from the words of a prompt, and shows them: same request, same pixels."""

from __future__ import annotations

import math
from hashlib import sha256
from io import BytesIO

from PIL import Image, ImageDraw

from .canvas import Canvas
from .lettering import PAPER, caption
from .scene import paint_scene

__all__ = ["encode", "paint", "partials"]

_MOST = 2_100_000  # pixels: a larger scene is painted at this size and enlarged; its words are not
_LEAST = 96  # pixels of an edge: less is painted at this size and reduced


def paint(
    prompt: str, *, width: int, height: int, position: int = 0, transparent: bool = False
) -> Image.Image:
    """A scene of what the prompt names, and below it the prompt's words.

    Width and height are pixels, at least 1. Each position, of n pictures, has its own light and composition.
    Transparent leaves only the subjects, on nothing, and the words; it makes RGBA of RGB. The same arguments give
    the same pixels on a machine with the same fonts.
    """
    wide, high = max(width, _LEAST), max(height, _LEAST)
    edge, size = round(min(wide, high) * 0.02), max(11, round(min(wide, high) * 0.034))
    words = caption(prompt, wide - 2 * edge, size)
    view = wide - 2 * edge, high - edge - words.height
    share = min(1.0, math.sqrt(_MOST / (view[0] * view[1])))
    canvas = Canvas((round(view[0] * share), round(view[1] * share)), transparent=transparent)
    paint_scene(canvas, prompt, sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest(), position)
    mode, paper = ("RGBA", (0, 0, 0, 0)) if transparent else ("RGB", PAPER)
    card, tag = Image.new(mode, (wide, high), paper), Image.new("L", words.size, 0 if transparent else 255)
    ImageDraw.Draw(tag).rounded_rectangle((0, 0, words.width - 1, words.height - edge // 2), edge, 255)
    card.paste(canvas.finished().resize(view, Image.Resampling.BICUBIC), (edge, edge))
    card.paste(words, (edge, high - words.height), tag)
    return card.resize((width, height), Image.Resampling.BICUBIC)


def partials(image: Image.Image, count: int) -> list[Image.Image]:
    """Previews of the picture, each sharper than the one before."""
    first = max(2, max(image.size) // 16)
    factors = (max(2, round(first ** (1 - number / count))) for number in range(count))
    return [image.reduce(factor).resize(image.size, Image.Resampling.BICUBIC) for factor in factors]


def encode(image: Image.Image, output_format: str = "png", compression: int | None = None) -> bytes:
    """The picture as a file: png, jpeg or webp; compression 0 to 100 is the quality of the latter two."""
    buffer, image = BytesIO(), image.convert("RGB") if output_format == "jpeg" else image
    quality = 85 if compression is None else max(1, compression)
    image.save(buffer, output_format, compress_level=1, quality=quality, method=0)  # each takes its own
    return buffer.getvalue()
