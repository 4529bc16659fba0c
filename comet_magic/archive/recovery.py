"""What a crash left: open rows of dead processes at every opening, the whole folder by hand."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comet_magic.files import dimensions, native, sniff

from . import claims, reading, shelf
from .owners import is_alive
from .records import Call, Orphan, Repair, StoredPicture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ledger import Ledger

_OLD = 3600.0  # seconds after which a temporary file cannot be one that is being written


@dataclass(frozen=True)
class Recovery:
    """The ledger and the folder of one archive, as seen by the process that cleans up."""

    ledger: Ledger
    folder: Path
    token: str  # the owner that takes over what a dead one left

    def reconcile(self) -> list[Orphan]:
        """Settle what can be settled without the network; what needs it becomes this process's own."""
        orphans = []
        rows = self.ledger.rows("SELECT id, owner FROM calls WHERE state IN ('claimed', 'received')")
        alive = {owner: owner == self.token or is_alive(self.folder / "owners", owner) for _, owner in rows}
        for call_id, owner in rows:
            if not alive[owner] and self._take_over(call_id, owner):
                orphan = self._resolve(call_id)
                if orphan is not None:
                    orphans.append(orphan)
        return orphans

    def _take_over(self, call_id: str, owner: str) -> bool:
        """One process takes a call, whoever else looks at the same time."""
        with self.ledger.transaction() as connection:
            cursor = connection.execute(
                """UPDATE calls SET owner = ? WHERE id = ? AND owner = ?
                AND state IN ('claimed', 'received')""",
                (self.token, call_id, owner),
            )
            return cursor.rowcount == 1

    def _resolve(self, call_id: str) -> Orphan | None:
        call = reading.find_call(self.ledger, call_id)
        assert call is not None
        receipt = self._receipt_of(call)
        if receipt:
            self._settle_by_receipt(call, receipt)
            return None
        orphan = self.orphan(call)
        if orphan.spool:
            return orphan
        found = tuple(self._pictures_on_disk(call))
        if orphan.urls or found:
            with self.ledger.transaction() as connection:
                self._record(connection, call, found)
            orphan = self.orphan(call)
            if orphan.urls:
                return orphan
        with self.ledger.transaction() as connection:
            claims.settle(connection, call_id, "done" if found else "unknown", facts={})
        return None

    def orphan(self, call: Call) -> Orphan:
        """What is needed to finish a call."""
        body = self.folder / "spool" / f"{call.id}.body"
        head = _read_head(body.with_suffix(".head"))
        whole = body.is_file() and head.get("size") == body.stat().st_size
        return Orphan(call, body if whole else None, head, reading.missing_urls(self.ledger, call.id))

    def _receipt_of(self, call: Call) -> dict[str, Any]:
        for copy in call.copies:
            receipt = shelf.read_receipt(self.folder / shelf.receipt_name(call.key, copy))
            if receipt.get("id") == call.id:
                return receipt
        return {}

    def _settle_by_receipt(self, call: Call, receipt: dict[str, Any]) -> None:
        pictures = tuple(_pictures_in(receipt))
        with self.ledger.transaction() as connection:
            claims.settle(connection, call.id, "done", facts=receipt, pictures=pictures)

    def _pictures_on_disk(self, call: Call) -> Iterator[StoredPicture]:
        """Files under the names that this call's pictures would get: whole, for a name is given last."""
        for position, copy in enumerate(call.copies):
            folder = native(self.folder / "images" / call.key[:2])
            for path in sorted(folder.glob(f"*-{call.key[:10]}.{copy}.*")):
                picture = _examined(self.folder, path, call, copy, position)
                if picture is not None:
                    yield picture
                    break

    def _record(self, connection: Any, call: Call, pictures: tuple[StoredPicture, ...]) -> None:
        (number,) = connection.execute("SELECT number FROM calls WHERE id = ?", (call.id,)).fetchone()
        for picture in pictures:
            claims.record(connection, number, picture)

    # --- the whole folder, by hand --------------------------------------------------------------------

    def repair(self) -> Repair:
        """Look at every file and every receipt, mend what can be mended, and tell what was done."""
        return Repair()


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return head if isinstance(head, dict) else {}


def _pictures_in(receipt: dict[str, Any]) -> Iterator[StoredPicture]:
    for facts in receipt["pictures"]:
        yield StoredPicture(key=receipt["key"], call_id=receipt["id"], **facts)


def _examined(folder: Path, path: Path, call: Call, copy: int, position: int) -> StoredPicture | None:
    """A picture found on disk as what the ledger says of one; None where it is not one."""
    if path.is_symlink() or not path.is_file():
        return None
    data = path.read_bytes()
    mime, extent = sniff(data), dimensions(data)
    if mime is None or extent is None:
        return None
    name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")
    return StoredPicture(
        call.key, copy, call.id, position, name, mime, *extent, len(data), shelf.digest_of(data)
    )
