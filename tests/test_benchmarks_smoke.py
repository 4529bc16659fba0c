"""The benchmark runs and makes its table; what it measures is nobody's business here."""

import pytest

pytest.importorskip("trustme")

from tests.benchmarks.__main__ import report
from tests.benchmarks.harness import COLUMNS, Aim, Result, Scale, aims, table

TINY = Scale(1, calls=1, streams=1, pictures=2, in_flight=(2,), steps=(2, 2), rows=2, slow_rounds=1)


def rows(text: str) -> list[list[str]]:
    """The cells of every line that belongs to a table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]


def test_one_round_makes_a_table_with_a_row_for_each_contender():
    found = rows(report(TINY, ["picture", "stream"]))
    heads = [row for row in found if row[0] == "work"]
    assert [len(head) for head in heads] == [9, 5]
    assert set(COLUMNS) < set(heads[0])
    who = [row[1] for row in found]
    assert {"comet_magic", "comet_magic, archive on: send, receive, base64", "httpx"} <= set(who)


def test_ratios_are_taken_within_a_round():
    result = Result("work")
    for ours, theirs in ((1.0, 2.0), (10.0, 40.0), (3.0, 6.0)):
        result.add("comet_magic", {"wall ms": ours})
        result.add("openai", {"wall ms": theirs})
    assert rows(table([result]))[2][:5] == ["work", "comet_magic", "3", "0.50", "-"]


def test_an_aim_stands_beside_what_was_measured_and_is_left_out_when_nothing_was():
    result = Result("work")
    result.add("comet_magic", {"stall ms": 12.0})
    promised = (Aim("work", "stall ms", 30), Aim("elsewhere", "stall ms", 30))
    assert rows(aims(promised, [result]))[2:] == [["work", "comet_magic", "stall ms", "12", "≤ 30"]]
