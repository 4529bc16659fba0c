"""The history of calls: shown, shown again, written as a cell, fetched, and deleted on request."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any

from ..errors import CometError, ConfigurationError, SaveError
from ..files import from_here
from ..outputs import data_url, display_bundle, file_address
from ..tables import Thumbnail, table
from ..text import clean, counted
from .arguments import usage_error
from .commands import at_most
from .session import session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..archive import Archive, Entry, Reader
    from ..images import Images

HISTORY_LIMIT = 20
PROMPT_SHOWN = 160  # characters of a prompt in the history
THUMBNAIL_EDGE = 96  # longest edge of a thumbnail, pixels
_CALL_ID = re.compile(r"[0-9a-f]{6,32}")


# --- %cometimg_forget


def forget_call(call_id: str, settings: Mapping[str, Any]) -> None:
    """Delete the pictures and inputs of a call from disk, and say what was deleted.

    Raises:
        InvalidRequestError: the call is still open.
        SaveError: a file cannot be deleted.
    """
    archive = session.archive_client(**settings).archive
    here, found = _find_call(archive, call_id) if _CALL_ID.fullmatch(call_id) else (archive, None)
    if found is not None and here is not archive:
        raise usage_error(
            f"this call is of the dataset {clean(here.folder)}; name its folder as the archive first"
        )
    if found is None:
        raise usage_error("%cometimg_forget needs the ID of a call; %cometimg_history lists them")
    try:
        removed = archive.forget(found)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        print(f"{counted(len(removed), 'file')} of {found.id[:8]} deleted; its money stays in the history.")
        return
    raise SaveError(f"the files of {found.id[:8]} cannot all be deleted: {problem}")


# --- %cometimg_history


def show_history(
    words: str, values: Mapping[str, Any], *, shell: Any, settings: Mapping[str, Any]
) -> Images | None:
    """Show the history; with the ID of a call return its pictures, or write its cell into the next one."""
    from ..archive import ask_known

    client = session.archive_client(**settings)
    archive = client.archive
    here, found = _find_call(archive, words) if _CALL_ID.fullmatch(words) else (archive, None)
    if values["as_code"] and not words:  # of the last one
        found = next(iter(archive.history(limit=1)), None)
    if found is None and (values["fetch"] or values["as_code"]):
        flag = "--fetch" if values["fetch"] else "--as-code"
        known = words or values["fetch"]
        problem = "needs the ID of a call; %cometimg_history lists them" if known else "finds no call"
        raise usage_error(f"{flag} {problem}")
    if found is not None and values["as_code"]:
        _write_next_cell(found, shell)
        return None
    if found is not None:
        if values["fetch"] and here is not archive:
            where = clean(here.folder)
            hint = f"comet_magic.open_dataset({where!r}).retry('failed') fetches what is paid."
            raise ConfigurationError(f"this call is of the dataset {where}", hint=hint)
        return client.fetch(found.id) if values["fetch"] else images_of(here, found)
    limit, facts = _limit(values["limit"]), {"model": values["model"], "since": _since(values["since"])}
    answers, problems = ask_known(archive.folder, lambda reader: reader.history(words, limit=limit, **facts))
    own = (archive, archive.history(words, limit=limit, **facts))
    entries = [(reader, entry) for reader, calls in (own, *answers) for entry in calls]
    entries = sorted(entries, key=lambda one: one[1].created, reverse=True)[:limit]
    for problem in problems:
        print(problem)
    if not entries:
        print("Nothing found." if words or values["model"] or values["since"] else "Nothing was made yet.")
        return None
    display_bundle(_history_table(entries))
    return None


def _find_call(archive: Archive, call_id: str) -> tuple[Reader, Entry | None]:
    """The call with an id, and the archive that has it: the own one, or that of a dataset of this machine."""
    from ..archive import ask_known

    found = archive.entry(call_id)
    answers = [] if found else ask_known(archive.folder, lambda reader: reader.entry(call_id))[0]
    return next(((reader, entry) for reader, entry in answers if entry), (archive, found))


def _limit(given: int | None) -> int:
    if given is not None and given < 1:
        raise usage_error(f"--limit is {given}; it takes 1 or more")
    return given or HISTORY_LIMIT


def _since(given: str | None) -> date | None:
    if given is None:
        return None
    with suppress(ValueError):
        return date.fromisoformat(given)
    raise usage_error(f"--since is {given}; it takes a date such as 2026-11-22")


def _history_table(entries: Sequence[tuple[Reader, Entry]]) -> Any:
    from ..money import dollars

    rows = [
        (
            _thumbnail(archive, entry),
            entry.id[:8],
            f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
            entry.model,
            _size_of(entry),
            at_most(entry.bound_micro) if entry.cost is None and entry.bound else dollars(entry.cost_micro),
            entry.outcome if entry.outcome != "done" else f"{len(entry.pictures)}",
            _clamped(entry.prompt or ""),
        )
        for archive, entry in entries
    ]
    head = ("", "id", "time", "model", "size", "cost", "pictures", "prompt")
    return table(
        head,
        rows,
        notes=[
            "%cometimg_history ID shows one again; --as-code writes its cell, without an ID that of the last one."
        ],
    )


def _size_of(entry: Entry) -> str:
    """The sizes that came; without pictures, the size that was requested."""
    came = dict.fromkeys(f"{picture.width}x{picture.height}" for picture in entry.pictures)
    return ", ".join(came) or str(entry.parameters.get("size", ""))


def _clamped(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= PROMPT_SHOWN else f"{words[: PROMPT_SHOWN - 1].rstrip()}…"


def _thumbnail(archive: Reader, entry: Entry) -> Thumbnail | str:
    from ..images import preview

    if not entry.pictures:
        return ""
    try:
        small, mime = preview(archive.load(entry.pictures[0]), THUMBNAIL_EDGE)
    except (CometError, OSError):  # the file is gone or damaged; the rest of the row is still true
        return "missing"
    path = from_here(archive.path_of(entry.pictures[0]))
    return Thumbnail(data_url(small, mime), entry.prompt or "picture", file_address(str(path)))


def images_of(archive: Reader, entry: Entry) -> Images:
    """The pictures of a call, read from the archive.

    Raises:
        SaveError: a file is gone or damaged.
    """
    from ..client import picture_of
    from ..images import Images

    return Images(
        [picture_of(archive, stored, cost_micro=stored.cost_micro) for stored in entry.pictures],
        prompt=entry.prompt or "",
        model=entry.model,
        created=int(entry.created.timestamp()),
        usage=entry.usage,
        cost_micro=entry.cost_micro,
        request=entry.request,
        seconds=entry.seconds,
    )


def _write_next_cell(entry: Entry, shell: Any) -> None:
    from .as_code import request_code

    if entry.request is None:
        raise usage_error(f"the prompt of {entry.id[:8]} is not kept, so its cell cannot be written")
    shell.set_next_input(request_code(entry.request), replace=False)
