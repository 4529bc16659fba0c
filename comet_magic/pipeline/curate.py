"""Choosing among the pictures of a dataset: checks, rejecting, keeping, and taking that back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from ..archive import Archive, Reader
from ..errors import InvalidRequestError, SaveError
from ..text import clean
from .choice import chosen_rows
from .rows import write_metadata
from .summary import keep_summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..protocol.decisions import RowStatus
    from .checks import Checks
    from .choice import Which
    from .dataset import RetryOptions

_CONCERNED: dict[str, tuple[RowStatus, ...]] = {"reject": ("done",), "keep": ("done", "rejected")}


class Curated:
    """The part of a dataset's report that chooses among its pictures."""

    folder: Path
    _settings: Mapping[str, Any]

    def check(self, check: Checks = "default") -> Self:
        """Look at every picture; what is found becomes columns `check_...`, and nothing is rejected by it.

        Args:
            check: a function of a picture that gives a bool, a number or a text, or a dict of them, for a column each;
                a check of `comet_magic.checks`; or a list of these. `default` is all of `checks`: `check_blank` and
                `check_size` (True if it is not of the requested size), `check_duplicate` and `check_near_duplicate`
                (the file of the earlier picture that is the same or looks alike), `check_dark` and `check_blurred`
                (0 to 1). What cannot be looked at has its reason in `check_error`.

        Raises:
            InvalidRequestError: `check` names something else.
            ConfigurationError: the folder cannot be written.
        """
        from .checks import checks_of, look_through

        look_through(self.folder, checks_of(check))
        return self

    def reject(self, which: Which, *, reason: str = "") -> Self:
        """Take pictures out of the dataset: their rows are `rejected` and not `done`. No file is deleted.

        No run makes them anew by itself, and their money stays counted. Rows that share a picture are rejected
        together.

        Args:
            which: a mask with a value for each row of `to_frame()`; places of rows, as in `report[0]`; or a function
                of a row's mapping. Rows without a picture are passed over.
            reason: why; the rows have it as `message`.

        Raises:
            InvalidRequestError: a place or a mask does not fit the rows.
            ConfigurationError: the folder cannot be used.
        """
        return self._decide("reject", which, reason)

    def keep(self, which: Which, *, reason: str = "") -> Self:
        """Keep pictures, also such as were rejected; takes and raises what `reject` does."""
        return self._decide("keep", which, reason)

    def reroll(self, *, cluster: Any = None, progress: bool = True, **settings: Unpack[RetryOptions]) -> Self:
        """Make one further picture for each rejected row; the row shows it from then on, also after later runs.

        The old one stays on disk. All of it is paid and counts in every limit; a row whose picture fails stays
        rejected, and the next reroll makes another. A picture that an earlier reroll paid for and that no row shows,
        because it was killed, is taken first, free.

        Args:
            cluster: as of `generate_dataset`.
            progress: as of `generate_dataset`.
            **settings: as of `retry`.

        Raises:
            InvalidRequestError: no row is rejected.
            ConfigurationError: the rows cannot be sent as they were: to another server, or their prompts are not kept.
            CometError: as `generate_dataset` does.
        """
        from .retry import reroll_rows

        reroll_rows(self.folder, {**self._settings, **settings}, cluster=cluster, progress=progress)
        _tell_again(Reader(self.folder), self.folder)
        return self

    def undo(self) -> Self:
        """Take the last decision back, with all pictures that it was on.

        Raises:
            InvalidRequestError: there is none.
            ConfigurationError: the folder cannot be used.
        """
        archive = Archive(self.folder)
        try:
            taken = archive.take_back()
            if taken:
                _tell_again(archive, self.folder)
        finally:
            archive.close()
        if not taken:
            raise InvalidRequestError("there is no decision to take back", param="undo")
        return self

    def _decide(self, decision: Literal["reject", "keep"], which: Which, reason: str) -> Self:
        places = {
            (row.key, row.copy): clean(reason, limit=400)
            for row, record in chosen_rows(self.folder, which)
            if record["outcome"] in _CONCERNED[decision]
        }
        if places:
            archive = Archive(self.folder)
            try:
                archive.decide(decision, places)
                _tell_again(archive, self.folder)
            finally:
                archive.close()
        return self


def _tell_again(archive: Reader, folder: Path) -> None:
    """Write what is told of the rows anew: their counts and the metadata."""
    keep_summary(archive, folder)
    try:
        write_metadata(folder)
    except OSError as error:
        problem = f"metadata.jsonl cannot be written: {error.strerror or type(error).__name__}"
    else:
        return
    raise SaveError(problem, outcome="not_sent", hint="The decision is kept; the next run writes the file.")
