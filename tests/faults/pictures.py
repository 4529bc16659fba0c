"""Small real pictures, one for each prompt and position, and files that only look like pictures."""

from __future__ import annotations

import functools
import hashlib
import io
import random
import struct
import zlib

from PIL import Image

MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def canvas(prompt: str, index: int = 0, edge: int = 48) -> Image.Image:
    """Eight coloured fields that no other prompt and position has."""
    digest = hashlib.sha256(f"{prompt}|{index}".encode()).digest()
    return Image.frombytes("RGB", (4, 2), digest[:24]).resize((edge, edge), Image.Resampling.NEAREST)


def encode(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind.upper(), **options)
    return buffer.getvalue()


@functools.lru_cache(maxsize=4096)
def picture(prompt: str, index: int = 0, kind: str = "png") -> bytes:
    """The picture that this prompt is answered with."""
    return encode(canvas(prompt, index), kind)


@functools.cache
def large() -> bytes:
    """An honest picture of 27 MB: noise cannot be compressed."""
    noise = random.Random(27).randbytes(3000 * 3000 * 3)
    return encode(Image.frombytes("RGB", (3000, 3000), noise), "png", compress_level=0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, extra: bytes) -> bytes:
    """The same PNG with one more chunk behind its header."""
    return png[:33] + extra + png[33:]


def header(width: int, height: int, depth: int = 1, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


@functools.cache
def blank(width: int, height: int) -> bytes:
    """A valid black PNG of one bit per pixel: a few kilobytes however large it claims to be."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    return SIGNATURE + header(width, height) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def header_bomb() -> bytes:
    pixels = chunk(b"IDAT", zlib.compress(bytes(64)))
    return SIGNATURE + header(2_000_000_000, 2_000_000_000, 8, 2) + pixels + chunk(b"IEND", b"")


def empty_sides() -> bytes:
    return SIGNATURE + header(0, 0, 8, 2) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bad_crc(png: bytes) -> bytes:
    """The same PNG with a wrong checksum of its header."""
    return png[:32] + bytes([png[32] ^ 0xFF]) + png[33:]


def bad_pixels(png: bytes) -> bytes:
    """The same PNG with one wrong byte inside its packed pixels."""
    at = png.index(b"IDAT") + 30
    return png[:at] + bytes([png[at] ^ 0xFF]) + png[at + 1 :]


def bad_stream(png: bytes) -> bytes:
    """The same PNG with packed pixels that cannot be unpacked, under a right checksum."""
    start, end = png.index(b"IDAT"), png.index(b"IEND") - 4
    return png[: start - 4] + chunk(b"IDAT", bytes(end - start - 8)) + png[end:]


@functools.cache
def text_bomb() -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(bytes(1024 * 1024)) for _ in range(64)]) + packer.flush()
    return with_chunk(picture("text bomb"), chunk(b"zTXt", b"Comment\0\0" + packed))


def text_evil(png: bytes) -> bytes:
    script = b"Comment\0<script>window.__pwned=1</script>\x1b[31m"
    return with_chunk(png, chunk(b"tEXt", script))


def noise(length: int = 4096) -> bytes:
    return random.Random(1).randbytes(length)


SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>window.__pwned=1</script></svg>"
HTML = b"<!doctype html><html><body><script>window.__pwned=1</script><h1>Sign in</h1></body></html>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/tmp/pwned) (w) file closefile\n%%EOF\n"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\ntrailer<</Root 1 0 R>>\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(200)
PSD = b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(64)
FITS = b"SIMPLE  =                    T" + b" " * 50 + b"END" + b" " * 2797
JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(64)


def disguised(kind: str) -> bytes:
    """A real picture of a kind that is not opened here."""
    return encode(canvas("disguised"), kind)


def animated(prompt: str) -> bytes:
    frames = [canvas(prompt, index) for index in range(2)]
    return encode(frames[0], "png", save_all=True, append_images=frames[1:])


def odd(prompt: str, mode: str, kind: str) -> bytes:
    """A legal picture in an unusual colour mode."""
    return encode(canvas(prompt).convert(mode), kind)
