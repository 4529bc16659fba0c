"""Tables as a MIME bundle of HTML and plain text."""

from __future__ import annotations

import math
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from .text import clean, html

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IN_ONE_LINE = 30  # characters that are never wrapped on a page: names and times
BAR = 20  # characters of the longest bar
TERMINAL = 100  # characters of a line of a table as text
_CELL_STYLE = 'style="text-align:left;vertical-align:top;padding:2px 10px 2px 0"'


class Thumbnail(NamedTuple):
    """A small picture for a table: a `data:` URL made here, the alternative text, and where the whole one is, or "".

    `edge` is the most pixels that it takes on a page.
    """

    source: str
    alt: str
    address: str = ""
    edge: int = 96


class ChartBar(NamedTuple):
    """A bar of a chart: its share of the longest one, from 0 to 1."""

    share: float

    def __str__(self) -> str:
        return "█" * math.ceil(self.share * BAR)


class ShownAsText:
    """A list that shows itself as a bundle, in a terminal too, where IPython would prefer its printer for lists."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        raise NotImplementedError

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        printer.text(str(self))

    def __str__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", notes: Iterable[str] = ()
) -> Any:
    """A table as a MIME bundle of HTML and plain text; every value is escaped here.

    Args:
        head: the names of the columns; empty names for a table without a head.
        rows: values, a `ChartBar`, or a `Thumbnail`, which the plain text leaves out.
        caption: a line above the table.
        notes: lines below it.
    """
    body = [list(row) for row in rows]
    markup = "".join(
        f"<tr>{''.join(f'<td {_CELL_STYLE}>{cell_html(value)}</td>' for value in row)}</tr>" for row in body
    )
    heads = "".join(f"<th {_CELL_STYLE}>{html(name)}</th>" for name in head)
    top = f"<caption style='text-align:left'>{html(caption)}</caption>" if caption else ""
    start = f"<thead><tr>{heads}</tr></thead>" if any(head) else ""
    below = "".join(f"<div>{html(note, limit=1000)}</div>" for note in notes)
    rows_of_text = _aligned([head, *body], TERMINAL) if any(head) else _aligned(body)
    plain = [line for line in (caption, *rows_of_text, *notes) if line]
    return {
        "text/html": f"<table>{top}{start}<tbody>{markup}</tbody></table>{below}",
        "text/plain": clean("\n".join(plain), limit=100_000),
    }


def cell_html(value: Any) -> str:
    """A value of a table as HTML; texts are escaped."""
    if isinstance(value, Thumbnail):
        alt = html(value.alt, limit=200)
        edge = f"max-width:{value.edge}px;max-height:{value.edge}px"
        image = f'<img src="{value.source}" alt="{alt}" style="{edge}">'
        return (
            f'<a href="{value.address}" target="_blank" rel="noopener">{image}</a>'
            if value.address
            else image
        )
    if isinstance(value, ChartBar):
        width = f"{max(0.0, min(1.0, value.share)):.1%}"
        line = f"height:0.8em;margin-top:0.2em;background:#4c78a8;width:{width}"
        return f'<div style="width:160px"><div style="{line}"></div></div>'
    text = html(value, limit=1000)
    return f'<span style="white-space:nowrap">{text}</span>' if len(str(value)) <= IN_ONE_LINE else text


def _aligned(rows: Sequence[Sequence[Any]], most: float = math.inf) -> list[str]:
    """The rows as lines of text whose columns are aligned; empty columns are left out.

    Args:
        rows: the values, line by line.
        most: characters of a line; the widest columns are wrapped for it.
    """
    columns = [
        ["" if isinstance(value, Thumbnail) else str(value) for value in column]
        for column in zip(*rows, strict=True)
    ]
    columns = [column for column in columns if any(column)]
    widths = [max(len(text) for text in column) for column in columns]
    words = [max(len(word) for text in column for word in text.split() or [""]) for column in columns]
    while sum(widths) + 2 * (len(widths) - 1) > most and widths != words:
        spare = [(width - word, width) for width, word in zip(widths, words, strict=True)]
        widest = max((width, place) for place, (more, width) in enumerate(spare) if more)[1]
        widths[widest] -= 1
    wrapped = [
        [
            textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
            for text, width in zip(row, widths, strict=True)
        ]
        for row in zip(*columns, strict=True)
    ]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for row in wrapped
        for line in zip_longest(*row, fillvalue="")
    ]
