"""The threads for what would stop the loop: those that decode, and those that wait for the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WRITERS = 4  # more of them would only take the interpreter's lock from each other


class Threads:
    """Of one client; `disk` says whether what it writes goes to a disk, or stays in memory."""

    def __init__(self, *, disk: bool) -> None:
        # More at once than there are processors would be no faster, and would keep the loop from running.
        self._decoders = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._writers = anyio.CapacityLimiter(WRITERS) if disk else None

    async def decode(self, act: Callable[..., T], *args: Any) -> T:
        """The result of what takes the processor for milliseconds."""
        return await run_sync(act, *args, limiter=self._decoders)

    async def write(self, act: Callable[..., T], *args: Any) -> T:
        """The result of what writes; at once where there is no disk to wait for."""
        return act(*args) if self._writers is None else await run_sync(act, *args, limiter=self._writers)
