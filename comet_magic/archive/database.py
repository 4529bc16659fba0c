"""SQLite files that may come from a stranger: private, never a link, and opened by readers only to read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..files import make_private_folder, open_no_follow
from ..machine import absolute
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY = 30.0  # seconds to wait for another process's transaction
_UNREADABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def open_to_write(path: Path, busy: float = BUSY) -> sqlite3.Connection:
    """A connection that writes ahead; the file is made if there is none, and a private folder for it.

    Args:
        path: the file.
        busy: seconds to wait for another process's transaction.

    Raises:
        ConfigurationError: it is a link, or its folder cannot be written.
        OSError: the file cannot be made.
        sqlite3.Error: it cannot be opened.
    """
    _refuse_link(path)
    if not path.exists():
        if not path.parent.is_dir():
            make_private_folder(path.parent)
        # SQLite would make it readable for others.
        os.close(open_no_follow(path, os.O_RDWR | os.O_CREAT))
    connection = _connect(path, "mode=rw", busy)
    with closed_on_failure(connection):
        _write_ahead(connection, busy)
    return connection


def open_to_read(path: Path, busy: float = BUSY) -> sqlite3.Connection:
    """A connection that changes nothing, also if nothing can be written.

    Raises:
        ConfigurationError: it is a link.
        sqlite3.Error: it cannot be opened.
    """
    _refuse_link(path)
    try:
        return _connect(path, "mode=ro", busy)
    except sqlite3.OperationalError as error:
        # Where no side file can be made nobody writes, unless one is there already.
        if error.sqlite_errorcode & 0xFF not in _UNREADABLE or _has_log(path):
            raise
    return _connect(path, "mode=ro&immutable=1", busy)


@contextlib.contextmanager
def closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that could not be prepared."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise ConfigurationError(
            f"{clean(path)} is a link", hint="Remove it, or name the folder it leads to."
        )


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _connect(path: Path, how: str, busy: float) -> sqlite3.Connection:
    # https://sqlite.org/uri.html
    connection = sqlite3.connect(
        f"{absolute(path).as_uri()}?{how}",
        uri=True,
        timeout=busy,
        isolation_level=None,
        check_same_thread=False,
    )
    with closed_on_failure(connection):
        connection.execute("PRAGMA schema_version").fetchone()  # only the first question opens the file
    return connection


def _write_ahead(connection: sqlite3.Connection, busy: float) -> None:
    """Write ahead from now on; SQLite does not wait by itself while another process switches.

    https://sqlite.org/wal.html
    """
    deadline = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
