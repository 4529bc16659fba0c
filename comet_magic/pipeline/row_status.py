"""What became of a row, and whether it is still to be made: decided from what the ledger says, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Copy, Slot
    from .job import Redo
    from .row_index import IndexedRow, RunState

RowStatus = Literal["done", "refused", "failed", "unknown", "open", "over_budget", "cancelled"]
ROW_STATUSES: tuple[RowStatus, ...] = (
    "done",
    "refused",
    "failed",
    "unknown",
    "over_budget",
    "cancelled",
    "open",
)
# These end the run: they are about the key, the account or the limit, and no row is at fault.
STOPS = frozenset(
    {
        *("MissingKeyError", "AuthenticationError", "PermissionDeniedError", "QuotaError", "RateLimitError"),
        "ConfigurationError",
    }
)
# Nothing was sent whole, so the next run does it without being asked.
UNSENT = "APIConnectionError"


def should_send(slot: Slot | None, redo: Redo | None) -> bool:
    """Whether a run sends this copy: what no run has ended, or with `redo` just what ended so."""
    if slot is None or slot.error in STOPS or slot.outcome in ("cancelled", "over_budget"):
        return redo is None
    if slot.outcome == "failed" and slot.error == UNSENT:
        return redo in (None, "failed")
    return slot.outcome == redo


def row_status(row: IndexedRow, copy: Copy | None, state: RunState) -> RowStatus:
    """What a person sees of a row."""
    if row.error is not None:
        return "over_budget" if row.error == "BudgetExceededError" else "failed"
    if copy is None or copy.error in STOPS or copy.outcome == "over_budget":
        return "over_budget" if state == "over_budget" else "open"
    return copy.outcome


def in_words(counts: Mapping[str, int]) -> str:
    """Rows by outcome, without those that there are none of: "2 done, 1 refused"."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing yet"
