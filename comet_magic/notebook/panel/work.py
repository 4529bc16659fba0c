"""The panel's state and its work: requests on their way, pictures, and what is asked before money is spent.

One object with one lock. Commands change it and `snapshot` tells it; what takes time runs on the panel's one worker
thread. Nothing here knows a widget or a browser.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...explore import GridPlan
from ...explore.grid_display import price_and_time
from ...explore.grid_run import GridRun
from ...images.picture import encoded
from ...images.reading import read_picture
from ...money import MILLION, dollars
from ...text import clean, counted
from ..account import archive_of_panel, client_settings, defaults, heading, price_per_image, question
from ..commands import cancelled_message
from ..session import session
from .form import FILLED, Form
from .items import (
    MOST_THUMBNAIL,
    PREVIEW,
    THUMBNAIL,
    Item,
    Order,
    Phase,
    QueuedRequest,
    SourcePicture,
    archived,
    end_message,
    line_of,
    place_of,
    recipe_in,
    small,
    stop_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...client import Client
    from ...client.job import Event
    from ...explore import Grid, GridCell
    from ...images import Images

    Post = Callable[[dict[str, Any], list[bytes]], object]

MOST_ITEMS = 60  # pictures of the session that the browser knows; the archive has all
MOST_FOUND = 2000  # pictures of the archive that a page may ask for
MOST_PROMPTS = 50
GRID_WIDTH = 1600  # pixels of a grid as one picture


@dataclass(frozen=True)
class Ask:
    """A question before money is spent: what would be sent, where, at which price."""

    id: str
    order: Order
    destination: str
    text: str


class Work:
    """What the panel knows and does; survives the cell that is run again.

    Attributes:
        lock: held for every change and every look.
        images: one `Images` per request, oldest first.
        grids: each grid as one JPEG with labels, by its request.
        post: sends a message with pictures to the browser; only called on the worker.
        changed: called after a change, on any thread.
        soon: has something done on the worker.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.form = Form(defaults())
        self.images: list[Images] = []
        self.items: list[Item] = []
        self.grids: dict[str, bytes] = {}
        self.runs: list[QueuedRequest] = []
        self.ask: Ask | None = None
        self.error: dict[str, Any] | None = None
        self.said = ""
        self.archive_changes = 0
        self._found: OrderedDict[str, Item] = OrderedDict()
        self._numbers = count(1)
        self.post: Post
        self.changed: Callable[[], object]
        self.soon: Callable[[Callable[[], object]], object]
        self.let_go()

    @property
    def phase(self) -> Phase:
        """Whether anything runs that was not stopped, or only what was."""
        if any(run.phase is Phase.RUNNING for run in self.runs):
            return Phase.RUNNING
        return Phase.STOPPING if self.runs else Phase.IDLE

    # --- spending

    def generate(self, shown: str | None, *, confirmed: bool) -> QueuedRequest | None:
        """Send what the form says, or ask first; None if it asked.

        Args:
            shown: the price that the browser showed.
            confirmed: Python asked for it, so no person is asked.

        Raises:
            CometError: it cannot be sent; nothing was.
        """
        with self.lock:
            order = _sendable(self.form)
        return self._offer(order, shown, confirmed=confirmed)

    def more(self, item: Item) -> QueuedRequest | None:
        """One more picture of the same request, or a question first.

        Raises:
            InvalidRequestError: the request is not known, or its model does not take it any more.
        """
        form = Form({})
        self.refill(form, item, n=1, reuse=False)
        return self._offer(_sendable(form), None, confirmed=False)

    def refill(self, form: Form, item: Item, **options: Any) -> None:
        """Put the settings of a picture into a form, with the pictures and the mask that went in.

        Raises:
            InvalidRequestError: one of these pictures is gone.
        """
        sources = item.sources() if item.sources else []
        with self.lock:
            known = {name: value for name, value in (item.options or {}).items() if name in FILLED}
            form.fill({**known, **options}, item.typed or item.prompt)
            form.sources = [replace(source, id=f"in-{next(self._numbers)}") for source in sources]
            self.changed()

    def _offer(self, order: Order, shown: str | None, *, confirmed: bool) -> QueuedRequest | None:
        service = session.service(**client_settings())
        asked = "" if confirmed else question(service, order, shown)
        if asked:
            with self.lock:
                self.ask = Ask(f"ask-{next(self._numbers)}", order, service.destination, asked)
                self.changed()
            return None
        return self._send(order, service.client, service.notice)

    def confirm(self, asked: str) -> QueuedRequest | None:
        """Send what was asked about; ask again where it would go elsewhere now, or cost something else."""
        with self.lock:
            ask, self.ask = self.ask, None
        if ask is None or ask.id != asked:
            raise ConfigurationError(
                "this question was answered already; nothing was sent", outcome="not_sent"
            )
        service = session.service(**client_settings())
        text = question(service, ask.order, None, always=True)
        if service.destination != ask.destination or not ask.text.endswith(text):
            with self.lock:
                self.ask = replace(
                    ask, id=f"ask-{next(self._numbers)}", destination=service.destination, text=text
                )
                self.changed()
            return None
        session.confirmed_click |= service.destination != ""
        return self._send(ask.order, service.client, service.notice)

    def _send(self, order: Order, client: Client, notice: str) -> QueuedRequest:
        run = QueuedRequest(f"run-{next(self._numbers)}", order, notice)
        if order.grid is None:
            listener = partial(self._event, run, 0)
            run.jobs = (client.submit(order.prompt, **order.options, on_event=listener),)
        else:
            self._send_grid(run, client)
        models = dict.fromkeys(request.model for request in run.order.requests)
        with self.lock:
            self.ask, self.error = None, None
            self.runs.append(run)
            self.said = f"Requested {counted(run.order.count, 'picture')} from {', '.join(models)}."
            self.changed()
        for job in run.jobs:
            session.track(job)
            job.add_done_callback(lambda _: self.soon(partial(self._finish, run)))
        self.soon(partial(self._finish, run))  # a grid of which nothing could be started has no calls
        self.soon(partial(self._estimate_time, run, client))
        return run

    def _send_grid(self, run: QueuedRequest, client: Client) -> None:
        """Start the calls of a grid, as this client would send it now."""
        plan = run.order.plan(client)
        assert isinstance(plan, GridPlan)  # noqa: S101 - the order has one
        run.order = replace(run.order, grid=plan, requests=plan.requests, price=plan.price)
        cells, first = [], 0
        for cell in plan.cells:
            listener = partial(self._event, run, first)
            cells.append(replace(cell, options={**cell.options, "on_event": listener}))
            first += len(cell.plan.requests)
        run.grid = GridRun(client, replace(plan, cells=tuple(cells)), run.notice)
        run.grid.start()
        run.jobs = tuple(run.grid.calls)

    def _event(self, run: QueuedRequest, first: int, event: Event) -> None:
        run.note(first, event)
        if not run.told:
            run.told = True
            self.soon(partial(self.show_previews, run))

    def stop(self, run_id: str | None = None) -> None:
        """Cancel what was not sent; what was sent runs on. A second stop closes the connection."""
        with self.lock:
            runs = [run for run in self.runs if run_id in (None, run.id)]
            again = [run for run in runs if run.phase is Phase.STOPPING]
            for run in runs:
                run.phase, run.dropped = Phase.STOPPING, run in again
            self.changed()
        for run in runs:
            open_jobs = [job for job in run.jobs if not job.done()]
            if open_jobs and run in again:
                self.tell(cancelled_message([job.drop() for job in open_jobs]))
            elif open_jobs:
                self.tell(stop_message(run, [job.abandon() for job in open_jobs]))
        self.changed()

    def _finish(self, run: QueuedRequest) -> None:
        if not run.ended or run not in self.runs:
            return
        grid = run.grid.grid() if run.grid else None
        items: list[Item] = []
        fault: BaseException | None
        images: Any
        if grid is not None:
            images, fault = grid.images, next(iter(grid.errors.values()), None)
            for cell in grid:
                items += self._made(run, cell.images, cell)
            self._keep_grid(run, grid)
        else:
            fault = run.jobs[0].exception()
            images = run.jobs[0].result() if fault is None else getattr(fault, "images", ())
            if images:
                images = images.with_notice(run.notice) if run.notice else images
                items = self._made(run, images)
        with self.lock:
            self.runs.remove(run)
            if images:
                self.images.append(images)
                self.items[:0] = items
                self.said = end_message(run, images, grid)
            quiet = run.dropped or (
                run.phase is Phase.STOPPING and getattr(fault, "outcome", "") == "not_sent"
            )
            if fault is not None and not quiet:
                self.fail(fault)
            self.archive_changes += 1
            self.changed()

    def fail(self, fault: BaseException) -> None:
        """Show an error; one that is no CometError is a fault of ours, and is shown anyway."""
        error = fault if isinstance(fault, CometError) else None
        error = error or CometError(f"{type(fault).__name__}: {clean(fault)}", outcome="unknown")
        head, *lines = error.lines()
        name, _, words = head.partition(": ")
        with self.lock:
            self.error = {
                "id": f"error-{next(self._numbers)}",
                "title": clean(words or name, limit=600),
                "lines": [clean(line, limit=600) for line in lines],
                "name": name,
            }
            self.changed()

    def tell(self, said: str) -> None:
        """Say what happened."""
        with self.lock:
            self.said = said
            self.changed()

    def withdraw(self) -> None:
        """Answer the question with no."""
        with self.lock:
            self.ask = None
            self.tell("Not sent.")

    def dismiss(self) -> None:
        """Take the error away."""
        with self.lock:
            self.error = None
            self.changed()

    def let_go(self) -> None:
        """Have no view until another one takes over."""
        self.post, self.changed, self.soon = _nobody, _nobody, _nobody

    def take_up(self) -> None:
        """Look after the requests of an earlier view."""
        for run in self.runs:
            run.told = False
            run.seen.clear()
            self.soon(partial(self.show_previews, run))
            self.soon(partial(self._finish, run))

    def _estimate_time(self, run: QueuedRequest, client: Client) -> None:
        """How long this model usually takes, from the archive."""
        if run.grid is not None:
            run.usual = run.grid.plan.seconds
            return
        calls = client.archive.history(model=run.order.requests[0].model, limit=40)
        times = [call.seconds for call in calls if call.seconds and call.state == "done"]
        with self.lock:
            run.usual = statistics.median(times) if times else None
            self.changed()

    # --- pictures

    def _made(self, run: QueuedRequest, images: Images | None, cell: GridCell | None = None) -> list[Item]:
        """The pictures that came of a request, or of one cell of a grid."""
        order, items = run.order, []
        said: Mapping[str, Any] = cell.planned.options if cell else order.options
        options = {name: value for name, value in said.items() if name not in ("image", "mask", "on_event")}
        asked = (cell and said.get("asked")) or {}
        options |= {"preset": asked["preset"]} if "preset" in asked else {}
        cost = images.cost if images else None
        each = None if not images or cost is None else dollars(round(cost * MILLION / len(images)))
        for one in (images[at : at + 1] for at in range(len(images))) if images else ():
            picture, line = one.pictures[0], line_of(one, each or "cost unknown")
            name = f"s{next(self._numbers)}"
            item = Item(name, run.id, one.prompt, line, picture.width, picture.height, options, one.copy)
            item.typed = asked.get("prompt", cell.prompt) if cell else order.prompt
            item.notice = clean(one.notice)
            item.sources = partial(list, order.sources) if order.sources else None
            if cell and order.grid:
                item.place, item.group = place_of(order.grid, cell.planned), order.summary
                item.price = price_and_time(cell) if len(images or ()) == 1 else each or ""
            with suppress(CometError):  # it is shown as one that cannot be read
                item.thumbnail = small(picture.data, THUMBNAIL, MOST_THUMBNAIL)[0]
            items.append(item)
        return items

    def _keep_grid(self, run: QueuedRequest, grid: Grid) -> None:
        """Keep a grid as one picture with labels, for the notebook's file and to be looked at."""
        if grid.images:
            with suppress(CometError):
                self.grids[run.id] = encoded(grid.sheet(GRID_WIDTH))[0]

    def item(self, item_id: str) -> Item:
        """The picture that the browser calls so.

        Raises:
            InvalidRequestError: there is none.
        """
        with self.lock:
            found = next((item for item in self.items if item.id == item_id), None) or self._found.get(
                item_id
            )
        if found is None:
            raise InvalidRequestError("this picture is not in the panel any more")
        return found

    def send_thumbnail(self, item_id: str) -> None:
        """Send a small JPEG of at most 30 KB; an empty one if the picture cannot be read."""
        item = self.item(item_id)
        if not item.thumbnail:
            with suppress(CometError):
                item.thumbnail = small(item.load().data[0], THUMBNAIL, MOST_THUMBNAIL)[0]
        self.post({"kind": "thumb", "item": item.id}, [item.thumbnail])

    def show_previews(self, run: QueuedRequest) -> None:
        """Send what is new of a request on its way."""
        run.told = False
        for place, (_, data, final) in enumerate(run.parts()):
            if data is None or run.seen.get(place) is data:
                continue
            run.seen[place] = data
            with suppress(CometError):
                run.numbers[place] += 1
                facts = {"run": run.id, "part": place, "final": final, "number": run.numbers[place]}
                message = {"kind": "preview", **facts}
                self.post(message, [small(data, PREVIEW)[0]])
        self.changed()

    def find(
        self, words: str, *, model: str, day: str, starred: bool, offset: int, limit: int
    ) -> tuple[list[Item], bool]:
        """Pictures of the archive, newest first, and whether there are more."""
        from datetime import date

        try:
            since = date.fromisoformat(day) if day else None
        except ValueError:
            raise InvalidRequestError(
                f"the day is {clean(day, limit=20)}; it must be like 2026-11-22"
            ) from None
        archive = archive_of_panel()
        limits: dict[str, Any] = {"model": model or None, "since": since, "starred": starred}
        entries = archive.history(words, limit=offset + limit + 1, **limits)
        items = [item for entry in entries[offset : offset + limit] for item in archived(archive, entry)]
        with self.lock:
            for item in items:
                self._found[item.id] = item
                self._found.move_to_end(item.id)
            while len(self._found) > MOST_FOUND:
                self._found.popitem(last=False)
        return items, len(entries) > offset + limit

    def prompts(self) -> list[str]:
        """Earlier prompts, the newest first, each once."""
        made = [images.prompt for images in reversed(self.images)]
        kept = [entry.prompt for entry in archive_of_panel().history(limit=MOST_PROMPTS) if entry.prompt]
        return list(dict.fromkeys((*made, *kept)))[:MOST_PROMPTS]

    def attach(self, picture: bytes, name: str) -> SourcePicture:
        """Take a picture as one that goes in.

        Raises:
            InvalidRequestError: it cannot be read.
        """
        given = read_picture(picture, "image")
        source = SourcePicture(f"in-{next(self._numbers)}", clean(name, limit=80), picture, *given.size)
        source.recipe = recipe_in(picture, archive_of_panel())
        with self.lock:
            self.form.sources.append(source)
            self.changed()
        return source

    def source(self, source_id: str) -> SourcePicture:
        """The picture that goes in and that the browser calls so."""
        found = next((source for source in self.form.sources if source.id == source_id), None)
        if found is None:
            raise InvalidRequestError("this picture is not among those that go in any more")
        return found

    def kept(self) -> list[tuple[bytes, str, bool]]:
        """Picture and prompt of what the notebook's file keeps, newest first, and whether it is a grid of many."""
        found: dict[str, tuple[bytes, str, bool]] = {}
        for item in self.items:
            grid = self.grids.get(item.run) if item.place else None
            if grid or item.thumbnail:
                found[item.run if grid else item.id] = (grid or item.thumbnail, item.prompt, bool(grid))
        return list(found.values())

    # --- as the browser shows it

    def snapshot(self) -> dict[str, Any]:
        """All of it but the pictures."""
        with self.lock:
            order, problems = self.form.check(price_per_image())
            price = (
                {"text": order.price_text, "detail": order.summary} if order else {"text": "", "detail": ""}
            )
            return {
                "v": 1,
                "phase": self.phase.value,
                "head": heading(),
                "price": price,
                "form": self.form.facts(order, problems),
                "inputs": [source.facts() for source in self.form.sources],
                "queue": [run.facts() for run in self.runs],
                "ask": {"id": self.ask.id, "text": self.ask.text} if self.ask else None,
                "error": self.error,
                "said": self.said,
                "items": [item.facts() for item in self.items[:MOST_ITEMS]],
                "more_items": max(0, len(self.items) - MOST_ITEMS),
                "archive": self.archive_changes,
            }


def _sendable(form: Form) -> Order:
    """The order of a form.

    Raises:
        InvalidRequestError: it cannot be sent.
    """
    order, problems = form.check(price_per_image())
    if order is None:
        raise InvalidRequestError(f"nothing was sent: {next(iter(problems.values()))}")
    if not order.prompt.strip():
        raise InvalidRequestError(
            "nothing was sent: prompt is empty; say what the picture shows", param="prompt"
        )
    return order


def _nobody(*_: object) -> None:
    """There is no view."""
