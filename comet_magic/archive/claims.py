"""A call's life in the ledger: claimed, received, settled, and its money. Each function is part of one transaction.

Amounts are micro-USD.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from datetime import date
from itertools import chain, count, filterfalse, islice
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BudgetExceededError, ConfigurationError
from ..money import dollars
from ..protocol import call_status
from ..text import clean, clean_url
from .layout import is_place
from .records import Claim, Copy, CopyTaken

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ..errors import CometError
    from ..request import ImageRequest
    from .records import Budget, State, StoredPicture


def claim(
    connection: sqlite3.Connection,
    request: ImageRequest,
    *,
    vendor: str,
    reserve: int | None,
    budget: Budget,
    session: str,
    copies: Sequence[int] | None,
    redo: bool,
    call_id: str,
    timeout: float | None,
    owner: str,
    parents: Sequence[str],
    store_prompts: bool,
) -> Claim:
    """Claim a call: add its row, take its copies, reserve its money. `Archive.claim` explains the parameters.

    Raises:
        CopyTaken: a copy that was named is not free.
        BudgetExceededError: it would pass a limit.
    """
    key = request.key(vendor)
    chosen = _next_free(connection, key, request.n) if copies is None else tuple(copies)
    if copies is not None:
        _must_be_free(connection, key, chosen, redo=redo)
    account = (vendor, date.today().isoformat(), session)
    _must_fit(connection, account, budget=budget, reserve=reserve)
    claimed = Claim(call_id or secrets.token_hex(16), key, chosen, request, vendor, reserve)
    facts, asked = request.to_dict(), {**(request.asked or {})}
    prompt = facts.pop("prompt")
    if not store_prompts:
        asked.pop("prompt", None)
    row = {
        "id": claimed.id,
        "key": key,
        "vendor": vendor,
        "model": request.model,
        "prompt": prompt if store_prompts else None,
        "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
        "request": json.dumps(facts),
        "copies": json.dumps(chosen),
        "owner": owner,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "session": session,
        "day": account[1],
        "created": time.time(),
        "timeout": timeout,
        "reserved": reserve,
        "asked": json.dumps(asked) if asked else None,  # what a person gave, if it differs from what is sent
        "parents": json.dumps(parents) if parents else None,
        "inputs": json.dumps(request.inputs.to_list()) if request.inputs.images else None,
    }
    number = insert(connection, row)
    for position, copy in enumerate(chosen):
        _take(connection, key, copy, number, position)
    return claimed


def _take(connection: sqlite3.Connection, key: str, copy: int, number: int, position: int) -> None:
    """Give a copy to a call; it has no picture yet."""
    connection.execute(
        "INSERT OR REPLACE INTO pictures (key, copy, call, position) VALUES (?, ?, ?, ?)",
        (key, copy, number, position),
    )


def insert(connection: sqlite3.Connection, row: Mapping[str, Any]) -> int:
    """Add a claimed call by its columns, and count its money; gives its number."""
    cursor = connection.execute(
        """INSERT INTO calls (id, key, vendor, model, prompt, prompt_sha256, request, asked, copies, parents,
            inputs, state, owner, host, pid, session, day, created, timeout, reserved)
        VALUES (:id, :key, :vendor, :model, :prompt, :prompt_sha256, :request, :asked, :copies, :parents,
            :inputs, 'claimed', :owner, :host, :pid, :session, :day, :created, :timeout, :reserved)""",
        row,
    )
    account = (row["vendor"], row["day"], row["session"])
    _move_money(connection, account, old=_Weight(), new=_weigh("claimed", row["reserved"], None))
    return int(cursor.lastrowid or 0)


def _next_free(connection: sqlite3.Connection, key: str, wanted: int) -> tuple[int, ...]:
    query = "SELECT copy FROM slots WHERE key = ? AND NOT free"
    taken = set(chain.from_iterable(connection.execute(query, (key,))))
    return tuple(islice(filterfalse(taken.__contains__, count()), wanted))


def _must_be_free(connection: sqlite3.Connection, key: str, copies: Sequence[int], *, redo: bool) -> None:
    query = """SELECT key, copy, state, id, path, error, code, message FROM slots
        WHERE key = ? AND copy IN (SELECT value FROM json_each(?)) AND CASE WHEN ?
        THEN path IS NOT NULL OR state IN ('claimed', 'received') ELSE NOT free END"""
    taken = tuple(
        copy_of_row(row) for row in connection.execute(query, (key, json.dumps(list(copies)), redo))
    )
    if not taken:
        return
    what = {
        "open": "is being made by another call",
        "done": "is in the archive",
        "unknown": "may have been made",
    }
    message = f"copy {taken[0].copy} of this picture {what.get(taken[0].outcome, 'has an address to fetch it from')}"
    raise CopyTaken(message, taken=taken)


def copy_of_row(row: Sequence[Any]) -> Copy:
    """A copy as a row of (key, copy, state, id, path, error, code, message, facts of the picture...) tells of it."""
    key, copy, state, call_id, path, error, code, message, *facts = row
    place = path if is_place(path) else None
    outcome = "done" if place is not None else call_status(state, error, picture=False)
    return Copy(key, copy, outcome, call_id, place, error, code, message, *facts)


def receive(
    connection: sqlite3.Connection, claimed: Claim, *, facts: Mapping[str, Any], urls: Sequence[str | None]
) -> None:
    """Note that the answer is here, with the addresses of its pictures."""
    _only(connection, "SELECT number FROM calls WHERE id = ?", (claimed.id,))
    connection.execute(
        """UPDATE calls SET state = 'received', received = ?, request_id = ?, status = ?, usage = ?
        WHERE id = ?""",
        (time.time(), facts["request_id"], facts["status"], packed(facts["usage"]), claimed.id),
    )
    for position, url in enumerate(urls):
        if url is not None:
            place = (claimed.key, copy_at(connection, claimed, position))
            kept = url.encode("utf-8", "replace").decode()  # a lone surrogate has no bytes; it is not fetched
            connection.execute("UPDATE pictures SET url = ? WHERE key = ? AND copy = ?", (kept, *place))


def copy_at(connection: sqlite3.Connection, claimed: Claim, position: int) -> int:
    """The copy index of a call's picture: claimed, or the next free one for a picture nobody asked for."""
    query = """SELECT c.number, p.copy FROM calls c LEFT JOIN pictures p ON p.call = c.number AND p.position = ?
        AND typeof(p.copy) = 'integer' WHERE c.id = ?"""
    number, own = _only(connection, query, (position, claimed.id))
    if own is not None:
        return int(own)
    (copy,) = _next_free(connection, claimed.key, 1)
    _take(connection, claimed.key, copy, number, position)
    return copy


def settle(
    connection: sqlite3.Connection,
    call_id: str,
    state: State,
    *,
    facts: Mapping[str, Any],
    error: CometError | None = None,
    pictures: Sequence[StoredPicture] = (),
) -> sqlite3.Row:
    """Settle a call: state, money and pictures together; gives its row as it is then.

    `facts` are columns; None leaves a column as it was.
    """
    query = "SELECT number, state, reserved, cost, vendor, day, session FROM calls WHERE id = ?"
    number, old_state, reserved, old_cost, *account = _only(connection, query, (call_id,))
    cost = facts.get("cost")
    told: tuple[str | None, ...] = (None, None, None)
    if error:
        told = (type(error).__name__, clean(error.code, limit=200) if error.code else None, clean(error))
    connection.execute(
        """UPDATE calls SET state = ?, ended = ?, cost = ?, usage = COALESCE(?, usage),
            attempts = COALESCE(?, attempts), request_id = COALESCE(?, request_id),
            status = COALESCE(?, status), seconds = COALESCE(?, seconds),
            error = ?, code = ?, message = ? WHERE number = ?""",
        (
            *(state, time.time(), cost, packed(facts.get("usage")), facts.get("attempts")),
            *(facts.get("request_id"), facts.get("status"), facts.get("seconds"), *told, number),
        ),
    )
    for picture in pictures:
        record(connection, number, picture)
    old, new = _weigh(old_state, reserved, old_cost), _weigh(state, reserved, cost)
    _move_money(connection, (account[0], account[1], account[2]), old=old, new=new)
    return _only(connection, "SELECT * FROM calls WHERE id = ?", (call_id,))


def record(connection: sqlite3.Connection, number: int, picture: StoredPicture) -> None:
    """Record a picture that is on disk; its address loses its query, and a star stays."""
    query = "SELECT url, starred FROM pictures WHERE key = ? AND copy = ?"
    url, starred = connection.execute(query, (picture.key, picture.copy)).fetchone() or (None, None)
    connection.execute(
        """INSERT OR REPLACE INTO pictures (key, copy, call, position, url, path, mime, width, height, size,
            sha256, revised_prompt, unpasted, starred)
        VALUES (:key, :copy, :call, :position, :url, :path, :mime, :width, :height, :size,
            :sha256, :revised_prompt, :unpasted, :starred)""",
        {**vars(picture), "call": number, "url": clean_url(url) if url else None, "starred": starred},
    )


def _only(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(query, values).fetchone()
    if row is None:
        raise ConfigurationError("the ledger does not know this call", hint="Was it removed and made again?")
    return row


def packed(value: Any) -> str | None:
    """A value as JSON, None as nothing."""
    return None if value is None else json.dumps(value, default=str)


# --- money --------------------------------------------------------------------------------------------


class _Weight(NamedTuple):
    """What one call adds to the sums."""

    spent: int = 0
    reserved: int = 0
    uncertain: int = 0
    calls: int = 0
    unpriced: int = 0


def _weigh(state: str, reserved: int | None, cost: int | None) -> _Weight:
    """What a call counts for: in flight its bound, uncertain its bound, settled its cost or else its bound."""
    bound = reserved or 0
    if state in {"claimed", "received"}:
        return _Weight(reserved=bound, calls=1)
    if state == "unknown":
        return _Weight(uncertain=bound, calls=1, unpriced=int(reserved is None))
    if state == "done" and cost is None:
        return _Weight(spent=bound, calls=1, unpriced=int(reserved is None))
    return _Weight(spent=cost or 0, calls=int(state in {"done", "rejected"}))


def _move_money(
    connection: sqlite3.Connection, account: tuple[str, str, str], *, old: _Weight, new: _Weight
) -> None:
    """Change the sums of a vendor, day and session from one weight of a call to another."""
    connection.execute(
        """INSERT INTO money (vendor, day, session, spent, reserved, uncertain, calls, unpriced)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (vendor, day, session) DO UPDATE SET
            spent = spent + excluded.spent, reserved = reserved + excluded.reserved,
            uncertain = uncertain + excluded.uncertain, calls = calls + excluded.calls,
            unpriced = unpriced + excluded.unpriced""",
        (*account, *map(sub, new, old)),
    )


def _must_fit(
    connection: sqlite3.Connection, account: tuple[str, str, str], *, budget: Budget, reserve: int | None
) -> None:
    """Refuse a call that may cost `reserve` and would pass a limit, with all that is spent or in flight.

    Raises:
        BudgetExceededError: it does not fit, or its price is unknown.
    """
    vendor, day, session = account
    scopes: tuple[tuple[str, int | None, int, str, list[str]], ...] = (
        ("session", budget.session, budget.elsewhere, "AND session = ?", [session]),
        ("day", budget.day, budget.elsewhere_today, "AND day = ?", [day]),
        ("archive", budget.archive, 0, "", []),
    )
    for scope, limit, elsewhere, condition, values in scopes:
        if limit is None:
            continue
        if reserve is None:
            message = f"the price of this call is unknown, and a limit of {dollars(limit)} per {scope} is set"
            raise BudgetExceededError(message, hint="Give price_per_image, in USD, or lift the limit.")
        query = "SELECT TOTAL(spent + reserved + uncertain) FROM money WHERE vendor = ? "
        counted = elsewhere + int(connection.execute(query + condition, [vendor, *values]).fetchone()[0])
        if counted + reserve > limit:
            message = (
                f"this call may cost {dollars(reserve)}, and {dollars(counted)} of the {dollars(limit)}"
                f" per {scope} are spent or in flight"
            )
            raise BudgetExceededError(message, hint="Raise the limit, or ask for less.")
