"""What a caller's own function does while a call runs costs no picture and stops no engine."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from comet_magic import CometError
from comet_magic.client.job import Arrived, Progress
from tests.faults import pictures
from tests.loopback import until

if TYPE_CHECKING:
    from comet_magic.client import Abandoned
    from comet_magic.client.job import Event
    from tests.crash.conftest import Stage


@pytest.mark.parametrize("state", ["queued", "sending", "waiting", "decoding", "Arrived", "done"])
def test_a_listener_that_fails_costs_no_picture(
    stage: Stage, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    heard: list[Event] = []

    def fail(event: Event) -> None:
        heard.append(event)
        if (event.state if isinstance(event, Progress) else type(event).__name__) == state:
            raise ZeroDivisionError

    prompt = f"listened to {state}"
    with stage.asked.client() as client:
        images = client.generate(prompt, n=2, on_event=fail)
        (entry,) = client.archive.history(prompt)
    client.archive.close()

    assert images.data == tuple(pictures.picture(prompt, index) for index in range(2))
    assert (entry.outcome, len(entry.pictures)) == ("done", 2)
    assert ("ZeroDivisionError" in caplog.text) == (state != "queued")
    assert sum(isinstance(event, Arrived) for event in heard) == 2


FAULTS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, MemoryError]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["event", "end"])
def test_whatever_a_listener_raises_stays_its_own(
    stage: Stage, caplog: pytest.LogCaptureFixture, where: str, fault: type[BaseException]
) -> None:
    def fail(_: object) -> None:
        raise fault("enough")

    innocent = f"F:slow-ok:0.5 #beside {where} {fault.__name__}"
    with stage.asked.client() as client:
        beside = client.submit(innocent)
        assert until(lambda: beside.calls[0].sent)
        noisy = client.submit(f"noisy {where} {fault.__name__}", on_event=fail if where == "event" else None)
        if where == "end":
            noisy.add_done_callback(fail)
        assert len(noisy.result(30)) == len(beside.result(30)) == 1
        assert len(client.generate(f"the next after {where} {fault.__name__}")) == 1
    client.archive.close()
    assert fault.__name__ in caplog.text
    assert stage.server.counts(innocent).posts == 1


def test_a_client_may_be_closed_as_its_call_ends(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    for number in range(2):
        client = stage.asked.client()
        job = client.submit(f"closed as it ends {number}")
        job.add_done_callback(lambda _, client=client: client.close())
        assert len(job.result(30)) == 1
    assert until(lambda: not {each for each in threading.enumerate() if "comet" in each.name} - before)
    assert caplog.text == ""


def test_a_listener_may_drop_the_call_that_it_listens_to(stage: Stage) -> None:
    what: list[Abandoned] = []

    def drop(event: Event) -> None:
        if isinstance(event, Progress) and event.state == "waiting":
            what.append(client.jobs[0].drop())

    with stage.asked.client() as client:
        error = client.submit("F:hang #dropped by its listener", on_event=drop).exception(30)
        uncertain = client.archive.uncertain()
    client.archive.close()

    assert isinstance(error, CometError)
    assert error.outcome == "unknown"
    assert [each.cancelled for each in what] == [1]
    assert [call.prompt for call in uncertain] == ["F:hang #dropped by its listener"]


def test_a_call_may_be_abandoned_after_its_end_and_after_its_client_s(stage: Stage) -> None:
    with stage.asked.client() as client:
        job = client.submit("ended")
        job.result(30)
        assert job.abandon().sent == 0
    assert job.drop().cancelled == 0
    client.archive.close()
