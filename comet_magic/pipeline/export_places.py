"""Where an export goes: a folder of this machine, or an address of fsspec."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import ConfigurationError
from ..extras import load_extra
from ..files import PART, inside, is_address, is_linked, native, open_inside, replaced
from ..machine import expanded
from ..text import clean

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

BLOCK = 1 << 20  # bytes that are read at a time
_FEW = 8  # files whose sizes are asked for one by one; more are listed


class Folder:
    """A folder of this machine; its files are written whole or not at all, for whom the user's umask lets read."""

    def __init__(self, folder: Path) -> None:
        self.folder = native(folder).absolute()
        self.name = str(self.folder)

    def has_files(self) -> bool:
        """Whether it holds anything but hidden files."""
        return self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir())

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """The sizes of those of these files that are there."""
        found = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found[name] = inside(self.folder, name).lstat().st_size
        return found

    def read(self, name: str) -> BinaryIO:
        """A file, to be read; raises FileNotFoundError if it is not there."""
        return open_inside(self.folder, name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        inside(self.folder, name).unlink(missing_ok=True)

    def remove_parts(self) -> None:
        """Remove the temporary files that killed exports left; nobody else writes here now."""
        for path in self.folder.rglob(f".*{PART}"):
            if not is_linked(self.folder, path):
                path.unlink(missing_ok=True)

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A temporary file in the same folder, which takes the name at the end."""
        return replaced(inside(self.folder, name), private=False)


class Address:
    """A folder at an address of fsspec; object stores show a file once it is closed."""

    def __init__(self, name: str, system: Any, root: str) -> None:
        self.name, self._system, self._root = name, system, root.rstrip("/")
        system.invalidate_cache()  # what is listed is what is there now

    def has_files(self) -> bool:
        """Whether it holds anything but hidden files; some object stores list the folder itself."""
        if not self._system.exists(self._root):
            return False
        paths = {path.rstrip("/") for path in self._system.ls(self._root, detail=False)}
        names = (path.rpartition("/")[2] for path in paths - {self._root})
        return any(not name.startswith(".") for name in names)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """The sizes of those of these files that are there."""
        names = list(names)
        if len(names) <= _FEW:
            found = {f"{self._root}/{name}": self._info(name) for name in names}
        else:
            found = self._system.find(self._root, detail=True)
        sizes = {path.removeprefix(f"{self._root}/"): int(one["size"]) for path, one in found.items() if one}
        return {name: sizes[name] for name in names if name in sizes}

    def _info(self, name: str) -> dict[str, Any] | None:
        try:
            info: dict[str, Any] = self._system.info(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return info

    def read(self, name: str) -> BinaryIO:
        """A file, to be read; raises FileNotFoundError if it is not there."""
        file: BinaryIO = self._system.open(f"{self._root}/{name}", "rb")
        return file

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    def remove_parts(self) -> None:
        """Nothing is left here: what is written has its own name."""

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The file; half a file that a fault leaves is removed."""
        path = f"{self._root}/{name}"
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            with self._system.open(path, "wb") as file:
                yield file
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(name)
            raise


Place = Folder | Address


def place_at(to: str | os.PathLike[str]) -> Place:
    """The place of a name.

    Raises:
        ConfigurationError: it is an address that fsspec cannot open.
    """
    if not is_address(to) or "://" not in str(to):
        return Folder(expanded(to))
    load_extra("fsspec")
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, root = url_to_fs(str(to))
    except (ImportError, ValueError) as error:  # its driver is missing, or there is none
        problem = clean(error, limit=200)
    else:
        return Folder(Path(root)) if isinstance(system, LocalFileSystem) else Address(str(to), system, root)
    raise ConfigurationError(
        f"{clean(to)} cannot be written: {problem}", hint="pip install 'comet-magic[data]'"
    )


def digest_at(place: Place, name: str) -> str:
    """The sha256 of a file; raises FileNotFoundError if it is not there."""
    digest = hashlib.sha256()
    with place.read(name) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class HashedFile(io.RawIOBase):
    """A file to be written that knows the hash and size of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    @classmethod
    def of(cls, data: bytes) -> HashedFile:
        """What is known of these bytes as a file."""
        file = cls(io.BytesIO())
        file.write(data)
        return file

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, block: Any) -> int:
        data = memoryview(block).cast("B")
        self._digest.update(data)
        self._file.write(data)
        self.size += len(data)
        return len(data)
