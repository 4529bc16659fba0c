"""Recovery after a crash: the open calls of dead processes are settled. It is quick; `repair` looks at every file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadImageError
from ..files import inside, read_inside
from ..formats import check_picture
from ..protocol import decisions
from . import claims, layout, queries
from .process_lock import is_alive
from .raw_answers import is_whole
from .records import Claim, Orphan, StoredPicture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ledger import Ledger


@dataclass(frozen=True)
class Recovery:
    """Cleans up one archive on behalf of this process."""

    ledger: Ledger
    folder: Path
    token: str  # the owner that takes over what a dead one left

    def reconcile(self, vendor: str | None = None) -> list[Orphan]:
        """Settle the open calls of dead processes; those that need the network become this process's and are given."""
        orphans = []
        query = """SELECT id, owner FROM sound WHERE state IN ('claimed', 'received')
            AND (:vendor IS NULL OR vendor = :vendor)"""
        rows = self.ledger.rows(query, {"vendor": vendor})
        alive = {owner: owner == self.token or is_alive(self.folder, owner, clear=True) for _, owner in rows}
        for call_id, owner in rows:
            call = None if alive[owner] else queries.find_claim(self.ledger, call_id, self.folder)
            if call and self._take_over(call_id, owner):
                orphans.append(self._resolve(call))
        self._adopt_late()
        return [orphan for orphan in orphans if orphan]

    def _adopt_late(self) -> None:
        """Settle calls that a worker finished after they were given up here."""
        for (call_id,) in self.ledger.rows("SELECT DISTINCT id FROM slots WHERE state = 'unknown'"):
            call = queries.find_claim(self.ledger, call_id, self.folder)
            if call is not None:
                self.adopt(call)

    def adopt(self, call: Claim) -> bool:
        """Settle a call as done if a worker's receipt proves it; whether one does."""
        for copy in call.copies:
            receipt = layout.find_receipt(self.folder, call.key, copy)
            if receipt.get("id") == call.id:
                pictures = tuple(pictures_in(receipt))
                with self.ledger.transaction() as connection:
                    claims.settle(connection, call.id, "done", facts=receipt, pictures=pictures)
                return True
        return False

    def _take_over(self, call_id: str, owner: str) -> bool:
        """Make a dead process's call ours; False if another process was quicker."""
        with self.ledger.transaction() as connection:
            cursor = connection.execute(
                """UPDATE calls SET owner = ?, timeout = NULL WHERE id = ? AND owner = ?
                AND state IN ('claimed', 'received')""",
                (self.token, call_id, owner),
            )
            return cursor.rowcount == 1

    def _resolve(self, call: Claim) -> Orphan | None:
        if self.adopt(call):
            return None
        orphan = self.orphan(call)
        if orphan.raw_answer:
            return orphan
        found = tuple(self._pictures_on_disk(call))
        with self.ledger.transaction() as connection:
            number = connection.execute("SELECT number FROM calls WHERE id = ?", (call.id,)).fetchone()[0]
            for picture in found:
                claims.record(connection, number, picture)
        orphan = self.orphan(call)
        if orphan.urls:
            return orphan
        with self.ledger.transaction() as connection:
            lost = None if found else decisions.LOST.error("the process ended before the answer came")
            claims.settle(connection, call.id, "done" if found else "unknown", facts={}, error=lost)
        return None

    def orphan(self, call: Claim) -> Orphan:
        """A call with what is on disk to finish it."""
        name = layout.raw_answer_name(call.id)
        path = inside(self.folder, name) if layout.is_there(self.folder, name) else None
        return Orphan(
            call, path if path and is_whole(path) else None, queries.missing_urls(self.ledger, call.id)
        )

    def _pictures_on_disk(self, call: Claim) -> Iterator[StoredPicture]:
        """Pictures under the names of this call's pictures. A file gets its name last, so they are whole."""
        for position, copy in enumerate(call.copies):
            for path in layout.picture_files(self.folder, call.key, copy):
                picture = examined(self.folder, path, call, copy, position)
                if picture is not None:
                    yield picture
                    break


def pictures_in(receipt: dict[str, Any]) -> Iterator[StoredPicture]:
    """The pictures of a receipt."""
    for facts in receipt["pictures"]:
        yield StoredPicture(key=receipt["key"], call_id=receipt["id"], **facts)


def examined(folder: Path, path: Path, call: Claim, copy: int, position: int) -> StoredPicture | None:
    """A picture found on disk as what the ledger says of one; None if it is none, or is damaged."""
    name = layout.relative(folder, path)
    try:
        data = read_inside(folder, name)
        kind = check_picture(data, max_pixels=sys.maxsize)
    except (BadImageError, OSError):
        return None
    facts = (*kind, len(data), layout.digest_of(data))
    came = layout.unpasted_name(folder, data)
    return StoredPicture(call.key, copy, call.id, position, name, *facts, unpasted=came)
