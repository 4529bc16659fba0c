"""Pictures that go into a request, made ready once: upright, without EXIF, 8 bit RGB or RGBA, sRGB, within limits.

What needs no change keeps its own bytes. A picture is known by its pixels, whatever it was given as.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..catalog import DEFAULT_MODEL, find
from ..errors import InvalidRequestError
from ..request import NO_INPUTS, InputPicture, Inputs, has_pictures
from .masks import as_markup, as_mask, selected
from .reading import GivenPicture, eight_bits, read_picture, readable, see_through

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image

    from ..catalog import Model
    from ..catalog.model import InputRules

_LEAST_EDGE = 16  # pixels
_MOST_HASHES = 10_000
_AT_ONCE = 1 << 20  # bytes of pixels that are hashed at once


def prepare_inputs(options: Mapping[str, Any]) -> Inputs:
    """The input pictures among the options of a call: `image`, `mask`, `markup`, `resize`, `paste_back`.

    `image` may be what this gave before, for the same model.

    Raises:
        InvalidRequestError: one cannot be read, or the model does not take it; `param` names the option.
    """
    if isinstance(options.get("image"), Inputs):
        return cast("Inputs", options["image"])
    model, rules = input_rules(options)
    if rules is None:
        return NO_INPUTS
    given = list(_listed(options["image"]))
    fit = _Fit(rules, model.id, resize=options.get("resize") is not False)
    most = rules.pixels if fit.resize else math.inf
    first = read_picture(given[0], "image", most_pixels=most)
    sent = [fit.prepare(first)]
    notices = [sent[0].notice] if sent[0].notice else []
    mask = markup = original = None
    if options.get("mask") is not None:
        selection = selected(options["mask"], first.size)
        mask = fit.overlay(as_mask(selection), "mask")
        original = _original(first) if sent[0].changed else None
        notices += ["the mask is the first picture's"] if len(given) > 1 else []
    if options.get("markup") is not None:
        markup = fit.overlay(as_markup(options["markup"], first.size), "markup")
    del first  # one after the other: pixels take much more room than files
    for number, value in enumerate(given[1:], 2):
        sent.append(fit.prepare(read_picture(value, "image", number, most_pixels=most)))
    images = tuple(one.picture for one in sent)
    return Inputs(images, mask, markup, original, options.get("paste_back") is not False, tuple(notices))


def input_rules(options: Mapping[str, Any]) -> tuple[Model, InputRules | None]:
    """The model of a call, and its rules for the inputs among the options; None without inputs. None is read.

    Raises:
        InvalidRequestError: the model does not take them; `param` names the option.
    """
    asked = options.get("model")
    model = find(DEFAULT_MODEL if asked is None else asked if isinstance(asked, str) else "")
    return model, _rules(model, list(_listed(options["image"])), options) if has_pictures(options) else None


def _listed(value: Any) -> Iterator[Any]:
    """Each of the pictures given, flattened; None gives none."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _listed(one)
    elif value is not None:
        yield value


def _rules(model: Model, given: list[Any], options: Mapping[str, Any]) -> InputRules:
    """The model's rules for these inputs.

    Raises:
        InvalidRequestError: it does not take them.
    """
    rules, said, param = model.inputs, "", "image"
    mask, markup = (options.get(name) is not None for name in ("mask", "markup"))
    if not given:
        said = "image is an empty list; give a picture, or leave image out"
    elif rules is None:
        gemini = model.id.startswith("gemini")
        how = "pictures by another route, which is not supported" if gemini else "no pictures"
        said = f"image is set; {model.id} takes {how}"
    elif len(given) > rules.most:
        said = f"image has {len(given)} pictures; {model.id} takes up to {rules.most}"
    elif mask and markup:
        said, param = "mask and markup are both set; a request takes one of them", "markup"
    elif (mask and not rules.mask) or (markup and not rules.markup):
        param = "mask" if mask else "markup"
        said = f"{param} is set; {model.id} takes none"
    if said or rules is None:
        raise InvalidRequestError(said, param=param)
    return rules


def _original(given: GivenPicture) -> InputPicture:
    """Every pixel as it was given, the transparent ones too."""
    image = _srgb(eight_bits(given.image))
    return InputPicture.of(png_of(image), "image/png", image.size, pixel_hash(image), given.source)


# --- fitting the model


@dataclass(frozen=True)
class _Sent:
    """A prepared picture; `changed` if its pixels are not those that were given."""

    picture: InputPicture
    bytes: int
    changed: bool
    notice: str = ""


@dataclass(frozen=True)
class _Fit:
    """Makes pictures fit one model."""

    rules: InputRules
    model: str
    resize: bool

    def prepare(self, given: GivenPicture) -> _Sent:
        """The picture as it is sent."""
        width, height = given.size
        if min(width, height) < _LEAST_EDGE:
            said = f"{given.label} is {width}x{height}; it takes at least {_LEAST_EDGE} pixels a side"
            raise InvalidRequestError(said, param="image")
        sent: _Sent = readable(lambda: self._as_it_is(given) or self._encoded(given), given.label, "image")
        if sent.bytes > self.rules.largest:
            said = f"{given.label} has {sent.bytes:,} bytes; {self.model} takes {self.rules.largest:,}"
            raise InvalidRequestError(said, param="image", hint="Give a smaller picture.")
        return sent

    def _as_it_is(self, given: GivenPicture) -> _Sent | None:
        """Its own bytes, if they need no change."""
        data, size = given.data, given.size
        if data is None or len(data) > self.rules.largest or size != self._size(size):
            return None
        if not _is_plain(given, flatten=self.rules.flatten):
            return None
        sha256 = _pixel_hash_of(given)
        return _Sent(InputPicture.of(data, given.mime, size, sha256, given.source), len(data), changed=False)

    def _encoded(self, given: GivenPicture) -> _Sent:
        size, upright = self._size(given.size), _srgb(eight_bits(given.image))
        image = _flattened(upright) if self.rules.flatten else _opaque(upright)
        notice = ""
        if size != given.size:
            image = image.resize(size, _filter(), reducing_gap=2.0)
            before, after = ("{}x{}".format(*each) for each in (given.size, size))
            notice = f"{given.label} was shrunk from {before} to {after}, all that {self.model} uses"
        photo = given.mime == "image/jpeg" or getattr(given.image, "format", "") in ("JPEG", "MPO")
        data, mime = _file_of(image, photo=photo, largest=self.rules.largest)
        sent = InputPicture.of(data, mime, size, pixel_hash(image), given.source)
        return _Sent(sent, len(data), changed=image.mode != upright.mode or bool(notice), notice=notice)

    def overlay(self, image: Image, name: str) -> InputPicture:
        """The mask or the markup, shrunk like the picture that it lies on."""
        size = self._size(image.size)
        if size != image.size:
            image = image.resize(size, 0)  # nearest: a mask has no grey
        data = png_of(image)
        if len(data) > self.rules.largest:
            raise InvalidRequestError(
                f"{name} has {len(data):,} bytes; {self.model} takes {self.rules.largest:,}", param=name
            )
        return InputPicture.of(data, "image/png", size, pixel_hash(image))

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size within the pixels that the model uses."""
        share = self.rules.pixels / (size[0] * size[1])
        if share >= 1 or not self.resize:
            return size
        return max(1, math.floor(size[0] * math.sqrt(share))), max(1, math.floor(size[1] * math.sqrt(share)))


def _filter() -> Any:
    from PIL.Image import Resampling

    return Resampling.LANCZOS


def _is_plain(given: GivenPicture, *, flatten: bool) -> bool:
    """Whether the pixels of a file can be sent as they are: RGB or RGBA, sRGB, one frame."""
    image = given.image
    if image.mode not in ("RGB", "RGBA") or "transparency" in image.info:
        return False
    # what follows the first picture of a JPEG was cut off
    if not _is_srgb(image.info.get("icc_profile")) or (
        getattr(image, "n_frames", 1) != 1 and given.mime != "image/jpeg"
    ):
        return False
    return not (flatten and image.mode == "RGBA" and see_through(image))


def _is_srgb(profile: bytes | None) -> bool:
    if not profile:
        return True
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False
    return "srgb" in name.lower()


def _srgb(image: Image) -> Image:
    """Colours as sRGB has them; a profile that cannot be used is left out."""
    profile = image.info.get("icc_profile")
    if _is_srgb(profile) and image.mode != "CMYK":
        return image
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        colours = ImageCms.profileToProfile(
            image.convert("RGB") if alpha else image,
            ImageCms.ImageCmsProfile(io.BytesIO(cast("bytes", profile))),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGBA" if alpha else "RGB")
    if alpha and colours:
        colours.putalpha(alpha)
    return colours or image


def _opaque(image: Image) -> Image:
    """RGB, if no pixel is transparent."""
    return image if image.mode == "RGB" or see_through(image) else image.convert("RGB")


def _flattened(image: Image) -> Image:
    """The picture on white."""
    from PIL import Image

    if image.mode == "RGB":  # to convert it would copy it
        return image
    if not see_through(image):
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image).convert("RGB")


def _file_of(image: Image, *, photo: bool, largest: int) -> tuple[bytes, str]:
    """A JPEG of a photo, else a PNG, or a JPEG if that is too large."""
    if not photo or image.mode == "RGBA":
        data = png_of(image)
        if len(data) <= largest or image.mode == "RGBA":
            return data, "image/png"
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue(), "image/jpeg"


def png_of(image: Image) -> bytes:
    """The picture as a PNG, quickly."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1, icc_profile=None)
    return out.getvalue()


def pixel_hash(image: Image) -> str:
    """The sha256 of mode, size and pixels."""
    whole = hashlib.sha256(f"{image.mode} {image.width}x{image.height} ".encode())
    rows = max(1, _AT_ONCE // (image.width * 4))  # all at once they would be here twice
    for top in range(0, image.height, rows):
        whole.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return whole.hexdigest()


_hashes: dict[str, str] = {}  # of pixels, by that of the bytes: it costs a decode


def _pixel_hash_of(given: GivenPicture) -> str:
    if given.source not in _hashes:
        if len(_hashes) >= _MOST_HASHES:
            _hashes.clear()
        _hashes[given.source] = pixel_hash(_opaque(given.image))
    return _hashes[given.source]
