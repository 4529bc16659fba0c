"""From rows to what is to be made: each row's request, its key, and which copy of equal ones it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CometError, InvalidRequestError
from ..request import MOST_PICTURES, ImageRequest, RequestTemplate, WireOptions
from .source import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .source import Record

PARAMETERS = tuple(WireOptions.__annotations__)
_NAMES = frozenset(PARAMETERS)
MOST_SERIES = 1000  # sets of parameters that are remembered
_WHOLE = ("n", "output_compression", "partial_images")


class Row(NamedTuple):
    """One picture that a row asks for.

    Attributes:
        position: its place in the dataset, from 0.
        prompt: as the row has it; "" where it has none.
        series: what it shares with others; None where the row's parameters break a rule.
        key: of its request, "" where there is none.
        copy: how many equal requests stand before it.
        record: the whole row.
        shares_earlier: it shares the picture of an earlier one.
        problem: why it cannot be sent.
    """

    position: int
    prompt: str
    series: RequestTemplate | None
    key: str
    copy: int
    record: Record
    shares_earlier: bool = False
    problem: CometError | None = None


class Expander:
    """Turns the rows of one table into items, in their order.

    Args:
        defaults: the parameters of every row that does not say otherwise.
        prompt: the column of the prompts.
        vendor: whom the requests are sent to.
        price_per_image: micro-USD, where the table of models has no price.
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
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self._prompt = prompt
        self._vendor = vendor
        self._price_per_image = price_per_image
        self._dedupe = dedupe
        self._seen: dict[bytes, int] = {}
        self._series: dict[str, tuple[int, RequestTemplate]] = {}
        self._position = 0
        self._shared = self._make({})

    def read(self, records: Iterable[Record]) -> Iterator[Row]:
        """The items of some more rows."""
        for record in records:
            prompt = plain(record.get(self._prompt))
            try:
                count, series = self._of(record)
                series.check(prompt)
            except InvalidRequestError as error:
                problem = error
            else:
                yield from self._copies(record, prompt, series, count)
                continue
            words = prompt if isinstance(prompt, str) else ""
            yield Row(self._next(), words, None, "", 0, record, problem=problem)

    def _copies(self, record: Record, prompt: str, series: RequestTemplate, count: int) -> Iterator[Row]:
        key = series.key(prompt)
        short = bytes.fromhex(key[:32])
        first = self._seen.get(short, 0)
        self._seen[short] = first + count
        for copy in range(first, first + count):
            if self._dedupe:
                yield Row(self._next(), prompt, series, key, 0, record, copy > 0)
            else:
                yield Row(self._next(), prompt, series, key, copy, record)

    def _next(self) -> int:
        self._position += 1
        return self._position - 1

    @property
    def duplicates(self) -> int:
        """How many items so far ask for what an earlier one asks for."""
        return sum(self._seen.values()) - len(self._seen)

    def _of(self, record: Record) -> tuple[int, RequestTemplate]:
        if _NAMES.isdisjoint(record):
            return self._shared
        given = {name: typed(name, record[name]) for name in PARAMETERS if name in record}
        given = {name: value for name, value in given.items() if value is not None}
        return self._make(given) if given else self._shared

    def _make(self, given: Mapping[str, Any]) -> tuple[int, RequestTemplate]:
        name = json.dumps(given, sort_keys=True, default=str)
        if name not in self._series:
            if len(self._series) >= MOST_SERIES:
                self._series.clear()
            wanted = {**self._defaults, **given}
            count = wanted.pop("n", 1)
            if type(count) is not int or not 1 <= count <= MOST_PICTURES:
                raise InvalidRequestError(f"n is {count}; a row takes 1 to {MOST_PICTURES}", param="n")
            template = ImageRequest("-", **wanted)
            self._series[name] = (count, RequestTemplate(template, self._vendor, self._price_per_image))
        return self._series[name]


def typed(name: str, value: Any) -> Any:
    """A parameter's value from a table that may only know texts and floats."""
    value = plain(value)
    if name in _WHOLE:
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
