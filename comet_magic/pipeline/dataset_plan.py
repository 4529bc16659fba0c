"""The plan of a dataset: what it would do and cost, before anything is sent."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..archive import Reader
from ..errors import SourceError
from ..files import from_here
from ..money import NARROW, Price, dollars, total, usd
from ..tables import table
from ..text import clean, counted
from .forecast import LONGEST, Forecast, PriceGroup, forecast, measured_at, price_group, size_text, time_text
from .parameters import IndexedTemplates
from .row_index import RowIndex
from .rows import is_kept, should_send, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .dataset import DatasetJob
    from .parameters import RequestTemplate

FEW, SHARE = 20, 10  # so many rows, and one in so many, may leave a folder because a table was edited
BATCH = 1_000  # rows; with many more, Python's collector of garbage takes as long as all the rest


@dataclass(frozen=True)
class DatasetPlan:
    """What making a dataset would do; nothing was sent.

    Attributes:
        rows: pictures asked for.
        duplicates: rows whose request an earlier row has too.
        nearly_equal: rows to be paid for that differ from another row, or from a picture that exists, only by Unicode
            form, blanks at the ends, or case of the prompt.
        parameters: the columns that are parameters.
        adapted: rows by what becomes of a default that their model does not take.
        done: pictures that exist.
        ended: rows that were refused, failed or are unknown, by status; they are sent only with `redo`.
        invalid: rows that break a rule, by reason; they will fail without being sent.
        to_fetch: pictures that are paid, and are fetched again first, free.
        to_generate: pictures to be paid for.
        price: of those, from the least to the most.
        unpriced: how many of those have no known price.
        at_risk: at most so many calls are left unknown if the run is killed.
        at_risk_micro: the most that those can cost, None if unknown.
        failing: at most so many calls can be paid and fail before the run ends by itself.
        failing_micro: the most that those can cost, None if unknown.
        max_cost_micro: the limit, or None.
        leaving: rows of the folder that the table does not have; their pictures stay in the archive.
        forecast: hours, disk, how many rows the budget buys, warnings.
        in_flight: calls side by side.
    """

    rows: int = 0
    duplicates: int = 0
    nearly_equal: int = 0
    parameters: tuple[str, ...] = ()
    adapted: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)
    to_fetch: int = 0
    to_generate: int = 0
    price: Price = field(default_factory=lambda: Price(0, 0))
    unpriced: int = 0
    at_risk: int = 0
    at_risk_micro: int | None = 0
    failing: int = 0
    failing_micro: int | None = 0
    max_cost_micro: int | None = None
    leaving: int = 0
    forecast: Forecast = field(default_factory=Forecast)
    in_flight: int = 0

    @property
    def hours(self) -> float:
        """How long the run will take."""
        return self.forecast.seconds / 3600

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to read before the run."""
        return self.forecast.warnings

    @property
    def at_risk_price(self) -> float | None:
        """The most that the calls at risk can cost in USD, None if unknown."""
        return usd(self.at_risk_micro)

    @property
    def failing_price(self) -> float | None:
        """The most that calls that only fail can cost before the run ends, in USD, None if unknown."""
        return usd(self.failing_micro)

    @property
    def max_cost(self) -> float | None:
        """The limit in USD, or None."""
        return usd(self.max_cost_micro)

    def _lines(self) -> list[tuple[str, str]]:
        lines = [
            ("rows", f"{self.rows:,}"),
            ("duplicates", f"{self.duplicates:,}"),
            ("nearly equal", f"{self.nearly_equal:,}" if self.nearly_equal else ""),
            ("parameters", ", ".join(self.parameters)),
            *(("adapted", f"{count:,}: {change}") for change, count in self.adapted.items()),
            ("done", f"{self.done:,}, reused free" if self.done else "0"),
            *((name, f"{count:,}") for name, count in self.ended.items()),
            *(("invalid", f"{count:,}: {reason}") for reason, count in self.invalid.items()),
            ("leaving", f"{self.leaving:,}" if self.leaving else ""),
            ("to fetch", f"{self.to_fetch:,}, free" if self.to_fetch else ""),
            ("to generate", f"{self.to_generate:,}"),
            ("price", str(self.price)),
            *(self._forecast_lines() if self.to_generate else ()),
            (
                "at risk",
                f"at most {counted(self.at_risk, 'call')} if interrupted, {dollars(self.at_risk_micro)}",
            ),
            (
                "if all fail",
                f"it ends after at most {counted(self.failing, 'call')}, {dollars(self.failing_micro)}",
            ),
            ("max cost", self._limit()),
        ]
        return [(name, value) for name, value in lines if value]

    def _forecast_lines(self) -> Iterator[tuple[str, str]]:
        expected = self.forecast
        each = "measured" if expected.measured else f"not measured yet: up to {LONGEST:.0f} s a picture"
        about = "about" if expected.measured else "at most about"
        yield "time", f"{about} {time_text(expected.seconds)}, {self.in_flight} side by side ({each})"
        yield "disk", f"about {size_text(expected.disk_bytes)}"

    def _limit(self) -> str:
        if self.max_cost_micro is None or self.forecast.affordable is None:
            return "" if self.max_cost_micro is None else dollars(self.max_cost_micro)
        few, more = self.forecast.affordable
        rows = f"{few:,}" if more <= few * NARROW else f"{few:,} to {more:,}"
        about = "all" if few == self.to_generate else f"about {rows} of"
        return f"{dollars(self.max_cost_micro)}, buys {about} {counted(self.to_generate, 'row')}"

    def __str__(self) -> str:
        lines = [f"{name:<13}{value}" for name, value in self._lines()]
        return "\n".join([*lines, *(f"Warning: {one}" for one in self.warnings)])

    def __repr__(self) -> str:
        return f"<DatasetPlan {self.rows} rows, {self.to_generate} to generate, {self.price}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        warnings = [f"Warning: {one}" for one in self.warnings]
        html: str = table(("", ""), self._lines(), notes=warnings)["text/html"]
        return {"text/html": html, "text/plain": str(self)}


def too_many(leaving: int, standing: int) -> bool:
    """Whether more rows would leave a folder than an edited table explains; one of two or more it always does."""
    return leaving > FEW or (leaving * SHARE > standing and not leaving < 2 <= standing)


def leaving_message(leaving: int) -> str:
    """One line on the rows that leave a folder."""
    stay = "its picture stays" if leaving == 1 else "their pictures stay"
    return f"{counted(leaving, 'row')} left the table; {stay} in the archive"


def tally(job: DatasetJob, *, shared: bool) -> DatasetPlan:
    """Count the rows of a job by what a run would do with them; its source is read to the end.

    Args:
        job: what is to be made.
        shared: somebody else works in the folder.

    Raises:
        SourceError: more rows would leave the folder than an edited table explains.
    """
    archive = Reader(job.folder)
    near = _NearRequests(job.folder, archive)
    count = done = to_fetch = nearly_equal = 0
    to_send, ended, invalid = Counter[PriceGroup](), Counter[str](), Counter[str]()
    with job.expander as expander:
        for batch, _ in job.source.batches(BATCH):
            rows = list(expander.read(batch))
            copies = archive.copies(row.key for row in rows if row.key)
            count += len(rows)
            for row in rows:
                place = row.key, row.copy
                copy = copies.get(place)
                if row.template is None:
                    invalid[str(row.problem)] += 1
                elif copy is not None and copy.outcome == "done":
                    done += 1
                elif should_send(place, copy, job.redo) and copy is not None and is_kept(archive, copy):
                    to_fetch += not row.shares_earlier
                elif should_send(place, copy, job.redo):
                    to_send[price_group(row.template, row.prompt)] += not row.shares_earlier
                    nearly_equal += near.add(row.template, row.prompt, row.key)
                elif copy is not None:
                    ended[status_of(copy)] += 1
        leaving = _leaving(job, archive, shared=shared)
    return DatasetPlan(
        rows=count,
        duplicates=expander.duplicates,
        nearly_equal=nearly_equal,
        parameters=expander.parameters,
        adapted=dict(expander.adapted),
        done=done,
        ended=dict(ended),
        invalid=dict(invalid.most_common(5)),
        to_fetch=to_fetch,
        max_cost_micro=job.max_cost,
        leaving=leaving,
        in_flight=job.in_flight,
        forecast=_forecast(+to_send, job, archive),
        **_money(to_send, job),
    )


def _forecast(to_send: Counter[PriceGroup], job: DatasetJob, archive: Reader) -> Forecast:
    vendor = job.base.vendor
    left = None if job.max_cost is None else job.max_cost - archive.spend(vendor).bound_micro
    known = measured_at(job.folder, vendor) if to_send else {}
    return forecast(
        to_send,
        known,
        in_flight=job.in_flight,
        per_minute=job.max_per_minute,
        left=left,
        folder=job.folder,
    )


def _money(to_send: Counter[PriceGroup], job: DatasetJob) -> dict[str, Any]:
    prices = [kind.price for kind in to_send.elements()]
    highest = max((kind.price.high_micro or 0 for kind in to_send), default=0)
    unpriced = sum(many for kind, many in to_send.items() if not kind.price.known)
    at_risk = min(job.in_flight, len(prices))
    failing = job.policy.most_failing(len(prices), job.in_flight)
    return {
        "to_generate": len(prices),
        "price": Price(
            total(price.low_micro for price in prices), total(price.high_micro for price in prices)
        ),
        "unpriced": unpriced,
        "at_risk": at_risk,
        "at_risk_micro": None if unpriced else at_risk * highest,
        "failing": failing,
        "failing_micro": None if unpriced else failing * highest,
    }


def _leaving(job: DatasetJob, archive: Reader, *, shared: bool) -> int:
    """How many rows of the folder the source of a job, which was read to its end, does not have.

    What was never sent counts only while somebody else may be about to; play money does not count beside real.
    """
    standing = 0
    with RowIndex(job.folder) as index:
        run = index.standing()
        if run is None or job.append or job.replace or "sandbox" == run.vendor != job.base.vendor:
            return 0
        gone = []
        for key, copy in index.places(run.number):
            standing += 1
            if not job.expander.has(key, copy):
                gone.append((key, copy))
        sent = {} if shared else archive.copies(key for key, _ in gone)
        leaving = sum(shared or place in sent for place in gone)
    if too_many(leaving, standing):
        rows = f"{leaving:,} of the {counted(standing, 'row')} in {clean(from_here(job.folder))}"
        raise SourceError(
            f"{rows} {'is' if leaving == 1 else 'are'} not in this table",
            hint="If this is a part of the table, append=True (--append) adds its rows and removes none. If it"
            " is a new one, replace=True (--replace) lets the others go; their pictures stay in the archive.",
        )
    return leaving


class _NearRequests:
    """Requests that are the same but for Unicode form, blanks at the ends, and case of their prompts."""

    def __init__(self, folder: Path, archive: Reader) -> None:
        self._folder, self._archive = folder, archive
        self._first: dict[str, str] | None = None  # the key of the first of those that are the same

    def _of_folder(self) -> Iterator[tuple[RequestTemplate, str, str]]:
        """Template, prompt and key of each row that has a picture."""
        with RowIndex(self._folder) as index:
            run = index.standing()
            if run is None:
                return
            templates = IndexedTemplates(self._folder, run.vendor)
            for rows in index.rows(run.number):
                copies = self._archive.copies(row.key for row in rows if row.key)
                for row in rows:
                    copy = copies.get((row.key, row.copy))
                    if copy is not None and copy.outcome == "done":
                        yield templates.of(row), row.prompt, row.key

    def add(self, template: RequestTemplate, prompt: str, key: str) -> bool:
        """Add a request and its key; gives whether another one is the same but for those."""
        if self._first is None:  # read only if a row is to be paid for
            self._first = {}
            for one in self._of_folder():
                self.add(*one)
        normal = unicodedata.normalize("NFC", prompt).strip().casefold()
        return self._first.setdefault(template.key(normal) if normal != prompt else key, key) != key
