"""What was made and what it cost, asked from code: the archive that the shared client writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..locations import DEFAULT_ARCHIVE, archive_folder
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
    """The calls of an archive, newest first; nothing is made where there is none.

    Args:
        words: only those whose prompt holds all of these words.
        limit: at most so many.
        model: only those of this model.
        since: only those made since then.
        archive: its folder, by default the one that `generate` writes to.

    Returns:
        A list of entries with `.id`, `.created`, `.model`, `.prompt`, `.outcome` (`done`, `refused`, `failed`,
        `unknown`...), `.cost` in micro-USD and `.pictures`; `.to_frame()` makes a pandas frame of it.

    Raises:
        ConfigurationError: the archive cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> [(entry.prompt, entry.outcome, entry.cost) for entry in cm.history("boat")]
        [('a paper boat', 'done', 16000)]
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
        vendor: only the money of this one (`cometapi`, `sandbox`, a host); by default of all together.
        since: only the money since that day.
        archive: its folder, by default the one that `generate` writes to.

    Returns:
        `.spent`, `.reserved` (in flight), `.uncertain` (perhaps billed) and `.bound`, the most that it can be.

    Raises:
        ConfigurationError: the archive cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> money = cm.spend("sandbox")
        >>> money.calls, money.spent, money.bound
        (1, 16000, 16000)
    """
    return Archive(archive_folder(archive)).spend(vendor=vendor, since=since)
