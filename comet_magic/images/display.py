"""Show pictures in a notebook: one small image in one format, and one caption.

Text of servers and users goes into `text/plain` and the alternative text only.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import BadImageError
from ..money import dollars
from ..text import clean
from .origin import cost_of, described, opened, pixels, unedited
from .preview import EDGE, GAP, contact_sheet, encoded, fitting, no_repr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from .picture import Facts, Picture

Bundle = tuple[dict[str, Any], dict[str, Any]]

# nbconvert shows no webp. https://github.com/jupyter/nbconvert/blob/main/nbconvert/exporters/html.py
_SHOWN = ("image/png", "image/jpeg")
MOST_BYTES = 300_000
_ON_SCREEN = 640


class NotebookRepr:
    """The `_repr_mimebundle_` of one PIL picture: one format, and the picture as it looks now."""

    def __init__(self, image: Image, picture: Picture, facts: Facts) -> None:
        # A strong reference would be a cycle, and keep the pixels until the garbage collector runs.
        self._image = weakref.ref(image)
        self._picture = picture
        self._facts = facts

    def __call__(
        self,
        include: object = None,  # noqa: ARG002 - IPython's protocol
        exclude: object = None,  # noqa: ARG002
    ) -> Bundle:
        """The MIME bundle, as IPython asks for it."""
        return show((self._image() or opened(self._picture, self._facts),), self._facts)


def with_notebook_repr(picture: Picture, facts: Facts) -> Image:
    """Open a picture as a PIL picture that knows its origin, and shows itself in a notebook in one format.

    This belongs to the object: its copies, its pickles and what its methods give are plain PIL pictures.
    """
    image = opened(picture, facts)
    # Pillow's own methods would add a PNG and a JPEG.
    image.__dict__.update(
        _repr_mimebundle_=NotebookRepr(image, picture, facts), _repr_png_=no_repr, _repr_jpeg_=no_repr
    )
    return image


def show(
    images: Sequence[Image], facts: Facts, *, inline: str = "auto", max_bytes: int = MOST_BYTES
) -> Bundle:
    """The MIME bundle of pictures and its metadata: at most one image, and the caption.

    If a picture is damaged and a preview of it is needed, the caption alone is shown, and names the file: the
    picture is paid for and kept, and the cell goes on.
    """
    text = describe(images, facts)
    if inline == "none" or not images:
        return {"text/plain": text}, {}
    try:
        return _drawn(images, facts, text, inline, max_bytes)
    except BadImageError as error:
        text = clean(f"{text} · {error}")
    return {"text/plain": text}, {}


def _drawn(images: Sequence[Image], facts: Facts, text: str, inline: str, max_bytes: int) -> Bundle:
    if len(images) > 1:
        data, mime, sheet = fitting(_sheet(images), max_bytes)
        return _bundle(data, mime, text=text, facts=facts, size=sheet.size)
    image, picture = images[0], unedited(images[0])
    if picture is None:
        data, mime, _ = fitting(pixels(image, EDGE), max_bytes)
        text = clean(f"{facts.model} · {image.width}x{image.height} · edited")
    else:
        data, mime = _one(image, picture, inline, max_bytes)
    return _bundle(data, mime, text=text, facts=facts, size=_on_screen(*image.size))


def describe(images: Sequence[Image], facts: Facts) -> str:
    """The caption in one line: model, size, cost, file, notice."""
    sizes = {f"{image.width}x{image.height}" for image in images}
    size = sizes.pop() if len(sizes) == 1 else "several sizes" if sizes else "no pictures"
    several = f"{len(images)} pictures " if len(images) > 1 else ""
    parts = (facts.model, several + size, price_words(images, facts), _where(images), facts.notice)
    return clean(" · ".join(" ".join(part.split()) for part in parts if part))


def _sheet(images: Sequence[Image]) -> Image:
    columns = math.ceil(math.sqrt(len(images)))
    own = columns * (max(image.width for image in images) + GAP) - GAP
    return contact_sheet(images, columns=columns, width=min(EDGE, own))


def _one(image: Image, picture: Picture, inline: str, max_bytes: int) -> tuple[bytes, str]:
    fits = len(picture.data) <= max_bytes or inline == "full"
    if fits and inline != "preview" and picture.mime in _SHOWN:
        return picture.data, picture.mime
    small = pixels(image, max(image.size) if inline == "full" else EDGE)
    data, mime = encoded(small) if inline == "full" else fitting(small, max_bytes)[:2]
    if picture.mime in _SHOWN and len(picture.data) <= len(data):
        return picture.data, picture.mime
    return data, mime


def _bundle(data: bytes, mime: str, *, text: str, facts: Facts, size: tuple[int, int]) -> Bundle:
    import pybase64

    shown = pybase64.b64encode_as_string(data)
    alternative = clean(" ".join(facts.prompt[:2000].split()), limit=200)
    return {mime: shown, "text/plain": text}, {
        mime: {"width": size[0], "height": size[1], "alt": alternative}
    }


def _on_screen(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, _ON_SCREEN / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def price_words(images: Sequence[Image], facts: Facts) -> str:
    """The cost in words: dollars, "cost unknown", or "reused (free)"; "" for a part of a call without a cost."""
    if images and all(described(image).reused for image in images):
        return "reused (free)"
    cost = cost_of(images, facts)
    if cost is None:
        return "cost unknown" if len(images) >= facts.pictures else ""
    return dollars(cost)


def _where(images: Sequence[Image]) -> str:
    names = [name for image in images if (name := described(image).name)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else ""
