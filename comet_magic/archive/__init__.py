"""The archive: paid pictures are on disk before anyone sees them, and every call has its row."""

from .queries import History, Reader, history, spend
from .raw_answers import RawAnswer
from .records import (
    Budget,
    Claim,
    Copy,
    CopyTaken,
    Entry,
    Orphan,
    Repair,
    Settled,
    Spend,
    State,
    StoredPicture,
)
from .store import Archive
from .worker_archive import WorkerArchive

__all__ = [
    "Archive",
    "Budget",
    "Claim",
    "Copy",
    "CopyTaken",
    "Entry",
    "History",
    "Orphan",
    "RawAnswer",
    "Reader",
    "Repair",
    "Settled",
    "Spend",
    "State",
    "StoredPicture",
    "WorkerArchive",
    "history",
    "spend",
]
