"""The rows of a dataset with all that is known of them, as mappings, as `metadata.jsonl`, and as pictures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..archive import Reader
from ..errors import SaveError
from ..files import inside, native, replaced
from ..settings import Settings
from ..text import clean
from .row_index import RowIndex
from .row_status import row_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL.Image import Image

    from ..archive import Copy
    from ..images import Images, Picture
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
    """Every row, in the order of its source.

    `file_name` is relative to the folder, None where there is no picture; `parameters` is JSON, so that it is a
    text in every format; `cost` is in micro-USD; `created` is UTC.
    """
    archive = Reader(folder)
    with RowIndex(folder) as index:
        run = index.standing()
        if run is None:
            return
        for rows in index.rows(run.number):
            copies = archive.copies((row.key for row in rows if row.key), facts=True)
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
        **{_record_name(name): value for name, value in columns.items()},
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


def _record_name(column: str) -> str:
    """What a column of the source is called here: `cost_source` for `cost`, whose name has a meaning of its own.

    A column that is called `cost_source` already is `cost_source_source`, so that no two columns share a name.
    """
    first = column
    while first.endswith("_source"):
        first = first.removesuffix("_source")
    return f"{column}_source" if first in COLUMNS or _PICTURES.fullmatch(first) else column


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
    return (json_line(record) for record in read_records(folder))


def json_line(record: dict[str, Any]) -> bytes:
    """A row as a line of JSON; half a surrogate pair, which UTF-8 does not have, is escaped."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b"\n"


# --- pictures


@dataclass(frozen=True)
class LazyImage:
    """A picture by its file; a cell of a frame.

    Attributes:
        folder: the dataset's; what leads out of it is not opened.
        name: relative to the folder, with slashes.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return native(self.folder / self.name)

    @property
    def data(self) -> bytes:
        """The provider's bytes.

        Raises:
            SaveError: the file is gone or cannot be read.
        """
        try:
            return inside(self.folder, self.name).read_bytes()
        except OSError as error:
            problem = f"{clean(self.path.name)} cannot be read: {error.strerror or type(error).__name__}"
        raise SaveError(problem, outcome="not_sent")

    def picture(self) -> Picture:
        """Its bytes, checked, with what they tell."""
        from ..images import Picture, check_picture

        data = self.data
        mime, width, height = check_picture(data, max_pixels=Settings.max_image_pixels)
        return Picture(data=data, mime=mime, width=width, height=height, path=str(self.path))

    def open(self) -> Image:
        """The picture, decoded."""
        return self._images().image

    def __str__(self) -> str:
        return self.path.name

    def _images(self) -> Images:
        from ..images import Images

        return Images([self.picture()])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:  # noqa: ARG002 - IPython's
        return self._images()._repr_mimebundle_()
