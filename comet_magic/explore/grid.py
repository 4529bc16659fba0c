"""The result of a grid: its cells by what varies, the best of them, as a frame and as files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..catalog import WIRE_PARAMETERS
from ..errors import InvalidRequestError
from ..extras import load_extra
from ..files import slug, write_whole
from ..images import Images
from ..money import dollars, total, usd
from ..outputs import duration
from ..text import clean

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from PIL.Image import Image

    from ..errors import CometError
    from .plan import GridPlan, PlannedCell

_OWN_COLUMNS = ("prompt", "price", "seconds", "path", "picture", "reused", "error")


@dataclass(frozen=True, eq=False)
class GridCell:
    """One cell of a grid: what was asked for and what came.

    Attributes:
        planned: its values, prompt and options.
        name: what tells it from the others, in words.
        images: its pictures; None if none came.
        error: why some or all of them failed, or None.
        cost_micro: what this run paid for it; None if unknown.
        price_micro: what its pictures cost when they were made; None if unknown.
        seconds: that the call took that made them; None if unknown.
        state: what it does now, in words; "" once it has ended.
    """

    planned: PlannedCell
    name: str
    images: Images | None = None
    error: CometError | None = None
    cost_micro: int | None = 0
    price_micro: int | None = None
    seconds: float | None = None
    state: str = ""

    @property
    def values(self) -> Mapping[str, str]:
        """Its value on each axis, as a short text."""
        return self.planned.labels

    @property
    def prompt(self) -> str:
        """As it was sent."""
        return self.planned.prompt

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, each value that was changed to the nearest that the model takes."""
        return self.planned.notes

    @property
    def price(self) -> float | None:
        """What its pictures cost when they were made, in USD; None if unknown."""
        return usd(self.price_micro)

    @property
    def reused(self) -> bool:
        """Whether all its pictures were in the archive already."""
        return self.images is not None and all(picture.reused for picture in self.images.pictures)

    @property
    def alt(self) -> str:
        """The pictures in words, for who does not see them: the prompt and the parameters."""
        facts = self.planned.plan.first.to_dict()
        words = [str(value) for name, value in facts.items() if name not in ("prompt", "extra", "n", "user")]
        return clean(f"{' '.join(self.prompt.split())} ({', '.join(words)})", limit=400)


class Grid:
    """The pictures of every combination, each with its price and its seconds.

    It is shown as a table: rows and columns are the two things that vary most, and the others make blocks.

    Attributes:
        plan: what was planned.
        cells: one `GridCell` for each combination that its model takes, in order.
        notice: one sentence that is shown with it, or "".

    Example:
        >>> import comet_magic as cm
        >>> grid = cm.vary("a {paper|wooden} boat", model="dall-e-2", size=["256x256", "512x512"])
        >>> len(grid), grid.best(by="cost")[0].size
        (4, (256, 256))
        >>> grid.at(size="512x512", **{"paper|wooden": "wooden"}).prompt
        'a wooden boat'
    """

    def __init__(self, plan: GridPlan, cells: tuple[GridCell, ...], notice: str = "") -> None:
        self.plan = plan
        self.cells = cells
        self.notice = notice
        self._shown: Any = None  # set by what has shown it: whether that was in the running cell

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[GridCell]:
        return iter(self.cells)

    @property
    def images(self) -> Images:
        """The pictures of all cells in one list, in order."""
        found = Images(prompt=str(self.plan.prompt), cost_micro=0)
        for cell in self.cells:
            found.extend(cell.images or ())
        return found

    @property
    def cost(self) -> float | None:
        """What this run paid, in USD; None if any part is unknown."""
        return usd(total(cell.cost_micro for cell in self.cells))

    @property
    def errors(self) -> dict[str, CometError]:
        """The error of each cell that failed, by what tells the cell from the others."""
        return {cell.name: cell.error for cell in self.cells if cell.error is not None}

    def best(self, by: Literal["cost", "seconds"] = "cost") -> Images:
        """The pictures of the cell that was cheapest or quickest to make, the first of equals. It judges no beauty.

        Raises:
            InvalidRequestError: `by` is another word, or no cell has what is compared.
        """
        if by not in ("cost", "seconds"):
            raise InvalidRequestError(
                f'by is {clean(by, limit=40)}; it must be "cost" or "seconds"', param="by"
            )
        found = best_cells(self.cells, by)
        if not found or found[0].images is None:
            what = "price" if by == "cost" else "time"
            raise InvalidRequestError(f"no cell has a picture whose {what} is known", param="by")
        return found[0].images

    def at(self, **values: Any) -> Images:
        """The pictures of one cell: `grid.at(model="gpt-image-2", quality="low")`.

        Args:
            **values: for each thing that varies, unless one is enough; words and alternatives by their name too.

        Raises:
            InvalidRequestError: none or several cells match.
            CometError: as that cell failed.
        """
        places = self._places(values)
        found = [cell for cell in self.cells if any(map(places.__contains__, cell.planned.places))]
        if len(found) == 1:
            cell = found[0]
            if cell.images is None:
                raise cell.error or InvalidRequestError(f"{cell.name} has no pictures yet")
            return cell.images
        if found:
            more = [axis.name for axis in self.plan.varying if axis.name not in values]
            said, hint = f"{len(found)} cells match", f"Say also {', '.join(more)}."
        else:
            reason = next((why for place, why in self.plan.omitted.items() if place in places), "")
            said, hint = f"no cell matches{f': {reason}' if reason else ''}", ""
        raise InvalidRequestError(said, param="at", hint=hint)

    def cell_at(self, place: tuple[int, ...]) -> GridCell | None:
        """The cell of a combination, by which value of each axis it has; None if it was left out or not drawn."""
        return next((cell for cell in self.cells if place in cell.planned.places), None)

    def _places(self, values: Mapping[str, Any]) -> set[tuple[int, ...]]:
        """The places that have these values, of cells and of what was left out."""
        wanted: list[tuple[int, int]] = []
        axes = {axis.name: (number, axis) for number, axis in enumerate(self.plan.axes)}
        for name, value in values.items():
            if name not in axes:
                raise InvalidRequestError(f"{name} does not vary; {', '.join(axes)} do", param=name)
            number, axis = axes[name]
            if value in axis.labels:
                wanted.append((number, axis.labels.index(value)))
                continue
            same = [index for index, one in enumerate(axis.values) if _is_same(one, value)]
            if not same:
                said = f"{name} is {clean(value, limit=80)}; it varies over {', '.join(axis.labels)}"
                raise InvalidRequestError(said, param=name)
            wanted.append((number, same[0]))
        every = [*(place for cell in self.cells for place in cell.planned.places), *self.plan.omitted]
        return {place for place in every if all(place[number] == index for number, index in wanted)}

    # --- what can be done

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with one row for each picture, and one for each cell that has none.

        Its columns are all parameters that are set anywhere, the words, `prompt`, `price` (USD, when the picture was
        made), `seconds`, `path`, `picture` (PIL), `reused` and `error`.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        load_extra("pandas")
        from ..frames import Frame

        rows = [row for cell in self.cells for row in self._rows_of(cell)]
        return Frame(rows, columns=self._columns())

    def _columns(self) -> list[str]:
        parameters = [
            name for name in WIRE_PARAMETERS if any(name in self._sent(cell) for cell in self.cells)
        ]
        parameters += ["extra"] if any("extra" in self._sent(cell) for cell in self.cells) else []
        others = [_column(axis.name) for axis in self.plan.axes if axis.name not in parameters]
        named = [name for name in others if name not in _OWN_COLUMNS]
        return [*parameters, *named, *_OWN_COLUMNS]

    @staticmethod
    def _sent(cell: GridCell) -> dict[str, Any]:
        facts = cell.planned.plan.first.to_dict()
        return {name: value for name, value in facts.items() if name not in ("prompt", "n")}

    def _rows_of(self, cell: GridCell) -> list[dict[str, Any]]:
        """One row for each picture, then one for the error, if there is one."""
        said = {_column(name): label for name, label in cell.values.items()}
        row = {
            **said,
            **self._sent(cell),
            "prompt": cell.prompt,
            "seconds": cell.seconds,
            "reused": cell.reused,
        }
        images = cell.images or Images()
        price = None if cell.price is None else cell.price / max(1, len(images))
        pictures = zip(images, images.pictures, strict=True)
        rows = [{**row, "price": price, "path": one.path, "picture": image} for image, one in pictures]
        return rows if cell.error is None else [*rows, {**row, "error": str(cell.error)}]

    def sheet(self, width: int = 2000) -> Image:
        """The grid as one picture with labels, such as for a paper.

        Args:
            width: in pixels.

        Raises:
            InvalidRequestError: the width is too small for it.
        """
        from .grid_sheet import sheet

        return sheet(self, width)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write every picture, named by its cell, and `grid.csv`, which lists them; nothing is overwritten.

        Args:
            folder: it is made if it is not there.

        Raises:
            SaveError: the disk refused.
        """
        target = Path(folder).expanduser()
        files: list[Path] = []
        table = io.StringIO()
        columns = [name for name in self._columns() if name != "picture"]
        writer = csv.DictWriter(table, columns, extrasaction="ignore")
        writer.writeheader()
        for cell in self.cells:
            stem = target / _free_name(target, slug(f"{cell.name} {cell.prompt}"))
            saved = cell.images.save(stem) if cell.images else []
            files += saved
            for row, path in zip(self._rows_of(cell), [*saved, None], strict=False):
                writer.writerow({**row, "path": path and path.name})
        target.mkdir(parents=True, exist_ok=True)
        listed = target / f"{_free_name(target, 'grid')}.csv"
        write_whole(listed, table.getvalue().encode(), mode=0o666)
        return [*files, listed]

    # --- how it is shown

    def __reduce__(self) -> tuple[Any, ...]:
        return Grid, (self.plan, self.cells, self.notice)

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Grid: {len(self.cells)} cells{failed}>"

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        from .grid_display import plain

        printer.text(plain(self))

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - IPython's protocol
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        from .grid_display import grid_bundle

        return grid_bundle(self)

    def _ipython_display_(self) -> None:
        if self._shown is None or not self._shown():
            raise NotImplementedError  # IPython asks for the MIME bundle next


def best_cells(cells: tuple[GridCell, ...], by: str) -> list[GridCell]:
    """The cell that was cheapest (`cost`) or quickest to make, and those that read the same."""
    known = [
        (value, cell)
        for cell in cells
        if cell.images and (value := cell.price_micro if by == "cost" else cell.seconds) is not None
    ]
    known.sort(key=lambda pair: pair[0])
    read = dollars if by == "cost" else seconds_in_words
    return [cell for value, cell in known if read(value) == read(known[0][0])]  # type: ignore[arg-type]


def seconds_in_words(seconds: float | None) -> str:
    """Seconds of one picture: "0.8 s", "12 s"; "" if unknown."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _column(name: str) -> str:
    """The column of an axis: in braces if a column of ours has its name."""
    return f"{{{name}}}" if name in _OWN_COLUMNS and name != "prompt" else name


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are one: the same object, or equal texts or numbers."""
    plain = isinstance(one, str | int | float) and isinstance(other, str | int | float)
    return one is other or (plain and one == other)


def _free_name(folder: Path, wanted: str) -> str:
    """The name, with a number behind it if files of this name are there."""
    taken = {path.stem for path in folder.iterdir()} if folder.is_dir() else set[str]()
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken and f"{name}-1" not in taken)
