"""Runs that only fail: they pause, try one row at a time, and end by themselves."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic import start_sandbox
from comet_magic.errors import (
    AmbiguousError,
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    CometError,
    ConfigurationError,
    ContentPolicyError,
    DownloadError,
    InvalidRequestError,
    NotFoundError,
    QuotaError,
)
from comet_magic.pipeline import generate_dataset, open_dataset, plan
from comet_magic.pipeline.failures import FailurePolicy, Failures
from comet_magic.protocol.decisions import BASE_URL_HINT
from tests.pipeline.conftest import impatient, interrupt, settings
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from comet_magic.pipeline import Dataset
    from tests.pipeline.endpoint import Endpoint

pytestmark = pytest.mark.usefixtures("plain_pictures")

# --- decisions

LOST = AmbiguousError("the answer was lost")
BILLED = DownloadError("403", code="gone")
REFUSED = ContentPolicyError("no")


def heard(*errors: CometError | None, policy: FailurePolicy | None = None, **facts: Any) -> list[str]:
    """What follows each call, each of which begins after the one before."""
    failures, told = Failures(policy or FailurePolicy()), []
    for error in errors:
        ending = failures.heard(error, failures.epoch, **facts)
        pause = failures.pause
        told.append("ends" if ending else f"{pause.seconds:g}" if pause else "")
    return told


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([BILLED] * 20, [*[""] * 19, "ends"]),
        ([*[BILLED] * 19, None, *[BILLED] * 19], [""] * 39),
        ([*[BILLED] * 10, DownloadError("x", code="other"), *[BILLED] * 10], [""] * 21),
        ([*[BILLED] * 10, *[REFUSED] * 30, InvalidRequestError("x"), *[BILLED] * 10], [*[""] * 50, "ends"]),
        ([LOST] * 7, ["", "", "5", "15", "45", "135", "ends"]),
        ([LOST, LOST, REFUSED, LOST, REFUSED, None], ["", "", "", "5", "5", ""]),
        ([*[LOST] * 4, BadRequestError("wrong"), LOST, LOST, LOST], ["", "", "5", "15", "", "", "", "5"]),
        ([NotFoundError("no such model", code="model_not_found")] * 2, ["", "ends"]),
        ([BadRequestError("nowhere", status_code=404), None, BadRequestError("nowhere", status_code=404)], [""] * 3),
        ([BadRequestError("nowhere", status_code=405)] * 2, ["", "ends"]),
        ([BadResponseError("a web page", hint=BASE_URL_HINT)] * 2, ["", "ends"]),
        ([APIConnectionError("certificate")] * 2, ["", "ends"]),
        ([QuotaError("empty")], ["ends"]),
    ],
    ids=[
        *("storm", "reset", "two codes", "rows of their own", "outage", "refused try", "answered", "model"),
        *("address once", "address", "web page", "no way", "account"),
    ],
)  # fmt: skip
def test_failures_pause_a_run_or_end_it(errors: list[CometError | None], expected: list[str]) -> None:
    assert heard(*errors) == expected


def test_what_began_before_a_pause_says_nothing_new_unless_it_is_answered() -> None:
    failures = Failures(FailurePolicy(stop_after=5))
    for _ in range(30):
        assert failures.heard(LOST, 0) is None
    assert failures.pause is not None
    assert failures.pause.attempt == 1
    failures.heard(None, 0)
    assert failures.pause is None


def test_without_a_number_only_an_outage_ends_a_run() -> None:
    policy = FailurePolicy(stop_after=None)
    assert heard(*[BILLED] * 100, policy=policy) == [""] * 100
    assert heard(*[LOST] * 7, policy=policy)[-1] == "ends"


def test_a_model_that_only_some_rows_name_ends_no_run_at_once() -> None:
    missing = [NotFoundError("no such model", code="model_not_found")] * 20
    assert heard(*missing, own_models=True) == [*[""] * 19, "ends"]


@pytest.mark.parametrize("number", [0, -1, True, 2.5, "20"])
def test_a_number_of_failures_that_cannot_be_is_refused(number: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"stop_after is .*; it must be a whole number from 1, or None"
    ):
        generate_dataset(["a boat"], tmp_path / "set", model="dall-e-2", api_key="sandbox", stop_after=number)


# --- runs


def test_a_short_outage_is_waited_out(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.down = 11
    report = impatient(rows_of(100), tmp_path / "set", **settings(endpoint)).report()

    assert (report.counts["done"], report.counts["unknown"]) == (89, 11)
    assert report.complete
    assert generate_dataset(rows_of(100), tmp_path / "set", **settings(endpoint)).counts == report.counts
    assert endpoint.paid == 89


def test_an_outage_ends_a_run_and_what_was_never_sent_is_made_by_the_next(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    rows = [f"DOWN {row}" for row in rows_of(120)]
    with pytest.raises(
        AmbiguousError, match=r"the run was stopped, \d+ calls in a row had no usable answer, 4"
    ) as one:
        impatient(rows, tmp_path / "set", **settings(endpoint)).report()

    counts, report = open_dataset(tmp_path / "set").counts, str(open_dataset(tmp_path / "set"))
    assert counts["unknown"] == len(endpoint.asked) <= 8 + 2 + 4
    assert counts["open"] == 120 - counts["unknown"]
    assert f"{counts['open']} rows remain; run it again to go on." in one.value.hint
    assert "the latest run ended early: the run was stopped" in report

    endpoint.forgiving = True
    again = generate_dataset(rows, tmp_path / "set", **settings(endpoint))
    assert (again.counts["done"], again.counts["unknown"]) == (counts["open"], counts["unknown"])
    assert "ended early" not in str(again)


def test_rows_that_the_server_did_not_begin_are_made_once_it_does(tmp_path: Path) -> None:
    with start_sandbox(fail="521:30") as sandbox:
        run = impatient(
            *(rows_of(20), tmp_path / "set"),
            base_url=sandbox.base_url, api_key="sandbox", model="dall-e-2", size="256x256", retry_base_delay=0.01,
        )  # fmt: skip
        report = run.report()

    assert report.counts["done"] == 20
    assert report.complete


def test_without_a_connection_the_rows_stay_open(tmp_path: Path) -> None:
    options = {"base_url": "http://127.0.0.1:9/v1", "api_key": "sandbox", "retry_base_delay": 0.01}
    with pytest.raises(APIConnectionError, match="had no usable answer, 4 of them tries"):
        impatient(rows_of(60), tmp_path / "set", model="dall-e-2", **options).report()

    assert open_dataset(tmp_path / "set").counts["open"] == 60


def test_addresses_that_are_all_refused_end_a_run_and_are_fetched_by_the_next(
    make: Callable[..., Dataset], endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.urls = endpoint.sold_out = True
    with pytest.raises(DownloadError, match="20 calls in a row failed alike"):
        make(rows_of(60))

    counts = open_dataset(tmp_path / "dataset").counts
    assert 20 <= counts["failed"] == endpoint.paid <= 20 + 7
    assert counts["open"] == 60 - endpoint.paid

    endpoint.sold_out = False
    make(rows_of(60), redo="failed")
    assert make(rows_of(60)).counts["done"] == endpoint.paid == 60


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [("401", AuthenticationError, "open"), ("404", NotFoundError, "failed"), ("402", QuotaError, "open")],
    ids=["key", "model", "account"],
)
def test_what_no_row_can_change_ends_a_run_at_once(
    fault: str, kind: type[CometError], status: str, tmp_path: Path
) -> None:
    with start_sandbox(fail=fault) as sandbox, pytest.raises(kind):
        generate_dataset(
            *(rows_of(60), tmp_path / "set"),
            base_url=sandbox.base_url, api_key="sandbox", model="dall-e-2", max_in_flight=3, progress=False,
        )  # fmt: skip
    assert len(sandbox.log) <= 3 + 2
    counts = open_dataset(tmp_path / "set").counts
    assert counts["open"] == 60 - (len(sandbox.log) if status == "failed" else 0)


def test_a_wrong_base_url_ends_a_run_at_once(tmp_path: Path) -> None:
    with (
        start_sandbox() as sandbox,
        pytest.raises(BadRequestError, match="every row would fail so") as caught,
    ):
        generate_dataset(
            *(rows_of(60), tmp_path / "set"),
            base_url=sandbox.base_url.replace("/v1", "/v2"), api_key="sandbox", model="dall-e-2", progress=False,
        )  # fmt: skip
    assert len(sandbox.log) <= 8 + 2
    assert "base URL" in caught.value.hint


def test_refused_prompts_end_no_run(make: Callable[..., Dataset]) -> None:
    assert make([f"REFUSE {row}" for row in rows_of(60)]).counts["refused"] == 60


def test_a_success_between_failures_begins_the_count_anew(make: Callable[..., Dataset]) -> None:
    rows: Iterable[str] = (f"{'' if number % 4 == 0 else 'WRONG '}{number}" for number in range(80))
    report = make(list(rows), max_in_flight=1, stop_after=4)
    assert (report.counts["done"], report.counts["failed"]) == (20, 60)
    with pytest.raises(BadRequestError, match="3 calls in a row failed alike"):
        make([f"WRONG {number}" for number in range(50)], "other", max_in_flight=1, stop_after=3)


# --- what a person sees and does


def test_an_interrupt_during_a_pause_ends_it(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.down = 1000
    run = impatient(rows_of(60), tmp_path / "set", pauses=(600.0,), **settings(endpoint))
    interrupt(run, when=lambda: len(endpoint.asked) >= 8)

    assert len(endpoint.asked) <= 8 + 2


def test_a_wait_after_a_429_ends_by_an_interrupt(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.rate, endpoint.retry_after = 0.001, 500
    run = impatient(rows_of(20), tmp_path / "set", **settings(endpoint))
    interrupt(run, when=lambda: len(endpoint.asked) >= 8)

    assert open_dataset(tmp_path / "set").counts["open"] == 20


def test_a_pause_is_shown_with_its_reason(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.down = 10
    impatient(rows_of(12), tmp_path / "set", **settings(endpoint) | {"progress": True}).report()

    said = capsys.readouterr().err
    assert "paused 0 s, then one row, try 1 of 4: 3 calls in a row had no usable answer (the server" in said


def test_a_plan_tells_what_a_run_that_only_fails_costs(endpoint: Endpoint, tmp_path: Path) -> None:
    options = {"base_url": endpoint.base_url, "model": "test-model", "price_per_image": 0.04}
    told = plan(rows_of(100), tmp_path / "set", **options)  # type: ignore[arg-type]
    assert (told.failing, told.failing_price) == (27, 1.08)
    assert "if all fail  it ends after at most 27 calls, $1.08" in str(told)
    assert plan(rows_of(100), tmp_path / "set", stop_after=None, **options).failing == 100  # type: ignore[arg-type]


def test_the_command_takes_the_number_and_exits_with_1(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("\n".join(f"WRONG {number}" for number in range(40)))
    command = [sys.executable, "-m", "comet_magic", "dataset", "rows.txt", "out", "--model", "test-model"]
    given = ["--price-per-image", "0.04", "--quiet", "--max-in-flight", "1"]
    from tests.pipeline.test_signals import environment

    def run(number: str) -> subprocess.CompletedProcess[str]:
        line = [*command, *given, "--stop-after", number]
        return subprocess.run(
            line, cwd=tmp_path, env=environment(endpoint), capture_output=True, text=True, check=False
        )

    stopped, finished = run("4"), run("none")
    assert (stopped.returncode, finished.returncode) == (1, 3)
    assert (
        "the run was stopped, 4 calls in a row failed alike: the server answered 400: No such size"
        in stopped.stderr
    )
    assert "36 rows remain; run it again to go on." in stopped.stderr
    assert len(endpoint.asked) == 40
