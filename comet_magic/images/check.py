"""From bytes of a stranger to a picture that is known to open.

Only the PNG, JPEG and WEBP decoders of Pillow can be reached, by their classes: nothing is registered, no
setting of Pillow is changed or relied upon, so any number of threads may do this at once.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadImageError
from ..files import sniff
from ..text import clean
from .rows import channels, complete
from .structure import Structure, broken, read_structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

T = TypeVar("T")

# What Pillow has been seen to raise on damaged files, and a warning where warnings are errors.
_RAISED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)


def check_picture(data: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """MIME type, width and height of a picture whose data was read to its last pixel: it will open.

    Args:
        data: the whole file.
        max_pixels: the largest product of width and height; a larger picture is not decoded.

    Raises:
        BadImageError: it is no png, jpeg or webp, or it is damaged or cut.
        TooLargeError: it has too many pixels.
    """
    mime, structure = _inspected(data, max_pixels)
    image = _opened(mime, structure)
    if not _surely_opens(data, structure, image):
        # A JPEG's code is read to its last block, which is all that can fail; the pixels need not be worked out.
        image.draft("L", (1, 1))
        guarded(lambda: displayable(image))
    return mime, structure.width, structure.height


def _surely_opens(data: bytes, structure: Structure, image: ImageFile) -> bool:
    """Whether it is a plain PNG without a fault, which need not be decoded to be sure."""
    each = channels(data, structure.pixels)
    if not each or "transparency" in image.info:
        return False
    return complete(data, structure.pixels, row=1 + each * structure.width, rows=structure.height)


def open_within(data: bytes, *, max_pixels: int) -> ImageFile:
    """A picture that nobody checked yet, unloaded; loading it may raise whatever Pillow raises."""
    mime, structure = _inspected(data, max_pixels)
    return _opened(mime, structure)


def open_checked(data: bytes, mime: str) -> ImageFile:
    """A picture that `check_picture` accepted, unloaded: its pixels are decoded when they are asked for."""
    return _opened(mime, read_structure(data, mime, checked=True))


def displayable(image: Image) -> Image:
    """The picture as RGB, or as RGBA where anything can be seen through."""
    image.load()
    if image.mode == "I;16":
        # By itself the conversion makes white of all but the darkest grey.
        image = image.point(lambda value: value / 256).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def guarded(work: Callable[[], T]) -> T:
    """What the work gives; a BadImageError for whatever Pillow raises on a damaged file."""
    from PIL.Image import DecompressionBombError

    try:
        return work()
    except (*_RAISED, DecompressionBombError) as error:
        reason = clean(error, limit=120) or type(error).__name__
    raise broken(reason)


def _inspected(data: bytes, max_pixels: int) -> tuple[str, Structure]:
    mime = sniff(data)
    if mime is None:
        raise BadImageError("the bytes are no picture that is opened; png, jpeg and webp are")
    return mime, read_structure(data, mime, max_pixels=max_pixels)


def _opened(mime: str, structure: Structure) -> ImageFile:
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    decoders: dict[str, Callable[[io.BytesIO], ImageFile]]
    decoders = {"image/png": PngImageFile, "image/jpeg": JpegImageFile, "image/webp": WebPImageFile}
    image = guarded(lambda: decoders[mime](io.BytesIO(structure.bare)))
    if image.size != (structure.width, structure.height):
        raise broken("it has two sizes")
    # All of it is here: one step, not many.
    image.decodermaxblock = max(image.decodermaxblock, len(structure.bare))
    return image
