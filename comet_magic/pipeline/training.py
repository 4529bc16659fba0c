"""What an export for training does with rows and pictures: which rows, in which split, and pictures of one size."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError
from ..formats import embed_metadata
from ..settings import Settings
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from PIL.Image import Image

Crop = Literal["center", "pad", "none"]
ImageFormat = Literal["webp", "jpeg", "png"]
SUFFIXES = {"webp": ".webp", "jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True, kw_only=True)
class PictureForm:
    """How pictures are made anew: those that went in and those that came out alike.

    Attributes:
        size: edge in pixels: of both sides with `center` and `pad`, of the longer one with `none`; None leaves it.
        crop: `center` cuts the middle out, `pad` adds white borders, `none` keeps the shape and enlarges nothing.
        image_format: of the files; None leaves the bytes as they came, if no size is set, and else the format.
        quality: of webp and jpeg, 1 to 100.

    Raises:
        ConfigurationError: one cannot be used.
    """

    size: int | None = None
    crop: Crop = "center"
    image_format: ImageFormat | None = None
    quality: int = 90

    def __post_init__(self) -> None:
        if self.size is not None and (type(self.size) is not int or not 16 <= self.size <= 16384):
            raise ConfigurationError(f"size is {clean(self.size, limit=40)}; it must be 16 to 16384 pixels")
        if self.crop not in ("center", "pad", "none"):
            raise ConfigurationError(f"crop is {clean(self.crop, limit=40)}; it must be center, pad or none")
        if self.image_format not in (None, *SUFFIXES):
            given = clean(self.image_format, limit=40)
            raise ConfigurationError(f"image_format is {given}; it must be webp, jpeg or png")
        if type(self.quality) is not int or not 1 <= self.quality <= 100:
            raise ConfigurationError(f"quality is {clean(self.quality, limit=40)}; it must be 1 to 100")

    def __bool__(self) -> bool:
        return self.size is not None or self.image_format is not None

    def __str__(self) -> str:
        edge = {"center": "cut to {0} x {0}", "pad": "padded to {0} x {0}", "none": "at most {0}"}[self.crop]
        words = [f"{edge.format(self.size)} pixels"] if self.size else []
        if self.image_format:
            words.append(
                self.image_format + (f" of quality {self.quality}" if self.image_format != "png" else "")
            )
        return ", ".join(words) or "as they came"

    def made(self, data: bytes, told: Mapping[str, Any] | None = None) -> tuple[bytes, int, int]:
        """A picture made anew, its width and height; every picture is decoded, also one that stays as it came.

        Args:
            data: the file.
            told: facts to embed, if any.

        Raises:
            BadImageError: it cannot be decoded.
            TooLargeError: it has more pixels than are opened.
        """
        from ..images import Picture, check_picture
        from ..images.picture import displayable, guarded, open_trusted

        mime, width, height = check_picture(data, max_pixels=Settings.max_image_pixels)
        picture = Picture(data=data, mime=mime, width=width, height=height)
        opened = open_trusted(picture)
        if self.size is not None:
            opened.draft(None, (self.size, self.size))  # a large JPEG is decoded small
        image = displayable(opened, picture)
        if self:
            kind = self.image_format or mime.removeprefix("image/")
            data, (width, height) = guarded(lambda: self._encoded(image, kind), picture)
            mime = f"image/{kind}"
        return embed_metadata(data, mime, told) if told else data, width, height

    def _encoded(self, image: Image, kind: str) -> tuple[bytes, tuple[int, int]]:
        from PIL import Image as pillow  # noqa: N813 - a module

        image = self._fitted(image) if self.size is not None else image
        if kind == "jpeg" and image.mode == "RGBA":
            paper = pillow.new("RGBA", image.size, "white")
            image = pillow.alpha_composite(paper, image).convert("RGB")
        out = io.BytesIO()
        image.save(out, kind, **self._options(kind))
        return out.getvalue(), image.size

    def _options(self, kind: str) -> dict[str, int]:
        # Method 2 of webp takes half the time of the usual 4, for files that are 4 % larger.
        return {"png": {}, "jpeg": {"quality": self.quality}}.get(
            kind, {"quality": self.quality, "method": 2}
        )

    def _fitted(self, image: Image) -> Image:
        from PIL import ImageOps

        assert self.size is not None  # noqa: S101 - the caller looked
        edge = self.size
        if self.crop == "center":
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            return _resized(image, (edge, edge), (left, top, left + side, top + side))
        scale = edge / max(image.size)
        if self.crop == "pad" or scale < 1:
            width, height = (max(1, round(length * scale)) for length in image.size)
            image = _resized(image, (width, height), (0, 0, image.width, image.height))
        return image if self.crop == "none" else ImageOps.pad(image, (edge, edge), color="white")


def _resized(image: Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image:
    """A part of a picture in another size.

    Hamming is as good as bicubic at making pictures smaller, in half its time:
    https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters-comparison-table
    """
    from PIL.Image import Resampling

    smaller = size[0] < box[2] - box[0]
    return image.resize(
        size,
        Resampling.HAMMING if smaller else Resampling.LANCZOS,
        box,
        reducing_gap=2.0 if smaller else None,
    )


@dataclass(frozen=True)
class Splits:
    """Which split each row belongs to: by shares of a hash, or by the value of a column.

    Args:
        given: shares by name, such as `{"train": 0.9, "test": 0.1}`, a column, or None.
        by: a column whose equal values stay together.

    Raises:
        ConfigurationError: the shares are not positive or do not add up to 1, or a name cannot be a file's.
    """

    given: Mapping[str, float] | str | None = None
    by: str | None = None

    def __post_init__(self) -> None:
        if self.given is None or isinstance(self.given, str):
            if self.by is not None:
                raise ConfigurationError("split_by needs shares: split={'train': 0.9, 'test': 0.1}")
            return
        shares = list(self.given.values())
        if not shares or any(not isinstance(one, int | float) or one <= 0 for one in shares):
            raise ConfigurationError("split takes names with positive shares: {'train': 0.9, 'test': 0.1}")
        if not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ConfigurationError(f"the shares of split add up to {sum(shares):g}; they must add up to 1")
        for name in self.given:
            _checked(name)

    def of(
        self, record: Mapping[str, Any], inputs: Iterable[str], prompt: str, *, is_hash: bool = False
    ) -> str:
        """The split of a row, "" if there are none; more rows do not change it.

        Args:
            record: the row.
            inputs: its columns with pictures.
            prompt: the row's, or its hash where prompts are not kept.
            is_hash: which of them it is.

        Raises:
            ConfigurationError: there is no such column, or its value cannot be the name of a split.
        """
        if self.given is None:
            return ""
        if isinstance(self.given, str):
            return _checked(_value(record, self.given))
        what = (
            _value(record, self.by)
            if self.by is not None
            else [
                prompt if is_hash else hashlib.sha256(prompt.encode(errors="replace")).hexdigest(),
                *map(record.get, inputs),
            ]
        )
        drawn = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).digest()
        place, reached = int.from_bytes(drawn[:8]) / (1 << 64), 0.0
        for name, share in self.given.items():
            reached += share
            if place < reached:
                return name
        return name


def _value(record: Mapping[str, Any], column: str) -> Any:
    if column not in record:
        there = clean(", ".join(record), limit=300)
        raise ConfigurationError(f"there is no column {clean(column, limit=80)}; the columns are: {there}")
    return record[column]


def _checked(name: Any) -> str:
    if isinstance(name, str) and name.isidentifier() and name.isascii():
        return name
    raise ConfigurationError(
        f"a split is called {clean(name, limit=40)}; its name takes letters, digits and _"
    )


@dataclass(frozen=True, kw_only=True)
class RowChoice:
    """Which rows and columns are exported.

    Attributes:
        where: a status such as `done`, a function of a row's mapping, a list of booleans for the rows, or None.
        columns: that are kept beside `file_name` and the pictures; None keeps all.
    """

    where: str | Callable[[Mapping[str, Any]], object] | Iterable[object] | None = None
    columns: tuple[str, ...] | None = None

    def takes(self) -> Callable[[int, Mapping[str, Any]], bool]:
        """A function that tells whether a row, by its number, is exported."""
        where = self.where
        if where is None:
            return lambda _, __: True
        if isinstance(where, str):
            return lambda _, record: record["outcome"] == where
        if callable(where):
            return lambda _, record: bool(where(record))
        mask = [bool(one) for one in where]
        return lambda number, _: number < len(mask) and mask[number]

    def kept(self, record: dict[str, Any], inputs: Iterable[str]) -> dict[str, Any]:
        """The columns of a row that are exported.

        Raises:
            ConfigurationError: there is no such column.
        """
        if self.columns is None:
            return record
        for name in self.columns:
            _value(record, name)
        names = {"file_name", *inputs, *self.columns}
        return {name: value for name, value in record.items() if name in names}
