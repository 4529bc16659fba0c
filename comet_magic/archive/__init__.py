"""The archive: paid pictures are on disk before anyone sees them, and every call has its row."""

from .questions import History, history, spend
from .raw_answers import RawAnswer
from .reader import Reader
from .records import (
    Budget,
    Claim,
    Copy,
    CopyTaken,
    Entry,
    OpenCall,
    Orphan,
    Repair,
    Slot,
    Spend,
    State,
    StoredPicture,
)
from .store import Archive, Settled
from .worker_archive import WorkerArchive

__all__ = [
    "Archive",
    "Budget",
    "Claim",
    "Copy",
    "CopyTaken",
    "Entry",
    "History",
    "OpenCall",
    "Orphan",
    "RawAnswer",
    "Reader",
    "Repair",
    "Settled",
    "Slot",
    "Spend",
    "State",
    "StoredPicture",
    "WorkerArchive",
    "history",
    "spend",
]
