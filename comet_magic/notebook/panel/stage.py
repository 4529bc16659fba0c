"""The stage: what is being made, or the selected picture with its toolbar; large views and downloads.

Large pictures and downloads are sent when they are asked for and taken back when they were seen, so that a
saved notebook does not hold them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ...formats import SUFFIX
from ...outputs import data_url
from ...text import html
from . import markup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...images import Images
    from .controls import Dress
    from .run import PanelRun, Part

EMPTY = (
    '<div class="comet-empty"><div><strong>Your pictures appear here</strong>'
    "<div>Write a prompt, choose what you like, press Generate.</div></div></div>"
)
# A link that is clicked by the arrival of a picture of one pixel: a page may start a download, a kernel not.
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
MOST_DOWNLOAD = 40_000_000  # bytes; beyond it the file is better fetched from its place


class Stage:
    """The selected picture, or the run under way; the caller holds the lock.

    Args:
        dress: what all widgets share.
        acts: what each button of the toolbar does, by its label.
        save: called with the path that was typed.
    """

    def __init__(
        self, dress: Dress, acts: dict[str, Callable[[], None]], save: Callable[[str], None]
    ) -> None:
        self._dress = dress
        make = dress.make
        self.line = make(widgets.HTML, "comet-line")
        self._previews = make(widgets.HTML, "comet-previews")
        self._figure = make(widgets.HTML, "comet-figure")
        self._empty = make(widgets.HTML, "comet-nothing", value=EMPTY)
        self._tools = make(widgets.HBox, "comet-tools")
        self.buttons = {label: make(widgets.Button, "comet-tool", description=label) for label in acts}
        for label, act in acts.items():
            self.buttons[label].on_click(lambda _, act=act: act())
        self._path = make(
            widgets.Text,
            "comet-control",
            "comet-path",
            description="Save as",
            placeholder="boat.png, or a folder/",
        )
        self._save = make(widgets.Button, "comet-tool", description="Save")
        self._save.on_click(lambda _: save(str(self._path.value)))
        self._saving = make(widgets.HBox, "comet-saving", children=(self._path, self._save))
        self._download = make(widgets.HTML, "comet-download")
        self._tools.children = tuple(self.buttons.values())
        self.widget = make(widgets.VBox, "comet-stage", children=(self._empty,))
        self._large = make(widgets.HTML, "comet-large-figure")
        self._close = make(widgets.Button, "comet-quiet", description="Close")
        self._close.on_click(lambda _: self._put_away_by_hand())
        self.large = make(widgets.VBox, "comet-large", "comet-hidden", children=(self._close, self._large))
        self._working = False
        self._images: Images | None = None
        self._sources: dict[int, tuple[bytes, str]] = {}

    def begin(self) -> None:
        """Make room for what is being made."""
        self._working = True
        self._sources = {}
        self.line.value = self._previews.value = ""
        self._place()

    def end(self) -> None:
        """Nothing is being made any more."""
        self._working = False
        self._sources = {}
        self._previews.value = self.line.value = ""
        self._place()

    def sources(self, run: PanelRun) -> dict[int, str]:
        """The newest picture of each part as a small data address, made before the lock is taken."""
        parts = run.parts()
        if len(parts) == 1 and parts[0].final:  # the end is at hand, and shows it anyway
            parts = []
        edge = markup.SHOWN if len(parts) == 1 else markup.THUMBNAIL
        for part in parts:
            if part.picture is not None and self._sources.get(part.number, (None,))[0] is not part.picture:
                self._sources[part.number] = part.picture, markup.readable(part.picture, edge)
        return {number: source for number, (_, source) in self._sources.items()}

    def work(self, run: PanelRun, sources: Mapping[int, str]) -> None:
        """Show how far it is."""
        if not self._working:
            return
        clock = f'<span aria-hidden="true" class="comet-clock">{html(run.elapsed)}</span>'
        self.line.value = f'<div class="comet-bar"></div><div>{markup.status(run.line())}{clock}</div>'
        parts = run.parts()
        self._previews.value = "".join(
            _part(part, sources.get(part.number, ""), alone=len(parts) == 1) for part in parts
        )

    def show(self, images: Images | None, source: str = "", *, again: bool = True) -> None:
        """Show a picture and its toolbar, or that there is none.

        Args:
            images: the one picture.
            source: its data address for the stage.
            again: whether its settings are known.
        """
        self._images = images
        self._download.value = ""
        if images is not None:
            picture = images.pictures[0]
            shown = markup.img(source, images.prompt, width=picture.width, height=picture.height)
            self._figure.value = f"<figure>{shown}{markup.caption(images)}</figure>"
            self.buttons["Use settings"].disabled = not again
        self._place()

    def enlarge(self, *pictures: tuple[str, str, str]) -> None:
        """Show pictures large, side by side: data address, alternative text and caption of each."""
        figures = "".join(
            f"<figure>{markup.img(source, alt)}<figcaption>{html(words, limit=300)}</figcaption></figure>"
            for source, alt, words in pictures
        )
        self._large.value = f'<div class="comet-side-by-side">{figures}</div>'
        self.large.remove_class("comet-hidden")

    def put_away(self) -> None:
        """Take the large view and the download back."""
        self._large.value = self._download.value = ""
        self.large.add_class("comet-hidden")

    def _put_away_by_hand(self) -> None:
        with self._dress.lock:
            self.put_away()

    def take_back(self) -> None:
        """Take the download back."""
        self._download.value = ""

    def download(self, images: Images, number: int) -> None:
        """Give the browser the very file."""
        picture = images.pictures[0]
        name = Path(picture.path).name if picture.path else f"picture-{number}{SUFFIX[picture.mime]}"
        if len(picture.data) > MOST_DOWNLOAD:
            said = f"The picture has {len(picture.data) / 1e6:.0f} MB; fetch its file: {picture.path or 'Save as'}"
            self._download.value = markup.status(said)
            return
        source = data_url(picture.data, picture.mime)
        link = f'<a download="{markup.attribute(name)}" href="{source}">{html(name)}</a>'
        start = (
            f'<img alt="" width="1" height="1" src="{_PIXEL}" onload="this.previousElementSibling.click()">'
        )
        size = f"{len(picture.data) / 1000:,.0f} kB"
        self._download.value = f'<div role="status">Download: {link}{start} ({size})</div>'

    def tell(self, text: str) -> None:
        """A word below the toolbar."""
        self._download.value = markup.status(text)

    def _place(self) -> None:
        children: tuple[Any, ...] = (self._empty,)
        if self._working:
            children = (self.line, self._previews)
        elif self._images is not None:
            children = (self._figure, self._tools, self._saving, self._download)
        if self.widget.children != children:
            self.widget.children = children


def _part(part: Part, source: str, *, alone: bool) -> str:
    name = "picture" if alone else f"picture {part.number}"
    words = "" if alone else f"<span>{part.number}: {html(part.words)}</span>"
    picture = markup.img(source, name if part.final else f"preview of {name}") if source else ""
    return f'<div class="comet-part{" comet-alone" if alone else ""}">{picture}{words}</div>'
