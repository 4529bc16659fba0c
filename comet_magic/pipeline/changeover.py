"""The rows of a run on their way into the folder: looked at before anything is sent, indexed, put in their place.

No row leaves a folder untold: what a new table lets go is counted before the first call and once more when the source
was read to its end, for another process may have come between, and a stream cannot be read ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..archive.known_folders import remember_folder
from ..errors import ConfigurationError
from ..files import make_private_folder
from ..money import dollars
from ..text import clean, counted
from .dataset_plan import leaving_message, tally, too_many
from .row_index import RowIndex, RunState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..archive import Archive
    from .dataset import DatasetJob
    from .dataset_plan import DatasetPlan
    from .expand import Row


class Changeover:
    """The rows of one run in the index of its folder.

    Attributes:
        notices: sentences that a person has to read, each once.
    """

    def __init__(self, job: DatasetJob, archive: Archive) -> None:
        self.notices: list[str] = []
        self._job = job
        self._archive = archive
        self._index = RowIndex(job.folder)
        self._number = 0
        self._shared = False

    def begin(self) -> None:
        """Make the folder, look the source through if it can be read twice, and begin the run.

        Raises:
            ConfigurationError: the folder or its index cannot be used, or the rows of the folder would leave it.
        """
        job, index = self._job, self._index
        if job.kept:
            stands = index.standing()
            self._number = stands.number if stands else 0
            self.notices.append(_redo_message(tally(job.again(), shared=True)))
            return
        make_private_folder(job.folder, ignored=False)
        index.make()
        self._shared = self._archive.is_shared()
        if job.replace and self._shared:
            raise ConfigurationError(
                f"another process works in {clean(job.folder)}, and replace=True may remove its rows",
                hint="Wait for it, or add rows with append=True.",
            )
        stood = index.standing() is not None
        remember_folder(job.folder)
        self._number = index.begin(
            vendor=job.base.vendor, size=job.source.size, frame=job.source.index, alone=not self._shared
        )
        if job.source.whole and stood:
            try:
                plan = tally(job.again(), shared=self._shared)
            except BaseException:
                self.end("stopped")
                raise
            self.notices += [leaving_message(plan.leaving)] if plan.leaving else []
            self.notices += [_redo_message(plan)] if job.redo else []

    def add(self, rows: Iterable[Row], *, last: bool) -> None:
        """Add some more rows; with the last ones they take the place of those that stand, or join them."""
        if self._job.kept:
            return
        self._index.add(self._number, rows, store_prompts=self._job.client.get("store_prompts", True))
        if last:
            self._change_over()

    def _change_over(self) -> None:
        job, index, keep = self._job, self._index, self._job.append
        gone = [] if keep or job.replace else index.leaving(self._number)
        if gone and (self._shared or not job.source.whole):
            standing = index.standing()
            keep = standing is not None and too_many(len(gone), index.count(standing.number))
            stay = f"{counted(len(gone), 'row')} of the folder are not in this table; they stay in it"
            self.notices.append(stay if keep else leaving_message(len(gone)))
        self._number = index.replace_former(self._number, keep=keep)

    def end(self, state: RunState, why: str = "") -> None:
        """Note how the run ended; what a source that broke has added stays added."""
        with self._index:
            if self._job.append:
                self._number = self._index.replace_former(self._number, keep=True)
            self._index.end(self._number, state, why)


def _redo_message(plan: DatasetPlan) -> str:
    """One line on what sending rows again costs."""
    again = counted(plan.to_generate, "row is", "rows are") if plan.to_generate else "no row is"
    fetched = f"; {counted(plan.to_fetch, 'paid picture is', 'paid pictures are')} fetched again, free"
    cost = f" for at most {dollars(plan.price.high_micro)}" if plan.to_generate else ""
    return f"{again} sent again{cost}{fetched if plan.to_fetch else ''}"
