"""An edit as one can see it: the picture in the light that the words name, changed only inside the mask, captioned."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageOps

from .canvas import mix
from .lettering import caption
from .scene import HOURS
from .words import read

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHITE = (255, 255, 255)


def paint_edit(
    prompt: str,
    sources: Sequence[Image.Image],
    selection: Image.Image | None,
    *,
    width: int,
    height: int,
    position: int = 0,
) -> Image.Image:
    """The first source in the light that the prompt names; further ones lie small upon it.

    Args:
        prompt: its words are shown at the lower edge of what changed.
        sources: RGB or RGBA pictures, one at least.
        selection: mode L, of any size; only where it is white something changes. None changes everything.
        width: of the result, in pixels, as is `height`.
        height: the source is cut to this shape.
        position: each of several results has its own light.
    """
    size = width, height
    source = ImageOps.fit(sources[0].convert("RGBA"), size)
    where = (
        Image.new("L", size, 255)
        if selection is None
        else ImageOps.fit(selection, size, Image.Resampling.NEAREST)
    )
    box = where.getbbox() or (0, 0, *size)
    edited = _in_light(source, prompt, position)
    for number, other in enumerate(sources[1:], 1):
        _lay(edited, other, box, number)
    edge = max(2, round(min(width, height) * 0.02))
    words = caption(prompt, max(48, box[2] - box[0] - 2 * edge), max(11, round(min(width, height) * 0.034)))
    edited.paste(words, (box[0] + edge, max(box[1], box[3] - edge - words.height)))
    made = Image.composite(edited, source, where)
    return made.convert("RGB") if made.getchannel("A").getextrema() == (255, 255) else made


def _in_light(source: Image.Image, prompt: str, position: int) -> Image.Image:
    idea = read(prompt, sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest())
    *_, light, tone, lean = HOURS[idea.hour].split()
    tints = (
        mix(light, _WHITE, 0.0),
        mix(idea.colours[0] if idea.colours else tone, _WHITE, 0.04 * (position % 5)),
    )
    lit = ImageChops.multiply(source.convert("RGB"), Image.new("RGB", source.size, tints[0]))
    edited = Image.blend(lit, Image.new("RGB", source.size, tints[1]), 0.25 + 0.4 * float(lean))
    edited.putalpha(source.getchannel("A"))
    return edited


def _lay(edited: Image.Image, other: Image.Image, box: tuple[int, int, int, int], number: int) -> None:
    """Lay a further picture upon the changed part, from left to right."""
    wide = max(8, (box[2] - box[0]) // 4)
    small = ImageOps.contain(other.convert("RGBA"), (wide, max(8, (box[3] - box[1]) // 3)))
    at = box[0] + ((number - 1) % 4) * wide + wide // 8, box[1] + (box[3] - box[1]) // 4
    edited.paste(small, at, small)
