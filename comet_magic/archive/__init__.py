"""The archive: paid pictures are on disk before anyone sees them, and every call has its row."""

from .queries import History, Reader, ask_known, history, spend
from .raw_answers import RawAnswer
from .records import (
    Budget,
    Claim,
    Copy,
    CopyTaken,
    Entry,
    Held,
    Orphan,
    Repair,
    Settled,
    Spend,
    State,
    StoredPicture,
)
from .store import Archive
from .worker_archive import WorkerArchive
