"""Where the archive is. A module of its own: `%load_ext` needs it and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .machine import expanded

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE_VARIABLE = "COMETIMG_ARCHIVE"
DEFAULT_ARCHIVE = "cometimg"


def archive_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """The archive's folder: the one given, else the environment's, else the default; None for `off`.

    Raises:
        ConfigurationError: it begins with `~`, and there is no home folder.
    """
    if given != DEFAULT_ARCHIVE:
        return None if given is None or str(given) == "off" else expanded(given)
    named = os.environ.get(ARCHIVE_VARIABLE, "").strip()
    return None if named == "off" else expanded(named or DEFAULT_ARCHIVE)
