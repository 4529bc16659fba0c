"""What a running call has told so far: kept as it comes, on the engine's thread, and read from the main one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client.events import Arrived, Preview, Progress

if TYPE_CHECKING:
    from ..client.events import Event
    from ..images import Picture

# What a person reads for the state of a request.
STATES = {
    "queued": "waiting for its turn",
    "sending": "sending",
    "waiting": "waiting for the model",
    "retrying": "sending again",
    "downloading": "downloading",
    "decoding": "reading the answer",
    "done": "done",
    "failed": "failed",
}
Place = tuple[int, int]  # a request of the call, and there: 0 its newest preview, then what arrived


class News:
    """The newest of each thing that a call tells.

    One thread writes. Copies are taken whole and without a lock: an interrupt could leave that locked for ever.
    """

    def __init__(self) -> None:
        self._progress: dict[int, Progress] = {}
        self._pictures: dict[Place, bytes] = {}
        self._arrived: list[Picture] = []

    def note(self, event: Event) -> None:
        """Keep an event; quick, as the engine's thread asks for."""
        match event:
            case Progress(index=index):
                self._progress[index] = event
            case Preview(index=index, data=data):
                self._pictures[index, 0] = data
            case Arrived(index=index, picture=picture):
                self._pictures.pop((index, 0), None)
                self._pictures[index, 1 + sum(key[0] == index for key in self._pictures)] = picture.data
                self._arrived.append(picture)

    @property
    def progress(self) -> dict[int, Progress]:
        """Where each request stands."""
        return dict(self._progress)

    @property
    def pictures(self) -> dict[Place, bytes]:
        """What there is to be seen, in the order of the requests; a preview goes when its picture comes."""
        return dict(sorted(dict(self._pictures).items()))

    @property
    def line(self) -> str:
        """Where the call stands, in a few words without a clock."""
        events = list(self.progress.values())
        running = [event for event in events if event.state not in ("done", "failed")]
        words = [STATES[running[0].state] if running else "starting"]
        total = max((event.total for event in events), default=1)
        if total > 1:
            words.append(f"{sum(event.state == 'done' for event in events)} of {total} done")
        return ", ".join([*words, *dict.fromkeys(event.note for event in running if event.note)])

    @property
    def arrived(self) -> tuple[Picture, ...]:
        """The finished pictures, in the order they came."""
        return tuple(self._arrived)
