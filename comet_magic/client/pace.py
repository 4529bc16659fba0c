"""How many requests a second: what a person allows, and what the server's refusals teach.

Pure: the clock is passed in.
"""

from __future__ import annotations

import math
from collections import deque

DECREASE = 0.75
CLIMB = 0.02  # of the rate for each second since the last success, and at most as much for each success
WINDOW = 5.0  # seconds that tell how fast it went
SAMPLE = 5  # requests taken within the window; fewer tell nothing of a pace
SLOWEST = 1 / 60  # requests a second


class Pace:
    """As fast as one likes until the server refuses; then below what it took, and slowly up again.

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
        """Seconds until one's turn, which is taken by asking."""
        start = max(self._free_at, now)
        self._free_at = start + 1 / self.rate
        self._began = min(self._began, start)
        self._sent.append(start)
        _forget(self._sent, now - WINDOW)
        return start - now

    def refused(self, now: float) -> None:
        """A request was refused for being one too many."""
        self._refused.append(now)
        _forget(self._refused, now - WINDOW)

    def slow_down(self, now: float) -> None:
        """Go on below the pace that the server took lately."""
        span = min(WINDOW, max(1.0, now - self._began))
        taken = sum(1 for start in self._sent if start <= now) - len(self._refused)
        measured = taken / span if taken >= SAMPLE else self.rate
        self.rate = max(SLOWEST, min(self.rate, measured) * DECREASE)
        self._climbed_at = now

    def succeeded(self, now: float) -> None:
        """A request was taken: a little faster."""
        if self.rate < self._most and self._climbed_at < math.inf:
            share = min(CLIMB, CLIMB * (now - self._climbed_at))
            self.rate = min(self._most, self.rate * (1 + share))
            self._climbed_at = now


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] < before:
        times.popleft()
