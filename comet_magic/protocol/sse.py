"""Read server-sent events piece by piece, in linear time.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import AmbiguousError, BadResponseError, CometError, ServerError, TooLargeError
from .reply import DocumentReader, Reply, envelope_error, reply_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BOM = b"\xef\xbb\xbf"
_ERROR = re.compile(rb'"error"\s*:\s*(?!null)\S')


@dataclass(frozen=True)
class StreamEvent:
    """One event: its name (or ""), its data, and the offset in the stream at which it begins."""

    name: str
    data: bytes | bytearray
    begins: int = 0

    @property
    def kind(self) -> str:
        """`partial`, `completed`, `error`, `end` or `other`: by name, else by the first bytes of the data."""
        if self.data.strip() == b"[DONE]":
            return "end"
        if self.name == "error":
            return "error"
        for name in (self.name.encode(), self._type()):  # the name may be a mere "message"
            if name.endswith(b".partial_image"):
                return "partial"
            if name.endswith(b".completed"):
                return "completed"
        return "error" if _ERROR.search(self.data[:2048]) else "other"

    def _type(self) -> bytes:
        # in every event seen, `type` comes before the picture; searching the base64 would take long
        head = self.data[:512] + b" " + self.data[-512:]
        for known in (b"image_generation.partial_image", b"image_generation.completed"):
            if b'"' + known + b'"' in head:
                return known
        return b""


class StreamReader:
    """Takes pieces, gives whole events; a line or an event may have at most `largest` bytes."""

    def __init__(self, *, largest: int) -> None:
        self._largest = largest
        self._line = bytearray()
        self._name = ""
        self._data: list[bytearray] = []
        self._held = 0
        self._fed = 0
        self._begins = 0  # of the next event
        self._first = True
        self._skip_newline = False

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """Take the next piece; gives the events that it completes."""
        start, before = 0, self._fed
        self._fed += len(piece)
        if self._skip_newline and piece[:1] == b"\n":  # the second half of a CRLF between two pieces
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
        for _ in range(2):  # an unfinished line, then the blank one that never came
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
            self._first, line = False, line.removeprefix(_BOM)
        if not line:
            return self._take_event()
        colon = line.find(b":")
        name = line if colon < 0 else line[:colon]
        del line[: len(name) + 1]  # the rest may be a whole picture: do not copy it
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
        self._data, self._name, self._held = [], "", 0
        if not data:
            return None
        return StreamEvent(name, b"\n".join(data) if len(data) > 1 else data[0], self._begins)


def read_preview(event: StreamEvent, *, largest_picture: int) -> bytes | None:
    """The picture of a partial event, or None if it has none that can be read."""
    reader = DocumentReader(largest_picture=largest_picture)
    try:
        reader.feed(event.data)
        document = reader.finish()
    except CometError:
        return None
    sink = reader.picture(document.get("b64_json")) if isinstance(document, dict) else None
    data = sink.finish() if sink else b""
    return data if sink and not sink.error and data else None


def read_final(event: StreamEvent, *, largest_picture: int) -> Reply:
    """The reply in a completed event.

    Raises:
        CometError: it is an error event, or the reply cannot be used.
    """
    reader = DocumentReader(largest_picture=largest_picture)
    reader.feed(event.data)
    document = reader.finish()
    if event.kind == "error":
        told = document if isinstance(document, dict) else {}
        error = envelope_error(told if told.get("error") else {"error": told or {"message": str(document)}})
        raise AmbiguousError(str(error), request_id=error.request_id) if type(error) is ServerError else error
    return reply_of(document, reader)


def read_stream(pieces: Iterable[bytes], *, largest: int, largest_picture: int) -> Reply:
    """The reply in a whole stream: in its completed event, or in a plain answer sent as an event.

    Raises:
        AmbiguousError: the stream ended before it was complete.
        CometError: the error of its error event.
    """
    reader = StreamReader(largest=largest)
    last: StreamEvent | None = None
    for event in _events(reader, pieces):
        kind = event.kind
        if kind in ("completed", "error"):
            return read_final(event, largest_picture=largest_picture)
        if kind == "other" and b'"data"' in event.data[:4096]:
            last = event
    if last is not None:
        try:
            return read_final(last, largest_picture=largest_picture)
        except BadResponseError:
            pass
    raise AmbiguousError("the stream ended before the picture was complete")


def _events(reader: StreamReader, pieces: Iterable[bytes]) -> Iterator[StreamEvent]:
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.finish()
