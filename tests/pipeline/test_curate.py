"""Choosing among the pictures of a dataset: rejecting, keeping, taking back, and what runs make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comet_magic.errors import InvalidRequestError
from comet_magic.pipeline import open_dataset

TABLE = [{"prompt": f"boat {number}", "label": number % 2} for number in range(4)]


def statuses(report: Any) -> list[str]:
    return [record["outcome"] for record in report.records()]


def test_a_mask_goes_by_the_rows_of_the_frame(make) -> None:
    report = make(TABLE)
    frame = report.to_frame()
    report.reject(frame["label"] == 1, reason="odd")

    assert statuses(report) == ["done", "rejected", "done", "rejected"]
    assert [record["message"] for record in report.records()] == [None, "odd", None, "odd"]
    assert [image is None for image in report.to_frame()["image"]] == [False, True, False, True]
    assert report.counts["rejected"] == 2
    assert report.by("label").to_frame()["rejected"].tolist() == [0, 2]
    lines = [json.loads(line) for line in (report.folder / "metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] is None for line in lines] == [False, True, False, True]


def test_a_function_gets_the_row_and_places_are_counted_as_in_the_report(make) -> None:
    report = make(TABLE)

    assert statuses(report.reject(lambda row: row["label"] == 1 and row["width"] > 0)).count("rejected") == 2
    assert statuses(report.keep([3])) == ["done", "rejected", "done", "done"]
    assert statuses(report.reject(0)) == ["rejected", "rejected", "done", "done"]
    assert report[0]["outcome"] == "rejected"


def test_each_decision_can_be_taken_back_whole_one_after_the_other(make) -> None:
    report = make(TABLE).reject([0, 1]).reject([1, 2]).keep([0])

    assert statuses(report) == ["done", "rejected", "rejected", "done"]
    assert statuses(report.undo()) == ["rejected", "rejected", "rejected", "done"]
    assert statuses(report.undo()) == ["rejected", "rejected", "done", "done"]
    assert statuses(report.undo()) == ["done"] * 4
    with pytest.raises(InvalidRequestError, match="no decision"):
        report.undo()


def test_no_run_brings_a_rejected_picture_back_or_pays_for_it_again(endpoint, make) -> None:
    make(TABLE).reject([0, 2])
    sent = endpoint.paid
    again = make(TABLE)

    assert statuses(again) == ["rejected", "done", "rejected", "done"]
    assert endpoint.paid == sent
    assert again.spend.spent == pytest.approx(0.16)
    assert statuses(open_dataset(again.folder)) == statuses(again)


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ([True, False], "the mask has 2 values; there are 4 rows"),
        ([9], "row 9 is not there"),
        ("done", "given as str"),
        ([0, True], "give a mask"),
        ([None, True], "give a mask"),
        ({"label": 1}, "give a mask"),
    ],
)
def test_what_does_not_name_rows_is_refused_and_decides_nothing(make, which, said) -> None:
    report = make(TABLE)
    with pytest.raises(InvalidRequestError, match=said):
        report.reject(which)
    assert statuses(report) == ["done"] * 4
