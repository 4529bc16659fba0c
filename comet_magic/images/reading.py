"""Read what a user gives as a picture: a PIL picture, a path, bytes, an array.

It is turned upright, and keeps its own bytes, without metadata, if they can be sent.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CometError, InvalidRequestError
from ..files import native
from ..formats import check_picture, plain, sniff
from ..text import clean
from .display import unedited
from .picture import RAISED

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

T = TypeVar("T")
_MOST_PIXELS = 178_956_970  # Pillow refuses more
_ORIENTATION = 0x0112  # of EXIF
_PNG_DEPTH = 24  # where a PNG says how many bits a channel has
_LARGEST_FILE = 512 * 1024 * 1024
_KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # what Pillow may open
_FORMS = "a PIL picture, a path, bytes, an array, Images"


@dataclass(frozen=True)
class GivenPicture:
    """A picture as it was given, upright; `data` if it came as bytes that can be sent as they are."""

    image: Image
    label: str
    data: bytes | None = None
    mime: str = ""
    file: io.BytesIO | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    def load(self) -> Image:
        """The picture with its pixels; its file, which Pillow would keep, is let go of."""
        self.image.load()
        if self.file is not None:
            self.file.close()
        return self.image


def read_picture(value: Any, param: str, number: int = 0) -> GivenPicture:
    """Open what was given, turned as its EXIF says; a list of one picture is that picture."""
    label = label_of(param, number)
    while isinstance(value, list | tuple) and len(value) == 1:
        (value,) = value
    return open_content(content_of(value, label, param), label, param)


def _forms(param: str) -> str:
    """What an option takes, in words."""
    box = "a box of left, top, right and bottom, " if param == "mask" else ""
    return f"{box}{_FORMS}" + (", or a list of these" if param == "image" else "")


def label_of(param: str, number: int) -> str:
    """What a picture is called: `image`, `image 2`."""
    return f"{param} {number}" if number > 1 else param


def open_content(
    found: bytes | Image, label: str, param: str, *, most_pixels: float = math.inf
) -> GivenPicture:
    """Open what `content_of` gave; the bytes of a picture with more pixels than this are not kept."""
    if not isinstance(found, bytes):
        return GivenPicture(readable(lambda: _upright(found), label, param), label)
    file, mime = io.BytesIO(found), sniff(found) or ""
    bare = _without_metadata(found, mime)
    try:
        image = _decoder(file, label, param)
    except InvalidRequestError:
        if bare is None or bare is found:
            raise
        file = io.BytesIO(bare)  # Pillow refuses sound files with long texts
        image = _decoder(file, label, param)
    if bare is not found:  # else it has no EXIF, which Pillow would decode the picture to look for
        whole, image = image, readable(lambda: _upright(image), label, param)
        bare = bare if image is whole else None
    if image.width * image.height > most_pixels:  # it is encoded anew, and room for both is a lot
        bare = None
    return GivenPicture(image, label, bare, mime, file)


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    image.load()  # Pillow looks for EXIF behind the pixels too, and damaged pixels are told only once
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except RAISED:  # damaged EXIF does not say how it is turned, and the pixels need none
        turned = False
    return ImageOps.exif_transpose(image) if turned else image


def _without_metadata(data: bytes, mime: str) -> bytes | None:
    """The file without metadata, if it is whole and of 8 bits; else None."""
    try:
        check_picture(data, max_pixels=_MOST_PIXELS)
        return plain(data, mime) if mime != "image/png" or data[_PNG_DEPTH] == 8 else None
    except CometError:
        return None


def content_of(value: Any, label: str, param: str) -> bytes | Image:
    """The bytes or the PIL picture behind what was given."""
    from PIL import Image

    if isinstance(value, Image.Image):
        arrived = unedited(value)
        return arrived.data if arrived else value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | os.PathLike):
        return _file(value, label, param)
    if isinstance(value, Mapping) and (
        value.get("bytes") or value.get("path")
    ):  # as in Hugging Face datasets
        return content_of(value.get("bytes") or value["path"], label, param)
    if hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        return _from_array(value, label, param)
    raise InvalidRequestError(
        f"{label} is of type {type(value).__name__}; it takes {_forms(param)}", param=param
    )


def _file(path: str | os.PathLike[str], label: str, param: str) -> bytes:
    path = os.fsdecode(path)
    name = clean(path, limit=200)
    if name.lower().startswith(("http://", "https://", "data:")):
        said = f"{label} is an address; download the picture and give its path or its bytes"
        raise InvalidRequestError(said, param=param)
    try:
        file = native(Path(path).expanduser())
        if file.exists() and not file.is_file():
            reason = "it is not a file"
        elif file.exists() and file.stat().st_size > _LARGEST_FILE:
            reason = "it has more than 512 MiB"
        else:
            return file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        reason = clean(getattr(error, "strerror", None) or error, limit=120)
    raise InvalidRequestError(f"{label} {name} cannot be read: {reason}", param=param)


def _from_array(value: Any, label: str, param: str) -> Image:
    import numpy as np
    from PIL import Image

    array = readable(lambda: np.asarray(value), label, param)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        return readable(lambda: Image.fromarray(array), label, param)
    shape = "x".join(map(str, array.shape))
    takes = "uint8 or bool of HEIGHTxWIDTH, or with 3 or 4 channels"
    said = f"{label} is an array of {shape} {array.dtype}; it takes {takes}"
    raise InvalidRequestError(said, param=param)


def _decoder(file: io.BytesIO, label: str, param: str) -> Image:
    from PIL import Image

    image: Image.Image = readable(lambda: Image.open(file, formats=_KINDS), label, param)
    if image.width * image.height > _MOST_PIXELS:
        raise InvalidRequestError(f"{label} is {image.width}x{image.height}; that is too large", param=param)
    return image


def readable(work: Callable[[], T], label: str, param: str) -> T:
    """Do work with Pillow; what it raises is a sentence about the picture."""
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    try:
        return work()
    except UnidentifiedImageError:
        reason = f"it is not a {', '.join(_KINDS[:-1])} or {_KINDS[-1]} file"
    except (*RAISED, DecompressionBombError) as error:
        closed = "its file was closed before its pixels were read; call load() while it is open"
        unnamed = closed if isinstance(error, AssertionError) else type(error).__name__  # as Pillow has it
        reason = clean(error, limit=120) or unnamed
    raise InvalidRequestError(
        f"{label} is not a picture that can be opened: {reason}",
        param=param,
        hint=f"It takes {_forms(param)}.",
    )


# --- pixels


def eight_bits(image: Image) -> Image:
    """RGB or RGBA with 8 bits a channel."""
    image.load()
    if is_deep(image):
        image = shallow(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode == mode:
        return image
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        return image  # its profile says what the colours are
    return image.convert(mode)


def is_deep(image: Image) -> bool:
    """Whether it is grey of 16 or 32 bits."""
    return image.mode.startswith("I")


def shallow(image: Image) -> Image:
    """Grey of 16 bits as grey of 8; Pillow's own conversion clips."""
    return image.convert("I").point(lambda value: value / 256).convert("L")


def see_through(image: Image) -> bool:
    return image.getchannel("A").getextrema()[0] != 255
