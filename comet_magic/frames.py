"""Pandas frames whose texts stay texts in a notebook. Importing this module imports pandas."""

from __future__ import annotations

from typing import Any

import pandas as pd

_AS_WRITTEN = ("display.html.use_mathjax", False)


class Frame(pd.DataFrame):
    """A pandas frame with texts of servers and users, which a notebook shows as they are written.

    Notebooks typeset every $…$ of a table as a formula; the tables of this frame, and of the frames that are made
    from it, are marked to be left alone.
    """

    @property
    def _constructor(self) -> type[Frame]:
        return Frame

    def _repr_html_(self) -> str | None:
        with pd.option_context(*_AS_WRITTEN):
            shown: str | None = super()._repr_html_()  # type: ignore[misc]  # IPython's protocol
        return shown

    def to_html(self, *args: Any, **options: Any) -> Any:
        """As of any frame; formulas are not typeset."""
        with pd.option_context(*_AS_WRITTEN):
            return super().to_html(*args, **options)
