"""What one process spends, in all the archives that it pays from: the limit of a session holds over all of them."""

from __future__ import annotations

import os
import threading
import uuid
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ..archive import Archive, Reader

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
        self.session = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._folders: set[Path] = set()
        # by whether prompts are kept: its ledger ends with the process, not with a client
        self._in_memory = {keeps: Archive(None, store_prompts=keeps) for keeps in (True, False)}

    def archive(self, folder: Path | None, *, store_prompts: bool) -> Archive:
        """The archive of a folder; all that keep nothing on disk share one in memory."""
        if folder is None:
            return self._in_memory[store_prompts]
        return Archive(folder, store_prompts=store_prompts)

    @contextmanager
    def claiming(self, archive: Archive, vendor: str, budget: Budget) -> Iterator[Budget]:
        """The budget of a claim, with what the session has spent in other archives; a limited one claims alone.

        Raises:
            ConfigurationError: the ledger of another archive cannot be read.
        """
        if archive.folder is not None:
            self._folders.add(archive.folder)
        if budget.session is None:
            yield budget
            return
        with self._lock:
            others: list[Reader] = [Reader(folder) for folder in self._folders - {archive.folder}]
            others += [other for other in self._in_memory.values() if other is not archive]
            elsewhere = sum(other.spend(vendor, self.session).bound for other in others)
            yield replace(budget, elsewhere=elsewhere)


def process_spending() -> ProcessSpending:
    """The spending of this process; a forked child has its own."""
    return spending_of(os.getpid())


@cache
def spending_of(process: int) -> ProcessSpending:  # noqa: ARG001 - one for each
    """The spending of a process, by its id."""
    return ProcessSpending()
