"""Pictures that can be looked at: those of this session, and those of the archive; and small versions of them."""

from __future__ import annotations

import io
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import CometError, ConfigurationError
from ...files import from_here
from ...formats import embedded_metadata
from ...images import cost_words, fitting, preview
from ...images.picture import displayable
from ...images.reading import read_picture
from ...money import dollars
from ...text import clean
from ..history import images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...archive import Archive, Entry
    from ...images import Images

THUMBNAIL, MOST_THUMBNAIL = 384, 30_000  # longest edge in pixels, bytes
PREVIEW, MOST_PREVIEW = 640, 90_000  # of a picture on its way
LARGE, MOST_LARGE = 1400, 600_000  # of one that is drawn on
PROMPT_SHOWN = 240  # characters


MOST_SENT = 60_000_000  # bytes of a picture that a browser gets


@dataclass
class Item:
    """One picture that can be looked at.

    Attributes:
        run: the request it came from; pictures of one request stand together.
        options: what the form needs to ask for the same again; None where that is not known.
        load: gives the picture, alone; may read the disk.
    """

    id: str
    run: str
    prompt: str
    line: str
    width: int
    height: int
    options: Mapping[str, Any] | None
    load: Callable[[], Images] = field(repr=False)
    notice: str = ""
    starred: bool = False
    before: bytes = field(default=b"", repr=False)  # the picture that was edited
    thumbnail: bytes = field(default=b"", repr=False)

    def facts(self) -> dict[str, Any]:
        """For the browser."""
        facts = {
            "id": self.id,
            "run": self.run,
            "prompt": clean(self.prompt, limit=PROMPT_SHOWN),
            "facts": self.line,
            "width": self.width,
            "height": self.height,
        }
        more = {
            "notice": self.notice,
            "options": self.options is not None,
            "edited": bool(self.before),
            "starred": self.starred,
        }
        return {**facts, **{name: value for name, value in more.items() if value}}

    def details(self) -> tuple[dict[str, Any], bytes]:
        """What is known of the picture, all of it as text, and its own bytes.

        Raises:
            CometError: it cannot be read, or is too large for a browser.
        """
        images = self.load()
        picture = images.pictures[0]
        if len(picture.data) > MOST_SENT:
            size = len(picture.data) / 1e6
            raise ConfigurationError(f"the picture has {size:.0f} MB; open its file: {picture.path}")
        rows = {
            "Prompt": images.prompt,
            "Revised prompt": picture.revised_prompt,
            "File": from_here(Path(picture.path)) if picture.path else None,
            "Request id": picture.request_id,
        }
        shown = [[name, clean(value, limit=4000)] for name, value in rows.items() if value]
        return {"item": self.id, "mime": picture.mime, "rows": shown}, picture.data

    def file(self) -> tuple[str, str, bytes]:
        """Name, kind and bytes of the file that `Images.save` writes, with its recipe."""
        images = self.load()
        with tempfile.TemporaryDirectory(prefix="comet_magic-") as folder:
            path = images.save(f"{folder}/")[0]
            return path.name, images.mime_types[0], path.read_bytes()


def line_of(images: Images) -> str:
    """Model, size, cost and kind of one picture."""
    picture = images.pictures[0]
    kind = picture.mime.partition("/")[2].upper()
    parts = (images.model, f"{picture.width} × {picture.height}", cost_words(images), kind)
    return clean(" · ".join(part for part in parts if part), limit=160)


def archived(archive: Archive, entry: Entry) -> list[Item]:
    options = None
    if entry.request is not None:
        options = {name: value for name, value in entry.request.to_dict().items() if name != "prompt"}
    items = []
    for stored in entry.pictures:
        alone = replace(entry, pictures=(stored,), cost_micro=stored.cost_micro)
        cost = "" if stored.cost_micro is None else dollars(stored.cost_micro)
        parts = (entry.model, f"{stored.width} × {stored.height}", cost, f"{entry.created:%Y-%m-%d %H:%M}")
        line = " · ".join(part for part in parts if part)
        load = partial(images_of, archive, alone)
        name = f"{entry.id}.{stored.position}"
        items.append(
            Item(
                name,
                entry.id,
                entry.prompt or "",
                line,
                stored.width,
                stored.height,
                options,
                load,
                starred=stored.starred,
            )
        )
    return items


def recipe_in(data: bytes) -> Mapping[str, Any]:
    """The options that a file says it was made with: text of a stranger, for the form only."""
    with suppress(CometError, ValueError, OSError):
        facts = embedded_metadata(data)
        return {name: facts[name] for name in ("prompt", "model", "size") if isinstance(facts.get(name), str)}
    return {}


def small(data: bytes, edge: int, most: int = MOST_PREVIEW) -> tuple[bytes, str]:
    """A JPEG, or a PNG if it is transparent, of about `most` bytes at most, and its MIME type.

    Raises:
        CometError: the picture cannot be opened.
    """
    shown = Image.open(io.BytesIO(preview(data, edge)[0]))
    return fitting(shown, most, edge=edge)[:2]


def drawable(given: bytes) -> bytes:
    """A picture that goes in, upright, as it is drawn on."""
    image = displayable(read_picture(given, "image").image)
    return fitting(image, MOST_LARGE, edge=LARGE)[0]
