"""The pixels of a plain PNG, unpacked and counted but not kept: that it will open is known in little memory.

Plain is what image models send: 8 bits, RGB or RGBA, not interlaced, nothing between the pixel data and the end.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .structure import Span

# Bit depth, colour type, compression, filters, interlace: https://www.w3.org/TR/png-3/#11IHDR
_CHANNELS = {b"\x08\x02\0\0\0": 3, b"\x08\x06\0\0\0": 4}
_FILTERS = frozenset(range(5))  # https://www.w3.org/TR/png-3/#9Filter-types
_END = b"\0\0\0\0IEND"
_CRC, _BETWEEN = 4, 12  # bytes after the data of a chunk, and up to the data of the next
_STEP = 256 * 1024


def channels(data: bytes, pixels: Sequence[Span]) -> int:
    """Bytes a pixel of a plain PNG, or 0 where it is not plain; `pixels` are the spans of its pixel data."""
    together = all(one[1] + _BETWEEN == other[0] for one, other in pairwise(pixels))
    if not pixels or not together or not data.startswith(_END, pixels[-1][1] + _CRC):
        return 0
    return _CHANNELS.get(data[24:29], 0)


def complete(data: bytes, pixels: Sequence[Span], *, row: int, rows: int) -> bool:
    """Whether the data unpacks to just these rows of so many bytes, each beginning with the number of its filter."""
    inflate, view, at = zlib.decompressobj(), memoryview(data), 0
    try:
        for start, end in pixels:
            rest: bytes | memoryview = view[start:end]
            while rest and at <= row * rows:
                part = inflate.decompress(rest, _STEP)
                if not _FILTERS.issuperset(part[-at % row :: row]):
                    return False
                at += len(part)
                rest = inflate.unconsumed_tail
    except zlib.error:
        return False
    return at == row * rows and inflate.eof and not inflate.unused_data
