"""Names of files in a table lead to the folder of its file, here or at an address of fsspec."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from ..errors import InvalidRequestError
from ..text import clean

_LARGEST_FILE = 512 << 20  # bytes
_WEB = ("http", "https")


@dataclass(frozen=True)
class SourceFolder:
    """The folder of a table's file.

    Attributes:
        path: on this machine, or within the filesystem.
        system: of fsspec; None for this machine.
    """

    path: str
    system: Any = field(default=None, repr=False)

    def find(self, name: str) -> Path | bytes:
        """A file by its name in the table: its path, or its bytes if it is not on this machine.

        Raises:
            InvalidRequestError: it is an address elsewhere, or cannot be read.
        """
        if self.system is not None:
            return self._fetched(name)
        if "://" in name:
            said = f"{clean(name, limit=200)} is an address, and the table is not read from there"
            raise InvalidRequestError(said, hint="Download the picture and give its path.")
        return Path(self.path) / Path(name).expanduser()

    def _fetched(self, name: str) -> bytes:
        path, problem = self._located(name), ""
        try:
            about = self.system.info(path)
            if about.get("type") != "file":
                problem = "it is not a file"
            elif (about.get("size") or 0) <= _LARGEST_FILE:
                with self.system.open(path, "rb") as file:
                    data: bytes = file.read(_LARGEST_FILE + 1)
                if len(data) <= _LARGEST_FILE:
                    return data
        except (OSError, ValueError, RuntimeError) as error:
            problem = clean(getattr(error, "strerror", None) or error, limit=120) or type(error).__name__
        problem = problem or "it has more than 512 MiB"
        raise InvalidRequestError(f"{clean(name, limit=200)} cannot be read: {problem}")

    def _located(self, name: str) -> str:
        """The path in the filesystem; an address must be one of it, and of the web one of the same server."""
        protocol = self.system.protocol
        own = (protocol,) if isinstance(protocol, str) else tuple(protocol)
        if set(own) & set(_WEB):
            path = urljoin(f"{self.path}/", name)
            fits = urlsplit(path)[:2] == urlsplit(self.path)[:2]
        elif "://" in name:
            path, fits = str(self.system._strip_protocol(name)), name.partition("://")[0] in own  # noqa: SLF001
        else:
            path, fits = name if name.startswith("/") else f"{self.path}/{name}", True
        if fits:
            return path
        raise InvalidRequestError(
            f"{clean(name, limit=200)} is elsewhere; a picture must be where the table is",
            hint="Copy the pictures beside the table, or give their bytes.",
        )
