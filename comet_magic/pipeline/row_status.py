"""What became of a row, and whether it is still to be made: decided from what the ledger says, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ..protocol import decisions
from ..protocol.decisions import RowStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Copy, Slot
    from .job import Redo
    from .row_index import IndexedRow, RunState

ROW_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)


def should_send(slot: Slot | None, redo: Redo | None) -> bool:
    """Whether a run sends this copy: what no run has ended, or with `redo` just what ended so."""
    if slot is None:
        return redo is None
    if slot.outcome == "open":  # another run has it
        return False
    status = decisions.row_status(slot.outcome, slot.error)
    return redo is None if status in ("open", "over_budget", "cancelled") else status == redo


def row_status(row: IndexedRow, copy: Copy | None, state: RunState) -> RowStatus:
    """What a person sees of a row."""
    if row.error is not None:
        return "over_budget" if row.error == "BudgetExceededError" else "failed"
    status = "open" if copy is None else decisions.row_status(copy.outcome, copy.error)
    return "over_budget" if status == "open" and state == "over_budget" else status


def in_words(counts: Mapping[str, int]) -> str:
    """Rows by status, without those that there are none of: "2 done, 1 refused"."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing yet"
