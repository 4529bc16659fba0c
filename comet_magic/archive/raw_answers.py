"""Raw answers: where they are while they arrive, the note that one is whole, the ones kept for good."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import make_folder, native, place, write_all
from .layout import must_be_there

if TYPE_CHECKING:
    from collections.abc import Mapping


class RawAnswers:
    """The raw answers of one archive, or with no folder those of one process."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._spool = folder / "spool" if folder else Path(os.devnull)  # where nothing is

    def path(self, call_id: str) -> Path:
        """Where the raw answer of a call goes; its folder is there.

        Raises:
            OSError: the folder is gone or cannot be made.
        """
        if self._folder is None:
            self._make_passing()
        else:
            must_be_there(self._folder)
            make_folder(self._folder / "spool")
        return self._body(call_id)

    def finish(self, call_id: str, head: Mapping[str, Any]) -> None:
        """Note that the raw answer is whole."""
        body = self._body(call_id)
        content = {**head, "size": native(body).stat().st_size}
        # Not synced: the body is not either. A machine that stops leaves the call uncertain.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(native(body.with_suffix(".head")), flags, 0o600)
        try:
            write_all(descriptor, json.dumps(content, default=str).encode())
        finally:
            os.close(descriptor)

    def find(self, call_id: str) -> tuple[Path | None, dict[str, Any]]:
        """The raw answer of a call where it is whole, and its head."""
        body = self._body(call_id)
        try:
            head = json.loads(body.with_suffix(".head").read_bytes())
            whole = head["size"] == body.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return None, {}
        return (body, head) if whole else (None, {})

    def keep(self, call_id: str) -> Path:
        """Move the raw answer to where it stays."""
        body = self._body(call_id)
        rescue = (self._folder or Path(tempfile.mkdtemp(prefix="cometimg-"))) / "rescue"
        make_folder(rescue)
        with contextlib.suppress(FileExistsError):
            place(body, rescue / body.name)
        body.with_suffix(".head").unlink(missing_ok=True)
        return rescue / body.name

    def drop(self, call_id: str) -> None:
        """Remove the raw answer: its pictures are safe."""
        body = self._body(call_id)
        with contextlib.suppress(OSError):
            body.unlink(missing_ok=True)
            body.with_suffix(".head").unlink(missing_ok=True)

    def _body(self, call_id: str) -> Path:
        return self._spool / f"{call_id}.body"

    def _make_passing(self) -> None:
        if not self._spool.is_dir():
            self._spool = Path(tempfile.mkdtemp(prefix="cometimg-"))
            weakref.finalize(self, shutil.rmtree, self._spool, ignore_errors=True)
