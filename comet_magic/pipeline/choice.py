"""Which rows of a dataset are meant, by place, by mask or by what they hold; and which of them are sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import ConfigurationError, InvalidRequestError
from ..text import clean, counted
from .rows import indexed_records
from .source import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .row_index import IndexedRow

Which = int | Iterable[Any] | Callable[[Mapping[str, Any]], Any]
Redo = Literal["failed", "refused", "unknown"]
REDO: tuple[Redo, ...] = get_args(Redo)
# What `redo` takes: statuses; or places, a mask, or a function of a row.
Again = Redo | list[Any] | tuple[Any, ...] | Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class RowsToRedo:
    """The rows that are sent again.

    Attributes:
        statuses: those that ended so.
        places: by key and copy, if only some of them are meant; None means all.
    """

    statuses: frozenset[str]
    places: frozenset[tuple[str, int]] | None = None

    def has(self, status: str, place: tuple[str, int]) -> bool:
        """Whether a row that ended so is among them."""
        return status in self.statuses and (self.places is None or place in self.places)


def rows_to_redo(given: object, folder: Path) -> RowsToRedo:
    """The rows that an option `redo` means.

    Raises:
        ConfigurationError: it names a status that is not sent again.
        InvalidRequestError: a place or a mask does not fit the rows of the folder.
    """
    if isinstance(given, RowsToRedo):
        return given
    words: list[Any] = (
        [given] if isinstance(given, str) else list(given) if isinstance(given, (list, tuple)) else []
    )
    if words and all(isinstance(word, str) for word in words):
        other = next((word for word in words if word not in REDO), None)
        if other is not None:
            raise ConfigurationError(f"redo is {clean(other, limit=80)}; it must be {' or '.join(REDO)}")
        return RowsToRedo(frozenset(words))
    rows: Any = given
    places = {
        (row.key, row.copy)
        for row, record in chosen_rows(folder, rows, param="redo")
        if record["outcome"] in REDO and row.key
    }
    return RowsToRedo(frozenset(REDO), frozenset(places))


def chosen_rows(
    folder: Path, which: Which, *, param: str = "which"
) -> Iterator[tuple[IndexedRow, dict[str, Any]]]:
    """The rows of a dataset that are meant, as its index has them, each with its record.

    Raises:
        InvalidRequestError: a place or a mask does not fit the rows; known only when all were read.
    """
    chosen, place = _choice(which, param), -1
    for place, (row, record) in enumerate(indexed_records(folder)):
        if chosen(place, record):
            yield row, record
    chosen.check_end(place + 1, param)


class _Choice:
    """Which rows are meant, by place or by what they hold."""

    def __init__(self, function: Callable[[Mapping[str, Any]], Any] | None, values: list[Any]) -> None:
        self._function = function
        self._mask = values if values and all(isinstance(value, bool) for value in values) else None
        self._places = set(values) if self._mask is None else set()

    def __call__(self, place: int, record: Mapping[str, Any]) -> bool:
        if self._function is not None:
            return bool(self._function(record))
        if self._mask is not None:
            return place < len(self._mask) and self._mask[place]
        return place in self._places

    def check_end(self, rows: int, param: str) -> None:
        """Refuse a mask of another length, and places that are not there."""
        if self._mask is not None and len(self._mask) != rows:
            raise InvalidRequestError(
                f"the mask has {counted(len(self._mask), 'value')}; there are {counted(rows, 'row')}",
                param=param,
            )
        if any(not 0 <= place < rows for place in self._places):
            raise InvalidRequestError(
                f"row {next(place for place in self._places if not 0 <= place < rows)} is not there; "
                f"there are {counted(rows, 'row')}",
                param=param,
            )


def _choice(which: Which, param: str) -> _Choice:
    """The rows that are meant.

    Raises:
        InvalidRequestError: it is neither a mask nor places nor a function.
    """
    if callable(which):
        return _Choice(which, [])
    try:
        values = [plain(value) for value in (which if isinstance(which, Iterable) else [which])]
    except (TypeError, ValueError):
        values = [None]
    kinds = {type(value) for value in values}
    if isinstance(which, (str, Mapping)) or not (kinds <= {bool} or kinds <= {int}):
        raise InvalidRequestError(
            f"the rows are given as {clean(type(which).__name__)}; give a mask of True and False for all rows, "
            "places such as [0, 3], or a function of a row",
            param=param,
        )
    return _Choice(None, values)
