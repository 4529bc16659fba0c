"""Write files whole or not at all, never over another one; make names that are safe on every system.

A file is written under a temporary name in the same folder, synced, and linked to its final name, which fails if
that name exists; then the folder is synced. A crash leaves a `*.part`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import tempfile
import unicodedata
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO

from .errors import ConfigurationError
from .machine import absolute
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader

PART = ".part"
LARGEST = 512 << 20  # bytes of a picture or another file of an archive
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL

# The errors of link() on file systems without hard links: FAT and exFAT, some FUSE and network mounts.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_is_link = os.path.islink
_is_junction = getattr(os.path, "isjunction", frozenset[str]().__contains__)  # of Windows, from Python 3.12

# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|com\d|lpt\d)", re.IGNORECASE)
# Letters by category, but drawn as nothing: the Hangul fillers.
_UNSEEN = frozenset("\u115f\u1160\u3164\uffa0")


def _in_this_locale(path: Path | str) -> Path:
    return Path(os.fsdecode(str(path).encode("utf-8", "surrogateescape")))


_SPLIT_WORDS = re.compile(
    r"(?<![a-z])(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?![a-z])"
)
# The path in a form that works in every locale: file names are always UTF-8.
native: Callable[[Path | str], Path] = Path if sys.getfilesystemencoding() == "utf-8" else _in_this_locale


def write_whole(path: Path, data: bytes | Iterable[bytes], *, mode: int = 0o600) -> None:
    """Write a file, whole and durable, or leave nothing.

    Raises:
        FileExistsError: something, also a dangling symlink, has that name; it is untouched.
        OSError: the disk is full, the folder cannot be written, and the like.
    """
    path = native(path)
    with _part_beside(path) as part:
        _write(part, [data] if isinstance(data, bytes) else data, mode)
        _give_name(part, path)


@contextlib.contextmanager
def replaced(path: Path, *, private: bool = True) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well: readers see the old file or the whole new one.

    Its folder is made.

    Args:
        path: the file.
        private: only its owner can read it and its folder; otherwise the user's umask says who can.

    Raises:
        OSError: the disk refuses; the old file is untouched.
    """
    path = native(path)
    if private:
        make_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    with _part_beside(path) as part:
        with os.fdopen(open_no_follow(part, _NEW, 0o600 if private else 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def place(part: Path, final: Path) -> None:
    """Give a finished temporary file of the same folder tree its name, durably.

    Raises:
        FileExistsError: something has that name; both are untouched.
        OSError: the names are on different file systems, and the like; the temporary file is still there.
    """
    part, final = native(part), native(final)
    descriptor = open_no_follow(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _give_name(part, final)
    part.unlink(missing_ok=True)
    sync_folder(final.parent)


def open_no_follow(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file for its descriptor, but never through a link; only the owner can read a new file.

    Raises:
        OSError: it is a link, and as `os.open` has it.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), mode)


def write_all(descriptor: int, block: bytes) -> None:
    """Write all of a block, in as many steps as the system needs."""
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can read, and its parents; durably.

    Raises:
        NotADirectoryError: something else has its name.
        OSError: it cannot be made.
    """
    path = native(path)
    if path.is_dir():
        return
    if not path.parent.exists():
        make_folder(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:  # that a file has the name is not an answer to who writes the file of a name once
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    sync_folder(path.parent)


def is_address(path: object) -> bool:
    """Whether a text is an address such as `s3://bucket/name`, also if a `Path` was made of it."""
    return "://" in str(path) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]", str(path)) is not None


def make_private_folder(path: Path, *, ignored: bool = True) -> None:
    """Make a private folder, and check that it can be written.

    Args:
        path: the folder. One that holds other things keeps its mode and gets no `.gitignore`.
        ignored: git, and what sends folders as git would, leaves it out.

    Raises:
        ConfigurationError: it cannot be made or written.
    """
    path = native(path)
    try:
        fresh = not path.is_dir() or not any(path.iterdir())
        make_folder(path)
        if fresh:
            path.chmod(0o700)
            with contextlib.suppress(FileExistsError):  # another process was quicker
                if ignored:
                    write_whole(path / ".gitignore", b"*\n")
        with _part_beside(path / "probe") as probe:
            _write(probe, [b"?"], 0o600)
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror or type(error).__name__
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    else:
        return
    message = f"the folder {clean(path)} cannot be written: {reason}"
    places = "archive=, %config CometMagics.archive, or COMETIMG_ARCHIVE in the environment"
    ways = "Free space on its disk, or name another folder" if full else "Name another folder"
    raise ConfigurationError(message, hint=f"{ways}: {places}.")


def unwritable(folder: Path) -> str:
    """Why no file can be made in a folder, which may not exist yet, in one sentence; "" if one can."""
    place = absolute(native(folder))
    while not place.exists() and place != place.parent:
        place = place.parent
    here = from_here(place)
    shown = clean(here) if here.parts else "this folder"
    if not place.is_dir():
        return f"{shown} is not a folder"
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        return f"{shown} cannot be written: {error.strerror or type(error).__name__}"
    return ""


def from_here(path: Path) -> Path:
    """The path relative to the working folder, if it is inside; a shared notebook need not show the rest."""
    try:
        return path.relative_to(native(Path.cwd()))
    except (OSError, ValueError):
        return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, if the system can."""
    if os.name == "nt":  # pragma: no cover - Windows has no handle on folders, and NTFS journals names
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network and FUSE mounts cannot sync a folder
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EROFS}:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _part_beside(path: Path) -> Iterator[Path]:
    """A temporary name beside a file; what has it at the end of the block is removed, and the folder is synced."""
    part = path.with_name(f".{secrets.token_hex(6)}{PART}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _write(part: Path, blocks: Iterable[bytes], mode: int) -> None:
    descriptor = open_no_follow(part, _NEW, mode)
    try:
        for block in blocks:
            write_all(descriptor, block)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(part: Path, final: Path) -> None:
    if os.name == "nt":  # pragma: no cover - there, rename refuses an existing name by itself
        part.rename(final)
        return
    try:
        os.link(part, final, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    # Without links the name is claimed by an empty file first; a crash here leaves an empty file.
    os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        part.replace(final)
    except OSError:
        final.unlink(missing_ok=True)
        raise


# --- names ----------------------------------------------------------------------------------------------


def slug(prompt: str, *, max_bytes: int = 60) -> str:
    """The words of a prompt as a part of a file name, for any prompt and any system.

    Holds letters and digits of any script in lower case, joined by single dashes, in Unicode form NFC;
    never empty, never a name that Windows reserves, and cut between words if that keeps half of it.

    Args:
        prompt: any text, also with lone surrogates or control characters.
        max_bytes: the longest result in UTF-8, at least 20.
    """
    kept: list[str] = []
    for character in unicodedata.normalize("NFC", prompt[:1000].lower()):
        category = unicodedata.category(character)
        # A mark belongs to the letter before it; without one it is an emoji's variation selector or noise.
        mark = category[0] == "M" and bool(kept) and kept[-1] != "-"
        letter = (category[0] == "L" or category == "Nd") and character not in _UNSEEN
        kept.append(character if letter or mark else "-")
    words = "-".join(filter(None, "".join(kept).split("-")))
    if len(words.encode()) > max_bytes:
        words = _shortened(words, max_bytes)
    if not words:
        return "image"
    return f"{words}-image" if _RESERVED.fullmatch(words) else words


def without_split_words(name: str) -> str:
    """A name, joined by dashes, without `train`, `test` and the like, which `datasets` takes for the file's split.

    https://huggingface.co/docs/datasets/repository_structure#automatic-splits-detection
    """
    return "-".join(filter(None, _SPLIT_WORDS.sub("", name).split("-")))


def _shortened(words: str, max_bytes: int) -> str:
    cut = words.encode()[:max_bytes].decode(errors="ignore")
    # A mark left out of the cut would change the letter it belongs to, so that letter goes too.
    if unicodedata.category(words[len(cut)])[0] == "M":
        cut = cut.rstrip("".join({c for c in cut if unicodedata.category(c)[0] == "M"}))[:-1]
    between = words[len(cut)] == "-"
    dash = cut.rfind("-")
    if not between and dash > len(cut) // 2:
        cut = cut[:dash]
    return cut.strip("-")


# --- a folder that may come from a stranger: nothing in it may lead out of it -----------------------------


_PLAIN_NAME = re.compile(r"(?:\w[\w.-]*/)*\w[\w.-]*")  # no part of it is a step upwards or a drive


def is_name_inside(name: object) -> bool:
    """Whether a text names a file under a folder: relative, with slashes, with no step upwards on any system."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    if _PLAIN_NAME.fullmatch(name):  # as ours are: quicker, for tables of them
        return True
    path = PureWindowsPath(name)
    return not path.anchor and ".." not in path.parts


def inside(folder: Path, name: str) -> Path:
    """The path of a file under a folder; whether it is there is not asked.

    Raises:
        PermissionError: the name leads out of the folder, or a link is on the way to it.
    """
    if is_name_inside(name):
        path = native(folder / name)
        if not is_linked(folder, path):
            return path
    raise PermissionError(errno.EPERM, "it leads out of its folder", str(name))


def open_inside(folder: Path, name: str, *, largest: int = LARGEST) -> BufferedReader:
    """Open a file under a folder to read it.

    Raises:
        OSError: it is not there, is a link, a pipe, a device or a folder, leads out, or has more than `largest` bytes.
    """
    path = inside(folder, name)
    descriptor = open_no_follow(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    )  # a pipe would be waited for
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= largest:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    code = errno.EFBIG if stat.S_ISREG(status.st_mode) else errno.EINVAL
    raise OSError(code, os.strerror(code), str(path))


def read_inside(folder: Path, name: str) -> bytes:
    """The bytes of a file under a folder.

    Raises:
        OSError: as `open_inside`.
    """
    with open_inside(folder, name) as file:
        return file.read()


def is_linked(folder: Path, path: Path) -> bool:
    """Whether a link is on the way from the folder to a path under it, or the path is one."""
    place = str(path)
    for _ in range(len(path.parts) - len(folder.parts)):
        if _is_link(place) or _is_junction(place):
            return True
        place = place.rpartition(os.sep)[0]
    return False
