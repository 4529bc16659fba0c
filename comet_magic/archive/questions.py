"""What was made and what it cost, asked from code: the archive that the shared client writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..settings import DEFAULT_ARCHIVE, archive_folder
from .store import Archive

if TYPE_CHECKING:
    import os
    from datetime import date, datetime

    from .records import Entry, Spend


class History(list["Entry"]):
    """Calls, newest first."""

    def to_frame(self) -> Any:
        """A pandas frame, one row per call; costs are USD.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame(
            {
                "id": entry.id,
                "created": entry.created,
                "model": entry.model,
                "prompt": entry.prompt,
                "outcome": entry.outcome,
                "cost": None if entry.cost is None else entry.cost / 1_000_000,
                "request_id": entry.request_id,
                "paths": [picture.path for picture in entry.pictures],
                "error": entry.error,
            }
            for entry in self
        )


def history(
    words: str = "",
    *,
    limit: int = 50,
    model: str | None = None,
    since: date | datetime | None = None,
    archive: str | os.PathLike[str] = DEFAULT_ARCHIVE,
) -> History:
    """The calls of an archive, newest first.

    Args:
        words: only those whose prompt holds all of these words.
        limit: at most so many.
        model: only those of this model.
        since: only those made since then.
        archive: its folder.
    """
    return History(Archive(archive_folder(archive)).history(words, limit=limit, model=model, since=since))


def spend(
    vendor: str | None = None,
    *,
    since: date | datetime | None = None,
    archive: str | os.PathLike[str] = DEFAULT_ARCHIVE,
) -> Spend:
    """What an archive has spent, in micro-USD, with its upper bound.

    Args:
        vendor: only the money of this one (`cometapi`, `sandbox`, a host).
        since: only the money since that day.
        archive: its folder.
    """
    return Archive(archive_folder(archive)).spend(vendor=vendor, since=since)
