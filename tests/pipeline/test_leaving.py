"""Rows leave a folder only if that is told, and few, or asked for; parts of a table are added to each other."""

from __future__ import annotations

import csv
import threading
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import ConfigurationError, SourceError
from comet_magic.pipeline import Dataset, generate_dataset, open_dataset, plan
from tests.pipeline.conftest import settings
from tests.pipeline.maker import kill, rows_of, start_maker, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

    Make = Callable[..., Dataset]


def prompts(report: Dataset) -> list[str]:
    return [record["prompt"] for record in report.records()]


def would(endpoint: Endpoint, tmp_path: Path, source: Any, **options: Any) -> int:
    """How many rows would leave, by the plan."""
    return plan(source, tmp_path / "dataset", **settings(endpoint), **options).leaving


def test_a_row_of_ten_may_leave_and_is_told(
    make: Make, endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(rows_of(10))
    edited = [*rows_of(9), "another"]
    leaving = would(endpoint, tmp_path, edited)

    report = make(edited)

    assert (leaving, prompts(report), endpoint.paid) == (1, edited, 11)
    assert capsys.readouterr().err == "1 row left the table; its picture stays in the archive\n"
    assert len(list(report.folder.glob("images/*/*/*"))) == 11


@pytest.mark.parametrize("rows", [2, 5])
def test_one_row_of_a_small_table_may_be_edited(
    rows: int, make: Make, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    make(rows_of(rows))
    edited = [*rows_of(rows - 1), "another"]

    assert prompts(make(edited)) == edited
    assert endpoint.paid == rows + 1
    assert capsys.readouterr().err == "1 row left the table; its picture stays in the archive\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (rows_of(5), [*rows_of(3), "two", "others"]),
        (rows_of(10), rows_of(8)),
        (rows_of(3), ["quite", "another", "table"]),
        (rows_of(1), []),
        (["the same"] * 30, ["the same"] * 20),
        (rows_of(230), rows_of(209)),
    ],
    ids=["two of five", "more than one in ten", "no row shared", "no rows", "copies", "more than twenty"],
)
def test_more_rows_do_not_leave_unless_that_is_asked_for(
    before: list[str], after: list[str], make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    report = make(before, max_in_flight=32)
    paid = endpoint.paid

    with pytest.raises(SourceError, match="not in this table") as planned:
        would(endpoint, tmp_path, after)
    with pytest.raises(SourceError, match="not in this table") as caught:
        make(after)

    assert str(planned.value) == str(caught.value)
    assert "append=True" in caught.value.hint
    assert (prompts(report), endpoint.paid) == (before, paid)
    assert prompts(make(after, replace=True)) == after


def test_rows_for_which_nothing_was_sent_may_leave(make: Make, endpoint: Endpoint, tmp_path: Path) -> None:
    make(["", *rows_of(3)], max_cost=0.001)
    leaving = would(endpoint, tmp_path, ["another"])

    assert prompts(make(["another"])) == ["another"]
    assert leaving == 0


def test_play_money_is_not_missed_when_the_real_table_comes(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    make(rows_of(3))

    told = plan(rows_of(3), tmp_path / "dataset", base_url="https://example.com/v1", model="test-model")

    assert (told.to_generate, told.leaving) == (3, 0)


def test_chunks_are_added_to_each_other(make: Make, endpoint: Endpoint, tmp_path: Path) -> None:
    chunks = [rows_of(4, first) for first in (0, 4, 8)]
    for chunk in chunks:
        make(chunk, append=True)

    report = make(chunks[1], append=True)  # once more: nothing is paid, added or moved

    assert (prompts(report), endpoint.paid) == (rows_of(12), 12)
    assert report.complete
    assert would(endpoint, tmp_path, chunks[2], append=True) == 0


def test_a_row_that_comes_again_in_a_chunk_takes_its_new_columns(make: Make) -> None:
    make([{"prompt": "a", "label": 1}, {"prompt": "", "label": 2}], append=True)

    report = make([{"prompt": "b"}, {"prompt": "a", "label": 3}, {"prompt": "", "label": 2}], append=True)

    assert [(one["prompt"], one.get("label")) for one in report.records()] == [("a", 3), ("", 2), ("b", None)]


def test_a_chunk_that_breaks_leaves_what_was_added_before(make: Make, endpoint: Endpoint) -> None:
    def broken() -> Any:
        yield from rows_of(2, 4)
        raise LookupError

    make(rows_of(4), append=True)
    with pytest.raises(SourceError):
        make(broken(), append=True)

    report = make(rows_of(1, 9), append=True)

    assert prompts(report) == [*rows_of(6), "row 9"]
    assert endpoint.paid == 7


@pytest.mark.parametrize("append", [True, False], ids=["append", "streams that nobody can read ahead"])
def test_two_halves_at_once_lose_no_row(append: bool, make: Make, endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.05
    barrier = threading.Barrier(2)

    def half(first: int) -> Any:
        barrier.wait()
        yield from rows_of(20, first)

    def run(first: int) -> None:
        make(half(first), append=append, max_in_flight=2)

    both = [threading.Thread(target=run, args=[first]) for first in (0, 20)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    report = open_dataset(tmp_path / "dataset")
    assert sorted(prompts(report)) == sorted(rows_of(40))
    assert report.counts["done"] == endpoint.paid == 40


def test_two_processes_add_two_halves_of_a_table(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.05
    halves = [start_maker(rows_of(20, first), tmp_path / "set", endpoint, append=True) for first in (0, 20)]
    for process in halves:
        told(process)

    report = open_dataset(tmp_path / "set")
    assert sorted(prompts(report)) == sorted(rows_of(40))
    assert report.counts["done"] == endpoint.paid == 40


def test_rows_of_a_folder_in_use_are_not_replaced(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 60.0
    busy = start_maker(rows_of(3), tmp_path / "set", endpoint)
    endpoint.until(lambda seen: seen.running == 3)

    with pytest.raises(ConfigurationError, match="another process works in"):
        generate_dataset(["mine"], tmp_path / "set", replace=True, **settings(endpoint))
    kill(busy)
    endpoint.delay = 0.0

    report = generate_dataset(["mine"], tmp_path / "set", replace=True, **settings(endpoint))
    assert prompts(report) == ["mine"]


def test_append_and_replace_exclude_each_other(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="give one of the two"):
        make(["a"], append=True, replace=True)


def test_a_file_that_is_damaged_behind_many_rows_is_refused_before_anything_is_paid(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    report = make(rows_of(600), max_in_flight=32)
    table = tmp_path / "rows.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], *([row] for row in [*rows_of(600), "new"]), ["a", "b"]])

    with pytest.raises(ConfigurationError):
        make(table)

    assert (len(report), endpoint.paid) == (600, 600)
