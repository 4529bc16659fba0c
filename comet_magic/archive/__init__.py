"""The archive: paid pictures are on disk before anyone sees them, and every call has its row."""

from .depot import Depot
from .questions import History, history, spend
from .reader import Reader
from .records import (
    Budget,
    Call,
    Copy,
    CopyTaken,
    Entry,
    OpenCall,
    Orphan,
    Outcome,
    Repair,
    Slot,
    Spend,
    State,
    StoredPicture,
    outcome_of,
)
from .store import Archive, Settled

__all__ = [
    "Archive",
    "Budget",
    "Call",
    "Copy",
    "CopyTaken",
    "Depot",
    "Entry",
    "History",
    "OpenCall",
    "Orphan",
    "Outcome",
    "Reader",
    "Repair",
    "Settled",
    "Slot",
    "Spend",
    "State",
    "StoredPicture",
    "history",
    "outcome_of",
    "spend",
]
