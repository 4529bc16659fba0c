"""One row of a dataset as its index has it, which may be a stranger's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ..archive.records import is_hash, is_input
from ..request import Inputs

if TYPE_CHECKING:
    from pathlib import Path


class IndexedRow(NamedTuple):
    """One row as the index has it."""

    position: int
    key: str
    copy: int
    prompt: str
    model: str | None
    parameters: str | None
    columns: str
    error: str | None
    message: str | None
    inputs: str | None = None

    def given(self, folder: Path) -> Inputs:
        """The pictures that go into its request, with their files in the folder."""
        return Inputs.from_list(json.loads(self.inputs or "[]"), folder)


def is_sound(row: IndexedRow) -> bool:
    """Whether a row of an index, which may be a stranger's, is made as ours; others count as absent."""
    texts = (row.model, row.parameters, row.error, row.message)
    if not (
        (row.key == "" or is_hash(row.key))
        and (type(row.copy) is int and row.copy >= 0 and isinstance(row.prompt, str))
        and all(text is None or isinstance(text, str) for text in texts)
    ):
        return False
    try:
        inputs = json.loads(row.inputs or "[]")
        return (
            isinstance(json.loads(row.columns), dict)
            and isinstance(json.loads(row.parameters or "{}"), dict)
            and isinstance(inputs, list)
            and all(map(is_input, inputs))
        )
    except (TypeError, ValueError, RecursionError):
        return False
