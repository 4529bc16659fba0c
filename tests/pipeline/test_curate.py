"""Choosing among the pictures of a dataset: rejecting, keeping, taking back, and what runs make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comet_magic.errors import InvalidRequestError
from comet_magic.pipeline import open_dataset
from tests.pipeline.maker import kill
from tests.processes import start

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


def test_a_reroll_pays_one_further_picture_for_each_rejected_row_which_shows_it_from_then_on(
    endpoint, make
) -> None:
    report = make(TABLE)
    before = [record["file_name"] for record in report.records()]
    report.reject([0, 2]).reroll(progress=False)
    after = [record["file_name"] for record in report.records()]

    assert statuses(report) == ["done"] * 4
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, False, True]
    assert all((report.folder / name).is_file() for name in before)
    assert endpoint.paid == 6
    assert report.counts["done"] == 4
    assert report.spend.spent == pytest.approx(0.24)
    assert sum(report.by("label").to_frame()["cost"]) == pytest.approx(0.16)

    again = make([*TABLE, TABLE[0]])  # one row more of the same prompt has a picture of its own
    assert [record["file_name"] for record in again.records()][:4] == after
    assert endpoint.paid == 7
    assert len({record["file_name"] for record in again.records()}) == 5


def test_a_rerolled_picture_can_be_rejected_and_rerolled_again_and_all_be_taken_back(endpoint, make) -> None:
    report = make(TABLE[:1])
    names = [report[0]["file_name"]]
    for _ in range(2):
        report.reject(0, reason="worse").reroll(progress=False)
        names.append(report[0]["file_name"])

    assert len(set(names)) == 3
    assert endpoint.paid == 3
    assert statuses(report.undo()) == ["rejected"]
    assert report.undo()[0]["file_name"] == names[1]
    assert report.undo().undo()[0]["file_name"] == names[0]


def test_a_reroll_without_a_rejected_row_is_an_error_and_sends_nothing(endpoint, make) -> None:
    report = make(TABLE)
    with pytest.raises(InvalidRequestError, match="no row is rejected"):
        report.reroll(progress=False)
    assert endpoint.paid == 4


def test_a_reroll_keeps_the_budget_of_the_dataset_and_what_it_could_not_buy_stays_rejected(
    endpoint, make
) -> None:
    report = make(TABLE).reject([0, 1]).reroll(progress=False, max_cost=0.21)

    assert sorted(statuses(report)) == ["done", "done", "done", "rejected"]
    assert endpoint.paid == 5


def test_a_reroll_takes_a_picture_that_is_paid_and_not_shown_before_it_pays(endpoint, make) -> None:
    report = make(TABLE[:1]).reject(0).reroll(progress=False)
    name = report[0]["file_name"]
    report.undo().reroll(progress=False)

    assert report[0]["file_name"] == name
    assert endpoint.paid == 2


# --- a reroll that is killed, or whose calls fail

KILLED = """
import os, signal, sys
from comet_magic.archive import Archive
from comet_magic.pipeline import open_dataset
if sys.argv[3] == "before its decision":
    Archive.decide = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
open_dataset(sys.argv[1]).reroll(
    base_url=sys.argv[2], api_key="sandbox", price_per_image=0.04, progress=False)
"""


def test_a_reroll_killed_between_its_pictures_and_their_decision_pays_for_none_twice(endpoint, make) -> None:
    report = make(TABLE).reject([0, 2], reason="worse")
    start(KILLED, report.folder, endpoint.base_url, "before its decision").communicate(timeout=60)

    assert endpoint.paid == 6
    assert statuses(report) == ["rejected", "done", "rejected", "done"]
    assert len(list(report.folder.glob("images/*/*/*.png"))) == 6

    report.reroll(progress=False)
    assert endpoint.paid == 6
    assert statuses(report) == ["done"] * 4
    assert len({record["file_name"] for record in report.records()}) == 4


def test_a_reroll_killed_in_its_call_leaves_the_row_rejected_until_one_more_is_asked_for(
    endpoint, make
) -> None:
    report = make(TABLE[:1]).reject(0)
    endpoint.delay = 600
    process = start(KILLED, report.folder, endpoint.base_url, "in its call")
    endpoint.until(lambda seen: seen.paid == 2)
    kill(process)
    endpoint.delay = 0.0

    report.reroll(progress=False)
    assert (statuses(report), endpoint.paid) == (["rejected"], 2)
    with pytest.warns(UserWarning, match="1 earlier call of reroll is unknown and may be billed"):
        report.reroll(progress=False)
    assert (statuses(report), endpoint.paid) == (["done"], 3)


def test_a_row_whose_further_picture_was_refused_is_made_by_the_next_reroll(endpoint, make) -> None:
    endpoint.forgiving = True
    report = make(["REFUSE a"]).reject(0)
    endpoint.forgiving = False
    report.reroll(progress=False)
    assert (statuses(report), endpoint.paid) == (["rejected"], 1)
    endpoint.forgiving = True

    report.reroll(progress=False)
    assert (statuses(report), endpoint.paid) == (["done"], 2)
