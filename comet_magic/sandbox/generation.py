"""From the body of a generation to its response: checked by the catalog, answered as the vendor answers."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import WIRE_PARAMETERS, edges, find, output_tokens
from ..catalog.prices import PARTIAL_TOKENS
from ..errors import InvalidRequestError
from ..money import MILLION
from ..request import NO_INPUTS, ImageRequest, Inputs, cost_of
from .error_replies import GATEWAY, PICTURE, ErrorReply
from .signed_urls import PictureSpec, painted_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..catalog import Model

# Output tokens of a picture whose price is unknown: a usage must be complete.
_UNKNOWN_TOKENS = 1756
_TOKENS_OF_A_SQUARE = 1024  # of an input picture, where nothing is known
_USUAL_GROUP, _MOST_IN_GROUP = 3, 15


def parse(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; null counts as absent.

    Raises:
        ErrorReply: it is not a JSON object; CometAPI's gateway answers that with 500.
    """
    # https://apidoc.cometapi.com/errors/error-codes-handling
    fields: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ErrorReply(500, "The body is no JSON object", type=GATEWAY, code="invalid_request")
    return {name: value for name, value in fields.items() if value is not None}


def accept(fields: Mapping[str, Any], *, first: int = 0, inputs: Inputs = NO_INPUTS) -> AcceptedRequest:
    """Check a request against the catalog; `first` is the position of its first picture, `inputs` those that came.

    Raises:
        ErrorReply: it breaks a rule.
    """
    for name in ("model", "prompt"):
        if name not in fields:
            raise ErrorReply(
                400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
            )
        if not isinstance(fields[name], str):
            raise ErrorReply(
                400, f"Invalid type for '{name}': expected a string.", code="invalid_type", param=name
            )
    model = find(fields["model"])
    if not model.known:
        message = f"no available channel for group default and model {model.id} (distributor)"
        raise ErrorReply(503, message, type=GATEWAY, code="model_not_found", param="")
    named = {name: value for name, value in fields.items() if name in WIRE_PARAMETERS}
    extra = {name: value for name, value in fields.items() if name not in WIRE_PARAMETERS}
    refused: InvalidRequestError | None = None
    try:
        request = ImageRequest(**named, extra=extra, inputs=inputs)
    except InvalidRequestError as problem:
        refused = problem
    if refused:
        raise _error_reply(refused, fields, model)
    if request.size != named.get("size"):
        # The client translates words such as "16:9"; the real API does not know them.
        raise _wrong_size(named["size"], str(model.parameters["size"]))
    return AcceptedRequest.of(request, model, first)


def _error_reply(problem: InvalidRequestError, fields: Mapping[str, Any], model: Model) -> ErrorReply:
    """The error of the catalog in the words of the vendor."""
    param = problem.param
    if param in WIRE_PARAMETERS and param not in {"model", "prompt", *model.parameters}:
        # https://github.com/vercel/ai/issues/6102
        return ErrorReply(400, f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)
    if fields.get("stream") is True and param in {"n", "stream"}:
        return ErrorReply(400, "Streaming is only supported with n=1.", code="invalid_value", param=param)
    if param == "size":
        return _wrong_size(fields["size"], str(model.parameters["size"]))
    if param == "background":
        return ErrorReply(400, f"{problem}.", type=PICTURE, code="invalid_value", param=param)
    return ErrorReply(400, f"Invalid value for '{param}': {problem}.", code="invalid_value", param=param)


def _wrong_size(size: object, taken: str) -> ErrorReply:
    return ErrorReply(
        400, f"Invalid size '{size}'. Supported: {taken}.", type=PICTURE, code="invalid_value", param="size"
    )


@dataclass(frozen=True)
class AcceptedRequest:
    """A request that was accepted, with values for all that it left open."""

    request: ImageRequest
    model: Model
    size: str
    quality: str | None
    specs: tuple[PictureSpec, ...]

    @classmethod
    def of(cls, request: ImageRequest, model: Model, first: int) -> AcceptedRequest:
        """Choose what is `auto` or missing, always in the same way."""
        size = request.size if request.size not in {None, "auto"} else _own_size(request, model)
        quality = request.quality
        if quality in {None, "auto"} and model.auto_qualities:
            quality = "medium" if "medium" in model.auto_qualities else model.auto_qualities[0]
        # Seedream's `2K` is a square of 2048 pixels:
        # https://apidoc.cometapi.com/api/image/seededit-seedream/bytedance-image-generation
        width, height = edges(size) or (int(str(size).removesuffix("K")) * 1024,) * 2
        specs = tuple(
            PictureSpec(
                painted_words(request.prompt),
                width,
                height,
                position,
                transparent=request.background == "transparent",
                output_format=request.output_format or ("jpeg" if model.family == "seedream" else "png"),
                compression=request.output_compression,
            )
            for position in range(first, first + request.n * _in_group(request))
        )
        return cls(request, model, f"{width}x{height}", quality, specs)

    @property
    def steps(self) -> int:
        """The number of pieces of the response."""
        return 1 + self.previews

    @property
    def previews(self) -> int:
        """The number of streamed previews."""
        return (self.request.partial_images or 0) if self.request.stream else 0

    @property
    def form(self) -> str:
        """`url` or `b64_json`."""
        if self.model.answers == "either":
            default = "url" if "response_format" in self.model.parameters else "b64_json"
            return self.request.response_format or default
        return self.model.answers

    @property
    def paints(self) -> bool:
        """Whether the response contains the pictures themselves."""
        return self.form == "b64_json"

    @property
    def charge(self) -> int:
        """Its cost in micro-USD of play money; 0 if the catalog has no price."""
        return cost_of(self.request, self.usage(), len(self.specs)) or 0

    def usage(self) -> dict[str, Any]:
        """The tokens of all its pictures, in the shape of the gpt-image models."""
        each = output_tokens(self.model, self.size, self.quality or "auto") or self._tokens_by_price()
        made = each * len(self.specs) + PARTIAL_TOKENS * self.previews
        seen = _image_tokens(self.request, self.model)
        # Four bytes are about one token; the page's own example, 47 letters, counts 13.
        read = 1 + -(-len(self.request.prompt.encode()) // 4)
        return {
            "input_tokens": read + seen,
            "output_tokens": made,
            "total_tokens": read + seen + made,
            "input_tokens_details": {"text_tokens": read, "image_tokens": seen},
        }

    def _tokens_by_price(self) -> int:
        price = self.model.price
        cost = price.picture(self.size, self.quality or "") if price else None
        return cost * MILLION // price.image_out if price and price.image_out and cost else _UNKNOWN_TOKENS

    def document(self, now: int, url_of: Callable[[PictureSpec, int], str]) -> Iterator[bytes]:
        """The response as one piece of JSON, painted when it is taken."""
        if self.form == "url":
            data = [{"url": url_of(spec, now)} for spec in self.specs]
        else:
            data = [{"b64_json": _encoded(spec, spec.paint())} for spec in self.specs]
        yield json.dumps(self._shaped(now, data)).encode()

    def _shaped(self, now: int, data: list[dict[str, str]]) -> dict[str, Any]:
        """The response as the model's family sends it."""
        plain = {"created": now, "data": data}
        match self.model.family:
            case "gpt-image":
                usage = self.usage()
                usage["output_tokens_details"] = {"image_tokens": usage["output_tokens"], "text_tokens": 0}
                return {**plain, **self.chosen_values(), "usage": usage}
            case "dall-e-3":
                revised = {"revised_prompt": f"{self.request.prompt} Painted by the sandbox."}
                return {**plain, "data": [{**revised, **item} for item in data]}
            case "qwen-image":
                # Gateways of this kind send "" for absent fields:
                # https://github.com/QuantumNous/new-api/blob/main/dto/openai_image.go
                absent = {"url": "", "b64_json": "", "revised_prompt": ""}
                return {**plain, "data": [{**absent, **item} for item in data]}
            case "seedream":
                # https://apidoc.cometapi.com/api/image/seededit-seedream/bytedance-image-generation
                tokens = self.usage()["output_tokens"]
                usage = {"generated_images": len(data), "output_tokens": tokens, "total_tokens": tokens}
                sized = [{**item, "size": self.size} for item in data]
                return {**plain, "model": self.model.id, "data": sized, "usage": usage}
            case _:
                return plain

    def events(self, now: int) -> Iterator[bytes]:
        """The response as server-sent events: previews, then the picture."""
        from .painter import partials

        spec = self.specs[0]
        image = spec.paint()
        for index, preview in enumerate(partials(image, self.previews) if self.previews else ()):
            yield self._event("partial_image", now, _encoded(spec, preview), partial_image_index=index)
        yield self._event("completed", now, _encoded(spec, image), usage=self.usage())

    def _event(self, name: str, now: int, picture: str, **more: Any) -> bytes:
        kind = f"image_{'edit' if self.request.inputs.images else 'generation'}.{name}"
        body = {"type": kind, "created_at": now, **self.chosen_values(), **more, "b64_json": picture}
        return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()

    def chosen_values(self) -> dict[str, Any]:
        """The chosen values, as responses and events of the gpt-image models have them."""
        spec = self.specs[0]
        return {
            "background": "transparent" if spec.transparent else "opaque",
            "output_format": spec.output_format,
            "quality": self.quality,
            "size": self.size,
        }


def _own_size(request: ImageRequest, model: Model) -> str:
    """The size that the model chooses; one that only edits follows the last picture."""
    last = request.inputs.images[-1] if request.inputs.images and not model.auto_sizes else None
    return f"{last.width}x{last.height}" if last else model.auto_sizes[0]


def _in_group(request: ImageRequest) -> int:
    """How many pictures a group of Seedream has; the model would choose, this takes what was allowed."""
    if request.extra.get("sequential_image_generation") != "auto":
        return 1
    options = request.extra.get("sequential_image_generation_options")
    most = options.get("max_images") if isinstance(options, dict) else None
    return most if type(most) is int and 1 <= most <= _MOST_IN_GROUP else _USUAL_GROUP


def _image_tokens(request: ImageRequest, model: Model) -> int:
    """Tokens of the input pictures, again for each picture made."""
    counts = [
        model.inputs.tokens(one.width, one.height) if model.inputs else None for one in request.inputs.images
    ]
    return request.n * sum(count[1] if count else _TOKENS_OF_A_SQUARE for count in counts)


def _encoded(spec: PictureSpec, image: Any) -> str:
    return base64.b64encode(spec.encode(image)).decode()
