"""A form with files as it is sent: https://www.rfc-editor.org/rfc/rfc7578."""

from __future__ import annotations

import io
import secrets
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import contextlib
    from collections.abc import AsyncIterator, Iterator, Sequence

    from ..request import InputPicture, WireRequest

_PIECE = 1 << 18  # bytes that are read and sent at once
# As browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def form_of(wire: WireRequest, files: contextlib.ExitStack) -> tuple[dict[str, str], AsyncIterator[bytes]]:
    """The headers and the body of a form: the texts first, then the files, which are read while they are sent.

    Raises:
        InvalidRequestError: an input picture is gone.
    """
    boundary = secrets.token_hex(16)
    parts = [*_parts(wire, boundary, files), f"--{boundary}--\r\n".encode()]
    length = sum(len(part) if isinstance(part, bytes) else part.seek(0, io.SEEK_END) for part in parts)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(length),
    }
    return headers, _pieces(parts)


def _parts(wire: WireRequest, boundary: str, files: contextlib.ExitStack) -> Iterator[bytes | BinaryIO]:
    """The form's bytes, and in their places its files."""
    for name, value in wire.fields:
        yield f"{_head(boundary, name)}\r\n\r\n{value}\r\n".encode()
    for name, file_name, picture in wire.files:
        head = _head(boundary, name)
        yield f'{head}; filename="{file_name}"\r\nContent-Type: {picture.mime}\r\n\r\n'.encode()
        yield _content(picture, files)
        yield b"\r\n"


def _head(boundary: str, name: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPED)}"'


def _content(picture: InputPicture, files: contextlib.ExitStack) -> bytes | BinaryIO:
    return picture.in_memory or files.enter_context(picture.open())


async def _pieces(parts: Sequence[bytes | BinaryIO]) -> AsyncIterator[bytes]:
    """The parts in few pieces."""
    waiting = b""
    for piece in chain.from_iterable(map(_read, parts)):
        if len(waiting) + len(piece) > _PIECE:
            yield waiting
            waiting = b""
        waiting += piece  # of a large one no copy is made
    yield waiting


def _read(part: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
        return
    part.seek(0)
    while piece := part.read(_PIECE):
        yield piece
