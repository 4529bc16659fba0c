"""The panel: a form made from the catalog, and a gallery of what it made."""

from __future__ import annotations

from .panel import Panel

__all__ = ["Panel"]
