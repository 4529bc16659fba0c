"""How fast requests follow each other, and what a refusal teaches."""

from __future__ import annotations

import math

from comet_magic.client.pace import DECREASE, Pace


def test_without_a_refusal_nobody_waits() -> None:
    pace = Pace()
    assert [pace.turn(1000.0) for _ in range(100)] == [0.0] * 100


def test_a_limit_spaces_requests_evenly() -> None:
    pace = Pace(2.0)
    assert [pace.turn(1000.0) for _ in range(3)] == [0.0, 0.5, 1.0]


def test_a_refusal_of_a_crowd_brings_the_pace_below_what_was_taken() -> None:
    pace = Pace()
    for step in range(100):
        pace.turn(1000.0 + step / 50)
    for _ in range(20):
        pace.refused(1002.0)
    pace.slow_down(1002.0)
    assert math.isclose(pace.rate, 80 / 2 * DECREASE)


def test_the_refusals_of_a_single_call_teach_no_pace() -> None:
    pace = Pace()
    for now in (1000.0, 1001.0, 1002.0):
        assert pace.turn(now) == 0.0
        pace.refused(now)
        pace.slow_down(now)
    assert pace.rate == math.inf


def test_successes_bring_the_pace_slowly_back_to_what_is_allowed() -> None:
    pace = Pace(10.0)
    for step in range(20):
        pace.turn(1000.0 + step / 10)
    pace.refused(1002.0)
    pace.slow_down(1002.0)
    low = pace.rate
    pace.succeeded(1003.0)
    assert low < pace.rate < low * 1.05
    for second in range(200):
        pace.succeeded(1004.0 + second)
    assert pace.rate == 10.0
