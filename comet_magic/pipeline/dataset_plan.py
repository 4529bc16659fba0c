"""The plan of a dataset: what it would do and cost, before anything is sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from ..archive import Reader
from ..money import Price, dollars, total
from ..text import counted
from .dataset import DatasetJob, DatasetOptions, Redo, read_job
from .rows import should_send, status_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

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
    return _tally(job)


def _tally(job: DatasetJob) -> DatasetPlan:
    """Count the rows of a job by what a run would do with them."""
    archive = Reader(job.folder)
    count, done = 0, 0
    to_send, ended, invalid = Counter[Price](), Counter[str](), Counter[str]()
    with job.expander as expander:
        for batch, _ in job.source.batches(BATCH):
            rows = list(expander.read(batch))
            copies = archive.copies(row.key for row in rows if row.key)
            count += len(rows)
            for row in rows:
                copy = copies.get((row.key, row.copy))
                if row.template is None:
                    invalid[str(row.problem)] += 1
                elif copy is not None and copy.outcome == "done":
                    done += 1
                elif should_send(copy, job.redo):
                    to_send[row.template.estimate(row.prompt)] += not row.shares_earlier
                elif copy is not None:
                    ended[status_of(copy)] += 1
    prices = list(to_send.elements())
    highest = max((price.high or 0 for price in to_send), default=0)
    unpriced = sum(many for price, many in to_send.items() if not price.known)
    at_risk = min(job.in_flight, len(prices))
    return DatasetPlan(
        rows=count,
        duplicates=expander.duplicates,
        done=done,
        ended=dict(ended),
        invalid=dict(invalid.most_common(5)),
        to_generate=len(prices),
        price=Price(total(price.low for price in prices), total(price.high for price in prices)),
        unpriced=unpriced,
        at_risk=at_risk,
        at_risk_price=None if unpriced else at_risk * highest,
        max_cost=job.max_cost,
    )
