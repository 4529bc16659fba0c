"""The panel as a widget: commands of the browser in, one state out, and what Python can do with it.

The protocol is written at the head of panel.js. host.js, brush.js and panel.js are joined into the one ES module that
anywidget loads. Everything is sent by one worker thread: clicks are then delivered while a cell blocks the kernel.
"""

from __future__ import annotations

import base64
import re
import time
from concurrent import futures
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...errors import ConfigurationError, InvalidRequestError
from ...files import slug
from ...history_table import find_calls
from ...images.strokes import draw_strokes
from ...outputs import display_bundle, running_shell
from ..account import archive_of_panel
from .items import archived, downloaded, source_of
from .work import MOST_ITEMS, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...images import Images
    from .form import Form
    from .items import Item, Reply, SourcePicture

FOUND = 24  # requests of the archive in one answer
MOST_PROMPTS = 50
TOO_OLD = 5.0  # seconds after which a click buys nothing
SPENDS = ("generate", "confirm", "more")
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


class Panel(anywidget.AnyWidget):
    """A form, a queue and a gallery in one widget; shows itself as often as it is displayed.

    Args:
        name: a panel of the same name, or without one of the same cell, is closed, and its form, its pictures and its
            running requests are this one's.

    Attributes:
        images: one `Images` per request, oldest first.
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
        work = before.release() if before is not None else Work()
        self._work: Work | None = work
        if self._name:
            _panels[self._name] = self
        self.images = work.images
        self._rev = 0
        self._asked: set[str] = set()  # ids of commands
        self.on_msg(self._receive)
        work.show_in(self)

    def open_work(self) -> Work:
        """The state; ConfigurationError after `close`."""
        if self._work is None:
            raise ConfigurationError(
                "this panel was closed, so nothing was done",
                hint="comet_magic.panel() opens a new one.",
                outcome="not_sent",
            )
        return self._work

    # --- for Python

    @property
    def form(self) -> Form:
        """What is typed: `.fill(options, prompt)` and `.values`; ConfigurationError after `close`."""
        return self.open_work().form

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
            if not work.worker.wait(left):
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
        if getattr(self, "_work", None) is not None:
            work = self.release()
            work.worker.end()
            if stop:
                work.stop()
        super().close()

    def release(self) -> Work:
        """Close the widget and give its state away, with the requests that still run."""
        work = self.open_work()
        self._work = None
        if _panels.get(self._name) is self:
            del _panels[self._name]
        with work.lock:
            work.view = None
        super().close()
        return work

    # --- on the page

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        shown = super()._repr_mimebundle_(**options)
        if self._work is None or shown is None:
            return None
        data, metadata = dict(shown[0]), dict(shown[1])
        order = self._work.check()[0]
        data["text/plain"] = f"{NO_WIDGETS}\n\n{order.code['cell'] if order else '%%cometimg'}"
        if small := next((item.thumbnail for item in self._work.items if item.thumbnail), b""):
            data["image/jpeg"] = base64.b64encode(small).decode("ascii")
        return data, metadata

    def _ipython_display_(self) -> None:
        shell, shown = running_shell(), self._repr_mimebundle_()
        if shell is None or getattr(shell, "kernel", None) is None or shown is None:
            raise NotImplementedError  # IPython asks for the bundle
        display_bundle(*shown)
        work = self.open_work()
        work.sheet.show(shell)
        work.worker.wake()

    def show(self, snapshot: dict[str, Any]) -> None:
        """Send the state if it changed."""
        if snapshot != {name: value for name, value in self.state.items() if name != "rev"}:
            self._rev += 1
            self.state = {**snapshot, "rev": self._rev}

    # --- commands

    def _receive(self, _: object, command: Any, buffers: list[Any]) -> None:
        """Take a command, on whatever thread the kernel reads it."""
        facts, work = command if isinstance(command, dict) else {}, self._work
        name = facts.get("id")
        if not isinstance(name, str) or work is None:
            return
        again = name in self._asked
        self._asked.add(name)
        if facts.get("kind") == "stop":  # at once, also while the worker reads a large picture
            work.stop(str(facts.get("run")))
        # ipykernel 7.4 reads the next click on the subshell that last sent something, beside a cell that blocks the
        # kernel; the worker, which has no parent, leaves it at that.
        self.send({"kind": "here"})
        facts = {**facts, "data": bytes(buffers[0]) if buffers else b""}
        work.worker.do(partial(self._do, facts, again=again), later=facts.get("kind") == "thumbs")

    def _do(self, facts: Mapping[str, Any], *, again: bool) -> None:
        """Do a command, unless it was done, and tell its end; any fault becomes an error that the panel shows."""
        work, kind, error = self._work, str(facts.get("kind")), ""
        if work is None:
            return
        tag = {"id": facts["id"]}
        try:
            reply = None if again else _reply(work, kind, facts)
            if reply is not None:
                work.post({"kind": kind, **tag, **reply[0]}, reply[1])
        except StaleClickError as stale:
            error = str(stale)
            work.tell(error)
        except BaseException as fault:  # noqa: BLE001 - on this thread nobody else would see it
            error = work.fail(fault)
        work.post({"kind": "ack", **tag, "ok": not error, "error": error, "now": time.time() * 1000}, [])


class StaleClickError(ConfigurationError):
    """A click that is too old to spend money on."""


def _reply(work: Work, kind: str, facts: Mapping[str, Any]) -> Reply | None:
    """Do a command, each of its fields read as the kind that its annotation says."""
    if kind in SPENDS:
        _check_age(facts.get("t"))
    if kind not in COMMANDS:
        raise InvalidRequestError("the panel was made by another version; run this cell again")
    fields = COMMANDS[kind].__annotations__.items()
    given = {name: READERS[wanted](work, facts.get(name)) for name, wanted in fields if name != "return"}
    reply: Reply | None = COMMANDS[kind](_Commands(work), **given)
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


# What a field of a command becomes, by how the command annotates it. Nothing in a message is trusted.
READERS: dict[str, Callable[[Work, Any], Any]] = {
    "Item": lambda work, given: work.item(str(given)),
    "SourcePicture": lambda work, given: work.source(str(given)),
    "bool": lambda _, given: bool(given),
    "bytes": lambda _, given: given,
    "int": lambda _, given: max(0, int(given or 0)),
    "list[Any]": lambda _, given: given if isinstance(given, list) else [],
    "Mapping[str, Any]": lambda _, given: given if isinstance(given, dict) else {},
    "str": lambda _, given: "" if given is None else str(given),
}


class _Commands:
    """What the browser asks for: the method of a kind does it, and may give a reply."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def hello(self) -> None:
        self._work.show_runs()

    def form(self, values: Mapping[str, Any], client: str) -> None:
        self._work.form.type(values, client[:40])

    def generate(self, values: Mapping[str, Any], client: str, price: str, seen: Mapping[str, Any]) -> None:
        self.form(values, client)
        # Words that were typed since the price was shown cost a trifle more; all else is asked about.
        shown = None if self._work.form.has_other_words(seen) else price
        self._work.generate(shown, confirmed=False)

    def confirm(self, ask: str) -> None:
        self._work.confirm(ask)

    def cancel(self) -> None:
        with self._work.change():
            self._work.ask, self._work.said = None, "Not sent."

    def more(self, item: Item) -> None:
        self._work.more(item)

    def stop(self) -> None:
        """Done already, where it was read."""

    def dismiss(self) -> None:
        with self._work.change():
            self._work.error = None

    def code(self) -> Reply:
        order, problems = self._work.check()
        missing = dict.fromkeys(("cell", "python", "request"), "; ".join(problems.values()))
        return (order.code if order else missing), []

    # --- pictures that go in

    def attach(self, data: bytes, name: str) -> None:
        self._take(data, name, beside=self._work.form.sources)

    def use(self, item: Item, edit: bool) -> None:  # noqa: FBT001 - a field of the message
        name = " ".join(item.prompt.split())[:40]
        self._take(item.load().data[0], name, beside=[] if edit else self._work.form.sources)

    def _take(self, data: bytes, name: str, beside: list[SourcePicture]) -> None:
        source = source_of(data, name or "picture", archive_of_panel(), self._work.new_id("in"))
        with self._work.change():
            self._work.form.sources = [*beside, source]

    def detach(self, input: SourcePicture) -> None:  # noqa: A002 - a field of the message
        self._replace(input)

    def _replace(self, source: SourcePicture, *others: SourcePicture) -> None:
        with self._work.change():
            at = self._work.form.sources.index(source)
            self._work.form.sources[at : at + 1] = others

    def input(self, input: SourcePicture) -> Reply:  # noqa: A002
        facts = {"input": input.id, "width": input.width, "height": input.height, "strokes": input.strokes}
        return facts, [input.drawable()]

    def mask(self, input: SourcePicture, strokes: list[Any]) -> None:  # noqa: A002
        mask = draw_strokes(strokes, (input.width, input.height)) if strokes else None
        self._replace(input, replace(input, strokes=strokes, mask=mask))

    def recipe(self, input: SourcePicture) -> None:  # noqa: A002
        self._work.refill(input.recipe, str(input.recipe.get("prompt", "")))
        self._work.tell(f"The form holds the settings of {input.name}.")

    # --- pictures that can be looked at

    def thumbs(self, items: list[Any]) -> None:
        for name in items[:MOST_ITEMS]:
            self._work.post({"kind": "thumb", "item": str(name)}, [self._work.item(str(name)).draw()])

    def full(self, item: Item) -> Reply:
        return item.details()

    def before(self, item: Item) -> Reply:
        if item.sources is None:
            raise InvalidRequestError("no picture went into this one")
        return {}, [item.sources()[0].drawable()]

    def grid(self, item: Item) -> Reply:
        data = self._work.grids.get(item.run)
        if data is None:
            raise InvalidRequestError("this picture is in no grid that could be drawn as one")
        return {"name": f"{slug(item.prompt)}-grid.jpg", "mime": "image/jpeg"}, [data]

    def download(self, item: str, items: list[Any]) -> Reply:
        wanted = [self._work.item(str(name)) for name in items[:MOST_ITEMS] or [item]]
        return downloaded(wanted, together=bool(items))

    def save(self, item: Item, path: str) -> None:
        self._work.tell(f"Saved as {item.load().save(path.strip() or './')[0]}")

    def hide(self, item: Item) -> None:
        with self._work.change():
            self._work.items = [other for other in self._work.items if other is not item]
            self._work.said = "Hidden here; its file stays where it is."

    def reuse(self, item: Item) -> None:
        self._work.refill(item.options or {}, item.typed, item.sources() if item.sources else [])
        self._work.tell("The form holds the settings of this picture.")

    def star(self, item: Item, on: bool) -> None:  # noqa: FBT001 - a field of the message
        item.load().star(on)
        with self._work.change():
            item.starred = on
            self._work.archive_changes += 1

    def find(self, words: str, model: str, day: str, starred: bool, offset: int) -> Reply:  # noqa: FBT001
        archive = archive_of_panel()
        filters = {"model": model or None, "since": day or None, "starred": starred}
        calls = find_calls(archive, words, others=False, limit=offset + FOUND + 1, **filters)
        items = [item for entry in calls[offset : offset + FOUND] for item in archived(archive, entry)]
        facts = {"items": [item.facts() for item in items], "more": len(calls) > offset + FOUND}
        return {"kind": "found", **facts, "offset": offset, "next": offset + FOUND}, []

    def prompts(self) -> Reply:
        ours = [images.prompt for images in reversed(self._work.images)]
        kept = [entry.prompt for entry in archive_of_panel().history(limit=MOST_PROMPTS) if entry.prompt]
        return {"prompts": list(dict.fromkeys((*ours, *kept)))[:MOST_PROMPTS]}, []


COMMANDS = {name: act for name, act in vars(_Commands).items() if not name.startswith("_")}
