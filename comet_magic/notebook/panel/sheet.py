"""The panel's pictures in the notebook file: one small picture below the panel, an output like any other.

The panel itself is a widget, which a saved file does not show without a kernel.
"""

from __future__ import annotations

import io
import math
import os
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...outputs import can_update, display_bundle, quietly
from ...text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    Kept = tuple[bytes, str, bool]
    Bundle = tuple[dict[str, Any], dict[str, Any]]

MOST_PICTURES = 20
MOST_BYTES = 150_000
_COLUMNS = 5
_WIDTH = 1024  # pixels of the sheet, which is shown smaller
_SHOWN, _SHOWN_GRID = 640, 900  # labels are read
_EMPTY = "Pictures of this panel are kept here when the notebook is saved."


class Sheet:
    """The output below a panel that keeps its newest pictures in the notebook file.

    `show` runs in the panel's cell, `update` in a worker thread; neither raises anything.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown: Sequence[Kept] = ()
        self._bundle: Bundle = ({"text/plain": _EMPTY}, {})

    @quietly
    def show(self, shell: Any) -> None:
        """Show it in the cell that runs, if its front end can update an output later; voila cannot."""
        if can_update(shell) and not os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
            from IPython.display import DisplayHandle

            make: Any = DisplayHandle  # partly typed
            self._handle = self._handle or make()
            self._handle.display(self._bundle[0], raw=True, metadata=self._bundle[1])

    @quietly
    def update(self, pictures: Sequence[Kept]) -> None:
        """Draw anew wherever it is shown.

        Args:
            pictures: thumbnail and prompt of each, and whether it is a grid of many with its labels, which gets the
                whole width; the newest first, and the first twenty are shown.
        """
        pictures = tuple(pictures[:MOST_PICTURES])
        if self._handle is not None and pictures and pictures != self._shown:
            self._bundle, self._shown = draw_sheet(pictures), pictures
            display_bundle(*self._bundle, handle=self._handle)


def draw_sheet(pictures: Sequence[Kept]) -> Bundle:
    """The MIME bundle of a sheet, one JPEG of at most 150 KB, and its metadata: size on the screen and alt text.

    Args:
        pictures: as `Sheet.update` takes them, at least one.

    Raises:
        OSError: a thumbnail cannot be opened.
    """
    import pybase64
    from PIL import Image as Pillow

    from ...images import fitting

    parts = [
        _part([Pillow.open(io.BytesIO(thumbnail)) for thumbnail, _, _ in together], grid=grid)
        for grid, together in groupby(pictures, key=lambda kept: kept[2])
    ]
    drawn = Pillow.new(
        "RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white"
    )
    top = 0
    for part in parts:
        drawn.paste(part, (0, top))
        top += part.height
    data, mime, _ = fitting(drawn, MOST_BYTES, edge=max(drawn.size))
    prompts = [" ".join(clean(prompt, limit=100).split()) for _, prompt, _ in pictures]
    alternative = f"{counted(len(pictures), 'picture')}: {'; '.join(dict.fromkeys(prompts))}"
    shown = _SHOWN_GRID if any(grid for _, _, grid in pictures) else _SHOWN
    width = min(shown, drawn.width)
    size = {"width": width, "height": round(width * drawn.height / drawn.width)}
    return (
        {mime: pybase64.b64encode_as_string(data), "text/plain": alternative},
        {mime: {**size, "alt": clean(alternative, limit=300)}},
    )


def _part(opened: list[Image], *, grid: bool) -> Image:
    """Thumbnails side by side, or grids one below the other."""
    from ...images import contact_sheet

    columns = 1 if grid else math.ceil(len(opened) / math.ceil(len(opened) / _COLUMNS))
    width = min(_WIDTH, columns * max(image.width for image in opened))
    return contact_sheet(opened, columns=columns, width=width)
