"""The status of a row, and whether a run sends it: decided from the ledger and the one decision table, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ..errors import BudgetExceededError, CometError
from ..protocol import decisions
from ..protocol.decisions import RowStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Copy
    from .dataset import Redo
    from .row_index import IndexedRow, RunState

ROW_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)
_WORDS = {"open": "remaining", "over_budget": "over budget", "equal": "shared"}
_NOT_ENDED = frozenset({"open", "over_budget", "cancelled"})


def should_send(copy: Copy | None, redo: Redo | None) -> bool:
    """Whether a run sends a row: one that no run has ended, or with `redo` only those that ended so."""
    if copy is None:
        return redo is None
    if copy.outcome == "open":  # its call is running, here or in another process
        return False
    status = status_of(copy)
    return redo is None if status in _NOT_ENDED else status == redo


def status_of(copy: Copy) -> RowStatus:
    """What a row is by the last call for it."""
    return decisions.row_status(copy.outcome, copy.error)


def row_status(row: IndexedRow, copy: Copy | None, state: RunState) -> RowStatus:
    """What a person sees of a row: `open` if no run has ended it."""
    if row.error is not None:
        return "over_budget" if row.error == BudgetExceededError.__name__ else "failed"
    status = "open" if copy is None else status_of(copy)
    return "over_budget" if status == "open" and state == "over_budget" else status


def status_after(error: CometError | None) -> RowStatus:
    """What a row is after a call that ended with this error, as the ledger will have it."""
    if error is None:
        return "done"
    return "over_budget" if isinstance(error, BudgetExceededError) else decisions.row_after(error)


def ends_run(error: CometError) -> bool:
    """Whether a call's error ends the run: the key, the account, a setting or the disk is at fault, and no row."""
    return type(error).__name__ in (*decisions.ENDS_RUN, "SaveError")


def in_words(counts: Mapping[str, int]) -> str:
    """Rows by status, those that are 0 left out: "2 done, 1 refused, 7 remaining"."""
    words = (f"{count:,} {_WORDS.get(name, name)}" for name, count in counts.items() if count)
    return ", ".join(words) or "nothing yet"
