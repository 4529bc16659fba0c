"""Checks of pictures that need no model. They reject nothing by themselves: what they find becomes columns.

report.check()                             all of them: columns check_blank, check_size, check_duplicate...
report.check([checks.dark, my_check])      some of them, and functions of one's own: a picture -> bool, number, dict
checks.dark(image), checks.blurred(image)  -> 0.0 to 1.0
checks.distance(one, other)                -> bits of 64 in which two pictures differ; at most 6: near duplicates
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ..errors import CometError, InvalidRequestError
from ..text import clean
from .row_index import RowIndex
from .rows import LazyImage, indexed_records
from .source import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL.Image import Image

CheckFunction = Callable[["Image", Mapping[str, Any]], Any]
CheckName = Literal["default", "blank", "size", "duplicate", "near_duplicate", "dark", "blurred"]
Checks = CheckName | Callable[["Image"], Any] | list[CheckName | Callable[["Image"], Any]]
NEAR = 6  # bits of 64 in which near duplicates differ at most
_FLAT = 8  # of 255; what JPEG makes of one colour differs by less
_EDGE = 1024  # pixels; sharpness is measured at most at this size
_PARTS, _BITS = 4, 16  # of a hash: of four parts of near ones, one differs in at most one bit
_AT_ONCE = 64  # pictures between two writes


@dataclass(frozen=True)
class Check:
    """A check; called with a picture, it gives what it finds in that alone.

    Attributes:
        name: of its column, behind `check_`.
        begin: gives the function that looks at the pictures of one dataset, each with its row.
    """

    name: str
    begin: Callable[[], CheckFunction]

    def __call__(self, image: Image, row: Mapping[str, Any] | None = None) -> Any:
        return self.begin()(image, row or {})


def dhash(image: Image) -> int:
    """64 bits that say where a picture becomes darker from left to right; alike for pictures that look alike."""
    points = _grey(image).resize((9, 8)).tobytes()
    # a difference of one is noise of an even area
    bits = (points[9 * line + at] > points[9 * line + at + 1] + 1 for line in range(8) for at in range(8))
    return sum(bit << place for place, bit in enumerate(bits))


def distance(one: Image, other: Image) -> int:
    """In how many of 64 bits the hashes of two pictures differ; up to 6 they are called near duplicates."""
    return (dhash(one) ^ dhash(other)).bit_count()


def _grey(image: Image) -> Image:
    """Grey as it looks on white."""
    from PIL import Image as pillow  # noqa: N813 - a module

    if image.has_transparency_data:
        white = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(white, image.convert("RGBA"))
    return image.convert("L")


def _is_blank(image: Image, _: Mapping[str, Any]) -> bool:
    """Whether it is of a single colour, or wholly transparent."""
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() == (0, 0):
            return True
    bands = image.convert("RGB").split()
    return all(high - low <= _FLAT for low, high in (band.getextrema() for band in bands))  # type: ignore[operator]  # of one band


def _has_wrong_size(image: Image, row: Mapping[str, Any]) -> bool:
    """Whether it is not of the size that was requested; False if none was."""
    asked = re.fullmatch(r"(\d+)x(\d+)", str(json.loads(row.get("parameters") or "{}").get("size")))
    return asked is not None and image.size != (int(asked[1]), int(asked[2]))


def _darkness(image: Image, _: Mapping[str, Any]) -> float:
    """From 0, white, to 1, black."""
    from PIL import ImageStat

    return round(1 - ImageStat.Stat(_grey(image)).mean[0] / 255, 4)


def _blur(image: Image, _: Mapping[str, Any]) -> float:
    """From 0, sharp, to 1: how much of the contrast of neighbours stays when it is blurred once more.

    Crete and others, "The blur effect", 2007: https://doi.org/10.1117/12.702790
    """
    from PIL import ImageChops, ImageFilter, ImageStat

    from ..images.picture import smaller

    grey = smaller(_grey(image), _EDGE)
    width, height = grey.size
    found = []
    for across, down in ((1, 0), (0, 1)):
        if (width, height)[down] < 2:
            continue
        ends = (across, down, width, height), (0, 0, width - across, height - down)
        soft = grey.filter(ImageFilter.BoxBlur((4 * across, 4 * down)))
        steps = [ImageChops.difference(one.crop(ends[0]), one.crop(ends[1])) for one in (grey, soft)]
        contrast = ImageStat.Stat(steps[0]).sum[0]
        lost = ImageStat.Stat(ImageChops.subtract(steps[0], steps[1])).sum[0]
        found.append(1 - lost / contrast if contrast else 1.0)
    return round(max(found, default=1.0), 4)


class _Duplicates:
    """Finds the file of an earlier picture with the same pixels."""

    def __init__(self) -> None:
        self._files: dict[bytes, str] = {}

    def __call__(self, image: Image, row: Mapping[str, Any]) -> str | None:
        name = row.get("file_name") or ""
        digest = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).digest()
        first = self._files.setdefault(digest, name)
        return None if first == name else first


class _NearDuplicates:
    """Finds the file of the earlier picture that looks most alike, at most 6 bits away."""

    def __init__(self) -> None:
        self._files: dict[int, str] = {}
        self._by_part: list[dict[int, list[int]]] = [{} for _ in range(_PARTS)]

    def __call__(self, image: Image, row: Mapping[str, Any]) -> str | None:
        own = dhash(image)
        near = own if own in self._files else min(self._near(own), default=(0, None))[1]
        if own not in self._files:
            self._files[own] = row.get("file_name") or ""
            for number, part in enumerate(_parts(own)):
                self._by_part[number].setdefault(part, []).append(own)
        return None if near is None else self._files[near]

    def _near(self, own: int) -> Iterator[tuple[int, int]]:
        """Distance and hash of each that is near."""
        for known, part in zip(self._by_part, _parts(own), strict=True):
            for place in (0, *(1 << bit for bit in range(_BITS))):
                for other in known.get(part ^ place, ()):
                    if (own ^ other).bit_count() <= NEAR:
                        yield (own ^ other).bit_count(), other


def _parts(value: int) -> list[int]:
    return [value >> _BITS * number & (1 << _BITS) - 1 for number in range(_PARTS)]


blank = Check("blank", lambda: _is_blank)
size = Check("size", lambda: _has_wrong_size)
duplicate = Check("duplicate", _Duplicates)
near_duplicate = Check("near_duplicate", _NearDuplicates)
dark = Check("dark", lambda: _darkness)
blurred = Check("blurred", lambda: _blur)
DEFAULT = (blank, size, duplicate, near_duplicate, dark, blurred)
_NAMED = {"default": DEFAULT, **{check.name: (check,) for check in DEFAULT}}


def checks_of(given: object) -> tuple[Check, ...]:
    """The checks that an option `check` names.

    Raises:
        InvalidRequestError: it names something else, or two checks of one name.
    """
    found: list[Check] = []
    for one in given if isinstance(given, (list, tuple)) else (given,):
        if isinstance(one, str) and one in _NAMED:
            found += _NAMED[one]
        elif isinstance(one, Check):
            found.append(one)
        elif callable(one):
            found.append(_own(one))
        else:
            raise InvalidRequestError(
                f"check is {clean(one, limit=80)}; it must be {', '.join(_NAMED)}, a function of a picture, or a list"
                " of these",
                param="check",
            )
    names = [check.name for check in found]
    if len(set(names)) < len(names):
        raise InvalidRequestError(f"check has two checks of one name: {', '.join(names)}", param="check")
    return tuple(found)


def _own(function: Callable[[Image], Any]) -> Check:
    """The check that a user's function makes."""
    name = re.sub(r"\W+", "_", getattr(function, "__name__", type(function).__name__)).strip("_")
    return Check(name, lambda: lambda image, _: function(image))


def look_through(folder: Path, checks: Sequence[Check]) -> None:
    """Look at every picture of a dataset, in the order of its rows; what is found is kept in its index."""
    looks = [(check.name, check.begin()) for check in checks]
    rows = ((row, record) for row, record in indexed_records(folder) if record["file_name"])
    seen: set[tuple[str, int]] = set()
    with RowIndex(folder) as index:
        while batch := list(islice(rows, _AT_ONCE)):
            found: dict[tuple[str, int], dict[str, Any]] = {}
            for row, record in batch:
                place = (row.key, row.copy)
                if place not in seen:  # rows that share a picture share what is found in it
                    seen.add(place)
                    found[place] = _look_at(folder, record, looks)
            index.score(found)


def _look_at(
    folder: Path, record: Mapping[str, Any], looks: Sequence[tuple[str, CheckFunction]]
) -> dict[str, Any]:
    """What the checks find in a picture, by column; `check_error` says what could not be looked at, and why."""
    from ..images.picture import displayable, open_trusted

    found: dict[str, Any] = {}
    try:
        picture = LazyImage(folder, record["file_name"]).picture()
        image = displayable(open_trusted(picture), picture)
    except CometError as error:
        return {"check_error": clean(error)}
    for name, look in looks:
        try:
            result = look(image, record)
            columns = result if isinstance(result, Mapping) else {name: result}
            found |= {f"check_{column}": plain(value) for column, value in columns.items()}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's function; the other pictures are looked at
            found["check_error"] = clean(f"{name}: {type(error).__name__}: {error}")
    return found
