"""Where a scene happens: the canvas, the hour, the horizon and the dice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .canvas import Canvas
    from .palette import Palette


@dataclass(frozen=True)
class Stage:
    """One scene. `unit` is the length everything is measured in; `dice` gives the same throws for the same request."""

    canvas: Canvas
    palette: Palette
    hour: str
    horizon: float
    sun: tuple[float, float, float]  # x, y, radius; below the horizon it has set
    dice: Random
    position: int

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.canvas.width

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.canvas.height

    @property
    def unit(self) -> float:
        """The shorter edge, which keeps shapes in shape on strips."""
        return float(min(self.width, self.height))

    def falls_from(self, x: float) -> int:
        """The side of a thing at x that the light falls on: -1 left, 1 right."""
        return -1 if self.sun[0] < x else 1

    @property
    def depth(self) -> float:
        """Pixels between the horizon and the lower edge."""
        return self.height - self.horizon


@dataclass(frozen=True)
class Land:
    """One kind of place."""

    paint: Callable[[Stage], None]
    horizon: float  # share of the height
    stand: float  # where things stand: share of what is below the horizon
    surface: str = "ground"  # ground, water, swell, table, none
    sky: bool = True
    drive: float = 0.0  # where wheels go, if elsewhere
