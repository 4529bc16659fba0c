"""Where a PIL picture came from: its provider's bytes, its file, its price, its call.

This is kept on the PIL object, not beside the list, so that no list operation can mix it up. A PIL picture without an
origin is the user's own.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BadImageError
from ..money import total
from .decode import RAISED, decoded, displayable, guarded, open_trusted, smaller, unreadable
from .picture import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image

    from .picture import Facts

_ATTRIBUTE = "_comet_origin"
_PNG_MODES = frozenset({"1", "L", "LA", "P", "I;16", "RGB", "RGBA"})
Look = tuple[tuple[int, int], str, int]


@dataclass(slots=True, eq=False)
class Origin:
    """The origin of a PIL picture.

    Attributes:
        picture: as it arrived.
        facts: of its call.
        look: size, mode and checksum of the pixels that arrived; None until they are decoded.
    """

    picture: Picture
    facts: Facts
    look: Look | None = None


def opened(picture: Picture, facts: Facts | None) -> Image:
    """Open a picture without decoding its pixels; if Pillow cannot open it, loading its pixels raises OSError.

    Args:
        picture: as it arrived.
        facts: of its call; None for a picture of the user's own.
    """
    image: Image
    try:
        image = open_trusted(picture)
    except BadImageError as error:  # it is paid for: it can be saved, and the other pictures can be used
        image = unreadable(picture, str(error))
    if facts is not None:
        image.__dict__[_ATTRIBUTE] = Origin(picture, facts)
    return image


def origin_of(image: Image) -> Origin | None:
    """The origin of a PIL picture; None for one of the user's own, also if it was derived from a provider's."""
    found: Origin | None = image.__dict__.get(_ATTRIBUTE)
    return found


def load_pixels(image: Image) -> Image:
    """Decode the pixels of a picture, and give the picture back.

    Raises:
        BadImageError: they are damaged; the error names the file.
    """
    origin = origin_of(image)
    if origin is None:
        guarded(image.load)
    elif _is_decoded(image):  # perhaps in part: after a fault, Pillow keeps what it has decoded
        _look_at_arrival(origin)
    else:
        origin.look = guarded(lambda: _look(image), origin.picture.name)
    return image


def unedited(image: Image) -> Picture | None:
    """The picture that arrived, if the PIL picture still shows it; None if it was edited, or is the user's own."""
    origin = origin_of(image)
    if origin is None:
        return None
    picture = origin.picture
    if image.size == (picture.width, picture.height) and not _is_decoded(image):
        return picture
    try:
        return picture if _look(image) == _look_at_arrival(origin) else None
    except (*RAISED, BadImageError):  # damaged, or closed by the user
        return picture


def pixels(image: Image, edge: int) -> Image:
    """The picture as RGB or RGBA, its longest edge at most this long.

    Pixels that are decoded already are used; others are decoded as far as needed, and not kept.

    Raises:
        BadImageError: they are damaged; the error names the file.
    """
    picture, origin = unedited(image), origin_of(image)
    if picture is None or (_is_decoded(image) and origin is not None and origin.look is not None):
        return smaller(displayable(image), edge)
    return decoded(picture, edge)


def arrived(image: Image) -> Picture:
    """The picture that arrived as this PIL picture; a picture of the user's own as a PNG file."""
    origin = origin_of(image)
    return origin.picture if origin else _as_png(image)


def current(image: Image) -> Picture:
    """The picture as it looks now: the provider's bytes, or a PNG file if it was edited or is the user's own."""
    return unedited(image) or _as_png(image)


def described(image: Image) -> Picture:
    """The picture that arrived as this PIL picture; for one of the user's own, its size and no bytes."""
    origin = origin_of(image)
    return origin.picture if origin else Picture(b"", "image/png", *image.size, cost=0)


def cost_of(images: Iterable[Image], facts: Facts) -> int | None:
    """The cost of these pictures in micro-USD; None if any part is unknown.

    Args:
        images: each is counted once; the user's own cost nothing.
        facts: of the call whose pictures they are; its cost is taken if all of its pictures are here.
    """
    origins = [
        origin for image in {id(image): image for image in images}.values() if (origin := origin_of(image))
    ]
    own = [origin.picture.cost for origin in origins if origin.facts == facts]
    others = [origin.picture.cost for origin in origins if origin.facts != facts]
    return total([facts.cost if len(own) == facts.pictures else total(own), *others])


def _as_png(image: Image) -> Picture:
    out = io.BytesIO()
    guarded(lambda: (image if image.mode in _PNG_MODES else displayable(image)).save(out, "PNG"))
    made = Picture(out.getvalue(), "image/png", *image.size, cost=0)
    origin = origin_of(image)
    if origin is None:
        return made
    paid = origin.picture
    names = ("revised_prompt", "request_id", "cost", "reused")
    return replace(made, **{name: getattr(paid, name) for name in names})


def _look_at_arrival(origin: Origin) -> Look:
    """How the picture looked before anybody could edit it; decoded once more if this is not known."""
    if origin.look is None:
        fresh = open_trusted(origin.picture)
        origin.look = guarded(lambda: _look(fresh), origin.picture.name)
    return origin.look


def _look(image: Image) -> Look:
    checksum = zlib.crc32(image.tobytes())
    return image.size, image.mode, checksum


def _is_decoded(image: Image) -> bool:
    """Whether Pillow has decoded the pixels, or some of them."""
    return getattr(image, "_im", image) is not None
