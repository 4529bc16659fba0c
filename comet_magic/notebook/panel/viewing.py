"""Looking at pictures: which one is selected, and what the toolbar does with it.

What reads a file or makes a picture smaller is left to the hand; the lock is held only to show the result.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from ...errors import CometError
from . import markup, shelf
from .gallery import Gallery, Item
from .stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...archive import Archive
    from ...images import Images
    from .controls import Dress
    from .hand import Hand
    from .run import PanelRun

DOWNLOADED = 30.0  # seconds after which a download is taken back
HISTORY = 60  # calls of the archive that are shown


class Viewing:
    """The stage and the gallery, and what happens between them.

    Args:
        dress: what all widgets share.
        hand: does what takes time.
        again: called with the options and the prompt of a picture, to fill the form.
        failed: called with an error that is to be shown.
        archive: gives the archive to look into.
    """

    def __init__(
        self,
        dress: Dress,
        hand: Hand,
        *,
        again: Callable[[Mapping[str, Any], str], None],
        failed: Callable[[CometError], None],
        archive: Callable[[], Archive],
    ) -> None:
        self._lock = dress.lock
        self._hand = hand
        self._again = again
        self._failed = failed
        self._archive = archive
        self._numbers = count(1)
        self._compared: Item | None = None
        self._take_back_at: float | None = None
        acts = {
            "See large": self._enlarge,
            "Compare": self._compare,
            "Use settings": self._use_again,
            "Download": self._download,
            "Remove": self._remove,
        }
        self.stage = Stage(dress, acts, self._save)
        self.gallery = Gallery(dress, self._pick, self._open_archive)

    # --- what comes

    def begin(self) -> None:
        """Make room for what is being made."""
        self._compared = None
        self.stage.put_away()
        self.stage.begin()

    def work(self, run: PanelRun) -> None:
        """Show how far a run is; called by the hand."""
        sources = self.stage.sources(run)
        with self._lock:
            self.stage.work(run, sources)

    def prepared(self, images: Images, options: Mapping[str, Any]) -> tuple[list[Item], str]:
        """The items of a call's pictures, and the first of them as the stage shows it; takes a while."""
        return shelf.made(images, options, self._numbers)

    def add(self, items: list[Item], source: str, *, select: bool) -> None:
        """Put the pictures of a call into the gallery, and the first of them onto the stage."""
        self.gallery.add(items)
        if select:
            self._choose(items[-1])
            self.stage.show(items[-1].load(), source)

    def look(self) -> bool:
        """Take back a download that was seen; returns whether one is still there."""
        with self._lock:
            if self._take_back_at is not None and time.monotonic() > self._take_back_at:
                self._take_back_at = None
                self.stage.take_back()
            return self._take_back_at is not None

    def close(self) -> None:
        """Take back what would be taken back later."""
        self._take_back_at = None
        self.stage.put_away()

    def _open_archive(self) -> None:
        self._hand.do(self._read_archive)

    def _read_archive(self) -> None:
        try:
            self._fill_gallery()
        except CometError as error:
            problem = error
        else:
            return
        with self._lock:
            self.gallery.fill([], "The archive cannot be read.")
        self._failed(problem)

    def _fill_gallery(self) -> None:
        archive = self._archive()
        entries = [entry for entry in archive.history(limit=HISTORY) if entry.pictures]
        items: list[Item] = []
        for entry in entries:
            items += shelf.archived(archive, entry, self._numbers)
            with self._lock:
                self.gallery.fill(items, "" if entry is entries[-1] else "Reading the archive…")
        if not entries:
            with self._lock:
                self.gallery.fill([], "Nothing was kept yet" if archive.folder else "There is no archive")

    # --- what is looked at

    def _pick(self, item: Item) -> None:
        with self._lock:
            other, self._compared = self._compared, None
            self._choose(item)
            if other is not None and other is not item:
                self._hand.do(partial(self._side_by_side, other, item))
        self._hand.do(partial(self._show, item))

    def _choose(self, item: Item | None) -> None:
        with self._lock:
            self._take_back_at = None
            self.stage.put_away()
            self.gallery.select(item)

    def _show(self, item: Item) -> None:
        images = self._loaded(item)
        if images is None:
            return
        source = markup.readable(images.data[0], markup.SHOWN)
        with self._lock:
            if self.gallery.selected is item:
                self.stage.show(images, source, again=item.options is not None)

    def _loaded(self, item: Item) -> Images | None:
        try:
            return item.load()
        except CometError as error:
            problem = error
        self._failed(problem)
        return None

    # --- what the toolbar does with the selected one

    def _with_selected(self, act: Callable[[Item, Images], None]) -> None:
        with self._lock:
            item = self.gallery.selected
        if item is not None:
            self._hand.do(lambda: self._act(item, act))

    def _act(self, item: Item, act: Callable[[Item, Images], None]) -> None:
        images = self._loaded(item)
        if images is None:
            return
        try:
            act(item, images)
        except CometError as error:
            problem = error
        else:
            return
        self._failed(problem)

    def _enlarge(self) -> None:
        def enlarge(item: Item, images: Images) -> None:
            source = markup.small(images.data[0], markup.LARGE)
            with self._lock:
                self.stage.enlarge((source, images.prompt, f"Picture {item.number}"))

        self._with_selected(enlarge)

    def _compare(self) -> None:
        with self._lock:
            self._compared = self.gallery.selected
            self.stage.tell("Now click the other picture in the gallery.")

    def _side_by_side(self, one: Item, other: Item) -> None:
        both = [(item, self._loaded(item)) for item in (one, other)]
        shown = [
            (markup.readable(images.data[0], markup.SHOWN), images.prompt, _titled(item, images))
            for item, images in both
            if images is not None
        ]
        with self._lock:
            self.stage.enlarge(*shown)

    def _use_again(self) -> None:
        with self._lock:
            item = self.gallery.selected
        if item is not None and item.options is not None:
            self._again(item.options, item.prompt)
            with self._lock:
                self.stage.tell(f"The form holds the settings of picture {item.number}.")

    def _download(self) -> None:
        def download(item: Item, images: Images) -> None:
            with self._lock:
                self.stage.download(images, item.number)
                self._take_back_at = time.monotonic() + DOWNLOADED

        self._with_selected(download)

    def _remove(self) -> None:
        with self._lock:
            item = self.gallery.selected
            if item is not None:
                self.gallery.remove(item)
                self._choose(None)
                self.stage.show(None)
                self.gallery.tell("Removed from view. Its file stays where it is.")

    def _save(self, path: str) -> None:
        def save(item: Item, images: Images) -> None:  # noqa: ARG001 - as every act
            saved = images.save(path.strip() or "./")
            with self._lock:
                self.stage.tell(f"Saved as {saved[0]}")

        self._with_selected(save)


def _titled(item: Item, images: Images) -> str:
    from ...images import caption

    return f"Picture {item.number} · {caption(images).lines[0]}"
