"""Many pictures side by side, with the price first: every combination of models, options and words as one grid.

variants        what varies, the combinations of it, and what a model takes in place of what it does not
plan            the grid before anything is sent: its cells, its price, its time
grid_run        `vary`: plans, runs the calls side by side, and shows the grid while it grows
grid            `Grid`: the result, by cell, as a frame, as files
grid_display    the grid as a table of a notebook and as text
grid_sheet      the grid as one picture with labels
"""

from __future__ import annotations

from .grid import Grid, GridCell
from .grid_run import vary
from .plan import GridPlan, PlannedCell

__all__ = ["Grid", "GridCell", "GridPlan", "PlannedCell", "vary"]
