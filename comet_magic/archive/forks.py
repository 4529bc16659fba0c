"""After a fork, a child must begin anew: connections, locks and signs of life are its parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What has state that a child must not use."""

    def after_fork(self) -> None:
        """Forget that state; only this thread is left."""


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(one: Forked) -> None:
    """Have `after_fork` called in every child of this process, for as long as the object lives."""
    _watched.add(one)


def _after_fork() -> None:
    for one in list(_watched):
        one.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
