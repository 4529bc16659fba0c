"""A call's life in the ledger: claimed, received, settled. Each function is one part of one transaction."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..protocol import call_status
from ..text import clean, clean_url
from .budget import Weight, check, move, weigh
from .records import Budget, Claim, CopyTaken, Slot, State, StoredPicture

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ..errors import CometError
    from ..request import ImageRequest


@dataclass(frozen=True)
class ClaimRequest:
    """What is to be claimed, for whom, and by which process."""

    request: ImageRequest
    vendor: str
    reserve: int | None
    session: str
    run: str
    owner: str
    prompts: bool
    id: str = ""  # "" for a new one


def claim(
    connection: sqlite3.Connection,
    wanted: ClaimRequest,
    *,
    budget: Budget,
    copies: Sequence[int] | None,
    redo: bool,
) -> Claim:
    """A row for the call, its copies and its money, or the reason why not.

    Raises:
        CopyTaken: a copy that was named is not free.
        BudgetExceededError: it would pass a limit.
    """
    key = wanted.request.key(wanted.vendor)
    chosen = _next_free(connection, key, wanted.request.n) if copies is None else tuple(copies)
    if copies is not None:
        _must_be_free(connection, key, chosen, redo=redo)
    check(connection, _account(wanted), budget=budget, reserve=wanted.reserve)
    return _insert(connection, wanted, key, chosen, "claimed")


def refuse(
    connection: sqlite3.Connection, wanted: ClaimRequest, copies: Sequence[int] | None, error: CometError
) -> None:
    """A row that says that there was no money for it."""
    key = wanted.request.key(wanted.vendor)
    chosen = _next_free(connection, key, wanted.request.n) if copies is None else tuple(copies)
    call = _insert(connection, wanted, key, chosen, "over_budget")
    connection.execute(
        "UPDATE calls SET ended = ?, error = ?, message = ? WHERE id = ?",
        (time.time(), type(error).__name__, clean(error), call.id),
    )


def _account(wanted: ClaimRequest) -> tuple[str, str, str]:
    return wanted.vendor, date.today().isoformat(), wanted.session


def _next_free(connection: sqlite3.Connection, key: str, count: int) -> tuple[int, ...]:
    query = "SELECT copy FROM slots WHERE key = ? AND NOT free"
    taken = {copy for (copy,) in connection.execute(query, (key,))}
    free = (copy for copy in range(len(taken) + count) if copy not in taken)
    return tuple(copy for copy, _ in zip(free, range(count), strict=False))


def _must_be_free(connection: sqlite3.Connection, key: str, copies: Sequence[int], *, redo: bool) -> None:
    query = """SELECT key, copy, state, id, path, error, code, message FROM slots
        WHERE key = ?1 AND copy IN (SELECT value FROM json_each(?2)) AND CASE WHEN ?3
        THEN path IS NOT NULL OR state IN ('claimed', 'received') ELSE NOT free END"""
    taken = tuple(slot_of(row) for row in connection.execute(query, (key, json.dumps(list(copies)), redo)))
    if not taken:
        return
    what = {
        "open": "is being made by another call",
        "done": "is in the archive",
        "unknown": "may have been made",
    }
    message = f"copy {taken[0].copy} of this picture {what.get(taken[0].outcome, 'has an address to fetch it from')}"
    raise CopyTaken(message, taken=taken)


def slot_of(row: Sequence[Any]) -> Slot:
    """A row of the slot query as a value."""
    key, copy, state, call_id, path, error, code, message = row
    outcome = "done" if path is not None else call_status(state, error, picture=False)
    return Slot(key, copy, outcome, call_id, path, error, code, message)


def _insert(
    connection: sqlite3.Connection, wanted: ClaimRequest, key: str, copies: tuple[int, ...], state: State
) -> Claim:
    request = wanted.request
    facts = request.to_dict()
    prompt = facts.pop("prompt")
    reserved = wanted.reserve if state == "claimed" else 0
    call = Claim(wanted.id or uuid.uuid4().hex, key, copies, request, wanted.vendor, reserved)
    account = _account(wanted)
    cursor = connection.execute(
        """INSERT INTO calls (id, key, vendor, model, prompt, prompt_sha256, request, copies, state, owner,
            host, pid, session, run, day, created, reserved)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            *(call.id, key, wanted.vendor, request.model, prompt if wanted.prompts else None),
            *(hashlib.sha256(prompt.encode()).hexdigest(), json.dumps(facts), json.dumps(copies), state),
            *(wanted.owner, socket.gethostname(), os.getpid(), wanted.session, wanted.run, account[1]),
            *(time.time(), reserved),
        ),
    )
    _take(connection, call, cursor.lastrowid, for_good=state == "claimed")
    move(connection, account, old=Weight(), new=weigh(state, reserved, None))
    return call


def _take(connection: sqlite3.Connection, call: Claim, number: int | None, *, for_good: bool) -> None:
    places = [(call.key, copy, number, position) for position, copy in enumerate(call.copies)]
    # A call that there was no money for is of no interest once its copy is asked for again.
    former = """SELECT call FROM slots WHERE key = ? AND copy IN (SELECT value FROM json_each(?))
        AND state = 'over_budget'"""
    for (one,) in connection.execute(former, (call.key, json.dumps(call.copies))).fetchall():
        connection.execute("DELETE FROM pictures WHERE call = ?", (one,))
        connection.execute("DELETE FROM calls WHERE number = ?", (one,))
    # Without money nothing is taken: what became of a copy before stays known.
    connection.executemany(
        "INSERT OR REPLACE INTO pictures (key, copy, call, position) VALUES (?, ?, ?, ?)"
        if for_good
        else "INSERT OR IGNORE INTO pictures (key, copy, call, position) VALUES (?, ?, ?, ?)",
        places,
    )


def receive(
    connection: sqlite3.Connection, call: Claim, *, facts: Mapping[str, Any], urls: Sequence[str | None]
) -> None:
    """Note that the answer is here, with the addresses of its pictures."""
    _only(connection, "SELECT number FROM calls WHERE id = ?", (call.id,))
    connection.execute(
        """UPDATE calls SET state = 'received', received = ?, request_id = ?, status = ?, usage = ?
        WHERE id = ?""",
        (time.time(), facts["request_id"], facts["status"], packed(facts["usage"]), call.id),
    )
    for position, url in enumerate(urls):
        if url is not None:
            place = (call.key, copy_of(connection, call, position))
            kept = url.encode("utf-8", "replace").decode()  # a lone surrogate has no bytes; it is not fetched
            connection.execute("UPDATE pictures SET url = ? WHERE key = ? AND copy = ?", (kept, *place))


def copy_of(connection: sqlite3.Connection, call: Claim, position: int) -> int:
    """The copy index of a call's picture: claimed, or the next free one for a picture nobody asked for."""
    query = """SELECT c.number, p.copy FROM calls c LEFT JOIN pictures p ON p.call = c.number AND p.position = ?
        WHERE c.id = ?"""
    number, own = _only(connection, query, (position, call.id))
    if own is not None:
        return int(own)
    (copy,) = _next_free(connection, call.key, 1)
    connection.execute(
        "INSERT OR REPLACE INTO pictures (key, copy, call, position) VALUES (?, ?, ?, ?)",
        (call.key, copy, number, position),
    )
    return copy


def settle(
    connection: sqlite3.Connection,
    call_id: str,
    state: State,
    *,
    facts: Mapping[str, Any],
    error: CometError | None = None,
    pictures: Sequence[StoredPicture] = (),
) -> None:
    """The end of a call: state, money and pictures together. `facts` are columns; None leaves one as it was."""
    query = "SELECT number, state, reserved, cost, vendor, day, session FROM calls WHERE id = ?"
    number, old_state, reserved, old_cost, *account = _only(connection, query, (call_id,))
    cost = facts.get("cost")
    told: tuple[str | None, ...] = (None, None, None)
    if error:
        told = (type(error).__name__, clean(error.code, limit=200) if error.code else None, clean(error))
    connection.execute(
        """UPDATE calls SET state = ?, ended = ?, cost = ?, usage = COALESCE(?, usage),
            attempts = COALESCE(?, attempts), request_id = COALESCE(?, request_id),
            status = COALESCE(?, status), error = ?, code = ?, message = ? WHERE number = ?""",
        (
            *(state, time.time(), cost, packed(facts.get("usage")), facts.get("attempts")),
            *(facts.get("request_id"), facts.get("status"), *told, number),
        ),
    )
    for picture in pictures:
        record(connection, number, picture)
    old, new = weigh(old_state, reserved, old_cost), weigh(state, reserved, cost)
    move(connection, (account[0], account[1], account[2]), old=old, new=new)


def record(connection: sqlite3.Connection, number: int, picture: StoredPicture) -> None:
    """A picture that is on disk; its address loses its query."""
    found = connection.execute(
        "SELECT url FROM pictures WHERE key = ? AND copy = ?", (picture.key, picture.copy)
    ).fetchone()
    url = clean_url(found[0]) if found and found[0] else None
    connection.execute(
        """INSERT OR REPLACE INTO pictures (key, copy, call, position, url, path, mime, width, height, size,
            sha256, revised_prompt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            *(picture.key, picture.copy, number, picture.position, url, picture.path, picture.mime),
            *(picture.width, picture.height, picture.size, picture.sha256, picture.revised_prompt),
        ),
    )


def _only(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> Sequence[Any]:
    row: Sequence[Any] | None = connection.execute(query, values).fetchone()
    if row is None:
        raise ConfigurationError("the ledger does not know this call", hint="Was it removed and made again?")
    return row


def packed(value: Any) -> str | None:
    """A value as JSON, None as nothing."""
    return None if value is None else json.dumps(value, default=str)
