"""The panel as a whole: the form, the stage, the gallery and the code, and what happens between them.

Callbacks come on a thread of the host's choice, sometimes beside a running cell: each takes the lock, notes
what was asked, and leaves the work to the hand. Only widgets' values are used as output.
"""

from __future__ import annotations

import keyword
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...text import clean, counted, html, looks_like_key
from ..commands import cancelled_message
from ..session import session
from . import code, markup, origin
from .controls import Dress
from .form import Form
from .hand import Hand
from .look import style
from .run import PanelRun, as_comet_error, end_message, stop_message
from .viewing import Viewing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...client import Client, Job
    from ...images import Images
    from .form import Order

DOUBLE_CLICK = 0.5  # seconds in which a second click orders nothing
NO_WIDGETS = "The panel needs a notebook that shows widgets. The same as a cell:"


class Panel:
    """A form, a gallery, and the code for both; shows itself, as often as it is displayed.

    Attributes:
        images: what was made here, one `Images` per call, oldest first.
        form: the controls.
        widget: all of it, for a layout of your own.
    """

    def __init__(self) -> None:
        self.images: list[Images] = []
        self._dress = Dress()
        self._lock = self._dress.lock
        self._hand = Hand(self._look)
        self._run: PanelRun | None = None
        self._runs: list[PanelRun] = []
        self._ordered = -math.inf
        self._asked: Order | None = None  # the order that the next click confirms
        self._closed = False
        self._make()
        self.form = Form(self._dress, self._refresh, origin.defaults())
        self._viewing = Viewing(
            self._dress, self._hand, again=self._fill, failed=self._fail, archive=origin.archive
        )
        self.widget = self._assembled()
        self._generate.on_click(lambda _: self._order(clicked=True))
        self._stop.on_click(lambda _: self.stop())
        self._drop.on_click(lambda _: self.drop())
        self._name.observe(lambda _: self._rename(), "value")
        self._refresh()

    # --- what it is made of

    def _make(self) -> None:
        make = self._dress.make
        self._head = make(widgets.HTML, "comet-top")
        self._price = make(widgets.HTML, "comet-price")
        self._name = make(
            widgets.Text,
            "comet-control",
            "comet-variable",
            description="Assign the newest to",
            placeholder="name of a variable",
            continuous_update=False,
        )
        self._generate = make(widgets.Button, "comet-generate", description="Generate")
        self._stop = make(widgets.Button, "comet-stop", description="Stop", disabled=True)
        self._said = make(widgets.HTML, "comet-status", value=markup.status("Ready."))
        self._error = make(widgets.HTML, "comet-error")
        self._late = make(widgets.HTML, "comet-late-line")
        self._drop = make(widgets.Button, "comet-quiet", "comet-drop", description="Drop it")
        self._background = make(widgets.HBox, "comet-late", "comet-hidden", children=(self._late, self._drop))
        self._codes = [make(widgets.HTML, f"comet-code-{name}") for name in ("cell", "python", "request")]

    def _assembled(self) -> Any:
        make = self._dress.make
        buttons = make(widgets.HBox, "comet-buttons", children=(self._generate, self._stop))
        parts = (self._price, buttons, self._said, self._error, self._background)
        order = make(widgets.VBox, "comet-order", children=parts)
        left = make(widgets.VBox, "comet-left", children=(self.form.widget, order))
        stage, gallery = self._viewing.stage, self._viewing.gallery
        body = make(widgets.HBox, "comet-body", children=(left, stage.widget))
        tabs = make(widgets.Tab, "comet-code", children=self._codes)
        tabs.titles = ("Notebook cell", "Python", "Request")
        into = make(widgets.VBox, "comet-into", children=(self._name, tabs))
        sheet = make(widgets.HTML, "comet-style", value=style())
        children = (sheet, self._head, body, stage.large, gallery.widget, into)
        return make(widgets.VBox, "comet-panel", children=children)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        with self._lock:
            bundle: dict[str, Any] = {} if self._closed else dict(self.widget._repr_mimebundle_())
            if not self._closed:
                self._draw_head()
            bundle["text/plain"] = f"{NO_WIDGETS}\n\n{self._same_cell()}"
        return bundle

    def _same_cell(self) -> str:
        try:
            return code.cell(self.form.order(draft=True), self._variable)
        except CometError as error:
            return str(error)

    # --- what can be done with it

    @property
    def last(self) -> Images | None:
        """The newest pictures, or None."""
        return self.images[-1] if self.images else None

    def generate(self) -> None:
        """Order what the form says, and return at once; nothing more while one is being made."""
        self._order(clicked=False)

    def _order(self, *, clicked: bool) -> None:
        """Begin an order; a click may have to be confirmed by another."""
        with self._lock:
            if self._closed:
                raise ConfigurationError(
                    "this panel was closed, so nothing was sent",
                    hint="comet_magic.panel() opens a new one.",
                    outcome="not_sent",
                )
            now = time.monotonic()
            if self._run is not None:
                self._say("One order is under way; this click ordered nothing more. Stop it, or wait.")
                return
            if now - self._ordered < DOUBLE_CLICK:
                if self._asked is None:
                    self._say("That was a double click; it counted once.")
                return
            free = self._destination == ""
            if self._draw_head() and free:
                self._say(
                    "The key or the address has changed; nothing was sent. Look at the head, then click again."
                )
                return
            try:
                order = self.form.order(origin.price_per_image())
            except CometError as error:
                self._fail(error)
                return
            self._ordered = now
            confirmed = order == self._asked
            session.confirmed_click |= confirmed
            self._ask(None)
            run = self._run = PanelRun(order, self._destination, self._hand.ring)
            run.confirmed = confirmed or not clicked
            self._runs.append(run)
            self._error.value = ""
            self._generate.disabled, self._stop.disabled = True, False
            self._viewing.begin()
            self._say(f"Ordered {counted(order.count, 'picture')} from {order.requests[0].model}.")
        self._hand.do(partial(self._submit, run), first=True)

    def stop(self) -> None:
        """Free the panel at once: what was not sent is cancelled, what was sent runs on and arrives late."""
        with self._lock:
            run = self._run
            if run is None:
                return
            run.stopped = True
            self._free()
            self._say("Stopping…")
        self._hand.do(partial(self._abandon, run), first=True)

    def drop(self) -> None:
        """Close the connections of what runs on in the background; it may be billed all the same."""
        with self._lock:
            runs = [run for run in self._runs if run.stopped]
            self._drop.disabled = True
        self._hand.do(lambda: self._let_go(runs), first=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether everything that was ordered came to its end in time, in seconds."""
        return self._hand.wait(timeout)

    def close(self, *, stop: bool = False) -> None:
        """Take the panel away; what it ordered runs on unless `stop` says otherwise."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._viewing.close()
            runs = list(self._runs)
        if stop:
            for run in runs:
                run.stopped = True
                self._abandon(run)
        self._dress.close()

    # --- what the hand does

    def _submit(self, run: PanelRun) -> None:
        problem: CometError | None = None
        asked = ""
        try:
            if not run.stopped:
                service = session.service(**origin.client_settings())
                if service.destination != run.destination:
                    raise ConfigurationError(
                        "the key or the address has changed since the click; nothing was sent"
                    )
                run.notice = service.notice
                asked = "" if run.confirmed else origin.to_confirm(service.client, run.order)
                if not asked:
                    self._send(run, service.client)
        except CometError as error:
            problem = error
        finally:
            if run.job is None:
                self._forget(run)
        if problem is not None:
            self._fail(problem)
        elif asked:
            self._ask(run.order)
            self._say(f"This spends real money: {asked}. Click Confirm to send it, or change the form.")

    def _send(self, run: PanelRun, client: Client) -> None:
        run.job = client.submit(run.order.prompt, **run.order.options, on_event=run.on_event)
        session.track(run.job)
        run.job.add_done_callback(lambda _: self._hand.ring())

    def _ask(self, order: Order | None) -> None:
        """Let the next click confirm an order, or nothing."""
        with self._lock:
            self._asked = order
            self._generate.description = "Generate" if order is None else "Confirm"

    def _abandon(self, run: PanelRun) -> None:
        if run.job is not None and not run.job.done():
            run.left = run.job.abandon()
        with self._lock:
            self._say(stop_message(run))

    def _let_go(self, runs: list[PanelRun]) -> None:
        for run in runs:
            run.dropped = True
        what = [run.job.drop() for run in runs if run.job is not None and not run.job.done()]
        with self._lock:
            self._say(cancelled_message(what) or "Nothing was running any more.")

    def _look(self) -> bool:
        """Finish what has ended and draw what has changed; returns whether something still runs."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            if run.job is not None and run.job.done():
                self._finish(run, run.job)
        with self._lock:
            current = self._run
        if current is not None:
            self._viewing.work(current)
        with self._lock:
            self._draw_background([run for run in self._runs if run.stopped])
            # Always all of them: each has something of its own to do later.
            return any([bool(self._runs), not self._offer(), self._viewing.look()])

    def _offer(self) -> bool:
        """Let the next order be given, unless one is under way or was just given; whether it can be."""
        if self._run is None and time.monotonic() - self._ordered >= DOUBLE_CLICK:
            self._generate.disabled = False
        return self._closed or not self._generate.disabled

    def _finish(self, run: PanelRun, job: Job) -> None:
        fault = job.exception()
        images: Any = job.result() if fault is None else getattr(fault, "images", ())
        quiet = run.dropped or (run.stopped and getattr(fault, "outcome", "") == "not_sent")
        if images:
            images = images.with_notice(run.notice) if run.notice else images
            items, source = self._viewing.prepared(images, run.order.options)
        with self._lock:
            foreground = self._forget(run)
            if images:
                self.images.append(images)
            if self._closed:
                return
            if images:
                self._viewing.add(items, source, select=foreground)
            if images or fault is None:
                self._say(end_message(run, images) + self._assign())
            if fault is not None and not quiet:
                self._fail(as_comet_error(fault), say=not images)

    def _forget(self, run: PanelRun) -> bool:
        """Take it off the list; whether it was the one under way."""
        with self._lock:
            if run in self._runs:
                self._runs.remove(run)
            foreground = self._run is run
            if foreground:
                self._free()
            return foreground

    def _free(self) -> None:
        self._run = None
        self._stop.disabled = True
        self._offer()
        self._viewing.stage.end()

    # --- what is shown

    def _draw_head(self) -> str | None:
        """Say where a click sends now, which is asked for each time, and remember that it was said."""
        self._destination = origin.destination()
        self._head.value = origin.head(origin.client_settings())
        return self._destination

    def _draw_background(self, runs: list[PanelRun]) -> None:
        if runs:
            orders = counted(len(runs), "order runs", "orders run")
            clock = f'<span aria-hidden="true"> · {html(runs[0].elapsed)}</span>'
            self._late.value = f'<span role="status">{orders} on in the background</span>{clock}'
            self._background.remove_class("comet-hidden")
        else:
            self._background.add_class("comet-hidden")
            self._drop.disabled = False

    def _say(self, text: str) -> None:
        self._said.value = markup.status(text)

    def _fail(self, error: CometError, *, say: bool = True) -> None:
        with self._lock:
            self._error.value = markup.alert(error)
            if say and self._run is None:
                self._say("That did not work; the form is as it was.")

    def _refresh(self) -> None:
        """Show where it goes, the price, the request and the code of the form as it is."""
        with self._lock:
            self._draw_head()
            self._ask(None)
            try:
                order = self.form.order(origin.price_per_image(), draft=True)
            except CometError as error:
                self._price.value = markup.refusal(error)
                texts = [f"The form cannot be sent as it is: {error}"] * 3
            else:
                self._price.value = markup.price(order)
                name = self._variable
                texts = [code.cell(order, name), code.python(order, name), code.body(order)]
            labels = ("notebook cell", "Python call", "request")
            for box, text, label in zip(self._codes, texts, labels, strict=True):
                box.value = markup.code(text, label)

    # --- the name

    @property
    def _variable(self) -> str:
        name = str(self._name.value).strip()
        return name if name.isidentifier() and not keyword.iskeyword(name) else ""

    def _rename(self) -> None:
        with self._lock:
            name = str(self._name.value).strip()
            if looks_like_key(name):
                self._name.value = ""
            elif name and not self._variable:
                error = InvalidRequestError(f"{clean(name, limit=40)} cannot be the name of a variable")
                self._fail(error)
            else:
                self._error.value = ""
                if said := self._assign():
                    self._say(said.strip())
        self._refresh()

    def _assign(self) -> str:
        """Give the newest pictures their name in the notebook, and say so."""
        name, shell = self._variable, origin.shell()
        if not name or not self.images or shell is None:
            return ""
        shell.user_ns[name] = self.images[-1]
        return f" Assigned to {name}."

    def _fill(self, options: Mapping[str, Any], prompt: str) -> None:
        self.form.fill(options, prompt)
