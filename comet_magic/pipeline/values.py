"""Values of columns: as JSON can hold them, and the one type that holds all values of a column."""

from __future__ import annotations

import datetime
import json
import math
import numbers
import os
import sys
import uuid
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

_MOST_INT = 1 << 63  # what 64 bits hold; beyond that a number is kept as text
_MOST_EXACT = 1 << 53  # floats below it are exact


class HoldsPictureError(ValueError):
    """A value is a picture or bytes, or holds one."""


class DatetimeText(str):
    """A date with a time, in ISO form; the index notes which columns have these."""

    __slots__ = ()


def is_missing(value: object) -> bool:
    """Whether it is None, NaN, NaT or NA."""
    kind = type(value)
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or kind.__name__ in ("NaTType", "NAType")
    )


def plain(value: Any) -> Any:
    """A value as JSON can hold it: missing ones and infinities are None, whole floats whole numbers, CRLF is LF.

    Raises:
        HoldsPictureError: it is, or holds, a picture or bytes.
        TypeError: JSON has no form for it.
    """
    kind = type(value)
    if kind is str:
        return value.replace("\r\n", "\n") if "\r" in value else value
    if kind is bool or is_missing(value):
        return None if value is None or kind is not bool else value
    if kind is int:
        return value if -_MOST_INT <= value < _MOST_INT else str(value)
    if kind is float:
        whole = value.is_integer() and abs(value) < _MOST_EXACT
        return int(value) if whole else value if math.isfinite(value) else None
    return _other(value)


def _other(value: Any) -> Any:
    if isinstance(value, str):  # of numpy, or of an enumeration
        return plain(str.__str__(value))
    if _is_picture(value):
        raise HoldsPictureError
    if isinstance(value, Mapping):
        return {text: plain(value[name]) for name, text in text_names(value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):  # in one order, so that equal rows give equal bytes
        return sorted(map(plain, value), key=json.dumps)
    if isinstance(value, Enum):
        return plain(value.value)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    name = type(value).__name__
    if name in ("datetime64", "timedelta64"):  # those of nanoseconds are numbers to `tolist`
        return plain(value.astype(f"{name}[us]").tolist())
    for method in ("tolist", "to_list", "as_py"):  # of numpy, pandas, polars, pyarrow
        if hasattr(value, method):
            return plain(getattr(value, method)())
    if isinstance(value, datetime.timedelta):
        return str(datetime.timedelta(value.days, value.seconds, value.microseconds))
    if hasattr(value, "isoformat"):
        text = value.isoformat()
        return DatetimeText(text) if isinstance(value, datetime.datetime) else text
    if isinstance(value, (numbers.Number, uuid.UUID, os.PathLike)) or name in ("Period", "Interval"):
        return str(value)
    raise TypeError(f"of type {name}")


def _is_picture(value: object) -> bool:
    """Whether it is bytes, a picture of Pillow or of a dataset, or an array of pixels."""
    if isinstance(value, (bytes, bytearray, memoryview)) or type(value).__name__ == "LazyImage":
        return True
    image = getattr(sys.modules.get("PIL.Image"), "Image", None)
    pixels = getattr(value, "ndim", 0) in (2, 3) and str(getattr(value, "dtype", "")) == "uint8"
    return pixels or (image is not None and isinstance(value, image))


def text_names(names: Collection[Any], taken: Collection[str] = ()) -> dict[Any, str]:
    """Each name as text, and no two the same: the number 1 beside the text "1" is `1_int`."""
    found: dict[Any, str] = {}
    used = set(taken)
    for name in sorted(names, key=lambda name: not isinstance(name, str)):  # texts keep theirs
        text = str(name)
        while text in used:
            text = f"{text}_{type(name).__name__}"
        found[name] = text
        used.add(text)
    return {name: found[name] for name in names}


# --- one type for all values of a column: a word, `[type]` of a list, `{name: type}` of a mapping, None if unknown

_WORDS = {bool: "bool", int: "int", float: "float", str: "text"}


def widened(kind: Any, value: Any) -> Any:
    """The type that holds all that `kind` holds, and a plain value too; types that do not go together are text."""
    if value is None:
        return kind
    if isinstance(value, dict) and (kind is None or isinstance(kind, dict)):
        known, new = kind or {}, {}
        for name, one in value.items():
            old = known.get(name)
            if old is None or old != _WORDS.get(type(one)):  # few differ from the row before
                wide = widened(old, one)
                if wide != old or name not in known:
                    new[name] = wide
        return {**known, **new} if new or kind is None else kind
    if isinstance(value, list) and (kind is None or isinstance(kind, list)):
        element = kind[0] if kind else None
        for one in value:
            element = widened(element, one)
        return [element]
    word = _WORDS.get(type(value), "text")
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


def as_datetime(value: Any) -> datetime.datetime | None:
    """A datetime of a text in ISO form; None if it is not one."""
    try:
        return datetime.datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
