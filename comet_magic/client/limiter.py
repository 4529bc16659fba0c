"""How many calls are in flight and how fast they follow each other: one limiter per client.

A 429 pauses all calls of the client, and lowers both numbers: a server may limit requests a minute or requests side
by side. Both climb again slowly: the calls in flight by one after every 25 successes.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DECREASE = 0.75
CLIMB = 0.02  # of the rate for each second since the last success, and at most as much for each success
WINDOW = 5.0  # seconds over which the rate is measured
SAMPLE = 5  # requests taken within the window; fewer do not measure a rate
SLOWEST = 1 / 60  # requests a second
CLIMB_AFTER = 25  # successes


class Pace:
    """Spaces requests: without limit until the server refuses, then below the rate that it took, slowly rising again.

    Pure: the clock is passed in.

    Args:
        most: requests a second that are never exceeded.
    """

    def __init__(self, most: float = math.inf) -> None:
        self._most = self.rate = most
        self._free_at = 0.0
        self._sent: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._began = self._climbed_at = math.inf

    def turn(self, now: float) -> float:
        """Reserve the next free moment; gives the seconds until it."""
        start = max(self._free_at, now)
        self._free_at = start + 1 / self.rate
        self._began = min(self._began, start)
        self._sent.append(start)
        _forget(self._sent, now - WINDOW)
        return start - now

    def refused(self, now: float) -> None:
        """Count a request that was refused as one too many."""
        self._refused.append(now)
        _forget(self._refused, now - WINDOW)

    def slow_down(self, now: float) -> None:
        """Set the rate below the one that the server took lately."""
        span = min(WINDOW, max(1.0, now - self._began))
        taken = sum(1 for start in self._sent if start <= now) - len(self._refused)
        measured = taken / span if taken >= SAMPLE else self.rate
        self.rate = max(SLOWEST, min(self.rate, measured) * DECREASE)
        self._climbed_at = now

    def succeeded(self, now: float) -> None:
        """Raise the rate a little: a request was taken."""
        if self.rate < self._most and self._climbed_at < math.inf:
            share = min(CLIMB, CLIMB * (now - self._climbed_at))
            self.rate = min(self._most, self.rate * (1 + share))
            self._climbed_at = now


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] < before:
        times.popleft()


class Limiter:
    """Admits calls in the order they came; used on the loop's thread only.

    Args:
        limit: calls in flight at the most; the attribute of this name is how many may be now.
        per_minute: requests a minute at the most, evenly spaced.
    """

    def __init__(self, limit: int, *, per_minute: float | None = None) -> None:
        self._pace = Pace(per_minute / 60) if per_minute else Pace()
        self._most = self.limit = limit
        self._running = 0
        self._successes = 0
        self._resume_at = 0.0
        self._lowered_at = float("-inf")
        self._queue: deque[anyio.Event] = deque()

    @property
    def pause_left(self) -> float:
        """Seconds until the common pause after a 429 ends; any thread may ask."""
        return max(0.0, self._resume_at - time.monotonic())

    @property
    def per_minute(self) -> float | None:
        """Requests a minute that are sent at most now, None without such a limit; any thread may ask."""
        rate = self._pace.rate
        return None if rate == math.inf else rate * 60

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a slot for the block, after any pause; wait for one if all are taken."""
        if self._running < self.limit and not self._queue:
            self._running += 1
        else:
            turn = anyio.Event()
            self._queue.append(turn)
            await self._wait_for(turn)
        try:
            await self.pause()
            yield
        finally:
            self._running -= 1
            self._wake()

    async def wait(self, delay: float, *, crowded: bool) -> None:
        """Wait before a request is sent again; `crowded` after a 429, which pauses all calls."""
        if crowded:
            self.too_much(delay)
            await self.step_back()
        else:
            await anyio.sleep(delay)
            await self.pause()

    async def step_back(self) -> None:
        """Release the slot and rejoin at the head of the queue until the pause ends."""
        turn = anyio.Event()
        self._queue.appendleft(turn)
        self._running -= 1
        self._wake()
        try:
            await self._wait_for(turn)
        except BaseException:
            self._running += 1  # `admit` gives it back
            raise
        await self.pause()

    async def pause(self) -> None:
        """Wait for the end of the common pause, and for this request's turn."""
        while True:
            # another 429 may make the pause longer meanwhile
            while (left := self._resume_at - time.monotonic()) > 0:  # noqa: ASYNC110
                await anyio.sleep(left)
            if (left := self._pace.turn(time.monotonic())) > 0:
                await anyio.sleep(left)
            if self._resume_at <= time.monotonic():
                return

    async def _wait_for(self, turn: anyio.Event) -> None:
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # the slot was given just before the cancellation
                self._running -= 1
                self._wake()
            else:
                self._queue.remove(turn)
            raise

    def _wake(self) -> None:
        while self._queue and self._running < self.limit:
            self._running += 1
            self._queue.popleft().set()

    def too_much(self, delay: float) -> None:
        """Pause all calls for `delay` seconds after a 429, and let fewer run side by side afterwards."""
        now = time.monotonic()
        self._resume_at = max(self._resume_at, now + delay)
        self._successes = 0
        self._pace.refused(now)
        if now - self._lowered_at > max(delay, 1.0):  # several refusals at once count as one
            self._lowered_at = now
            self.limit = max(1, int(self.limit * DECREASE))
            self._pace.slow_down(now)

    def succeeded(self) -> None:
        """A call got its pictures."""
        self._pace.succeeded(time.monotonic())
        self._successes += 1
        if self._successes % CLIMB_AFTER == 0 and self.limit < self._most:
            self.limit += 1
            self._wake()
