"""The plan of a dataset: what it would do and cost, before anything is sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from ..archive import Copy, Reader
from ..money import Price, dollars
from ..text import counted
from .dataset import DatasetJob, DatasetOptions, Redo, read_job
from .rows import should_send, status_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from .expand import Row


BATCH = 20_000  # rows; the ledger answers many keys at once more quickly


@dataclass(frozen=True)
class DatasetPlan:
    """What making a dataset would do; nothing was sent.

    Attributes:
        rows: pictures asked for.
        duplicates: rows whose request an earlier row has too.
        done: pictures that exist.
        ended: rows that were refused, failed or are unknown, by status; they are sent only with `redo`.
        invalid: rows that break a rule, by reason; they will fail without being sent.
        to_generate: pictures to be paid for.
        price: of those, from the least to the most.
        unpriced: how many of those have no known price.
        at_risk: at most so many calls are left unknown if the run is killed.
        at_risk_price: the most that those can cost in micro-USD, None if unknown.
        max_cost: the limit in micro-USD, or None.
    """

    rows: int = 0
    duplicates: int = 0
    done: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)
    to_generate: int = 0
    price: Price = field(default_factory=lambda: Price(0, 0))
    unpriced: int = 0
    at_risk: int = 0
    at_risk_price: int | None = 0
    max_cost: int | None = None

    def __str__(self) -> str:
        pairs = [
            ("rows", f"{self.rows:,}"),
            ("duplicates", f"{self.duplicates:,}"),
            ("done", f"{self.done:,}"),
            *((name, f"{count:,}") for name, count in self.ended.items()),
            *(("invalid", f"{count:,}: {reason}") for reason, count in self.invalid.items()),
            ("to generate", f"{self.to_generate:,}"),
            ("price", str(self.price)),
            (
                "at risk",
                f"at most {counted(self.at_risk, 'call')} if interrupted, {dollars(self.at_risk_price)}",
            ),
        ]
        if self.max_cost is not None:
            pairs.append(("max cost", dollars(self.max_cost)))
        return "\n".join(f"{name:<13}{value}" for name, value in pairs)

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        printer.text(str(self))


def plan(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    dedupe: bool = False,
    redo: Redo | None = None,
    max_per_minute: float | None = None,
    **options: Unpack[DatasetOptions],
) -> DatasetPlan:
    """What `generate_dataset` would do with the same arguments; nothing is sent, and no key is needed.

    A generator is used up by this: plan a list, a frame or a file.

    Raises:
        ConfigurationError: the source or a setting cannot be used.
        InvalidRequestError: a parameter breaks a rule.
    """
    job = read_job(
        source, out, prompt=prompt, dedupe=dedupe, redo=redo, max_per_minute=max_per_minute, options=options
    )
    return _Tally(job).plan()


class _Tally:
    """Counts the rows of a job by what a run would do with them."""

    def __init__(self, job: DatasetJob) -> None:
        self._job = job
        self._archive = Reader(job.folder)
        self._rows = self._to_generate = self._done = self._unpriced = 0
        self._low = self._high = self._highest = 0
        self._ended: Counter[str] = Counter()
        self._invalid: Counter[str] = Counter()

    def plan(self) -> DatasetPlan:
        with self._job.expander as expander:
            for batch, _ in self._job.source.batches(BATCH):
                rows = list(expander.read(batch))
                copies = self._archive.copies(row.key for row in rows if row.key)
                for row in rows:
                    self._count(row, copies.get((row.key, row.copy)))
        at_risk = min(self._job.in_flight, self._to_generate)
        return DatasetPlan(
            rows=self._rows,
            duplicates=expander.duplicates,
            done=self._done,
            ended=dict(self._ended),
            invalid=dict(self._invalid.most_common(5)),
            to_generate=self._to_generate,
            price=Price(None, None) if self._unpriced else Price(self._low, self._high),
            unpriced=self._unpriced,
            at_risk=at_risk,
            at_risk_price=None if self._unpriced else at_risk * self._highest,
            max_cost=self._job.max_cost,
        )

    def _count(self, row: Row, copy: Copy | None) -> None:
        self._rows += 1
        if row.template is None:
            self._invalid[str(row.problem)] += 1
        elif copy is not None and copy.outcome == "done":
            self._done += 1
        elif should_send(copy, self._job.redo):
            if not row.shares_earlier:
                self._pay(row.template.estimate(row.prompt))
        elif copy is not None:
            self._ended[status_of(copy)] += 1

    def _pay(self, price: Price) -> None:
        self._to_generate += 1
        if price.low is None or price.high is None:
            self._unpriced += 1
            return
        self._low += price.low
        self._high += price.high
        self._highest = max(self._highest, price.high)
