"""Which part of a picture may change, and what is scribbled on it: masks and markup as the API reads them."""

from __future__ import annotations

import re
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidRequestError
from .reading import eight_bits, is_deep, read_picture, see_through, shallow

if TYPE_CHECKING:
    from PIL.Image import Image

_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_BOX = re.compile(rf"\s*[\[(]?\s*{_NUMBER.pattern}(?:\s*,\s*{_NUMBER.pattern}){{3}}\s*[\])]?\s*")
_NEAREST, _BOX_FILTER = 0, 4  # of PIL's `Resampling`, which is not imported for them
_WHITE = 128  # of 255: from here on a grey pixel is selected


def selected(mask: Any, size: tuple[int, int]) -> Image:
    """What a mask selects, as a picture of mode L: 255 is to change, 0 stays.

    Args:
        mask: a box `(left, top, right, bottom)` in pixels, also as a text; or a boolean array or a picture in any
            form: white is to change; of one with transparent pixels, those.
        size: of the picture that it lies on.

    Raises:
        InvalidRequestError: it has another size, selects nothing or everything, or cannot be read.
    """
    box = as_box(mask)
    grey = _box(box, size) if box else _grey(read_picture(mask, "mask").image)
    if grey.size != size:
        width, height = grey.size
        said = f"mask is {width}x{height}; the picture is {size[0]}x{size[1]}; give them the same size"
        raise InvalidRequestError(said, param="mask")
    darkest, brightest = cast("tuple[int, int]", grey.getextrema())
    if brightest < _WHITE:  # arrays of 0 and 1 are common masks elsewhere
        found = f": its brightest pixel is {brightest} of 255" if brightest else ""
        said = f"mask selects nothing{found}; white, or transparent, is what changes"
        hint = "Give mask > 0, a boolean array." if brightest else ""
        raise InvalidRequestError(said, param="mask", hint=hint)
    if darkest >= _WHITE:
        raise InvalidRequestError("mask selects the whole picture; leave it out", param="mask")
    return grey.point(lambda value: 255 if value >= _WHITE else 0)


def as_box(mask: Any) -> tuple[float, ...] | None:
    """The four numbers of a box in a list, a tuple, an array or a text; None if it is something else."""
    if isinstance(mask, str):
        return tuple(map(float, _NUMBER.findall(mask))) if _BOX.fullmatch(mask) else None
    sides = mask.tolist() if getattr(mask, "ndim", 0) == 1 else mask
    if not isinstance(sides, list | tuple) or len(sides) != 4:
        return None
    if not all(isinstance(side, Real) for side in sides):
        return None
    return tuple(sides)


def _box(box: tuple[float, ...], size: tuple[int, int]) -> Image:
    from PIL import Image

    left, top, right, bottom = box
    inside = 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    if not inside or round(left) == round(right) or round(top) == round(bottom):
        sides = ",".join(f"{side:g}" for side in box)
        said = f"mask is the box {sides}; it takes left,top,right,bottom in pixels within {size[0]}x{size[1]}"
        raise InvalidRequestError(said, param="mask")
    selection = Image.new("L", size, 0)
    selection.paste(255, tuple(round(side) for side in box))  # type: ignore[arg-type]
    return selection


def _grey(image: Image) -> Image:
    """What a picture selects, from 0 to 255: what is transparent in it, or else what is white."""
    from PIL import ImageChops

    image.load()
    clear = image.convert("RGBA") if image.has_transparency_data else None
    if clear and see_through(clear):
        grey = ImageChops.invert(clear.getchannel("A"))
    elif is_deep(image):
        grey = shallow(image)
    elif image.mode in ("1", "L"):
        grey = image.convert("L")
    else:
        channels = image.convert("RGB").split()
        if any(ImageChops.difference(channels[0], other).getbbox() for other in channels[1:]):
            said = "mask is a picture in colour without transparency; white is what changes, black stays"
            raise InvalidRequestError(said, param="mask")
        grey = channels[0]
    return grey


def scaled(selection: Image, size: tuple[int, int]) -> Image:
    """What is selected, in another size: of a smaller one each pixel that holds any of it, so nothing thin is lost."""
    if size[0] >= selection.width and size[1] >= selection.height:
        return selection.resize(size, _NEAREST)
    return selection.resize(size, _BOX_FILTER).point(lambda value: 255 if value else 0)


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
