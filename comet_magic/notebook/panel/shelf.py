"""Pictures as items of the gallery: those of a call that just ended, and those of the archive."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...money import MILLION
from ..history import images_of
from .gallery import Item
from .markup import THUMBNAIL, both, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...archive import Archive, Entry, StoredPicture
    from ...images import Images


def made(images: Images, options: Mapping[str, Any], numbers: Iterator[int]) -> tuple[list[Item], str]:
    """The items of a call's pictures, the last one first, and its first picture as the stage shows it."""
    shown, first = both(images.data[0])
    thumbnails = [first, *(readable(data, THUMBNAIL) for data in images.data[1:])]
    items = [
        Item(next(numbers), thumbnail, images.prompt, options, partial(_one, images, index))
        for index, thumbnail in enumerate(thumbnails)
    ]
    return items[::-1], shown


def _one(images: Images, index: int) -> Images:
    """One of several, with its share of what they cost together."""
    from ...images import Images

    if len(images.pictures) == 1:
        return images
    share = None if images.cost is None else round(images.cost * MILLION / len(images.pictures))
    return Images(
        images.pictures[index : index + 1],
        prompt=images.prompt,
        model=images.model,
        created=images.created,
        usage=images.usage,
        cost_micro=share,
        notice=images.notice,
        request=images.request,
        seconds=images.seconds,
    )


def archived(archive: Archive, entry: Entry, numbers: Iterator[int]) -> Iterator[Item]:
    """The items of a call in the archive; each reads its file."""
    options = entry.request.to_dict() if entry.request else None
    for stored in reversed(entry.pictures):
        load = partial(_load, archive, entry, stored)
        yield Item(next(numbers), _thumbnail(archive, stored), entry.prompt or "", options, load)


def _load(archive: Archive, entry: Entry, stored: StoredPicture) -> Images:
    return images_of(archive, replace(entry, pictures=(stored,), cost_micro=stored.cost_micro))


def _thumbnail(archive: Archive, stored: StoredPicture) -> str:
    try:
        return readable(archive.load(stored), THUMBNAIL)
    except OSError:  # the file is gone or damaged; the item says so
        return ""
