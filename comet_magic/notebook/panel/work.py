"""The panel's state and its work: requests on their way, pictures, and what is asked before money is spent.

One object with one lock. Commands change it and `snapshot` tells it; what takes time runs on the panel's one worker
thread. Nothing here knows a widget or a browser.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...client.job import interrupted
from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...explore.grid_run import GridRun
from ...explore.plan import usual_seconds
from ...images.picture import encoded
from ...text import clean, counted
from ..account import archive_of_panel, client_settings, defaults, heading, question
from ..commands import cancelled_message
from ..session import session
from ..worker import Worker
from .form import FILLED, Form
from .items import PREVIEW, Item, QueuedRequest, archived_item, made, small
from .sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...client import Client
    from ...images import Images
    from ..session import Service
    from .form import Order
    from .items import Phase, SourcePicture
    from .panel import Panel

MOST_ITEMS = 60  # pictures of the session that the browser knows; the archive has all
GRID_WIDTH = 1600  # pixels of a grid as one picture


@dataclass(frozen=True)
class Ask:
    """A question before money is spent; its text says what would be sent, where, at which price."""

    id: str
    order: Order
    text: str


class Work:
    """What the panel knows and does; survives the cell that is run again.

    Attributes:
        lock: held for every change and every look.
        images: one `Images` per request, oldest first.
        grids: each grid as one JPEG with labels, by its request.
        view: where it is shown; None until another panel takes over.
        worker: does what takes time, and all that is sent.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.images: list[Images] = []
        self.items: list[Item] = []
        self.grids: dict[str, bytes] = {}
        self.runs: list[QueuedRequest] = []
        self.ask: Ask | None = None
        self.error: dict[str, Any] | None = None
        self.said = ""
        self.archive_changes = 0
        self._numbers = count(1)
        self.view: Panel | None = None
        self.sheet = Sheet()
        self.worker = Worker(self._update, self.fail)
        self.form = Form(defaults(), self.change)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Change something: nobody looks meanwhile, and the view is told."""
        with self.lock:
            yield
        self.worker.wake()

    @property
    def phase(self) -> Phase:
        """Whether anything runs that was not stopped, or only what was."""
        phases = [run.phase for run in self.runs]
        return "idle" if not phases else "running" if "running" in phases else "stopping"

    def check(self) -> tuple[Order | None, dict[str, str]]:
        """What a click would send, None if it cannot be sent; and what is wrong, by field."""
        with self.lock:
            return self.form.check(self.archive_changes)

    # --- spending

    def generate(self, shown: str | None, *, confirmed: bool, form: Form | None = None) -> None:
        """Send what a form says, or ask first; a CometError says why nothing was sent.

        Args:
            shown: the price that the browser showed; None if it does not matter.
            confirmed: Python asked for it, so no person is asked.
            form: None is the panel's own.
        """
        with self.lock:
            order, problems = (form or self.form).check(self.archive_changes)
        if order is None:
            raise InvalidRequestError(f"nothing was sent: {next(iter(problems.values()))}")
        if not order.prompt.strip():
            said = "nothing was sent: prompt is empty; say what the picture shows"
            raise InvalidRequestError(said, param="prompt")
        service = session.service(**client_settings())
        order = order.again(service.client)
        self._ask_or_send(order, service, "" if confirmed else question(service, order, shown))

    def more(self, item: Item) -> None:
        """Send one more picture of the same request, or ask first; refused if that cannot be made any more."""
        form = Form({})
        options = {**(item.options or {}), "n": 1, "reuse": False}
        self.refill(options, item.typed, item.sources() if item.sources else [], form)
        self.generate(None, confirmed=False, form=form)

    def confirm(self, asked: str) -> None:
        """Send what was asked about, once; ask again if it would go elsewhere now, or cost something else."""
        with self.lock:
            ask, self.ask = self.ask, None
        if ask is None or ask.id != asked:
            raise ConfigurationError(
                "this question was answered already; nothing was sent", outcome="not_sent"
            )
        service = session.service(**client_settings())
        order = ask.order.again(service.client)
        text = question(service, order, None, always=True)
        agreed = text != "" and ask.text.endswith(text)  # nothing is asked about play money
        session.confirmed_click |= agreed
        self._ask_or_send(order, service, "" if agreed else text)

    def _ask_or_send(self, order: Order, service: Service, asked: str) -> None:
        if not asked:
            # how to set a key is said above all pictures, once
            self._send(order, service.client, "" if service.destination else "sandbox")
            return
        with self.change():
            self.ask = Ask(self.new_id("ask"), order, asked)

    def _send(self, order: Order, client: Client, notice: str) -> None:
        run = QueuedRequest(self.new_id("run"), order)
        run.calls = GridRun(client, order.plan, notice)
        run.calls.start(on_event=lambda _: self._look(run))
        if not run.jobs:
            raise next(iter(run.calls.grid().errors.values()))
        models = ", ".join(dict.fromkeys(cell.model for cell in order.plan.cells))
        with self.change():
            self.ask, self.error = None, None
            self.runs.append(run)
            self.said = f"Requested {counted(order.pictures, 'picture')} from {models}."
        for job in run.jobs:
            session.track(job)
            job.add_done_callback(lambda _: self.worker.do(partial(self._finish, run)))
        self.worker.do(partial(self._estimate_time, run, client))

    def _look(self, run: QueuedRequest) -> None:
        """Have the worker look at what happened; runs on the thread of all calls."""
        if not run.told:
            run.told = True
            self.worker.do(partial(self._show_previews, run))

    def stop(self, run_id: str | None = None) -> None:
        """Cancel what was not sent; what was sent runs on. A second stop closes the connection."""
        with self.change():
            runs = [run for run in self.runs if run_id in (None, run.id)]
            for run in runs:
                run.stops += 1
        for run in runs:
            open_jobs = [job for job in run.jobs if not job.done()]
            if open_jobs and run.stops > 1:
                self.tell(cancelled_message([job.drop() for job in open_jobs]))
            elif open_jobs:
                stopped = interrupted(open_jobs)
                said, unsent = str(stopped), stopped.outcome == "not_sent"
                self.tell(f"{said[:1].upper()}{said[1:]}. {'Nothing is' if unsent else 'It may be'} billed.")

    def _finish(self, run: QueuedRequest) -> None:
        """Take what came of a request, once all of its calls have ended."""
        if run not in self.runs or not all(job.done() for job in run.jobs):
            return
        try:
            grid = run.calls.grid()
            fault = next(iter(grid.errors.values()), None)
            images = grid.images if run.order.is_grid else grid.cells[0].images
            items = [item for cell in grid for item in made(run, cell, partial(self.new_id, "s"))]
            if run.order.is_grid and images:
                with suppress(CometError):  # it is too large to be drawn as one
                    self.grids[run.id] = encoded(grid.sheet(GRID_WIDTH))[0]
        finally:
            with self.change():
                self.runs.remove(run)
                self.archive_changes += 1
        with self.change():
            if images:
                self.images.append(images)
                self.items[:0] = items
            unsent = getattr(fault, "outcome", "") == "not_sent"
            if images or not run.stops:
                self.said = run.end_message(grid)
            if fault is not None and run.stops < 2 and not (run.stops and unsent):
                self.fail(fault)

    def _estimate_time(self, run: QueuedRequest, client: Client) -> None:
        usual = usual_seconds(client, run.order.plan)
        with self.change():
            run.usual = usual

    def _show_previews(self, run: QueuedRequest) -> None:
        """Send what is new of a request on its way."""
        run.told = False
        for place, (part, data) in enumerate(run.parts()):
            if data is None or run.seen.get(place) is data:
                continue
            run.seen[place] = data
            run.numbers[place] += 1
            facts = {"run": run.id, "part": place, "final": part["final"], "number": run.numbers[place]}
            with suppress(CometError):  # the picture itself is checked
                self.post({"kind": "preview", **facts}, [small(data, PREVIEW)])

    # --- what a person is told

    def fail(self, fault: BaseException) -> str:
        """Show an error, and give it in one line; one that is no CometError is a fault of ours, and is shown anyway."""
        error = fault if isinstance(fault, CometError) else None
        error = error or CometError(f"{type(fault).__name__}: {clean(fault)}", outcome="unknown")
        head, *lines = (clean(line, limit=600) for line in error.lines())
        name, _, words = head.partition(": ")
        with self.change():
            self.error = {"id": self.new_id("error"), "title": words or name, "lines": lines, "name": name}
        return clean(error.sentence)

    def tell(self, said: str) -> None:
        """Say what happened."""
        with self.change():
            self.said = said

    def new_id(self, kind: str) -> str:
        """A name that nothing of this panel has yet."""
        return f"{kind}-{next(self._numbers)}"

    # --- the view

    def show_in(self, view: Panel) -> None:
        """Be shown there from now on, with the requests that an earlier view saw begin."""
        self.view = view
        self.worker.do(self.show_runs)
        self._update()

    def post(self, message: dict[str, Any], pictures: list[bytes]) -> None:
        """Send a message with pictures to the browser; only called on the worker."""
        with self.lock:
            if self.view is not None:
                self.view.send(message, pictures)

    def _update(self) -> None:
        """Show what changed; on the worker, and once before anybody looks."""
        with self.lock:
            if self.view is not None:
                self.view.show(self.snapshot())
        self.sheet.update(self.kept())

    def show_runs(self) -> None:
        """Send all that is there of the requests that run, to a page that is new."""
        for run in self.runs:
            run.seen.clear()
            self._show_previews(run)

    # --- the form and the pictures that go in

    def refill(
        self,
        options: Mapping[str, Any],
        prompt: str,
        sources: Sequence[SourcePicture] | None = None,
        form: Form | None = None,
    ) -> None:
        """Put settings into the form as far as it has fields for them, and the pictures that went in unless None."""
        form = form or self.form
        with self.change():
            form.fill({name: value for name, value in options.items() if name in FILLED}, prompt)
            if sources is not None:
                form.sources = [replace(source, id=self.new_id("in")) for source in sources]

    def source(self, source_id: str) -> SourcePicture:
        """The picture that goes in and that the browser calls so; refused if there is none."""
        found = next((source for source in self.form.sources if source.id == source_id), None)
        if found is None:
            raise InvalidRequestError("this picture is not among those that go in any more")
        return found

    # --- pictures that can be looked at

    def item(self, item_id: str) -> Item:
        """The picture of this session or of the archive that the browser calls so; refused if it is gone."""
        with self.lock:
            found = next((item for item in self.items if item.id == item_id), None)
        found = found or archived_item(archive_of_panel(), item_id)
        if found is None:
            raise InvalidRequestError("this picture is not in the panel any more")
        return found

    def kept(self) -> list[tuple[bytes, str, bool]]:
        """Picture and prompt of what the notebook's file keeps, newest first, and whether it is a grid of many."""
        found: dict[str, tuple[bytes, str, bool]] = {}
        for item in self.items:
            grid = self.grids.get(item.run)
            if grid or item.thumbnail:
                found[item.run if grid else item.id] = (grid or item.thumbnail, item.prompt, bool(grid))
        return list(found.values())

    # --- as the browser shows it

    def snapshot(self) -> dict[str, Any]:
        """All of it but the pictures."""
        with self.lock:
            order, problems = self.check()
            return {
                "v": 1,
                "phase": self.phase,
                "head": heading(),
                "price": {
                    "text": order.price_text if order else "",
                    "detail": order.summary if order else "",
                },
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
