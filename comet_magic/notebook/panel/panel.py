"""The panel as a widget: commands of the browser in, one state out, and what Python can do with it.

The protocol is written at the head of panel.js. host.js, brush.js and panel.js are joined into the one ES module that
anywidget loads. Everything is sent by one worker thread: clicks are then delivered while a cell blocks the kernel.
"""

from __future__ import annotations

import base64
import re
import time
from concurrent import futures
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...files import slug
from ...images.strokes import draw_strokes
from ...outputs import display_bundle, running_shell
from ...text import clean
from ..as_code import call_texts
from ..worker import Worker
from .form import FILLED, told
from .items import Item, SourcePicture, drawable, zipped
from .sheet import Sheet
from .work import MOST_ITEMS, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...images import Images

    Reply = tuple[dict[str, Any], list[bytes]]

TOO_OLD = 5.0  # seconds after which a click buys nothing
SPENDS = ("generate", "confirm", "more")
FOUND = 24  # requests of the archive in one answer
NO_WIDGETS = "Image panel: run this cell in a notebook to use it. The same as a cell:"
_panels: dict[str, Panel] = {}  # by name


def shipped(*names: str) -> str:
    """Files of the panel as one text, without comments and the blanks that say nothing.

    Scripts are joined into the one ES module, without the imports that are only for their tools. They have their
    semicolons, and no template within a template.
    """
    here = Path(__file__).parent
    text = "\n".join((here / name).read_text("utf-8") for name in names)
    # Fields that are only declared for the type checker.
    text = re.sub(r"^ +/\*\* @type \{any\} \*/ \w+;\n", "", text, flags=re.MULTILINE)
    text = re.sub(rf"{_TEXT}|/\*.*?\*/|//[^\n]*", r"\1", text, flags=re.DOTALL)
    if names[0].endswith(".js"):
        text = re.sub(r"^import .*\n|^export (?=function|const)", "", text, flags=re.MULTILINE)
        lean = re.sub(rf"{_TEXT}|\s*([-+/%=,;:?(){{}}\[\]<>&|!*])\s*|\n\s+", _without_blanks, text)
    else:
        lean = re.sub(rf"{_TEXT}|\s*([{{}};,>])\s*|(?<=:) ", _without_blanks, text)
    lean = re.sub(r"[;,](?=[})\]])|(?<=[=(,:])\((\w+)\)(?==>)", r"\1", lean).strip()
    constant = r"const [\w\[\],]+=[^;{}]*"
    return re.sub(rf"{constant}(?:;{constant})+", lambda found: found[0].replace(";const ", ","), lean)


_TEXT = r'("(?:[^"\\\n]|\\.)*"|`[^`]*`)'


def _without_blanks(found: re.Match[str]) -> str:
    return found[1] or found[2] or ("\n" if "\n" in found[0] else "")


class FormHandle:
    """The form of a panel, for Python.

    Args:
        panel: whose form it is.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    @property
    def values(self) -> dict[str, str]:
        """What is typed, by name; a copy."""
        return dict(self._panel.open_work().form.values)

    def fill(
        self, options: Mapping[str, Any] | None = None, prompt: str | None = None, **fields: Any
    ) -> None:
        """Take these options and no others; None leaves the prompt as it is.

        Raises:
            InvalidRequestError: one is not a field of the panel.
            ConfigurationError: the panel was closed.
        """
        work = self._panel.open_work()
        with work.lock:
            work.form.fill({**(options or {}), **fields}, prompt)
            work.changed()


class Panel(anywidget.AnyWidget):
    """A form, a queue and a gallery in one widget; shows itself as often as it is displayed.

    Args:
        name: a panel of the same name, or without one of the same cell, is closed, and its form, its pictures and its
            running requests are this one's.

    Attributes:
        form: `.fill(options, prompt)` and `.values`.
    """

    _esm = shipped("host.js", "brush.js", "panel.js")
    _css = shipped("panel.css")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        cell, run = _cell()
        self._name = name or cell
        self._cell_run = run
        before = _panels.get(self._name) if self._name else None
        if before is not None and not name and before._cell_run == run:  # noqa: SLF001 - its own class
            before, self._name = None, ""  # two panels of one cell
        self._work: Work | None = before.release() if before is not None else Work()
        work = self.open_work()
        if self._name:
            _panels[self._name] = self
        self.form = FormHandle(self)
        self.images = work.images
        self._sheet = Sheet()
        self._rev = 0
        self._asked: set[str] = set()  # ids of commands
        self._worker = Worker(self._publish, work.fail)
        work.post, work.changed = self.send, self._worker.wake
        work.soon = self._worker.do
        work.take_up()
        self.on_msg(self._receive)
        self._publish()

    def open_work(self) -> Work:
        """The state.

        Raises:
            ConfigurationError: the panel was closed.
        """
        if self._work is None:
            raise ConfigurationError(
                "this panel was closed, so nothing was done",
                hint="comet_magic.panel() opens a new one.",
                outcome="not_sent",
            )
        return self._work

    # --- for Python

    @property
    def last(self) -> Images | None:
        """The newest pictures, or None."""
        return self.images[-1] if self.images else None

    def generate(self) -> None:
        """Send what the form says, and return at once; a person is not asked.

        Raises:
            CometError: it cannot be sent.
        """
        self.open_work().generate(None, confirmed=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether everything that was requested came to its end in time, in seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while (work := self._work) is not None:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self._worker.wait(left):
                return False
            with work.lock:
                jobs = [job for run in work.runs for job in run.jobs]
            if not jobs:
                return True
            if futures.wait(jobs, left).not_done:
                return False
        return True

    def close(self, *, stop: bool = False) -> None:
        """Remove the panel; what it requested runs on, unless `stop` says otherwise."""
        work = self.release() if getattr(self, "_work", None) is not None else None
        if work is not None and stop:
            work.stop()
        super().close()

    def release(self) -> Work:
        """Close the widget and give its state away, with the requests that still run."""
        work = self.open_work()
        self._work = None
        if _panels.get(self._name) is self:
            del _panels[self._name]
        self._worker.end()
        work.let_go()
        super().close()
        return work

    # --- on the page

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        shown = super()._repr_mimebundle_(**options)
        if self._work is None or shown is None:
            return None
        data, metadata = dict(shown[0]), dict(shown[1])
        order = self._work.form.check()[0]
        cell = call_texts(order.prompt, order.options, order.requests)["cell"] if order else "%%cometimg"
        data["text/plain"] = f"{NO_WIDGETS}\n\n{cell}"
        if small := next((item.thumbnail for item in self._work.items if item.thumbnail), b""):
            data["image/jpeg"] = base64.b64encode(small).decode("ascii")
        return data, metadata

    def _ipython_display_(self) -> None:
        shell, shown = running_shell(), self._repr_mimebundle_()
        if shell is None or getattr(shell, "kernel", None) is None or shown is None:
            raise NotImplementedError  # IPython asks for the bundle
        display_bundle(*shown)
        self._sheet.show(shell)
        self._worker.wake()

    def _publish(self) -> None:
        """Send the state where it changed; on the worker, and once before anybody looks."""
        if self._work is None:
            return
        snapshot = self._work.snapshot()
        if snapshot != {name: value for name, value in self.state.items() if name != "rev"}:
            self._rev += 1
            self.state = {**snapshot, "rev": self._rev}
        self._sheet.update(self._work.kept())

    # --- commands

    def _receive(self, _: object, command: Any, buffers: list[Any]) -> None:
        """Take a command, on whatever thread the kernel reads it."""
        facts = command if isinstance(command, dict) else {}
        name = facts.get("id")
        if not isinstance(name, str) or self._work is None:
            return
        again = name in self._asked
        self._asked.add(name)
        if facts.get("kind") == "stop":  # at once, also while the worker reads a large picture
            self._work.stop(str(facts.get("run")))
        # ipykernel 7.4 reads the next click on the subshell that last sent something, beside a cell that blocks the
        # kernel; the worker, which has no parent, leaves it at that.
        self.send({"kind": "here"})
        task = partial(self._do, facts, [bytes(buffer) for buffer in buffers], again=again)
        self._worker.do(task, later=facts.get("kind") == "thumbs")

    def _do(self, facts: Mapping[str, Any], buffers: list[bytes], *, again: bool) -> None:
        """Do a command, unless it was done, and tell its end; any fault becomes an error that the panel shows."""
        work, name, error = self._work, facts["id"], ""
        if work is None:
            return
        try:
            reply = None if again else _reply(work, facts, buffers)
            if reply is not None:
                work.post({"id": name, **reply[0]}, reply[1])
        except BaseException as fault:  # noqa: BLE001 - on this thread nobody else would see it
            error = told(fault) if isinstance(fault, CometError) else clean(fault) or type(fault).__name__
            if isinstance(fault, StaleClickError):
                work.tell(str(fault))
            else:
                work.fail(fault)
        work.post({"kind": "ack", "id": name, "ok": not error, "error": error, "now": time.time() * 1000}, [])


class StaleClickError(ConfigurationError):
    """A click that is too old to spend money on."""


def _reply(work: Work, facts: Mapping[str, Any], buffers: list[bytes]) -> Reply | None:
    """Do a command.

    Raises:
        CometError: it cannot be done.
    """
    kind = str(facts.get("kind"))
    if kind in SPENDS:
        _check_age(facts.get("t"))
    if kind not in KINDS:
        raise InvalidRequestError("the panel was made by another version; run this cell again")
    reply: Reply | None = getattr(_Command(work, facts, buffers), kind)()
    return reply


def _check_age(moment: Any) -> None:
    age = time.time() - moment / 1000 if type(moment) in (int, float) else None
    if age is None or not -TOO_OLD < age < TOO_OLD:
        waited = f"waited {abs(age):.0f} s" if age is not None else "has no time"
        raise StaleClickError(f"this click {waited}, so nothing was sent; click again", outcome="not_sent")


def _cell() -> tuple[str, str]:
    """The id of the cell that runs, "" if the front end tells none, and that of its run."""
    parent = getattr(running_shell(), "parent_header", None) or {}
    get_parent = getattr(running_shell(), "get_parent", None)
    parent = get_parent() if callable(get_parent) else {"header": parent}
    cell = parent.get("metadata", {}).get("cellId", "")
    return f"cell {cell}" if cell else "", str(parent.get("header", {}).get("msg_id", ""))


class _Command:
    """A command of the browser: the method of its kind does it, and may give a reply with pictures."""

    def __init__(self, work: Work, facts: Mapping[str, Any], buffers: list[bytes]) -> None:
        self._work = work
        self._get = facts.get
        self._buffers = buffers

    def _item(self) -> Item:
        return self._work.item(str(self._get("item")))

    def _source(self) -> SourcePicture:
        return self._work.source(str(self._get("input")))

    def hello(self) -> None:
        for run in self._work.runs:
            run.seen.clear()
            self._work.show_previews(run)

    def form(self) -> None:
        values = self._get("values")
        with self._work.lock:
            self._work.form.type(
                values if isinstance(values, dict) else {}, str(self._get("client", ""))[:40]
            )
            self._work.changed()

    def generate(self) -> None:
        seen = self._get("seen")
        with self._work.lock:
            self.form()
            texts = (self._work.form.values, seen if isinstance(seen, dict) else {})
        rest = [{name: text for name, text in each.items() if text and name != "prompt"} for each in texts]
        # Words that were typed since the price was shown cost a trifle more; all else is asked about.
        longer = (
            not self._work.form.varies
            and rest[0] == rest[1]
            and texts[0].get("prompt") != texts[1].get("prompt")
        )
        self._work.generate(None if longer else str(self._get("price")), confirmed=False)

    def thumbs(self) -> None:
        for name in self._get("items", [])[:60]:
            self._work.send_thumbnail(str(name))

    def full(self) -> Reply:
        facts, data = self._item().details()
        return {"kind": "full", **facts}, [data]

    def before(self) -> Reply:
        sources = self._item().sources
        if sources is None:
            raise InvalidRequestError("no picture went into this one")
        return {"kind": "before"}, [drawable(sources()[0].picture)]

    def grid(self) -> Reply:
        item = self._item()
        data = self._work.grids.get(item.run)
        if data is None:
            raise InvalidRequestError("this picture is in no grid that could be drawn as one")
        return {"kind": "grid", "name": f"{slug(item.prompt)}-grid.jpg", "mime": "image/jpeg"}, [data]

    def prompts(self) -> Reply:
        return {"kind": "prompts", "prompts": self._work.prompts()}, []

    def download(self) -> Reply:
        several = self._get("items")
        items = (
            [self._work.item(str(name)) for name in several[:MOST_ITEMS]] if isinstance(several, list) else []
        )
        name, mime, data = zipped(items) if items else self._item().file()
        return {"kind": "download", "name": name, "mime": mime}, [data]

    def save(self) -> None:
        path = str(self._get("path", "")).strip() or "./"
        saved = self._item().load().save(path)
        self._work.tell(f"Saved as {saved[0]}")

    def hide(self) -> None:
        item = self._item()
        with self._work.lock:
            self._work.items = [other for other in self._work.items if other is not item]
            self._work.tell("Hidden here; its file stays where it is.")

    def reuse(self) -> None:
        self._work.refill(self._work.form, self._item())
        self._work.tell("The form holds the settings of this picture.")

    def star(self) -> None:
        item, on = self._item(), bool(self._get("on"))
        item.load().star(on)
        with self._work.lock:
            item.starred = on
            self._work.archive_changes += 1
            self._work.changed()

    def use(self) -> None:
        item = self._item()
        with self._work.lock:
            if self._get("edit"):
                self._work.form.sources.clear()
            self._work.attach(item.load().data[0], " ".join(item.prompt.split())[:40] or "picture")

    def attach(self) -> None:
        self._work.attach(self._buffers[0] if self._buffers else b"", str(self._get("name", "picture")))

    def detach(self) -> None:
        with self._work.lock:
            self._work.form.sources.remove(self._source())
            self._work.changed()

    def input(self) -> Reply:
        source = self._source()
        facts = {"width": source.width, "height": source.height, "strokes": source.strokes}
        return {"kind": "input", "input": source.id, **facts}, [drawable(source.picture)]

    def recipe(self) -> None:
        source = self._source()
        with self._work.lock:
            known = {name: value for name, value in source.recipe.items() if name in FILLED}
            self._work.form.fill(known, str(source.recipe.get("prompt", "")))
            self._work.tell(f"The form holds the settings of {source.name}.")

    def mask(self) -> None:
        source, strokes = self._source(), self._get("strokes")
        mask = draw_strokes(strokes, (source.width, source.height)) if strokes else None
        with self._work.lock:
            source.strokes, source.mask = (strokes, mask) if isinstance(strokes, list) else ([], None)
            self._work.changed()

    def find(self) -> Reply:
        offset = max(0, int(self._get("offset", 0)))
        words, model, day = (str(self._get(name, "")) for name in ("words", "model", "day"))
        starred = bool(self._get("starred"))
        items, more = self._work.find(
            words, model=model, day=day, starred=starred, offset=offset, limit=FOUND
        )
        facts = [item.facts() for item in items]
        return {"kind": "found", "items": facts, "more": more, "offset": offset, "next": offset + FOUND}, []

    def code(self) -> Reply:
        with self._work.lock:
            order, problems = self._work.form.check()
        texts = (
            call_texts(order.prompt, order.options, order.requests)
            if order
            else dict.fromkeys(("cell", "python", "request"), "; ".join(problems.values()))
        )
        return {"kind": "code", **texts}, []

    def confirm(self) -> None:
        self._work.confirm(str(self._get("ask")))

    def cancel(self) -> None:
        self._work.withdraw()

    def dismiss(self) -> None:
        self._work.dismiss()

    def more(self) -> None:
        self._work.more(self._item())

    def stop(self) -> None:
        """Done already, where it was read."""


KINDS = frozenset(name for name in vars(_Command) if not name.startswith("_"))
