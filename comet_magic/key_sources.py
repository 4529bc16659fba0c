"""The optional places of a key: the system's keyring and a `.env` file. What fails or waits there is left out."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

from .machine import Answer, ask, ask_patiently, here, nearest_file
from .text import Secret, clean

if TYPE_CHECKING:
    from pathlib import Path

KEYRING_SERVICE = "comet_magic"
_keyring_answers: dict[tuple[object, str], Answer[Secret]] = {}
_keyring_lock = threading.Lock()


def ask_keyring(host: str) -> Answer[Secret]:
    """What the keyring has for a host; it is asked once in a process, for it may show a dialog."""
    with _keyring_lock:
        module = sys.modules.get("keyring")
        known = _keyring_answers.get((module, host)) or next(
            (told for (asked, _), told in _keyring_answers.items() if told.problem and asked is module), None
        )
        if known is None:
            known = ask_patiently("the keyring", partial(_in_keyring, host))
            _keyring_answers[sys.modules.get("keyring"), host] = known
        return known


def forget_keyring() -> None:
    """Ask it again the next time."""
    _keyring_answers.clear()


def _in_keyring(host: str) -> Secret | None:
    try:
        import keyring
    except ModuleNotFoundError as fault:
        if fault.name not in ("keyring", None):  # one that is there, and is broken
            raise
        return None
    value = keyring.get_password(KEYRING_SERVICE, host)
    return Secret(value) if value else None


def read_dotenv() -> Answer[tuple[Path, dict[str, str | None], int]]:
    """The nearest `.env`, its values and its mode."""
    found = ask("the .env file", lambda: find_dotenv(here()))
    path = found.value
    if path is None:
        return Answer(problem=found.problem)

    def read() -> tuple[Path, dict[str, str | None], int]:
        from dotenv import dotenv_values

        return path, dotenv_values(path, encoding="utf-8-sig"), path.stat().st_mode

    return ask(clean(path), read)


def find_dotenv(start: Path) -> Path | None:
    """The nearest `.env`, as `nearest_file` looks for it."""
    return nearest_file(start, ".env")
