"""`%cometimg_history`: what was made, one of it again, or the cell that made it."""

from __future__ import annotations

import base64
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from ..errors import CometError, ConfigurationError
from .live import publish
from .options import wrong
from .session import session
from .tables import Thumbnail, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..archive import Archive, Entry, StoredPicture
    from ..images import Images, Picture

LIMIT = 20
EDGE = 96  # longest edge of a thumbnail, pixels
_ID = re.compile(r"[0-9a-f]{6,32}")


def show(words: str, values: Mapping[str, Any], *, shell: Any, settings: Mapping[str, Any]) -> Images | None:
    """Show the history, or return the pictures of one call, or put its cell into the next one."""
    client = session.looking(**settings)
    archive = client.archive
    found = archive.entry(words) if _ID.fullmatch(words) else None
    for flag in ("as_code", "fetch"):
        if values[flag] and found is None:
            raise wrong(f"--{flag.replace('_', '-')} needs the ID of a call; %cometimg_history lists them")
    if found is not None and values["as_code"]:
        _into_next_cell(found, shell)
        return None
    if found is not None:
        return client.fetch(found.id) if values["fetch"] else images_of(archive, found)
    entries = archive.history(
        words, limit=_limit(values["limit"]), model=values["model"], since=_since(values["since"])
    )
    if not entries:
        print("Nothing found." if words or values["model"] or values["since"] else "Nothing was made yet.")
        return None
    publish(_overview(archive, entries))
    return None


def _limit(given: int | None) -> int:
    if given is not None and given < 1:
        raise wrong(f"--limit is {given}; it takes 1 and more")
    return given or LIMIT


def _since(given: str | None) -> date | None:
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        day = None
    if day is None:
        raise wrong(f"--since is {given}; it takes a day such as 2026-11-22")
    return day


def _overview(archive: Archive, entries: Sequence[Entry]) -> Any:
    from ..request import dollars

    rows = [
        (
            _thumbnail(archive, entry),
            entry.id[:8],
            f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
            entry.model,
            entry.parameters.get("size", ""),
            "at most " + dollars(entry.bound) if entry.cost is None and entry.bound else dollars(entry.cost),
            entry.outcome if entry.outcome != "done" else f"{len(entry.pictures)}",
            entry.prompt or "",
        )
        for entry in entries
    ]
    head = ("", "id", "time", "model", "size", "cost", "pictures", "prompt")
    return table(
        head, rows, notes=["%cometimg_history ID shows one again; with --as-code, the cell that made it."]
    )


def _thumbnail(archive: Archive, entry: Entry) -> Thumbnail | str:
    from ..images import preview

    if not entry.pictures:
        return ""
    try:
        small, mime = preview(archive.load(entry.pictures[0]), EDGE)
    except (CometError, OSError):  # the file is gone or damaged: the row is still true
        return "missing"
    return Thumbnail(f"data:{mime};base64,{base64.b64encode(small).decode()}", entry.prompt or "picture")


def images_of(archive: Archive, entry: Entry) -> Images:
    """The pictures of a call, from the archive.

    Raises:
        ConfigurationError: a file is gone or damaged.
    """
    from ..images import Images

    return Images(
        [picture_of(archive, stored) for stored in entry.pictures],
        prompt=entry.prompt or "",
        model=entry.model,
        created=int(entry.created.timestamp()),
        usage=entry.usage,
        cost=entry.cost,
    )


def picture_of(archive: Archive, stored: StoredPicture) -> Picture:
    """A picture of the archive, as it came.

    Raises:
        ConfigurationError: its file is gone or damaged.
    """
    from ..images import Picture

    problem = ""
    try:
        data = archive.load(stored)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise ConfigurationError(f"{archive.path_of(stored)} cannot be read: {problem}")
    return Picture(
        data=data,
        mime=stored.mime,
        width=stored.width,
        height=stored.height,
        path=str(archive.path_of(stored)),
        revised_prompt=stored.revised_prompt,
        request_id=stored.request_id,
        cost=stored.cost,
        sha256=stored.sha256,
        reused=True,
    )


def _into_next_cell(entry: Entry, shell: Any) -> None:
    from .code import cell_of

    if entry.request is None:
        raise wrong(f"the prompt of {entry.id[:8]} is not kept, so its cell cannot be written")
    shell.set_next_input(cell_of(entry.request), replace=False)
