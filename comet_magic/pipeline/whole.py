"""A file that is replaced whole: readers see the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, BinaryIO

from ..files import PART, make_folder, native, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file for writing that takes the name when all went well; readable for its owner only.

    Raises:
        OSError: the disk refuses; the old file is untouched.
    """
    final = native(path)
    make_folder(final.parent)
    part = final.with_name(f".{final.name[:100]}.{secrets.token_hex(6)}{PART}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(part, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(final.parent)
