"""Shapes with soft edges on a picture: outlines, fills, layers. Knows nothing of what is painted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageColor, ImageDraw

from .shapes import Outline, box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

_LARGE = 1_500_000  # pixels: above it a mask is drawn with half the samples,
_WIDE, _MANY = 150_000, 40  # and so are many small shapes strewn over an area of this size


@dataclass(frozen=True)
class Fade:
    """A paint that runs from one colour to another, downwards or to the right."""

    start: str | Colour
    end: str | Colour
    sideways: bool = False


Paint = str | Colour | Fade


@lru_cache(maxsize=1024)
def rgb(colour: str | Colour) -> Colour:
    """The colour as three bytes."""
    return ImageColor.getrgb(colour)[:3] if isinstance(colour, str) else colour


def mix(first: str | Colour, second: str | Colour, share: float) -> Colour:
    """The first colour with a share of the second in it."""
    (r, g, b), (x, y, z) = rgb(first), rgb(second)
    return round(r + (x - r) * share), round(g + (y - g) * share), round(b + (z - b) * share)


def tinted(colour: str | Colour, light: str | Colour) -> Colour:
    """The colour as it looks under a coloured light."""
    (r, g, b), (x, y, z) = rgb(colour), rgb(light)
    return r * x // 255, g * y // 255, b * z // 255


@dataclass
class Canvas:
    """A picture being painted. Without a ground it is transparent, and its colours are premultiplied."""

    width: int
    height: int
    ground: Paint | None = None
    image: Image.Image = field(init=False)
    alpha: Image.Image | None = field(init=False, default=None)
    lamps: Image.Image | None = field(init=False, default=None)  # what shines by itself

    def __post_init__(self) -> None:
        size = (self.width, self.height)
        if self.ground is None:
            self.image, self.alpha, self.lamps = (
                Image.new("RGB", size),
                Image.new("L", size),
                Image.new("L", size),
            )
        else:
            self.image = swatch(self.ground, size)

    def fill(
        self,
        outline: Outline,
        paint: Paint,
        opacity: float = 1.0,
        *,
        within: Outline | None = None,
        cut: Outline | None = None,
        lamp: bool = False,
    ) -> None:
        """Paint a shape: only within another one, not where it is cut; a lamp keeps its colour at night."""
        area = self._area(outline, within)
        if area is None:
            return
        mask = _mask(outline, area, cut)
        if within is not None:
            mask = ImageChops.multiply(mask, _mask(within, area, None))
        self.stain(mask, paint, area, opacity, span=_bounds(outline), lamp=lamp)

    def stain(
        self,
        mask: Image.Image,
        paint: Paint,
        area: Box,
        opacity: float = 1.0,
        *,
        span: Sequence[float] | None = None,
        lamp: bool = False,
    ) -> None:
        """Paint through a mask that lies at the area; a fade runs over the span (the area if none is given)."""
        if opacity < 1:
            mask = mask.point([round(i * opacity) for i in range(256)])
        if isinstance(paint, Fade):
            self.image.paste(_faded(paint, area, span or area), area, mask)
        else:
            self.image.paste(rgb(paint), area, mask)
        if self.alpha is not None:
            self.alpha.paste(255, area, mask)
        if self.lamps is not None:
            self.lamps.paste(255 if lamp else 0, area, mask)

    def glow(
        self, x: float, y: float, radius: float, paint: Paint, opacity: float = 1.0, *, power: float = 2.0
    ) -> None:
        """Light around a point that fades away."""
        area = self._area(box(x - radius, y - radius, 2 * radius, 2 * radius), None)
        if area is None:
            return
        full = 2 * radius / 256
        source = tuple((area[i] - (x, y)[i % 2] + radius) / full for i in range(4))
        # Pillow's gradient reaches 181 in the middle of an edge and 255 in the corners only.
        spread = Image.radial_gradient("L").point(
            [round(255 * max(0.0, 1 - i / 180) ** power) for i in range(256)]
        )
        size = (area[2] - area[0], area[3] - area[1])
        mask = spread.resize(size, Image.Resampling.BILINEAR, box=_inside(source))
        self.stain(mask, paint, area, opacity, lamp=True)

    def veil(self, top: float, bottom: float, paint: Paint, opacity: tuple[float, float]) -> None:
        """A haze over the whole width that grows or fades downwards."""
        area = (0, max(0, round(top)), self.width, min(self.height, round(bottom)))
        if area[3] <= area[1]:
            return
        ends = [round(255 * share) for share in opacity]
        mask = Image.new("L", (1, 2))
        mask.putdata(ends)
        self.stain(_stretched(mask, (self.width, area[3] - area[1])), paint, area)

    def lay(self, layer: Image.Image, x: int, y: int) -> None:
        """Put an RGBA picture on top, with its upper left corner at the point."""
        left, top = max(0, -x), max(0, -y)
        right, bottom = min(layer.width, self.width - x), min(layer.height, self.height - y)
        if right <= left or bottom <= top:
            return
        part = layer.crop((left, top, right, bottom))
        mask = part.getchannel("A")
        self.image.paste(part.convert("RGB"), (x + left, y + top), mask)
        if self.alpha is not None:
            self.alpha.paste(255, (x + left, y + top), mask)

    def finished(self) -> Image.Image:
        """The picture: RGB, or RGBA where there is no ground."""
        if self.alpha is None:
            return self.image
        return Image.merge("RGBa", (*self.image.split(), self.alpha)).convert("RGBA")

    def _area(self, outline: Outline, within: Outline | None) -> Box | None:
        left, top, right, bottom = _bounds(outline)
        if within is not None:
            a, b, c, d = _bounds(within)
            left, top, right, bottom = max(left, a), max(top, b), min(right, c), min(bottom, d)
        area = (
            max(0, math.floor(left) - 1),
            max(0, math.floor(top) - 1),
            min(self.width, math.ceil(right) + 1),
            min(self.height, math.ceil(bottom) + 1),
        )
        return area if area[0] < area[2] and area[1] < area[3] else None


@dataclass(frozen=True)
class Brush:
    """Paints on a canvas in measures of its own: (0, 0) lies at the origin, one unit is `scale` pixels."""

    canvas: Canvas
    x: float
    y: float
    scale: float
    flip: bool = False

    def fill(
        self,
        outline: Outline,
        paint: Paint,
        opacity: float = 1.0,
        *,
        within: Outline | None = None,
        cut: Outline | None = None,
        lamp: bool = False,
    ) -> None:
        """Paint a shape: only within another one, not where it is cut; a lamp keeps its colour at night."""
        limits, holes = (None if shape is None else self._placed(shape) for shape in (within, cut))
        self.canvas.fill(
            self._placed(outline), self._turned(paint), opacity, within=limits, cut=holes, lamp=lamp
        )

    def glow(self, x: float, y: float, radius: float, paint: Paint, opacity: float = 1.0) -> None:
        """Light around a point."""
        (point,) = self._placed([[(x, y)]])[0]
        self.canvas.glow(*point, radius * self.scale, paint, opacity)

    def moved(self, x: float, y: float, scale: float = 1.0) -> Brush:
        """A brush whose origin lies at this point, for a part of other size."""
        (point,) = self._placed([[(x, y)]])[0]
        return Brush(self.canvas, *point, self.scale * scale, self.flip)

    def _placed(self, outline: Outline) -> Outline:
        side = -self.scale if self.flip else self.scale
        return [[(self.x + x * side, self.y + y * self.scale) for x, y in ring] for ring in outline]

    def _turned(self, paint: Paint) -> Paint:
        if self.flip and isinstance(paint, Fade) and paint.sideways:
            return Fade(paint.end, paint.start, sideways=True)
        return paint


def swatch(paint: Paint, size: tuple[int, int]) -> Image.Image:
    """A picture of one paint."""
    if isinstance(paint, Fade):
        area = (0, 0, *size)
        return _faded(paint, area, area)
    return Image.new("RGB", size, rgb(paint))


def ramp(stops: Iterable[str | Colour], size: tuple[int, int]) -> Image.Image:
    """A picture that runs through the colours from top to bottom."""
    colours = [rgb(stop) for stop in stops]
    strip = Image.new("RGB", (1, len(colours)))
    strip.putdata(colours)
    return _stretched(strip, size)


def _stretched(strip: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The strip over the whole height, its first and last pixel at the very ends."""
    tall = strip.resize((1, size[1]), Image.Resampling.BILINEAR, box=(0, 0.5, 1, strip.height - 0.5))
    return tall.resize(size, Image.Resampling.NEAREST)


def _faded(paint: Fade, area: Box, span: Sequence[float]) -> Image.Image:
    width, height = area[2] - area[0], area[3] - area[1]
    axis = 0 if paint.sideways else 1
    length, low, reach = (width, height)[axis], span[axis], max(span[axis + 2] - span[axis], 1e-6)
    count = min(length, 96)
    spots = ((area[axis] + (i + 0.5) * length / count - low) / reach for i in range(count))
    strip = Image.new("RGB", (count, 1) if paint.sideways else (1, count))
    strip.putdata([mix(paint.start, paint.end, min(1, max(0, spot))) for spot in spots])
    line = strip.resize((width, 1) if paint.sideways else (1, height), Image.Resampling.BILINEAR)
    return line.resize((width, height), Image.Resampling.NEAREST)


def _bounds(outline: Outline) -> tuple[float, float, float, float]:
    xs = [x for ring in outline for x, _ in ring]
    ys = [y for ring in outline for _, y in ring]
    return (min(xs), min(ys), max(xs), max(ys)) if xs else (0, 0, -9, -9)


def _inside(source: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (min(256.0, max(0.0, value)) for value in source)
    return left, top, max(right, left + 1e-3), max(bottom, top + 1e-3)


def _mask(outline: Outline, area: Box, cut: Outline | None) -> Image.Image:
    left, top, width, height = area[0], area[1], area[2] - area[0], area[3] - area[1]
    strewn = len(outline) > _MANY and width * height > _WIDE
    fine = 2 if strewn or width * height > _LARGE else 4
    big = Image.new("L", (width * fine, height * fine))
    draw = ImageDraw.Draw(big)
    for shapes, value in ((outline, 255), (cut or [], 0)):
        for ring in shapes:
            draw.polygon([((x - left) * fine - 0.5, (y - top) * fine - 0.5) for x, y in ring], fill=value)
    return big.reduce(fine)
