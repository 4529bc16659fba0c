"""A call as the panel sees it: what is known of it at a moment, and the words for that. No widgets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import CometError
from ...images import cost_words
from ...money import dollars
from ...outputs import duration
from ...text import clean, counted
from ..cell_output import STATE_WORDS, CallProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...client import Abandoned, Job
    from ...client.job import Event
    from .form import Order


@dataclass(frozen=True)
class Part:
    """One request of a call at a moment: its state in words, and its newest picture, if any."""

    number: int
    words: str
    picture: bytes | None
    final: bool


class PanelRun:
    """One order on its way.

    Args:
        order: what was asked.
        destination: where the panel said that it goes, as `session.destination` tells it.
        ring: called when something happened, on any thread.
    """

    def __init__(self, order: Order, destination: str | None, ring: Callable[[], None]) -> None:
        self.order = order
        self.destination = destination
        self.job: Job | None = None
        self.notice = ""
        self.started = time.monotonic()
        self.stopped = self.dropped = self.confirmed = False
        self.left: Abandoned | None = None
        self._ring = ring
        self._progress = CallProgress()

    def on_event(self, event: Event) -> None:
        """Note an event; quick, as the engine's thread asks for."""
        self._progress.note(event)
        self._ring()

    @property
    def elapsed(self) -> str:
        """How long it takes already."""
        return duration(time.monotonic() - self.started)

    def parts(self) -> list[Part]:
        """What is there of each picture asked for."""
        progress, pictures = self._progress.states, self._progress.pictures
        found: list[Part] = []
        for index, request in enumerate(self.order.requests):
            event = progress.get(index)
            words = STATE_WORDS[event.state] if event else STATE_WORDS["queued"]
            arrived = [data for (part, place), data in pictures.items() if part == index and place]
            for position in range(request.n):
                data = arrived[position] if position < len(arrived) else pictures.get((index, 0))
                final = position < len(arrived)
                found.append(Part(len(found) + 1, "done" if final else words, data, final))
        return found

    def line(self) -> str:
        """Where it stands, in a few words without a clock."""
        line = self._progress.line
        return line[:1].upper() + line[1:]


def stop_message(run: PanelRun) -> str:
    """What stopping did, and what it means for the money."""
    what = run.left
    if what is None or not what.sent:
        return f"Stopped after {run.elapsed}. Nothing was sent and nothing is billed."
    requests = counted(what.sent, "request was", "requests were")
    bound = "" if what.bound is None else f" (at most {dollars(what.bound_micro)})"
    runs_on = "runs on; its picture" if what.sent == 1 else "run on; their pictures"
    before = "it was" if what.cancelled == 1 else "they were"
    cancelled = f" {what.cancelled} more cancelled before {before} sent." if what.cancelled else ""
    return (
        f"Stopped after {run.elapsed}. {requests} already sent, may be billed{bound} and {runs_on} "
        f"will appear in the gallery.{cancelled}"
    )


def end_message(run: PanelRun, images: Any) -> str:
    """What came of it."""
    count = len(images)
    late = "Late, after the stop: " if run.stopped else "Done: "
    short = f" {run.order.count} were asked for." if count < run.order.count else ""
    return f"{late}{counted(count, 'picture')} in {run.elapsed}, {cost_words(images)}.{short}"


def as_comet_error(fault: BaseException) -> CometError:
    """A failure that is no CometError is a fault of ours; it is shown all the same."""
    if isinstance(fault, CometError):
        return fault
    return CometError(f"{type(fault).__name__}: {clean(fault)}", outcome="unknown")
