"""A grid as a table of a notebook and as text; while it grows, few updates of one output.

Texts of users and servers are escaped, pictures are small JPEGs, and there are no colours of our own: the table takes
those of the page, light or dark.
"""

from __future__ import annotations

import math
import time
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadImageError
from ..images import contact_sheet, fitting
from ..money import dollars
from ..outputs import CellValue, can_update, data_url, display_bundle, duration, file_address, quietly, tell
from ..tables import table
from ..text import clean, counted, html
from .grid import Grid, best_cells, seconds_in_words
from .plan import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .grid import GridCell
    from .grid_run import GridRun
    from .plan import GridPlan

FIRST_DRAW, REDRAW = 0.25, 1.5  # seconds until the first drawing, and between two drawings of the table
MOST_THUMBNAILS = 300_000  # bytes of all thumbnails together
MOST_THUMBNAIL = 24_000  # bytes of one
EDGES = ((16, 256), (36, 192), (100, 128))  # longest edge of a thumbnail by the number of cells, pixels
SMALLEST = 96
ON_PAGE = 200  # pixels that a thumbnail takes on a page at most
ROW = 450  # pixels of the pictures of a row, so that a table fits a narrow page
NARROWEST = 96

_LINE = "border:1px solid rgba(128,128,128,.35)"
_CELL = f"{_LINE};padding:6px;text-align:left;vertical-align:top;background:none"
_SIDE = f"{_CELL};max-width:170px;overflow-wrap:break-word"
_BADGE = "border:1px solid currentColor;border-radius:8px;padding:0 6px;margin-right:4px;font-size:.85em"
_SOFT = "opacity:.75;font-size:.9em"


class Layout(NamedTuple):
    """The two axes that make rows and columns, by their number, and those that make blocks."""

    rows: int
    columns: int
    blocks: tuple[int, ...]


def layout_of(plan: GridPlan) -> Layout | None:
    """Rows and columns are the two axes with the most values, the first of equals, and the longer one makes the rows.

    None for a sample, and where one thing varies: then the cells flow, each with its name.
    """
    varying = [number for number, axis in enumerate(plan.axes) if len(axis.values) > 1]
    if plan.sample or len(varying) < 2:
        return None
    rows, columns, *_ = sorted(varying, key=lambda number: -len(plan.axes[number].values))
    return Layout(rows, columns, tuple(number for number in varying if number not in (rows, columns)))


def blocks_of(plan: GridPlan, layout: Layout) -> Iterator[tuple[str, list[list[tuple[int, ...]]]]]:
    """Each block: its title, and the place of each of its cells by row and column."""
    counts = [len(axis.values) for axis in plan.axes]
    for block in product(*(range(counts[number]) for number in layout.blocks)):
        place = [0] * len(counts)
        for number, at in zip(layout.blocks, block, strict=True):
            place[number] = at
        axes = [plan.axes[number] for number in layout.blocks]
        title = named({axis.name: axis.labels[at] for axis, at in zip(axes, block, strict=True)}, axes)
        lines = []
        for row in range(counts[layout.rows]):
            place[layout.rows] = row
            ends = [[*place] for _ in range(counts[layout.columns])]
            for column, one in enumerate(ends):
                one[layout.columns] = column
            lines.append([tuple(one) for one in ends])
        yield title, lines


# --- in a notebook


def grid_bundle(grid: Grid) -> dict[str, Any]:
    """The grid as a MIME bundle of HTML and plain text."""
    return {"text/html": _html_of(grid, Thumbnails(grid.plan)), "text/plain": plain(grid)}


def _html_of(grid: Grid, thumbnails: Thumbnails) -> str:
    cheapest, quickest = best_cells(grid.cells, "cost"), best_cells(grid.cells, "seconds")
    drawn = {
        id(cell): _cell_html(cell, thumbnails, cheapest=cell in cheapest, fastest=cell in quickest)
        for cell in grid.cells
    }
    layout = layout_of(grid.plan)
    body = _tables(grid, layout, drawn) if layout else _flow(grid, drawn)
    # In a table each reason is in its place.
    notes = [] if layout else [f"left out: {reason}" for reason in grid.plan.left_out]
    below = "".join(f'<div style="{_SOFT}">{html(note, limit=300)}</div>' for note in [*notes, *_facts(grid)])
    return f'<div class="comet-grid" style="overflow-x:auto">{_title(grid.plan)}{body}{below}</div>'


def _title(plan: GridPlan) -> str:
    prompts = plan.prompt if isinstance(plan.prompt, list | tuple) else [plan.prompt]
    prompt = f"{len(prompts)} prompts" if len(prompts) > 1 else " ".join(str(prompts[0]).split())
    fixed = [axis for axis in plan.axes if len(axis.values) == 1]
    words = named({axis.name: axis.labels[0] for axis in fixed}, fixed)
    beside = f' <span style="{_SOFT}">{html(words, limit=300)}</span>' if words else ""
    return f'<div style="margin:2px 0 6px"><b>{html(prompt, limit=300)}</b>{beside}</div>'


def _facts(grid: Grid) -> list[str]:
    """What is known of the whole grid, in words."""
    pictures = len(grid.images)
    reused = sum(picture.reused for picture in grid.images.pictures)
    parts = [counted(pictures, "picture"), *([f"{reused} reused (free)"] if reused else [])]
    if not any(cell.state for cell in grid.cells):
        cost = None if grid.cost is None else round(grid.cost * 1_000_000)
        parts.append(f"paid {dollars(cost)}" if cost is not None else "cost unknown")
    if grid.errors:
        parts.append(f"{len(grid.errors)} failed")
    sample = f"sample: {grid.plan.sample}" if grid.plan.sample else ""
    return [" · ".join(parts), *filter(None, (sample, grid.notice))]


def _tables(grid: Grid, layout: Layout, drawn: Mapping[int, str]) -> str:
    """One table for each block."""
    rows, columns = grid.plan.axes[layout.rows], grid.plan.axes[layout.columns]
    corner = f'<td style="{_SIDE};{_SOFT}">{html(rows.name)} \\ {html(columns.name)}</td>'
    heads = "".join(
        f'<th scope="col" style="{_CELL}">{html(label, limit=80)}</th>' for label in columns.labels
    )
    found = []
    for title, places in blocks_of(grid.plan, layout):
        lines = "".join(
            f'<tr style="background:none"><th scope="row" style="{_SIDE}">{html(label, limit=80)}</th>'
            + "".join(f'<td style="{_CELL}">{_at(grid, place, drawn)}</td>' for place in line)
            + "</tr>"
            for label, line in zip(rows.labels, places, strict=True)
        )
        found.append(
            (f'<div style="margin:8px 0 2px"><b>{html(title)}</b></div>' if title else "")
            + '<table style="border-collapse:collapse;margin:0"><thead>'
            + f'<tr style="background:none">{corner}{heads}</tr></thead><tbody>{lines}</tbody></table>'
        )
    return "".join(found)


def _at(grid: Grid, place: tuple[int, ...], drawn: Mapping[int, str]) -> str:
    """What stands at a place of the table: a cell, the name of the one that it comes to, or why it is left out."""
    cell = grid.cell_at(place)
    if cell is None:
        return f'<div style="{_SOFT}">{html(grid.plan.omitted.get(place, ""), limit=200)}</div>'
    if place != cell.planned.places[0]:
        return f'<div style="{_SOFT}">the same as {html(cell.name, limit=120)}</div>'
    return drawn[id(cell)]


def _flow(grid: Grid, drawn: Mapping[int, str]) -> str:
    """The cells side by side, as many in a line as fit."""
    figures = "".join(
        f'<div style="{_CELL};width:{ON_PAGE}px"><b>{html(cell.name, limit=120)}</b>{drawn[id(cell)]}</div>'
        for cell in grid.cells
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:6px;align-items:flex-start">{figures}</div>'


def _cell_html(cell: GridCell, thumbnails: Thumbnails, *, cheapest: bool, fastest: bool) -> str:
    if cell.state:
        return f'<div style="{_SOFT};min-width:96px">{html(cell.state)}…</div>'
    parts = [thumbnails.markup(cell)] if cell.images else []
    if cell.error is not None:
        kind = html(type(cell.error).__name__)
        parts.append(f'<div title="{kind}"><b>failed</b>: {html(_reason(cell), limit=200)}</div>')
    if cell.images:
        parts.append(f"<div>{html(price_and_time(cell))}</div>")
        badges = [word for word, due in (("cheapest", cheapest), ("fastest", fastest)) if due]
        parts += [f'<span style="{_BADGE}">{word}</span>' for word in badges]
    parts += [f'<div style="{_SOFT}">{html(note, limit=120)}</div>' for note in cell.notes]
    return "".join(parts)


def _reason(cell: GridCell) -> str:
    return " ".join(clean(cell.error, limit=200).split())


def price_and_time(cell: GridCell) -> str:
    """Price and seconds of a cell in words: "$0.0047 · 3.2 s"."""
    price = "price unknown" if cell.price_micro is None else dollars(cell.price_micro)
    return " · ".join(filter(None, (price, seconds_in_words(cell.seconds), "reused" if cell.reused else "")))


class Thumbnails:
    """Small pictures of cells, all in one format; each is made once.

    Args:
        plan: how many cells and columns it has decides how large each may be.
    """

    def __init__(self, plan: GridPlan) -> None:
        cells, layout = len(plan.cells), layout_of(plan)
        columns = len(plan.axes[layout.columns].values) if layout else 1
        self._on_page = min(ON_PAGE, max(NARROWEST, ROW // columns))
        self._most = min(MOST_THUMBNAIL, MOST_THUMBNAILS // max(1, cells))
        self._edge = next((edge for count, edge in EDGES if cells <= count), SMALLEST)
        self._made: dict[int, str] = {}

    def markup(self, cell: GridCell) -> str:
        """The picture of a cell, several as a sheet, with its alternative text and a link to its file."""
        if id(cell) not in self._made:
            self._made[id(cell)] = self._drawn(cell)
        return self._made[id(cell)]

    def _drawn(self, cell: GridCell) -> str:
        images = cell.images or ()
        try:
            small = contact_sheet(images, columns=math.ceil(math.sqrt(len(images))), width=self._edge)
            data, mime, small = fitting(small, self._most, edge=self._edge)
        except BadImageError as error:
            return f"<div>{html(error, limit=200)}</div>"
        style = f"width:{self._on_page}px;max-width:none;height:auto;display:block;margin:0 0 4px"
        markup = f'<img src="{data_url(data, mime)}" alt="{html_attribute(cell.alt)}" style="{style}">'
        name = cell.images.pictures[0].name if cell.images else ""
        address = file_address(name) if name else ""
        return f'<a href="{address}" target="_blank" rel="noopener">{markup}</a>' if address else markup


def html_attribute(text: str) -> str:
    """A text as the value of an attribute."""
    return html(text, limit=400).replace("<span>", "").replace("</span>", "")


# --- as text


def plain(grid: Grid) -> str:
    """The grid as lines of text."""
    cheapest, quickest = best_cells(grid.cells, "cost"), best_cells(grid.cells, "seconds")
    rows = []
    for cell in grid.cells:
        marks = [word for word, those in (("cheapest", cheapest), ("fastest", quickest)) if cell in those]
        price = "unknown" if cell.price_micro is None else dollars(cell.price_micro)
        said = f"failed: {_reason(cell)}" if cell.error is not None else cell.state
        facts = (price, seconds_in_words(cell.seconds)) if cell.images else ("", "")
        rows.append([cell.name, *facts, ", ".join(marks), "; ".join(filter(None, (said, *cell.notes)))])
    notes = [*(f"left out: {reason}" for reason in grid.plan.left_out), *_facts(grid)]
    text: str = table(["cell", "price", "seconds", "", "notes"], rows, notes=notes)["text/plain"]
    return text


# --- while it grows


class GridOutput:
    """The output of a grid: a line that says how far it is, and the table, which is drawn again as cells end.

    Args:
        shell: the notebook's; None shows nothing.
        quiet: show nothing.
    """

    def __init__(self, shell: Any, *, quiet: bool = False) -> None:
        self._shell = shell
        self._quiet = quiet
        self.updates = shell is not None and not quiet and can_update(shell)
        self._line: Any = None
        self._table: Any = None
        self._said = ""
        self._begun = time.monotonic()
        self._drawn, self._drawn_at = -1, 0.0
        self._thumbnails: Thumbnails | None = None

    def begin(self, plan: GridPlan) -> None:
        """Say what is about to be made, where nothing can be drawn again."""
        self._thumbnails, self._begun = Thumbnails(plan), time.monotonic()
        kernel = getattr(self._shell, "kernel", None)
        if self._shell is not None and not self._quiet and kernel is None and plan.requests:
            tell(clean(_sizes(plan)))

    @quietly
    def tick(self, run: GridRun) -> None:
        """Draw what changed; the waiting main thread calls this often."""
        now = time.monotonic()
        elapsed = now - self._begun
        if not self.updates or elapsed < FIRST_DRAW:
            return
        grid = run.grid() if run.ended != self._drawn and now - self._drawn_at >= REDRAW else None
        self._say(f"{_sizes(run.plan)} · {run.ended} of {len(run.plan.cells)} done, {duration(elapsed)}")
        if grid is not None:
            self._drawn, self._drawn_at = run.ended, now
            self._draw(grid)

    def show(self, grid: Grid) -> None:
        """Show the grid as it is in the end; as the value of its cell it is then not shown again."""
        shown = self.updates and self._finish(grid)
        if shown or self._quiet:
            grid._shown = CellValue(self._shell, shown=shown).is_repeated if self._shell is not None else None  # noqa: SLF001 - made for this

    @quietly
    def _finish(self, grid: Grid) -> None:
        self._draw(grid)
        if self._line is not None:
            done = sum(cell.error is None for cell in grid.cells)
            self._say(
                f"{done} of {len(grid.cells)} done in {seconds_in_words(time.monotonic() - self._begun)}"
            )

    def _say(self, line: str) -> None:
        if line == self._said:
            return
        self._said = line
        data = {"text/html": f'<div role="status">{html(line)}</div>', "text/plain": clean(line)}
        self._line = display_bundle(data, handle=self._line)

    def _draw(self, grid: Grid) -> None:
        thumbnails = self._thumbnails or Thumbnails(grid.plan)
        data = {"text/html": _html_of(grid, thumbnails), "text/plain": plain(grid)}
        self._table = display_bundle(data, handle=self._table)


def _sizes(plan: GridPlan) -> str:
    return f"{counted(len(plan.cells), 'cell')}, {plan.price}"
