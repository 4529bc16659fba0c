"""Runs that are ended from outside by SIGTERM and SIGHUP, and runs whose output goes away."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.client.process_exit import end_signals
from comet_magic.outputs import quietly
from comet_magic.pipeline import generate_dataset, open_dataset, progress
from tests.crash import actor
from tests.pipeline import maker
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import rows_of
from tests.processes import HOME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comet_magic.pipeline import Dataset

END = [signal.SIGTERM, signal.SIGHUP]
MOMENTS = [pytest.param(10), pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(1200)])]


@pytest.mark.parametrize("count", MOMENTS)
def test_a_run_that_is_terminated_at_any_moment_loses_no_picture_and_pays_none_twice(
    count: int, tmp_path: Path
) -> None:
    dice, context, rows = random.Random(count), get_context("forkserver"), rows_of(8)
    context.set_forkserver_preload([actor.__name__, maker.__name__])
    lost, paid, terminated = 0, 0, Counter[bool]()
    with Endpoint(delay=0.03) as endpoint:
        for number in range(count):
            out, before = tmp_path / str(number), endpoint.paid
            here, there = context.Pipe()
            options = {**settings(endpoint), "max_in_flight": 3}
            process = context.Process(target=maker.make_until_told, args=(rows, out, options, there))
            process.start()
            there.close()
            assert here.recv() == "begins"
            wanted = before + dice.randrange(len(rows) + 1)
            endpoint.until(lambda seen, wanted=wanted: seen.paid >= wanted)
            time.sleep(dice.uniform(0, 0.05))  # between two of its steps, or just behind it
            process.terminate()
            process.join(60)
            first = endpoint.paid - before
            done = open_dataset(out).counts["done"] if (out / "index.sqlite").exists() else 0
            terminated[done < len(rows)] += 1
            lost += first - done
            assert generate_dataset(rows, out, **options).counts["done"] == len(rows)
            paid += endpoint.paid - before
            here.close()
    print(
        f"{count} runs, {terminated[True]} of them ended early: {lost} pictures lost, paid {paid / count / 8:.2f}"
    )
    assert (lost, paid) == (0, count * len(rows))
    assert terminated[True] > count / 4


# --- who hears a signal


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    """Signals end a process, also where the tests were started by something that ignores one, such as `nohup`."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in END}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("theirs", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "a handler"])
def test_a_signal_that_is_ignored_or_has_a_handler_is_left_alone(theirs: Any) -> None:
    signal.signal(signal.SIGHUP, theirs)
    with end_signals(print):
        assert signal.getsignal(signal.SIGHUP) is theirs
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is theirs
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_that_is_set_meanwhile_stays() -> None:
    with end_signals(print):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_no_handler_is_set_outside_the_main_thread() -> None:
    seen: list[Any] = []

    def look() -> None:
        with end_signals(print):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_a_burst_of_signals_is_one_request_to_end() -> None:
    heard: list[int] = []
    with end_signals(heard.append):
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(number)
    assert heard == [signal.SIGHUP]


def test_a_forked_child_is_ended_by_a_signal_as_ever() -> None:
    with end_signals(print):
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_what_a_handler_raises_while_something_is_shown_is_raised() -> None:
    def leave(*_: object) -> None:
        sys.exit(5)

    signal.signal(signal.SIGTERM, leave)
    with pytest.raises(SystemExit):
        quietly(lambda: signal.raise_signal(signal.SIGTERM))()


# --- the command


@pytest.fixture
def command(endpoint: Endpoint, tmp_path: Path) -> list[str]:
    (tmp_path / "prompts.csv").write_text("prompt\n" + "".join(f"{row}\n" for row in rows_of(12)))
    given = ["dataset", "prompts.csv", "out", "--model", "test-model", "--price-per-image", "0.04"]
    return [sys.executable, "-m", "comet_magic", *given, "--max-in-flight", "2"]


def environment(endpoint: Endpoint) -> dict[str, str]:
    ours = {"COMETAPI_BASE_URL": endpoint.base_url, "COMETAPI_KEY": "sandbox", "PYTHONPATH": HOME}
    return {**os.environ, **ours}


@pytest.mark.parametrize("number", [signal.SIGINT, *END])
def test_the_command_drains_after_a_signal_and_its_exit_code_names_it(
    number: signal.Signals, command: list[str], endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.delay = 0.4
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(endpoint), stderr=subprocess.PIPE, text=True
    )
    endpoint.until(lambda seen: seen.running == 2)
    process.send_signal(number)
    _, noise = process.communicate(timeout=60)

    counts = open_dataset(tmp_path / "out").counts
    assert process.returncode == 128 + number
    assert counts["done"] == endpoint.paid < 12
    assert "stopping: 2 calls in flight (at most $0.08) will be finished first; interrupt again" in noise
    assert "CallAbandoned: stopped: 2 done, 10 remaining; $0.08 spent at most\n" in noise
    assert (tmp_path / "out" / "metadata.jsonl").read_text().count('"done"') == counts["done"]


OUTPUTS = {
    "no reader": "{} 2>&1 | true; exit ${{PIPESTATUS[0]}}",
    "no stderr": "{} 2>&-",
    "no streams": "{} >&- 2>&- <&-",
    "a full disk": "{} >/dev/full 2>&1",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_exit_code_tells_of_the_run_and_not_of_its_output(
    output: str, command: list[str], endpoint: Endpoint, tmp_path: Path
) -> None:
    line = OUTPUTS[output].format(" ".join(command))
    ended = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment(endpoint), check=False)

    assert ended.returncode == 0
    assert open_dataset(tmp_path / "out").counts["done"] == 12


# --- a display that fails

FAULTS = [
    OSError(errno.EIO, "the terminal is gone"),
    ValueError("I/O operation on closed file"),
    RuntimeError("a widget"),
    SystemExit(7),
    GeneratorExit(),
]


class Broken:
    """A stream that takes a few writes."""

    def __init__(self, fault: BaseException, takes: int) -> None:
        self.fault, self.takes = fault, takes

    def write(self, _: str) -> None:
        self.takes -= 1
        if self.takes < 0:
            raise self.fault

    def flush(self) -> None:
        """Nothing."""

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("takes", [0, 2])
def test_a_display_that_fails_ends_no_run(
    fault: BaseException, takes: int, make: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_LINE", 0.0)
    monkeypatch.setattr(sys, "stderr", Broken(fault, takes))

    assert make(rows_of(5), progress=True).counts["done"] == 5
