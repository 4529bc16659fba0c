"""Money in the ledger: what a call weighs in each state, and whether one more fits. All in micro-USD."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import BudgetExceededError
from ..request import dollars
from .records import Budget, Spend

if TYPE_CHECKING:
    import sqlite3

    from .ledger import Ledger


class Weight(NamedTuple):
    """What one call adds to the sums."""

    spent: int = 0
    reserved: int = 0
    uncertain: int = 0
    calls: int = 0
    unpriced: int = 0


def weigh(state: str, reserved: int | None, cost: int | None) -> Weight:
    """What a call counts for: in flight its bound, uncertain its bound, settled its cost or else its bound."""
    bound = reserved or 0
    if state in {"claimed", "received"}:
        return Weight(reserved=bound, calls=1)
    if state == "unknown":
        return Weight(uncertain=bound, calls=1, unpriced=int(reserved is None))
    if state == "done" and cost is None:
        return Weight(spent=bound, calls=1, unpriced=int(reserved is None))
    return Weight(spent=cost or 0, calls=int(state in {"done", "rejected"}))


def move(connection: sqlite3.Connection, account: tuple[str, str, str], *, old: Weight, new: Weight) -> None:
    """Change the sums of a vendor, day and session from one weight of a call to another."""
    change = [after - before for before, after in zip(old, new, strict=True)]
    connection.execute(
        """INSERT INTO money (vendor, day, session, spent, reserved, uncertain, calls, unpriced)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (vendor, day, session) DO UPDATE SET
            spent = spent + excluded.spent, reserved = reserved + excluded.reserved,
            uncertain = uncertain + excluded.uncertain, calls = calls + excluded.calls,
            unpriced = unpriced + excluded.unpriced""",
        (*account, *change),
    )


def check(
    connection: sqlite3.Connection, account: tuple[str, str, str], *, budget: Budget, reserve: int | None
) -> None:
    """Whether a call that may cost `reserve` still fits every limit, with all that is in flight.

    Raises:
        BudgetExceededError: it does not, or its price is unknown.
    """
    vendor, day, session = account
    chosen = {"session": ("AND session = ?", [session]), "day": ("AND day = ?", [day]), "archive": ("", [])}
    for scope, limit in budget.limits:
        if reserve is None:
            message = f"the price of this call is unknown, and a limit of {dollars(limit)} per {scope} is set"
            raise BudgetExceededError(message, hint="Give price_per_image, in USD, or lift the limit.")
        condition, values = chosen[scope]
        query = "SELECT TOTAL(spent + reserved + uncertain) FROM money WHERE vendor = ? "
        counted = int(connection.execute(query + condition, [vendor, *values]).fetchone()[0])
        if counted + reserve > limit:
            message = (
                f"this call may cost {dollars(reserve)}, and {dollars(counted)} of the {dollars(limit)}"
                f" per {scope} are spent or in flight"
            )
            raise BudgetExceededError(message, hint="Raise the limit, or ask for less.")


def spend(ledger: Ledger, *, vendor: str | None, session: str | None, since: str | None) -> Spend:
    """The sums over a vendor's, a session's or all calls, from a day (YYYY-MM-DD) on."""
    rows = ledger.rows(
        """SELECT SUM(spent), SUM(reserved), SUM(uncertain), SUM(calls), SUM(unpriced) FROM money
        WHERE (?1 IS NULL OR vendor = ?1) AND (?2 IS NULL OR session = ?2) AND (?3 IS NULL OR day >= ?3)""",
        (vendor, session, since),
    )
    return Spend(*rows[0]) if rows and rows[0][0] is not None else Spend()
