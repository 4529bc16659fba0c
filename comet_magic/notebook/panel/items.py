"""Requests on their way, pictures that go in, and pictures that can be looked at."""

from __future__ import annotations

import io
import tempfile
import time
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from ...client.job import STATE_WORDS, progress_words
from ...errors import CometError, ConfigurationError
from ...explore.grid_display import price_and_time
from ...files import slug
from ...images import cost_words, fitting, preview
from ...images.picture import displayable
from ...images.reading import read_picture
from ...money import MILLION, dollars, sum_in_words
from ...outputs import duration
from ...recipes import find_recipe, options_of
from ...text import clean, counted
from ..history import images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...archive import Archive, Entry
    from ...client import Job
    from ...explore import Grid, GridCell
    from ...explore.grid_run import GridRun
    from ...images import Images
    from ...request import ImageRequest
    from .form import Order

    Phase = Literal["idle", "running", "stopping"]
    Reply = tuple[dict[str, Any], list[bytes]]  # facts for the browser, and pictures

THUMBNAIL, MOST_THUMBNAIL = 384, 30_000  # longest edge in pixels, bytes
PREVIEW, MOST_PREVIEW = 640, 90_000  # of a picture on its way
LARGE, MOST_LARGE = 1400, 600_000  # of one that is drawn on
PROMPT_SHOWN = 240  # characters
MOST_SENT = 60_000_000  # bytes of a picture that a browser gets


@dataclass(frozen=True)
class SourcePicture:
    """A picture that goes in.

    Attributes:
        picture: as `generate` takes it.
        strokes: those of the mask brush; [] for no mask.
        mask: what they draw, or None.
        recipe: the options that the file says it was made with: a stranger's text, for the form only.
    """

    id: str
    name: str
    picture: Any = field(repr=False)
    width: int
    height: int
    strokes: list[Any] = field(default_factory=list, repr=False)
    mask: Any = field(default=None, repr=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def facts(self) -> dict[str, Any]:
        """For the browser."""
        facts = {name: getattr(self, name) for name in ("id", "name", "width", "height")}
        return {**facts, "mask": self.mask is not None, "recipe": bool(self.recipe)}

    def drawable(self) -> bytes:
        """The picture upright, as it is drawn on and compared with."""
        image = displayable(read_picture(self.picture, "image").image)
        return fitting(image, MOST_LARGE, edge=LARGE)[0]


def source_of(data: bytes, name: str, archive: Archive, source_id: str) -> SourcePicture:
    """A picture that somebody gave, with the recipe that archive or file know; refused if it cannot be read."""
    size = read_picture(data, "image").size
    source = SourcePicture(source_id, clean(name, limit=80), data, *size)
    with suppress(CometError):
        return replace(source, recipe=dict(find_recipe(data, archive)))
    return source


def sources_of(request: ImageRequest) -> list[SourcePicture]:
    """The pictures that went into a request of the archive, and its mask; refused if one is gone."""
    options = options_of(request)
    paths = options["image"]
    sources = [SourcePicture("", path.name, path, *read_picture(path, "image").size) for path in paths]
    return [replace(sources[0], mask=options.get("mask")), *sources[1:]]


@dataclass
class Item:
    """One picture that can be looked at.

    Attributes:
        run: the request it came from; pictures of one request stand together.
        prompt: as it is shown; that of a grid for all of its pictures.
        line: its facts, in words.
        options: what the form needs to ask for the same again; None where that is not known.
        load: gives the picture, alone; may read the disk.
        sources: gives the pictures that went in, as the form has them; may read the disk.
        typed: the prompt of this picture before its preset, for the form.
        place: row, column and block in its grid, as texts; [] outside of one.
        group: what its grid is, in words.
        price: what its cell of the grid cost and took, in words.
    """

    id: str
    run: str
    prompt: str
    line: str
    width: int
    height: int
    options: Mapping[str, Any] | None
    load: Callable[[], Images] = field(repr=False)
    sources: Callable[[], list[SourcePicture]] | None = field(default=None, repr=False)
    typed: str = ""
    notice: str = ""
    starred: bool = False
    place: list[str] = field(default_factory=list)
    group: str = ""
    price: str = ""
    thumbnail: bytes = field(default=b"", repr=False)

    def facts(self) -> dict[str, Any]:
        """For the browser; what is empty is left out."""
        facts = {name: getattr(self, name) for name in ("id", "run", "width", "height")}
        more = {name: getattr(self, name) for name in ("notice", "starred", "place", "group", "price")}
        more |= {"options": self.options is not None, "edited": self.sources is not None}
        facts |= {"prompt": clean(self.prompt, limit=PROMPT_SHOWN), "facts": self.line}
        return {**facts, **{name: value for name, value in more.items() if value}}

    def draw(self) -> bytes:
        """The thumbnail, made once; empty if the picture cannot be read."""
        if not self.thumbnail:
            with suppress(CometError):
                self.thumbnail = small(self.load().data[0], THUMBNAIL, MOST_THUMBNAIL)
        return self.thumbnail

    def details(self) -> Reply:
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
            "File": picture.name,
            "Request id": picture.request_id,
        }
        shown = [[name, clean(value, limit=4000)] for name, value in rows.items() if value]
        return {"item": self.id, "mime": picture.mime, "rows": shown}, [picture.data]

    def file(self) -> tuple[str, str, bytes]:
        """Name, kind and bytes of the file that `Images.save` writes, with its recipe."""
        images = self.load()
        with tempfile.TemporaryDirectory(prefix="comet_magic-") as folder:
            path = images.save(f"{folder}/")[0]
            return path.name, images.mime_types[0], path.read_bytes()


def downloaded(items: Sequence[Item], *, together: bool) -> Reply:
    """The file of the only picture, or one file with all of them, each with its recipe.

    Raises:
        CometError: one cannot be read, or they are too large for a browser.
    """
    if not together:
        name, mime, data = items[0].file()
        return {"name": name, "mime": mime}, [data]
    out, size = io.BytesIO(), 0
    with zipfile.ZipFile(out, "w") as archive:  # not compressed again
        for number, item in enumerate(items, 1):
            name, _, data = item.file()
            size += len(data)
            if size > MOST_SENT:
                raise ConfigurationError(f"these pictures have over {MOST_SENT // 10**6} MB; download fewer")
            label = f"{slug(' '.join(item.place))}-" if item.place else ""
            archive.writestr(f"{number:02}-{label}{name}", data)
    return {"name": f"{slug(items[0].prompt)}.zip", "mime": "application/zip"}, [out.getvalue()]


def archived(archive: Archive, entry: Entry) -> list[Item]:
    """The pictures of a call of the archive."""
    request, items = entry.request, []
    for stored in entry.pictures:
        cost = "" if stored.cost_micro is None else dollars(stored.cost_micro)
        parts = (entry.model, f"{stored.width} × {stored.height}", cost, f"{entry.created:%Y-%m-%d %H:%M}")
        alone = replace(entry, pictures=(stored,), cost_micro=stored.cost_micro)
        item = Item(
            id=f"{entry.id}.{stored.position}",
            run=entry.id,
            prompt=entry.prompt or "",
            line=" · ".join(filter(None, parts)),
            width=stored.width,
            height=stored.height,
            options=request.to_dict() if request else None,
            load=partial(images_of, archive, alone),
            sources=partial(sources_of, request) if request and request.inputs.images else None,
            typed=entry.prompt or "",
            starred=stored.starred,
        )
        items.append(item)
    return items


def archived_item(archive: Archive, item_id: str) -> Item | None:
    """The picture of the archive with this id; None if there is none."""
    entry = archive.entry(item_id.partition(".")[0])
    return next((item for item in archived(archive, entry) if item.id == item_id), None) if entry else None


def made(run: QueuedRequest, cell: GridCell, new_id: Callable[[], str]) -> list[Item]:
    """The pictures that came of one cell of a request."""
    order, images, options = run.order, cell.images, cell.planned.options
    if not images:
        return []
    asked, items = options.get("asked") or {}, []
    each = None if images.cost is None else dollars(round(images.cost * MILLION / len(images)))
    for one in (images[at : at + 1] for at in range(len(images))):
        picture = one.pictures[0]
        size, kind = f"{picture.width} × {picture.height}", picture.mime.partition("/")[2].upper()
        cost = cost_words(one) or each or "cost unknown"
        item = Item(
            id=new_id(),
            run=run.id,
            prompt=order.prompt if order.is_grid else one.prompt,
            line=clean(f"{one.model} · {size} · {cost} · {kind}", limit=160),
            width=picture.width,
            height=picture.height,
            options={**options, **asked},
            load=one.copy,
            sources=partial(list, order.sources) if order.sources else None,
            typed=asked.get("prompt", cell.prompt),
            notice=clean(one.notice),
            place=order.place_of(cell.planned),
        )
        if order.is_grid:
            item.group = order.summary
            item.price = price_and_time(cell) if len(images) == 1 else each or ""
        item.draw()
        items.append(item)
    return items


def small(data: bytes, edge: int, most: int = MOST_PREVIEW) -> bytes:
    """A JPEG, or a PNG if it is transparent, of about `most` bytes at most; BadImageError if it is none."""
    return fitting(Image.open(io.BytesIO(preview(data, edge)[0])), most, edge=edge)[0]


# --- on their way


@dataclass
class QueuedRequest:
    """One request on its way, or one grid of them.

    Attributes:
        order: as it is sent.
        calls: those of its cells; an ordinary request has one.
        started: seconds since 1970.
        usual: seconds that this model usually takes; None if unknown.
        stops: how often somebody stopped it; the second stop closes the connections.
        told: the worker will look at what happened.
        seen: the newest picture of each part that was sent to the browser, and how many were.
    """

    id: str
    order: Order
    calls: GridRun = field(init=False, repr=False)
    started: float = field(default_factory=time.time)
    usual: float | None = None
    stops: int = 0
    told: bool = False
    seen: dict[int, bytes] = field(default_factory=dict)
    numbers: Counter[int] = field(default_factory=Counter)

    @property
    def phase(self) -> Phase:
        """Whether it was stopped."""
        return "stopping" if self.stops else "running"

    @property
    def jobs(self) -> list[Job]:
        """Its calls."""
        return self.calls.calls

    @property
    def line(self) -> str:
        """How far it is, in words."""
        if self.stops:
            return "Sent before you stopped; its pictures will appear here"
        line = progress_words([call for job in self.jobs for call in job.calls])
        return line[:1].upper() + line[1:]

    def parts(self) -> list[tuple[dict[str, Any], bytes | None]]:
        """What the browser is told of each picture asked for, and the newest that is there of it."""
        found: list[tuple[dict[str, Any], bytes | None]] = []
        for cell, job in self.calls.started:
            place = {"place": self.order.place_of(cell)} if self.order.is_grid else {}
            for call in job.calls:
                arrived = [picture.data for picture in tuple(call.arrived)]
                for at in range(call.request.n):
                    final = at < len(arrived)
                    data = arrived[at] if final else call.preview
                    words = STATE_WORDS["done" if final else call.state]
                    found.append(({"words": words, "preview": bool(data), "final": final, **place}, data))
        return found

    def facts(self) -> dict[str, Any]:
        """For the browser."""
        first = self.order.plan.cells[0].plan.first
        return {
            "id": self.id,
            "prompt": clean(self.order.prompt, limit=PROMPT_SHOWN),
            "model": self.order.summary if self.order.is_grid else first.model,
            "size": first.size or "",
            "phase": self.phase,
            "line": self.line,
            "previews": first.partial_images or 0,
            "started": self.started,
            "usual": self.usual,
            "parts": [part for part, _ in self.parts()],
        }

    def end_message(self, grid: Grid) -> str:
        """What came of it, and what it cost."""
        came = len(grid.images)
        if not came:
            return "No picture came."
        late = "Arrived after you stopped: " if self.stops else "Done: "
        short = f" {self.order.pictures} were requested." if came < self.order.pictures else ""
        reused = all(cell.reused for cell in grid if cell.images)
        cost = "reused (free)" if reused else sum_in_words(cell.cost_micro for cell in grid)
        return f"{late}{counted(came, 'picture')} in {duration(time.time() - self.started)}, {cost}.{short}"
