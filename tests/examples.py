"""How often a property is tried that holds more than was promised: a fifth of what the others get."""

from __future__ import annotations

from hypothesis import settings

fewer = settings(max_examples=max(20, settings.default.max_examples // 5))
