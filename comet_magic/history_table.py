"""The history of calls: found by words, model, day, money, star or parent, over all archives of this machine."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from .archive import Entry, Reader, ask_known
from .errors import CometError, InvalidRequestError
from .extras import load_extra
from .files import from_here
from .machine import DEFAULT_ARCHIVE, archive_folder
from .money import MILLION, dollars
from .outputs import data_url, file_address
from .tables import ShownAsText, Thumbnail, table
from .text import clean

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .archive import StoredPicture

PROMPT_SHOWN = 160  # characters of a prompt in the history
THUMBNAIL_EDGE = 96  # longest edge of a thumbnail, pixels
CALL_ID = re.compile(r"[0-9a-f]{6,32}")
_KEY = re.compile(r"[0-9a-f]{64}")


class History(ShownAsText, list[Entry]):
    """Calls, newest first; a notebook shows them as a table with thumbnails that open.

    Attributes:
        unreadable: sentences on folders that could not be read.
    """

    unreadable: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """A pandas frame, one row per call; costs are USD.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        load_extra("pandas")
        from .frames import Frame

        return Frame(
            {
                "id": entry.id,
                "created": entry.created,
                "model": entry.model,
                "prompt": entry.prompt,
                "outcome": entry.outcome,
                "cost": entry.cost,
                "starred": entry.starred,
                "request_id": entry.request_id,
                "paths": [picture.path for picture in entry.pictures],
                "parents": list(entry.parents),
                "error": entry.error,
            }
            for entry in self
        )

    def bundle(self, *notes: str) -> dict[str, str]:
        """The table as a MIME bundle of HTML and plain text, with these notes below it."""
        rows = [
            (
                thumbnail(entry),
                entry.id[:8] + (" ★" if entry.starred else ""),
                f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
                entry.model,
                _size_of(entry),
                cost_words(entry),
                entry.outcome if entry.outcome != "done" else f"{len(entry.pictures)}",
                clamped(entry.prompt or ""),
            )
            for entry in self
        ]
        head = ("", "id", "time", "model", "size", "cost", "pictures", "prompt")
        found: dict[str, str] = table(head, rows, notes=[*([] if self else ["No calls."]), *notes])
        return found

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        return self.bundle(*self.unreadable)


def history(
    words: str | None = "",
    *,
    model: str | None = None,
    day: date | str | None = None,
    since: date | datetime | str | None = None,
    min_cost: float | None = None,
    max_cost: float | None = None,
    starred: bool = False,
    parent: str | None = None,
    limit: int | None = 50,
    archive: str | os.PathLike[str] = DEFAULT_ARCHIVE,
) -> History:
    """The calls of the default archive and of all datasets of this machine, newest first; nothing is made.

    Args:
        words: only those whose prompt holds all of these words.
        model: only those of this model.
        day: only those of this day: a date, or a text such as "2026-11-22".
        since: only those made since then.
        min_cost: only those that cost at least so many USD.
        max_cost: only those that cost at most so many USD.
        starred: only those with a star: `images.star()` gives one.
        parent: only those that a picture of this call went into: its id, or its key.
        limit: at most so many calls; None for all.
        archive: only the calls of this folder.

    Returns:
        A list of entries with `.id`, `.created`, `.model`, `.prompt`, `.outcome` (`done`, `refused`, `failed`,
        `unknown`...), `.cost` in USD, `.starred`, `.parents` and `.pictures`; a notebook shows it as a table, and
        `.to_frame()` makes a pandas frame of it.

    Raises:
        InvalidRequestError: a filter is not of its kind, or no call has this id; `param` names it.
        ConfigurationError: the archive cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> [(entry.prompt, entry.outcome, entry.cost) for entry in cm.history("boat")]
        [('a paper boat', 'done', 0.016)]
    """
    return find_calls(
        Reader(archive_folder(archive)),
        words or "",
        others=archive == DEFAULT_ARCHIVE,
        limit=limit,
        model=model,
        day=day,
        since=since,
        min_cost=min_cost,
        max_cost=max_cost,
        starred=starred,
        parent=parent,
    )


def find_calls(own: Reader, words: str = "", *, others: bool = True, **filters: Any) -> History:
    """As `history`, of this archive, and of the datasets of this machine if `others`.

    Raises:
        InvalidRequestError: a filter is not of its kind.
        ConfigurationError: the archive cannot be read.
    """
    limit = filters.pop("limit", None)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidRequestError(f"limit is {clean(limit)}; it takes 1 or more", param="limit")
    for name in ("day", "since"):
        filters[name] = _date(name, filters.get(name))
    for name in ("min_cost", "max_cost"):
        filters[name] = _micro(name, filters.get(name))
    filters["parent"] = _key_of(own, filters.get("parent"))
    found = list(own.history(words, limit=limit, **filters))
    asked = lambda reader: reader.history(words, limit=limit, **filters)  # noqa: E731 - a question for two
    answers, problems = ask_known(own.folder, asked) if others else ([], ())
    found += [entry for _, entries in answers for entry in entries]
    calls = History(sorted(found, key=lambda entry: entry.created, reverse=True)[:limit])
    calls.unreadable = problems
    return calls


def find_call(own: Reader, call_id: str) -> tuple[Reader, Entry | None]:
    """The call whose id begins so, and the archive that has it: this one, or a dataset's of this machine."""
    found = own.entry(call_id)
    answers = [] if found else ask_known(own.folder, lambda reader: reader.entry(call_id))[0]
    return next(((reader, entry) for reader, entry in answers if entry), (own, found))


def _key_of(own: Reader, parent: str | None) -> str | None:
    if parent is None or _KEY.fullmatch(parent):
        return parent
    entry = find_call(own, parent)[1] if CALL_ID.fullmatch(parent) else None
    if entry is None:
        raise InvalidRequestError(f"parent is {clean(parent)}; it takes the ID of a call", param="parent")
    return entry.key


def _date(name: str, given: date | str | None) -> date | None:
    if given is None or isinstance(given, date):
        return given
    with suppress(ValueError, TypeError):
        return date.fromisoformat(given)
    raise InvalidRequestError(f"{name} is {clean(given)}; it takes a date such as 2026-11-22", param=name)


def _micro(name: str, given: float | None) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given < 0:
        raise InvalidRequestError(f"{name} is {clean(given)}; it takes dollars, 0 or more", param=name)
    return round(given * MILLION)


# --- a call in words


def cost_words(entry: Entry) -> str:
    """What a call cost, or the most that it can have cost."""
    if entry.cost is None and entry.bound:
        return f"at most {dollars(entry.bound_micro)}"
    return dollars(entry.cost_micro)


def clamped(prompt: str) -> str:
    """A prompt in one line that is not too long."""
    words = " ".join(prompt.split())
    return words if len(words) <= PROMPT_SHOWN else f"{words[: PROMPT_SHOWN - 1].rstrip()}…"


def thumbnail(entry: Entry) -> Thumbnail | str:
    """The first picture of a call, small, with the address of its file; a word if there is none."""
    if not entry.pictures:
        return ""
    return thumbnail_of(entry.folder, entry.pictures[0], entry.prompt or "picture")


def thumbnail_of(folder: Path | None, stored: StoredPicture, alt: str) -> Thumbnail | str:
    """A stored picture, small; "missing" if its file is gone or damaged."""
    from .images import preview

    reader = Reader(folder)
    try:
        small, mime = preview(reader.load(stored), THUMBNAIL_EDGE)
    except (CometError, OSError):  # the rest of the row is still true
        return "missing"
    return Thumbnail(data_url(small, mime), alt, file_address(str(from_here(reader.path_of(stored)))))


def _size_of(entry: Entry) -> str:
    """The sizes that came; without pictures, the size that was requested."""
    came = dict.fromkeys(f"{picture.width}x{picture.height}" for picture in entry.pictures)
    return ", ".join(came) or str(entry.parameters.get("size", ""))
