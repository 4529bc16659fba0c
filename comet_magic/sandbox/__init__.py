"""A real HTTP endpoint on loopback that paints placeholder pictures instead of asking a model."""

from __future__ import annotations

from .server import (
    Sandbox,
    Served,
    close_process_sandbox,
    process_sandbox,
    running_process_sandbox,
    start_sandbox,
)

__all__ = ["Sandbox", "Served", "close_process_sandbox", "process_sandbox", "running_process_sandbox"]
__all__ += ["start_sandbox"]
