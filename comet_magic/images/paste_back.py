"""Outside a mask, put the original back: no server keeps to a mask to the pixel.

A mask is guidance, and only a local paste keeps the outside exact: https://docs.apiyi.com, "mask-editing"
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..formats import embed_metadata
from .masks import scaled
from .picture import displayable, guarded, open_trusted
from .prepare import png_of
from .reading import see_through

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..request import Inputs
    from .picture import Picture

KINDS = ("PNG", "JPEG", "WEBP")  # what an input is kept as; an archive may be a stranger's
FEATHER = 4  # pixels, inside the mask
_MARGIN = 8  # pixels beside the mask that a server may touch
_NOTABLE = 32  # of 255: a channel that differs by more has changed
IGNORED = 0.2  # share of changed pixels outside the mask from which it counts as ignored


@dataclass(frozen=True)
class PasteBack:
    """An answer beside its original.

    Attributes:
        picture: with the original outside the mask, as PNG; its `unpasted` is what the server sent.
        changed: the share of pixels well outside the mask that the server changed, 0 to 1.
        scaled: whether the original had to be scaled to the answer's size.
    """

    picture: Picture
    changed: float
    scaled: bool

    @property
    def ignored(self) -> bool:
        """Whether the server seems to have ignored the mask."""
        return self.changed > IGNORED


def paste_back(picture: Picture, inputs: Inputs) -> PasteBack:
    """Put the first input picture back outside the mask; the result has the answer's size.

    Raises:
        BadImageError: the answer cannot be decoded.
        InvalidRequestError: an input is gone.
    """
    answer = displayable(open_trusted(picture), picture)
    return guarded(lambda: _pasted(picture, answer, inputs), picture)


def _pasted(picture: Picture, answer: Image, inputs: Inputs) -> PasteBack:
    from PIL import Image

    assert inputs.mask is not None  # noqa: S101 - who asks has looked
    with inputs.mask.open() as file:
        selection = Image.open(file, formats=KINDS).getchannel("A").point(lambda alpha: 255 - alpha)
    with (inputs.original or inputs.images[0]).open() as file:
        original = displayable(Image.open(file, formats=KINDS))
    selection = scaled(selection, answer.size)
    resized = original.size != answer.size
    if resized:
        original = original.resize(answer.size, Image.Resampling.LANCZOS)
    changed = _changed_outside(answer, original, selection)
    clear = original.mode == "RGBA" or (answer.mode == "RGBA" and see_through(answer))
    mode = "RGBA" if clear else "RGB"
    result = Image.composite(answer.convert(mode), original.convert(mode), _weight(selection))
    # After a crash, the file itself tells what it was made of, and that it needs no second paste.
    data = embed_metadata(png_of(result), "image/png", {"pasted_over": picture.sha256})
    pasted = replace(picture, data=data, mime="image/png", sha256="", unpasted=picture.data)
    return PasteBack(pasted, changed, resized)


def _weight(selection: Image) -> Image:
    """How much of the answer counts: 0 outside the mask, rising to 255 within its edge; less softly in a thin mask."""
    from PIL import ImageChops, ImageFilter

    whole = selection.histogram()[255]
    for radius in (FEATHER // 2, FEATHER // 4):
        blur = ImageFilter.BoxBlur(radius)
        core = selection.filter(blur).point(lambda value: 255 if value == 255 else 0)
        if 2 * core.histogram()[255] >= whole:
            return ImageChops.darker(selection, core.filter(blur))
    return selection


def _changed_outside(answer: Image, original: Image, selection: Image) -> float:
    """The share of pixels well outside the mask whose largest channel differs notably."""
    from PIL import Image, ImageChops, ImageFilter

    paper = Image.new("RGBA", answer.size, "white")
    one, other = (
        Image.alpha_composite(paper, side.convert("RGBA")).convert("RGB") for side in (answer, original)
    )
    red, green, blue = ImageChops.difference(one, other).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    near = selection.filter(ImageFilter.BoxBlur(_MARGIN))
    outside = near.point(lambda value: 0 if value else 255)
    histogram = most.histogram(outside)
    return sum(histogram[_NOTABLE + 1 :]) / max(1, sum(histogram))
