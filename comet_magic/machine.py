"""What a machine may lack: a home, a working folder, a keyring that answers; and where the archive is on it.

An optional source that fails or waits becomes one sentence, and the next source is asked.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from .errors import CometError, ConfigurationError

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE = 3.0  # seconds that a source may take
PATIENCE_WITH_DIALOG = 30.0  # seconds where a person can answer what it asks
log = logging.getLogger("comet_magic")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What an optional source said.

    Attributes:
        value: None if it has nothing, or was left out.
        problem: why it was left out, one sentence, or "".
    """

    value: T | None = None
    problem: str = ""


def ask(what: str, question: Callable[[], T | None]) -> Answer[T]:
    """Ask an optional source; `what` names it."""
    future: Future[T | None] = Future()
    _answer(future, question)
    return _outcome(what, future)


def ask_patiently(what: str, question: Callable[[], T | None]) -> Answer[T]:
    """Ask a source that may wait for somebody, for 3 s; for 30 s, and saying so, where it can show a dialog."""
    future: Future[T | None] = Future()
    threading.Thread(target=_answer, args=(future, question), name="comet_magic-ask", daemon=True).start()
    for seconds in (PATIENCE, PATIENCE_WITH_DIALOG - PATIENCE) if has_desktop() else (PATIENCE,):
        try:
            future.exception(seconds)
        except TimeoutError:
            if has_desktop() and seconds == PATIENCE:
                log.warning("waiting for %s, which may show a dialog; after 30 s it is left out", what)
        else:
            break
    if future.done():
        return _outcome(what, future)

    return Answer(problem=f"{what} was left out: it gave no answer in time")


def has_desktop() -> bool:
    """Whether a dialog could be seen and answered."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _answer(future: Future[T | None], question: Callable[[], T | None]) -> None:
    try:
        future.set_result(question())
    except KeyboardInterrupt:
        raise
    except BaseException as fault:  # noqa: BLE001 - sources raise errors of their own, and one of them exits
        future.set_exception(fault)


def _outcome(what: str, future: Future[T | None]) -> Answer[T]:
    fault = future.exception()
    if fault is None:
        return Answer(future.result())
    if isinstance(fault, UnicodeDecodeError):
        reason = "it is not UTF-8 text"
    elif isinstance(fault, CometError):
        reason = str(fault)
    else:
        reason = getattr(fault, "strerror", None) or f"{type(fault).__name__} {fault}".strip()
    from .text import clean

    return Answer(problem=f"{what} was left out: {clean(reason, limit=120)}")


def spare_files() -> float:
    """How many more files and connections this process may open; infinite where there is no limit."""
    if sys.platform == "win32":  # pragma: no cover - there each has a limit of its own, far away
        return math.inf
    else:  # noqa: RET505 - type checkers leave out what is in here
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most == resource.RLIM_INFINITY:
            return math.inf
        try:
            return most - len(list(Path("/dev/fd").iterdir()))
        except OSError:  # no such list, or no room to read it
            return most / 2


# --- folders

ARCHIVE_VARIABLE = "COMETIMG_ARCHIVE"
DEFAULT_ARCHIVE = "cometimg"


def here() -> Path:
    """The working folder.

    Raises:
        ConfigurationError: it is gone.
    """
    try:
        return Path.cwd()
    except OSError as fault:
        reason = fault.strerror
    raise ConfigurationError(
        f"the working folder is gone ({reason})", hint="Change to another one, in a notebook with %cd."
    )


def nearest_file(start: Path, name: str) -> Path | None:
    """The nearest file of a name from a folder upwards to the git root or home; without these only in the folder."""
    folders = [start, *start.parents]
    ends = [place for place, folder in enumerate(folders) if (folder / ".git").exists() or folder == home()]
    inside = folders[: ends[0] + 1] if ends else folders[:1]
    return next((folder / name for folder in inside if (folder / name).is_file()), None)


def absolute(path: Path) -> Path:
    """The path from the root.

    Raises:
        ConfigurationError: it is relative, and the working folder is gone.
    """
    return path if path.is_absolute() else here() / path


def home() -> Path | None:
    """The home folder; None where the system knows none for this user."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, with the home folder in place of `~`.

    Raises:
        ConfigurationError: it begins with `~`, and the system knows no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        pass
    from .text import clean

    raise ConfigurationError(
        f"{clean(path)} begins with ~, and this user has no home folder", hint="Write the whole path."
    )


def archive_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """The archive's folder: the one given, else the environment's, else the default; None for `off`.

    Raises:
        ConfigurationError: it begins with `~`, and there is no home folder.
    """
    if given != DEFAULT_ARCHIVE:
        return None if given is None or str(given) == "off" else expanded(given)
    named = os.environ.get(ARCHIVE_VARIABLE, "").strip()
    return None if named == "off" else expanded(named or DEFAULT_ARCHIVE)
