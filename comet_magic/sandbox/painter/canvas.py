"""Shapes with soft edges on a picture: fills, gradients, light. Knows nothing of what is painted."""

from __future__ import annotations

import math

from PIL import Image, ImageColor, ImageDraw

Colour = tuple[int, ...]
Ring = list[tuple[float, float]]


def mix(first: str | Colour, second: str | Colour, share: float) -> Colour:
    """The first colour with a share of the second in it."""
    ends = (ImageColor.getrgb(colour) if isinstance(colour, str) else colour for colour in (first, second))
    return tuple(round(a + (b - a) * share) for a, b in zip(*ends, strict=True))


def lit(colour: Colour, light: Colour) -> Colour:
    """The colour as it looks in a coloured light."""
    return tuple(a * b // 255 for a, b in zip(colour, light, strict=True))


def gradient(stops: list[Colour], size: tuple[int, int]) -> Image.Image:
    """A picture that runs through two or more colours from top to bottom."""
    strip = Image.new("RGB", (1, len(stops)))
    strip.putdata(stops)
    between = (0, 0.5, 1, len(stops) - 0.5)  # from the middle of the first pixel to the middle of the last
    return strip.resize((1, size[1]), Image.Resampling.BILINEAR, between).resize(
        size, Image.Resampling.NEAREST
    )


def curve(knots: Ring, *, closed: bool = False) -> Ring:
    """A smooth line through the points (Catmull-Rom)."""
    around = [knots[-1], *knots, *knots[:2]] if closed else [knots[0], *knots, knots[-1]]
    found: Ring = []
    for four in zip(around, around[1:], around[2:], around[3:], strict=False):
        a, b, c, d = (complex(*point) for point in four)
        for t in (step / 10 for step in range(10)):
            at = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
            found.append((at.real, at.imag))
    return found if closed else [*found, knots[-1]]


def ellipse(x: float, y: float, rx: float, ry: float) -> Ring:
    """An ellipse around a point."""
    return [(x + rx * math.cos(math.tau * i / 48), y + ry * math.sin(math.tau * i / 48)) for i in range(48)]


class Canvas:
    """A picture being painted. A transparent one has an alpha channel and premultiplied colours."""

    def __init__(self, size: tuple[int, int], *, transparent: bool = False) -> None:
        self.size = self.width, self.height = size
        self.image = Image.new("RGB", size)
        self.alpha = Image.new("L", size) if transparent else None

    def fill(self, rings: list[Ring], top: Colour, bottom: Colour | None = None, opacity: float = 1) -> None:
        """Paint the union of polygons with one colour, or with two that run into each other downwards."""
        xs, ys = ([point[axis] for ring in rings for point in ring] or [-9.0] for axis in (0, 1))
        left, upper = max(0, math.floor(min(xs)) - 1), max(0, math.floor(min(ys)) - 1)
        width = min(self.width, math.ceil(max(xs)) + 1) - left
        height = min(self.height, math.ceil(max(ys)) + 1) - upper
        if width > 0 and height > 0:
            fine = 4 if width * height < 1_500_000 else 2  # samples per pixel, across and down
            mask = Image.new("L", (width * fine, height * fine))
            for ring in rings:
                corners = [((x - left) * fine - 0.5, (y - upper) * fine - 0.5) for x, y in ring]
                ImageDraw.Draw(mask).polygon(corners, fill=255)
            self.stain(mask.reduce(fine), (left, upper), [top, bottom or top], opacity)

    def glow(self, x: float, y: float, radius: float, colour: Colour, opacity: float) -> None:
        """Light around a point that fades away."""
        # Pillow's gradient reaches 181 at the middle of an edge and 255 only in the corners.
        fade = Image.radial_gradient("L").point([round(255 * max(0, 1 - i / 180) ** 2) for i in range(256)])
        mask, edge = Image.new("L", self.size), max(1, round(2 * radius))
        mask.paste(fade.resize((edge, edge)), (round(x - radius), round(y - radius)))
        self.stain(mask, (0, 0), [colour, colour], opacity)

    def stain(self, mask: Image.Image, at: tuple[int, int], stops: list[Colour], opacity: float = 1) -> None:
        """Paint colours that run downwards through a mask."""
        mask = mask.point([round(i * opacity) for i in range(256)])
        self.image.paste(gradient(stops, mask.size), at, mask)
        if self.alpha:
            self.alpha.paste(255, (*at, at[0] + mask.width, at[1] + mask.height), mask)

    def finished(self) -> Image.Image:
        """The picture: RGB, or RGBA where it is transparent."""
        layers = (*self.image.split(), self.alpha) if self.alpha else ()
        return Image.merge("RGBa", layers).convert("RGBA") if layers else self.image
