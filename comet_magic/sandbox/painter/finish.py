"""From a painting to bytes: grain, the word in the corner, previews, file formats."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageChops, ImageDraw, ImageFont

if TYPE_CHECKING:
    from random import Random

_TILE = 256  # the grain repeats after this many pixels


def grained(image: Image.Image, dice: Random) -> Image.Image:
    """The picture with a grain of up to two levels, which hides the steps of its gradients."""
    levels = bytes(sum(i >= limit for limit in (14, 72, 184, 242)) for i in range(256))
    tile = Image.frombytes("L", (_TILE, _TILE), dice.randbytes(_TILE * _TILE).translate(levels))
    noise = Image.new("L", image.size)
    for x in range(0, image.width, _TILE):
        for y in range(0, image.height, _TILE):
            noise.paste(tile, (x, y))
    return ImageChops.add(image, Image.merge("RGB", (noise, noise, noise)), 1, -2)


def labelled(image: Image.Image, text: str) -> Image.Image:
    """Write a small word on a dark pill in the lower right corner, legible on anything."""
    size = max(9, round(min(image.size) * 0.0175))
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    # Which shaping library is there differs from machine to machine; the basic layout is everywhere the same.
    font = font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(text)
    pad = size * 0.55
    wide, high = round(right - left + 2 * pad), round(size * 1.5)
    pill = Image.new("L", (wide * 4, high * 4))
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, wide * 4 - 1, high * 4 - 1), high * 2, fill=150)
    pill = pill.reduce(4)
    word = Image.new("L", (wide, high))
    ImageDraw.Draw(word).text((pad - left, (high - (bottom - top)) / 2 - top), text, font=font, fill=245)
    corner = (image.width - wide - round(size * 0.7), image.height - high - round(size * 0.7))
    dark, light = ("#16122a", "#ffffff") if image.mode == "RGB" else ((22, 18, 42, 255), (255, 255, 255, 255))
    image.paste(dark, (*corner, corner[0] + wide, corner[1] + high), pill)
    image.paste(light, (*corner, corner[0] + wide, corner[1] + high), word)
    return image


def partials(image: Image.Image, count: int) -> list[Image.Image]:
    """Previews of the picture, each sharper than the one before."""
    first = max(2, max(image.size) // 16)
    factors = (max(2, round(first ** (1 - number / count))) for number in range(count))
    return [image.reduce(factor).resize(image.size, Image.Resampling.BICUBIC) for factor in factors]


def encode(image: Image.Image, output_format: str = "png", compression: int | None = None) -> bytes:
    """The picture as a file: png, jpeg or webp; compression 0 to 100 is the quality of the latter two."""
    buffer = BytesIO()
    if output_format == "png":
        image.save(buffer, "PNG", compress_level=1)
    elif output_format == "jpeg":
        image.convert("RGB").save(buffer, "JPEG", quality=88 if compression is None else max(1, compression))
    else:
        image.save(buffer, "WEBP", quality=82 if compression is None else compression, method=0)
    return buffer.getvalue()
