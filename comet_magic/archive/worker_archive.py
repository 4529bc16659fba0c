"""The archive as a worker of a cluster uses it: it shares the folder's files, and the driver has the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..files import inside, make_folder, make_private_folder, native, write_whole
from ..machine import absolute
from . import layout
from .ledger import Ledger
from .store import Archive

if TYPE_CHECKING:
    from pathlib import Path


class WorkerArchive(Archive):
    """Writes pictures, receipts and raw answers into a shared folder; its own ledger is in memory.

    A mark on disk says that a call was begun, so that nobody sends it again unasked.

    Args:
        folder: of the archive, on a disk that all workers share.
        store_prompts: as of the archive.
    """

    nested = True
    _keep_receipt = staticmethod(layout.write_receipt)
    has_lost_ledger = False  # it is the driver's

    def __init__(self, folder: Path, *, store_prompts: bool = True) -> None:
        super().__init__(folder, store_prompts=store_prompts)
        self._shared = absolute(native(folder))
        self._ledger = Ledger(None)

    def _ready(self) -> str:
        make_private_folder(self._shared)
        return "worker"

    def finished(self, key: str, copy: int) -> dict[str, Any] | None:
        """The facts of a finished picture from its receipt; None if the receipt or the picture is missing."""
        receipt = layout.find_receipt(self._shared, key, copy)
        for picture in receipt.get("pictures", ()):
            if picture["copy"] == copy and layout.is_there(self._shared, picture["path"]):
                facts = {name: receipt.get(name) for name in ("id", "request_id", "cost")}
                return {"key": key, **facts, **picture}
        return None

    def begin(self, call_id: str) -> bool:
        """Mark a call as begun, durably; False if it was begun before."""
        self._ready()
        make_folder(inside(self._shared, "spool"))
        try:
            write_whole(self._mark(call_id), b"")
        except FileExistsError:
            return False
        return True

    def begun(self, call_id: str) -> bool:
        """Whether somebody began this call."""
        return self._mark(call_id).exists()

    def unmark(self, call_id: str) -> None:
        """Remove the mark of a call whose end is known."""
        self._mark(call_id).unlink(missing_ok=True)

    def _mark(self, call_id: str) -> Path:
        return inside(self._shared, f"spool/{call_id}.sent")
