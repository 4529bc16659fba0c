"""The paths of files in a folder that may come from a stranger: nothing in it may lead out of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PureWindowsPath

from .writing import native

_is_junction = getattr(os.path, "isjunction", lambda _: False)  # Windows, from Python 3.12


def is_name_inside(name: object) -> bool:
    """Whether a text names a file under a folder: relative, with slashes, with no step upwards on any system."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
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


def is_linked(folder: Path, path: Path) -> bool:
    """Whether a link is on the way from the folder to a path under it, or the path is one."""
    steps = len(path.parts) - len(folder.parts)
    return any(step.is_symlink() or _is_junction(step) for step in (path, *path.parents[: steps - 1]))
