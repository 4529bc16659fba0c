"""Requests on their way, and pictures that can be looked at: of this session and of the archive."""

from __future__ import annotations

import io
import math
import tempfile
import time
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...client.job import Progress
from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...explore.grid_display import layout_of
from ...explore.plan import named, plan_grid
from ...files import from_here, slug
from ...images import cost_words, fitting, preview
from ...images.picture import displayable
from ...images.reading import read_picture
from ...money import Price, dollars, total
from ...outputs import duration
from ...recipes import find_recipe, options_of
from ...text import clean, counted
from ..cell_output import STATE_WORDS, CallProgress
from ..history import images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ...archive import Archive, Entry
    from ...client import Abandoned, Client, Job, Plan
    from ...client.job import Event
    from ...explore import Grid, GridPlan, PlannedCell
    from ...explore.grid_run import GridRun
    from ...explore.variants import Axis
    from ...images import Images
    from ...request import ImageRequest

THUMBNAIL, MOST_THUMBNAIL = 384, 30_000  # longest edge in pixels, bytes
PREVIEW, MOST_PREVIEW = 640, 90_000  # of a picture on its way
LARGE, MOST_LARGE = 1400, 600_000  # of one that is drawn on
PROMPT_SHOWN = 240  # characters
BLANK = "-"  # stands for a prompt where only the parameters are asked about
MOST_COMPARED = 60  # pictures in one grid


MOST_SENT = 60_000_000  # bytes of a picture that a browser gets


class Phase(Enum):
    """Where a request, and the panel as a whole, stands."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Order:
    """What one click sends: checked, and priced with what is known.

    Attributes:
        options: as `generate` takes them; several values of one make a grid.
        sources: the pictures that go in, as the form had them.
        grid: the grid as it was shown; None for an ordinary request.
    """

    prompt: str
    options: Mapping[str, Any]
    requests: tuple[ImageRequest, ...]
    price: Price
    sources: tuple[SourcePicture, ...] = ()
    grid: GridPlan | None = None

    def plan(self, client: Client) -> Plan | GridPlan:
        """What this client would send now, and what it costs."""
        if self.grid is not None:
            return grid_plan(client, self.prompt, self.options)
        return client.plan(self.prompt, **self.options)

    @property
    def count(self) -> int:
        """How many pictures it asks for."""
        return sum(request.n for request in self.requests)

    @property
    def price_text(self) -> str:
        """The price of all of it, as the panel shows it."""
        return str(self.price) if self.price.known else "price unknown"

    @property
    def summary(self) -> str:
        """The request in a few words: "2 pictures · 2 requests", "2 models × 2 qualities = 4 pictures"."""
        if self.grid is None:
            return f"{counted(self.count, 'picture')} · {counted(len(self.requests), 'request')}"
        axes = [
            counted(
                len(axis.values), *(("quality", "qualities") if axis.name == "quality" else (_noun(axis),))
            )
            for axis in self.grid.varying
        ]
        each = [f"{n} each"] if (n := self.options.get("n") or 1) > 1 else []
        reused = f" · {self.grid.reused} reused (free)" if self.grid.reused else ""
        return f"{' × '.join([*axes, *each])} = {counted(self.count, 'picture')}{reused}"


@dataclass
class SourcePicture:
    """A picture that goes in.

    Attributes:
        picture: as `generate` takes it.
        strokes: those of the mask brush; [] for no mask.
        mask: what they draw, or None.
        recipe: the options that the file says it was made with.
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


@dataclass
class QueuedRequest:
    """One request on its way, or one grid of them.

    Attributes:
        order: with the grid as it is sent.
        started: seconds since 1970.
        usual: seconds that this model usually takes; None if unknown.
        jobs: its calls; an ordinary request has one.
        grid: the calls of a grid.
        seen: the newest picture of each part that was sent to the browser.
    """

    id: str
    order: Order
    notice: str
    phase: Phase = Phase.RUNNING
    started: float = field(default_factory=time.time)
    usual: float | None = None
    jobs: tuple[Job, ...] = ()
    grid: GridRun | None = None
    dropped: bool = False
    told: bool = False  # the worker will look at what happened
    progress: CallProgress = field(default_factory=CallProgress)
    seen: dict[int, bytes] = field(default_factory=dict)
    numbers: Counter[int] = field(default_factory=Counter)

    @property
    def seconds(self) -> str:
        """How long it takes already."""
        return duration(time.time() - self.started)

    @property
    def ended(self) -> bool:
        """Whether all calls have ended."""
        return all(job.done() for job in self.jobs)

    def note(self, first: int, event: Event) -> None:
        """Record an event of the call whose first request is this one of all."""
        facts: dict[str, Any] = {"index": event.index + first}
        if isinstance(event, Progress):
            facts["total"] = len(self.order.requests)
        self.progress.note(replace(event, **facts))

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
        first, line = next(iter(self.order.requests), None), self.progress.line
        grid = self.order.grid
        cells = (
            [cell for cell in grid.cells for one in cell.plan.requests for _ in range(one.n)] if grid else []
        )
        parts = [
            {"words": words, "preview": bool(data), "final": final}
            | ({"place": list(place_of(grid, cells[at]))} if grid else {})
            for at, (words, data, final) in enumerate(self.parts())
        ]
        if self.phase is Phase.STOPPING:
            line = "sent before you stopped; its pictures will appear here"
        return {
            "id": self.id,
            "prompt": clean(self.order.prompt, limit=PROMPT_SHOWN),
            "model": self.order.summary if grid or not first else first.model,
            "size": (first and first.size) or "",
            "phase": self.phase.value,
            "line": line[:1].upper() + line[1:],
            "previews": (first and first.partial_images) or 0,
            "started": self.started,
            "usual": self.usual,
            "parts": parts,
        }


@dataclass
class Item:
    """One picture that can be looked at.

    Attributes:
        run: the request it came from; pictures of one request stand together.
        prompt: as it was sent.
        options: what the form needs to ask for the same again; None where that is not known.
        load: gives the picture, alone; may read the disk.
        sources: gives the pictures that went in, as the form has them; may read the disk.
        typed: the prompt before its preset, for the form; "" for `prompt`.
        place: row, column and block in its grid, as texts; () outside of one.
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
    notice: str = ""
    starred: bool = False
    sources: Callable[[], list[SourcePicture]] | None = field(default=None, repr=False)
    typed: str = ""
    place: tuple[str, ...] = ()
    group: str = ""
    price: str = ""
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
            "edited": self.sources is not None,
        }
        more |= {"starred": self.starred, "place": list(self.place), "group": self.group, "price": self.price}
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


def zipped(items: Sequence[Item]) -> tuple[str, str, bytes]:
    """Name, kind and bytes of one file with all these pictures, each with its recipe.

    Raises:
        CometError: one cannot be read, or they are too large for a browser.
    """
    out, size = io.BytesIO(), 0
    with zipfile.ZipFile(out, "w") as file:  # not compressed again
        for number, item in enumerate(items, 1):
            name, _, data = item.file()
            size += len(data)
            if size > MOST_SENT:
                raise ConfigurationError(f"these pictures have over {MOST_SENT // 10**6} MB; download fewer")
            label = f"{slug(' '.join(item.place))}-" if item.place else ""
            file.writestr(f"{number:02}-{label}{name}", data)
    return f"{slug(items[0].prompt)}.zip", "application/zip", out.getvalue()


def place_of(plan: GridPlan, cell: PlannedCell) -> tuple[str, ...]:
    """Row, column and block of a cell of a grid, as texts; without a table, its name is the column."""
    layout = layout_of(plan)
    if layout is None:
        return ("", clean(plan.name(cell), limit=80), "")
    table = [(plan.axes[layout.rows],), (plan.axes[layout.columns],), [plan.axes[at] for at in layout.blocks]]
    return tuple(clean(named(cell.labels, axes), limit=80) for axes in table)


def grid_plan(client: Client, prompt: str, options: Mapping[str, Any]) -> GridPlan:
    """The grid of options of which some have several values.

    Raises:
        InvalidRequestError: no combination can be sent, or there are too many.
        BudgetExceededError: together they could cost more than the limit.
    """
    given = dict(options)
    call = {name: given.pop(name, None) for name in ("n", "timeout", "reuse")}
    max_cost = given.pop("max_cost", None)
    several = [value for name, value in given.items() if isinstance(value, list) and name != "image"]
    _check_pictures(math.prod(map(len, several)) * (call["n"] or 1))
    if "image" in given:
        given["image"] = [given["image"]]  # all of them go into each picture
    text = prompt if prompt.strip() else BLANK
    plan = plan_grid(client, text, None, given, call=call, max_cost=max_cost)
    _check_pictures(plan.pictures)  # a prompt with {red|blue} makes more
    return plan


def grid_notes(plan: GridPlan) -> Iterator[str]:
    """What a grid leaves out, changes, or makes once for several combinations."""
    yield from (f"left out: {reason}" for reason in plan.left_out)
    for cell in plan.cells:
        yield from (f"{plan.name(cell)}: {note}" for note in cell.notes)
        for place in cell.places[1:]:
            labels = {axis.name: axis.labels[at] for axis, at in zip(plan.axes, place, strict=True)}
            yield f"{named(labels, plan.varying)} is the same as {plan.name(cell)}"


def _check_pictures(count: int) -> None:
    if count > MOST_COMPARED:
        said = f"these values make {count:,} pictures; one grid has up to {MOST_COMPARED}"
        raise InvalidRequestError(said, hint="Choose fewer values.")


def _noun(axis: Axis) -> str:
    """What an axis varies, as a noun that takes an s."""
    return axis.name if axis.kind == "option" else "word"


def line_of(images: Images, share: str) -> str:
    """Model, size, cost and kind of one picture; `share` is its part of what several cost together."""
    picture = images.pictures[0]
    parts = (images.model, f"{picture.width} × {picture.height}", cost_words(images) or share)
    return clean(" · ".join((*parts, picture.mime.partition("/")[2].upper())), limit=160)


def archived(archive: Archive, entry: Entry) -> list[Item]:
    """The pictures of a call of the archive."""
    options, sources = None, None
    if entry.request is not None:
        options = entry.request.to_dict()
        sources = partial(_sources_of, entry.request) if entry.request.inputs.images else None
    items = []
    for stored in entry.pictures:
        alone = replace(entry, pictures=(stored,), cost_micro=stored.cost_micro)
        cost = "" if stored.cost_micro is None else dollars(stored.cost_micro)
        parts = (entry.model, f"{stored.width} × {stored.height}", cost, f"{entry.created:%Y-%m-%d %H:%M}")
        line = " · ".join(part for part in parts if part)
        load = partial(images_of, archive, alone)
        name = f"{entry.id}.{stored.position}"
        item = Item(name, entry.id, entry.prompt or "", line, stored.width, stored.height, options, load)
        item.sources = sources
        item.starred = stored.starred
        items.append(item)
    return items


def _sources_of(request: ImageRequest) -> list[SourcePicture]:
    """The pictures that went into a request of the archive, and its mask.

    Raises:
        InvalidRequestError: one is gone.
    """
    options = options_of(request)
    sources = []
    for path in options["image"]:
        size = read_picture(path, "image").size
        sources.append(SourcePicture("", path.name, path, *size))
    sources[0].mask = options.get("mask")
    return sources


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


def stop_message(run: QueuedRequest, stopped: Sequence[Abandoned]) -> str:
    """What stopping did, and what it means for the money."""
    sent, cancelled = sum(each.sent for each in stopped), sum(each.cancelled for each in stopped)
    if not sent:
        return f"Stopped after {run.seconds}. Nothing was sent and nothing is billed."
    requests = counted(sent, "request was", "requests were")
    most = total(each.bound_micro for each in stopped)
    bound = "" if most is None else f" (at most {dollars(most)})"
    runs_on = "runs on; its picture" if sent == 1 else "run on; their pictures"
    before = "it was" if cancelled == 1 else "they were"
    more = f" {cancelled} more cancelled before {before} sent." if cancelled else ""
    return (
        f"Stopped after {run.seconds}. {requests} already sent, may be billed{bound} and {runs_on} "
        f"will appear in the gallery.{more}"
    )


def end_message(run: QueuedRequest, images: Images, grid: Grid | None) -> str:
    """What came of it."""
    came, cost = len(images), cost_words(images)
    if grid is not None:
        paid = total(cell.cost_micro for cell in grid)
        cost = "cost unknown" if paid is None else dollars(paid)
    late = "Arrived after you stopped: " if run.phase is Phase.STOPPING else "Done: "
    short = f" {run.order.count} were requested." if came < run.order.count else ""
    return f"{late}{counted(came, 'picture')} in {run.seconds}, {cost}.{short}"
