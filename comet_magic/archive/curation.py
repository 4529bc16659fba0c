"""Decisions on pictures: kept, rejected, made once more. The latest on a picture counts; none deletes a file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .ledger import Ledger

REROLLED = 1 << 20  # the first copy index of pictures that take the place of rejected ones


class Verdict(NamedTuple):
    """The latest decision on a picture.

    Attributes:
        decision: `keep`, `reject`, or `reroll`: the copy of number `by` is shown in its place.
        reason: why, in the user's words, or "".
    """

    decision: str
    reason: str
    by: int | None


def verdicts(ledger: Ledger, keys: Iterable[str]) -> dict[tuple[str, int], Verdict]:
    """The latest decision on each picture of these keys, by key and copy."""
    query = """SELECT key, copy, decision, reason, MAX(number) FROM decisions
        WHERE key IN (SELECT value FROM json_each(?)) GROUP BY key, copy"""
    found = {}
    for key, copy, decision, reason, _ in ledger.rows(query, (json.dumps(list(keys)),)):
        text = clean(reason, limit=400) if reason else ""
        by = int(text) if decision == "reroll" and text.isascii() and text.isdecimal() else None
        found[key, copy] = Verdict(decision, text, by)
    return found


def decide(ledger: Ledger, decision: str, reasons: Mapping[tuple[str, int], str]) -> None:
    """Note one decision on pictures by key and copy, each with its reason; `take_back` takes all of it back.

    Raises:
        ConfigurationError: the ledger cannot be written.
    """
    with ledger.transaction() as connection:
        (number,) = connection.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM decisions").fetchone()
        connection.executemany(
            "INSERT INTO decisions (key, copy, number, decision, reason, made) VALUES (?, ?, ?, ?, ?, ?)",
            [(*place, number, decision, reason, time.time()) for place, reason in reasons.items()],
        )


def take_back(ledger: Ledger) -> int:
    """Take the last decision back; gives on how many pictures it was, 0 if there is none.

    Raises:
        ConfigurationError: the ledger cannot be written.
    """
    with ledger.transaction() as connection:
        last = "DELETE FROM decisions WHERE number = (SELECT MAX(number) FROM decisions)"
        return connection.execute(last).rowcount
