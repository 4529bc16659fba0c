"""When the next call of a run may begin: at once, alone behind a pause, or never once the run has stopped."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import anyio

from .failures import Failures

if TYPE_CHECKING:
    from ..errors import CometError
    from .failures import FailurePolicy, Pause


class Admission:
    """Lets calls begin. Used on the loop's thread; any thread may read `pause` and `text`."""

    def __init__(self, policy: FailurePolicy) -> None:
        self._failures = Failures(policy)
        self._resume_at = -math.inf
        self._trying = self._closed = False
        self._changed = anyio.Event()

    @property
    def pause(self) -> Pause | None:
        """The pause that holds, until a row that is tried has succeeded."""
        return self._failures.pause

    @property
    def news(self) -> int:
        """A number that changes with each pause and each answer."""
        return self._failures.news

    @property
    def text(self) -> str:
        """Why nothing is sent, and for how long, or ""."""
        pause = self.pause
        return pause.text(self._resume_at - time.monotonic()) if pause else ""

    async def enter(self) -> int | None:
        """Wait until a call may begin; gives the epoch to end it with, or None: the run has stopped."""
        while not self._closed:
            left = self._resume_at - time.monotonic() if self.pause else -math.inf
            if not self.pause or (left <= 0 and not self._trying):
                self._trying = self.pause is not None
                return self._failures.epoch
            with anyio.move_on_after(left if left > 0 else math.inf):
                await self._changed.wait()
        return None

    def heard(self, error: CometError | None, epoch: int, *, own_models: bool) -> CometError | None:
        """Take the end of a call that `enter` let begin; gives the error that ends the run, or None."""
        before = self.pause
        self._trying = self._trying and epoch < self._failures.epoch
        ending = self._failures.heard(error, epoch, own_models=own_models)
        if self.pause is not before:
            self._trying = False
            self._resume_at = time.monotonic() + (self.pause.seconds if self.pause else -math.inf)
        self._closed = self._closed or ending is not None
        self._notify()
        return ending

    def close(self) -> None:
        """Let nothing more begin; who waits is told."""
        self._closed = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
