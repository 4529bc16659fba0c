"""A grid as one picture with labels, such as for a paper; every label in a font that has its characters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidRequestError
from ..fonts import broken_into_lines, face_for
from ..images.display import contact_sheet, no_repr
from ..images.picture import fitting
from ..text import clean
from .grid_display import blocks_of, layout_of, price_and_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from .grid import Grid, GridCell

LEADING = 1.35  # height of a line of type
LEAST = 80  # pixels of a picture's width
MOST_ACROSS = 5  # pictures in a line, where they are in no table
SHOWN_BYTES = 300_000
INK, SOFT, RULE, PAPER = "#1c1c1c", "#5f5f5f", "#d0d0d0", "white"


class Block(NamedTuple):
    """A part of the sheet: a title, names of columns, and lines of cells, or words, with a name each, or ""."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[GridCell | str, ...]], ...]


def sheet(grid: Grid, width: int) -> Image:
    """The grid as one picture.

    Raises:
        InvalidRequestError: the width leaves no room for the pictures.
    """
    from PIL import Image

    blocks = tuple(_blocks(grid))
    across = max(len(cells) for block in blocks for _, cells in block.lines)
    type_size = max(12, width // 72)
    side = width // 7 if any(name for block in blocks for name, _ in block.lines) else 0
    gap = type_size
    each = (width - side - gap * (across + 1)) // across
    if each < LEAST:
        raise InvalidRequestError(
            f"width is {width}; {across} pictures in a line need {side + (LEAST + gap) * (across + 1)}",
            param="width",
        )
    # Drawn twice: on one pixel to learn its height, then for good.
    height = _Sheet(Image.new("RGB", (1, 1)), type_size, side, each).draw(blocks)
    image = Image.new("RGB", (width, height), PAPER)
    _Sheet(image, type_size, side, each).draw(blocks)
    alt = clean(f"{grid.plan.prompt}: {'; '.join(cell.alt for cell in grid.cells)}", limit=2000)
    image.info["Description"] = alt
    return _shown(image, alt)


def _blocks(grid: Grid) -> Iterator[Block]:
    layout = layout_of(grid.plan)
    if layout is None:
        across = min(MOST_ACROSS, math.ceil(math.sqrt(len(grid.cells))) + 1, len(grid.cells))
        cells = [grid.cells[at : at + across] for at in range(0, len(grid.cells), across)]
        yield Block("", (), tuple(("", line) for line in cells))
        return
    rows, columns = grid.plan.axes[layout.rows], grid.plan.axes[layout.columns]
    for title, places in blocks_of(grid.plan, layout):
        lines = [tuple(_cell_or_words(grid, place) for place in line) for line in places]
        yield Block(title, columns.labels, tuple(zip(rows.labels, lines, strict=True)))


def _cell_or_words(grid: Grid, place: tuple[int, ...]) -> GridCell | str:
    cell = grid.cell_at(place)
    if cell is not None and place == cell.planned.places[0]:
        return cell
    return f"the same as {cell.name}" if cell is not None else grid.plan.omitted.get(place, "")


class _Sheet:
    """Draws one sheet from top to bottom."""

    def __init__(self, image: Image, size: int, side: int, each: int) -> None:
        from PIL import ImageDraw

        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._size = size
        self._side = side
        self._each = each
        self._y = size

    def draw(self, blocks: tuple[Block, ...]) -> int:
        """Draw all; gives the height."""
        for block in blocks:
            if block.title:
                self._y += self._text(block.title, self._size, self._y, self._each * 3) + self._size // 2
            heads = [self._text(name, self._left(at), self._y) for at, name in enumerate(block.heads)]
            self._y += max(heads, default=0) + self._size // 2
            for name, cells in block.lines:
                self._line(name, cells)
        return self._y

    def _left(self, column: int) -> int:
        return self._size + self._side + column * (self._each + self._size)

    def _line(self, name: str, cells: tuple[GridCell | str, ...]) -> None:
        heights = [self._text(name, self._size, self._y, self._side - self._size)] if name else [0]
        heights += [self._cell(cell, self._left(at), named=not name) for at, cell in enumerate(cells)]
        self._y += max(heights) + self._size

    def _cell(self, cell: GridCell | str, left: int, *, named: bool) -> int:
        """Draw a picture with its words below; gives the height."""
        if isinstance(cell, str):
            return self._text(cell, left, self._y, ink=SOFT) if cell else 0
        top = self._y
        if cell.images:
            columns = math.ceil(math.sqrt(len(cell.images)))
            small = contact_sheet(cell.images, columns=columns, width=self._each)
            height = small.height
            self._image.paste(small, (left, top))
        else:
            height = self._each // 2
            self._draw.rectangle((left, top, left + self._each, top + height), outline=RULE)
        y = top + height + self._size // 3
        said = price_and_time(cell) if cell.images else f"failed: {clean(cell.error, limit=120)}"
        for words, ink in (
            (cell.name if named else "", INK),
            (said, SOFT),
            *((note, SOFT) for note in cell.notes),
        ):
            y += self._text(words, left, y, ink=ink) if words else 0
        return y - top

    def _text(self, text: str, left: int, top: int, width: int = 0, *, ink: str = INK) -> int:
        """Draw words in lines that fit; gives their height."""
        words = clean(" ".join(text.split()), limit=200)
        face = face_for(words)
        size = self._size
        lines = broken_into_lines("".join(filter(face.has, words)), face, size, width or self._each)
        for number, line in enumerate(lines):
            self._draw.text((left, top + round(number * size * LEADING)), line, ink, face.sized(size))
        return round(len(lines) * size * LEADING)


def _shown(image: Image, alt: str) -> Image:
    """The picture, which a notebook shows in one format and with an alternative text."""

    def bundle(include: object = None, exclude: object = None) -> Any:  # noqa: ARG001 - IPython's protocol
        import pybase64

        data, mime, small = fitting(image, SHOWN_BYTES, edge=max(image.size))
        size = {"width": small.width // 2, "height": small.height // 2, "alt": alt}
        return {mime: pybase64.b64encode_as_string(data), "text/plain": alt}, {mime: size}

    image.__dict__.update(_repr_mimebundle_=bundle, _repr_png_=no_repr, _repr_jpeg_=no_repr)
    return image
