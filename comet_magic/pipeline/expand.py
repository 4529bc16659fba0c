"""Source rows become dataset rows: each row's request, its key, and which copy of equal requests it is."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..errors import CometError, ConfigurationError, InvalidRequestError
from ..request import MOST_PICTURES, ImageRequest, RequestTemplate, WireOptions
from ..request.checks import check_no_key
from ..text import clean, holds_key
from .source import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .source import Record

PARAMETERS = tuple(WireOptions.__annotations__)
_NAMES = frozenset(PARAMETERS)
MOST_TEMPLATES = 1000  # sets of parameters that are remembered
MOST_RECENT = 50_000  # requests whose counts are held in memory
_INTEGERS = ("n", "output_compression", "partial_images")


class Row(NamedTuple):
    """One row of the dataset: one picture that a row of the source asks for.

    Attributes:
        position: its place in the dataset, from 0.
        prompt: as the source has it; "" where it has none.
        template: the parameters it shares with other rows; None if they break a rule.
        key: of its request, "" if there is none.
        copy: how many earlier rows have an equal request.
        record: the whole row of the source.
        shares_earlier: it uses the picture of an earlier row.
        problem: why it cannot be sent.
    """

    position: int
    prompt: str
    template: RequestTemplate | None
    key: str
    copy: int
    record: Record
    shares_earlier: bool = False
    problem: CometError | None = None


class Expander:
    """Turns the rows of one source into dataset rows, in order. A context manager; any thread may use it.

    Args:
        defaults: the parameters of every row that does not say otherwise.
        prompt: the column of the prompts.
        vendor: whom the requests are sent to.
        price_per_image: micro-USD, for a model whose price is not known.
        dedupe: equal requests share one picture.

    Raises:
        InvalidRequestError: the defaults break a rule.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        *,
        prompt: str,
        vendor: str,
        price_per_image: int | None = None,
        dedupe: bool = False,
    ) -> None:
        self.duplicates = 0  # rows so far whose request an earlier row has too
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self._prompt = prompt
        self._vendor = vendor
        self._price_per_image = price_per_image
        self._dedupe = dedupe
        self._counts = KeyCounts()
        self._templates: dict[str, tuple[int, RequestTemplate]] = {}
        self._position = 0
        self._shared = self._make({})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._counts.close()

    def has(self, key: str, copy: int) -> bool:
        """Whether a row that was read so far asks for this copy of a request."""
        count = self._counts.count(key)
        return copy < (min(count, 1) if self._dedupe else count)

    def read(self, records: Iterable[Record]) -> Iterator[Row]:
        """The dataset rows of some more rows of the source."""
        for record in records:
            prompt = plain(record.get(self._prompt))
            try:
                check_no_key("the row", record)
                count, template = self._of(record)
                template.check(prompt)
            except InvalidRequestError as error:
                problem = error
            else:
                yield from self._copies(record, prompt, template, count)
                continue
            kept = {name: value for name, value in record.items() if not holds_key((name, value))}
            words = prompt if isinstance(prompt, str) and self._prompt in kept else ""
            yield Row(self._next(), words, None, "", 0, kept, problem=problem)

    def _copies(self, record: Record, prompt: str, template: RequestTemplate, count: int) -> Iterator[Row]:
        key = template.key(prompt)
        first = self._counts.add(key, count)
        self.duplicates += count if first else count - 1
        for copy in range(first, first + count):
            if self._dedupe:
                yield Row(self._next(), prompt, template, key, 0, record, copy > 0)
            else:
                yield Row(self._next(), prompt, template, key, copy, record)

    def _next(self) -> int:
        self._position += 1
        return self._position - 1

    def _of(self, record: Record) -> tuple[int, RequestTemplate]:
        if _NAMES.isdisjoint(record):
            return self._shared
        given = {name: typed(name, record[name]) for name in PARAMETERS if name in record}
        given = {name: value for name, value in given.items() if value is not None}
        return self._make(given) if given else self._shared

    def _make(self, given: Mapping[str, Any]) -> tuple[int, RequestTemplate]:
        name = json.dumps(given, sort_keys=True, default=str)
        if name not in self._templates:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            wanted = {**self._defaults, **given}
            count = wanted.pop("n", 1)
            if type(count) is not int or not 1 <= count <= MOST_PICTURES:
                raise InvalidRequestError(f"n is {count}; a row takes 1 to {MOST_PICTURES}", param="n")
            first = ImageRequest("-", **wanted)
            self._templates[name] = (count, RequestTemplate(first, self._vendor, self._price_per_image))
        return self._templates[name]


class KeyCounts:
    """How often each request was asked for. Memory is bounded: what is older is in a temporary database."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._connection: sqlite3.Connection | None = None

    def add(self, key: str, count: int) -> int:
        """Count a request so many times more; gives how often it was counted before.

        Raises:
            ConfigurationError: the folder for temporary files is full or cannot be written.
        """
        short = bytes.fromhex(key[:32])
        try:
            before = self.count(key)
            self._recent[short] = before + count
            if len(self._recent) > MOST_RECENT:
                self._move_out()
        except sqlite3.Error as error:
            problem = clean(error)
        else:
            return before
        raise ConfigurationError(
            f"the rows cannot be counted in the folder for temporary files: {problem}",
            hint="Make room there, or set SQLITE_TMPDIR to another folder.",
        )

    def count(self, key: str) -> int:
        """How often a request was counted so far."""
        short = bytes.fromhex(key[:32])
        if short in self._recent or self._connection is None:
            return self._recent.get(short, 0)
        found = self._connection.execute("SELECT count FROM counts WHERE key = ?", (short,)).fetchone()
        return int(found[0]) if found else 0

    def _move_out(self) -> None:
        if self._connection is None:
            # "" is a database in a file of its own that SQLite removes: https://sqlite.org/inmemorydb.html
            self._connection = sqlite3.connect("", check_same_thread=False)
            self._connection.execute(
                "CREATE TABLE counts (key BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID"
            )
        self._connection.executemany("REPLACE INTO counts VALUES (?, ?)", sorted(self._recent.items()))
        self._connection.commit()
        self._recent.clear()

    def close(self) -> None:
        """Remove the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def typed(name: str, value: Any) -> Any:
    """A parameter's value from a table that may only know texts and floats."""
    value = plain(value)
    if name in _INTEGERS:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.strip().isdecimal():
            return int(value)
    if name == "stream" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    if name == "extra" and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value.strip() or None if isinstance(value, str) else value
