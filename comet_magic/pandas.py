"""The frame accessor: `frame.comet.generate("caption", out="dataset/")` after `import comet_magic.pandas`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from .pipeline import Dataset, DatasetPlan, generate_dataset, plan

if TYPE_CHECKING:
    import os


@pd.api.extensions.register_dataframe_accessor("comet")
class CometAccessor:
    """Makes pictures for the rows of a frame; takes the options of `generate_dataset`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def plan(self, prompt: str, *, out: str | os.PathLike[str], **options: Any) -> DatasetPlan:
        """What `generate` would send and cost; nothing is sent."""
        return plan(self._frame, out, prompt=prompt, **options)

    def generate(self, prompt: str, *, out: str | os.PathLike[str], **options: Any) -> Dataset:
        """Turn the column `prompt` into a dataset in the folder `out`.

        Raises:
            CometError: as `generate_dataset` does.
        """
        return generate_dataset(self._frame, out, prompt=prompt, **options)
