"""Decisions on pictures: kept, rejected, made once more. The latest on a picture counts; none deletes a file.

The reason of a `reroll` is the index of the copy that is shown from then on.
"""

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
    """What was decided on a picture.

    Attributes:
        decision: the latest: `keep`, `reject` or `reroll`.
        reason: of that one, in the user's words, or "".
        by: the index of the copy that was made in its place and is shown; None if there is none.
    """

    decision: str
    reason: str
    by: int | None


_OF_KEYS = "key IN (SELECT value FROM json_each(?))"


def verdicts(ledger: Ledger, keys: Iterable[str]) -> dict[tuple[str, int], Verdict]:
    """What was decided on the pictures of these keys, by key and copy."""
    names = (json.dumps(list(keys)),)
    latest = f"SELECT key, copy, decision, reason, MAX(number) FROM decisions WHERE {_OF_KEYS} {{}} GROUP BY key, copy"  # noqa: S608
    by = {
        (key, copy): index
        for key, copy, _, reason, _ in ledger.rows(latest.format("AND decision = 'reroll'"), names)
        if (index := _index_in(reason)) is not None
    }
    return {
        (key, copy): Verdict(decision, clean(reason, limit=400) if reason else "", by.get((key, copy)))
        for key, copy, decision, reason, _ in ledger.rows(latest.format(""), names)
    }


def replacements(ledger: Ledger, keys: Iterable[str]) -> set[tuple[str, int]]:
    """Key and copy of each picture that was ever shown in the place of one of these keys, unless it was taken back."""
    query = f"SELECT key, reason FROM decisions WHERE decision = 'reroll' AND {_OF_KEYS}"  # noqa: S608
    found = ledger.rows(query, (json.dumps(list(keys)),))
    return {(key, index) for key, reason in found if (index := _index_in(reason)) is not None}


def _index_in(reason: object) -> int | None:
    """The copy index in the reason of a `reroll`; None in one that is not made as ours."""
    text = str(reason)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


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
