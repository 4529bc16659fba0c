"""`Images`: the result of a call, a list of PIL pictures with all that is known of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, Unpack, overload

from ..errors import ConfigurationError, InvalidRequestError
from ..extras import load_extra
from ..money import usd
from ..request import CALL_OPTIONS
from ..request.checks import shown
from ..text import counted
from .display import (
    MOST_BYTES,
    Bundle,
    Caption,
    arrived,
    caption_of,
    contact_sheet,
    cost_of,
    current,
    described,
    load_pixels,
    opened,
    origin_of,
    price_words,
    show,
)
from .paste_back import paste_back
from .picture import Facts, Picture
from .saving import File, save_pictures

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from PIL.Image import Image

    from ..request import ImageRequest, Options, Quality


class Images(list["Image"]):
    """The pictures of one call, as a list of PIL pictures. Pixels are decoded when they are first needed.

    One picture is also a list. A slice is `Images` again; `+` and `*` give plain lists.

    `data`, `paths`... are aligned with the list, whatever you do to it: the facts of a picture follow the picture.
    They say what arrived; for a picture that you put in yourself, `data` holds a PNG. Saving and showing use the
    pictures as they look now: one that you edited or replaced is saved as a PNG.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256", n=2)
        >>> len(images), images[0].size, images.cost
        (2, (256, 256), 0.032)
        >>> [path.name for path in images.save("boats/")]
        ['a-paper-boat-1.png', 'a-paper-boat-2.png']
    """

    maker: Callable[..., Images] | None = None  # what makes an edit of them
    marker: Callable[..., None] | None = None  # what marks their files in the archive

    def __init__(
        self,
        pictures: Sequence[Picture] = (),
        *,
        prompt: str = "",
        model: str = "",
        created: int | None = None,
        usage: Mapping[str, Any] | None = None,
        cost_micro: int | None = None,
        notice: str = "",
        request: ImageRequest | None = None,
        parents: tuple[str, ...] = (),
        seconds: float | None = None,
    ) -> None:
        self._facts = Facts(
            *(prompt, model, created, usage, cost_micro, notice, len(pictures), request, parents, seconds)
        )
        # Set by the magic that has shown these pictures already: whether that was in the running cell.
        self._shown: Callable[[], bool] | None = None
        super().__init__()
        for picture in pictures:
            super().append(opened(picture, self._facts))

    # ── What is known ──────────────────────────────────────────────────────────────────────────────

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures as they arrived, each with its facts."""
        return tuple(arrived(image) for image in self)

    @property
    def image(self) -> Image:
        """The only picture, its pixels decoded.

        Raises:
            InvalidRequestError: there are none or several.
            BadImageError: it is damaged; the error names its file.
        """
        if len(self) != 1:
            raise InvalidRequestError(
                f"there are {len(self)} pictures; image gives the only one",
                hint="Take one by its number: images[0]",
                outcome="billed",
                images=self,
            )
        return load_pixels(self[0])

    @property
    def prompt(self) -> str:
        """The prompt as it was sent."""
        return self._facts.prompt

    @property
    def request(self) -> ImageRequest | None:
        """The request as it was sent; None if it is not known."""
        return self._facts.request

    @property
    def seconds(self) -> float | None:
        """How long the call took, with its waits; None if it is not known, or all was reused."""
        return self._facts.seconds

    @property
    def asked(self) -> Mapping[str, Any]:
        """What you gave where something else was sent: `prompt` and `preset`, or a `size` such as 16:9."""
        return dict(self._facts.asked)

    @property
    def model(self) -> str:
        """The model as it was requested."""
        return self._facts.model

    @property
    def created(self) -> int | None:
        """When the server made them, seconds since 1970."""
        return self._facts.created

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """The usage as the server sent it; that of the whole call, also in a slice."""
        return self._facts.usage

    @property
    def cost(self) -> float | None:
        """The cost of the pictures in this list in USD; None if any part is unknown."""
        return usd(cost_of(self, self._facts))

    @property
    def cost_usd(self) -> float | None:
        """The same as `cost`, under the name that it had in comet_magic 0.1."""
        return self.cost

    @property
    def notice(self) -> str:
        """One sentence that every caption carries, or ""."""
        return self._facts.notice

    @property
    def data(self) -> tuple[bytes, ...]:
        """The provider's bytes, untouched."""
        return tuple(arrived(image).data for image in self)

    @property
    def mime_types(self) -> tuple[str, ...]:
        """Their kinds, by the bytes."""
        return tuple(described(image).mime for image in self)

    @property
    def paths(self) -> tuple[str | None, ...]:
        """Their files in the archive."""
        return tuple(described(image).path for image in self)

    @property
    def revised_prompts(self) -> tuple[str | None, ...]:
        """The prompts as the model rewrote them. This is text of a server: never put it into HTML as it is."""
        return tuple(described(image).revised_prompt for image in self)

    @property
    def parents(self) -> tuple[str, ...]:
        """The keys of the calls whose pictures went into these."""
        return self._facts.parents

    @property
    def unpasted(self) -> tuple[bytes | None, ...]:
        """The provider's bytes of each picture that has the original pasted back; None of the others."""
        return tuple(described(image).unpasted for image in self)

    @property
    def request_ids(self) -> tuple[str | None, ...]:
        """The server's ids of the calls they came from."""
        return tuple(described(image).request_id for image in self)

    # ── What comes next ────────────────────────────────────────────────────────────────────────────

    def edit(self, prompt: str, **options: Unpack[Options]) -> Images:
        """Change the picture by words; takes the options of `comet_magic.generate`, gives and raises what it does.

        It is made by the client that made this picture, or by the process's shared client.

        Raises:
            InvalidRequestError: there are none or several pictures; edit one of them: `images[:1].edit(...)`.
        """
        if len(self) != 1:
            raise InvalidRequestError(
                f"there are {counted(len(self), 'picture')} to edit; edit takes one",
                param="image",
                hint="Take one by its number: images[:1].edit(...)",
            )
        return self._made(prompt, {**options, "image": self})

    def more(self, n: int = 1, **options: Any) -> Images:
        """Make further pictures of the same request, which are new ones in any case.

        Args:
            n: how many.
            **options: about the call, such as `max_cost` and `timeout`.

        Raises:
            InvalidRequestError: the request of these pictures is not known.
            CometError: as the call ended.

        Example:
            >>> import comet_magic as cm
            >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
            >>> len(images.more(2))
            2
        """
        return self._again({"n": n, **options, "reuse": False})

    def upgrade(self, quality: Quality = "high", **options: Any) -> Images:
        """Make the same request at another quality: new pictures, as many as there are here; of edits too.

        Args:
            quality: that the model takes.
            **options: about the call, such as `max_cost` and `timeout`; and `n`, how many.

        Raises:
            InvalidRequestError: the model takes no such quality, or the request of these pictures is not known.
            CometError: as the call ended.
        """
        return self._again({"n": len(self), **options, "quality": quality})

    def _again(self, options: Mapping[str, Any]) -> Images:
        """The request made once more, by the client that made these pictures or by the shared one."""
        request, known = self._facts.request, (CALL_OPTIONS - {"preset"}) | {"n", "quality"}
        if request is None:
            raise InvalidRequestError("how these pictures were made is not known", param="prompt")
        if unknown := options.keys() - known:
            raise InvalidRequestError(
                f"{shown(min(unknown))} would change more than this; it takes {', '.join(sorted(known))}",
                param=min(unknown),
            )
        return self._made(request, options)

    def _made(self, prompt: Any, options: Mapping[str, Any]) -> Images:
        if self.maker is None:
            raise ConfigurationError("no client makes pictures here", hint="import comet_magic")
        return self.maker(prompt, **options)

    def star(self, on: bool = True) -> None:  # noqa: FBT001, FBT002 - images.star(False) reads well
        """Mark these pictures as favourites in the archive; `comet_magic.history(starred=True)` finds them.

        Args:
            on: False takes the mark away.

        Raises:
            ConfigurationError: one is not in an archive, or its ledger cannot be written.
        """
        paths = [path for path in self.paths if path]
        if self.marker is None or len(paths) < len(self):
            raise ConfigurationError(
                "these pictures are in no archive", hint="Only archived pictures have stars."
            )
        self.marker(paths, on=on)

    def paste_back(self) -> Images:
        """The pictures with their original outside the mask, also where the server ignored the mask.

        Raises:
            InvalidRequestError: no mask went in.
            BadImageError: a picture cannot be decoded.
        """
        if self._facts.inputs.mask is None:
            raise InvalidRequestError("these pictures were made without a mask", param="mask")
        pasted = [
            one
            if one.unpasted is not None
            else replace(paste_back(one, self._facts.inputs).picture, path=None)
            for one in self.pictures
        ]
        return _restored([(one, self._facts) for one in pasted], self._facts)

    # ── What can be done ───────────────────────────────────────────────────────────────────────────

    def with_notice(self, notice: str) -> Images:
        """The same pictures with one more sentence in every caption."""
        both = "; ".join(filter(None, (self._facts.notice, notice)))
        return _restored(self._now(notice=both), replace(self._facts, notice=both))

    def save(self, path: str | os.PathLike[str], *, metadata: bool = True) -> list[Path]:
        """Write the pictures as they came, or as PNG if you changed them; gives the paths.

        Args:
            path: a folder (it exists, or the path ends in a slash), for names made from the prompt; or
                a file, which gets `-1`, `-2`... for several pictures, and the suffix that fits the bytes.
            metadata: whether to embed the request they came from.

        Raises:
            SaveError: the name is taken (then nothing was written), asks for another kind of file, or the
                disk refused.
        """
        files = [(picture, facts if metadata else None) for picture, facts in self._now()]
        return save_pictures(files, self.prompt, path, images=self)

    def sheet(self, columns: int | None = None, width: int = 1024) -> Image:
        """All pictures on one, a contact sheet.

        Args:
            columns: pictures in a row; by default about as many as rows.
            width: of the sheet, in pixels.

        Raises:
            InvalidRequestError: there are no pictures, or no room for them.
            BadImageError: one is damaged; the error names its file.
        """
        wanted = math.ceil(math.sqrt(len(self))) if columns is None else columns
        if not self or not 1 <= wanted <= width:
            raise InvalidRequestError(
                f"a sheet of {counted(len(self), 'picture')} in {counted(wanted, 'column')}, "
                f"{counted(width, 'pixel')} wide; "
                "it takes at least one picture and a pixel for each"
            )
        return contact_sheet(self, columns=wanted, width=width)

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with one row per picture: the PIL picture and its facts; `cost` in USD.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        load_extra("pandas")
        from ..frames import Frame

        return Frame([_row(image) for image in self], columns=_COLUMNS)

    # ── How it behaves ─────────────────────────────────────────────────────────────────────────────

    @overload
    def __getitem__(self, index: SupportsIndex) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Images: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Image | Images:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        part = _listed(super().__getitem__(index), self._facts)
        part.maker = self.maker
        return part

    # What is put in is looked at, for with one thing that is no picture the others could not be shown or saved.

    def append(self, image: Image) -> None:
        """Add a PIL picture."""
        super().append(_checked(image))

    def extend(self, images: Iterable[Image]) -> None:
        """Add PIL pictures, also those of another `Images`."""
        super().extend([_checked(image) for image in images])

    def insert(self, index: SupportsIndex, image: Image) -> None:
        """Put a PIL picture before that of this number."""
        super().insert(index, _checked(image))

    def __setitem__(self, index: Any, value: Any) -> None:
        several = isinstance(index, slice)
        super().__setitem__(index, [_checked(one) for one in value] if several else _checked(value))

    def __iadd__(self, images: Iterable[Image]) -> Self:  # type: ignore[misc, override]
        self.extend(images)
        return self

    def copy(self) -> Images:
        """The same pictures in another list."""
        return self[:]

    __copy__ = copy

    def _now(self, **changes: Any) -> tuple[File, ...]:
        """Each picture as a file with the facts of its call, these changed; one that is here twice gives one file."""
        files: dict[int, File] = {}
        for image in self:
            origin = origin_of(image)
            files[id(image)] = (current(image), replace(origin.facts, **changes) if origin else None)
        return tuple(files[id(image)] for image in self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._now(), self._facts)

    def __repr__(self) -> str:
        said = " · ".join(caption(self).lines)
        return f"<Images: {said}>"

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        # IPython would prefer its printer for lists to the caption of the bundle.
        printer.text("\n".join(caption(self).lines))

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - IPython's protocol
        exclude: object = None,  # noqa: ARG002
    ) -> Bundle:
        return bundle(self)

    def _ipython_display_(self) -> None:
        if self._shown is None or not self._shown():
            # IPython asks for the MIME bundle next.
            raise NotImplementedError


def bundle(
    images: Images, *, inline: str = "auto", max_bytes: int = MOST_BYTES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The MIME bundle of pictures and its metadata: exactly one image, and the caption as `text/plain`.

    Args:
        images: several are shown as one contact sheet.
        inline: `auto` shows the provider's bytes up to `max_bytes`, else a preview; `full` the bytes of any
            size; `preview` always a preview; `none` the caption only. A webp is always converted.
        max_bytes: of the picture, before base64.
    """
    return show(images, images._facts, inline=inline, max_bytes=max_bytes)  # noqa: SLF001 - its own floor


def caption(images: Images) -> Caption:
    """The words below the pictures: model, size, cost, files and notice."""
    return caption_of(images, images._facts)  # noqa: SLF001 - its own floor


def cost_words(images: Images) -> str:
    """The cost in words, as in the caption."""
    return price_words(images, images._facts)  # noqa: SLF001 - its own floor


_COLUMNS = ["image", "prompt", "model", "size", "cost", "revised_prompt", "request_id", "path", "sha256"]


def _row(image: Image) -> list[Any]:
    picture, origin = arrived(image), origin_of(image)
    call = (origin.facts.prompt, origin.facts.model) if origin else (None, None)
    size = f"{picture.width}x{picture.height}"
    return [image, *call, size, *(getattr(picture, name) for name in _COLUMNS[4:])]


def _restored(files: Sequence[File], facts: Facts) -> Images:
    """Make the list again from its files; a file without facts is the user's own."""
    images = {id(file): opened(*file) for file in files}
    return _listed((images[id(file)] for file in files), facts)


def _checked(image: Any) -> Image:
    """The PIL picture.

    Raises:
        InvalidRequestError: it is something else.
    """
    if hasattr(image, "getpixel"):
        picture: Image = image
        return picture
    several = isinstance(image, list | tuple)
    hint = (
        "extend adds the pictures of a list."
        if several
        else "PIL.Image.open and PIL.Image.fromarray make them."
    )
    kind = type(image).__name__
    raise InvalidRequestError(f"Images holds PIL pictures; this is of type {kind}", param="image", hint=hint)


def _listed(images: Iterable[Image], facts: Facts) -> Images:
    """A list of these PIL pictures, not of copies."""
    listed = Images()
    listed._facts = facts  # noqa: SLF001 - a second way to make one
    listed.extend(images)
    return listed
