"""The rows of a dataset with all that is known of them, and `metadata.jsonl`, which tells them to everyone else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..archive import Reader
from ..files import replaced
from .row_index import RowIndex
from .row_status import row_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..archive import Copy
    from .row_index import IndexedRow, RunState

NAME = "metadata.jsonl"
# Our own columns.
FIRST = ("file_name", "prompt")
LAST = (
    *("outcome", "model", "parameters", "revised_prompt", "request_id", "cost", "created", "width", "height"),
    *("sha256", "error", "code", "message"),
)
COLUMNS = (*FIRST, *LAST)
# `image` is the picture itself in a frame and in parquet; the others name one to who loads the folder.
# https://huggingface.co/docs/datasets/image_dataset#imagefolder
_PICTURES = re.compile(r"image|(.*_)?file_names?", re.DOTALL)


def read_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Every row of the latest run, in the order of its source.

    `file_name` is relative to the folder, None where there is no picture; `parameters` is JSON, so that it is a
    text in every format; `cost` is in micro-USD; `created` is UTC.
    """
    archive = Reader(folder)
    with RowIndex(folder) as index:
        run = index.latest()
        if run is None:
            return
        for rows in index.rows(run.number):
            copies = archive.copies(row.key for row in rows if row.key)
            for row in rows:
                yield _record(row, copies.get((row.key, row.copy)), run.state)


def _record(row: IndexedRow, copy: Copy | None, state: RunState) -> dict[str, Any]:
    outcome = row_status(row, copy, state)
    here = copy if outcome == "done" else None
    failed = row if row.error is not None else copy if outcome != "done" else None
    columns = json.loads(row.columns)
    return {
        "file_name": here.path if here else None,
        "prompt": row.prompt,
        **{_kept(name): value for name, value in columns.items()},
        "outcome": outcome,
        "model": row.model,
        "parameters": row.parameters,
        "revised_prompt": here.revised_prompt if here else None,
        "request_id": copy.request_id if copy else None,
        "cost": here.cost if here else None,
        "created": _time(here.ended) if here else None,
        "width": here.width if here else None,
        "height": here.height if here else None,
        "sha256": here.sha256 if here else None,
        "error": failed.error if failed else None,
        "code": copy.code if copy and failed is copy else None,
        "message": failed.message if failed else None,
    }


def _kept(name: str) -> str:
    """What a column of the source is called here: `cost_source` where its name has a meaning of its own."""
    return f"{name}_source" if name in COLUMNS or _PICTURES.fullmatch(name) else name


def _time(ended: float | None) -> str | None:
    return None if ended is None else datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")


def write_metadata(folder: Path) -> None:
    """Put `metadata.jsonl` beside the pictures, whole; the same rows give the same bytes.

    Raises:
        OSError: the disk refuses.
    """
    with replaced(folder / NAME) as file:
        file.writelines(lines(folder))


def lines(folder: Path) -> Iterator[bytes]:
    """The rows as lines of JSON."""
    return (json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in read_records(folder))
