"""The rows of a run take the place of the former ones once its source was read to its end; until then those stand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import AuthenticationError, CallAbandoned, ConfigurationError, SourceError
from comet_magic.pipeline import dataset_run, open_dataset
from comet_magic.pipeline.expand import Row
from comet_magic.pipeline.row_index import RowIndex
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comet_magic.pipeline import Dataset
    from tests.pipeline.endpoint import Endpoint

    Make = Callable[..., Dataset]


def prompts_in(report: Dataset) -> list[str]:
    """The prompts of a dataset; its metadata and its index must agree."""
    lines = (report.folder / "metadata.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line)["prompt"] for line in lines]
    assert told == [record["prompt"] for record in report.records()]
    assert len(report) == len(told)
    return told


def broken(rows: list[str]) -> Iterator[str]:
    yield from rows
    raise LookupError("no more prompts")


def damaged_csv(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.csv"
    path.write_text("prompt\nrow 0\nrow 1,too much\n")
    return path


def half_jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "half.jsonl"
    path.write_text('{"prompt": "row 0"}\n{"prompt": "row')
    return path


@pytest.mark.parametrize(
    ("source", "column"),
    [
        (lambda _: [{"prompt": "a"}], "captoin"),
        (lambda _: iter([{"prompt": "a"}]), "captoin"),
        (lambda _: broken([]), "prompt"),
        (lambda _: broken(rows_of(2)), "prompt"),
        (lambda _: broken([f"another {number}" for number in range(20)]), "prompt"),
        (lambda _: ["one", 5], "prompt"),
        (lambda _: [{"prompt": "one"}, {"prompt": b"bytes"}], "prompt"),
        (damaged_csv, "prompt"),
        (half_jsonl, "prompt"),
    ],
    ids=[
        *("typo for a list", "typo for a generator", "fails at once", "fails early", "fails late"),
        *("a number as row", "bytes", "damaged csv", "half jsonl"),
    ],
)
def test_a_source_that_cannot_be_read_to_its_end_leaves_the_former_rows(
    source: Callable[[Path], Any], column: str, make: Make, tmp_path: Path
) -> None:
    report = make(rows_of(6))

    given = source(tmp_path)

    with pytest.raises(SourceError):
        make(given, prompt=column)

    assert prompts_in(report) == rows_of(6)
    assert report.counts["done"] == 6
    assert report.complete == (not isinstance(given, Iterator))  # only a stream is read by a run
    assert prompts_in(make(rows_of(2), replace=True)) == rows_of(2)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_halted_run_of_a_longer_file_keeps_every_done_row(suffix: str, make: Make, tmp_path: Path) -> None:
    def write(prompts: list[str]) -> Path:
        path = tmp_path / f"table.{suffix}"
        head = "prompt\n" if suffix == "csv" else ""
        lines = prompts if suffix == "csv" else [json.dumps({"prompt": prompt}) for prompt in prompts]
        path.write_text(head + "\n".join(lines) + "\n")
        return path

    rows = rows_of(12) * 50  # more than are read at once
    make(write(rows), dedupe=True)

    with pytest.raises(AuthenticationError):
        make(write(["FORBIDDEN one", *rows]), dedupe=True)

    report = open_dataset(tmp_path / "dataset")
    assert prompts_in(report) == ["FORBIDDEN one", *rows]
    assert (report.counts["done"], report.counts["open"]) == (600, 1)


def test_a_stream_that_was_stopped_gives_way_to_one_that_got_further(make: Make) -> None:
    def endless() -> Iterator[str]:
        number = 0
        while True:
            yield f"row {number}"
            number += 1

    first = make(endless(), max_cost=0.20)
    done = first.counts["done"]
    again = make(endless(), max_cost=0.40)

    assert (done, again.counts["done"]) == (5, 10)
    assert len(again) >= 10


def test_a_stream_that_was_stopped_earlier_keeps_the_rows_of_the_one_before(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    with pytest.raises(SourceError):
        make(broken(rows_of(8)))

    with pytest.raises(SourceError):
        make(broken(rows_of(3)))

    report = open_dataset(tmp_path / "dataset")
    assert prompts_in(report) == rows_of(8)
    assert report.counts["done"] == endpoint.paid == 8


def test_the_former_rows_stand_while_the_source_is_read(make: Make) -> None:
    report = make(rows_of(3))
    seen: list[list[str]] = []

    def source() -> Iterator[str]:
        for prompt in ["new", "newer"]:
            seen.append(prompts_in(report))
            yield prompt

    make(source(), replace=True)

    assert seen == [rows_of(3), rows_of(3)]
    assert prompts_in(report) == ["new", "newer"]


def test_an_interrupted_stream_leaves_the_former_rows(
    make: Make, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make(rows_of(4))
    reached = threading.Event()
    sleep = dataset_run.time.sleep

    def interrupt(seconds: float) -> None:
        if reached.is_set():
            reached.clear()
            raise KeyboardInterrupt
        sleep(seconds)

    def source() -> Iterator[str]:
        yield "new"
        reached.set()
        while True:
            yield "new"

    monkeypatch.setattr(dataset_run.time, "sleep", interrupt)
    endpoint.delay = 0.05
    with pytest.raises(CallAbandoned):
        make(source())

    assert prompts_in(report) == rows_of(4)


def test_a_run_that_another_one_replaced_changes_nothing_any_more(tmp_path: Path) -> None:
    with RowIndex(tmp_path) as mine, RowIndex(tmp_path) as theirs:
        first = mine.begin(vendor="sandbox", size=None)
        second = theirs.begin(vendor="sandbox", size=None)
        theirs.replace_former(second)
        mine.replace_former(first)
        mine.end(first, "complete")
        theirs.end(second, "stopped")

        run = mine.standing()

    assert run is not None
    assert (run.number, run.state) == (second, "stopped")


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_an_index_that_is_a_link_is_not_opened(there: bool, make: Make, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    if there:
        other.write_text("mine")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/index.sqlite").symlink_to(other)

    with pytest.raises(ConfigurationError, match=r"index\.sqlite cannot be used: it is a link"):
        make(["one"])

    assert other.exists() == there
    assert not there or other.read_text() == "mine"


def test_two_runs_that_are_through_at_once_join_their_rows(tmp_path: Path) -> None:
    def add(folder: Path, first: int, both: threading.Barrier) -> None:
        with RowIndex(folder) as index:
            number = index.begin(vendor="sandbox", size=None)
            numbers = range(first, first + 5)
            keys = [hashlib.sha256(bytes([number])).hexdigest() for number in numbers]
            index.add(number, [Row(at, f"row {first + at}", None, key, 0, {}) for at, key in enumerate(keys)])
            both.wait()
            index.end(index.replace_former(number, keep=True), "complete")

    for attempt in range(20):
        folder, both = tmp_path / str(attempt), threading.Barrier(2)
        folder.mkdir()
        RowIndex(folder).make()
        threads = [threading.Thread(target=add, args=(folder, first, both)) for first in (0, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with RowIndex(folder) as index:
            run = index.standing()
            assert run is not None
            found = [row.prompt for rows in index.rows(run.number) for row in rows]
        assert sorted(found) == rows_of(10)
