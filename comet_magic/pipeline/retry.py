"""The rows of a dataset that ended in one way are sent again; the index has them, so no source is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from ..errors import CometError, ConfigurationError, InvalidRequestError
from ..request import ImageRequest, RequestTemplate
from ..request.checks import check_names
from ..text import clean
from .dataset import Redo, RetryOptions, job_of, warn_of_billing_twice
from .dataset_run import DatasetRun
from .expand import Expander, Row
from .row_index import IndexedRow, RowIndex
from .source import Source, SourceRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from .report import Dataset


def retry_rows(
    folder: Path, status: Redo, options: Mapping[str, Any], *, cluster: Any, progress: bool
) -> Dataset:
    """Send the rows of a dataset again that ended so. `Dataset.retry` explains the parameters."""
    with RowIndex(folder) as index:
        run = index.standing()
    if run is None:
        raise ConfigurationError(
            f"{clean(folder)} has no rows", hint="generate_dataset(source, out) gives it some."
        )

    def rows() -> Iterator[SourceRow]:
        with RowIndex(folder) as index:
            for batch in index.rows(run.number):
                for row in batch:
                    yield SourceRow({"row": row}, f"row {row.position}")

    def expander(_: Mapping[str, Any], **facts: Any) -> Expander:
        if facts["vendor"] != run.vendor:
            raise ConfigurationError(
                f"these rows were sent to {run.vendor}, and this would send them to {facts['vendor']}",
                hint="Give the base_url= and api_key= of that run, or run generate_dataset with the table.",
            )
        return IndexedRows(facts["vendor"], facts["price_per_image"])

    check_names(options, RetryOptions.__annotations__)
    job = job_of(
        folder, lambda: Source(rows, size=run.read), expander, {**options, "redo": status}, kept=True
    )
    warn_of_billing_twice(job)
    return DatasetRun(job, cluster=cluster, progress=progress).report()


class IndexedRows(Expander):
    """Gives the rows of an index with their requests, in the place of an expander."""

    def __init__(self, vendor: str, price_per_image: int | None) -> None:
        super().__init__({}, prompt="", vendor=vendor, price_per_image=price_per_image)
        self.parameters = ("model",)  # rows may have one of their own
        self._known: dict[tuple[str | None, str | None], RequestTemplate] = {}

    def anew(self) -> Self:
        """The same, before its first row."""
        return type(self)(self._vendor, self._price_per_image)

    def look_through(self, rows: Iterable[SourceRow], columns: Collection[Any] = ()) -> int:  # noqa: ARG002
        """How many there are; they were looked through when they came."""
        return sum(1 for _ in rows)

    def has(self, key: str, copy: int) -> bool:  # noqa: ARG002 - they are all there
        """Whether a row is there."""
        return True

    def read(self, rows: Collection[SourceRow], *, asks: bool = False) -> Iterator[Row]:  # noqa: ARG002 - as any
        """The rows, each with its request."""
        for source in rows:
            row: IndexedRow = source.record["row"]
            if row.key:
                shares = row.copy == 0 and self._counts.add(row.key, 1) > 0
                yield Row(
                    row.position,
                    row.prompt,
                    self._template(row),
                    row.key,
                    row.copy,
                    {},
                    shares_earlier=shares,
                )
            else:
                problem = InvalidRequestError(row.message or "")
                yield Row(row.position, row.prompt, None, "", 0, {}, problem=problem)

    def _template(self, row: IndexedRow) -> RequestTemplate:
        facts = row.model, row.parameters
        problem = not row.prompt
        try:
            if facts not in self._known:
                given = {"prompt": "-", "model": row.model, **json.loads(row.parameters or "{}")}
                request = ImageRequest.from_dict(given)
                self._known[facts] = RequestTemplate(request, self._vendor, self._price_per_image)
        except CometError:
            problem = True
        if problem or self._known[facts].key(row.prompt) != row.key:
            raise ConfigurationError(
                f"row {row.position} cannot be sent as it was: its prompt is not kept, or its model has changed",
                hint="Run generate_dataset(source, out, redo=...) with the table.",
            )
        return self._known[facts]
