"""A real HTTP endpoint on loopback that paints placeholder pictures instead of asking a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Sandbox, Served, start_sandbox

__all__ = ["Sandbox", "Served", "start_sandbox"]


def __getattr__(name: str) -> Any:
    # Loaded when a sandbox is started, not when the package is imported.
    if name in __all__:
        from . import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
