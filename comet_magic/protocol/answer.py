"""A raw answer of any form: its encoding, whether it is a stream or a document, what it holds, whether it is complete.

Its bytes are believed before its labels. An encoding that nobody asked for is read up to a limit: gzip and deflate.
"""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import BadResponseError, CometError, TooLargeError
from .reply import DocumentReader, read_reply
from .sse import StreamReader, read_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .reply import Reply

STEP = 256 * 1024
_GZIP = b"\x1f\x8b"  # https://www.rfc-editor.org/rfc/rfc1952#page-6
_ENDS = ("completed", "error", "end")


def read_answer(
    pieces: Iterable[bytes], *, encoding: str, stream: bool, largest: int, largest_picture: int
) -> Reply:
    """Read a whole answer of success.

    Args:
        pieces: the raw body, cut anywhere.
        encoding: the `Content-Encoding` header, "" for none.
        stream: whether it is labelled as a stream.
        largest: bytes that it may unpack to.
        largest_picture: bytes that one picture may have.

    Raises:
        CometError: it holds no pictures, or an error.
    """
    is_stream, body = _opened(pieces, encoding=encoding, stream=stream, largest=largest)
    if is_stream:
        return read_stream(body, largest=largest, largest_picture=largest_picture)
    return read_reply(body, largest_picture=largest_picture)


def is_complete(pieces: Iterable[bytes], *, largest: int) -> bool:
    """Whether a body is a whole JSON document or a stream that reached its end; no picture is held.

    Args:
        pieces: the body as it came, cut anywhere.
        largest: bytes that a compressed body may unpack to, and that an event of a stream may have.
    """
    try:
        is_stream, body = _opened(pieces, encoding="", stream=False, largest=largest)
        if is_stream:
            events = StreamReader(largest=largest)
            return any(event.kind in _ENDS for piece in body for event in events.feed(piece))
        document = DocumentReader(largest_picture=0)
        for piece in body:
            document.feed(piece)
        document.finish()
    except CometError:
        return False
    return True


def _opened(
    pieces: Iterable[bytes], *, encoding: str, stream: bool, largest: int
) -> tuple[bool, Iterator[bytes]]:
    """Whether a body is a stream of events, and the body decoded."""
    raw = iter(pieces)
    first = next(raw, b"")
    encoding = encoding or ("gzip" if first.startswith(_GZIP) else "")
    body = decoded(chain([first], raw), encoding=encoding, largest=largest)
    first = next(body, b"")
    beginning = first[:64].lstrip(b"\xef\xbb\xbf \r\n")
    events = beginning.startswith((b"data:", b"event:", b":"))
    return events or (stream and beginning[:1] != b"{"), chain([first], body)


def decoded(pieces: Iterable[bytes], *, encoding: str, largest: int) -> Iterator[bytes]:
    """The decoded body, in pieces of at most 256 KiB.

    Args:
        pieces: the raw body.
        encoding: the `Content-Encoding` header, "" for none.
        largest: the most bytes that may come out.

    Raises:
        BadResponseError: an unknown encoding, or damaged data.
        TooLargeError: more than `largest` bytes come out.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        yield from pieces
        return
    if name not in ("gzip", "x-gzip", "deflate"):
        raise BadResponseError(f"the answer is encoded as {name[:40]}, which was not asked for")
    inflate = zlib.decompressobj(wbits=47 if name != "deflate" else 15)
    total = 0
    for piece in pieces:
        rest = piece
        while rest and not inflate.eof:  # ignore what follows the end
            part = _inflate(inflate, rest)
            total += len(part)
            if total > largest:
                raise TooLargeError(f"the answer unpacks to more than {largest >> 20} MiB")
            yield part
            rest = inflate.unconsumed_tail
    if not inflate.eof:
        raise BadResponseError(f"the answer's {name} data is cut")


def _inflate(inflate: zlib._Decompress, data: bytes) -> bytes:
    try:
        return inflate.decompress(data, STEP)
    except zlib.error:
        pass
    raise BadResponseError("the answer's compressed data is damaged")
