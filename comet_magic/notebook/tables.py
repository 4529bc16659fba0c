"""Tables and lines for a notebook, each as HTML and as plain text; every value is escaped here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..text import clean, html

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CELL = 'style="text-align:left;vertical-align:top;padding:2px 10px 2px 0"'


class Thumbnail(NamedTuple):
    """A picture small enough for a row: a data address made by us, and what it shows."""

    source: str
    alt: str


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", notes: Iterable[str] = ()
) -> Any:
    """A MIME bundle of a table; a cell is a text, or a `Thumbnail` that plain text leaves out."""
    body = [list(row) for row in rows]
    markup = "".join(
        f"<tr>{''.join(f'<td {_CELL}>{_cell(value)}</td>' for value in row)}</tr>" for row in body
    )
    heads = "".join(f"<th {_CELL}>{html(name)}</th>" for name in head)
    top = f"<caption style='text-align:left'>{html(caption)}</caption>" if caption else ""
    start = f"<thead><tr>{heads}</tr></thead>" if any(head) else ""
    below = "".join(f"<div>{html(note, limit=1000)}</div>" for note in notes)
    plain = [line for line in (caption, *_columns([head, *body] if any(head) else body), *notes) if line]
    return {
        "text/html": f"<table>{top}{start}<tbody>{markup}</tbody></table>{below}",
        "text/plain": clean("\n".join(plain), limit=100_000),
    }


def _cell(value: Any) -> str:
    if isinstance(value, Thumbnail):
        alt = html(value.alt, limit=200)
        return f'<img src="{value.source}" alt="{alt}" style="max-width:96px;max-height:96px">'
    return html(value, limit=1000)


def _columns(rows: Sequence[Sequence[Any]]) -> list[str]:
    columns = [
        ["" if isinstance(value, Thumbnail) else str(value) for value in column]
        for column in zip(*rows, strict=True)
    ]
    columns = [column for column in columns if any(column)]
    widths = [max(len(text) for text in column) for column in columns]
    texts = list(zip(*columns, strict=True))
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]
