"""Pictures that go into a request, made ready once: upright, without EXIF, 8 bit RGB or RGBA, sRGB, within limits.

What needs no change keeps its own bytes. A picture is known by its pixels, whatever it was given as.
"""

from __future__ import annotations

import hashlib
import io
import math
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..catalog import DEFAULT_MODEL, find
from ..errors import InvalidRequestError
from ..request import NO_INPUTS, GivenFile, InputPicture, Inputs, has_pictures
from .masks import as_markup, as_mask, scaled, selected
from .reading import GivenPicture, content_of, eight_bits, label_of, open_content, readable, see_through

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image

    from ..catalog import Model
    from ..catalog.model import InputRules

_LEAST_EDGE = 16  # pixels
_MOST_KNOWN = 10_000  # files
_AT_ONCE = 4 << 20  # bytes of pixels that are hashed at once


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
    sent = [fit.prepare(value, number) for number, value in enumerate(given, 1)]
    notices = [one.notice for one in sent if one.notice][:1]
    mask = markup = original = None
    if options.get("mask") is not None:
        mask = fit.mask(selected(options["mask"], sent[0].given))
        original = fit.exactly().prepare(given[0]).picture if sent[0].changed else None
        notices += ["the mask is the first picture's"] if len(given) > 1 else []
    if options.get("markup") is not None:
        markup = fit.overlay(as_markup(options["markup"], sent[0].given), "markup")
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
    """Each of the pictures given, flattened."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _listed(one)
    else:
        yield value


def _rules(model: Model, given: list[Any], options: Mapping[str, Any]) -> InputRules:
    """The model's rules for these inputs.

    Raises:
        InvalidRequestError: it does not take them.
    """
    rules, said, param = model.inputs, "", "image"
    mask, markup = (options.get(name) is not None for name in ("mask", "markup"))
    missing = [number for number, one in enumerate(given, 1) if one is None]
    if len(missing) == len(given):
        said = "image is an empty list; give a picture, or leave image out"
    elif missing:  # to send the others would buy another picture than was meant
        said = f"{label_of('image', missing[0])} is None; give a picture in its place, or leave it out"
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


# --- fitting the model


@dataclass(frozen=True)
class _Sent:
    """A prepared picture.

    Attributes:
        given: the size that it was given in.
        changed: whether its pixels are not those that were given.
        notice: what was changed, if the caller should know.
    """

    picture: InputPicture
    given: tuple[int, int]
    changed: bool = False
    notice: str = ""


class _SentAsItIs(NamedTuple):
    """What is known of a file that needed no change; it is not decoded again."""

    mime: str
    size: tuple[int, int]
    sha256: str


# By hash and length of the file, and what it was made to fit. Python keys its hash of bytes anew in each process
# (unless PYTHONHASHSEED is set), so that nobody can make two files that share it; an object's own is worked out once.
_as_it_is: dict[tuple[int, int, _Fit], _SentAsItIs] = {}


@dataclass(frozen=True)
class _Fit:
    """Makes pictures fit one model; or, if it is exact, keeps every pixel, the transparent ones too."""

    rules: InputRules
    model: str
    resize: bool
    exact: bool = False

    def exactly(self) -> _Fit:
        """The same without limits."""
        rules = replace(self.rules, flatten=False, largest=sys.maxsize)
        return _Fit(rules, self.model, resize=False, exact=True)

    def prepare(self, value: Any, number: int = 0) -> _Sent:
        """The picture as it is sent."""
        label = label_of("image", number)
        found = content_of(value, label, "image")
        file = found if isinstance(found, bytes) else b""
        name = hash(file), len(file), self
        known = _as_it_is.get(name)
        if known is not None:
            own = GivenFile(len(file))
            return _Sent(InputPicture.of(file, known.mime, known.size, known.sha256, own), known.size)
        most = self.rules.pixels if self.resize else math.inf
        given = open_content(found, label, "image", most_pixels=most)
        width, height = given.size
        if min(width, height) < _LEAST_EDGE:
            said = f"{label} is {width}x{height}; it takes at least {_LEAST_EDGE} pixels a side"
            raise InvalidRequestError(said, param="image")
        takes = readable(lambda: self._takes(given), label, "image")
        whole = takes and given.data is found
        source = GivenFile(len(file), None if whole else hashlib.sha256(file).hexdigest()) if file else None
        del found, file  # pixels take much more room than files
        if not takes:
            return readable(lambda: self._encoded(given, source), label, "image")
        sent = readable(lambda: self._unchanged(given, source), label, "image")
        if whole:
            if len(_as_it_is) >= _MOST_KNOWN:
                _as_it_is.clear()
            _as_it_is[name] = _SentAsItIs(given.mime, given.size, sent.picture.sha256)
        return sent

    def _takes(self, given: GivenPicture) -> bool:
        """Whether a picture is sent in its own bytes."""
        data, size = given.data, given.size
        fits = data is not None and len(data) <= self.rules.largest and size == self._size(size)
        return fits and _is_plain(given, flatten=self.rules.flatten)

    def _unchanged(self, given: GivenPicture, source: GivenFile | None) -> _Sent:
        data, image = cast("bytes", given.data), _opaque(given.load())
        picture = InputPicture.of(data, given.mime, given.size, pixel_hash(image), source)
        return _Sent(picture, given.size)

    def _encoded(self, given: GivenPicture, source: GivenFile | None) -> _Sent:
        size, upright = self._size(given.size), _srgb(eight_bits(given.load()))
        image = _flattened(upright) if self.rules.flatten else _opaque(upright)
        changed, notice = image.mode != upright.mode, ""
        if size != given.size:
            image = image.resize(size, _filter(), reducing_gap=2.0)
            before, after = ("{}x{}".format(*each) for each in (given.size, size))
            notice = f"{given.label} was shrunk from {before} to {after}, all that {self.model} uses"
        photo = given.mime == "image/jpeg" or getattr(given.image, "format", "") in ("JPEG", "MPO")
        data, mime = _file_of(image, photo=photo and not self.exact, largest=self.rules.largest)
        if len(data) > self.rules.largest:
            said = f"{given.label} has {len(data):,} bytes; {self.model} takes {self.rules.largest:,}"
            raise InvalidRequestError(said, param="image", hint="Give a smaller picture.")
        picture = InputPicture.of(data, mime, size, pixel_hash(image), source)
        return _Sent(picture, given.size, changed or bool(notice) or mime == "image/jpeg", notice)

    def mask(self, selection: Image) -> InputPicture:
        """The mask of a selection."""
        return self.overlay(as_mask(scaled(selection, self._size(selection.size))), "mask")

    def overlay(self, image: Image, name: str) -> InputPicture:
        """The mask or the markup, shrunk like the picture that it lies on."""
        size = self._size(image.size)
        if size != image.size:
            image = image.resize(size, _filter(), reducing_gap=2.0)
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
    rows = max(1, _AT_ONCE // (image.width * 4))  # all of a large picture would be here twice
    for top in range(0, image.height, rows):
        box = 0, top, image.width, min(top + rows, image.height)
        whole.update((image if box[3] - top == image.height else image.crop(box)).tobytes())
    return whole.hexdigest()
