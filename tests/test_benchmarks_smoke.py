"""The benchmark runs and makes its table; what it measures is nobody's business here."""

import pytest

pytest.importorskip("trustme")

from tests.benchmarks.__main__ import report
from tests.benchmarks.harness import COLUMNS, Aim, Result, Scale, aims, growth, table

TINY = Scale(1, slow_rounds=1, calls=1, streams=1, pictures=2, steps=(2, 2), rows=(2, 4, 8))


def rows(text: str) -> list[list[str]]:
    """The cells of every line that belongs to a table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]


def test_one_round_makes_a_table_with_a_row_for_each_contender():
    found = rows(report(TINY, ["stream"]))
    heads = [row for row in found if row[0] == "work"]
    assert [len(head) for head in heads] == [9, 6]
    assert set(COLUMNS) < set(heads[0])
    who = [row[1] for row in found]
    assert {"comet_magic", "httpx"} <= set(who)


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
    assert rows(aims(promised, [result]))[2:] == [["work", "comet_magic", "stall ms", "12", "≤ 30", "held"]]


def test_growth_tells_how_often_the_cost_of_the_fewest_rows_is_in_that_of_the_most():
    result = Result("work", grows="O(n)")
    for size, cost in (("10 rows", 2.0), ("100 rows", 30.0)):
        result.add(size, {"CPU ms": cost})
    assert rows(growth([Result("elsewhere"), result]))[2:] == [["work", "O(n)", "2 ms", "30 ms", "15.0"]]
