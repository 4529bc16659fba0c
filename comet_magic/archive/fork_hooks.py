"""Before a fork, files are closed; after it, a child begins anew: locks and signs of life are its parent's."""

from __future__ import annotations

import os
import threading
import weakref


class ForkHooks:
    """What has state that must not go through a fork as it is."""

    def before_fork(self) -> None:
        """Called in the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Called in that thread, after it."""

    def after_fork_in_child(self) -> None:
        """Called in the child, whose only thread it is."""


_watched: weakref.WeakSet[ForkHooks] = weakref.WeakSet()
_forking = threading.local()


def watch(one: ForkHooks) -> None:
    """Have an object told of every fork of this process, for as long as it lives."""
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
