"""Questions to an archive, answered also while another process works in it. Nothing here makes or changes a file."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import inside, native
from . import budget as money
from . import layout, queries
from .ledger import Ledger
from .process_lock import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from ..protocol import CallStatus
    from .records import Copy, Entry, OpenCall, Slot, Spend, StoredPicture


class Reader:
    """What is in the archive of a folder, or of this process's memory; nothing where there is none."""

    def __init__(self, folder: Path | str | None) -> None:
        self.folder = None if folder is None else native(Path(folder)).absolute()
        self._ledger = Ledger(self.folder / "ledger.sqlite" if self.folder else None)

    @property
    def _known(self) -> Ledger:
        """The ledger, ready to be asked."""
        return self._ledger

    def stored(self, key: str) -> list[StoredPicture]:
        """The pictures of a request on disk, newest first; by `copy` they are in the order they were made."""
        return queries.stored(self._known, key)

    def find_copy(self, key: str, copy: int) -> StoredPicture | None:
        """One picture on disk, or None."""
        return queries.find_copy(self._known, key, copy)

    def path_of(self, stored: StoredPicture) -> Path:
        """Where a stored picture is.

        Raises:
            OSError: its path leads out of the archive's folder.
        """
        return inside(self.folder or Path(), stored.path)

    def is_there(self, stored: StoredPicture) -> bool:
        """Whether the file of a stored picture is where it was put."""
        return self.folder is not None and layout.is_there(self.folder, stored.path)

    def load(self, stored: StoredPicture) -> bytes:
        """The bytes of a stored picture, as they came.

        Raises:
            OSError: the file is gone, or is not what was stored.
        """
        path = self.path_of(stored)
        data = path.read_bytes()
        if layout.digest_of(data) != stored.sha256:
            raise OSError(errno.EIO, "this is not the picture that was stored", str(path))
        return data

    def outcomes(self, keys: Iterable[str]) -> dict[str, dict[int, CallStatus]]:
        """What became of every copy of these keys, by copy; quick for a hundred thousand keys."""
        return queries.outcomes(self._known, keys)

    def have(self, keys: Iterable[str]) -> dict[str, list[Slot]]:
        """The same with each copy's evidence; a key that was never asked for is not in it."""
        return queries.have(self._known, keys)

    def copies(self, keys: Iterable[str]) -> dict[tuple[str, int], Copy]:
        """Every copy of these keys with all that is known of it, by key and copy."""
        return queries.copies(self._known, keys)

    def open_calls(self) -> list[OpenCall]:
        """The calls that are running, here or in another process, or were cut off."""
        return queries.open_calls(self._known, uncertain=False, is_alive=self._lives)

    def uncertain(self) -> list[OpenCall]:
        """The calls that may have been billed and brought nothing."""
        return queries.open_calls(self._known, uncertain=True, is_alive=self._lives)

    def history(
        self,
        words: str = "",
        *,
        limit: int | None = 20,
        model: str | None = None,
        since: date | datetime | None = None,
    ) -> list[Entry]:
        """Calls, newest first, whose prompt holds every word."""
        return queries.history(self._known, words=words, limit=limit, model=model, since=since)

    def entry(self, call_id: str) -> Entry | None:
        """The call whose id begins so, or None where none or several do."""
        return queries.entry(self._known, call_id)

    def run_entries(self, run: str) -> list[Entry]:
        """Every call of a run, oldest first, with those that there was no money for."""
        return queries.run_entries(self._known, run)

    def spend(
        self, vendor: str | None = None, session: str | None = None, since: date | None = None
    ) -> Spend:
        """The money of a vendor, a session, or all, from a day on."""
        day = since.isoformat()[:10] if since else None
        return money.spend(self._known, vendor=vendor, session=session, since=day)

    def _lives(self, token: str) -> bool:
        return self.folder is None or is_alive(self.folder, token)
