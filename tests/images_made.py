"""Pictures for the tests, made by Pillow, and the few ways to damage them."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from typing import Any

from PIL import Image

from comet_magic.images import Picture, check_picture

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
MOST = 64_000_000


@functools.cache
def made(
    mime: str = "image/png", mode: str = "RGB", size: tuple[int, int] = (48, 32), **options: Any
) -> bytes:
    """The bytes of a smooth picture; with an alpha channel it fades from left to right."""
    gradient = Image.linear_gradient("L").resize(size)
    image: Image.Image = Image.merge("RGB", (gradient, gradient.rotate(180), Image.new("L", size, 90)))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").rotate(90).resize(size))
    return file_of(image.convert(mode), mime, **options)


@functools.cache
def noise(mime: str = "image/png", mode: str = "RGB", size: tuple[int, int] = (700, 700)) -> bytes:
    """The bytes of a picture that cannot be made small."""
    raw = random.Random(7).randbytes(size[0] * size[1] * len(mode))
    fast = {"compress_level": 1} if mime == "image/png" else {}
    return file_of(Image.frombytes(mode, size, raw), mime, **fast)


def file_of(image: Image.Image, mime: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, FORMATS[mime], **options)
    return out.getvalue()


def picture(data: bytes, **facts: Any) -> Picture:
    mime, width, height = check_picture(data, max_pixels=MOST)
    return Picture(data, mime, width, height, **facts)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG with one more segment in front."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def pixels(data: bytes) -> tuple[tuple[int, int], bytes]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.convert("RGBA").tobytes()
