"""Fork hooks: close files before a fork, reset locks in the child."""

from __future__ import annotations

import os
import threading
import weakref


class ForkHooks:
    """An object with state that must not pass through a fork as it is."""

    def before_fork(self) -> None:
        """Runs before a fork, in the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Runs after the fork, in that thread."""

    def after_fork_in_child(self) -> None:
        """Runs in the child, in its only thread."""


_watched: weakref.WeakSet[ForkHooks] = weakref.WeakSet()
_forking = threading.local()


def watch(one: ForkHooks) -> None:
    """Run the hooks of an object at every fork of this process, for as long as the object lives."""
    _watched.add(one)


def _before() -> None:
    _forking.told = list(_watched)
    for one in _forking.told:
        one.before_fork()


def _in_parent() -> None:
    for one in _forking.__dict__.pop("told", ()):
        one.after_fork_in_parent()


def _in_child() -> None:
    for one in _forking.__dict__.pop("told", ()):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
