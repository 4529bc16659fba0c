"""How many calls are in flight, and how a client slows down as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from comet_magic.client.limiter import CLIMB_AFTER, Limiter


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
        limiter.too_much(0.2)
        started = anyio.current_time()
        async with limiter.admit():
            assert anyio.current_time() - started >= 0.19

    run(test)
