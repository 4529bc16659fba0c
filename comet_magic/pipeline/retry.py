"""The rows of a dataset that ended in one way are sent again; the index has them, so no source is needed."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from ..archive import Archive
from ..archive.curation import REROLLED
from ..client.api import callers_level
from ..errors import CometError, ConfigurationError, InvalidRequestError
from ..request.checks import check_names
from ..text import clean, counted
from .choice import REDO, RowsToRedo
from .dataset import DatasetJob, RetryOptions, job_settings, warn_of_billing_twice
from .dataset_run import DatasetRun
from .expand import Expander, Row
from .parameters import IndexedTemplates
from .row_index import RowIndex, Run
from .rows import indexed_records, is_kept, status_of
from .source import Source, SourceRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from ..archive import Copy
    from .parameters import RequestTemplate
    from .report import Dataset
    from .row_index import IndexedRow


def retry_rows(
    folder: Path, status: Any, options: Mapping[str, Any], *, cluster: Any, progress: bool
) -> Dataset:
    """Send the rows of a dataset again that ended so. `Dataset.retry` explains the parameters."""
    check_names(options, RetryOptions.__annotations__)
    run = _standing(folder)

    def rows() -> Iterator[SourceRow]:
        with RowIndex(folder) as index:
            for batch in index.rows(run.number):
                for row in batch:
                    yield SourceRow({"row": row}, f"row {row.position}")

    job = _job(folder, run, Source(rows, size=_count(folder, run)), {**options, "redo": status})
    warn_of_billing_twice(job)
    return DatasetRun(job, cluster=cluster, progress=progress).report()


def reroll_rows(folder: Path, options: Mapping[str, Any], *, cluster: Any, progress: bool) -> None:
    """Make one further copy for each rejected row, which is shown in its place. `Dataset.reroll` explains it."""
    check_names(options, RetryOptions.__annotations__)
    run = _standing(folder)
    rejected = {
        (row.key, row.copy): row for row, record in indexed_records(folder) if record["outcome"] == "rejected"
    }
    if not rejected:
        raise InvalidRequestError(
            "no row is rejected, so none is made anew; reject some first", param="reroll"
        )
    archive = Archive(folder)
    try:
        further = _further(archive, rejected)
        known = archive.copies(row.key for row in further.values())
        ended = {row for row in further.values() if (row.key, row.copy) in known}
        kept = frozenset((row.key, row.copy) for row in ended if status_of(known[row.key, row.copy]) in REDO)
        try:
            for redo in (RowsToRedo(frozenset(REDO), kept), None):  # what is paid is fetched first
                chosen = [
                    row for row in further.values() if ((row.key, row.copy) in kept) is (redo is not None)
                ]
                rows = [SourceRow({"row": row}, f"row {row.position}") for row in chosen]
                if rows:
                    source = Source(partial(iter, rows), size=len(rows))
                    job = _job(folder, run, source, {**options, "redo": redo})
                    DatasetRun(job, cluster=cluster, progress=progress).report()
        finally:
            copies = archive.copies(row.key for row in further.values())
            made = {place: row.copy for place, row in further.items() if _is_done(copies, row)}
            if made:
                archive.decide("reroll", {place: str(copy) for place, copy in made.items()})
    finally:
        archive.close()


def _further(archive: Archive, rejected: Mapping[tuple[str, int], IndexedRow]) -> dict[Any, IndexedRow]:
    """The copy that is made for each rejected row: one that a killed run paid for and nobody saw, or else a new one."""
    taken = archive.replacements(key for key, _ in rejected)
    copies = archive.copies(key for key, _ in rejected)
    lost = 0

    def may_be(key: str, number: int) -> bool:
        nonlocal lost
        copy = copies.get((key, number))
        if (key, number) in taken:
            return False
        if copy is None or status_of(copy) not in REDO or is_kept(archive, copy):
            return True
        lost += status_of(copy) == "unknown"
        return False

    free = {key: filter(partial(may_be, key), count(REROLLED)) for key, _ in rejected}
    further = {place: row._replace(copy=next(free[row.key])) for place, row in rejected.items()}
    if lost:
        calls = counted(lost, "earlier call of reroll is", "earlier calls of reroll are")
        warnings.warn(
            f"{calls} unknown and may be billed; one more is made in its place", stacklevel=callers_level()
        )
    return further


def _is_done(copies: Mapping[tuple[str, int], Copy], row: IndexedRow) -> bool:
    copy = copies.get((row.key, row.copy))
    return copy is not None and copy.outcome == "done"


def _standing(folder: Path) -> Run:
    with RowIndex(folder) as index:
        run = index.standing()
    if run is None:
        raise ConfigurationError(
            f"{clean(folder)} has no rows", hint="generate_dataset(source, out) gives it some."
        )
    return run


def _count(folder: Path, run: Run) -> int:
    with RowIndex(folder) as index:
        return index.count(run.number)


def _job(folder: Path, run: Run, source: Source, options: Mapping[str, Any]) -> DatasetJob:
    """The job that sends rows of the index, as they were sent before."""
    settings = job_settings(folder, {**options})
    vendor = settings.base.vendor
    if vendor != run.vendor:
        raise ConfigurationError(
            f"these rows were sent to {run.vendor}, and this would send them to {vendor}",
            hint="Give the base_url= and api_key= of that run, or run generate_dataset with the table.",
        )
    rows = IndexedRows(folder, vendor, settings.price_per_image)
    return DatasetJob(**vars(settings), source=source, expander=rows, kept=True)


class IndexedRows(Expander):
    """Gives the rows of an index with their requests, in the place of an expander."""

    def __init__(self, folder: Path, vendor: str, price_per_image: int | None) -> None:
        super().__init__({}, prompt="", vendor=vendor, price_per_image=price_per_image)
        self.parameters = ("model",)  # rows may have one of their own
        self._templates = IndexedTemplates(folder, vendor, price_per_image)

    def has(self, key: str, copy: int) -> bool:  # noqa: ARG002 - they are all there
        """Whether a row is there."""
        return True

    def read(self, rows: Collection[SourceRow], *, sends: bool = False) -> Iterator[Row]:  # noqa: ARG002 - as any
        """The rows, each with its request."""
        for source in rows:
            row: IndexedRow = source.record["row"]
            if row.key:
                shares = row.copy == 0 and self._counts.add(row.key, 1) > 0
                yield Row(
                    row.position,
                    row.prompt,
                    self._template_of(row),
                    row.key,
                    row.copy,
                    {},
                    shares_earlier=shares,
                )
            else:
                problem = InvalidRequestError(row.message or "")
                yield Row(row.position, row.prompt, None, "", 0, {}, problem=problem)

    def _template_of(self, row: IndexedRow) -> RequestTemplate:
        template = None
        with suppress(CometError):
            template = self._templates.of(row)
        if template is None or not row.prompt or template.key(row.prompt) != row.key:
            raise ConfigurationError(
                f"row {row.position} cannot be sent as it was: its prompt is not kept, or its model has changed",
                hint="Run generate_dataset(source, out, redo=...) with the table.",
            )
        return template
