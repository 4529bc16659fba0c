"""How the panel looks: its style sheet, as the one element that brings it along."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def style() -> str:
    """The style sheet as an element, without what only its readers need."""
    text = files(__package__).joinpath("panel.css").read_text(encoding="utf-8")
    lean = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return "<style>" + re.sub(r"\s+", " ", lean).strip() + "</style>"
