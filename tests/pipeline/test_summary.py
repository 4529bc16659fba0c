"""The counts that a run or a decision keeps: read in constant time, and only if they are those of the rows."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comet_magic as cm
from comet_magic.archive import Archive, Reader
from comet_magic.errors import CometError
from comet_magic.pipeline import Dataset, generate_dataset, open_dataset
from comet_magic.pipeline.summary import ends_of, kept_summary
from comet_magic.request import ImageRequest
from tests.pipeline import conftest
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import rows_of
from tests.processes import run

if TYPE_CHECKING:
    from comet_magic.pipeline.summary import Summary

    Make = Callable[..., Dataset]

DATA = Path(__file__).parents[1] / "data"
ROWS = ["a boat", "a boat", "REFUSE a boat", "", "LOST boat", "a train"]


def kept(report: Dataset) -> Summary | None:
    return kept_summary(Reader(report.folder), report.folder)


def check(folder: Path) -> None:
    """What is told of all rows together is what the rows and the calls say."""
    report, archive = open_dataset(folder), Reader(folder)
    records = list(report.records())
    statuses = Counter(record["outcome"] for record in records)
    assert report.counts == {**dict.fromkeys(report.counts, 0), **statuses}
    assert len(report) == len(records)
    assert report.spend == archive.spend()
    assert sum(report.failures.values()) == sum(bool(record["error"]) for record in records)
    if (summary := kept(report)) is not None:
        assert sorted(summary.ends.groups(), key=str) == sorted(ends_of(archive, folder).groups(), key=str)
        assert summary.unsettled == bool(archive.open_calls() or archive.uncertain())


# --- after any sequence of operations


def a_run(folder: Path, endpoint: Endpoint, rows: list[str] = ROWS, **options: Any) -> None:
    generate_dataset(rows, folder, **{**conftest.settings(endpoint), **options})


def a_retry(folder: Path, endpoint: Endpoint) -> None:
    endpoint.forgiving = not endpoint.forgiving
    options = {name: value for name, value in conftest.settings(endpoint).items() if name != "model"}
    open_dataset(folder).retry("refused", **options)


def a_reroll(folder: Path, endpoint: Endpoint) -> None:
    options = {name: value for name, value in conftest.settings(endpoint).items() if name != "model"}
    open_dataset(folder).reroll(**options)


def a_lost_file(folder: Path, _: Endpoint) -> None:
    next(folder.glob("images/*/*/*.png")).unlink()
    open_dataset(folder).verify()


def a_call_elsewhere(folder: Path, endpoint: Endpoint) -> None:
    with cm.Client(base_url=endpoint.base_url, api_key="sandbox", archive=folder) as client:
        client.generate("a boat", model="test-model")


def an_open_call(folder: Path, _: Endpoint) -> None:
    archive = Archive(folder)
    archive.claim(ImageRequest("a train", model="test-model"), vendor="v", reserve=40_000)
    archive.close()


def a_recovery(folder: Path, _: Endpoint) -> None:
    archive = Archive(folder)
    archive.reconcile()
    archive.close()


def a_deletion(folder: Path, _: Endpoint) -> None:
    archive = Archive(folder)
    archive.forget(next(entry for entry in archive.history() if entry.pictures))
    archive.close()


def a_ledger_made_again(folder: Path, _: Endpoint) -> None:
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    archive = Archive(folder)
    archive.repair()
    archive.close()


WAYS: dict[str, Callable[[Path, Endpoint], object]] = {
    "run": a_run,
    "another table": lambda folder, endpoint: a_run(folder, endpoint, ROWS[::-1][:4], replace=True),
    "more rows": lambda folder, endpoint: a_run(folder, endpoint, ["more", "rows"], append=True),
    "no money": lambda folder, endpoint: a_run(folder, endpoint, [*ROWS, "last"], max_cost=0.05),
    "redo": lambda folder, endpoint: a_run(folder, endpoint, redo="unknown"),
    "retry": a_retry,
    "reject": lambda folder, _: open_dataset(folder).reject([0, 1], reason="worse"),
    "keep": lambda folder, _: open_dataset(folder).keep([0]),
    "undo": lambda folder, _: open_dataset(folder).undo(),
    "reroll": a_reroll,
    "check": lambda folder, _: open_dataset(folder).check("default"),
    "lost file": a_lost_file,
    "call elsewhere": a_call_elsewhere,
    "open call": an_open_call,
    "recovery": a_recovery,
    "deletion": a_deletion,
    "ledger made again": a_ledger_made_again,
}


@settings(max_examples=6)
@given(st.lists(st.sampled_from(sorted(WAYS)), min_size=3, max_size=6))
def test_after_any_operations_the_counts_are_those_of_the_rows(ways: list[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as place,
        Endpoint() as endpoint,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # such as that a row may be billed twice
        folder = Path(place) / "set"
        a_run(folder, endpoint, ROWS[:3])
        check(folder)
        for way in ways:
            with contextlib.suppress(CometError, StopIteration):  # such as a reroll of nothing
                WAYS[way](folder, endpoint)
            check(folder)


# --- kept, and found


def test_a_run_and_each_decision_keep_their_counts(make: Make, endpoint: Endpoint) -> None:
    report = make(ROWS)
    assert kept(report) is not None
    for act in (
        lambda: report.reject([0]),
        report.undo,
        lambda: report.reject([0]).reroll(progress=False),
        lambda: report.retry("refused", progress=False),
        lambda: report.check("default"),
        lambda: make([*ROWS, "one more"]),
        lambda: a_lost_file(report.folder, endpoint),
    ):
        act()
        assert kept(report) is not None
        check(report.folder)


def test_what_another_process_changes_is_counted_anew_and_not_believed(make: Make) -> None:
    report = make(rows_of(3))
    run(
        f"""
from comet_magic.archive import Archive
archive = Archive({str(report.folder)!r})
archive.decide("reject", {{(entry.key, 0): "" for entry in archive.history(limit=1)}})
archive.close()
"""
    )

    assert kept(report) is None
    assert (report.counts["done"], report.counts["rejected"]) == (2, 1)


def test_a_question_writes_nothing_where_no_counts_are_kept(make: Make) -> None:
    report = make(rows_of(3))
    with contextlib.closing(sqlite3.connect(report.folder / "index.sqlite")) as connection, connection:
        connection.execute("DELETE FROM summary")
    before = {path.name: path.read_bytes() for path in report.folder.glob("*.sqlite")}

    assert (report.counts["done"], len(report), report.cost) == (3, 3, 0.12)
    assert "3 done" in str(report)
    assert kept(report) is None
    assert {path.name: path.read_bytes() for path in report.folder.glob("*.sqlite")} == before


@pytest.mark.parametrize(
    "facts",
    [
        *("[]", "{", '{"ends": []}', '{"ends": 1, "spend": []}', "null"),
        '{"state": "complete", "ends": [[0, null, null, null, null, null, null, 1]], "spend": [0, 0, 0, 0, 0]}',
        '{"state": "complete", "ends": [[0, 1, null, null, null, null, null, 1, 9]], "spend": [0, 0, 0, 0, 0]}',
        '{"state": "complete", "ends": [[0, null, null, null, null, null, null, 1, -9]], "spend": [0, 0, 0, 0, 0]}',
        '{"state": "complete", "ends": [], "spend": [0, 0, 0, 0, -1]}',
        '{"state": "complete", "ends": [], "spend": [0, 0, 0, 1e300, "much"]}',
    ],
)
def test_counts_that_are_not_made_as_ours_are_counted_anew(make: Make, facts: str) -> None:
    report = make(rows_of(3))
    with contextlib.closing(sqlite3.connect(report.folder / "index.sqlite")) as connection, connection:
        connection.execute("UPDATE summary SET facts = ?", (facts,))

    assert (report.counts["done"], len(report), report.cost) == (3, 3, 0.12)


def test_more_ways_to_end_than_are_kept_are_counted_when_somebody_asks(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comet_magic.pipeline.summary.MOST_KEPT", 2)

    report = make(ROWS)

    assert kept(report) is None
    assert report.counts["done"] == 3


# --- folders of before


def test_a_folder_of_0_1_is_counted_and_keeps_its_counts_after_the_next_decision(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "dataset-0.1.0", tmp_path / "set"))
    check(folder)
    assert kept(open_dataset(folder)) is None

    open_dataset(folder).reject([0])

    check(folder)
    assert kept(open_dataset(folder)) is not None


def test_a_folder_whose_ledger_has_no_stamp_is_counted_until_something_is_written(make: Make) -> None:
    report = make(ROWS)
    with contextlib.closing(sqlite3.connect(report.folder / "ledger.sqlite")) as connection, connection:
        connection.executescript("DROP TABLE stamp; DROP INDEX pictures_size")  # it came after the stamp

    check(report.folder)
    assert kept(report) is None
    report.reject([0])
    check(report.folder)
    assert kept(report) is not None


def test_a_run_that_another_version_began_makes_the_kept_counts_those_of_before(make: Make) -> None:
    report = make(rows_of(3))
    with contextlib.closing(sqlite3.connect(report.folder / "index.sqlite")) as connection, connection:
        connection.execute("INSERT INTO runs (started, vendor, state) VALUES (1, 'v', 'running')")

    assert kept(report) is None
    assert report.counts["done"] == 3


@pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become somebody else"
)
def test_the_dataset_of_somebody_else_is_told_from_what_is_kept(make: Make, public: Path) -> None:
    folder = Path(shutil.copytree(make(ROWS).folder, public / "set"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    names = sorted(folder.rglob("*"))

    said = run(
        f"""
import os
from pathlib import Path
from comet_magic.archive import Reader
from comet_magic.pipeline import open_dataset
from comet_magic.pipeline.summary import kept_summary
os.setgid(65534); os.setuid(65534)
folder = Path({str(folder)!r})
report = open_dataset(folder)
print(report.counts["done"], len(report), kept_summary(Reader(folder), folder).rows)
"""
    )

    assert said == "3 6 6\n"
    assert sorted(folder.rglob("*")) == names
