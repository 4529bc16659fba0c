"""Many requests -> a dataset: bounded, resumable, within budget.

    report = generate_dataset(frame, "dataset/", prompt="caption", max_cost=5.00)
    plan(frame, "dataset/", prompt="caption")     what it would cost; nothing is sent
    open_dataset("dataset/")                      the report, also of a run in another process

What was paid is in the folder's ledger; which rows the dataset has, and in which order, in its index.
"""

from __future__ import annotations

from .dataset import agenerate_dataset, generate_dataset
from .dataset_plan import DatasetPlan, plan
from .job import DatasetOptions, Redo
from .report import Dataset, open_dataset
from .row_index import Run
from .rows import LazyImage

__all__ = [
    "Dataset",
    "DatasetOptions",
    "DatasetPlan",
    "LazyImage",
    "Redo",
    "Run",
    "agenerate_dataset",
    "generate_dataset",
    "open_dataset",
    "plan",
]
