"""Processes forked from a warm one, so that three hundred of them take no minutes to begin."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import actor
from tests.crash.actor import WARM, Asked
from tests.loopback import until
from tests.processes import HOME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    from tests.crash.actor import Moment
    from tests.faults.server import FaultServer

DEADLINE = 60.0


@dataclass
class Talk:
    """A process and the way to it."""

    process: ForkServerProcess
    pipe: Connection

    def hear(self) -> Any:
        assert self.pipe.poll(DEADLINE), "it did not answer"
        return self.pipe.recv()

    def end(self) -> None:
        self.process.join(DEADLINE)
        assert self.process.exitcode == 0


@dataclass
class Stage:
    """A server, the arguments of clients, and processes that none outlives the test."""

    server: FaultServer
    asked: Asked
    full: bool
    context: ForkServerContext
    talks: list[Talk] = field(default_factory=list)

    def begin(self, act: Callable[..., None], *arguments: object) -> Talk:
        """A process of its own at a function of the actor; it gets the other end of the pipe last."""
        here, there = self.context.Pipe()
        talk = Talk(self.context.Process(target=act, args=(*arguments, there)), here)  # type: ignore[arg-type]
        talk.process.start()
        there.close()
        self.talks.append(talk)
        return talk

    def kill(self, asked: Asked, moment: Moment) -> None:
        """A call whose process ended in the middle."""
        self.ends_killed(self.begin(actor.killed, asked, moment))

    @staticmethod
    def ends_killed(talk: Talk) -> None:
        """Wait for the end of a process that kills itself."""
        talk.process.join(DEADLINE)
        assert talk.process.exitcode == -signal.SIGKILL

    @staticmethod
    def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
        """Whether the condition came true in time."""
        return until(condition, seconds)

    def end(self) -> None:
        for talk in self.talks:
            talk.pipe.close()
            talk.process.kill()
            talk.process.join(DEADLINE)
            talk.process.close()


@pytest.fixture
def stage(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Stage]:
    """A server, and an archive that holds one picture."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((HOME, str(Path(__file__).parents[2]))))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([actor.__name__])
    asked = Asked(server.base_url, server.key, str(tmp_path / "cometimg"), WARM)
    with asked.client() as client:
        client.generate(WARM)
    client.archive.close()
    stage = Stage(server, asked, request.config.getoption("--full"), context)
    yield stage
    stage.end()
