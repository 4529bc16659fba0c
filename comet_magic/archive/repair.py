"""Repair, by hand: every receipt, picture and temporary file of the folder is looked at."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ..files import PART, is_linked
from . import claims, layout, queries
from .process_lock import is_alive
from .records import Repair
from .recovery import examined, pictures_in

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from .ledger import Ledger
    from .records import Claim, StoredPicture
    from .recovery import Recovery

_OLD = 3600.0  # seconds after which a temporary file cannot be one that is being written


_Findings = defaultdict[str, list[str]]  # by the names that `Repair` has


def repair(recovery: Recovery) -> Repair:
    """Look at everything, mend what can be mended, and tell what was done.

    Pictures are only ever adopted, never removed; a picture whose file is gone loses its place in the ledger,
    so that its copy can be made again, and gets it back when the file does.
    """
    with recovery.ledger.transaction(create=True):
        pass
    findings = _Findings(list)
    _settle_open(recovery, findings)
    _read_receipts(recovery, findings)
    _adopt_pictures(recovery, findings)
    _check_pictures(recovery, findings)
    _remove_leftovers(recovery, findings)
    return Repair(**{name: tuple(sorted(found)) for name, found in findings.items()})


def _settle_open(recovery: Recovery, findings: _Findings) -> None:
    query = "SELECT id FROM calls WHERE state IN ('claimed', 'received')"
    before = {call_id for (call_id,) in recovery.ledger.rows(query)}
    recovery.reconcile()
    findings["settled"] += before - {call_id for (call_id,) in recovery.ledger.rows(query)}


# --- receipts -----------------------------------------------------------------------------------------


def _read_receipts(recovery: Recovery, findings: _Findings) -> None:
    """Bring back the rows and the pictures that receipts prove."""
    proved = []
    for name, receipt in layout.receipts(recovery.folder):
        if receipt:
            proved.append(receipt)
        else:
            findings["unexplained"].append(name)
    for receipt in sorted(proved, key=lambda one: float(one["created"])):
        _believe(recovery, receipt, findings)


def _believe(recovery: Recovery, receipt: dict[str, Any], findings: _Findings) -> None:
    rows = recovery.ledger.rows("SELECT state FROM calls WHERE id = ?", (receipt["id"],))
    state = rows[0][0] if rows else None
    known = {
        path for (path,) in recovery.ledger.rows("SELECT path FROM slots WHERE id = ?", (receipt["id"],))
    }
    if state in {"claimed", "received"} or (
        state == "done" and all(one.path in known for one in pictures_in(receipt))
    ):
        return
    there = [one for one in pictures_in(receipt) if layout.matches(recovery.folder, one.path, one.sha256)]
    with recovery.ledger.transaction() as connection:
        number = _row_of(connection, receipt)
        adopted = [one for one in there if _adopt(connection, number, one)]
    findings["adopted"] += [one.path for one in adopted]
    if state != "done":
        findings["settled"].append(receipt["id"])


def believe_another(recovery: Recovery, call: Claim) -> bool:
    """Cancel a call that was never sent if another call's receipt has its picture; whether one has."""
    receipt = layout.find_receipt(recovery.folder, call.key, call.copies[0])
    if not receipt or receipt["id"] == call.id:
        return False
    with recovery.ledger.transaction() as connection:
        claims.settle(connection, call.id, "cancelled", facts={})
    _believe(recovery, receipt, _Findings(list))
    return True


def _row_of(connection: sqlite3.Connection, receipt: dict[str, Any]) -> int:
    """Settle a receipt's call as done and give its number; a lost row is inserted first."""
    found = connection.execute("SELECT number, state FROM calls WHERE id = ?", (receipt["id"],)).fetchone()
    if found is None:
        texts = {name: claims.packed(receipt[name]) for name in layout.JSON}
        claims.insert(connection, {**receipt, **texts, "owner": "", "host": "", "pid": 0, "timeout": None})
    if found is None or found["state"] != "done":
        found = claims.settle(connection, receipt["id"], "done", facts=receipt)
    return int(found["number"])


def _adopt(connection: sqlite3.Connection, number: int, picture: StoredPicture) -> bool:
    """Record a picture unless another one has its place; whether it was recorded."""
    holder = connection.execute(
        "SELECT call, path, free FROM slots WHERE key = ? AND copy = ?", (picture.key, picture.copy)
    ).fetchone()
    if holder and (holder[1] is not None or not (holder[2] or holder[0] == number)):
        return False
    claims.record(connection, number, picture)
    return True


# --- pictures -----------------------------------------------------------------------------------------


def _adopt_pictures(recovery: Recovery, findings: _Findings) -> None:
    """Give each picture that no row names to the call that asked for its copy and never got it."""
    known = {path for (path,) in recovery.ledger.rows("SELECT path FROM pictures WHERE path != ''")}
    images = recovery.folder / "images"
    for path in sorted((*images.glob("*/*"), *images.glob("*/*/*"))):
        name = layout.relative(recovery.folder, path)
        folder = path.is_dir() and not is_linked(recovery.folder, path)
        if folder or name in known or name.endswith(PART):
            continue
        if _adopt_file(recovery, path):
            findings["adopted"].append(name)
        else:
            findings["unexplained"].append(name)


def _adopt_file(recovery: Recovery, path: Path) -> bool:
    prefix, copy = layout.parsed_name(path.name) or ("", 0)
    query = """SELECT id, call, position, state FROM slots WHERE key >= :key AND key < :key || 'g' AND copy = :copy
        AND path IS NULL AND state IN ('unknown', 'done')"""
    asked = recovery.ledger.rows(query, {"key": prefix, "copy": copy}) if prefix else []
    if len(asked) != 1:
        return False
    call_id, number, position, state = asked[0]
    call = queries.find_claim(recovery.ledger, call_id, recovery.folder)
    picture = examined(recovery.folder, path, call, copy, position) if call else None
    if picture is None:
        return False
    with recovery.ledger.transaction() as connection:
        claims.record(connection, number, picture)
        if state != "done":
            claims.settle(connection, call_id, "done", facts={})
    return True


def _check_pictures(recovery: Recovery, findings: _Findings) -> None:
    """Find pictures whose file is gone or changed; one whose file is gone loses its place."""
    missing, damaged = check_pictures(recovery.ledger, recovery.folder)
    findings["missing"] += missing
    findings["damaged"] += damaged
    release(recovery.ledger, missing)


def check_pictures(ledger: Ledger, folder: Path) -> tuple[list[str], list[str]]:
    """The paths of the pictures whose file is gone, and of those whose file is not what was stored; reads them all."""
    missing, damaged = [], []
    for path, sha256 in ledger.rows("SELECT path, sha256 FROM pictures WHERE path != ''"):
        if not layout.is_there(folder, path):
            missing.append(path)
        elif not layout.matches(folder, path, sha256):
            damaged.append(path)
    return missing, damaged


def release(ledger: Ledger, paths: Sequence[str]) -> None:
    """Take pictures out of the ledger, so that their copies can be made again."""
    if paths:
        with ledger.transaction() as connection:
            connection.executemany(
                "UPDATE pictures SET path = NULL WHERE path = ?", [(path,) for path in paths]
            )


# --- leftovers ----------------------------------------------------------------------------------------


def _remove_leftovers(recovery: Recovery, findings: _Findings) -> None:
    tokens = {lock.stem for lock in layout.files(recovery.folder, "owners/*.lock")} - {recovery.token}
    others = [token for token in tokens if is_alive(recovery.folder, token, clear=True)]
    own = recovery.folder / "owners" / f"{recovery.token}.lock"
    # With nobody else at work, whatever is older than this process's sign of life has no living writer.
    before = time.time() - _OLD if others else own.stat().st_mtime
    for path in recovery.folder.rglob(f"*{PART}"):
        if path.lstat().st_mtime < before:
            path.unlink(missing_ok=True)
            findings["removed"].append(layout.relative(recovery.folder, path))
    query = "SELECT id FROM calls WHERE state IN ('done', 'rejected', 'cancelled') AND error IS NULL"
    ended = {call_id for (call_id,) in recovery.ledger.rows(query)}
    for path in layout.files(recovery.folder, "spool/*"):
        if path.stem in ended:
            path.unlink(missing_ok=True)
            findings["removed"].append(layout.relative(recovery.folder, path))
