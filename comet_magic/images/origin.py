"""What is known of a PIL picture that came from a call.

It is kept with the object, not beside the list: whatever is done to a list of pictures, each one still shows,
saves and tells what it is. A picture without an origin is the user's own.
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
Look = tuple[tuple[int, int], str, int]
_PNG_MODES = frozenset({"1", "L", "LA", "P", "I;16", "RGB", "RGBA"})


@dataclass(slots=True, eq=False)
class Origin:
    """Where a PIL picture came from.

    Attributes:
        picture: as it arrived.
        facts: of its call.
        look: size, mode and checksum of its pixels as they arrived, once somebody decoded them; else None.
    """

    picture: Picture
    facts: Facts
    look: Look | None = None


def opened(picture: Picture, facts: Facts | None) -> Image:
    """A PIL picture whose pixels are decoded when they are asked for; one that Pillow cannot open raises then.

    Args:
        picture: as it arrived.
        facts: of its call, or None if it is the user's own.
    """
    image: Image
    try:
        image = open_trusted(picture)
    except BadImageError as error:  # it is paid: the others are shown, and this one can be saved
        image = unreadable(picture, str(error))
    if facts is not None:
        image.__dict__[_ATTRIBUTE] = Origin(picture, facts)
    return image


def origin(image: Image) -> Origin | None:
    """Where a picture came from; None for one of the user's own, also if it was made from ours."""
    found: Origin | None = image.__dict__.get(_ATTRIBUTE)
    return found


def facts_of(image: Image) -> Facts | None:
    """What is known of the call that a picture came from; None for one of the user's own."""
    known = origin(image)
    return None if known is None else known.facts


def whole(image: Image) -> Image:
    """The same picture, its pixels decoded.

    Raises:
        BadImageError: they cannot be; its file is named.
    """
    known = origin(image)
    if known is None:
        guarded(image.load)
    elif _is_decoded(image):  # maybe in part: Pillow keeps what it got before it raised
        _look_at_arrival(known)
    else:
        known.look = guarded(lambda: _look(image), known.picture.name)
    return image


def provided(image: Image) -> Picture | None:
    """The picture that arrived, if that is still what this object shows; None if it was edited or replaced."""
    known = origin(image)
    if known is None:
        return None
    picture = known.picture
    if image.size == (picture.width, picture.height) and not _is_decoded(image):
        return picture
    try:
        return picture if _look(image) == _look_at_arrival(known) else None
    except (*RAISED, BadImageError):  # damaged, or closed by the user
        return picture


def _look_at_arrival(known: Origin) -> Look:
    """How the picture looked before anybody could edit it; decoded once more if that is not known."""
    if known.look is None:
        fresh = open_trusted(known.picture)
        known.look = guarded(lambda: _look(fresh), known.picture.name)
    return known.look


def _look(image: Image) -> Look:
    checksum = zlib.crc32(image.tobytes())
    return image.size, image.mode, checksum


def pixels(image: Image, edge: int) -> Image:
    """What a picture shows, as RGB or RGBA, its longest edge at most this long.

    Pixels that somebody decoded are used; others are decoded as far as needed and not kept.

    Raises:
        BadImageError: its pixels cannot be decoded; its file is named.
    """
    picture, known = provided(image), origin(image)
    if picture is None or (known is not None and known.look is not None and _is_decoded(image)):
        return smaller(displayable(image), edge)
    return decoded(picture, edge)


def arrived(image: Image) -> Picture:
    """The picture that arrived with this object; of a picture of the user's own, it as a PNG file."""
    known = origin(image)
    return known.picture if known else _as_png(image)


def current(image: Image) -> Picture:
    """What a picture shows, as a file: the provider's bytes, or a PNG if it was edited or replaced."""
    return provided(image) or _as_png(image)


def described(image: Image) -> Picture:
    """The picture that arrived with this object; of a picture of the user's own, its size without bytes."""
    known = origin(image)
    return known.picture if known else Picture(b"", "image/png", *image.size, cost=0)


def _as_png(image: Image) -> Picture:
    out = io.BytesIO()
    guarded(lambda: (image if image.mode in _PNG_MODES else displayable(image)).save(out, "PNG"))
    made = Picture(out.getvalue(), "image/png", *image.size, cost=0)
    known = origin(image)
    if known is None:
        return made
    paid = known.picture
    return replace(
        made,
        revised_prompt=paid.revised_prompt,
        request_id=paid.request_id,
        cost=paid.cost,
        reused=paid.reused,
    )


def cost_of(images: Iterable[Image], facts: Facts) -> int | None:
    """What these pictures cost in micro-USD, None if any part is unknown.

    Args:
        images: each is counted once; the user's own cost nothing.
        facts: of the call whose pictures they are; if all of that call are here, its cost holds.
    """
    known = [found for image in {id(image): image for image in images}.values() if (found := origin(image))]
    own = [found.picture.cost for found in known if found.facts == facts]
    others = [found.picture.cost for found in known if found.facts != facts]
    return total([facts.cost if len(own) == facts.pictures else total(own), *others])


def _is_decoded(image: Image) -> bool:
    """Whether Pillow has decoded the pixels, or some of them."""
    return getattr(image, "_im", image) is not None
