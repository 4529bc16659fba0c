"""A dataset to look at: sheets with captions, one page of HTML, and what a notebook shows."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadImageError, InvalidRequestError, SaveError
from ..fonts import broken_into_lines, face_for
from ..images import decoded, fitting
from ..images.display import no_repr
from ..outputs import data_url
from ..text import clean, counted, html
from .rows import LAST, LazyImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from PIL.Image import Image

THUMBNAIL, THUMBNAIL_BYTES = 144, 6_000
STRIP = 8  # pictures that a notebook shows of a dataset
GAP, TYPE = 8, 13  # pixels
LINES = 3  # of a caption
_SMALL = f"max-width:{THUMBNAIL}px;max-height:{THUMBNAIL}px"
_SHADE = (
    "border-bottom:1px solid rgba(128,128,128,.35);padding:4px 10px 4px 0;text-align:left;vertical-align:top"
)


class Sampled(NamedTuple):
    """A picture for a sheet: its caption, and its value of the column that the sheet is by."""

    image: LazyImage
    caption: str
    value: str


def sampled(rows: Iterable[Mapping[str, Any]], most: int, *, by: str | None, drawn: bool) -> list[Sampled]:
    """The pictures for a sheet: the first, or drawn ones; by a column, about as many of each value.

    Raises:
        InvalidRequestError: there is no such column.
    """
    random = Random(0)  # noqa: S311 - the same sheet each time
    groups: dict[str, list[Sampled]] = {}
    met: dict[str, int] = {}
    for row in rows:
        if by is not None and by not in row:
            there = clean(", ".join(name for name in row if name not in ("image", "file_name")), limit=300)
            raise InvalidRequestError(
                f"there is no column {clean(by, limit=80)}; the columns are: {there}", param="by"
            )
        if row["image"] is None:
            continue
        value = "" if by is None else "missing" if row[by] is None else clean(row[by], limit=80)
        one = Sampled(row["image"], clean(row["prompt"], limit=300), value)
        met[value] = met.get(value, 0) + 1
        group = groups.setdefault(value, [])
        if len(group) < most:
            group.append(one)
        elif drawn:
            place = random.randrange(met[value])
            if place < most:
                group[place] = one
        elif by is None:
            break
    share = max(1, most // max(1, len(groups)))
    return [one for value in sorted(groups) for one in groups[value][:share]][:most]


def labelled_sheet(pictures: list[Sampled], *, columns: int, width: int, captions: bool) -> Image:
    """The pictures side by side on white, those of a value together below its name, each with its prompt if wanted.

    Raises:
        InvalidRequestError: there is no picture, or no room for them.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    edge = (width - GAP * (columns - 1)) // columns
    if not pictures or edge < 16:
        raise InvalidRequestError(
            f"a sheet of {counted(len(pictures), 'picture')} in {counted(columns, 'column')}, {width} pixels wide;"
            " it takes at least one picture and 16 pixels for each"
        )
    cell = edge + (LINES * (TYPE + 3) + 4 if captions else 0)
    places, height = _places(pictures, columns, edge, cell)
    sheet = Pillow.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for value, top in places.headings:
        _write(draw, value, (0, top), width, lines=1, size=TYPE + 3)
    for one, (left, top) in zip(pictures, places.cells, strict=True):
        try:
            small = decoded(one.image.picture(), edge)
        except (BadImageError, SaveError) as error:
            _write(draw, str(error), (left, top), edge, lines=LINES)
            continue
        at = (left + (edge - small.width) // 2, top + (edge - small.height) // 2)
        sheet.paste(small, at, small if small.mode == "RGBA" else None)
        if captions:
            _write(draw, one.caption, (left, top + edge + 2), edge, lines=LINES)
    sheet.__dict__["_repr_png_"] = no_repr  # a plain Pillow picture shows itself as PNG and as JPEG
    return sheet


class _Places(NamedTuple):
    headings: list[tuple[str, int]]
    cells: list[tuple[int, int]]


def _places(pictures: list[Sampled], columns: int, edge: int, cell: int) -> tuple[_Places, int]:
    places, top, column = _Places([], []), 0, 0
    for place, one in enumerate(pictures):
        if one.value and (place == 0 or one.value != pictures[place - 1].value):
            top += (cell + GAP) * bool(column)
            places.headings.append((one.value, top))
            top, column = top + TYPE + 12, 0
        places.cells.append((column * (edge + GAP), top))
        column = (column + 1) % columns
        top += 0 if column else cell + GAP
    return places, top + (cell if column else -GAP)


def _write(draw: Any, text: str, at: tuple[int, int], width: int, *, lines: int, size: int = TYPE) -> None:
    face = face_for(text)
    broken = broken_into_lines("".join(filter(face.has, " ".join(text.split()))), face, size, width)
    if len(broken) > lines:
        broken = [*broken[: lines - 1], f"{broken[lines - 1]}…"]
    for number, line in enumerate(broken):
        draw.text((at[0], at[1] + number * (size + 3)), line, fill="black", font=face.sized(size))


# --- HTML


def thumbnail(image: LazyImage | None, alt: str = "") -> str:
    """A small picture as an `img` element; words if it cannot be read, "" if there is none."""
    if image is None:
        return ""
    try:
        data, mime, _ = fitting(decoded(image.picture(), THUMBNAIL), THUMBNAIL_BYTES, edge=THUMBNAIL)
    except (BadImageError, SaveError) as error:
        return html(str(error))
    return f'<img src="{data_url(data, mime)}" alt="{html(alt, limit=200)}" loading="lazy" style="{_SMALL}">'


@dataclass(frozen=True)
class Page:
    """One page of HTML with all rows, their thumbnails, a search and a choice of statuses.

    Attributes:
        title: of the page.
        summary: lines above the rows.
        rows: as `report` gives them, at most `limit` of them.
        total: how many rows there are.
    """

    title: str
    summary: str
    rows: list[Mapping[str, Any]]
    total: int

    def lines(self) -> Iterator[str]:
        """The page, piece by piece."""
        yield _HEAD.format(title=html(self.title))
        yield f"<h1>{html(self.title)}</h1><pre>{html(self.summary, limit=4000)}</pre>"
        statuses = sorted({str(row["outcome"]) for row in self.rows})
        options = "".join(f"<option>{html(status)}</option>" for status in statuses)
        yield (
            '<p><input id="words" type="search" placeholder="search" aria-label="search"> '
            f'<select id="status" aria-label="status"><option value="">every status</option>{options}</select> '
            '<span id="count" role="status"></span></p>'
        )
        if self.total > len(self.rows):
            yield f"<p>The first {len(self.rows):,} of {self.total:,} rows.</p>"
        own = [name for name in (self.rows[0] if self.rows else {}) if name not in _NOT_SHOWN]
        heads = "".join(
            f"<th>{html(name)}</th>" for name in ("picture", "prompt", "status", *own, "model", "cost")
        )
        yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
        with ThreadPoolExecutor(4, "comet_magic-thumbnails") as threads:
            for row, picture in zip(self.rows, threads.map(thumbnail, _images(self.rows)), strict=True):
                yield _row(row, picture, own)
        yield f"</tbody></table>{_SCRIPT}</body></html>"


_NOT_SHOWN = frozenset({"image", "file_name", "prompt", *LAST})
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark }} body {{ font: 14px system-ui, sans-serif; margin: 16px }}
table {{ border-collapse: collapse }} td, th {{ text-align: left; vertical-align: top; padding: 6px 12px 6px 0;
 border-bottom: 1px solid rgba(128,128,128,.35) }} td {{ max-width: 32em; overflow-wrap: anywhere }}
pre {{ white-space: pre-wrap }} tr[hidden] {{ display: none }}
</style></head><body>
"""
_SCRIPT = """<script>
const rows = [...document.querySelectorAll("tbody tr")], words = document.getElementById("words");
const status = document.getElementById("status"), count = document.getElementById("count");
const texts = rows.map((row) => row.textContent.toLowerCase());
function show() {
  const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, at) => {
    row.hidden = !((!status.value || row.dataset.status === status.value)
      && wanted.every((word) => texts[at].includes(word)));
    shown += row.hidden ? 0 : 1;
  });
  count.textContent = `${shown} of ${rows.length} rows`;
}
words.addEventListener("input", show);
status.addEventListener("change", show);
show();
</script>"""


def _images(rows: Iterable[Mapping[str, Any]]) -> Iterator[LazyImage | None]:
    return (row["image"] for row in rows)


def _row(row: Mapping[str, Any], picture: str, own: list[str]) -> str:
    why = f": {row['error']}: {row['message'] or ''}" if row["error"] else ""
    cost = "" if row["cost"] is None else f"${row['cost']:.4f}"
    values = (row["prompt"], f"{row['outcome']}{why}", *(row[name] for name in own), row["model"] or "", cost)
    cells = "".join(f"<td>{html('' if value is None else value, limit=2000)}</td>" for value in values)
    return f'<tr data-status="{html(row["outcome"])}"><td>{picture}</td>{cells}</tr>\n'


def notebook_html(text: str, counts: Mapping[str, int], strip: str) -> str:
    """What a notebook shows of a dataset: rows by status, a strip of pictures, and the other lines of its text."""
    first, _, *rest = text.splitlines()
    some = ((name, many) for name, many in counts.items() if many)
    cells = "".join(f'<td style="{_SHADE}">{html(name)}<br><b>{many:,}</b></td>' for name, many in some)
    below = "".join(f"<div>{html(line)}</div>" for line in rest)
    return (
        f"<div><b>{html(first)}</b><table><tr>{cells}</tr></table>"
        f'<div style="display:flex;flex-wrap:wrap;gap:6px;margin:6px 0">{strip}</div>{below}</div>'
    )


def columns_for(pictures: int) -> int:
    """How many columns a sheet has if nobody says: about as many as rows."""
    return max(1, math.ceil(math.sqrt(pictures)))
