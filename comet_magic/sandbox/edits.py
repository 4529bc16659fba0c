"""Edits: the pictures of a form or of JSON, refused as the vendor refuses them, painted so that one sees the edit."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import secrets
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, UnidentifiedImageError

from ..catalog import find
from ..request import InputPicture, Inputs
from . import generation
from .error_replies import PICTURE, ErrorReply
from .signed_urls import PictureSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from ..catalog import Model
    from .generation import AcceptedRequest

_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_SUPPORTED = "Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'."
_FILES = ("image", "mask", "markup")
_LARGEST_MASK = 50_000_000  # bytes; https://developers.openai.com/api/docs/guides/image-generation
_LONGEST_ADDRESS = 20_971_520  # characters of a data URI
PAINTINGS = "/paintings/"
_MOST_PAINTINGS = 100


@dataclass(frozen=True)
class Upload:
    """One picture as it came."""

    data: bytes
    mime: str


FieldsAndFiles = tuple[dict[str, Any], list[tuple[str, Upload]]]


@dataclass(frozen=True)
class EditedSpec(PictureSpec):
    """A picture that is painted from others; it holds them, so no URL can."""

    sources: tuple[Image.Image, ...] = ()
    selection: Image.Image | None = None

    def paint(self) -> Image.Image:
        """Paint the edit; always the same one."""
        from .painter.edited import paint_edit

        return paint_edit(
            self.subject,
            self.sources,
            self.selection,
            width=self.width,
            height=self.height,
            position=self.position,
        )


class Paintings:
    """The last edits that were answered by a URL, in memory: what is in them cannot stand in an address."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, str]] = {}

    def put(self, spec: EditedSpec) -> str:
        """Paint and keep a picture; gives its path, which nobody can guess."""
        path = f"{PAINTINGS}{secrets.token_hex(16)}.{spec.output_format}"
        self._kept[path] = spec.encode(spec.paint()), spec.mime
        for old in [*self._kept][:-_MOST_PAINTINGS]:
            self._kept.pop(old, None)
        return path

    def get(self, path: str) -> tuple[bytes, str]:
        """The picture and its type.

        Raises:
            ErrorReply: it is not there any more.
        """
        if path not in self._kept:
            raise ErrorReply(403, "This address has expired", code="access_denied")
        return self._kept[path]


def read_form(body: BinaryIO, content_type: str) -> FieldsAndFiles:
    """The texts and the files of a form, in order; large files lie on disk while they are read.

    Raises:
        ErrorReply: it is not a form.
    """
    from python_multipart import parse_form
    from python_multipart.exceptions import FormParserError

    fields: dict[str, Any] = {}
    found: list[Any] = []

    def on_field(field: Any) -> None:
        name, text = (part.decode("utf-8", "replace") for part in (field.field_name, field.value or b""))
        fields[name] = text if name == "prompt" else _typed(text)

    try:
        parse_form({"Content-Type": content_type.encode("latin-1")}, body, on_field, found.append)
        return fields, [_upload(file) for file in found]
    except FormParserError as fault:
        problem = str(fault)
    finally:  # the library still writes to a file while it tells of it
        for file in found:
            file.close()
    raise ErrorReply(400, f"The form cannot be read: {problem}", code="invalid_request")


def _upload(file: Any) -> tuple[str, Upload]:
    file.file_object.seek(0)
    return file.field_name.decode("utf-8", "replace"), Upload(
        file.file_object.read(), file.content_type or ""
    )


def read_json(body: bytes) -> FieldsAndFiles:
    """The JSON form of an edit: `images` and `mask` hold objects with an `image_url`, a data URI.

    Raises:
        ErrorReply: it is not of this form.
    """
    fields = generation.parse(body)
    listed = fields.pop("images", [])
    pictures = listed if isinstance(listed, list) else [listed]
    name = "image[]" if len(pictures) > 1 else "image"
    files = [(name, _referred(one, "images")) for one in pictures]
    if "mask" in fields:
        files.append(("mask", _referred(fields.pop("mask"), "mask")))
    return fields, files


def accept_with_images(fields: dict[str, Any], *, first: int) -> AcceptedRequest:
    """Check a generation whose `image` holds pictures, as Seedream takes them.

    Raises:
        ErrorReply: it breaks a rule.
    """
    given = fields.pop("image")
    model = find(str(fields.get("model")))
    if model.inputs is None or model.inputs.route != "generations":
        raise ErrorReply(400, "Unknown parameter: 'image'.", code="unknown_parameter", param="image")
    files = [("image[]", _decoded(one, "image")) for one in (given if isinstance(given, list) else [given])]
    return accept(fields, files, first=first)


# --- reading


def _typed(text: str) -> Any:
    """A text of a form as what it means: true, false or a whole number; else itself."""
    if text in ("true", "false") or (text.isascii() and text.isdigit() and len(text) < 8):
        return json.loads(text)
    return text


def _referred(one: Any, param: str) -> Upload:
    address = one.get("image_url") if isinstance(one, dict) else None
    if not isinstance(address, str):
        raise ErrorReply(400, f"'{param}' takes objects with 'image_url'.", code="invalid_type", param=param)
    return _decoded(address, param)


def _decoded(address: Any, param: str) -> Upload:
    """The picture of a data URI; other addresses are not fetched, for this server goes nowhere."""
    head, comma, coded = str(address).partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ErrorReply(
            400,
            f"The sandbox fetches nothing: give '{param}' as a data URI.",
            code="invalid_value",
            param=param,
        )
    if len(coded) > _LONGEST_ADDRESS:
        raise ErrorReply(400, f"'{param}' is too long.", code="string_above_max_length", param=param)
    try:
        return Upload(base64.b64decode(coded, validate=True), head[5:-7])
    except binascii.Error:
        pass
    raise ErrorReply(400, f"Invalid base64 in '{param}'.", code="invalid_base64", param=param)


# --- checking


def accept(
    fields: dict[str, Any], files: list[tuple[str, Upload]], *, first: int, ignore_mask: bool = False
) -> AcceptedRequest:
    """Check an edit; `first` is the position of its first picture.

    Raises:
        ErrorReply: it breaks a rule.
    """
    model = find(str(fields.get("model")))
    images = _images(fields, files, model)
    overlays = {name: upload for name, upload in files if name in ("mask", "markup")}
    if overlays.keys() == {"mask", "markup"}:
        raise ErrorReply(
            400, "'mask' and 'markup' cannot be used together.", code="mutually_exclusive", param="markup"
        )
    opened = [_opened(upload, f"image {number}") for number, upload in enumerate(images, 1)]
    selection = _selection(overlays["mask"], opened[0].size) if "mask" in overlays else None
    markup = _markup(overlays["markup"], opened[0].size, model) if "markup" in overlays else None
    inputs = Inputs(
        tuple(_picture(upload, image) for upload, image in zip(images, opened, strict=True)),
        _picture(overlays["mask"], selection) if selection else None,
    )
    accepted = generation.accept({**fields}, first=first, inputs=inputs)
    sources = tuple(image.convert("RGBA") for image in opened) + ((markup,) if markup else ())
    ignored = ignore_mask or not (model.inputs and model.inputs.mask)
    return replace(
        accepted,
        specs=tuple(
            EditedSpec(**vars(spec), sources=sources, selection=None if ignored else selection)
            for spec in accepted.specs
        ),
    )


def _images(fields: Mapping[str, Any], files: Iterable[tuple[str, Upload]], model: Model) -> list[Upload]:
    """The pictures to edit, checked by their number and types."""
    listed = list(files)
    names = Counter(name for name, _ in listed)
    plain, several = names["image"], names["image[]"]
    if plain > 1:
        message = "Duplicate parameter: 'image'. You provided multiple values; use 'image[]' instead."
        raise ErrorReply(400, message, code="duplicate_parameter", param="image")
    for name in ("image", "image[]"):
        if name in fields:
            param = name.replace("[]", "[0]")
            message = f"Invalid type for '{param}': expected a file, but got a string instead."
            raise ErrorReply(400, message, code="invalid_type", param=param)
    if not plain + several:
        message = "Missing required parameter: 'image'."
        raise ErrorReply(400, message, code="missing_required_parameter", param="image")
    if model.known and model.inputs is None:
        message = f"Invalid value: '{model.id}'. This model does not edit pictures."
        raise ErrorReply(400, message, code="invalid_value", param="model")
    most = model.inputs.most if model.inputs else 16
    if plain + several > most:
        message = (
            f"Invalid 'image': array too long. Expected at most {most} pictures, but got {plain + several}."
        )
        raise ErrorReply(400, message, code="array_above_max_length", param="image")
    images = [upload for name, upload in listed if name in ("image", "image[]")]
    largest = model.inputs.largest if model.inputs else 50_000_000
    for number, (name, upload) in enumerate(
        (name, upload) for name, upload in listed if name.rstrip("[]") in _FILES
    ):
        param = "image" if plain else f"image[{number}]"
        _check_file(upload, param if name.startswith("image") else name, largest)
    return images


def _check_file(upload: Upload, param: str, largest: int) -> None:
    if upload.mime not in _TYPES:
        message = f"Invalid file '{param}': unsupported mimetype ('{upload.mime}'). {_SUPPORTED}"
        raise ErrorReply(400, message, code="unsupported_file_mimetype", param=param)
    if len(upload.data) > largest:
        message = f"Invalid file '{param}': it has more than {largest} bytes."
        raise ErrorReply(413, message, code="file_too_large", param=param)


def _opened(upload: Upload, label: str) -> Image.Image:
    """The picture; broken files and odd modes are refused as one."""
    try:
        image = Image.open(io.BytesIO(upload.data), formats=list(_TYPES.values()))
        image.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        image = None
    if image is None or image.mode not in ("RGB", "RGBA", "L", "LA"):
        message = f"Invalid image file or mode for {label}, please check your image file."
        raise ErrorReply(400, message, type=PICTURE, code="invalid_image_file", param="image")
    return image


def _selection(upload: Upload, size: tuple[int, int]) -> Image.Image:
    if len(upload.data) > _LARGEST_MASK:
        raise ErrorReply(400, "Invalid file 'mask': it is too large.", code="file_too_large", param="mask")
    mask = _opened(upload, "mask")
    if mask.mode not in ("RGBA", "LA"):
        message = "Invalid mask image format - mask image missing alpha channel"
        raise ErrorReply(400, message, type=PICTURE, code="invalid_mask_image_format", param="mask")
    if mask.size != size:
        message = "Invalid mask image - it must have the same dimensions as the first image"
        raise ErrorReply(400, message, type=PICTURE, code="invalid_mask_image_size", param="mask")
    return ImageChops.invert(mask.getchannel("A"))


def _markup(upload: Upload, size: tuple[int, int], model: Model) -> Image.Image:
    if not (model.inputs and model.inputs.markup):
        raise ErrorReply(400, "Unknown parameter: 'markup'.", code="unknown_parameter", param="markup")
    markup = _opened(upload, "markup")
    if markup.mode != "RGBA" or markup.size != size or markup.getchannel("A").getextrema()[0] == 255:
        message = "Invalid markup - a transparent PNG of the first image's size is needed"
        raise ErrorReply(400, message, type=PICTURE, code="invalid_markup", param="markup")
    return markup


def _picture(upload: Upload, image: Image.Image) -> InputPicture:
    return InputPicture(hashlib.sha256(upload.data).hexdigest(), upload.mime, *image.size)
