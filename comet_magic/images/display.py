"""How pictures show themselves in a notebook: one format, one caption, small.

Text of servers and of users gets here only into `text/plain` and into the alternative text.
"""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import from_here
from ..money import dollars
from ..text import clean
from .check import displayable, open_checked
from .preview import EDGE, GAP, contact_sheet, encoded, fitting, nothing, shrunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from .picture import Facts, Picture

Bundle = tuple[dict[str, Any], dict[str, Any]]

# nbconvert shows no webp. https://github.com/jupyter/nbconvert/blob/main/nbconvert/exporters/html.py
_SHOWN = ("image/png", "image/jpeg")
MOST_BYTES = 300_000
_ON_SCREEN = 640


def show(
    pictures: Sequence[Picture], facts: Facts, *, inline: str = "auto", max_bytes: int = MOST_BYTES
) -> Bundle:
    """The MIME bundle of pictures and its metadata: at most one image, and the caption."""
    text = describe(pictures, facts)
    if inline == "none" or not pictures:
        return {"text/plain": text}, {}
    if len(pictures) == 1:
        data, mime = _one(pictures[0], inline, max_bytes)
        size = _on_screen(pictures[0].width, pictures[0].height, _ON_SCREEN)
    else:
        data, mime, sheet = fitting(_sheet(pictures), max_bytes)
        size = sheet.size
    return _bundle(data, mime, text=text, alt=_alternative(facts), size=size)


def describe(pictures: Sequence[Picture], facts: Facts) -> str:
    """The caption: model, size, cost, file and notice in one line."""
    sizes = {f"{picture.width}x{picture.height}" for picture in pictures}
    size = sizes.pop() if len(sizes) == 1 else "several sizes" if sizes else "no pictures"
    several = f"{len(pictures)} pictures " if len(pictures) > 1 else ""
    parts = (facts.model, several + size, _price(pictures, facts), _where(pictures), facts.notice)
    return clean(" · ".join(" ".join(part.split()) for part in parts if part))


def present(image: ImageFile, picture: Picture, facts: Facts) -> ImageFile:
    """The same PIL picture, which now shows itself once and in one format.

    The rendering is a matter of this object: copies, results of methods and pickles are plain PIL pictures.
    What was drawn into it since is shown, not what arrived.
    """
    # Weak: a cycle would keep the pixels until the garbage collector comes by.
    itself = weakref.ref(image)

    def bundle(include: object = None, exclude: object = None) -> Bundle:  # noqa: ARG001 - IPython's protocol
        now = itself()
        return show((picture,), facts) if now is None or not _edited(now, picture) else _as_it_is(now, facts)

    # By itself Pillow would add a PNG and a JPEG made from it.
    image.__dict__.update(_repr_mimebundle_=bundle, _repr_png_=nothing, _repr_jpeg_=nothing)
    return image


def _sheet(pictures: Sequence[Picture]) -> Image:
    columns = math.ceil(math.sqrt(len(pictures)))
    own = columns * (max(picture.width for picture in pictures) + GAP) - GAP
    return contact_sheet(pictures, columns=columns, width=min(EDGE, own))


def _one(picture: Picture, inline: str, max_bytes: int) -> tuple[bytes, str]:
    fits = len(picture.data) <= max_bytes or inline == "full"
    if fits and inline != "preview" and picture.mime in _SHOWN:
        return picture.data, picture.mime
    edge = max(picture.width, picture.height) if inline == "full" else EDGE
    image = shrunk(open_checked(picture.data, picture.mime), edge)
    data, mime = encoded(image) if inline == "full" else fitting(image, max_bytes)[:2]
    if picture.mime in _SHOWN and len(picture.data) <= len(data):
        return picture.data, picture.mime
    return data, mime


def _bundle(data: bytes, mime: str, *, text: str, alt: str, size: tuple[int, int]) -> Bundle:
    import pybase64

    shown = pybase64.b64encode_as_string(data)
    return {mime: shown, "text/plain": text}, {mime: {"width": size[0], "height": size[1], "alt": alt}}


def _on_screen(width: int, height: int, edge: int) -> tuple[int, int]:
    scale = min(1.0, edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _edited(image: ImageFile, picture: Picture) -> bool:
    if image.size == (picture.width, picture.height) and getattr(image, "_im", image) is None:
        return False  # its pixels were not even decoded yet
    try:
        fresh = open_checked(picture.data, picture.mime)
        return (image.size, image.mode) != (fresh.size, fresh.mode) or image.tobytes() != fresh.tobytes()
    except (OSError, ValueError, AttributeError, AssertionError):
        return False  # closed by the user


def _as_it_is(image: Image, facts: Facts) -> Bundle:
    data, mime, _ = fitting(displayable(image), MOST_BYTES)
    text = clean(f"{facts.model} · {image.width}x{image.height} · edited")
    return _bundle(data, mime, text=text, alt=_alternative(facts), size=_on_screen(*image.size, _ON_SCREEN))


def _alternative(facts: Facts) -> str:
    return clean(" ".join(facts.prompt[:2000].split()), limit=200)


def _price(pictures: Sequence[Picture], facts: Facts) -> str:
    if pictures and all(picture.reused for picture in pictures):
        return "reused, nothing paid"
    cost = pictures[0].cost if len(pictures) == 1 < facts.pictures else facts.cost
    if cost is None:
        return "cost unknown" if len(pictures) == facts.pictures else ""
    return dollars(cost)


def _where(pictures: Sequence[Picture]) -> str:
    paths = [picture.path for picture in pictures if picture.path]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{from_here(Path(paths[0]))}{more}" if paths else ""
