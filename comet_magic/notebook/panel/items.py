"""Requests on their way, and pictures that can be looked at: of this session and of the archive."""

from __future__ import annotations

import io
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import CometError, ConfigurationError
from ...files import from_here
from ...images import cost_words, fitting, preview
from ...images.picture import displayable
from ...images.reading import read_picture
from ...money import dollars
from ...outputs import duration
from ...recipes import find_recipe
from ...text import clean, counted
from ..cell_output import STATE_WORDS, CallProgress
from ..history import images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...archive import Archive, Entry
    from ...client import Job
    from ...images import Images
    from .form import Order

THUMBNAIL, MOST_THUMBNAIL = 384, 30_000  # longest edge in pixels, bytes
PREVIEW, MOST_PREVIEW = 640, 90_000  # of a picture on its way
LARGE, MOST_LARGE = 1400, 600_000  # of one that is drawn on
PROMPT_SHOWN = 240  # characters


MOST_SENT = 60_000_000  # bytes of a picture that a browser gets


class Phase(Enum):
    """Where a request, and the panel as a whole, stands."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass
class QueuedRequest:
    """One request on its way.

    Attributes:
        started: seconds since 1970.
        usual: seconds that this model usually takes; None if unknown.
        seen: the newest picture of each part that was sent to the browser.
    """

    id: str
    order: Order
    notice: str
    phase: Phase = Phase.RUNNING
    started: float = field(default_factory=time.time)
    usual: float | None = None
    job: Job | None = None
    dropped: bool = False
    told: bool = False  # the worker will look at what happened
    progress: CallProgress = field(default_factory=CallProgress)
    seen: dict[int, bytes] = field(default_factory=dict)
    numbers: Counter[int] = field(default_factory=Counter)

    @property
    def seconds(self) -> str:
        """How long it takes already."""
        return duration(time.time() - self.started)

    def parts(self) -> list[tuple[str, bytes | None, bool]]:
        """State in words, newest picture, and whether that is the finished one, of each picture asked for."""
        states, pictures = self.progress.states, self.progress.pictures
        found: list[tuple[str, bytes | None, bool]] = []
        for index, request in enumerate(self.order.requests):
            event = states.get(index)
            words = STATE_WORDS[event.state] if event else STATE_WORDS["queued"]
            arrived = [data for (part, place), data in pictures.items() if part == index and place]
            for position in range(request.n):
                done = position < len(arrived)
                data = arrived[position] if done else pictures.get((index, 0))
                found.append(("done" if done else words, data, done))
        return found

    def facts(self) -> dict[str, Any]:
        """For the browser."""
        first, line = self.order.requests[0], self.progress.line
        parts = [
            {"words": words, "preview": bool(data), "final": final} for words, data, final in self.parts()
        ]
        if self.phase is Phase.STOPPING:
            line = "sent before you stopped; its pictures will appear here"
        return {
            "id": self.id,
            "prompt": clean(self.order.prompt, limit=PROMPT_SHOWN),
            "model": first.model,
            "size": first.size or "",
            "phase": self.phase.value,
            "line": line[:1].upper() + line[1:],
            "previews": first.partial_images or 0,
            "started": self.started,
            "usual": self.usual,
            "parts": parts,
        }


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
        more = {"notice": self.notice, "options": self.options is not None, "edited": bool(self.before)}
        more |= {"starred": self.starred}
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


def line_of(images: Images, share: str) -> str:
    """Model, size, cost and kind of one picture; `share` is its part of what several cost together."""
    picture = images.pictures[0]
    parts = (images.model, f"{picture.width} × {picture.height}", cost_words(images) or share)
    return clean(" · ".join((*parts, picture.mime.partition("/")[2].upper())), limit=160)


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
        item = Item(name, entry.id, entry.prompt or "", line, stored.width, stored.height, options, load)
        item.starred = stored.starred
        items.append(item)
    return items


def recipe_in(data: bytes, archive: Archive) -> Mapping[str, Any]:
    """The options that made this file, as the archive or the file says: a stranger's text, for the form only."""
    with suppress(CometError):
        return dict(find_recipe(data, archive))
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


def stop_message(run: QueuedRequest, what: Any) -> str:
    """What stopping did, and what it means for the money."""
    if not what.sent:
        return f"Stopped after {run.seconds}. Nothing was sent and nothing is billed."
    requests = counted(what.sent, "request was", "requests were")
    bound = "" if what.bound is None else f" (at most {dollars(what.bound_micro)})"
    runs_on = "runs on; its picture" if what.sent == 1 else "run on; their pictures"
    before = "it was" if what.cancelled == 1 else "they were"
    cancelled = f" {what.cancelled} more cancelled before {before} sent." if what.cancelled else ""
    return (
        f"Stopped after {run.seconds}. {requests} already sent, may be billed{bound} and {runs_on} "
        f"will appear in the gallery.{cancelled}"
    )


def end_message(run: QueuedRequest, images: Images) -> str:
    """What came of it."""
    came = len(images)
    late = "Arrived after you stopped: " if run.phase is Phase.STOPPING else "Done: "
    short = f" {run.order.count} were requested." if came < run.order.count else ""
    return f"{late}{counted(came, 'picture')} in {run.seconds}, {cost_words(images)}.{short}"
