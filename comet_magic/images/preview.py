"""Small versions of pictures, and several on one sheet."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from .check import displayable, guarded, open_checked, open_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from .picture import Picture

# Below the 89 million at which Pillow begins to warn.
_MOST_PIXELS = 64_000_000
EDGE = 1024
_SMALLEST_EDGE = 128
GAP = 8
_PAPER = "white"


def preview(data: bytes, edge: int) -> tuple[bytes, str]:
    """A small version for the screen and its MIME type: JPEG, or PNG where anything can be seen through.

    Args:
        data: any png, jpeg or webp; it is checked here.
        edge: its longest edge will be at most this many pixels.

    Raises:
        BadImageError: it cannot be opened.
        TooLargeError: it has too many pixels.
    """
    image = open_within(data, max_pixels=_MOST_PIXELS)
    return guarded(lambda: encoded(shrunk(image, edge)))


def fitting(image: Image, max_bytes: int, *, edge: int = EDGE) -> tuple[bytes, str, Image]:
    """A preview within the bytes, or nearly: itself as a file, its MIME type and its pixels."""
    image = smaller(image, edge)
    data, mime = encoded(image)
    if len(data) <= max_bytes or edge <= _SMALLEST_EDGE:
        return data, mime, image
    # Bytes go with the area; a little less than that gives, because details weigh more in a small picture.
    scale = 0.9 * math.sqrt(max_bytes / len(data))
    return fitting(image, max_bytes, edge=max(_SMALLEST_EDGE, int(max(image.size) * scale)))


def shrunk(image: ImageFile, edge: int) -> Image:
    """A freshly opened picture, decoded only as far as this size needs."""
    # A JPEG is decoded at a half, a quarter or an eighth; other formats ignore this.
    image.draft(None, (edge, edge))
    return smaller(displayable(image), edge)


def smaller(image: Image, edge: int) -> Image:
    """The picture with its longest edge at most this long; the very same where it is that small."""
    scale = edge / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), reducing_gap=2.0)


def encoded(image: Image) -> tuple[bytes, str]:
    """An RGB or RGBA picture as a file for the screen."""
    out = io.BytesIO()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        image.save(out, "PNG")
        return out.getvalue(), "image/png"
    image.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue(), "image/jpeg"


def contact_sheet(pictures: Sequence[Picture], *, columns: int, width: int) -> Image:
    """All pictures side by side on white, in rows, in their order.

    Args:
        pictures: at least one.
        columns: pictures in a row.
        width: of the sheet, in pixels.
    """
    from PIL import Image as Pillow

    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    gap = min(GAP, width // (4 * columns))
    across = (width - gap * (columns - 1)) // columns
    down = max(1, round(across * max(picture.height / picture.width for picture in pictures)))
    sheet = Pillow.new("RGB", (width, rows * (down + gap) - gap), _PAPER)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        small = _into(open_checked(picture.data, picture.mime), across, down)
        left = column * (across + gap) + (across - small.width) // 2
        top = row * (down + gap) + (down - small.height) // 2
        sheet.paste(small, (left, top), small if small.mode == "RGBA" else None)
    # A plain picture of Pillow shows itself twice; this one as JPEG only.
    sheet.__dict__["_repr_png_"] = nothing
    return sheet


def _into(image: ImageFile, width: int, height: int) -> Image:
    """The picture, as large as fits."""
    scale = min(width / image.width, height / image.height)
    return shrunk(image, max(1, round(max(image.size) * min(1.0, scale))))


def nothing() -> None:
    """What a picture answers in a format that it is not to be shown in."""
