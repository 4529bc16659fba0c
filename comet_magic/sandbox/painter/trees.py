"""Trees of the landscape, small and far or at the edge. A spot is x, y of the foot and the height in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .canvas import Brush, mix
from .shapes import Outline, box, ellipse, mirrored, polygon

if TYPE_CHECKING:
    from .stage import Stage

Spot = tuple[float, float, float]

_TIERS = ((0.03, 0.55, 0.26), (0.32, 0.78, 0.21), (0.56, 1.0, 0.15))  # foot, tip, half the width


def bush(stage: Stage, spot: Spot, distance: float) -> None:
    """A round tree seen from far away."""
    crown = ellipse(0, -0.9, 0.75, 1.0) + ellipse(0.6, -0.55, 0.55, 0.7)
    Brush(stage.canvas, *spot).fill(crown, stage.palette.land("#3f7d44", distance))


def fir(spot: Spot) -> Outline:
    """The silhouette of a fir."""
    x, y, tall = spot
    tiers = [[(-half, -low), (0, -top), (half, -low)] for low, top, half in _TIERS]
    return [
        [(x + u * tall, y + v * tall) for u, v in ring] for ring in [*tiers, *box(-0.03, -0.1, 0.06, 0.1)]
    ]


def pine(stage: Stage, spot: Spot, colour: str, distance: float, *, snowy: bool = False) -> None:
    """A fir of three tiers with a lit side."""
    brush = Brush(stage.canvas, *spot, flip=stage.sun[0] < spot[0])
    land = stage.palette.land
    brush.fill(box(-0.025, -0.1, 0.05, 0.105), land("#5b4030", distance))
    for low, top, half in _TIERS:
        brush.fill(
            polygon([(-half, -low), (0, -top), (half, -low), (0, 0.035 - low)]), land(colour, distance)
        )
        lit = polygon([(0, -top), (half, -low), (0, 0.035 - low)])
        brush.fill(lit, land(mix(colour, "#d8ecc0", 0.22), distance))
        if snowy:
            hem = [(u * half, -low - (top - low) * v) for u, v in ((0.0, 0.4), (0.22, 0.52), (0.55, 0.42))]
            brush.fill(mirrored(polygon([(0, -top), *hem])), land("#ffffff", distance * 0.7))
