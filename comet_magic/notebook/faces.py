"""`comet_magic.panel()`: the form, from plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .panel import Panel


def panel() -> Panel:
    """A form for pictures, as the value of a cell; `.images` and `.last` are what it made.

    With no key it works all the same, with pictures that are painted on this machine.

    Example:
        >>> import comet_magic as cm
        >>> panel = cm.panel()
        >>> panel.images
        []
        >>> panel.close()
    """
    from .panel import Panel

    return Panel()
