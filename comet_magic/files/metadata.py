"""What a saved picture says about how it was made: written and read without touching a pixel.

PNG: one iTXt chunk. WEBP: an EXIF chunk. JPEG: EXIF, and comment segments where 64 KB are not enough.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from .names import sniff
from .writing import native

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_KEYWORD = b"comet_magic"
_PNG_HEAD = 8
_SEGMENT = 65_000  # bytes of ours in one JPEG segment; its length is 16 bits
_USER_COMMENT = 0x9286
_OUR_IFD = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x8769, 4, 1, 26, 0)  # one entry: the EXIF part, at 26
_MARK = b'ASCII\0\0\0{"comet_magic":'
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers of a frame: size and kind
_EXIF = b"Exif\0\0"
Block = tuple[bytes, bytes]  # kind and payload


def embed_metadata(data: bytes, mime: str, facts: Mapping[str, Any]) -> bytes:
    """The same picture with facts inside; a file of unusual structure comes back as it was.

    Args:
        data: a whole png, jpeg or webp.
        mime: its MIME type.
        facts: what JSON can hold; they replace facts embedded earlier.
    """
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"), default=str).encode()
    embed = {"image/png": _into_png, "image/jpeg": _into_jpeg, "image/webp": _into_webp}.get(mime)
    if embed is None or sniff(data) != mime:
        return data
    try:
        return embed(data, text)
    except (struct.error, IndexError, ValueError):
        return data


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The facts that were embedded when the picture was saved, or {} where there are none.

    Args:
        path: a png, jpeg or webp; files that `Images.save` wrote hold the request they came from.

    Raises:
        OSError: there is no such file, or it cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> cm.read_metadata(images.save("boat.png")[0])["prompt"]
        'a paper boat'
    """
    data = native(path).read_bytes()
    read = {"image/png": _from_png, "image/jpeg": _from_jpeg, "image/webp": _from_webp}.get(sniff(data) or "")
    if read is None:
        return {}
    try:
        facts = json.loads(read(data) or b"{}")
    except (struct.error, IndexError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height as the head of a png, jpeg or webp says, without decoding it; None where it says none."""
    read = {"image/png": _png_extent, "image/jpeg": _jpeg_extent, "image/webp": _webp_extent}.get(
        sniff(data) or ""
    )
    try:
        return read(data) if read else None
    except (struct.error, IndexError, ValueError, StopIteration):
        return None


# --- PNG: https://www.w3.org/TR/png-3/#11iTXt ---------------------------------------------------------


def _png_chunks(data: bytes) -> Iterator[Block]:
    at = _PNG_HEAD
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at : at + 12 + length]
        at += 12 + length


def _into_png(data: bytes, text: bytes) -> bytes:
    payload = b"iTXt" + _KEYWORD + b"\0\0\0\0\0" + text
    ours = struct.pack(">I", len(payload) - 4) + payload + struct.pack(">I", zlib.crc32(payload))
    head, *rest = _png_chunks(data)
    if head[0] != b"IHDR":
        return data
    kept = [raw for kind, raw in rest if not (kind == b"iTXt" and raw[8:].startswith(_KEYWORD + b"\0"))]
    return b"".join([data[:_PNG_HEAD], head[1], ours, *kept])


def _from_png(data: bytes) -> bytes:
    for kind, raw in _png_chunks(data):
        if kind == b"iTXt" and raw[8:].startswith(_KEYWORD + b"\0"):
            return raw[8 + len(_KEYWORD) + 5 : -4]
    return b""


def _png_extent(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, _PNG_HEAD + 8)
    return width, height


# --- JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B --------------------------------------


def _jpeg_segments(data: bytes) -> tuple[list[Block], bytes]:
    """The segments before the first scan, and everything from there on."""
    segments: list[Block] = []
    at = 2
    while data[at + 1] != 0xDA:
        if data[at] != 0xFF:
            raise ValueError("not a marker")
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append((data[at + 1 : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return segments, data[at:]


def _into_jpeg(data: bytes, text: bytes) -> bytes:
    segments, scans = _jpeg_segments(data)
    old = next((body for kind, body in segments if kind == b"\xe1" and body.startswith(_EXIF)), b"")
    exif = _EXIF + _exif_with(old.removeprefix(_EXIF), text)
    kept = [(kind, body) for kind, body in segments if not (kind == b"\xfe" and body.startswith(_KEYWORD))]
    if len(exif) <= _SEGMENT:
        kept = [(kind, body) for kind, body in kept if not (kind == b"\xe1" and body.startswith(_EXIF))]
        ours = [(b"\xe1", exif)]
    else:
        pieces = range(0, len(text), _SEGMENT)
        ours = [(b"\xfe", _KEYWORD + text[at : at + _SEGMENT]) for at in pieces]
    first = 1 if kept and kept[0][0] == b"\xe0" else 0  # JFIF asks to be the first
    ordered = [*kept[:first], *ours, *kept[first:]]
    packed = [b"\xff" + kind + struct.pack(">H", len(body) + 2) + body for kind, body in ordered]
    return b"".join([data[:2], *packed, scans])


def _from_jpeg(data: bytes) -> bytes:
    segments, _ = _jpeg_segments(data)
    pieces = [
        body.removeprefix(_KEYWORD)
        for kind, body in segments
        if kind == b"\xfe" and body.startswith(_KEYWORD)
    ]
    if pieces:
        return b"".join(pieces)
    exif = next((body for kind, body in segments if kind == b"\xe1" and body.startswith(_EXIF)), b"")
    return _comment_of(exif.removeprefix(_EXIF))


def _jpeg_extent(data: bytes) -> tuple[int, int]:
    frames = (body for kind, body in _jpeg_segments(data)[0] if kind[0] in _FRAMES)
    height, width = struct.unpack_from(">HH", next(frames), 1)
    return width, height


# --- WEBP: https://developers.google.com/speed/webp/docs/riff_container -------------------------------


def _webp_chunks(data: bytes) -> Iterator[Block]:
    at = 12
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _into_webp(data: bytes, text: bytes) -> bytes:
    chunks = list(_webp_chunks(data))
    old = next((body for kind, body in chunks if kind == b"EXIF"), b"")
    chunks = [(kind, body) for kind, body in chunks if kind != b"EXIF"]
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _extended_header(*chunks[0])))
    head = bytearray(chunks[0][1])
    head[0] |= 0x08  # "there is EXIF"
    before_xmp = next((at for at, (kind, _) in enumerate(chunks) if kind == b"XMP "), len(chunks))
    exif = _exif_with(old.removeprefix(_EXIF), text)
    ordered = [(b"VP8X", bytes(head)), *chunks[1:before_xmp], (b"EXIF", exif), *chunks[before_xmp:]]
    packed = [kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in ordered]
    body = b"WEBP" + b"".join(packed)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _extended_header(kind: bytes, body: bytes) -> bytes:
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    elif kind == b"VP8 ":
        across, down = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        width, height, alpha = (across & 0x3FFF) - 1, (down & 0x3FFF) - 1, 0
    else:
        raise ValueError("no picture in front")
    return bytes([alpha << 4, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _from_webp(data: bytes) -> bytes:
    exif = next((body for kind, body in _webp_chunks(data) if kind == b"EXIF"), b"")
    return _comment_of(exif.removeprefix(_EXIF))


def _webp_extent(data: bytes) -> tuple[int, int]:
    kind, body = next(_webp_chunks(data))
    head = body if kind == b"VP8X" else _extended_header(kind, body)
    return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1


# --- EXIF ---------------------------------------------------------------------------------------------


def _exif_with(old: bytes, text: bytes) -> bytes:
    """A block with the text as its comment; in one of somebody else, behind all that its offsets point to."""
    others = old.partition(_MARK)[0]
    if not others or others[: len(_OUR_IFD)] == _OUR_IFD:
        comment = struct.pack("<HHHIII", 1, _USER_COMMENT, 7, len(_MARK) + len(text) + 1, 44, 0)
        others = _OUR_IFD + comment
    return others + _MARK + text + b"}"


def _comment_of(block: bytes) -> bytes:
    text = block.partition(_MARK)[2]
    return text[: text.rfind(b"}")]
