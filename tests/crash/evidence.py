"""Both sides of a call that was cut off: what the server counted, and what is on disk."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from comet_magic.archive import Archive
from comet_magic.archive.raw_answers import is_whole
from tests.archive_actor import receipts

if TYPE_CHECKING:
    from comet_magic.archive import Entry
    from tests.crash.actor import Asked
    from tests.faults.server import FaultServer


@dataclass
class Scene:
    """One prompt at a fault server and in an archive."""

    server: FaultServer
    asked: Asked

    def __post_init__(self) -> None:
        self.folder = Path(self.asked.folder)
        self.wanted = int(self.asked.options.get("n", 1))

    # --- the server's side

    @property
    def posts(self) -> int:
        return self.server.counts(self.asked.prompt).posts

    @property
    def sent(self) -> list[str]:
        """The id of each call that arrived."""
        heads = self.server.counts(self.asked.prompt).heads
        return [head.headers["idempotency-key"].partition("-")[0] for head in heads if head.method == "POST"]

    # --- the archive's side

    def rows(self) -> list[Entry]:
        archive = Archive(self.folder)
        entries = [entry for entry in archive.history(limit=None) if entry.prompt == self.asked.prompt]
        archive.close()
        return entries

    def check_files(self) -> None:
        """Every file under its final name opens, and every hash that is noted is true."""
        for path in (self.folder / "images").glob("*/[!.]*"):
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                image.load()
        for name, sha256 in self.noted():
            assert digest(self.folder / name) == sha256, name

    def noted(self) -> list[tuple[str, str]]:
        """Path and hash of every picture that the ledger or a receipt tells of."""
        with sqlite3.connect(self.folder / "ledger.sqlite") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            told = connection.execute("SELECT path, sha256 FROM pictures WHERE path IS NOT NULL").fetchall()
        connection.close()
        for receipt in receipts(self.folder):
            told += [(picture["path"], picture["sha256"]) for picture in receipt["pictures"]]
        return told

    # --- the claims

    def check_what_is_left(self) -> None:
        """Right after the kill, before anybody cleans up."""
        self.check_files()
        assert set(self.sent) <= {row.id for row in self.rows()}, "a charge without a row"
        self.posts_before = self.posts

    def check_after_restart(self, ended: list[str], uncertain: list[str]) -> str:
        """What the next process made of it, without paying."""
        assert self.posts == self.posts_before, "sent again by itself"
        self.check_files()
        rows = self.rows()
        assert {row.state for row in rows} <= {"done", "unknown"}
        lacking = {row.id for row in rows if len(row.pictures) < asked_by(row)}
        assert lacking == {row.id for row in rows if row.state == "unknown"} <= set(uncertain)
        left = [path for name in ("spool", "rescue") for path in (self.folder / name).glob("*")]
        unused = [path for path in left if path.name.partition(".")[0] in lacking and is_whole(path)]
        assert not unused, "a complete answer is unused"
        check_money(self.folder)
        done = sum(len(row.pictures) for row in rows)
        return f"{done} pictures, {self.doubtful(rows)} doubtful, {', '.join(ended)}"

    def check_nothing_was_repeated_but_what_was_doubtful(self) -> None:
        """After the same call was made again with reuse."""
        rows = self.rows()
        charged = self.server.counts(self.asked.prompt).charged * max(map(asked_by, rows))
        assert charged - self.wanted <= self.doubtful(rows)
        assert sum(len(row.pictures) for row in rows) == self.wanted
        self.check_files()
        check_money(self.folder)

    @staticmethod
    def doubtful(rows: list[Entry]) -> int:
        return sum(asked_by(row) for row in rows if row.state == "unknown")


def asked_by(row: Entry) -> int:
    """How many pictures a call is for."""
    assert row.request is not None
    return row.request.n


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_money(folder: Path) -> None:
    """The sums are those of the rows."""
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        kept = connection.execute("SELECT SUM(spent), SUM(reserved), SUM(uncertain) FROM money").fetchone()
        rows: list[Any] = connection.execute("SELECT state, reserved, cost FROM calls").fetchall()
    connection.close()
    spent = sum(
        (reserved or 0) if cost is None else cost for state, reserved, cost in rows if state == "done"
    )
    in_flight = sum(reserved or 0 for state, reserved, _ in rows if state in {"claimed", "received"})
    uncertain = sum(reserved or 0 for state, reserved, _ in rows if state == "unknown")
    assert tuple(value or 0 for value in kept) == (spent, in_flight, uncertain)
