"""Questions to the ledger: what is stored, what is open, what was made. Nothing here writes."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING, Any

from comet_magic.errors import CometError
from comet_magic.request import ImageRequest
from comet_magic.text import clean_url

from .claims import slot_of
from .records import Call, Entry, OpenCall, Slot, StoredPicture, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .ledger import Ledger

_KEYS_AT_ONCE = 5_000  # so that a plan of a hundred thousand rows never holds the ledger for long

_PICTURE = """SELECT p.call, p.key, p.copy, c.id, p.position, p.path, p.mime, p.width, p.height, p.size, p.sha256,
    p.revised_prompt, c.request_id,
    c.cost / (SELECT COUNT(*) FROM pictures s WHERE s.call = p.call AND s.path IS NOT NULL)
    FROM pictures p JOIN calls c ON c.number = p.call"""
_CALL = "SELECT id, key, copies, request, prompt, vendor, reserved FROM calls"
_ENTRY = """SELECT number, id, key, created, ended, vendor, model, prompt, request, state, cost, reserved,
    request_id, usage, attempts, session, run, error, code, message FROM calls"""


def stored(ledger: Ledger, key: str) -> list[StoredPicture]:
    """The pictures of a request on disk, newest first."""
    query = f"{_PICTURE} WHERE p.key = ? AND p.path > '' ORDER BY p.call DESC, p.copy DESC"
    return [StoredPicture(*row[1:]) for row in ledger.rows(query, (key,))]


def find_copy(ledger: Ledger, key: str, copy: int) -> StoredPicture | None:
    """One picture on disk, or None."""
    rows = ledger.rows(f"{_PICTURE} WHERE p.key = ? AND p.copy = ? AND p.path > ''", (key, copy))
    return StoredPicture(*rows[0][1:]) if rows else None


def have(ledger: Ledger, keys: Iterable[str]) -> dict[str, list[Slot]]:
    """What became of every copy of these keys, in the order of the copies."""
    found: dict[str, list[Slot]] = {}
    remaining = iter(dict.fromkeys(keys))
    while batch := list(islice(remaining, _KEYS_AT_ONCE)):
        query = """SELECT p.key, p.copy, c.state, c.id, p.path, c.error, c.code, c.message
            FROM json_each(?) k JOIN pictures p ON p.key = k.value JOIN calls c ON c.number = p.call
            ORDER BY p.key, p.copy"""
        for row in ledger.rows(query, (json.dumps(batch),)):
            found.setdefault(row[0], []).append(slot_of(row))
    return found


def call_of(row: Sequence[Any]) -> Call:
    """A call read back."""
    call_id, key, copies, request, prompt, vendor, reserved = row
    return Call(call_id, key, tuple(json.loads(copies)), _request(request, prompt), vendor, reserved)


def find_call(ledger: Ledger, call_id: str) -> Call | None:
    """A call by its whole id, or None."""
    rows = ledger.rows(f"{_CALL} WHERE id = ?", (call_id,))
    return call_of(rows[0]) if rows else None


def missing_urls(ledger: Ledger, call_id: str) -> tuple[tuple[int, str], ...]:
    """Positions and addresses of a call's pictures that are not here."""
    query = """SELECT p.position, p.url FROM pictures p JOIN calls c ON c.number = p.call
        WHERE c.id = ? AND p.path IS NULL AND p.url IS NOT NULL ORDER BY p.position"""
    return tuple((position, url) for position, url in ledger.rows(query, (call_id,)))


def open_calls(ledger: Ledger, states: Sequence[str], is_alive: Callable[[str], bool]) -> list[OpenCall]:
    """The calls in these states, oldest first."""
    marks = ", ".join(f"'{state}'" for state in states)
    query = f"""SELECT id, created, state, vendor, model, prompt, copies, reserved, request_id, owner
        FROM calls WHERE state IN ({marks}) ORDER BY number"""
    calls = []
    for call_id, created, state, vendor, model, prompt, copies, reserved, request_id, owner in ledger.rows(
        query
    ):
        urls = tuple(clean_url(url) for _, url in missing_urls(ledger, call_id))
        alive = state != "unknown" and is_alive(owner)
        when, numbers = datetime.fromtimestamp(created), tuple(json.loads(copies))
        calls.append(
            OpenCall(call_id, when, state, vendor, model, prompt, numbers, reserved, request_id, alive, urls)
        )
    return calls


def history(
    ledger: Ledger, *, words: str, limit: int | None, model: str | None, since: date | datetime | None
) -> list[Entry]:
    """Calls, newest first, whose prompt holds every word."""
    conditions, values = ["state != 'over_budget'"], list[Any]()
    for word in words.split():
        conditions.append("INSTR(folded(prompt), ?) > 0")
        values.append(word.casefold())
    if model:
        conditions.append("model = ?")
        values.append(model)
    if since:
        start = since if isinstance(since, datetime) else datetime.combine(since, time())
        conditions.append("created >= ?")
        values.append(start.timestamp())
    query = f"{_ENTRY} WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?"
    return list(_entries(ledger, ledger.rows(query, [*values, -1 if limit is None else limit])))


def entry(ledger: Ledger, call_id: str) -> Entry | None:
    """The call whose id begins so, or None where none or several do."""
    if not call_id.isalnum():
        return None
    rows = ledger.rows(f"{_ENTRY} WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", (call_id.lower(),))
    return next(_entries(ledger, rows)) if len(rows) == 1 else None


def run_entries(ledger: Ledger, run: str) -> list[Entry]:
    """Every call of a run, oldest first, with those that there was no money for."""
    return list(_entries(ledger, ledger.rows(f"{_ENTRY} WHERE run = ? ORDER BY number", (run,))))


def _entries(ledger: Ledger, rows: Sequence[Sequence[Any]]) -> Iterator[Entry]:
    pictures = _pictures_of(ledger, [row[0] for row in rows])
    for row in rows:
        yield _entry(row, tuple(pictures.get(row[0], ())))


def _pictures_of(ledger: Ledger, numbers: Sequence[int]) -> dict[int, list[StoredPicture]]:
    query = f"""{_PICTURE} WHERE p.path IS NOT NULL AND p.call IN (SELECT value FROM json_each(?))
        ORDER BY p.call, p.position"""
    found: dict[int, list[StoredPicture]] = {}
    for row in ledger.rows(query, (json.dumps(list(numbers)),)) if numbers else ():
        found.setdefault(row[0], []).append(StoredPicture(*row[1:]))
    return found


def _entry(row: Sequence[Any], pictures: tuple[StoredPicture, ...]) -> Entry:
    (_, call_id, key, created, ended, vendor, model, prompt, request, state, cost, reserved, request_id,
     usage, attempts, session, run, error, code, message) = row  # fmt: skip
    settled_free = state in {"rejected", "cancelled", "over_budget"}
    return Entry(
        id=call_id,
        key=key,
        created=datetime.fromtimestamp(created),
        ended=datetime.fromtimestamp(ended) if ended else None,
        vendor=vendor,
        model=model,
        prompt=prompt,
        request=_request(request, prompt),
        parameters=json.loads(request),
        state=state,
        outcome=outcome_of(state, error, picture=bool(pictures)),
        cost=0 if settled_free and cost is None else cost,
        bound=cost if cost is not None or settled_free else reserved,
        request_id=request_id,
        usage=json.loads(usage) if usage else None,
        attempts=attempts,
        session=session,
        run=run,
        error=error,
        code=code,
        message=message,
        pictures=pictures,
    )


def _request(facts: str, prompt: str | None) -> ImageRequest | None:
    if prompt is None:
        return None
    try:
        return ImageRequest.from_dict({**json.loads(facts), "prompt": prompt})
    except CometError:  # the table of models has changed since
        return None
