"""What one request on its way carries with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .events import Progress

if TYPE_CHECKING:
    from ..archive import Claim, RawAnswer
    from ..protocol import Policy, RetryBudget
    from .events import CallState
    from .job import Job, RunningCall
    from .limiter import Limiter


@dataclass(frozen=True)
class InFlight:
    """One claimed request under way: its job, its call, its claim in the ledger, its answer's body."""

    job: Job
    call: RunningCall
    claim: Claim
    raw: RawAnswer

    def tell(self, state: CallState, note: str = "") -> None:
        """Note a step, and hand it to whoever listens."""
        self.call.state = state
        if self.job.on_event is not None:
            elapsed = time.monotonic() - self.job.started
            self.job.on_event(Progress(self.call.index, len(self.job.requests), state, elapsed, note))


@dataclass(frozen=True)
class Manners:
    """How a client behaves toward a server: what all its calls share, and how patient this one is."""

    limiter: Limiter
    budget: RetryBudget
    policy: Policy
