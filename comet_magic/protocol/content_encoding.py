"""Content encodings that were not asked for: the first bytes are believed, the label only where they say nothing."""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import BadResponseError, TooLargeError
from ..formats import kind_of
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STEP = 256 * 1024
_GZIP = b"\x1f\x8b"  # https://www.rfc-editor.org/rfc/rfc1952#page-6
_ENOUGH = 64  # bytes that tell what a body is
_LAYERS = 3
_CONTROL = bytes({*range(32)} - {*b"\t\n\r\f\0"})


def decoded(pieces: Iterable[bytes], *, encoding: str = "", largest: int) -> Iterator[bytes]:
    """The body behind its content encodings, in pieces; of a packed one at most 256 KiB each.

    Args:
        pieces: the raw body.
        encoding: the `Content-Encoding` header, "" for none.
        largest: bytes after which what comes out is given up.

    Raises:
        BadResponseError: an encoding that is not read, or damaged data.
        TooLargeError: more than `largest` bytes come out.
    """
    for _ in range(_LAYERS):
        beginning, pieces = _peeked(pieces)
        bits = _window(beginning, encoding)
        if bits is None:
            break
        pieces = _inflated(pieces, bits, largest)
    else:
        raise BadResponseError(f"the answer is packed more than {_LAYERS - 1} times")
    named = encoding.strip().lower()
    if named not in ("", "identity", "gzip", "x-gzip", "deflate") and not _is_plain(beginning):
        raise BadResponseError(f"the answer is encoded as {clean(named, limit=40)}, which was not asked for")
    yield from pieces


def _peeked(pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a body, and the whole body again."""
    rest, beginning = iter(pieces), b""
    for piece in rest:
        beginning += piece
        if len(beginning) >= _ENOUGH:
            break
    return beginning[:_ENOUGH], chain([beginning] if beginning else [], rest)


def _window(beginning: bytes, encoding: str) -> int | None:
    """What zlib has to be told to unpack this, or None where it is not packed."""
    if beginning.startswith(_GZIP):
        return zlib.MAX_WBITS + 16
    if "deflate" not in encoding.lower() or _is_plain(beginning):
        return None
    # https://www.rfc-editor.org/rfc/rfc1950#page-5; some servers leave this header out
    zlib_header = beginning[0] & 15 == 8 and int.from_bytes(beginning[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS


def _is_plain(beginning: bytes) -> bool:
    """Whether a body can be read as it is: a picture of a known kind, or text."""
    if kind_of(beginning):
        return True
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as fault:
        if fault.start < len(beginning) - 4:  # else a character is cut
            return False
    return beginning.translate(None, _CONTROL) == beginning


def _inflated(pieces: Iterable[bytes], bits: int, largest: int) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=bits)
    total = 0
    for piece in pieces:
        rest = piece
        while rest and not inflate.eof:  # what follows the end is not looked at
            part = _inflate(inflate, rest)
            total += len(part)
            if total > largest:
                raise TooLargeError(f"the answer unpacks to more than {largest >> 20} MiB")
            yield part
            rest = inflate.unconsumed_tail
    if not inflate.eof:
        raise BadResponseError("the answer's compressed data is cut")


def _inflate(inflate: zlib._Decompress, data: bytes) -> bytes:
    try:
        return inflate.decompress(data, STEP)
    except zlib.error:
        pass
    raise BadResponseError("the answer's compressed data is damaged")
