"""The threads for what would stop the loop: the disk, the ledger, the decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WORKERS = 8


class Threads:
    """At most eight at once, for one client."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(WORKERS)

    async def run(self, act: Callable[..., T], *args: Any) -> T:
        """The result of a blocking call."""
        return await run_sync(act, *args, limiter=self._limiter)
