"""A call under way: waited for, abandoned, dropped, looked into, and outlived by nothing."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import pickle
import signal
import threading
from collections import Counter
from concurrent import futures
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import comet_magic as cm
from comet_magic.client import Job, wait
from comet_magic.client.job import Arrived, Preview, Progress, RunningCall
from comet_magic.client.loop_thread import LoopHandle
from comet_magic.money import Price
from comet_magic.sandbox import Sandbox
from tests.loopback import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL = {"model": "dall-e-2", "size": "256x256"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(delay=0.6) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[cm.Client]:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", max_in_flight=2) as made:
        yield made


@pytest.fixture
def at_once() -> Iterator[cm.Client]:
    """A client whose server answers at once."""
    with Sandbox() as running, cm.Client(base_url=running.base_url, api_key="sandbox") as made:
        yield made


def sent(job: Job) -> int:
    return sum(call.sent for call in job.calls)


def test_an_abandoned_job_cancels_what_waits_and_lets_what_was_sent_run_on(
    client: cm.Client, sandbox: Sandbox
) -> None:
    job = client.submit("a boat", model="dall-e-3", size="1024x1024", n=3)
    assert until(lambda: sent(job) == 2)
    what = job.abandon()
    assert (what.cancelled, what.sent, what.bound) == (1, 2, 0.08)
    assert job.abandoned
    with pytest.raises(cm.PartialResultError) as caught:
        job.result(timeout=20)
    assert len(caught.value.images) == 2
    assert [entry.outcome for entry in cm.history()] == ["done", "done"]
    assert sum(entry.method == "POST" for entry in sandbox.log) == 2


def test_a_call_that_is_cancelled_as_it_is_about_to_be_sent_never_leaves(tmp_path: Path) -> None:
    first = threading.Event()

    def listen(event: Any) -> None:
        if getattr(event, "state", "") == "waiting":
            first.set()

    for attempt in range(8):
        folder = tmp_path / str(attempt)
        with (
            Sandbox() as sandbox,
            cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client,
        ):
            jobs = [client.submit(f"boat {number}", on_event=listen, **SMALL) for number in range(8)]
            assert first.wait(20)  # one is sent, and others have their connections
            left = sum(job.abandon().sent for job in jobs)
            first.clear()
            futures.wait(jobs, 20)
            outcomes = Counter(entry.outcome for entry in client.archive.history())
            assert set(outcomes) <= {"done", "cancelled"}
            assert left <= outcomes["done"] == sum(entry.method == "POST" for entry in sandbox.log)


def test_a_dropped_job_closes_its_connections_and_stays_on_the_books(
    client: cm.Client, sandbox: Sandbox
) -> None:
    job = client.submit("a boat", **SMALL)
    assert until(lambda: sandbox.log)
    assert job.drop().bound == 0.016
    with pytest.raises(cm.CometError) as caught:
        job.result(timeout=5)
    assert caught.value.outcome == "unknown"
    assert sandbox.until(lambda log: log[0].disconnected)
    assert [entry.outcome for entry in cm.history()] == ["unknown"]
    assert client.spend().uncertain_micro == 16_000


def test_what_runs_can_be_looked_at_and_is_gone_when_it_ended(client: cm.Client) -> None:
    job = client.submit("a boat", **SMALL)
    assert client.jobs == (job,)
    assert until(lambda: sent(job))
    view = job.calls[0]
    assert (view.state, view.reserved, view.request.prompt) == ("waiting", 16_000, "a boat")
    job.result(timeout=10)
    assert until(lambda: client.jobs == ())


def test_events_tell_each_step_in_order(sandbox: Sandbox) -> None:
    events: list[Any] = []
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client:
        client.generate(
            "a boat",
            model="gpt-image-1-mini",
            quality="low",
            stream=True,
            partial_images=2,
            on_event=events.append,
        )
    states = [event.state for event in events if isinstance(event, Progress)]
    assert states == ["sending", "waiting", "decoding", "done"]
    assert [event.number for event in events if isinstance(event, Preview)] == [0, 1]
    assert [event.picture.mime for event in events if isinstance(event, Arrived)] == ["image/png"]


def test_an_interrupt_frees_the_caller_at_once_and_says_what_is_billed(client: cm.Client) -> None:
    job = client.submit("a boat", **SMALL)
    assert until(lambda: sent(job))
    threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(cm.CallAbandoned, match=r"1 request was sent and runs on") as caught:
        wait(job)
    assert not job.done()
    assert isinstance(caught.value, KeyboardInterrupt)
    told = " ".join(caught.value.lines())
    assert "cometimg/images" in told
    assert (told.count("billed"), told.count("%cometimg_status")) == (1, 1)
    assert len(job.result(timeout=10)) == 1


def test_an_interrupt_before_anything_was_sent_costs_nothing(sandbox: Sandbox) -> None:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", max_in_flight=1) as client:
        first = client.submit("a boat", **SMALL)
        assert until(lambda: sent(first))
        second = client.submit("another", **SMALL)
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(cm.CallAbandoned, match="before anything was sent") as caught:
            wait(second)
        assert caught.value.outcome == "not_sent"
        first.result(timeout=10)
    assert len(cm.history()) == 1


def test_an_interrupt_tells_what_was_cancelled_unsent_beside_what_was_sent(sandbox: Sandbox) -> None:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", max_in_flight=1) as client:
        job = client.submit("a boat", model="dall-e-3", n=2)
        assert until(lambda: sent(job))
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(cm.CallAbandoned, match=r"1 request was sent .*, 1 more was cancelled unsent"):
            wait(job)
        assert job.exception(timeout=10) is not None


def test_the_waiting_thread_is_told_that_time_passes(client: cm.Client) -> None:
    ticks: list[None] = []
    wait(client.submit("a boat", **SMALL), tick=lambda: ticks.append(None))
    assert len(ticks) >= 2


def test_a_cancelled_await_leaves_what_was_sent_running(sandbox: Sandbox) -> None:
    async def cancelled() -> None:
        async with cm.AsyncClient(base_url=sandbox.base_url, api_key="sandbox") as client:
            task = asyncio.create_task(client.generate("a boat", **SMALL))
            while not (client.jobs and sent(client.jobs[0])):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert until(lambda: [entry.outcome for entry in cm.history()] == ["done"])


def test_calls_can_be_made_from_any_loop_and_any_thread(at_once: cm.Client) -> None:
    async def inside() -> int:
        return len(at_once.generate("a boat", **SMALL))

    assert asyncio.run(inside()) == 1
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(at_once.generate("b", **SMALL)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4


def test_one_async_client_serves_several_loops(at_once: cm.Client) -> None:
    client = cm.AsyncClient(base_url=at_once.base_url, api_key="sandbox")
    for _ in range(2):
        assert len(asyncio.run(client.generate("a boat", **SMALL))) == 1
    asyncio.run(client.aclose())


def test_a_closed_client_takes_no_call_and_leaves_no_thread(sandbox: Sandbox) -> None:
    before = set(threading.enumerate())
    for _ in range(2):
        client = cm.Client(base_url=sandbox.base_url, api_key="sandbox")
        job = client.submit("a boat", **SMALL)
        assert until(lambda: sent(job))
        client.close()
        client.close()
        with pytest.raises(cm.ConfigurationError, match="closed"):
            client.generate("a boat", **SMALL)
        assert len(job.result(timeout=10)) == 1
    assert until(
        lambda: (
            not {t for t in threading.enumerate() if t.name.startswith(("AnyIO", "asyncio", "comet"))}
            - before
        )
    )


def test_a_closed_client_leaves_no_file_open_and_its_archive_can_be_read(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def left_open() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if str(tmp_path) in file.path]

    for calls, last in enumerate(("a call", "a close"), 1):
        client = cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path / "cometimg")
        job = client.submit("a boat", **SMALL)
        assert until(lambda: sent(job) if last == "a call" else job.done())
        client.close()
        assert len(job.result(timeout=10)) == 1
        assert until(lambda: left_open() == [])
        assert client.spend().calls == calls
        client.archive.close()


def test_a_client_shows_no_key_and_is_not_pickled(client: cm.Client) -> None:
    assert repr(client).startswith("Client(<sandbox at http://127.0.0.1:")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(client._core)


def test_a_call_that_runs_out_of_time_is_uncertain(sandbox: Sandbox) -> None:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        with pytest.raises(cm.APITimeoutError) as caught:
            client.generate("a boat", timeout=0.2, **SMALL)
    assert caught.value.outcome == "unknown"
    assert client.spend().uncertain_micro == 16_000


@pytest.mark.parametrize("options", [{"api_key": "sk-x"}, {"sise": "1024x1024"}])
def test_an_option_that_is_none_is_refused_by_name(client: cm.Client, options: dict[str, str]) -> None:
    with pytest.raises(cm.CometError, match=next(iter(options))):
        client.generate("a boat", **options)  # type: ignore[arg-type]


def test_a_setting_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(cm.ConfigurationError, match="max_inflight is not a setting") as caught:
        cm.Client(api_key="sk-0123456789", max_inflight=3)  # type: ignore[call-arg]
    assert caught.value.hint == "Did you mean max_in_flight?"


def test_the_time_of_a_call_holds_also_where_the_server_refuses_everybody() -> None:
    with Sandbox(fail="429") as sandbox:
        with cm.Client(base_url=sandbox.base_url, api_key="sandbox", retry_base_delay=0.05) as client:
            with pytest.raises((cm.RateLimitError, cm.APITimeoutError)) as caught:
                client.generate("a boat", timeout=1.5, **SMALL)
    assert caught.value.outcome in ("rejected", "not_sent")


@pytest.mark.parametrize("where", ["results.check_picture", "job.total"])
def test_a_fault_of_ours_reaches_the_caller_as_it_is(
    at_once: cm.Client, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(f"comet_magic.client.{where}", broken)

    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        at_once.generate("a boat", **SMALL)
    monkeypatch.undo()
    assert len(at_once.generate("a boat", **SMALL)) == 1


def test_what_several_answers_count_is_added_up_and_what_does_not_add_up_harms_nothing() -> None:
    request = cm.ImageRequest("a boat")
    usages: list[dict[str, Any]] = [
        {"total_tokens": 3, "input_tokens_details": {"text_tokens": 1}, "cached": 4},
        {
            "total_tokens": 5,
            "input_tokens_details": {"text_tokens": 2, "image_tokens": 6},
            "cached": {"text": 1},
        },
        {"total_tokens": "7", "output_tokens": 8},
    ]
    job = Job([RunningCall(index, request, usage=usage) for index, usage in enumerate(usages)], first=request)
    job.finish()
    details = {"text_tokens": 3, "image_tokens": 6}
    assert job.result().usage == {
        "total_tokens": 8,
        "input_tokens_details": details,
        "cached": 4,
        "output_tokens": 8,
    }


def test_a_call_that_ends_between_two_looks_gives_its_pictures() -> None:
    class Late(Job):
        """Ends in the very moment in which a wait for it runs out."""

        def result(self, timeout: float | None = None) -> cm.Images:
            if timeout is not None and not self.done():
                self.set_result(cm.Images([]))
                raise TimeoutError
            return super().result(timeout)

    late = Late([], first=cm.ImageRequest("a boat"), price=Price(0, 0))
    assert wait(late, tick=lambda: late.done() or late.set_result(cm.Images([]))) == []


def stop_the_thread_of_all_calls() -> None:
    """End the thread as a fault in the middle of the event loop would."""
    (thread,) = [each for each in threading.enumerate() if each.name == "comet_magic"]
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    thread.join(20)


def test_a_dead_loop_says_what_was_sent_and_is_replaced(
    client: cm.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    jobs = [client.submit("a boat", **SMALL) for _ in range(3)]  # two at once: the third waits
    assert until(lambda: sum(map(sent, jobs)) == 2 and len(sandbox.log) == 2)
    stop_the_thread_of_all_calls()
    errors = [job.exception(20) for job in jobs]
    outcomes = sorted(error.outcome for error in errors if isinstance(error, cm.CometError))
    assert outcomes == ["not_sent", "unknown", "unknown"]
    assert jobs[0].abandon().sent == 0
    assert len(client.generate("a boat", **SMALL)) == 1
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as other:
        assert len(other.generate("a boat", **SMALL)) == 1


def test_what_is_run_on_the_loop_runs_once_also_where_it_fails() -> None:
    runs: list[None] = []

    def fail() -> None:
        runs.append(None)
        raise RuntimeError("its own")

    loop = LoopHandle()
    try:
        with pytest.raises(RuntimeError, match="its own"):
            loop.thread.call(fail)
    finally:
        loop.release()
    assert len(runs) == 1


def test_cancelled_awaits_leave_no_word_in_asyncio(sandbox: Sandbox) -> None:
    told: list[Any] = []

    async def cancelled() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with cm.AsyncClient(base_url=sandbox.base_url, api_key="sandbox", max_in_flight=1) as client:
            calls = [asyncio.create_task(client.generate(f"boat {n}", **SMALL)) for n in range(3)]
            while not sandbox.log:
                await asyncio.sleep(0.01)
            jobs = client.jobs
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            while not all(job.done() for job in jobs):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert {type(each) for each in ended} == {asyncio.CancelledError}

    asyncio.run(cancelled())
    gc.collect()
    assert told == []


def test_an_awaiting_client_asks_the_vendor_too(sandbox: Sandbox) -> None:
    async def asked() -> tuple[Any, Any]:
        async with cm.AsyncClient(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client:
            return await client.catalogue(), await client.balance()

    models, balance = asyncio.run(asked())
    assert models
    assert balance.used == 0


def test_a_call_is_written_by_the_loop_alone(
    client: cm.Client, at_once: cm.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: set[str] = set()

    def noted(call: RunningCall, name: str, value: object) -> None:
        writers.add(threading.current_thread().name)
        object.__setattr__(call, name, value)

    at_once.generate("a boat", **SMALL)  # by address
    monkeypatch.setattr(RunningCall, "__setattr__", noted)
    for options in (SMALL, {"model": "gpt-image-1-mini", "quality": "low", "n": 2}):
        at_once.generate("a boat", **options)
    with pytest.raises(cm.APITimeoutError):
        client.generate("a boat", timeout=0.1, **SMALL)
    assert writers == {threading.current_thread().name, "comet_magic"}  # made here, written there
