"""What a cell shows: one output that is progress first, then previews, then the pictures.

The job notes on its own thread how far it is. Everything is shown from the main thread, in `tick`: what another thread
prints would appear in whichever cell runs at that time.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.job import progress_words
from ..errors import CometError
from ..outputs import CellValue, can_update, data_url, display_bundle, duration, file_address, quietly
from ..text import clean, html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..client.job import Job
    from ..images import Images

FIRST_DRAW = 0.25  # seconds; a call that is refused sooner leaves no output behind
REDRAW = 0.5  # seconds between two redraws
LINK = 40  # characters of a link to a file
PREVIEW_EDGE = 512  # longest edge of a preview, pixels

# Where a picture belongs: the index of its request, and there 0 for the newest preview, 1, 2… for pictures.
Position = tuple[int, int]


def print_notices(messages: Iterable[str]) -> None:
    """Print lines that are worth knowing and stop nothing; to stdout, because notebooks show stderr in red."""
    for message in dict.fromkeys(messages):
        print(clean(message, limit=1000))


def caption_bundle(images: Images) -> dict[str, Any]:
    """The caption below pictures: the facts on one line with links to the files, and the notice on its own."""
    from ..images import caption

    words = caption(images)
    links = [
        _file_link(name, str(place + 1) if place else _short(Path(name).name))
        for place, name in enumerate(words.files)
    ]
    facts = " · ".join([html(words.facts), *([" ".join(links)] if links else [])])
    # The output may be scrolled; a word that breaks in the middle cannot be read or copied.
    markup = f'<div style="white-space:nowrap;overflow-x:auto">{facts}</div>'
    if words.notice:
        markup += (
            f'<div style="opacity:.75;overflow-wrap:normal;word-break:normal">{html(words.notice)}</div>'
        )
    return {"text/html": f'<div class="comet-caption">{markup}</div>', "text/plain": "\n".join(words.lines)}


def _short(name: str) -> str:
    """A file's name as a link shows it; its end, which tells it from others, is always there."""
    return name if len(name) <= LINK else f"{name[: LINK - 20]}…{name[-19:]}"


def _file_link(name: str, shown: str) -> str:
    """A link to a file below the notebook's folder; a name alone if it is elsewhere, where no front end looks."""
    address = file_address(name)
    if not address:
        return f'<span title="{html(name)}">{html(shown)}</span>'
    return f'<a href="{address}" target="_blank" rel="noopener" title="{html(name)}">{html(shown)}</a>'


def _pictures(job: Job) -> dict[Position, bytes]:
    """The pictures of each request so far, in the order they came; where there is none yet, its newest preview."""
    found: dict[Position, bytes] = {}
    for call in job.calls:
        arrived = tuple(call.arrived)
        found |= {(call.index, number): picture.data for number, picture in enumerate(arrived, 1)}
        if call.preview and not arrived:
            found[call.index, 0] = call.preview
    return found


class CellOutput:
    """The output of one call.

    Args:
        inline: what the notebook keeps of the pictures: auto, full, preview or none.
        max_bytes: with `auto`, pictures up to this size are shown in their own bytes.
        quiet: show nothing.
    """

    def __init__(self, shell: Any, *, inline: str, max_bytes: int, quiet: bool = False) -> None:
        self.shell = shell
        self._inline = inline
        self._max_bytes = max_bytes
        self._quiet = quiet
        self._updates = not quiet and can_update(shell)
        self._title = self._notice = ""
        self._handle: Any = None
        self._started = self._drawn_at = time.monotonic()
        self._drawn: tuple[Any, ...] = ()
        self._thumbnails: dict[Position, tuple[bytes, str]] = {}
        self._job: Job | None = None

    @quietly
    def begin(self, job: Job, title: str, notice: str) -> None:
        """Set the job to show, its title, and the sentence that everything it shows carries."""
        self._job, self._title, self._notice = job, title, notice
        if not self._quiet and getattr(self.shell, "kernel", None) is None:
            print_notices([". ".join(filter(None, (title, notice)))])

    @quietly
    def tick(self) -> None:
        """Redraw if something changed or a second passed; the waiting main thread calls this often."""
        now = time.monotonic()
        elapsed = now - self._started
        if self._job is None or not self._updates or elapsed < FIRST_DRAW:
            return
        if self._drawn and now - self._drawn_at < REDRAW:
            return
        # Copied without a lock: an interrupt could leave a lock held for ever.
        line, pictures = progress_words(self._job.calls), _pictures(self._job)
        seen = (math.floor(elapsed), line, *((position, id(data)) for position, data in pictures.items()))
        if seen != self._drawn:
            self._drawn, self._drawn_at = seen, now
            self._draw(f"{line}, {duration(elapsed)}", pictures)

    def show(self, images: Images) -> None:
        """Replace the progress by the pictures and their caption; the cell's value then shows nothing more."""
        if self._updates:
            self._updates = self._replace(images)
        if self._updates or self._quiet:
            images._shown = CellValue(self.shell, shown=self._updates).is_repeated  # noqa: SLF001 - made for this

    @quietly
    def _replace(self, images: Images) -> None:
        data, metadata = self._bundle(images)
        self._handle = display_bundle(data, metadata, handle=self._handle)
        if len(data) > 1:  # front-ends that show the picture do not show the text of its bundle
            display_bundle(caption_bundle(images))

    def show_of_failed_cell(self, images: Images) -> None:
        """Show pictures of a cell that is about to fail, and set `_` and `Out[n]` as if it had returned them."""
        if not self._updates and not self._quiet:
            display_bundle(*self._bundle(images))
        self.shell.displayhook.update_user_ns(images)

    @quietly
    def stop(self, word: str) -> None:
        """Replace progress that was shown by a last line; the error itself says the rest."""
        if self._handle is not None:
            self._draw(f"{word} after {duration(time.monotonic() - self._started)}", {})

    def _bundle(self, images: Images) -> tuple[dict[str, Any], dict[str, Any]]:
        from ..images import bundle

        return bundle(images, inline=self._inline, max_bytes=self._max_bytes)

    def _draw(self, line: str, pictures: dict[Position, bytes]) -> None:
        thumbnails = "".join(self._thumbnail(position, data) for position, data in pictures.items())
        notice = f'<div style="opacity:.75">{html(self._notice)}</div>' if self._notice else ""
        # No colours of our own: the text takes those of the page, light or dark.
        markup = (
            f'<div class="comet-live" role="status" style="padding:2px 0">{html(self._title)}'
            f'<span aria-hidden="true"> · {html(line)}</span>{notice}{thumbnails}</div>'
        )
        plain = clean(". ".join(filter(None, (f"{self._title} · {line}", self._notice))), limit=1000)
        self._handle = display_bundle({"text/html": markup, "text/plain": plain}, handle=self._handle)

    def _thumbnail(self, position: Position, data: bytes) -> str:
        from ..images import preview

        made_of, markup = self._thumbnails.get(position, (b"", ""))
        if made_of is data:
            return markup
        try:
            small, mime = preview(data, PREVIEW_EDGE)
        except CometError:  # a bad preview stops nothing: the picture itself is checked
            return ""
        style = f"max-width:min(100%,{PREVIEW_EDGE}px);margin:4px 4px 0 0"
        alt = f"preview of picture {position[0] + 1}"
        markup = f'<img src="{data_url(small, mime)}" alt="{alt}" style="{style}">'
        self._thumbnails[position] = data, markup
        return markup
