"""What one request on its way carries with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        self.job.progress(self.call, state, note)


@dataclass(frozen=True)
class Manners:
    """How a client behaves toward a server: what all its calls share, and how patient this one is."""

    limiter: Limiter
    budget: RetryBudget
    policy: Policy
