"""Read an answer's JSON piece by piece; pictures are decoded from base64 as they pass.

The long `b64_json` strings never become text: each is replaced by a mark in a small skeleton, and the skeleton is
parsed at the end, so a picture is held once, as bytes. A general parser takes three times as long and three times the
memory. https://apidoc.cometapi.com/images-generations
"""

from __future__ import annotations

import binascii
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pybase64

from ..errors import BadImageError, BadResponseError, CometError, TooLargeError
from ..text import clean
from .decisions import BASE_URL_HINT
from .refusal import prose, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PICTURE = re.compile(rb'"b64_json"\s*:\s*"')
_MARK = "picture:"
_KEEP = 64  # a match of _PICTURE with some white space fits into this tail
# Some encoders spell `+`, `/` and `=` by their numbers.
# https://learn.microsoft.com/dotnet/standard/serialization/system-text-json/character-encoding
_NUMBERED = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")
_OPEN_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_LONGEST_OPEN = 5
_WHITE = b" \t\r\n"
_HEAD = 128  # bytes that hold a `data:` prefix
_STEP = 4096
LARGEST_SKELETON = 16 * 1024 * 1024
MOST_ENTRIES = 1000  # many more than can be requested; each takes more memory here than in the answer


@dataclass(frozen=True)
class ReplyItem:
    """One entry of an answer's `data`: bytes, an address, or the error of its damaged base64.

    If both bytes and an address came, the bytes are used and nothing is downloaded.
    """

    data: bytes | None = None
    url: str | None = None
    revised_prompt: str | None = None
    error: CometError | None = None


@dataclass(frozen=True)
class Reply:
    """A whole answer. `created` is in Unix seconds, `usage` as sent; None if absent."""

    items: tuple[ReplyItem, ...]
    created: int | None = None
    usage: Mapping[str, Any] | None = None


class Base64Sink:
    """Decodes base64 in pieces; tolerates line breaks and a `data:` prefix, nothing else."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._decoded = io.BytesIO()  # gives its bytes without a copy
        self._rest = b""  # of an unfinished group of four characters
        self._head: bytes | None = b""  # until the `data:` prefix, if any, has passed
        self._ended = False
        self.error: CometError | None = None

    def write(self, piece: bytes | memoryview) -> None:
        """Take the next piece."""
        if self._head is not None:
            lacking = _HEAD - len(self._head)
            self._head += piece[:lacking]
            if len(self._head) < _HEAD:
                return
            while _open_escape(self._head) and lacking < len(piece):  # never cut an escape
                self._head += piece[lacking : lacking + 1]
                lacking += 1
            head, self._head = self._head, None
            self._take(_without_prefix(head))
            piece = piece[lacking:]
        self._take(piece)

    def _take(self, piece: bytes | memoryview) -> None:
        if self.error is not None:
            return
        try:
            self._decode(self._rest, piece)
        except ValueError:  # most pictures need no cleaning
            try:
                self._decode(b"", _signs(self._rest + piece))
            except ValueError:
                self.error = BadImageError("a picture's base64 is damaged")
        if self._decoded.tell() > self._largest:
            self.error = TooLargeError(f"a picture is larger than max_image_bytes, {self._largest}")

    def _decode(self, rest: bytes, piece: bytes | memoryview) -> None:
        """Decode the whole groups of four; raises ValueError, and changes nothing, if they contain other characters."""
        view = memoryview(piece)
        start = min(-len(rest) % 4, len(view))
        first = rest + view[:start]
        if len(first) % 4:
            self._rest = first
            return
        end = len(view) - (len(view) - start) % 4
        groups = [group for group in (first, view[start:end]) if group]
        decoded = [pybase64.b64decode(group, validate=True) for group in groups]
        ended = [self._ended, *(bytes(group[-1:]) == b"=" for group in groups)]
        if any(ended[:-1]):
            raise binascii.Error("data after the padding")
        self._ended, self._rest = ended[-1], bytes(view[end:])
        self._decoded.writelines(decoded)

    def finish(self) -> bytes:
        """The picture's bytes; check `error` first."""
        if self._head is not None:
            head, self._head = self._head, None
            self._take(_without_prefix(head))
        if self.error is None and _signs(self._rest):
            self.error = BadImageError("a picture's base64 is cut")
        return self._decoded.getvalue()


def _signs(piece: bytes) -> bytes:
    """Base64 without JSON escapes and white space."""
    piece = _NUMBERED.sub(lambda found: bytes((int(found[1], 16),)), piece).replace(b"\\/", b"/")
    return piece.replace(b"\\n", b"").replace(b"\\r", b"").translate(None, _WHITE)


def _open_escape(text: bytes | bytearray, start: int = 0) -> re.Match[bytes] | None:
    return _OPEN_ESCAPE.search(text, max(start, len(text) - _LONGEST_OPEN))


def _without_prefix(head: bytes) -> bytes:
    head = head.lstrip(_WHITE)
    return head.partition(b",")[2] if head[:5] == b"data:" else head


class DocumentReader:
    """Reads one JSON document in pieces; `finish` gives the document, `picture` its pictures."""

    def __init__(self, *, largest_picture: int) -> None:
        self._largest = largest_picture
        self._skeleton = bytearray()
        self._scanned = 0  # no match can begin before this place
        self._sink: Base64Sink | None = None
        self._escape: bytes | bytearray = b""
        self._pictures: dict[str, Base64Sink] = {}  # by their marks

    def feed(self, piece: bytes | bytearray) -> None:
        """Take the next piece."""
        if self._escape:
            piece, self._escape = self._escape + piece, b""
        at = 0
        while at < len(piece):
            at = self._text(piece, at) if self._sink is None else self._base64(self._sink, piece, at)

    def _text(self, piece: bytes | bytearray, at: int) -> int:
        before = len(self._skeleton)
        self._skeleton += piece[at : at + _STEP]  # not more: the rest may be a picture
        if len(self._skeleton) > LARGEST_SKELETON:
            raise TooLargeError(f"the answer has more than {LARGEST_SKELETON >> 20} MiB beside its pictures")
        found = _PICTURE.search(self._skeleton, self._scanned)
        if found is None:
            self._scanned = max(self._scanned, len(self._skeleton) - _KEEP)
            return at + _STEP
        end = found.end()
        del self._skeleton[end:]
        mark = f"{_MARK}{len(self._pictures)}"
        self._skeleton += mark.encode()
        self._scanned = len(self._skeleton)
        self._sink = self._pictures[mark] = Base64Sink(self._largest)
        return at + end - before

    def _base64(self, sink: Base64Sink, piece: bytes | bytearray, at: int) -> int:
        end = piece.find(b'"', at)
        if end >= 0:
            self._sink = None
        else:
            cut = _open_escape(piece, at)
            end = cut.start() if cut else len(piece)
            self._escape = piece[end:]
        sink.write(memoryview(piece)[at:end])
        return end if self._sink is None else len(piece)

    def finish(self) -> Any:
        """The document; each picture is a mark in it, to be passed to `picture`.

        Raises:
            BadResponseError: it is not JSON, whatever the reason.
        """
        try:
            return json.loads(bytes(self._skeleton), parse_constant=lambda _: None)
        except (ValueError, RecursionError, MemoryError):
            pass
        raise unreadable(bytes(self._skeleton[:4096]))

    def picture(self, value: object) -> Base64Sink | None:
        """The picture behind a string of the document, or None if it is empty or absent."""
        if not isinstance(value, str) or not value:
            return None
        if value in self._pictures:
            return self._pictures[value]
        sink = Base64Sink(self._largest)  # the name or the string had escapes
        sink.write(value.encode("utf-8", "replace"))
        return sink


def read_reply(pieces: Iterable[bytes], *, largest_picture: int) -> Reply:
    """The reply in a JSON body.

    Args:
        pieces: the body, cut anywhere.
        largest_picture: bytes; a larger one becomes an item with an error.

    Raises:
        BadResponseError: not JSON, or no pictures in it.
        TooLargeError: the text beside the pictures is too long.
        CometError: an error object inside a 200 (see `refusal_of`).
    """
    reader = DocumentReader(largest_picture=largest_picture)
    for piece in pieces:
        reader.feed(piece)
    return reply_of(reader.finish(), reader)


def reply_of(document: Any, reader: DocumentReader) -> Reply:
    """The reply in a parsed document; the last event of a stream is a single entry."""
    if not isinstance(document, dict):
        raise BadResponseError(f"the answer is {_kind(document)} instead of an object with `data`")
    entries = [document] if "b64_json" in document or "url" in document else document.get("data")
    if document.get("error") and not entries:
        raise envelope_error(document)
    if not isinstance(entries, list) or not entries:
        raise BadResponseError(
            f"the answer contains no pictures: `data` is {_kind(entries)}{_task(document)}",
            hint="An empty answer often means that the prompt was filtered.",
        )
    if len(entries) > MOST_ENTRIES:
        raise BadResponseError(f"the answer has {len(entries)} entries; at most {MOST_ENTRIES} are read")
    items = tuple(_item(entry, reader) for entry in entries)
    if not any(item.data or item.url or item.error for item in items):
        raise BadResponseError("the answer's `data` contains neither pictures nor addresses")
    created = document.get("created", document.get("created_at"))
    usage = document.get("usage")
    return Reply(
        items,
        created=created if type(created) is int and abs(created) < 1 << 53 else None,
        usage=usage if isinstance(usage, dict) else None,
    )


def unreadable(beginning: bytes) -> BadResponseError:
    """The error for a body that is not JSON, with how it begins."""
    if not beginning:
        return BadResponseError("the answer is empty")
    said = " ".join(clean(prose(beginning), limit=200).split())
    hint = BASE_URL_HINT if beginning.lstrip()[:1] == b"<" else ""
    return BadResponseError(f"the answer is not readable as JSON: {said}", hint=hint)


def envelope_error(document: dict[str, Any]) -> CometError:
    """The error for an error object inside an answer of success."""
    return refusal_of(200, {}, json.dumps({"error": document["error"]}).encode())


def _item(entry: object, reader: DocumentReader) -> ReplyItem:
    if not isinstance(entry, dict):
        return ReplyItem(
            error=BadResponseError(f"an entry of the answer is {_kind(entry)} instead of an object")
        )
    revised = entry.get("revised_prompt")
    revised = revised if isinstance(revised, str) and revised else None
    sink = reader.picture(entry.get("b64_json"))
    data = sink.finish() if sink else b""
    url = entry.get("url")
    url = url if isinstance(url, str) and url else None
    if sink and (sink.error or data):
        return ReplyItem(data=None if sink.error else data, revised_prompt=revised, error=sink.error)
    if url is None:
        return ReplyItem(
            error=BadResponseError("an entry of the answer has neither a picture nor an address")
        )
    return ReplyItem(url=url, revised_prompt=revised)


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "an empty list",
        str: "a text",
        bool: "true or false",
        type(None): "missing",
    }
    return names.get(type(value), "a number")


def _task(document: dict[str, Any]) -> str:
    task = document.get("task_id") or document.get("id")
    return f" (task {task[:80]})" if isinstance(task, str) else ""
