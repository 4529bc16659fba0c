"""The archive: paid pictures are on disk before anyone sees them, and every call has its row."""

from .queries import Reader, ask_known
from .raw_answers import RawAnswer
from .records import (
    Budget,
    Claim,
    Copy,
    CopyTaken,
    Entry,
    Held,
    Measured,
    Orphan,
    Repair,
    Settled,
    Spend,
    State,
    StoredPicture,
)
from .store import Archive, star_files
from .worker_archive import WorkerArchive
