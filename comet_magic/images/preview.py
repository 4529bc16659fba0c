"""Previews and contact sheets."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from .decode import guarded, open_untrusted, shrunk, smaller
from .origin import pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

# Below the 89 million at which Pillow begins to warn.
_MOST_PIXELS = 64_000_000
EDGE = 1024
_SMALLEST_EDGE = 128
GAP = 8
_PAPER = "white"


def preview(data: bytes, edge: int) -> tuple[bytes, str]:
    """A small version for the screen and its MIME type: JPEG, or PNG if any part is transparent.

    Args:
        data: any png, jpeg or webp; it is checked here.
        edge: its longest edge will be at most this many pixels.

    Raises:
        BadImageError: it cannot be opened or decoded.
        TooLargeError: it has too many pixels.
    """
    image = open_untrusted(data, max_pixels=_MOST_PIXELS)
    return guarded(lambda: encoded(shrunk(image, edge)))


def fitting(image: Image, max_bytes: int, *, edge: int = EDGE) -> tuple[bytes, str, Image]:
    """A preview of at most about `max_bytes`: the file, its MIME type, and its pixels."""
    image = smaller(image, edge)
    data, mime = encoded(image)
    if len(data) <= max_bytes or edge <= _SMALLEST_EDGE:
        return data, mime, image
    # Bytes grow with the area; 0.9 because a small picture has more detail per pixel.
    scale = 0.9 * math.sqrt(max_bytes / len(data))
    return fitting(image, max_bytes, edge=max(_SMALLEST_EDGE, int(max(image.size) * scale)))


def encoded(image: Image) -> tuple[bytes, str]:
    """Encode an RGB or RGBA picture for the screen: JPEG, or PNG if any part is transparent."""
    out = io.BytesIO()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        image.save(out, "PNG")
        return out.getvalue(), "image/png"
    image.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue(), "image/jpeg"


def contact_sheet(images: Sequence[Image], *, columns: int, width: int) -> Image:
    """All pictures side by side on white, in rows, in their order.

    Args:
        images: at least one.
        columns: pictures in a row.
        width: of the sheet, in pixels.

    Raises:
        BadImageError: one is damaged; the error names its file.
    """
    from PIL import Image as Pillow

    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    gap = min(GAP, width // (4 * columns))
    across = (width - gap * (columns - 1)) // columns
    down = max(1, round(across * max(image.height / image.width for image in images)))
    sheet = Pillow.new("RGB", (width, rows * (down + gap) - gap), _PAPER)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        scale = min(1.0, across / image.width, down / image.height)
        small = pixels(image, max(1, round(max(image.size) * scale)))
        left = column * (across + gap) + (across - small.width) // 2
        top = row * (down + gap) + (down - small.height) // 2
        sheet.paste(small, (left, top), small if small.mode == "RGBA" else None)
    # A plain Pillow picture shows itself as PNG and as JPEG; this one as JPEG only.
    sheet.__dict__["_repr_png_"] = no_repr
    return sheet


def no_repr() -> None:
    """The `_repr_png_` and `_repr_jpeg_` of a picture that is not shown in that format."""
