"""How many calls are in flight: one limiter per client, slowed as a whole by a 429.

The limit falls by a factor when the server says that it is too much, and climbs by one after every 25 successes.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DECREASE = 0.75
CLIMB_AFTER = 25  # successes


class Limiter:
    """Admits calls in the order they came; used on the engine's loop only."""

    def __init__(self, limit: int) -> None:
        self._most = limit
        self._limit = float(limit)
        self._running = 0
        self._successes = 0
        self._resume_at = 0.0
        self._lowered_at = float("-inf")
        self._queue: deque[anyio.Event] = deque()

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Wait for a place, and for the end of a pause; give the place back afterwards."""
        await self._enter()
        try:
            await self.pause()
            yield
        finally:
            self._running -= 1
            self._wake()

    async def pause(self) -> None:
        """Wait until nobody asked for patience any more."""
        # another 429 may make the pause longer meanwhile
        while (left := self._resume_at - time.monotonic()) > 0:  # noqa: ASYNC110
            await anyio.sleep(left)

    async def _enter(self) -> None:
        if self._running < self.limit and not self._queue:
            self._running += 1
            return
        turn = anyio.Event()
        self._queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # the place was given just before the cancellation
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
        """The server answered 429: nobody sends for `delay` seconds, and fewer side by side after that."""
        now = time.monotonic()
        self._resume_at = max(self._resume_at, now + delay)
        self._successes = 0
        if now - self._lowered_at > max(delay, 1.0):  # the answers of one crowd are one sign
            self._lowered_at = now
            self._limit = max(1.0, self._limit * DECREASE)

    def succeeded(self) -> None:
        """A call got its pictures."""
        self._successes += 1
        if self._successes % CLIMB_AFTER == 0 and self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1)
            self._wake()
