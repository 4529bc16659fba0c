"""The README.md of an exported dataset: which files are which split."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES = {"parquet": "{}-*.parquet", "webdataset": "{}-*.tar", "folder": "{}/**"}


def configs_text(form: str, splits: Sequence[str]) -> str:
    """The head of a README.md by which `load_dataset` finds the files of each split.

    https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    lines = [f'  - split: {split}\n    path: "{_FILES[form].format(split)}"\n' for split in splits]
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{''.join(lines)}---\n"
