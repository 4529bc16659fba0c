"""The PIL pictures of a call: where each came from, how it looks now, and how a notebook shows it.

The origin is kept on the PIL object, not beside the list, so that no list operation can mix it up. A PIL picture
without an origin is the user's own. A notebook gets one small image in one format, and one caption; text of servers
and users goes into `text/plain` and the alternative text only.
"""

from __future__ import annotations

import io
import math
import weakref
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadImageError
from ..money import sum_in_words, total
from ..text import clean
from .picture import (
    EDGE,
    RAISED,
    Picture,
    decoded,
    displayable,
    encoded,
    fitting,
    guarded,
    open_trusted,
    smaller,
    unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL.Image import Image

    from .picture import Facts

_PNG_MODES = frozenset({"1", "L", "LA", "P", "I;16", "RGB", "RGBA"})
Look = tuple[tuple[int, int], str, int]
Bundle = tuple[dict[str, Any], dict[str, Any]]

# nbconvert shows no webp. https://github.com/jupyter/nbconvert/blob/main/nbconvert/exporters/html.py
_SHOWN = ("image/png", "image/jpeg")
MOST_BYTES = 300_000
_ON_SCREEN = 640
GAP = 8
_PAPER = "white"


@dataclass(slots=True, eq=False)
class Origin:
    """The origin of a PIL picture, which is also its `_repr_mimebundle_`: it shows the picture as it looks now.

    Attributes:
        image: the PIL picture; a strong reference would keep its pixels until the garbage collector runs.
        picture: as it arrived.
        facts: of its call.
        look: size, mode and checksum of the pixels that arrived; None until they are decoded.
    """

    image: weakref.ref[Image]
    picture: Picture
    facts: Facts
    look: Look | None = None

    def __call__(
        self,
        include: object = None,  # noqa: ARG002 - IPython's protocol
        exclude: object = None,  # noqa: ARG002
    ) -> Bundle:
        """The MIME bundle, as IPython asks for it."""
        return show((self.image() or opened(self.picture, self.facts),), self.facts)


def opened(picture: Picture, facts: Facts | None) -> Image:
    """Open a picture without decoding its pixels; if Pillow cannot open it, loading its pixels raises OSError.

    With facts it knows its origin, and shows itself in a notebook in one format. This belongs to the object: its
    copies, its pickles and what its methods give are plain PIL pictures.

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
        # Pillow's own methods would add a PNG and a JPEG.
        image.__dict__.update(
            _repr_mimebundle_=Origin(weakref.ref(image), picture, facts),
            _repr_png_=no_repr,
            _repr_jpeg_=no_repr,
        )
    return image


def origin_of(image: Image) -> Origin | None:
    """The origin of a PIL picture; None for one of the user's own, also if it was derived from a provider's."""
    found: Origin | None = image.__dict__.get("_repr_mimebundle_")
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
        origin.look = guarded(lambda: _look(image), origin.picture)
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
    return origin.picture if origin else Picture(b"", "image/png", *image.size, cost_micro=0)


def cost_of(images: Iterable[Image], facts: Facts) -> int | None:
    """The cost of these pictures in micro-USD; None if any part is unknown.

    Args:
        images: each is counted once; the user's own cost nothing.
        facts: of the call whose pictures they are.
    """
    return total(_costs(images, facts))


def _costs(images: Iterable[Image], facts: Facts) -> list[int | None]:
    """The cost of each call whose pictures these are: all of it if all of its pictures are here, else theirs."""
    calls: list[tuple[Facts, list[int | None]]] = [(facts, [])]
    for image in {id(image): image for image in images}.values():
        if (origin := origin_of(image)) is None:
            continue
        costs = next((costs for known, costs in calls if known == origin.facts), None)
        if costs is None:
            calls.append((origin.facts, costs := []))
        costs.append(origin.picture.cost_micro)
    return [known.cost_micro if len(costs) == known.pictures else total(costs) for known, costs in calls]


def _as_png(image: Image) -> Picture:
    out = io.BytesIO()
    guarded(lambda: (image if image.mode in _PNG_MODES else displayable(image)).save(out, "PNG"))
    return replace(
        described(image),
        data=out.getvalue(),
        mime="image/png",
        width=image.width,
        height=image.height,
        path=None,
        sha256="",
    )


def _look_at_arrival(origin: Origin) -> Look:
    """How the picture looked before anybody could edit it; decoded once more if this is not known."""
    if origin.look is None:
        fresh = open_trusted(origin.picture)
        origin.look = guarded(lambda: _look(fresh), origin.picture)
    return origin.look


def _look(image: Image) -> Look:
    checksum = zlib.crc32(image.tobytes())
    return image.size, image.mode, checksum


def _is_decoded(image: Image) -> bool:
    """Whether Pillow has decoded the pixels, or some of them."""
    return getattr(image, "_im", image) is not None


# --- in a notebook


def show(
    images: Sequence[Image], facts: Facts, *, inline: str = "auto", max_bytes: int = MOST_BYTES
) -> Bundle:
    """The MIME bundle of pictures and its metadata: at most one image, and the caption.

    If a picture is damaged and a preview of it is needed, the caption alone is shown, and names the file: the
    picture is paid for and kept, and the cell goes on.
    """
    text = "\n".join(caption_of(images, facts).lines)
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


class Caption(NamedTuple):
    """The words below pictures.

    Attributes:
        facts: model, size and cost, in one line.
        files: where they are, as one would type it here.
        notice: a sentence of its own, or "".
    """

    facts: str
    files: tuple[str, ...]
    notice: str

    @property
    def lines(self) -> list[str]:
        """As text: facts and first file, and the notice on a line of its own."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        files = f"{self.files[0]}{more}" if self.files else ""
        return [line for line in (" · ".join(filter(None, (self.facts, files))), self.notice) if line]


def caption_of(images: Sequence[Image], facts: Facts) -> Caption:
    """The caption of pictures, cleaned."""
    sizes = {f"{image.width}x{image.height}" for image in images}
    size = sizes.pop() if len(sizes) == 1 else "several sizes" if sizes else "no pictures"
    several = f"{len(images)} pictures " if len(images) > 1 else ""
    preset = facts.asked.get("preset")
    parts = (facts.model, several + size, price_words(images, facts), preset and f"preset {preset}")
    return Caption(
        _in_line(" · ".join(part for part in parts if part)),
        tuple(clean(name) for image in images if (name := described(image).name)),
        _in_line(facts.notice),
    )


def _in_line(text: str) -> str:
    return " ".join(clean(text).split())


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
    """The cost in words: dollars, "at least" some, "cost unknown", "reused (free)"; "" for a part without a cost."""
    if images and all(described(image).reused for image in images):
        return "reused (free)"
    costs = _costs(images, facts)
    return "" if None in costs and len(images) < facts.pictures else sum_in_words(costs)


def contact_sheet(images: Sequence[Image], *, columns: int, width: int) -> Image:
    """All pictures side by side on white, in rows, in their order.

    Args:
        images: at least one.
        columns: pictures in a row.
        width: of the sheet, in pixels.

    Raises:
        BadImageError: one is damaged; the error names its file.
    """
    from PIL import Image as Pillow

    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    gap = min(GAP, width // (4 * columns))
    across = (width - gap * (columns - 1)) // columns
    down = max(1, round(across * max(image.height / image.width for image in images)))
    sheet = Pillow.new("RGB", (width, rows * (down + gap) - gap), _PAPER)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        scale = min(1.0, across / image.width, down / image.height)
        small = pixels(image, max(1, round(max(image.size) * scale)))
        left = column * (across + gap) + (across - small.width) // 2
        top = row * (down + gap) + (down - small.height) // 2
        sheet.paste(small, (left, top), small if small.mode == "RGBA" else None)
    # A plain Pillow picture shows itself as PNG and as JPEG; this one as JPEG only.
    sheet.__dict__["_repr_png_"] = no_repr
    return sheet


def no_repr() -> None:
    """The `_repr_png_` and `_repr_jpeg_` of a picture that is not shown in that format."""
