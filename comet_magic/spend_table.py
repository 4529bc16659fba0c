"""What was spent: in all, or by model, day or folder, as a table with bars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

from .archive import Reader, Spend, ask_known
from .errors import InvalidRequestError
from .extras import load_extra
from .files import from_here
from .machine import DEFAULT_ARCHIVE, archive_folder
from .money import dollars
from .tables import ChartBar, ShownAsText, table
from .text import clean

if TYPE_CHECKING:
    import os
    from datetime import date, datetime

By = Literal["model", "day", "folder"]


@dataclass(frozen=True)
class SpendRow:
    """The money of one model, day or folder at one vendor."""

    name: str
    vendor: str
    spend: Spend


class SpendTable(ShownAsText, list[SpendRow]):
    """Money by model, day or folder, the most first, days in their order; a notebook shows it with bars.

    Attributes:
        by: `model`, `day` or `folder`.
        unreadable: sentences on folders whose money is not counted.
    """

    by: By = "model"
    unreadable: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """A pandas frame with a row for each; amounts are USD, `bound` is the most that can have been spent.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        load_extra("pandas")
        from .frames import Frame

        columns = [self.by, "vendor", "spent", "bound", "calls", "unpriced"]
        rows = [
            (row.name, row.vendor, row.spend.spent, row.spend.bound, row.spend.calls, row.spend.unpriced)
            for row in self
        ]
        return Frame(rows, columns=columns)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:  # noqa: ARG002
        most = max((row.spend.bound_micro for row in self), default=0) or 1
        rows = [
            (
                row.name,
                row.vendor + (" (play money)" if row.vendor == "sandbox" else ""),
                str(row.spend.calls),
                _amount(row.spend),
                ChartBar(row.spend.bound_micro / most),
            )
            for row in self
        ]
        notes = [*([] if self else ["Nothing was spent."]), *self.unreadable]
        return table((self.by, "vendor", "calls", "spent", "share of the largest"), rows, notes=notes)


def _amount(spend: Spend) -> str:
    more = f", at most {dollars(spend.bound_micro)}" if spend.bound != spend.spent else ""
    unpriced = f", {spend.unpriced} of unknown price" if spend.unpriced else ""
    return dollars(spend.spent_micro) + more + unpriced


@overload
def spend(
    vendor: str | None = ...,
    *,
    by: None = ...,
    since: date | datetime | None = ...,
    archive: str | os.PathLike[str] = ...,
) -> Spend: ...
@overload
def spend(
    vendor: str | None = ...,
    *,
    by: By,
    since: date | datetime | None = ...,
    archive: str | os.PathLike[str] = ...,
) -> SpendTable: ...
def spend(
    vendor: str | None = None,
    *,
    by: By | None = None,
    since: date | datetime | None = None,
    archive: str | os.PathLike[str] = DEFAULT_ARCHIVE,
) -> Spend | SpendTable:
    """What was spent, in USD, with its upper bound: in the default archive and all datasets of this machine.

    Args:
        vendor: only the money of this one (`cometapi`, `sandbox`, a host); by default of all.
        by: `"model"`, `"day"` or `"folder"` for a table with a row for each, apart for each vendor.
        since: only the money since that day.
        archive: only the money of this folder; by default of the one that `generate` writes to, and of every folder
            of a dataset on this machine.

    Returns:
        `.spent`, `.reserved` (in flight), `.uncertain` (perhaps billed) and `.bound`, the most that it can be;
        `.unreadable` says which folders could not be read. With `by`, a list of rows with `.name`, `.vendor` and
        `.spend`, which a notebook shows with bars; `.to_frame()` makes a pandas frame of it.

    Raises:
        InvalidRequestError: `by` is none of these.
        ConfigurationError: the archive cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> money = cm.spend("sandbox")
        >>> money.calls, money.spent, money.bound
        (1, 0.016, 0.016)
        >>> [(row.name, row.spend.spent) for row in cm.spend(by="model")]
        [('dall-e-2', 0.016)]
    """
    own = Reader(archive_folder(archive))
    others = archive == DEFAULT_ARCHIVE
    if by is None:
        spent = own.spend(vendor=vendor, since=since)
        if not others:
            return spent
        sums, problems = ask_known(own.folder, lambda reader: reader.spend(vendor=vendor, since=since))
        return replace(sum((each for _, each in sums), spent), unreadable=problems)
    if by not in ("model", "day", "folder"):
        raise InvalidRequestError(f"by is {clean(by)}; it takes model, day or folder", param="by")
    column: Literal["model", "day"] | None = None if by == "folder" else by
    answers = [(own, own.spend_by(column, vendor, since))]
    more, problems = (
        ask_known(own.folder, lambda reader: reader.spend_by(column, vendor, since)) if others else ([], ())
    )
    found: dict[tuple[str, str], Spend] = {}
    for reader, sums_of in (*answers, *more):
        folder = str(from_here(reader.folder)) if reader.folder else "memory"
        for (who, name), amount in sums_of.items():
            row = (who, name if column else folder)
            found[row] = found.get(row, Spend()) + amount
    rows = [SpendRow(clean(name), clean(who), amount) for (who, name), amount in found.items()]
    result = SpendTable(
        sorted(rows, key=lambda row: row.name if by == "day" else (-row.spend.bound_micro, row.name))
    )
    result.by, result.unreadable = by, problems
    return result
