"""The gallery: thumbnails of this session's pictures or of the archive's, one of them selected.

A thumbnail is a picture under a button, so that it has an alternative text and is reached by the Tab key.
Pages bound the state that a notebook saves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ...text import clean, counted, html
from .markup import img

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...images import Images
    from .controls import Dress

PAGE = 20  # thumbnails at once
SESSION, ARCHIVE = "This session", "Archive"


@dataclass(frozen=True)
class Item:
    """One picture of the gallery.

    Attributes:
        number: tells it from every other one.
        thumbnail: a data address made here, or "" where the picture cannot be read.
        prompt: what it was made from.
        options: what the form needs to ask for the same again; None where that is not known.
        load: gives the picture itself; may read the disk, may raise a CometError.
    """

    number: int
    thumbnail: str = field(repr=False)
    prompt: str
    options: Mapping[str, Any] | None
    load: Callable[[], Images] = field(repr=False)


@dataclass
class Tile:
    """The widgets of one item."""

    box: Any
    picture: Any
    button: Any

    def close(self) -> None:
        """Take it out of the notebook's state."""
        for widget in (self.button, self.picture, self.box):
            widget.close()


class Gallery:
    """The thumbnails, their pages and which one is selected; the caller holds the lock.

    Args:
        dress: what all widgets share.
        picked: called with an item when its thumbnail is clicked.
        opened: called when the archive is asked for, to fill it.
    """

    def __init__(self, dress: Dress, picked: Callable[[Item], None], opened: Callable[[], None]) -> None:
        self._dress = dress
        self._picked = picked
        self._opened = opened
        self.items: dict[str, list[Item]] = {SESSION: [], ARCHIVE: []}
        self.selected: Item | None = None
        self.note = ""
        self._page = 0
        self._tiles: dict[int, Tile] = {}
        self.source = dress.make(
            widgets.ToggleButtons, "comet-source", options=[SESSION, ARCHIVE], description="Show pictures of"
        )
        self._head = dress.make(widgets.HTML, "comet-count")
        self._grid = dress.make(widgets.Box, "comet-tiles")
        self._newer = dress.make(widgets.Button, "comet-quiet", description="Newer")
        self._older = dress.make(widgets.Button, "comet-quiet", description="Older")
        self._pages = dress.make(widgets.HBox, "comet-pages")
        top = dress.make(widgets.HBox, "comet-gallery-head", children=(self.source, self._head, self._pages))
        self.widget = dress.make(widgets.VBox, "comet-gallery", children=(top, self._grid))
        self.source.observe(self._switch, "value")
        self._newer.on_click(lambda _: self._turn(-1))
        self._older.on_click(lambda _: self._turn(+1))
        self.draw()

    @property
    def shown(self) -> list[Item]:
        """The items of the source that is chosen, newest first."""
        return self.items[str(self.source.value)]

    def add(self, items: Sequence[Item], source: str = SESSION) -> None:
        """Put items before the others."""
        self.items[source][:0] = items
        if source == self.source.value:
            self._page = 0
            self.draw()

    def fill(self, items: Sequence[Item], note: str = "") -> None:
        """The archive's items, and a word about them."""
        self.items[ARCHIVE] = list(items)
        self.note = note
        self.draw()

    def remove(self, item: Item) -> None:
        """Take an item out of view; nothing else happens to its picture."""
        for items in self.items.values():
            if item in items:
                items.remove(item)
        self.select(None)

    def select(self, item: Item | None) -> None:
        """Mark this one."""
        self.selected = item
        self.draw()

    def tell(self, note: str) -> None:
        """A word beside the count, until something changes."""
        self._head.value = _status(note)

    def _switch(self, _: Any) -> None:
        with self._dress.lock:
            self._page = 0
            if self.source.value == ARCHIVE:
                self.note = "Reading the archive…"
                self._opened()
            self.draw()

    def _turn(self, by: int) -> None:
        with self._dress.lock:
            self._page = min(max(self._page + by, 0), self._last_page)
            self.draw()

    @property
    def _last_page(self) -> int:
        return max(0, (len(self.shown) - 1) // PAGE)

    def draw(self) -> None:
        """Show what is true now: only what changed is sent."""
        self._page = min(self._page, self._last_page)
        page = self.shown[self._page * PAGE : (self._page + 1) * PAGE]
        wanted = {item.number for item in page}
        gone = [self._tiles.pop(number) for number in set(self._tiles) - wanted]
        children = tuple(self._tile(item).box for item in page)
        if self._grid.children != children:
            self._grid.children = children
        for tile in gone:
            tile.close()
        first, last = self._page * PAGE + 1, self._page * PAGE + len(page)
        count = len(self.shown)
        pictures = counted(count, "picture") if count else ""
        range_ = f"{first} to {last} of {pictures}" if count > PAGE else pictures
        archive = self.source.value == ARCHIVE
        words = (
            (self.note if archive else "") or range_ or ("Nothing yet" if not archive else "Nothing there")
        )
        self._head.value = _status(words)
        self._newer.disabled, self._older.disabled = self._page == 0, self._page == self._last_page
        self._pages.children = (self._newer, self._older) if count > PAGE else ()

    def _tile(self, item: Item) -> Tile:
        tile = self._tiles.get(item.number)
        if tile is None:
            tile = self._tiles[item.number] = self._make(item)
        chosen = self.selected is not None and self.selected.number == item.number
        said = "Selected picture" if chosen else "Picture"
        tile.button.description = f"{said} {item.number}: {clean(item.prompt, limit=60)}"
        if chosen:
            tile.box.add_class("comet-selected")
        else:
            tile.box.remove_class("comet-selected")
        return tile

    def _make(self, item: Item) -> Tile:
        make = self._dress.make
        missing = '<span class="comet-missing">cannot be read</span>'
        value = img(item.thumbnail, item.prompt) if item.thumbnail else missing
        picture = make(widgets.HTML, value=value)
        button = make(widgets.Button, "comet-pick")
        button.on_click(lambda _: self._picked(item))
        return Tile(make(widgets.Box, "comet-tile", children=(picture, button)), picture, button)


def _status(words: str) -> str:
    return f'<span role="status">{html(words)}</span>'
