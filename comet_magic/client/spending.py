"""What is spent in several archives: a session is those of its process, a day all that this machine knows of."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from ..archive import Archive, Reader
from ..archive.known_folders import known_folders, one_at_a_time, remember_folder
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..archive import Budget


class ProcessSpending:
    """The spending of one process, and where it paid from.

    Attributes:
        session: its id in every ledger.
    """

    def __init__(self) -> None:
        self.session = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._folders: set[Path] = set()
        self._known: dict[Path, Reader] = {}
        # by whether prompts are kept: its ledger ends with the process, not with a client
        self._in_memory = {keeps: Archive(None, store_prompts=keeps) for keeps in (True, False)}

    def archive(self, folder: Path | None, *, store_prompts: bool) -> Archive:
        """The archive of a folder; all that keep nothing on disk share one in memory."""
        if folder is None:
            return self._in_memory[store_prompts]
        return Archive(folder, store_prompts=store_prompts)

    @contextmanager
    def claiming(self, archive: Archive, vendor: str, budget: Budget) -> Iterator[Budget]:
        """The budget of a claim, with what was spent in other archives; a limited one claims alone.

        Raises:
            ConfigurationError: the ledger of another archive of this process cannot be read.
        """
        if archive.folder is not None:
            if budget.day is not None and archive.folder not in self._folders:
                remember_folder(archive.folder)
            self._folders.add(archive.folder)
        if budget.session is None and budget.day is None:
            yield budget
            return
        with self._lock, one_at_a_time() if budget.day is not None else nullcontext():
            others: list[Reader] = [Reader(folder) for folder in self._folders - {archive.folder}]
            others += [other for other in self._in_memory.values() if other is not archive]
            session = 0
            if budget.session is not None:
                session = sum(other.spend(vendor, self.session).bound_micro for other in others)
            day = 0 if budget.day is None else self._spent_today(archive, others, vendor)
            yield replace(budget, elsewhere=session, elsewhere_today=day)

    def _spent_today(self, archive: Archive, others: list[Reader], vendor: str) -> int:
        """What was spent today, and is in flight, in all known folders but one; what cannot be read counts nothing."""
        own = {archive.folder, *(other.folder for other in others)}
        known = [self._known.setdefault(path, Reader(path)) for path in known_folders() if path not in own]
        spent = 0
        for other in (*others, *known):
            with suppress(ConfigurationError):
                spent += max(other.spend(vendor, since=date.today()).bound_micro, 0)
        return spent


def process_spending() -> ProcessSpending:
    """The spending of this process; a forked child has its own."""
    return spending_of(os.getpid())


@cache
def spending_of(process: int) -> ProcessSpending:  # noqa: ARG001 - one for each
    """The spending of a process, by its id."""
    return ProcessSpending()
