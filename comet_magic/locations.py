"""Where the archive is. A module of its own, because `%load_ext` asks before anything else is needed."""

from __future__ import annotations

import os
from pathlib import Path

ARCHIVE_VARIABLE = "COMETIMG_ARCHIVE"
DEFAULT_ARCHIVE = "cometimg"


def archive_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """The archive's folder: as given, else of the environment (`off` for none), else the default."""
    if given != DEFAULT_ARCHIVE:
        return None if given is None or str(given) == "off" else Path(given).expanduser()
    named = os.environ.get(ARCHIVE_VARIABLE, "").strip()
    return None if named == "off" else Path(named or DEFAULT_ARCHIVE).expanduser()
