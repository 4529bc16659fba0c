"""One request: checked when it is made, immutable, with its wire body, its key and its price."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product, starmap
from typing import TYPE_CHECKING, Any, Self, cast

from ..catalog import DEFAULT_MODEL, WIRE_PARAMETERS, Model, edges, find, resolve_size
from ..errors import InvalidRequestError
from ..formats import SUFFIX
from ..money import Price
from .checks import (
    Extra,
    canonical,
    check_extra,
    check_model,
    check_names,
    check_no_key,
    check_prompt,
    check_value,
    shown,
)
from .inputs import NO_INPUTS, Inputs
from .options import WIRE_KINDS
from .prompt_template import sent_as_typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .inputs import InputPicture
    from .options import (
        Background,
        InputFidelity,
        ModelId,
        Moderation,
        OutputFormat,
        Quality,
        ResponseFormat,
        SizeText,
        Style,
    )

GENERATIONS, EDITS = "/images/generations", "/images/edits"
_NO_EXTRA = Extra()
_KEY_VERSION = "comet_magic/1"
# They change the number of pictures, the user and how the answer is sent, but no picture.
_NOT_IN_KEY = frozenset({"n", "user", "stream", "partial_images", "response_format", "safety_identifier"})
_MOST_AT_ONCE = 100  # pictures of a request
_MOST_IN_SEQUENCE = 15  # https://apidoc.cometapi.com/api/image/seededit-seedream/bytedance-image-generation


@dataclass(frozen=True)
class ImageRequest:
    """A request that its model takes. `comet_magic.generate` explains the parameters; None means not sent.

    `size` may also be a word (square, portrait, landscape) or a ratio (16:9); it becomes the nearest size. `asked` is
    what a person gave where something else is sent: a ratio, or the words before a template was put around them.

    Raises:
        InvalidRequestError: a rule of the model is broken; `param` names the parameter.

    Example:
        >>> import comet_magic as cm
        >>> request = cm.ImageRequest("a paper boat", size="16:9", quality="low")
        >>> request.body()
        {'model': 'gpt-image-2', 'prompt': 'a paper boat', 'size': '1536x864', 'quality': 'low'}
        >>> print(request.estimate())
        at most $0.003
        >>> cm.ImageRequest("a paper boat", model="qwen-image", n=4)
        Traceback (most recent call last):
            ...
        comet_magic.errors.InvalidRequestError: n is 4; qwen-image takes 1
    """

    prompt: str
    model: ModelId = DEFAULT_MODEL
    n: int = 1
    size: SizeText | None = None
    quality: Quality | None = None
    style: Style | None = None
    background: Background | None = None
    output_format: OutputFormat | None = None
    output_compression: int | None = None
    response_format: ResponseFormat | None = None
    moderation: Moderation | None = None
    user: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    input_fidelity: InputFidelity | None = None
    extra: Mapping[str, Any] = _NO_EXTRA
    inputs: Inputs = NO_INPUTS
    asked: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in (*WIRE_PARAMETERS, "extra"):
            value = getattr(self, name)
            if value is not None and value is not _NO_EXTRA:
                check_no_key(name, value)
        check_model(self.model)
        check_prompt(self.spec, self.prompt, keys=False)
        # Equal requests get equal values.
        if isinstance(self.size, str):
            object.__setattr__(self, "size", resolve_size(self.spec, self.size))
        if self.stream is False:
            object.__setattr__(self, "stream", None)
        if self.n is None:
            object.__setattr__(self, "n", 1)
        if self.inputs is None:
            object.__setattr__(self, "inputs", NO_INPUTS)
        if not isinstance(self.extra, Extra):
            object.__setattr__(self, "extra", Extra(self.extra))
        for name, value in self._set():
            check_value(self.spec, name, value)
        self._check_together()
        if self.extra:
            check_extra(self.extra)

    def _check_together(self) -> None:
        """Check parameters that are valid alone but not together.

        https://developers.openai.com/api/reference/resources/images/methods/generate
        """
        picture = self.output_format or "png"
        if self.background == "transparent" and picture == "jpeg":
            said, param = "background is transparent; use png or webp, jpeg has no transparency", "background"
        elif self.output_compression is not None and picture == "png" and self.spec.known:
            said, param = (
                "output_compression is set; jpeg and webp take it, png does not",
                "output_compression",
            )
        elif self.partial_images is not None and not self.stream:
            said, param = (
                f"partial_images is {self.partial_images}; it works with stream only",
                "partial_images",
            )
        elif self.stream and self.n > 1:
            # "Streaming is only supported with n=1.": https://github.com/vercel/ai/issues/6102
            said, param = f"n is {self.n}; {self.model} takes 1 with stream", "n"
        elif self.input_fidelity is not None and not self.inputs.images:
            said, param = "input_fidelity is set; it works with input pictures only", "input_fidelity"
        else:
            return
        raise InvalidRequestError(said, param=param)

    @property
    def spec(self) -> Model:
        """The model in the catalog."""
        return find(self.model)

    @property
    def path(self) -> str:
        """Where it goes, below the base URL."""
        rules = self.spec.inputs
        return EDITS if self.inputs.images and rules is not None and rules.route == "edits" else GENERATIONS

    def _set(self) -> Iterator[tuple[str, Any]]:
        """The parameters that are set, except model, prompt and extra, in wire order."""
        for name in WIRE_PARAMETERS[2:]:
            value = getattr(self, name)
            if value is not None:
                yield name, value

    def body(self) -> dict[str, Any]:
        """The JSON that is sent: only what is set; `n` only if it is not 1."""
        facts = self.to_dict()
        extra = facts.pop("extra", {})
        return {**facts, **extra}

    def to_dict(self) -> dict[str, Any]:
        """The request as plain JSON values: what is set, with `extra` under its own name."""
        facts = {"model": self.model, "prompt": self.prompt, **dict(self._set())}
        if self.n == 1:
            del facts["n"]
        if self.extra:
            facts["extra"] = dict(self.extra)
        return facts

    @classmethod
    def from_dict(
        cls, facts: Mapping[str, Any], inputs: Inputs = NO_INPUTS, asked: Mapping[str, Any] | None = None
    ) -> Self:
        """The request that `to_dict` gave, with these inputs, and what a person asked.

        Only the kinds of its values are checked: rules may have changed since.

        Raises:
            InvalidRequestError: a name is not a parameter, there is no prompt, or a value is of another kind.
        """
        check_names(facts, (*WIRE_PARAMETERS, "extra"))
        if not isinstance(facts.get("prompt"), str):
            raise InvalidRequestError("prompt is missing", param="prompt")
        request = cls("-", inputs=inputs, asked=asked)
        for name, value in facts.items():
            if value is None:
                continue
            if type(value) is not WIRE_KINDS.get(name, str):
                raise InvalidRequestError(f"{name} is {shown(value)}", param=name)
            object.__setattr__(request, name, Extra(value) if name == "extra" else value)
        if not 1 <= request.n <= _MOST_AT_ONCE:
            raise InvalidRequestError(f"n is {shown(request.n)}", param="n")
        return request

    def key(self, vendor: str) -> str:
        """The key of these pictures at this vendor: sha256, as hex, of everything that changes them.

        What is not set is left out, so a later default cannot change a key.
        """
        return hashlib.sha256(self.key_text(vendor).encode()).hexdigest()

    def key_text(self, vendor: str) -> str:
        """The text that `key` hashes: everything that changes the pictures, in canonical form."""
        parameters = self.to_dict()
        extra = parameters.pop("extra", {})
        model, prompt = parameters.pop("model"), parameters.pop("prompt")
        facts = {"version": _KEY_VERSION, "vendor": vendor, "model": model, "prompt": prompt}
        for name in _NOT_IN_KEY:
            parameters.pop(name, None)
            extra.pop(name, None)
        inputs = {"inputs": self.inputs.key} if self.inputs.images else {}
        return canonical({**facts, "parameters": parameters, "extra": extra, **inputs})

    def with_prompt(self, prompt: str) -> Self:
        """The same request with another prompt; only the prompt is checked.

        Raises:
            InvalidRequestError: the prompt is blank, too long or not text.
        """
        check_prompt(self.spec, prompt)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, prompt=prompt)
        return other

    def estimate(self, price_per_image_micro: int | None = None) -> Price:
        """The cost, from the least to the most; None at both ends if unknown.

        The least is without prompt and previews: how many tokens a prompt takes is counted by the server only, and it
        may send fewer previews. `price_per_image_micro` is used if the table has no price.
        """
        tariff, each, beside = self.spec.price, self.picture_price(), 0
        if tariff and each.known:
            beside = tariff.prompt(len(self.prompt))
            beside += self.partial_images * (tariff.partial or 0) if self.partial_images else 0
        else:
            each = Price(price_per_image_micro, price_per_image_micro)
        if each.low_micro is None or each.high_micro is None:
            return each
        low, high = self._input_price() if self.inputs.images else (0, 0)
        if low is None or high is None:
            return Price(None, None)
        return Price(each.low_micro * self.n + low, each.high_micro * self.most_pictures + high + beside)

    def _input_price(self) -> tuple[int | None, int | None]:
        """Micro-USD of the input pictures, which are billed again for each picture made; None if unknown."""
        tariff, rules = self.spec.price, self.spec.inputs
        if tariff is None or tariff.image_out is None or rules is None:
            return 0, 0  # priced by the picture
        fine = self.input_fidelity == "high"
        counts = [rules.tokens(one.width, one.height, high_fidelity=fine) for one in self.inputs.images]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None, None
        return tuple(tariff.inputs(sum(ends) * self.n) for ends in zip(*known, strict=True))  # type: ignore[return-value]

    def picture_price(self) -> Price:
        """The price of one picture without its prompt, whatever the server chooses for `auto`."""
        return _picture_price(self.model, self.size, self.quality)

    @property
    def most_pictures(self) -> int:
        """How many pictures may come: more than `n` if the model may make a sequence of each."""
        if not self.extra or self.extra.get("sequential_image_generation") != "auto":
            return self.n
        options = self.extra.get("sequential_image_generation_options")
        most = options.get("max_images") if isinstance(options, dict) else None
        return self.n * (most if type(most) is int and 1 <= most <= _MOST_IN_SEQUENCE else _MOST_IN_SEQUENCE)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know before it is sent, one sentence each."""
        spec = self.spec
        typed = sent_as_typed(self.prompt) if "|" in self.prompt else ""
        retired = f"{self.model} is retired on {spec.retired}" if spec.retired else ""
        preview = self.background == "transparent" and spec.transparent == "preview"
        refused = (
            f"a transparent background is a preview on {self.model}; it may be refused" if preview else ""
        )
        unpriced = "" if self.estimate().known else f"the price of {self.model} is not known before the call"
        return tuple(
            notice
            for notice in (
                *(typed, spec.notice, retired, refused, unpriced),
                *self.inputs.notices,
            )
            if notice
        )

    def difference(self, mime: str, width: int, height: int) -> str:
        """In words, how a picture differs from the size and the format that were requested; "" if it does not."""
        kind, asked = mime.removeprefix("image/"), (self.output_format or "").lower().replace("jpg", "jpeg")
        requested, arrived = [], []
        if edges(self.size) not in (None, (width, height)):
            requested.append(str(self.size))
            arrived.append(f"{width}x{height}")
        if asked in ("png", "jpeg", "webp") and asked != kind:
            requested.append(asked)
            arrived.append(kind)
        return f"{' '.join(arrived)} arrived, {' '.join(requested)} was requested" if requested else ""

    @property
    def mime_hint(self) -> str:
        """The MIME type that was requested; the type that arrives is read from its bytes."""
        return f"image/{self.output_format or 'png'}"


@lru_cache(maxsize=1024)
def _picture_price(model: str, size: str | None, quality: str | None) -> Price:
    spec = find(model)
    sizes = spec.auto_sizes if size in (None, "auto") else (size,)
    words = spec.auto_qualities if quality in (None, "auto") else (quality,)
    variants = list(product(sizes or ("",), words or ("",)))  # "" if the model has no such parameter
    most = list(starmap(spec.price.picture, variants)) if spec.price else [None]
    least = list(starmap(spec.price.least, variants)) if spec.price else [None]
    if None in most:
        return Price(None, None)
    return Price(min(cast("list[int]", least)), max(cast("list[int]", most)))


def cost_of(
    request: ImageRequest, usage: Mapping[str, Any] | None, images: int, price_per_image: int | None = None
) -> int | None:
    """Micro-USD of an answered call, by its usage or else its printed price; None if neither is known.

    `price_per_image` is used if the table has no price. A usage that comes to less than half of the lowest price
    of these pictures is not believed (many gateways send zeros): the cost is unknown, and what was reserved counts.
    """
    tariff = request.spec.price
    counted = tariff.of_usage(usage) if tariff else None
    if counted is not None:
        lowest = request.picture_price().low_micro or 0
        return counted if 2 * counted >= lowest * images else None
    each = price_per_image
    if tariff and tariff.image_out is None:  # billed by a printed price, not by tokens
        printed = request.picture_price()
        same = printed.low_micro == printed.high_micro
        each = printed.high_micro if printed.known and same else price_per_image
    return None if each is None else each * images


# --- on the wire: JSON, or a form with files for edits


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
    if inputs.images:
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
