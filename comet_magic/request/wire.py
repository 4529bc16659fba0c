"""How a request goes out: JSON, or a form with files for edits."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..formats import SUFFIX
from .image_request import EDITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .image_request import ImageRequest
    from .inputs import InputPicture


@dataclass(frozen=True)
class WireRequest:
    """What is sent, and where.

    Attributes:
        path: below the base URL.
        json: the body, or None for a form.
        fields: the texts of the form, in order.
        files: the files of the form: the field's name, the file's name, and the picture.
    """

    path: str
    json: bytes | None = None
    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str, InputPicture], ...] = ()


def wire_request(request: ImageRequest) -> WireRequest:
    """The request as it is sent.

    Raises:
        InvalidRequestError: an input picture is gone.
    """
    body, inputs = request.body(), request.inputs
    if request.path == EDITS:
        fields = [field for name, value in body.items() for field in _fields(name, value)]
        return WireRequest(request.path, fields=tuple(fields), files=tuple(_files(request)))
    if inputs:
        # A text for one picture, a list for several:
        # https://apidoc.cometapi.com/api/image/seededit-seedream/bytedance-image-generation
        addresses = [_data_uri(picture) for picture in inputs.images]
        body["image"] = addresses if len(addresses) > 1 else addresses[0]
    return WireRequest(request.path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A value as the official client writes it in a form: `name`, `name[]` for a list, `name[member]` for an object."""
    if isinstance(value, dict):
        for member, inner in value.items():
            yield from _fields(f"{name}[{member}]", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(f"{name}[]", inner)
    elif isinstance(value, str):
        yield name, value
    elif value is not None:
        yield name, json.dumps(value)


def _files(request: ImageRequest) -> Iterator[tuple[str, str, InputPicture]]:
    """Each file with its field; several pictures repeat `image[]`, because `image` may stand only once.

    https://github.com/openai/openai-ruby/issues/311
    """
    inputs = request.inputs
    field = "image[]" if len(inputs.images) > 1 else "image"
    for number, picture in enumerate(inputs.images):
        yield field, f"image_{number}{SUFFIX[picture.mime]}", picture
    for name, overlay in (("mask", inputs.mask), ("markup", inputs.markup)):
        if overlay is not None:
            yield name, f"{name}.png", overlay


def _data_uri(picture: InputPicture) -> str:
    return f"data:{picture.mime};base64,{base64.b64encode(picture.read()).decode()}"
