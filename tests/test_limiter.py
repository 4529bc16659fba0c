"""How many calls are in flight, how fast they follow each other, and what a refusal teaches."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import pytest

from comet_magic.client.limiter import CLIMB_AFTER, DECREASE, Limiter, Pace


def run(test: Callable[[], Awaitable[None]]) -> None:
    anyio.run(test)


def test_no_more_than_the_limit_run_side_by_side_and_in_order() -> None:
    running, most, order = 0, 0, []

    async def call(limiter: Limiter, number: int) -> None:
        nonlocal running, most
        async with limiter.admit():
            running, most = running + 1, max(most, running + 1)
            order.append(number)
            await anyio.sleep(0)
            running -= 1

    async def test() -> None:
        limiter = Limiter(3)
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(call, limiter, number)

    run(test)
    assert (most, order) == (3, list(range(20)))


def test_a_call_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    async def test() -> None:
        limiter = Limiter(1)
        async with limiter.admit():
            with anyio.move_on_after(0.01):
                async with limiter.admit():
                    pytest.fail("there was no place")
        with anyio.fail_after(1):
            async with limiter.admit():
                pass

    run(test)


def test_a_place_given_to_a_cancelled_call_is_passed_on() -> None:
    entered = []

    async def call(limiter: Limiter, name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with limiter.admit():
                entered.append(name)

    async def test() -> None:
        limiter, scopes = Limiter(1), [anyio.CancelScope(), anyio.CancelScope()]
        async with anyio.create_task_group() as group:
            async with limiter.admit():
                for name, scope in zip("ab", scopes, strict=True):
                    group.start_soon(call, limiter, name, scope)
                await anyio.wait_all_tasks_blocked()
            scopes[0].cancel()  # its turn has just come

    run(test)
    assert entered[-1] == "b"


def test_a_refusal_lowers_the_limit_once_for_a_crowd_and_successes_raise_it_again() -> None:
    async def test() -> None:
        limiter = Limiter(8)
        for _ in range(5):
            limiter.too_much(0.01)
        assert limiter.limit == 6
        for _ in range(2 * CLIMB_AFTER):
            limiter.succeeded()
        assert limiter.limit == 8

    run(test)


def test_after_a_refusal_everybody_waits() -> None:
    async def test() -> None:
        limiter = Limiter(4)
        limiter.too_much(60)
        with anyio.move_on_after(0.05):
            async with limiter.admit():
                pytest.fail("the pause is not over")

    run(test)


# --- the pace


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
