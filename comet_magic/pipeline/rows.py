"""The rows of a dataset: the status of each, all that is known of it, `metadata.jsonl`, and its picture."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from ..archive import Reader
from ..errors import BadImageError, BadResponseError, BudgetExceededError, CometError, SaveError
from ..files import native, read_inside, replaced
from ..money import usd
from ..protocol import decisions
from ..protocol.decisions import RowStatus
from ..settings import Settings
from ..text import clean
from .expand import KeyCounts
from .row_index import RowIndex

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

    from PIL.Image import Image

    from ..archive import Copy
    from ..images import Images, Picture
    from .choice import RowsToRedo
    from .row_index import IndexedRow, Run, RunState

NAME = "metadata.jsonl"
# Our own columns.
FIRST = ("file_name", "prompt")
LAST = (
    *("outcome", "model", "parameters", "revised_prompt", "request_id", "cost", "created", "width", "height"),
    *("sha256", "error", "code", "message"),
)
COLUMNS = (*FIRST, *LAST)
# `image` is the picture itself in a frame and in parquet; `datasets` takes the others for names of pictures.
# https://huggingface.co/docs/datasets/image_dataset#imagefolder
_PICTURES = re.compile(r"image|(.*_)?file_names?", re.DOTALL)

ROW_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)
_STORED = re.compile(r"inputs/[0-9a-f]{2}/[0-9a-f]{64}\.(?:png|jpg|webp)")
_WORDS = {"open": "remaining", "over_budget": "over budget", "equal": "shared"}
_NOT_ENDED = frozenset({"open", "over_budget", "cancelled"})


# --- status: decided from the ledger and the one decision table, without I/O


def should_send(place: tuple[str, int], copy: Copy | None, redo: RowsToRedo | None) -> bool:
    """Whether a run sends a row, by key and copy: one that no run has ended, or with `redo` only those in it."""
    if copy is None:
        return redo is None
    if copy.outcome == "open":  # its call is running, here or in another process
        return False
    status = status_of(copy)
    if redo is None:
        return status in _NOT_ENDED
    return status not in _NOT_ENDED and redo.has(status, place)


def status_of(copy: Copy) -> RowStatus:
    """What a row is by the last call for it; it is open if that was stopped before it was sent."""
    if was_lost(copy) or copy.outcome == "cancelled":
        return "open"
    return decisions.row_status(copy.outcome, copy.error)


def was_empty(copy: Copy) -> bool:
    """Whether a paid answer was read and held no usable picture, so that fetching it again brings none."""
    return copy.error in (BadResponseError.__name__, BadImageError.__name__)


def was_lost(copy: Copy) -> bool:
    """Whether the picture was here, and its file is gone or damaged; it is due again."""
    return copy.outcome == "failed" and copy.error is None


def is_kept(archive: Reader, copy: Copy) -> bool:
    """Whether the picture of a paid call can be asked for again, free."""
    return not was_empty(copy) and archive.can_fetch(copy.call_id)


def row_status(row: IndexedRow, copy: Copy | None, state: RunState) -> RowStatus:
    """What a person sees of a row: `open` if no run has ended it."""
    if row.error is not None:
        return "over_budget" if row.error == BudgetExceededError.__name__ else "failed"
    status = "open" if copy is None else status_of(copy)
    return "over_budget" if status == "open" and state == "over_budget" else status


def status_after(error: CometError | None) -> RowStatus:
    """What a row is after a call that ended with this error, as the ledger will have it."""
    if error is None:
        return "done"
    return "over_budget" if isinstance(error, BudgetExceededError) else decisions.row_after(error)


def in_words(counts: Mapping[str, int]) -> str:
    """Rows by status, those that are 0 left out: "2 done, 1 refused, 7 remaining"."""
    words = (f"{count:,} {_WORDS.get(name, name)}" for name, count in counts.items() if count)
    return ", ".join(words) or "nothing yet"


# --- records


def read_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Every row, in the order of its source.

    `file_name` is relative to the folder, None if there is no picture; `parameters` is JSON, so that it is a text in
    every format; `cost` is in micro-USD, and a picture that rows
    share costs only the first of them; `created` is in UTC. Each row has every column of the source, and a column
    whose values are of several types is text.
    """
    return (record for _, record in indexed_records(folder))


def indexed_records(folder: Path) -> Iterator[tuple[IndexedRow, dict[str, Any]]]:
    """Every row as the index has it, with its record."""
    archive = Reader(folder)
    with RowIndex(folder) as index:
        run = index.standing()
        if run is None:
            return
        kinds = _kinds(index, run)
        seen = KeyCounts()  # of first copies: only these are shared, by rows that are deduplicated
        with contextlib.closing(seen):
            for rows in index.rows(run.number):
                copies = archive.copies((row.key for row in rows if row.key), facts=True)
                scores = index.scores(row.key for row in rows) if kinds.checks else {}
                for row in rows:
                    place = row.key, row.copy
                    record = _record(row, copies.get(place), run.state, kinds, scores.get(place, {}))
                    if row.key and row.copy == 0 and seen.add(row.key, 1) and record["cost"] is not None:
                        record["cost"] = 0
                    yield row, record


def pictures_of(archive: Reader, folder: Path) -> Iterator[tuple[LazyImage, str]]:
    """The pictures of the rows that have one, with their prompts; quicker than records, which need every column."""
    with RowIndex(folder) as index:
        run = index.standing()
        if run is None:
            return
        for rows in index.rows(run.number):
            copies = archive.copies((row.key for row in rows if row.key), facts=True)
            for row in rows:
                copy = copies.get((row.key, row.copy))
                if copy and copy.path and row_status(row, copy, run.state) == "done":
                    yield LazyImage(folder, copy.path), row.prompt


class Kinds(NamedTuple):
    """The type of each column that holds all its values: of the source's columns, and of those that checks wrote."""

    source: dict[str, Any]
    checks: dict[str, Any]


def _kinds(index: RowIndex, run: Run) -> Kinds:
    source: dict[str, Any] = {}
    pictures, several = index.input_columns(run.number), set[str]()
    for columns in index.columns(run.number):
        source = widened(source, columns)
        several |= {name for name in pictures if isinstance(columns.get(name), list)}
    source |= {name: ["text"] for name in several}  # also if other rows have a single picture
    checks: dict[str, Any] = {}
    for facts in index.scores().values():
        checks = widened(checks, {name: one for name, one in facts.items() if one is not None})
    return Kinds(source, checks)


def kinds_of(folder: Path) -> Kinds:
    """The types of a dataset's columns."""
    with RowIndex(folder) as index:
        run = index.standing()
        return _kinds(index, run) if run else Kinds({}, {})


def record_at(archive: Reader, folder: Path, place: int, size: int, kinds: Kinds) -> dict[str, Any]:
    """One row by its place among so many, as `read_records` gives it, but with the cost of a picture that it shares.

    Raises:
        IndexError: there is none.
    """
    with RowIndex(folder) as index:
        run = index.standing()
        row = index.row(run.number, place, size) if run else None
        scores = index.scores([row.key]) if row and kinds.checks else {}
    if run is None or row is None:
        raise IndexError(f"there is no row {place}")
    copies = archive.copies([row.key] if row.key else (), facts=True)
    place_of = row.key, row.copy
    return _record(row, copies.get(place_of), run.state, kinds, scores.get(place_of, {}))


def _record(
    row: IndexedRow, copy: Copy | None, state: RunState, kinds: Kinds, scores: Mapping[str, Any]
) -> dict[str, Any]:
    outcome = row_status(row, copy, state)
    here = copy if outcome == "done" else None
    failed = row if row.error is not None else copy if outcome != "done" else None
    columns = json.loads(row.columns)
    return {
        "file_name": here.path if here else None,
        "prompt": row.prompt,
        **{
            _record_name(name, kinds.checks): fitted(columns.get(name), kind)
            for name, kind in kinds.source.items()
        },
        "outcome": outcome,
        "model": row.model,
        "parameters": row.parameters,
        "revised_prompt": here.revised_prompt if here else None,
        "request_id": copy.request_id if copy else None,
        "cost": usd(here.cost) if here else None,
        "created": _time(here.ended) if here else None,
        "width": here.width if here else None,
        "height": here.height if here else None,
        "sha256": here.sha256 if here else None,
        "error": failed.error if failed else None,
        "code": copy.code if copy and failed is copy else None,
        "message": failed.message if failed else None,
        **{name: fitted(scores.get(name), kind) if here else None for name, kind in kinds.checks.items()},
    }


def _record_name(column: str, taken: Container[str]) -> str:
    """What a column of the source is called here: `cost_source` for `cost`, whose name has a meaning of its own.

    A column that is called `cost_source` already is `cost_source_source`, so that no two columns share a name.
    """
    first = column
    while first.endswith("_source"):
        first = first.removesuffix("_source")
    return f"{column}_source" if first in COLUMNS or first in taken or _PICTURES.fullmatch(first) else column


def _time(ended: float | None) -> str | None:
    return None if ended is None else datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")


def write_metadata(folder: Path) -> None:
    """Write `metadata.jsonl` into the folder; the same rows give the same bytes.

    Raises:
        OSError: the disk refuses.
    """
    columns = input_columns(folder)
    with replaced(folder / NAME) as file:
        file.writelines(metadata_line(record, columns) for _, record in indexed_records(folder))


def metadata_line(record: dict[str, Any], columns: Iterable[str]) -> bytes:
    """A row as a line of `metadata.jsonl`; these columns hold pictures that went in.

    Such a column has the name by which `datasets` finds their files:
    https://huggingface.co/docs/datasets/image_dataset#imagefolder
    """
    record = dict(record)
    for column in columns:
        names = record.pop(column)
        several = isinstance(names, list)
        record[f"{column}_file_name{'s' * several}"] = names if several else stored_name(names)
    return json_line(record)


def input_columns(folder: Path) -> list[str]:
    """The columns of the records that hold pictures that went in."""
    with RowIndex(folder) as index:
        run = index.standing()
        names = index.input_columns(run.number) if run else set()
    taken = kinds_of(folder).checks if names else ()
    return sorted(_record_name(name, taken) for name in names)


def time_columns(folder: Path) -> list[str]:
    """The columns of the records that hold dates with times, as texts in ISO form."""
    with RowIndex(folder) as index:
        names = index.time_columns()
    taken = kinds_of(folder).checks if names else ()
    return ["created", *sorted(_record_name(name, taken) for name in names)]


def stored_name(value: Any) -> str | None:
    """The name of a stored input picture; None if a record has something else, such as the path of one not found."""
    return value if isinstance(value, str) and _STORED.fullmatch(value) else None


def json_line(record: dict[str, Any]) -> bytes:
    """A row as a line of JSON; half a surrogate pair, which UTF-8 does not have, is escaped."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b"\n"


# --- one type for all values of a column: a word, `[type]` of a list, `{name: type}` of a mapping, None if unknown

_TYPES = {bool: "bool", int: "int", float: "float", str: "text"}


def widened(kind: Any, value: Any) -> Any:
    """The type that holds all that `kind` holds, and a plain value too; types that do not go together are text."""
    if value is None:
        return kind
    if isinstance(value, dict) and (kind is None or isinstance(kind, dict)):
        known, new = kind or {}, {}
        for name, one in value.items():
            old = known.get(name)
            if old is None or old != _TYPES.get(type(one)):  # few differ from the row before
                wide = widened(old, one)
                if wide != old or name not in known:
                    new[name] = wide
        return {**known, **new} if new or kind is None else kind
    if isinstance(value, list) and (kind is None or isinstance(kind, list)):
        element = kind[0] if kind else None
        for one in value:
            element = widened(element, one)
        return [element]
    word = _TYPES.get(type(value), "text")
    if kind is None or kind == word:
        return word
    return "float" if kind in ("int", "float") and word in ("int", "float") else "text"


def fitted(value: Any, kind: Any) -> Any:
    """A value in its column's type: as text if that is text, with all fields of a mapping, in a list if it is one."""
    if value is None:
        return None
    if kind in ("text", {}):  # no format has a mapping without fields
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(kind, list):
        return [fitted(one, kind[0]) for one in (value if isinstance(value, list) else [value])]
    if isinstance(kind, dict):
        return {name: fitted(value.get(name), one) for name, one in kind.items()}
    return value


class Times:
    """Finds out whether columns of ISO texts are datetimes in every row: all with a zone, or all without one.

    Args:
        names: of the columns.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._found: dict[str, set[str]] = {name: set() for name in names}

    def add(self, record: Mapping[str, Any]) -> None:
        """Look at a row."""
        for name, found in self._found.items():
            value = record.get(name)
            if value is not None:
                made = as_datetime(value)
                found.add("text" if made is None else "local time" if made.tzinfo is None else "time")

    def kinds(self) -> dict[str, str]:
        """The columns that are datetimes, and of which kind: `time` in UTC, or `local time`."""
        kinds = {name: next(iter(found)) for name, found in self._found.items() if len(found) == 1}
        return {name: kind for name, kind in kinds.items() if kind != "text"}


def as_datetime(value: Any) -> datetime | None:
    """A datetime of a text in ISO form; None if it is not one."""
    try:
        return datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None


# --- pictures


@dataclass(frozen=True)
class LazyImage:
    """A picture of a dataset that is read when somebody looks at it; a cell of a frame.

    Attributes:
        folder: the dataset's; a name that leads out of it is not opened.
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
            return read_inside(self.folder, self.name)
        except OSError as error:
            problem = f"{clean(self.path.name)} cannot be read: {error.strerror or type(error).__name__}"
        raise SaveError(problem, outcome="not_sent")

    def picture(self) -> Picture:
        """The picture with its type and size, checked.

        Raises:
            SaveError: the file is gone or cannot be read.
            BadImageError: it is not a whole picture.
        """
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
