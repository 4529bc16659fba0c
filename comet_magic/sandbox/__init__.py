"""A real HTTP endpoint on loopback that paints placeholder pictures instead of asking a model."""

from __future__ import annotations

from .server import Sandbox, Served, start_sandbox

__all__ = ["Sandbox", "Served", "start_sandbox"]
