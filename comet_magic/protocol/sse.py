"""Server-sent events, read piece by piece at a cost that grows with the bytes and nothing else.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TooLargeError
from .body import BOM, FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREVIEW = re.compile(rb'"type"\s*:\s*"[\w.]*\.partial_image"|"partial_image_(?:index|b64)"\s*:')


@dataclass(frozen=True)
class StreamEvent:
    """One event: its name (or ""), its data, and how many bytes of the stream come before it."""

    name: str
    data: bytes | bytearray
    begins: int = 0

    @property
    def is_end(self) -> bool:
        """Whether it says that nothing follows."""
        return len(self.data) < 4096 and self.data.strip() == b"[DONE]"  # a picture is not copied for it

    @property
    def is_preview(self) -> bool:
        """Whether it shows an unfinished picture: by name, else by the first and last bytes of the data."""
        # these members stand beside the picture in every event seen; a search through base64 is not worth it
        ends = self.data[:512] + b" " + self.data[-512:]
        return self.name.endswith(".partial_image") or _PREVIEW.search(ends) is not None


class StreamReader:
    """Feeds on pieces, gives whole events; a line or an event may not pass `largest` bytes.

    Lines of plain JSON between the events, up to the next blank line, count as an event of their own.
    """

    def __init__(self, *, largest: int) -> None:
        self._largest = largest
        self._line = bytearray()
        self._name = ""
        self._data: list[bytearray] = []
        self._bare = False  # whether the lines of the open event are plain JSON
        self._held = 0
        self._fed = 0
        self._begins = 0  # of the next event
        self._first = True
        self._skip_newline = False

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """The events that this piece completes."""
        start, before = 0, self._fed
        self._fed += len(piece)
        if self._skip_newline and piece[:1] == b"\n":  # the second half of a CRLF that was cut
            start = 1
            self._begins += self._begins == before
        self._skip_newline = False if piece else self._skip_newline
        carriage = piece.find(b"\r", start)
        while True:
            newline = piece.find(b"\n", start)
            if 0 <= carriage < start:
                carriage = piece.find(b"\r", start)
            ends = [at for at in (newline, carriage) if at >= 0]
            if not ends:
                self._append(memoryview(piece)[start:])
                return
            end = min(ends)
            self._append(memoryview(piece)[start:end])
            start = end + 1
            if end == carriage:
                if start == len(piece):
                    self._skip_newline = True
                elif piece[start : start + 1] == b"\n":
                    start += 1
            blank = not self._line
            event = self._take_line()
            if blank:
                self._begins = before + start
            if event is not None:
                yield event

    def finish(self) -> Iterator[StreamEvent]:
        """The event that the end of the stream completes, if any."""
        for _ in range(2):  # an open line, then the blank one that never came
            event = self._take_line()
            if event is not None:
                yield event

    def _append(self, text: memoryview) -> None:
        self._line += text
        if len(self._line) + self._held > self._largest:
            raise TooLargeError(f"an event of the stream passes {self._largest >> 20} MiB")

    def _take_line(self) -> StreamEvent | None:
        line, self._line = self._line, bytearray()
        if self._first:
            self._first, line = False, line.removeprefix(BOM)
        if not line:
            return self._take_event()
        self._bare = line.startswith((b"{", b"[")) or (self._bare and not line.startswith(FIELDS))
        if self._bare:
            self._held += len(line)
            self._data.append(line)
            return None
        colon = line.find(b":")
        name = line if colon < 0 else line[:colon]
        del line[: len(name) + 1]  # what is left may be a whole picture, and is not copied
        if line[:1] == b" ":
            del line[:1]
        if name == b"data":
            self._data.append(line)
            self._held += len(line)
        elif name == b"event":
            self._name = line[:200].decode("utf-8", "replace")
        return None

    def _take_event(self) -> StreamEvent | None:
        data, name = self._data, self._name
        self._data, self._name, self._held, self._bare = [], "", 0, False
        if not data:
            return None
        return StreamEvent(name, b"\n".join(data) if len(data) > 1 else data[0], self._begins)
