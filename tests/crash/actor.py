"""What a process does with a client in the crash tests: in each case the last thing it did, or what it found."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from comet_magic import Client, CometError
from comet_magic.client.job import Progress

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from comet_magic.client import Job
    from comet_magic.client.job import Event

# Loaded once for all that are forked from here.
for _name in (
    "anyio._backends._asyncio",
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.WebPImagePlugin",
    "resource",
):
    importlib.import_module(_name)

WARM = "a picture that is in the archive already"


@dataclass(frozen=True)
class Moment:
    """When a process dies: so long after its call began, or after the `number`-th event of a kind."""

    kind: str = "start"
    delay: float = 0.0
    number: int = 1


@dataclass(frozen=True)
class Asked:
    """A call, and the client that makes it."""

    base_url: str
    key: str
    folder: str
    prompt: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def client(self) -> Client:
        usual: dict[str, Any] = {"retry_base_delay": 0.02, "timeout": 30}
        return Client(base_url=self.base_url, api_key=self.key, archive=self.folder, **usual | self.settings)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(seconds: float) -> None:
    """End this process as `kill -9` does, a little later, whatever it is doing then."""
    threading.Thread(target=lambda: (time.sleep(seconds), die()), daemon=True).start()


class Killer:
    """Listens to a call and ends the process at the moment."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.left = moment.number
        if moment.kind == "start":
            die_in(moment.delay)

    def __call__(self, event: Event) -> None:
        kind = event.state if isinstance(event, Progress) else type(event).__name__
        if kind == self.moment.kind:
            self.left -= 1
            if self.left == 0:
                die_in(self.moment.delay)


def killed(asked: Asked, moment: Moment, talk: Connection) -> None:
    """A call that its process does not outlive."""
    client = asked.client()
    try:
        client.generate(asked.prompt, on_event=Killer(moment), **asked.options)
    finally:
        die()


def killed_before_its_end(asked: Asked, talk: Connection) -> None:
    """A call whose pictures and receipt are on disk when its process dies, and whose row knows nothing of them."""
    store: Any = importlib.import_module("comet_magic.archive.store")
    store.claims.settle = lambda *_, **__: die()
    with asked.client() as client:
        client.generate(asked.prompt, **asked.options)


def killed_in(asked: Asked, function: str, talk: Connection) -> None:
    """A call whose process dies as it calls a function, named by its module."""
    module, _, name = function.rpartition(".")
    setattr(importlib.import_module(module), name, lambda *_, **__: die())
    with asked.client() as client:
        client.generate(asked.prompt, **asked.options)


def timed(asked: Asked, talk: Connection) -> None:
    """How long the call takes when nobody dies, once everything is loaded and the archive is open."""
    with asked.client() as client:
        client.generate(WARM)
        started = time.monotonic()
        client.generate(asked.prompt, **asked.options)
        talk.send(time.monotonic() - started)


def restarted(asked: Asked, talk: Connection) -> None:
    """A client where a process died; then the same call again, with what is in the archive."""
    with asked.client() as client:
        talk.send((endings(client), [call.id for call in client.archive.uncertain()]))
        talk.recv()
        again(client, asked, talk)


def impatient(asked: Asked, talk: Connection) -> None:
    """The same call again, as the first thing that the next process does."""
    with asked.client() as client:
        again(client, asked, talk)


def again(client: Client, asked: Asked, talk: Connection) -> None:
    images = client.generate(asked.prompt, reuse=True, **asked.options)
    talk.send([picture.sha256 for picture in images.pictures])


def endings(client: Client) -> list[str]:
    """What became of everything that the client took over; it takes over as its first call begins."""
    client.generate(WARM, reuse=True)
    return [_ending(job) for job in client.jobs]


def _ending(job: Job) -> str:
    try:
        return f"{len(job.result(timeout=30))} pictures"
    except CometError as error:
        return type(error).__name__


def many(asked: Asked, count: int, talk: Connection) -> None:
    """So many pictures of five prompts, that other processes ask for at the same time."""
    with asked.client() as client:
        talk.send("ready")
        talk.recv()
        jobs = [client.submit(f"{asked.prompt} {number % 5}", **asked.options) for number in range(count)]
        errors: list[str] = []
        paths: list[str | None] = []
        for job in jobs:
            try:
                paths += job.result(timeout=100).paths
            except CometError as error:
                errors += error.lines()
        talk.send((errors, paths))


def unprivileged(asked: Asked, talk: Connection) -> None:
    """How a call ends that may not write where it should."""
    if os.getuid() == 0:
        os.setuid(65534)
    with asked.client() as client:
        error = client.submit(asked.prompt).exception(30)
        talk.send((error.outcome, str(error)) if isinstance(error, CometError) else repr(error))
