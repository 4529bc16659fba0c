"""The folders that money is spent from on this machine: a list in the user's state folder, kept as well as can be.

Whoever finds a folder here opens it as a stranger's. Where nothing can be written there is no list.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..files import make_folder, replaced
from .ledger import DATABASE_FAULTS, open_to_write
from .process_lock import file_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 1000  # folders; the oldest are forgotten
_LARGEST = 4 << 20  # bytes of the list


def known_folders() -> list[Path]:
    """The folders that were used, the oldest first, if they are there."""
    return [folder for folder in _listed() if (folder / "ledger.sqlite").is_file()]


def remember_folder(folder: Path) -> None:
    """Put a folder on the list; those that were removed are taken from it."""
    folder = folder.absolute()
    state = _state_folder()
    if state is None or folder in _listed():
        return
    with contextlib.suppress(OSError), one_at_a_time():
        make_folder(state)
        # What is not there with all of its parent may be on a disk that comes back.
        kept = [path for path in _listed() if path.is_dir() or not path.parent.is_dir()]
        with replaced(state / "folders.json") as file:
            file.write(json.dumps([str(path) for path in [*kept, folder][-MOST:]]).encode())


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep every other process of this user out of the block, so that two do not take the last dollar of a day."""
    state = _state_folder()
    with contextlib.ExitStack() as stack:
        if state is not None:
            with contextlib.suppress(ConfigurationError, *DATABASE_FAULTS):
                make_folder(state)
                lock = stack.enter_context(contextlib.closing(open_to_write(state / "reservation.sqlite")))
                lock.execute("BEGIN IMMEDIATE")  # its end is the end of the connection, or of the process
        yield


@contextlib.contextmanager
def locked(name: str, waits: Callable[[], object]) -> Iterator[None]:
    """Keep every other process and thread of this user out of blocks of the same name.

    Args:
        name: of what only one at a time may do.
        waits: is called before another one is waited for.
    """
    state = _state_folder()
    with contextlib.ExitStack() as stack:
        if state is not None:
            with contextlib.suppress(OSError):
                make_folder(state / "locks")
                path = (
                    state / "locks" / f"{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:32]}.lock"
                )
                stack.enter_context(file_lock(path, waits))
        yield


def _listed() -> list[Path]:
    state = _state_folder()
    try:
        with (state or Path()).joinpath("folders.json").open("rb") as file:
            found = json.loads(file.read(_LARGEST)) if state else []
    except (OSError, ValueError, RecursionError):
        return []
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return [Path(name) for name in names if Path(name).is_absolute() and "\0" not in name]


def _state_folder() -> Path | None:
    from platformdirs import user_state_path

    try:
        path = user_state_path("comet_magic", appauthor=False)
    except (OSError, RuntimeError):  # there is no home
        return None
    return path if path.is_absolute() else None
