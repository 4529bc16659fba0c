"""Questions to the ledger: what is stored, what is open, what was made. Nothing here writes."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import CometError
from ..files import is_name_inside
from ..protocol import call_status
from ..request import ImageRequest
from ..text import clean_url
from .claims import slot_of
from .ledger import COLUMNS
from .records import Claim, Copy, Entry, OpenCall, Slot, StoredPicture, is_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..protocol import CallStatus
    from .ledger import Ledger

_KEYS_AT_ONCE = 5_000  # so that a plan of a hundred thousand rows never holds the ledger for long


def stored(ledger: Ledger, key: str) -> list[StoredPicture]:
    """The pictures of a request on disk, newest first."""
    query = """SELECT key, copy, id, position, path, mime, width, height, size, sha256, revised_prompt,
        request_id, cost FROM kept WHERE key = ? AND path != '' ORDER BY call DESC, copy DESC"""
    return [StoredPicture(*row) for row in ledger.rows(query, (key,)) if _is_place(row[4])]


def _is_place(path: object) -> bool:
    """Whether a ledger, which may be a stranger's, names a place in its own folder, or "" for none on disk."""
    return path == "" or is_name_inside(path)


def find_copy(ledger: Ledger, key: str, copy: int) -> StoredPicture | None:
    """One picture on disk, or None."""
    return next((picture for picture in stored(ledger, key) if picture.copy == copy), None)


def outcomes(ledger: Ledger, keys: Iterable[str]) -> dict[str, dict[int, CallStatus]]:
    """What became of every copy of these keys, in a word."""
    # A picture that is here needs no look at its call, which is most of the time.
    query = """SELECT p.key, p.copy, p.path IS NOT NULL, c.state, c.error FROM pictures p
        LEFT JOIN calls c ON c.number = CASE WHEN p.path IS NULL THEN p.call END
        WHERE p.key IN (SELECT value FROM json_each(?))"""
    found: dict[str, dict[int, CallStatus]] = {}
    for batch in _batches(keys):
        for key, copy, picture, state, error in ledger.rows(query, (batch,)):
            outcome = "done" if picture else call_status(state, error, picture=False)
            found.setdefault(key, {})[copy] = outcome
    return found


def have(ledger: Ledger, keys: Iterable[str]) -> dict[str, list[Slot]]:
    """What became of every copy of these keys, in the order of the copies."""
    query = """SELECT key, copy, state, id, path, error, code, message FROM slots
        WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key, copy"""
    found: dict[str, list[Slot]] = {}
    for batch in _batches(keys):
        for row in ledger.rows(query, (batch,)):
            found.setdefault(row[0], []).append(slot_of(row))
    return found


def _batches(keys: Iterable[str]) -> Iterator[str]:
    # Neighbours are on the same pages of the file.
    remaining = iter(sorted(set(keys)))
    while batch := list(islice(remaining, _KEYS_AT_ONCE)):
        yield json.dumps(batch)


def copies(ledger: Ledger, keys: Iterable[str]) -> dict[tuple[str, int], Copy]:
    """Every copy of these keys with all that is known of it, by key and copy."""
    # The share as the view `kept` has it; to join with the view would make all of it, each time.
    query = """SELECT p.key, p.copy, c.state, c.id, p.path, p.mime, p.width, p.height, p.sha256,
            p.revised_prompt, c.request_id, CASE WHEN p.path IS NOT NULL THEN c.cost / (
                SELECT COUNT(*) FROM pictures s WHERE s.call = p.call AND s.path IS NOT NULL) END,
            c.ended, c.error, c.code, c.message
        FROM pictures p JOIN calls c ON c.number = p.call
        WHERE p.key IN (SELECT value FROM json_each(?))"""
    found = {}
    remaining = iter(dict.fromkeys(keys))
    while batch := list(islice(remaining, _KEYS_AT_ONCE)):
        for key, copy, state, call_id, path, *facts in ledger.rows(query, (json.dumps(batch),)):
            place = path if _is_place(path) else None
            outcome = "done" if place is not None else call_status(state, facts[-3], picture=False)
            found[key, copy] = Copy(key, copy, outcome, call_id, place, *facts)
    return found


def find_call(ledger: Ledger, call_id: str) -> Claim | None:
    """A call by its whole id, or None; one that is not made as ours are is none."""
    query = "SELECT id, key, copies, request, prompt, vendor, reserved FROM calls WHERE id = ?"
    rows = ledger.rows(query, (call_id,))
    if not rows:
        return None
    _, key, copies, request, prompt, vendor, reserved = rows[0]
    numbers = _list(copies)
    if not is_call(call_id, key, numbers):
        return None
    return Claim(call_id, key, tuple(numbers), _request(request, prompt), vendor, reserved)


def _list(text: object) -> list[Any]:
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def row_of(ledger: Ledger, call_id: str) -> dict[str, Any]:
    """A call's row by its columns; {} where there is none."""
    rows = ledger.rows("SELECT * FROM calls WHERE id = ?", (call_id,))
    return dict(zip(COLUMNS, rows[0], strict=True)) if rows else {}


def receipt_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt says of its call, and what is enough to make the call's row again."""
    names = ("key", "copies", "vendor", "model", "prompt", "prompt_sha256", "request", "created", "session", "run",
             "day", "reserved", "request_id", "status", "usage")  # fmt: skip
    facts = {name: row.get(name) for name in names}
    return {**facts, **{name: json.loads(facts[name] or "null") for name in ("copies", "request", "usage")}}


def missing_urls(ledger: Ledger, call_id: str) -> tuple[tuple[int, str], ...]:
    """Positions and addresses of a call's pictures that are not here."""
    query = (
        "SELECT position, url FROM slots WHERE id = ? AND path IS NULL AND url IS NOT NULL ORDER BY position"
    )
    return tuple((position, url) for position, url in ledger.rows(query, (call_id,)))


def open_calls(ledger: Ledger, *, uncertain: bool, is_alive: Callable[[str], bool]) -> list[OpenCall]:
    """The calls whose end is open, or those whose end is unknown, oldest first."""
    query = """SELECT id, created, state, vendor, model, prompt, copies, reserved, request_id, owner FROM calls
        WHERE state IN ('claimed', 'received', 'unknown') AND (state = 'unknown') = ? ORDER BY number"""
    calls = []
    for call_id, created, state, vendor, model, prompt, copies, bound, request_id, owner in ledger.rows(
        query, (uncertain,)
    ):
        urls = tuple(clean_url(url) for _, url in missing_urls(ledger, call_id))
        when, numbers = datetime.fromtimestamp(created), tuple(json.loads(copies))
        alive = not uncertain and is_alive(owner)
        calls.append(
            OpenCall(call_id, when, state, vendor, model, prompt, numbers, bound, request_id, alive, urls)
        )
    return calls


def history(
    ledger: Ledger, *, words: str, limit: int | None, model: str | None, since: date | datetime | None
) -> list[Entry]:
    """Calls, newest first, whose prompt holds every word."""
    start = None
    if since is not None:
        start = (since if isinstance(since, datetime) else datetime.combine(since, time())).timestamp()
    query = """SELECT * FROM calls WHERE state != 'over_budget' AND (?1 IS NULL OR model = ?1)
        AND (?2 IS NULL OR created >= ?2) AND (?3 = '' OR holds(prompt, ?3)) ORDER BY number DESC LIMIT ?4"""
    values = (model, start, words.strip(), -1 if limit is None else limit)
    return _entries(ledger, query, values)


def entry(ledger: Ledger, call_id: str) -> Entry | None:
    """The call whose id begins so, or None where none or several do."""
    query = "SELECT * FROM calls WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2"
    found = _entries(ledger, query, (call_id.lower(),)) if call_id.isalnum() else []
    return found[0] if len(found) == 1 else None


def run_entries(ledger: Ledger, run: str) -> list[Entry]:
    """Every call of a run, oldest first, with those that there was no money for."""
    return _entries(ledger, "SELECT * FROM calls WHERE run = ? ORDER BY number", (run,))


def _entries(ledger: Ledger, query: str, values: Sequence[Any]) -> list[Entry]:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ledger.rows(query, values)]
    pictures = _pictures_of(ledger, [row["number"] for row in rows])
    return [_entry(row, tuple(pictures.get(row["number"], ()))) for row in rows]


def _pictures_of(ledger: Ledger, numbers: list[int]) -> dict[int, list[StoredPicture]]:
    query = """SELECT call, key, copy, id, position, path, mime, width, height, size, sha256, revised_prompt,
        request_id, cost FROM kept WHERE call IN (SELECT value FROM json_each(?)) ORDER BY call, position"""
    found: dict[int, list[StoredPicture]] = {}
    for number, *facts in ledger.rows(query, (json.dumps(numbers),)):
        if _is_place(facts[4]):
            found.setdefault(number, []).append(StoredPicture(*facts))
    return found


def _entry(row: dict[str, Any], pictures: tuple[StoredPicture, ...]) -> Entry:
    free = row["state"] in {"rejected", "cancelled", "over_budget"}
    cost = 0 if free and row["cost"] is None else row["cost"]
    same = ("id", "key", "vendor", "model", "prompt", "state", "request_id", "attempts", "session", "run",
            "error", "code", "message")  # fmt: skip
    return Entry(
        **{name: row[name] for name in same},
        created=datetime.fromtimestamp(row["created"]),
        ended=datetime.fromtimestamp(row["ended"]) if row["ended"] else None,
        request=_request(row["request"], row["prompt"]),
        parameters=json.loads(row["request"]),
        outcome=call_status(row["state"], row["error"], picture=bool(pictures)),
        cost=cost,
        bound=row["reserved"] if cost is None else cost,
        usage=json.loads(row["usage"]) if row["usage"] else None,
        pictures=pictures,
    )


def _request(facts: str, prompt: str | None) -> ImageRequest | None:
    if prompt is None:
        return None
    try:
        return ImageRequest.from_dict({**json.loads(facts), "prompt": prompt})
    except CometError:  # the table of models has changed since
        return None
