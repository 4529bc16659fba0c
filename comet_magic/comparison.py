"""Pictures side by side, each with its model, size, price and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidRequestError
from .images import fitting
from .images.display import arrived, cost_of, origin_of, pixels
from .money import dollars
from .outputs import data_url, file_address
from .tables import Thumbnail, table
from .text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 24  # pictures
MOST_BYTES = 400_000  # of all thumbnails together
EDGE = 512  # pixels of a thumbnail


class _Compared(NamedTuple):
    label: str
    image: Image


class Comparison:
    """Pictures side by side: a table in a notebook, and text elsewhere."""

    def __init__(self, pictures: list[_Compared]) -> None:
        self._pictures = pictures

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        images = [one.image for one in self._pictures]
        facts = [_facts(image) for image in images]
        rows: list[list[Any]] = [
            ["", *(_thumbnail(image, MOST_BYTES // len(images)) for image in images)],
            *([name, *(one[name] for one in facts)] for name in facts[0] if any(one[name] for one in facts)),
        ]
        bundle: dict[str, str] = table(["", *(one.label for one in self._pictures)], rows)
        return bundle


def compare(*pictures: Any, **named: Any) -> Comparison:
    """Show pictures side by side, each with its model, options, size, price and seconds.

    Args:
        pictures: `Images`, PIL pictures, or lists of them; up to 24 pictures.
        named: likewise, under names of yours.

    Returns:
        What a notebook shows as a table, and `print` as text.

    Raises:
        InvalidRequestError: something is not a picture, there are none, or too many.

    Example:
        >>> import comet_magic as cm
        >>> draft = cm.generate("a paper boat", quality="low")
        >>> best = draft.upgrade("high")
        >>> comparison = cm.compare(draft, best)
    """
    numbered = [(str(number), image) for number, image in enumerate(_flat(pictures), 1)]
    for name, given in named.items():
        several = _flat([given])
        ends = [""] if len(several) == 1 else [f" {number}" for number in range(1, len(several) + 1)]
        numbered += [(name + end, image) for end, image in zip(ends, several, strict=True)]
    if not 1 <= len(numbered) <= MOST:
        raise InvalidRequestError(
            f"there are {len(numbered)} pictures to compare; it takes 1 to {MOST}", param="pictures"
        )
    return Comparison([_Compared(*one) for one in numbered])


def _flat(given: Any) -> list[Image]:
    from PIL import Image as Pillow

    found: list[Image] = []
    for one in given:
        if isinstance(one, Pillow.Image):
            found.append(one)
        elif isinstance(one, list | tuple):
            found += _flat(one)
        else:
            raise InvalidRequestError(
                f"{clean(type(one).__name__)} is not a picture; give Images or PIL pictures", param="pictures"
            )
    return found


def _facts(image: Image) -> dict[str, str]:
    """What is known of a picture, by name; "" for what is not."""
    origin = origin_of(image)
    known = origin.facts if origin else None
    sent = known.request.to_dict() if known and known.request else {}
    options = {name: value for name, value in sent.items() if name not in ("model", "prompt", "n", "size")}
    price = cost_of([image], known) if known else None
    if known and price is None and known.cost_micro is not None:  # its share of what the call cost
        price = known.cost_micro // known.pictures
    seconds = known.seconds if known else None
    return {
        "model": known.model if known else "",
        "options": " ".join(f"{name}={value}" for name, value in options.items()),
        "preset": str(known.asked.get("preset", "")) if known else "",
        "size": f"{image.width}x{image.height}",
        "price": "" if price is None else dollars(price),
        "seconds": "" if seconds is None else f"{seconds:.1f}",
        "prompt": known.prompt if known else "",
    }


def _thumbnail(image: Image, most: int) -> Thumbnail:
    data, mime, _ = fitting(pixels(image, EDGE), most * 3 // 4, edge=EDGE)
    origin = origin_of(image)
    where = file_address(arrived(image).name) if origin else ""
    return Thumbnail(data_url(data, mime), origin.facts.prompt if origin else "picture", where, EDGE // 2)
