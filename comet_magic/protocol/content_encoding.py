"""Content encodings that we did not ask for: gzip and deflate are read up to a limit; others are refused."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ..errors import BadResponseError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STEP = 256 * 1024


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
