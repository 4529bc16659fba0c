"""The history of calls: found, shown again, drawn as a tree, starred, written as a cell, fetched, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, SaveError
from ..history_table import CALL_ID, find_call, find_calls
from ..outputs import display_bundle
from ..text import clean, counted
from .arguments import usage_error
from .cell_output import print_notices
from .session import session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Archive, Entry, Reader
    from ..images import Images

HISTORY_LIMIT = 20
NOTE = "%cometimg_history ID shows one again; --as-code writes its cell, without an ID that of the last one."
OF_ONE = ("fetch", "as_code", "tree", "star", "unstar")  # flags that need the ID of a call
FILTERS = ("model", "day", "since", "min_cost", "max_cost", "parent")


# --- %cometimg_history


def show_history(
    words: str, values: Mapping[str, Any], *, shell: Any, settings: Mapping[str, Any]
) -> Images | None:
    """Show the history; with the ID of a call return its pictures, or do with it what a flag says."""
    client = session.archive_client(**settings)
    archive = client.archive
    here, found = find_call(archive, words) if CALL_ID.fullmatch(words) else (archive, None)
    flag = next((name for name in OF_ONE if values[name]), "")
    if flag == "as_code" and found is None and words:
        _write_recipe(words, shell, settings)
        return None
    if flag == "as_code" and not words:  # of the last one
        found = next(iter(archive.history(limit=1)), None)
    if flag and found is None:
        known = words or flag != "as_code"
        problem = "needs the ID of a call; %cometimg_history lists them" if known else "finds no call"
        raise usage_error(f"--{flag.replace('_', '-')} {problem}")
    if found is None:
        _show_calls(archive, words, values)
        return None
    if not flag:
        return images_of(here, found)
    if flag == "fetch":
        _refuse_another(archive, here)
        return client.fetch(found.id)
    _do(flag, found, here, shell)
    return None


def _refuse_another(archive: Archive, here: Reader) -> None:
    if here is not archive:
        where = clean(here.folder)
        hint = f"comet_magic.open_dataset({where!r}).retry('failed') fetches what is paid."
        raise ConfigurationError(f"this call is of the dataset {where}", hint=hint)


def _do(flag: str, found: Entry, here: Reader, shell: Any) -> None:
    if flag == "tree":
        from ..lineage import tree_bundle

        display_bundle(tree_bundle(here, found))
    elif flag == "as_code":
        _write_next_cell(found, shell)
    else:
        from ..archive import Archive

        archive = here if isinstance(here, Archive) else Archive(here.folder)
        archive.star(found, on=flag == "star")
        print(f"{found.id[:8]} has {'a' if flag == 'star' else 'no'} star.")


def _show_calls(archive: Archive, words: str, values: Mapping[str, Any]) -> None:
    filters = {name: values[name] for name in FILTERS}
    starred = bool(values["starred"])
    limit = HISTORY_LIMIT if values["limit"] is None else values["limit"]
    calls = find_calls(archive, words, limit=limit, starred=starred, **filters)
    print_notices(calls.unreadable)
    if calls:
        display_bundle(calls.bundle(NOTE))
    else:
        asked = words or starred or any(value is not None for value in filters.values())
        print("Nothing found." if asked else "Nothing was made yet.")


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
        parents=entry.parents,
    )


def _write_next_cell(entry: Entry, shell: Any) -> None:
    from .as_code import request_code

    if entry.request is None:
        raise usage_error(f"the prompt of {entry.id[:8]} is not kept, so its cell cannot be written")
    shell.set_next_input(request_code(entry.request), replace=False)


def _write_recipe(name: str, shell: Any, settings: Mapping[str, Any]) -> None:
    """Write the cell of the call that made a picture file."""
    from ..machine import expanded
    from ..recipes import find_recipe
    from .as_code import code_of

    if not expanded(name).is_file():
        raise usage_error(
            f"--as-code needs the ID of a call or a picture file; {name[:60]} is neither: %cometimg_history lists calls"
        )
    recipe = find_recipe(name, session.archive_client(**settings).archive)
    print_notices(recipe.notices)
    shell.set_next_input(code_of(recipe), replace=False)


# --- %cometimg_forget


def forget_call(call_id: str, settings: Mapping[str, Any]) -> None:
    """Delete the pictures and inputs of a call from disk, and say what was deleted.

    Raises:
        InvalidRequestError: the call is still open.
        SaveError: a file cannot be deleted.
    """
    archive = session.archive_client(**settings).archive
    here, found = find_call(archive, call_id) if CALL_ID.fullmatch(call_id) else (archive, None)
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
