"""Whether a raw answer is complete, from its bytes alone: whole JSON, or a stream with its end."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ..errors import CometError
from .content_encoding import decoded
from .reply import DocumentReader
from .sse import StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterable

_GZIP = b"\x1f\x8b"  # https://www.rfc-editor.org/rfc/rfc1952#page-6
_ENDS = ("completed", "error", "end")


def encoding_of(beginning: bytes) -> str:
    """The content encoding that a body's first bytes show: "gzip" or ""."""
    return "gzip" if beginning.startswith(_GZIP) else ""


def looks_like_a_stream(beginning: bytes, *, labelled: bool = False) -> bool:
    """Whether a body is a stream of events: its first bytes are believed before its label."""
    beginning = beginning[:64].lstrip(b"\xef\xbb\xbf \r\n")
    return beginning.startswith((b"data:", b"event:", b":")) or (labelled and beginning[:1] != b"{")


def is_complete(pieces: Iterable[bytes], *, largest: int) -> bool:
    """Whether a body is a whole JSON document or a stream that reached its end; no picture is held.

    Args:
        pieces: the body as it came, cut anywhere.
        largest: bytes that a compressed body may unpack to, and that an event of a stream may have.
    """
    try:
        return _is_complete(iter(pieces), largest)
    except CometError:
        return False


def _is_complete(pieces: Iterable[bytes], largest: int) -> bool:
    raw = iter(pieces)
    first = next(raw, b"")
    body = decoded(chain([first], raw), encoding=encoding_of(first), largest=largest)
    beginning = next(body, b"")
    if looks_like_a_stream(beginning):
        events = StreamReader(largest=largest)
        return any(event.kind in _ENDS for piece in chain([beginning], body) for event in events.feed(piece))
    document = DocumentReader(largest_picture=0)
    for piece in chain([beginning], body):
        document.feed(piece)
    document.finish()
    return True
