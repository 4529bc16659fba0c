"""A table of prompts becomes a dataset: within a budget, and resumable.

    report = generate_dataset(frame, "dataset/", prompt="caption", max_cost=5.00)
    plan(frame, "dataset/", prompt="caption")     what it would cost; nothing is sent
    open_dataset("dataset/")                      the report, also of a run in another process

The ledger of the folder holds what was paid, its index the rows of the dataset in their order.
"""

from __future__ import annotations

from . import checks
from .choice import Redo
from .combine import product, sample
from .dataset import DatasetOptions, agenerate_dataset, generate_dataset, plan
from .dataset_plan import DatasetPlan
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
    "checks",
    "generate_dataset",
    "open_dataset",
    "plan",
    "product",
    "sample",
]
