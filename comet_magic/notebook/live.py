"""One output of a cell that is progress, then previews, then the pictures.

Events come on the engine's thread and are only noted; everything is shown from the main thread, in `tick`,
because output that other threads print lands in whatever cell runs at that time.
"""

from __future__ import annotations

import base64
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from ..errors import CometError
from ..text import clean, html
from .news import News

if TYPE_CHECKING:
    from ..images import Images
    from .news import Place

PATIENCE = 0.25  # seconds before the first sign of life: what is refused at once leaves no output behind
REDRAW = 0.5  # seconds between two redraws
EDGE = 512  # longest edge of a preview, pixels


def say(message: str) -> None:
    """A line beside the output, for what is worth knowing and stops nothing."""
    print(clean(message, limit=1000), file=sys.stderr)


def can_update(shell: Any) -> bool:
    """Whether an output of this shell can be replaced: a kernel's can, unless `%%capture` records it."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return getattr(shell, "kernel", None) is not None and not isinstance(
        shell.display_pub, CapturingDisplayPublisher
    )


def publish(data: dict[str, Any], metadata: dict[str, Any] | None = None, *, handle: Any = None) -> Any:
    """Show a MIME bundle as a new output, or in the place of the handle's; returns the handle."""
    from IPython.display import DisplayHandle

    if handle is None:
        make: Any = DisplayHandle  # partly typed
        handle = make()
        handle.display(data, raw=True, metadata=metadata or {})
    else:
        handle.update(data, raw=True, metadata=metadata or {})
    return handle


class Live:
    """The output of one call.

    Args:
        inline: what the notebook keeps of the pictures: auto, full, preview or none.
        max_bytes: pictures up to this size are shown in their own bytes with `auto`.
        quiet: show nothing at all.
    """

    def __init__(self, shell: Any, *, inline: str, max_bytes: int, quiet: bool = False) -> None:
        self._shell = shell
        self._inline = inline
        self._max_bytes = max_bytes
        self._quiet = quiet
        self._updates = not quiet and can_update(shell)
        self._title = self._notice = ""
        self._handle: Any = None
        self._started = self._drawn = time.monotonic()
        self._last: tuple[Any, ...] = ()
        self.news = News()
        self._thumbnails: dict[Place, tuple[bytes, str]] = {}

    def begin(self, title: str, notice: str) -> None:
        """Say what is made; `notice` stands under everything this call shows."""
        self._title, self._notice = title, notice
        if not self._quiet and getattr(self._shell, "kernel", None) is None:
            print(clean(". ".join(filter(None, (title, notice))), limit=1000))

    def tick(self) -> None:
        """Redraw when something changed or a second passed; the waiting main thread calls it often."""
        now = time.monotonic()
        elapsed = now - self._started
        if not self._updates or elapsed < PATIENCE or (self._last and now - self._drawn < REDRAW):
            return
        line, pictures = self.news.line, self.news.pictures
        seen = (math.floor(elapsed), line, *((place, id(data)) for place, data in pictures.items()))
        if seen != self._last:
            self._last, self._drawn = seen, now
            self._draw(f"{line}, {spell(elapsed)}", pictures)

    def show(self, images: Images) -> None:
        """Put the pictures in the place of the progress, their caption below; as the cell's value they stay unshown."""
        if self._updates:
            data, metadata = self._bundle(images)
            self._handle = publish(data, metadata, handle=self._handle)
            if len(data) > 1:  # where a picture is shown, the text of its bundle is not
                print(data["text/plain"])
        if self._updates or self._quiet:
            count = self._shell.execution_count
            images._shown = lambda: bool(self._shell.execution_count == count)  # noqa: SLF001 - made for this

    def keep(self, images: Images) -> None:
        """Give a cell that fails its `_` and `Out[n]` all the same, and its pictures where none were shown yet."""
        if not self._updates and not self._quiet:
            publish(*self._bundle(images))
        self._shell.displayhook.update_user_ns(images)

    def _bundle(self, images: Images) -> tuple[dict[str, Any], dict[str, Any]]:
        from ..images import bundle

        return bundle(images, inline=self._inline, max_bytes=self._max_bytes)

    def stop(self, word: str) -> None:
        """Leave a last line where progress was shown; the error itself says the rest."""
        if self._handle is not None:
            self._draw(f"{word} after {spell(time.monotonic() - self._started)}", {})

    def _draw(self, line: str, pictures: dict[Place, bytes]) -> None:
        thumbnails = "".join(self._thumbnail(place, data) for place, data in pictures.items())
        notice = f'<div style="opacity:.75">{html(self._notice)}</div>' if self._notice else ""
        # No colours of our own: the text takes those of the page, light or dark.
        markup = (
            f'<div class="comet-live" role="status" style="padding:2px 0">{html(self._title)}'
            f'<span aria-hidden="true"> · {html(line)}</span>{notice}{thumbnails}</div>'
        )
        plain = clean(". ".join(filter(None, (f"{self._title} · {line}", self._notice))), limit=1000)
        self._handle = publish({"text/html": markup, "text/plain": plain}, handle=self._handle)

    def _thumbnail(self, place: Place, data: bytes) -> str:
        from ..images import preview

        made, markup = self._thumbnails.get(place, (b"", ""))
        if made is data:
            return markup
        try:
            small, mime = preview(data, EDGE)
        except CometError:  # no reason to stop: the picture itself is checked
            return ""
        source = f"data:{mime};base64,{base64.b64encode(small).decode()}"
        style = f"max-width:min(100%,{EDGE}px);margin:4px 4px 0 0"
        markup = f'<img src="{source}" alt="preview of picture {place[0] + 1}" style="{style}">'
        self._thumbnails[place] = data, markup
        return markup


def spell(seconds: float) -> str:
    """A duration as people say it: "8 s", "2 min 5 s"."""
    minutes, rest = divmod(math.floor(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
