"""The report of a dataset: counts, money, rows, failures, pictures. Each property reads the disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice, starmap
from typing import TYPE_CHECKING, Any, Unpack, overload

from ..archive import Archive, Reader, Spend
from ..errors import ConfigurationError, PartialResultError, SaveError
from ..extras import load_extra
from ..files import from_here, inside, is_address, native, replaced
from ..machine import absolute, expanded
from ..money import dollars, total
from ..text import clean, counted
from .curate import Curated
from .publish import Published
from .row_index import RowIndex
from .rows import (
    COLUMNS,
    ROW_STATUSES,
    LazyImage,
    Times,
    in_words,
    kinds_of,
    pictures_of,
    read_records,
    record_at,
    time_columns,
)
from .summary import Breakdown, Group, breakdown, ends_of, keep_summary, kept_summary, stamp

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from PIL.Image import Image

    from .choice import Again
    from .dataset import RetryOptions
    from .rows import Kinds

MOST_ON_A_SHEET = 64


def dataset_folder(out: str | os.PathLike[str]) -> Path:
    """The folder of a dataset, as it was given.

    Raises:
        ConfigurationError: it is an address.
    """
    if is_address(out):
        raise ConfigurationError(
            f"{clean(out)} is an address; a dataset is made in a folder of this machine",
            hint=f"Give a folder, and when it is done: report.export({clean(out)!r}, format='parquet').",
        )
    return expanded(out)


def open_dataset(out: str | os.PathLike[str]) -> Dataset:
    """The dataset in a folder, also while another process works on it.

    Args:
        out: the folder that was given to `generate_dataset`.

    Raises:
        ConfigurationError: there is no dataset in the folder.
    """
    folder = absolute(native(dataset_folder(out)))
    with RowIndex(folder) as index:
        if index.latest() is None:
            raise ConfigurationError(
                f"there is no dataset in {clean(folder)}", hint="generate_dataset(source, out) makes one."
            )
    return Dataset(folder)


@dataclass(frozen=True)
class Verification:
    """What looking at every picture file of a dataset found; false if any is missing or damaged.

    Attributes:
        rows: of the dataset.
        missing: names of the files that are gone, relative to the folder.
        damaged: names of those that are not what was stored.
        undecodable: names of those that are what was stored, and cannot be decoded; only if that was asked for.
    """

    rows: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    undecodable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not (self.missing or self.damaged or self.undecodable)

    def __str__(self) -> str:
        if self:
            return f"every picture of {counted(self.rows, 'row')} is what was stored"
        due, rotten = (
            clean(", ".join(names[:5]), limit=400)
            for names in ((*self.missing, *self.damaged), self.undecodable)
        )
        lines = [f"{len(self.missing)} missing, {len(self.damaged)} damaged; due again: {due}"] if due else []
        lines += [f"{len(self.undecodable)} cannot be decoded: {rotten}"] if rotten else []
        return "\n".join(lines)


class Dataset(Curated, Published):
    """A dataset on disk; each property reads it anew."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._settings = settings or {}  # of the client that it was made with
        self._archive = Reader(folder)
        self._kinds: tuple[object, Kinds] | None = None
        self._counted: tuple[object, list[Group]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy for another process, such as a worker of a data loader; it has no key."""
        return type(self), (self.folder,)

    def __len__(self) -> int:
        if (kept := kept_summary(self._archive, self.folder)) is not None:
            return kept.rows
        with RowIndex(self.folder) as index:
            run = index.standing()
            return index.count(run.number) if run else 0

    @property
    def complete(self) -> bool:
        """Whether the latest run read its source to the end and ended by itself."""
        with RowIndex(self.folder) as index:
            run = index.latest()
        return run is not None and run.state == "complete"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row as a mapping; its picture is `image`, read when somebody looks at it, or None."""
        return (_with_image(self.folder, record) for record in self.records())

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """A row by its place, as in iteration; but each of the rows that share a picture tells the picture's cost."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        size = len(self)
        place = index + size if index < 0 else index
        if not 0 <= place < size:
            raise IndexError(f"row {index} of {counted(size, 'row')}")
        now = stamp(self.folder)
        if self._kinds is None or self._kinds[0] != now:
            self._kinds = now, kinds_of(self.folder)
        record = record_at(self._archive, self.folder, place, size, self._kinds[1])
        return _with_image(self.folder, record)

    def images(self) -> Iterator[Image]:
        """The pictures of the rows that have one, each read and decoded when it is asked for.

        Raises:
            SaveError: the file of one cannot be read.
            BadImageError: one is damaged.
        """
        return (image.open() for image, _ in pictures_of(self._archive, self.folder))

    def to_hf(self) -> Any:
        """A `datasets.Dataset` with the pictures as an `Image` column, read from the files when they are used.

        Raises:
            ConfigurationError: `datasets` is not installed.
        """
        datasets = load_extra("datasets", "datasets")
        rows = [{**record, "image": _safe_path(self.folder, record["image"])} for record in self]
        made = datasets.Dataset.from_list(rows) if rows else datasets.Dataset.from_dict({"image": []})
        return made.cast_column("image", datasets.Image())

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows in the order of their source, one mapping each, read as they are asked for.

        A column of the source whose name has a meaning here, such as `cost` or `image`, is kept as `<name>_source`;
        no two columns share a name.
        """
        return read_records(self.folder)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status; `open` are those that no run has ended."""
        found: Counter[str] = Counter()
        for group in self._groups():
            found[group.status] += group.rows
        return {name: found[name] for name in ROW_STATUSES}

    def _groups(self) -> list[Group]:
        """The rows that are alike, as they were counted last; or counted anew if the dataset has changed since."""
        if (kept := kept_summary(self._archive, self.folder)) is not None:
            return kept.ends.groups()
        now = stamp(self.folder)
        if self._counted is None or self._counted[0] != now:
            self._counted = now, ends_of(self._archive, self.folder).groups()
        return self._counted[1]

    def by(self, column: str) -> Breakdown:
        """Rows by status, cost and seconds for each value of a column of the source, or of `model`.

        Raises:
            InvalidRequestError: there is no such column.
        """
        return breakdown(self._archive, self.folder, column)

    @property
    def spend(self) -> Spend:
        """The money of all runs."""
        kept = kept_summary(self._archive, self.folder)
        return self._archive.spend() if kept is None else kept.spend

    @property
    def cost(self) -> float:
        """The money known to be spent, in USD."""
        return self.spend.spent

    @property
    def bound(self) -> float:
        """The most that can have been spent, with unknown calls and those in flight, in USD."""
        return self.spend.bound

    @property
    def rows(self) -> pd.DataFrame:
        """A pandas frame with a line for each row: the source's columns, outcome, file, cost, error..."""
        load_extra("pandas")
        from ..frames import Frame

        return Frame(list(self.records()), columns=None if len(self) else COLUMNS)

    @property
    def failures(self) -> dict[str, int]:
        """Rows without a picture by kind, code and message, the most frequent first; ids and addresses are left out."""
        reasons: Counter[str] = Counter()
        for group in self._groups():
            if group.error:
                code = f" {group.code}" if group.code else ""
                reasons[f"{group.error}{code}: {group.message or ''}"] += group.rows
        return dict(reasons.most_common())

    def verify(self, *, decode: bool = False) -> Verification:
        """Read every picture file and compare it with what was stored (sha256).

        Those that are missing or damaged are due again: their rows are open, and the next run fetches or makes them.

        Args:
            decode: whether to decode every picture too, several at once; those that cannot be are named.

        Raises:
            ConfigurationError: the ledger cannot be read, or written if any are due again.
            SaveError: a file cannot be read.
        """
        archive, problem = Archive(self.folder), ""
        try:
            missing, damaged = archive.verify()
            if missing or damaged:
                keep_summary(archive, self.folder)
        except OSError as error:
            problem = f"{clean(error.filename)} cannot be read: {error.strerror}"
        else:
            rotten = self._undecodable() if decode else ()
            return Verification(len(self), tuple(missing), tuple(damaged), rotten)
        finally:
            archive.close()
        raise SaveError(problem, outcome="not_sent")

    def retry(
        self,
        status: Again,
        *,
        cluster: Any = None,
        progress: bool = True,
        **settings: Unpack[RetryOptions],
    ) -> Dataset:
        """Send the rows again that ended so; no table is needed. What is paid is fetched first, free.

        Args:
            status: `failed`, `refused` or `unknown`; the last may be billed twice; or rows, as `redo` of
                `generate_dataset` takes them.
            cluster: as of `generate_dataset`.
            progress: as of `generate_dataset`.
            **settings: of the client, `max_cost`, `max_per_minute` and `stop_after` too; what is not given is as it was
                in the run that gave this report.

        Returns:
            The report after it.

        Raises:
            ConfigurationError: the rows cannot be sent as they were: to another server, or their prompts are not kept.
            CometError: as `generate_dataset` does.
        """
        from .retry import retry_rows

        return retry_rows(
            self.folder, status, {**self._settings, **settings}, cluster=cluster, progress=progress
        )

    def raise_for_failures(self) -> None:
        """Raise unless every row has its picture; for scripts, papermill and CI.

        Raises:
            PartialResultError: with the number of rows by status, and the most frequent reason.
        """
        counts = self.counts
        rows, done = sum(counts.values()), counts.pop("done")
        if done == rows:
            return
        first = next(iter(self.failures), "")
        raise PartialResultError(
            f"{rows - done:,} of {counted(rows, 'row')} have no picture: {in_words(counts)}",
            hint=f"The most frequent reason: {clean(first, limit=200)}"
            if first
            else "Run it again to go on.",
            run=f"{dollars(self.spend.spent_micro)} spent, {dollars(self.spend.bound_micro)} at most.",
        )

    def to_frame(self) -> pd.DataFrame:
        """`rows` with a column `image`, whose pictures are read when somebody looks at them.

        A notebook shows them small, `to_parquet` writes their bytes, and datetimes are datetimes. If the source was a
        frame of pandas or Dask, or a Series, it has the same index.
        """
        load_extra("pandas")
        from .picture_frame import PictureFrame

        frame = PictureFrame(self.rows)
        images = [
            LazyImage(self.folder, name) if isinstance(name, str) else None
            for name in frame.get("file_name", ())
        ]
        pandas = load_extra("pandas")
        for name in frame.columns.intersection(time_columns(self.folder)):
            frame[name] = _times(pandas, frame[name])
        frame.insert(0, "image", pandas.Series(images, dtype=object))
        with RowIndex(self.folder) as index:
            run = index.standing()
            labels = run and index.frame_index(run)
        if labels and len(frame):
            frame.index = _index(pandas, *labels)
        return frame

    def sheet(
        self,
        columns: int | None = None,
        width: int = 1024,
        *,
        limit: int = MOST_ON_A_SHEET,
        sample: int | None = None,
        by: str | None = None,
        captions: bool = False,
    ) -> Image:
        """A contact sheet of the first pictures, or of some that are drawn.

        Args:
            columns: pictures in a row; by default about as many as rows.
            width: of the sheet, in pixels.
            limit: the first so many pictures.
            sample: so many that are drawn, the same ones each time, in place of the first.
            by: a column: about as many pictures of each of its values, together below its name.
            captions: whether the prompt is below each picture.

        Raises:
            InvalidRequestError: there are no pictures, or no such column.
            SaveError: the file of one cannot be read.
        """
        from .views import columns_for, labelled_sheet, sampled

        chosen = sampled(self, limit if sample is None else sample, by=by, drawn=sample is not None)
        if by is None and not captions:
            from ..images import Images

            return Images([one.image.picture() for one in chosen]).sheet(columns, width)
        wanted = columns_for(len(chosen)) if columns is None else columns
        return labelled_sheet(chosen, columns=wanted, width=width, captions=captions)

    def to_html(self, path: str | os.PathLike[str], *, limit: int = 2000) -> Path:
        """Write one page with a thumbnail of each row, a search and a choice of statuses.

        Args:
            path: the file; one of that name is replaced.
            limit: the first so many rows.

        Returns:
            The path of the file.

        Raises:
            SaveError: the file cannot be written.
        """
        from .views import Page

        summary = str(self).partition("\n")[2]  # without the folder, which is of this machine
        page = Page(self.folder.name, summary, list(islice(self, limit)), len(self))
        target, problem = native(expanded(path)), ""
        try:
            with replaced(target, private=False) as file:
                file.writelines(line.encode("utf-8", "replace") for line in page.lines())
        except OSError as error:
            problem = f"{clean(target)} cannot be written: {clean(error.strerror)}"
        else:
            return target
        raise SaveError(problem, outcome="not_sent")

    def __str__(self) -> str:
        counts = self.counts
        spend = self.spend
        lines = [
            f"{counted(sum(counts.values()), 'row')} in {clean(from_here(self.folder))}",
            in_words(counts),
            f"{dollars(spend.spent_micro)} spent, {dollars(spend.bound_micro)} at most",
        ]
        worst = islice(self.failures.items(), 3)
        lines += [f"{count:,} x {clean(reason, limit=200)}" for reason, count in worst]
        with RowIndex(self.folder) as index:
            why = index.why_ended()
        lines += [f"the latest run ended early: {why}"] if why else []
        return "\n".join([*lines, *self._uncertain()])

    def _uncertain(self) -> Iterator[str]:
        """What calls without an answer may have cost, and what becomes of their rows."""
        kept = kept_summary(self._archive, self.folder)
        if kept is not None and not kept.unsettled:
            return
        calls = self._archive.doubtful()
        lost = [call.bound_micro for call in calls if call.state == "unknown"]
        cut = [call.bound_micro for call in calls if call.state != "unknown"]
        if lost:
            rows = counted(len(lost), "row is", "rows are")
            most = dollars(total(lost))
            yield f'{rows} unknown: sent without an answer, billed perhaps; redo="unknown" may cost {most} more'
        if cut:
            rows = counted(len(cut), "row was", "rows were")
            yield f"{rows} cut off when a process ended ({dollars(total(cut))} at most); the next run looks after them"

    def _repr_html_(self) -> str:
        from .views import STRIP, notebook_html, thumbnail

        counts = self.counts
        shown = islice(pictures_of(self._archive, self.folder), min(STRIP, counts["done"]))
        return notebook_html(str(self), counts, "".join(starmap(thumbnail, shown)))

    def __repr__(self) -> str:
        return f"<Dataset {clean(from_here(self.folder))}>"

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        printer.text(str(self))


def _with_image(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    name = record["file_name"]
    return {"image": LazyImage(folder, name) if name else None, **record}


def _safe_path(folder: Path, image: LazyImage | None) -> str | None:
    """Where a picture is, for a library that opens it by itself; None if a link is on the way to it."""
    try:
        return str(inside(folder, image.name).absolute()) if image is not None else None
    except OSError:
        return None


def _times(pandas: Any, texts: Any) -> Any:
    """A column of ISO texts as datetimes; as it is if they have no common kind, or are beyond what pandas holds."""
    times = Times(["time"])
    for text in texts:
        times.add({"time": text if isinstance(text, str) else None})
    kind = times.kinds().get("time")
    try:
        return pandas.to_datetime(texts, format="ISO8601", utc=kind == "time") if kind else texts
    except ValueError:
        return texts


def _index(pandas: Any, names: list[Any], types: list[str], labels: list[Any]) -> Any:
    """The index of a frame, as it was; a level whose type cannot be made again has labels as texts."""
    levels = [labels] if len(types) == 1 else [list(level) for level in zip(*labels, strict=True)]
    made = []
    for level, kind in zip(levels, types, strict=True):
        try:
            made.append(pandas.Index(level, dtype=kind))
        except (TypeError, ValueError):  # such as intervals
            made.append(pandas.Index(level))
    index = made[0] if len(made) == 1 else pandas.MultiIndex.from_arrays(made)
    index.names = [tuple(name) if isinstance(name, list) else name for name in names]
    return index
