"""Processes that are killed, and what is paid after they were started again."""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.archive import Archive
from comet_magic.pipeline import generate_dataset, open_dataset, plan
from tests.notebook.conftest import Kernel
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import kill, rows_of, start_maker, told

if TYPE_CHECKING:
    from pathlib import Path

ROWS = rows_of(200)
SEEDS = [pytest.param(seed, marks=[pytest.mark.full] if seed else []) for seed in range(10)]


def redone(rows: list[str], out: Path, **options: Any) -> dict[str, int]:
    """The counts after what is unknown was sent again."""
    if open_dataset(out).counts["unknown"]:
        with pytest.warns(UserWarning, match="may be billed twice"):
            return generate_dataset(rows, out, redo="unknown", **options).counts
    return open_dataset(out).counts


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_run_pays_for_at_most_the_calls_that_were_in_flight(seed: int, tmp_path: Path) -> None:
    with Endpoint(delay=0.03) as endpoint:
        options = {**settings(endpoint), "max_in_flight": 8}
        killed_at = random.Random(seed).randrange(5, 190)
        process = start_maker(ROWS, tmp_path / "set", endpoint, max_in_flight=8)
        endpoint.until(lambda seen: seen.paid >= killed_at)
        kill(process)

        resumed = generate_dataset(ROWS, tmp_path / "set", **options).counts
        asked = Counter(one.prompt for one in endpoint.asked)

        assert max(asked.values()) == 1
        assert resumed["done"] + resumed["unknown"] == 200
        assert resumed["unknown"] <= 8
        again = redone(ROWS, tmp_path / "set", **options)
        assert again["done"] == 200
        assert endpoint.paid <= 200 + 8
        assert endpoint.paid / 200 <= 1.04
        print(f"killed after {killed_at}: {resumed['unknown']} unknown, paid {endpoint.paid / 200:.3f} times")


def test_pictures_at_addresses_are_fetched_and_not_paid_again_after_a_kill(tmp_path: Path) -> None:
    rows = rows_of(12)
    with Endpoint(urls=True, hold=30) as endpoint:
        process = start_maker(rows, tmp_path / "set", endpoint, max_in_flight=4)
        archive = Archive(tmp_path / "set")
        endpoint.until(lambda _: sum(call.state == "received" for call in archive.open_calls()) == 4)
        kill(process)
        paid, endpoint.hold = endpoint.paid, 0.0

        counts = generate_dataset(rows, tmp_path / "set", **settings(endpoint)).counts

        assert counts["done"] == 12
        assert paid == 4
        assert endpoint.paid == 12
        archive.close()


def test_a_run_ends_when_the_paid_pictures_of_a_dead_one_are_fetched(tmp_path: Path) -> None:
    with Endpoint(urls=True, hold=30) as endpoint:
        process = start_maker(["paid by a dead run"], tmp_path / "set", endpoint)
        archive = Archive(tmp_path / "set")
        endpoint.until(lambda _: any(call.state == "received" for call in archive.open_calls()))
        kill(process)
        endpoint.urls, endpoint.hold = False, 0.7  # longer than the new row takes

        generate_dataset(["another row"], tmp_path / "set", append=True, **settings(endpoint))

        (entry,) = archive.history("paid by a dead run")
        assert (entry.outcome, len(entry.pictures)) == ("done", 1)
        assert endpoint.paid == 2
        archive.close()


def test_two_processes_share_a_dataset_and_pay_for_each_row_once(tmp_path: Path) -> None:
    rows = rows_of(60)
    with Endpoint(delay=0.05) as endpoint:
        both = [start_maker(rows, tmp_path / "set", endpoint) for _ in range(2)]
        ends = [told(process) for process in both]

        assert endpoint.paid == 60
        assert [end["done"] for end in ends] == [60, 60]


def test_what_a_killed_neighbour_had_in_hand_is_told_as_unknown(tmp_path: Path) -> None:
    rows = rows_of(8)
    with Endpoint(delay=600) as endpoint:
        neighbour = start_maker(rows, tmp_path / "set", endpoint, max_in_flight=4)
        endpoint.until(lambda seen: seen.paid == 4)
        endpoint.delay = 0.0
        mine = start_maker(rows, tmp_path / "set", endpoint)
        endpoint.until(lambda seen: seen.paid == 8)
        kill(neighbour)

        end = told(mine)

        assert (end["done"], end["unknown"]) == (4, 4)
        assert endpoint.paid == 8
        report = open_dataset(tmp_path / "set")
        assert report.failures == {"AmbiguousError: the process ended before the answer came": 4}
        assert 'redo="unknown" may cost $0.16 more' in str(report)


def test_a_dataset_is_read_from_another_process_while_it_is_made(tmp_path: Path) -> None:
    with Endpoint(delay=0.02) as endpoint:
        process = start_maker(rows_of(100), tmp_path / "set", endpoint, max_in_flight=2)
        endpoint.until(lambda seen: seen.paid >= 30)

        seen = open_dataset(tmp_path / "set")
        counts, running = seen.counts, not seen.complete
        process.communicate(timeout=60)

        assert running
        assert 20 <= counts["done"] < 100
        assert counts["done"] + counts["open"] == 100
        assert seen.complete
        assert seen.counts["done"] == 100


def test_a_report_after_a_kill_says_what_was_cut_off(tmp_path: Path) -> None:
    with Endpoint(delay=600) as endpoint:
        process = start_maker(rows_of(8), tmp_path / "set", endpoint, max_in_flight=3)
        endpoint.until(lambda seen: seen.running == 3)
        kill(process)

        text = str(open_dataset(tmp_path / "set"))

        assert (
            "3 rows were cut off when a process ended ($0.12 at most); the next run looks after them" in text
        )


def test_a_killed_kernel_leaves_rows_unknown_and_the_next_report_says_what_they_may_cost(
    tmp_path: Path,
) -> None:
    with Endpoint(delay=600) as endpoint:
        options = settings(endpoint) | {"max_in_flight": 3}
        kernel = Kernel(sys.executable, tmp_path)
        try:
            kernel.start(f"import comet_magic as cm; cm.generate_dataset({rows_of(8)}, 'set', **{options})")
            endpoint.until(lambda seen: seen.running == 3)
            kernel.kill()
        finally:
            kernel.close()
        cut_off = str(open_dataset(tmp_path / "set"))
        endpoint.delay = 0.0
        report = generate_dataset(rows_of(8), tmp_path / "set", **options)

        assert "3 rows were cut off when a process ended ($0.12 at most)" in cut_off
        assert (report.counts["done"], report.counts["unknown"]) == (5, 3)
        assert report.failures == {"AmbiguousError: the process ended before the answer came": 3}
        assert (
            '3 rows are unknown: sent without an answer, billed perhaps; redo="unknown" may cost $0.12'
            in str(report)
        )
        assert len(endpoint.asked) == 8


def test_a_plan_after_a_kill_says_what_is_left(tmp_path: Path) -> None:
    rows = rows_of(60)
    with Endpoint(delay=0.02) as endpoint:
        process = start_maker(rows, tmp_path / "set", endpoint, max_in_flight=4)
        endpoint.until(lambda seen: seen.paid >= 20)
        kill(process)
        options = settings(endpoint)
        options.pop("progress")

        before = plan(rows, tmp_path / "set", **options)
        counts = generate_dataset(rows, tmp_path / "set", **settings(endpoint)).counts

        assert before.rows == 60
        assert before.done + before.to_generate + before.ended.get("open", 0) == 60
        assert before.ended.get("open", 0) <= 4
        assert counts["done"] + counts["unknown"] == 60
