"""With `reuse`, a call in flight for the same request is awaited wherever it runs; what it leaves is bought."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic import APITimeoutError, Client, CometError
from comet_magic.client import Progress
from tests.images_made import made
from tests.loopback import LoopbackServer, header_block, read_head, until
from tests.processes import start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comet_magic.client import Job

SMALL: dict[str, Any] = {"model": "dall-e-2", "size": "256x256"}


class Counter(LoopbackServer):
    """A server that holds every request until the test says how it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []
        self.held: list[asyncio.Future[tuple[int, int | None]]] = []

    async def opened(self) -> None:
        self.base_url = f"http://127.0.0.1:{await self.listen(self._serve)}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is None:
            return
        body = json.loads(await reader.readexactly(head.length))
        answer: asyncio.Future[tuple[int, int | None]] = self._loop.create_future()
        self.bodies.append(body)
        self.held.append(answer)
        status, count = await answer
        if not status:
            return
        pictures = [{"b64_json": base64.b64encode(made()).decode()}] * (count or body.get("n", 1))
        text = json.dumps({"data": pictures} if status == 200 else {"error": {"message": "no"}}).encode()
        fields = [("Content-Length", str(len(text))), ("Content-Type", "application/json")]
        writer.write(header_block(status, fields) + text)
        await writer.drain()

    def has(self, requests: int) -> bool:
        """Whether so many requests came, all in all; waits for them."""
        return until(lambda: len(self.bodies) == requests)

    def answer(self, status: int = 200, *, count: int | None = None) -> None:
        """Answer the oldest request: 0 hangs up; `count` is the number of pictures, by default as many as asked."""
        oldest = self.held.pop(0)
        self._loop.call_soon_threadsafe(oldest.set_result, (status, count))


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter() as server:
        yield server
    assert server.crashes == []


@pytest.fixture
def new_client(counter: Counter, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def new_client(**settings: Any) -> Client:
        arguments = {
            "base_url": counter.base_url,
            "api_key": "a-key-of-tests",
            "archive": tmp_path / "cometimg",
        }
        made.append(Client(**arguments | settings))
        return made[-1]

    yield new_client
    for client in made:
        client.close()
        client.archive.close()


class Awaiting:
    """Listens to a call; knows whether it waits for another one."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def __call__(self, event: object) -> None:
        if isinstance(event, Progress):
            self.states.append(event.state)

    def began(self) -> bool:
        return until(lambda: "awaiting" in self.states)


def awaiting(client: Client, n: int = 1, **options: Any) -> Job:
    """A call with `reuse` that waits for another one."""
    heard = Awaiting()
    job = client.submit("a boat", n=n, reuse=True, on_event=heard, **SMALL | options)
    assert heard.began()
    return job


def test_the_pictures_of_a_call_in_flight_are_taken_and_cost_nothing(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    first, second = new_client(), new_client()
    paid = first.submit("a boat", n=2, **SMALL)
    assert counter.has(1)
    jobs = [awaiting(first, 2), awaiting(second), awaiting(second, 2, timeout=60)]
    counter.answer()

    images = paid.result(30)
    assert [job.result(30).data for job in jobs] == [images.data, images.data[:1], images.data]
    assert [job.result(30).cost for job in jobs] == [0, 0, 0]
    assert len(counter.bodies) == 1


def test_only_what_nobody_makes_is_bought(counter: Counter, new_client: Callable[..., Client]) -> None:
    client = new_client()
    there = client.submit("a boat", n=2, **SMALL)
    assert counter.has(1)
    counter.answer()
    assert len(there.result(30)) == 2
    in_flight = client.submit("a boat", **SMALL)
    assert counter.has(2)
    four = awaiting(client, 4)
    assert counter.has(3)
    counter.answer()
    counter.answer()

    assert [body.get("n", 1) for body in counter.bodies] == [2, 1, 1]
    paths = four.result(30).paths
    assert {*there.result(30).paths, *in_flight.result(30).paths} < set(paths)
    assert len(set(paths)) == 4


def test_a_refused_call_is_bought_by_one_of_those_who_awaited_it(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    refused = client.submit("a boat", **SMALL)
    assert counter.has(1)
    jobs = [awaiting(client) for _ in range(3)]
    counter.answer(400)
    assert counter.has(2)
    counter.answer()

    assert len({job.result(30).paths for job in jobs}) == 1
    assert sorted(job.result(30).cost != 0 for job in jobs) == [False, False, True]
    assert isinstance(refused.exception(30), cm.BadRequestError)
    assert len(counter.bodies) == 2


def test_a_call_of_unknown_end_fails_all_who_awaited_it_and_is_not_sent_again(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    lost = client.submit("a boat", **SMALL)
    assert counter.has(1)
    jobs = [awaiting(client), awaiting(new_client())]
    counter.answer(0)

    ends = [job.exception(30) for job in (lost, *jobs)]
    assert [(type(end), end.outcome) for end in ends if isinstance(end, CometError)] == [
        (cm.AmbiguousError, "unknown")
    ] * 3
    assert len(counter.bodies) == 1


def test_a_call_that_was_sent_and_cancelled_is_not_sent_again_by_those_who_awaited_it(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    dropped = client.submit("a boat", **SMALL)
    assert counter.has(1)
    job = awaiting(client)
    dropped.drop()
    error = job.exception(30)
    assert isinstance(error, CometError)
    assert error.outcome == "unknown"
    assert len(counter.bodies) == 1


def test_pictures_that_came_are_kept_where_the_rest_of_the_call_failed(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    fewer = client.submit("a boat", n=2, **SMALL)
    assert counter.has(1)
    job = awaiting(client, 2)
    counter.answer(count=1)
    assert counter.has(2)  # what the answer lacked nobody paid for
    counter.answer()
    assert job.result(30).paths[:1] == fewer.result(30).paths
    assert [body.get("n", 1) for body in counter.bodies] == [2, 1]


def test_a_wait_takes_no_place_from_the_calls_that_it_waits_for(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client(max_in_flight=1)
    first = client.submit("another boat", **SMALL)
    assert counter.has(1)
    queued = client.submit("a boat", **SMALL)
    waiting = [client.submit("a boat", reuse=True, **SMALL) for _ in range(3)]
    counter.answer()
    assert counter.has(2)
    jobs = [awaiting(client) for _ in range(3)]
    counter.answer()

    assert first.result(30)
    assert {job.result(30).paths for job in (*waiting, *jobs)} == {queued.result(30).paths}
    assert len(counter.bodies) == 2


def test_an_interrupt_ends_the_wait_and_not_the_call_that_is_awaited(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    paid = client.submit("a boat", **SMALL)
    assert counter.has(1)
    job = awaiting(client)
    left = job.abandon()
    error = job.exception(30)
    assert (left.cancelled, left.sent) == (1, 0)
    assert isinstance(error, CometError)
    assert error.outcome == "not_sent"
    counter.answer()
    assert len(paid.result(30)) == 1


def test_an_abandoned_call_that_was_sent_is_what_the_next_one_gets(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    paid = client.submit("a boat", reuse=True, **SMALL)
    assert counter.has(1)
    assert paid.abandon().sent == 1
    job = awaiting(client)
    counter.answer()
    assert job.result(30).paths == paid.result(30).paths
    assert len(counter.bodies) == 1


def test_a_limit_on_the_call_counts_what_may_have_to_be_bought_after_all(
    counter: Counter, new_client: Callable[..., Client]
) -> None:
    client = new_client()
    paid = client.submit("a boat", **SMALL)
    assert counter.has(1)
    plan = client.plan("a boat", reuse=True, **SMALL)
    assert (plan.requests, plan.price.low, plan.price.high) == ((), 0.0, 0.016)
    with pytest.raises(cm.BudgetExceededError):
        client.generate("a boat", reuse=True, max_cost=0.01, **SMALL)
    counter.answer()
    assert len(paid.result(30)) == 1


def test_an_awaited_client_leaves_its_loop_free_while_it_waits_for_another_call(
    counter: Counter, tmp_path: Path
) -> None:
    async def both() -> tuple[Any, ...]:
        heard = Awaiting()
        arguments: dict[str, Any] = {"base_url": counter.base_url, "archive": tmp_path / "cometimg"}
        async with cm.AsyncClient(**arguments, api_key="a-key-of-tests") as client:
            paid = asyncio.create_task(client.generate("a boat", **SMALL))
            assert await asyncio.to_thread(counter.has, 1)
            free = asyncio.create_task(client.generate("a boat", reuse=True, on_event=heard, **SMALL))
            stopped = asyncio.create_task(client.generate("a boat", reuse=True, **SMALL))
            assert await asyncio.to_thread(heard.began)
            stopped.cancel()
            counter.answer()
            ends = await asyncio.gather(paid, free, stopped, return_exceptions=True)
        client.archive.close()
        return ends

    paid, free, stopped = asyncio.run(both())
    assert (free.data, free.cost) == (paid.data, 0)
    assert isinstance(stopped, asyncio.CancelledError)
    assert len(counter.bodies) == 1


# --- other processes

OWNER = """
import sys
from comet_magic import Client
base_url, folder, timeout = sys.argv[1:]
client = Client(base_url=base_url, api_key="a-key-of-tests", archive=folder, timeout=float(timeout))
client.generate("a boat", model="dall-e-2", size="256x256")
"""


@pytest.fixture
def owner(counter: Counter, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that has sent the request; it does not outlive the test."""
    processes = []

    def begin(timeout: float = 600) -> subprocess.Popen[str]:
        process = start(OWNER, counter.base_url, tmp_path / "cometimg", timeout)
        processes.append(process)
        assert counter.has(1)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_what_a_process_left_that_died_is_bought_once_by_those_who_awaited_it(
    counter: Counter, new_client: Callable[..., Client], owner: Callable[..., subprocess.Popen[str]]
) -> None:
    process = owner()
    clients = [new_client(), new_client()]
    jobs = [awaiting(client, n) for client in clients for n in (1, 1)]
    process.kill()
    assert counter.has(2)
    counter.held.pop(0)  # the dead one's
    counter.answer()

    assert len({job.result(30).paths for job in jobs}) == 1
    assert len(counter.bodies) == 2
    assert len(clients[0].archive.uncertain()) == 1


def test_a_process_that_stands_still_is_awaited_until_its_calls_deadline(
    counter: Counter, new_client: Callable[..., Client], owner: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("comet_magic.client.reuse.SETTLING", 0.1)
    process = owner(0.5)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(APITimeoutError) as caught:
        new_client().generate("a boat", reuse=True, **SMALL)
    assert caught.value.outcome == "unknown"
    os.kill(process.pid, signal.SIGCONT)
    assert len(counter.bodies) == 1


SHARED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from comet_magic import Client
base_url, folder, threads = sys.argv[1:]
options = dict(model="dall-e-2", size="256x256", reuse=True)
with Client(base_url=base_url, api_key="a-key-of-tests", archive=folder) as client:
    def one(_): return client.generate("a boat", **options)
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        for images in pool.map(one, range(int(threads))):
            print(images.paths[0])
client.archive.close()
"""


@pytest.mark.parametrize(("processes", "threads"), [(3, 2), pytest.param(8, 4, marks=pytest.mark.full)])
def test_one_prompt_of_many_processes_and_threads_is_one_request(
    counter: Counter, tmp_path: Path, processes: int, threads: int
) -> None:
    started = [start(SHARED, counter.base_url, tmp_path / "cometimg", threads) for _ in range(processes)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert counter.has(1)
    counter.answer()
    ends = [process.communicate(timeout=60) for process in started]

    assert [noise for _, noise in ends] == [""] * processes
    paths = "".join(output for output, _ in ends).splitlines()
    assert (len(paths), len(set(paths))) == (processes * threads, 1)
    assert len(counter.bodies) == 1


def test_a_hundred_waits_end_together(counter: Counter, new_client: Callable[..., Client]) -> None:
    client = new_client(max_in_flight=2)
    paid = client.submit("a boat", **SMALL)
    assert counter.has(1)
    jobs = [client.submit("a boat", reuse=True, **SMALL) for _ in range(100)]
    counter.answer()
    assert not wait(jobs, timeout=30).not_done
    assert {job.result().paths for job in jobs} == {paid.result().paths}
    assert len(counter.bodies) == 1
