"""Which part of a picture may change, and what is scribbled on it: masks and markup as the API reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidRequestError
from .reading import eight_bits, read_picture, see_through

if TYPE_CHECKING:
    from PIL.Image import Image


def selected(mask: Any, size: tuple[int, int]) -> Image:
    """What a mask selects, as a picture of mode L: 255 is to change, 0 stays.

    Args:
        mask: a box `(left, top, right, bottom)` in pixels, or a boolean array or a picture in any form: white is to
            change; of one with transparency, what is transparent.
        size: of the picture that it lies on.

    Raises:
        InvalidRequestError: it has another size, selects nothing or everything, or cannot be read.
    """
    if (
        isinstance(mask, list | tuple)
        and len(mask) == 4
        and all(isinstance(side, int | float) for side in mask)
    ):
        selection = _box(tuple(mask), size)
    else:
        selection = _selection(read_picture(mask, "mask").image)
    if selection.size != size:
        width, height = selection.size
        said = f"mask is {width}x{height}; the picture is {size[0]}x{size[1]}; give them the same size"
        raise InvalidRequestError(said, param="mask")
    lowest, highest = cast("tuple[int, int]", selection.getextrema())
    if highest == 0:
        raise InvalidRequestError(
            "mask selects nothing; white, or transparent, is what changes", param="mask"
        )
    if lowest == 255:
        raise InvalidRequestError("mask selects the whole picture; leave it out", param="mask")
    return selection


def _box(box: tuple[float, ...], size: tuple[int, int]) -> Image:
    from PIL import Image

    left, top, right, bottom = box
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        sides = ",".join(f"{side:g}" for side in box)
        said = f"mask is the box {sides}; it takes left,top,right,bottom within {size[0]}x{size[1]}"
        raise InvalidRequestError(said, param="mask")
    selection = Image.new("L", size, 0)
    selection.paste(255, tuple(round(side) for side in box))  # type: ignore[arg-type]
    return selection


def _selection(image: Image) -> Image:
    from PIL import ImageChops

    image.load()
    if image.has_transparency_data:
        grey = ImageChops.invert(image.convert("RGBA").getchannel("A"))
    elif image.mode.startswith("I;16") or image.mode == "I":
        grey = image.point(lambda value: value / 256).convert("L")
    elif image.mode in ("1", "L"):
        grey = image.convert("L")
    else:
        channels = image.convert("RGB").split()
        if any(ImageChops.difference(channels[0], other).getbbox() for other in channels[1:]):
            said = "mask is a picture in colour without transparency; white is what changes, black stays"
            raise InvalidRequestError(said, param="mask")
        grey = channels[0]
    return grey.point(lambda value: 255 if value >= 128 else 0)


def as_mask(selection: Image) -> Image:
    """As the API reads it: transparent is to change; without colours, which some relays would show."""
    from PIL import Image, ImageChops

    mask = Image.new("RGBA", selection.size, (0, 0, 0, 0))
    mask.putalpha(ImageChops.invert(selection))
    return mask


def as_markup(markup: Any, size: tuple[int, int]) -> Image:
    image = eight_bits(read_picture(markup, "markup").image)
    if image.size != size:
        width, height = image.size
        said = f"markup is {width}x{height}; the picture is {size[0]}x{size[1]}; give them the same size"
        raise InvalidRequestError(said, param="markup")
    if image.mode != "RGBA" or not see_through(image):
        raise InvalidRequestError(
            "markup hides the whole picture; it needs transparent pixels", param="markup"
        )
    return image
