"""One row of a dataset as its index has it, which may be a stranger's."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

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


def is_place(key: object, copy: object) -> bool:
    """Whether it names a copy of a request."""
    return is_hash(key) and type(copy) is int and copy >= 0


def is_sound(row: IndexedRow) -> bool:
    """Whether a row of an index, which may be a stranger's, is made as ours; others count as absent."""
    return (
        (is_place(row.key, row.copy) or (row.key == "" and type(row.copy) is int))
        and isinstance(row.prompt, str)
        and (row.model is None or isinstance(row.model, str))
        and (row.error is None or isinstance(row.error, str))
        and (row.message is None or isinstance(row.message, str))
        and (row.columns == "{}" or isinstance(parsed(row.columns), dict))
        and _are_parameters(row.parameters)
        and _are_inputs(row.inputs)
    )


def parsed(text: object) -> Any:
    """What a text of JSON says; None if it is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


@lru_cache(256)  # most rows of a table have the same
def _are_parameters(text: object) -> bool:
    return text is None or isinstance(parsed(text), dict)


@lru_cache(256)
def _are_inputs(text: object) -> bool:
    inputs = parsed("[]" if text is None else text)
    return isinstance(inputs, list) and all(map(is_input, inputs))
