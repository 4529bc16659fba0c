"""A picture as it arrived, the facts of its call, and its pixels: opened, decoded, scaled and encoded with Pillow.

The PNG, JPEG and WEBP decoders are used by their classes, and no other can be reached. No setting of Pillow is
changed or relied upon, so many threads may do this at once.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..files import from_here
from ..formats import broken, check_picture, sniff, stripped
from ..money import usd
from ..request import NO_INPUTS, Inputs
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from ..request import ImageRequest

T = TypeVar("T")

# What Pillow has been seen to raise on damaged files, and a warning where warnings are errors.
RAISED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, Warning, struct.error, zlib.error),
)
# Below the 89 million at which Pillow begins to warn.
_MOST_PIXELS = 64_000_000
EDGE = 1024
_SMALLEST_EDGE = 128


@dataclass(frozen=True)
class Picture:
    """One picture, whose container was checked.

    Attributes:
        data: the provider's bytes, untouched, or a PNG with the original pasted back.
        mime: `image/png`, `image/jpeg` or `image/webp`, by the bytes.
        width: in pixels.
        height: in pixels.
        path: its file in the archive, or None.
        revised_prompt: the prompt as the model rewrote it, as sent by the server.
        request_id: the server's id of the call.
        cost_micro: what it cost, or None if unknown.
        sha256: of the bytes, in hex; computed if it is not given.
        reused: it was in the archive already, so nothing was paid.
        unpasted: the provider's bytes, if `data` is a PNG with the original pasted back; else None.
        notice: one sentence about this picture, or "".
    """

    data: bytes = field(repr=False)
    mime: str
    width: int
    height: int
    path: str | None = None
    revised_prompt: str | None = None
    request_id: str | None = None
    cost_micro: int | None = None
    sha256: str = ""
    reused: bool = False
    unpasted: bytes | None = field(default=None, repr=False)
    notice: str = ""

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    @property
    def cost(self) -> float | None:
        """What it cost in USD; None if unknown."""
        return usd(self.cost_micro)

    @property
    def name(self) -> str:
        """Its file as one would type it here; "" if it has none."""
        return str(from_here(Path(self.path))) if self.path else ""


@dataclass(frozen=True)
class Facts:
    """The facts that all pictures of one call share.

    Attributes:
        prompt: as it was sent.
        model: as it was requested.
        created: when the server made them, seconds since 1970.
        usage: as the server counted it.
        cost_micro: of all of them; None if any part is unknown.
        notice: one sentence for every caption, or "".
        pictures: how many the call brought.
        request: as it was sent; None if it is not known.
        parents: the keys of the calls whose pictures went into these.
        seconds: that the call took; None if it is not known, or nothing was sent.
    """

    prompt: str = ""
    model: str = ""
    created: int | None = None
    usage: Mapping[str, Any] | None = None
    cost_micro: int | None = None
    notice: str = ""
    pictures: int = 1
    request: ImageRequest | None = None
    parents: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def asked(self) -> Mapping[str, Any]:
        """What a person gave where something else was sent: `prompt` and `preset`, or a `size` such as 16:9."""
        return (self.request.asked if self.request else None) or {}

    @property
    def inputs(self) -> Inputs:
        """The pictures that went in."""
        return self.request.inputs if self.request else NO_INPUTS


# --- pixels


def open_trusted(picture: Picture) -> ImageFile:
    """Open a picture that was checked when it arrived; its pixels are decoded when they are asked for.

    Raises:
        BadImageError: Pillow cannot open it.
    """
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    decoders: dict[str, Callable[[io.BytesIO], ImageFile]]
    decoders = {"image/png": PngImageFile, "image/jpeg": JpegImageFile, "image/webp": WebPImageFile}
    if sniff(picture.data) != picture.mime:
        raise broken("it is of another kind than its record says", picture.name)
    needed = stripped(picture.data, picture.mime)
    image = guarded(partial(decoders[picture.mime], io.BytesIO(needed)), picture)
    if image.mode == "CMYK":  # no screen shows it, and PNG has no such mode
        from .cmyk import PrintedJpeg

        image = guarded(partial(PrintedJpeg, io.BytesIO(needed)), picture)
    if image.size != (picture.width, picture.height):
        raise broken("it has two sizes", picture.name)
    # Let Pillow read the file in one step, not many.
    image.decodermaxblock = max(image.decodermaxblock, len(needed))
    return image


def unreadable(picture: Picture, reason: str) -> Image:
    """Stand in for a picture that Pillow cannot open: it has the size, and loading its pixels raises OSError."""
    from PIL import Image
    from PIL._util import DeferredError

    image = Image.Image()
    # As Pillow marks a picture that was closed.
    image._size, image._mode = (picture.width, picture.height), "RGB"  # noqa: SLF001
    image._im = DeferredError(OSError(reason))  # noqa: SLF001
    return image


def decoded(picture: Picture, edge: int) -> Image:
    """Decode a picture to RGB or RGBA, its longest edge at most this long; no further than that needs.

    Raises:
        BadImageError: the picture is damaged; the error names its file.
    """
    image = open_trusted(picture)
    # A JPEG is decoded at a half, a quarter or an eighth; other formats ignore this.
    image.draft(None, (edge, edge))
    return smaller(displayable(image, picture), edge)


def displayable(image: Image, picture: Picture | None = None) -> Image:
    """Convert to RGB, or to RGBA if any part is transparent.

    Raises:
        BadImageError: its pixels cannot be decoded.
    """
    return guarded(lambda: _displayable(image), picture)


def _displayable(image: Image) -> Image:
    image.load()
    if image.mode == "I;16":
        # Pillow's own conversion clips: all but the darkest grey would become white.
        image = image.point(lambda value: value / 256).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def smaller(image: Image, edge: int) -> Image:
    """Scale down to this longest edge; a picture that is small enough is given back as it is."""
    scale = edge / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), reducing_gap=2.0)


def guarded(work: Callable[[], T], picture: Picture | None = None) -> T:
    """Do work with Pillow; its faults on damaged files become BadImageError, which names the picture's file."""
    from PIL.Image import DecompressionBombError

    try:
        return work()
    except (*RAISED, DecompressionBombError) as error:
        reason = clean(error, limit=120) or type(error).__name__
    raise broken(reason, picture.name if picture else "")


def preview(data: bytes, edge: int) -> tuple[bytes, str]:
    """A small version for the screen and its MIME type: JPEG, or PNG if any part is transparent.

    Args:
        data: any png, jpeg or webp; it is checked here.
        edge: its longest edge will be at most this many pixels.

    Raises:
        BadImageError: it cannot be opened or decoded.
        TooLargeError: it has too many pixels.
    """
    picture = Picture(data, *check_picture(data, max_pixels=_MOST_PIXELS))
    return guarded(lambda: encoded(decoded(picture, edge)))


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
