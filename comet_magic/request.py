"""One request for pictures: frozen, checked against the catalog, priced, with its key.

    ImageRequest("a boat", size="16:9", quality="low").body() -> what goes on the wire
    request.key("cometapi") -> sha256 of all that changes the picture
    request.estimate() -> Price, a range of micro-USD; cost_of(request, usage, images) -> micro-USD or None
    request.to_dict(), ImageRequest.from_dict(facts) -> plain JSON and back, unchecked on the way back
    request.notices, request.mime_hint, request.spec (its `catalog.Model`)
    plan_requests("a boat", n=25) -> as many requests as the model needs
    dollars(4704) -> "$0.0047"; parse_dollars("$5") -> 5_000_000

Nothing here sends, stores, or knows the day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Self, TypedDict

from . import catalog
from .catalog import DEFAULT_MODEL, WIRE_PARAMETERS, Model, suggest
from .catalog.show import dollars
from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CALL_OPTIONS",
    "Extra",
    "ImageRequest",
    "Options",
    "Price",
    "cost_of",
    "dollars",
    "parse_dollars",
    "plan_requests",
]

CALL_OPTIONS = frozenset({"timeout", "max_cost", "reuse", "on_event"})
MOST_PICTURES = 100  # of one call, all its requests together
_KEY_VERSION = "comet_magic/1"
# They change who asked and how the answer travels, not the picture.
_NOT_IN_KEY = ("n", "user", "stream", "partial_images", "response_format")
_NEVER_OPENED = ("svg", "frame_count", "frame_duration_ms")


class Options(TypedDict, total=False):
    """What every door takes beside the prompt."""

    model: str | None
    n: int
    size: str | None
    quality: str | None
    style: str | None
    background: str | None
    output_format: str | None
    output_compression: int | None
    response_format: str | None
    moderation: str | None
    user: str | None
    stream: bool | None
    partial_images: int | None
    extra: Mapping[str, Any] | None
    timeout: float | None
    max_cost: float | None
    reuse: bool | None
    on_event: Callable[[Any], object] | None


class Extra(Mapping[str, Any]):
    """Parameters the table does not know: JSON that nobody can change, equal when its text is equal."""

    __slots__ = ("_text",)

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._text = _canonical("extra", dict(values or {}))

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Extra) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return repr(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """A copy as plain JSON values."""
        values: dict[str, Any] = json.loads(self._text)
        return values


def _canonical(name: str, value: object) -> str:
    """The one text of a JSON value: sorted, without spaces, ASCII only."""
    reason = "it is no JSON"
    try:
        json.dumps(value, ensure_ascii=False).encode()
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except UnicodeEncodeError:
        reason = "it holds half a character"
    except RecursionError:
        reason = "it is nested too deeply"
    except (TypeError, ValueError):
        pass
    raise InvalidRequestError(f"{name} cannot be sent: {reason}", param=name)


@dataclass(frozen=True)
class Price:
    """From `low` to `high` micro-USD; None where it is not known."""

    low: int | None
    high: int | None

    @property
    def known(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None

    def __add__(self, other: Price) -> Price:
        return Price(_sum(self.low, other.low), _sum(self.high, other.high))

    def times(self, count: int) -> Price:
        """The price of `count` of the same."""
        return Price(*(None if end is None else end * count for end in (self.low, self.high)))

    def __str__(self) -> str:
        ends = dict.fromkeys((dollars(self.low), dollars(self.high)))
        return " to ".join(ends) if self.known else "unknown"


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True)
class ImageRequest:
    """One request the model takes; what is None is not sent.

    Raises:
        InvalidRequestError: a rule of the model is broken; `param` names the parameter.
    """

    prompt: str
    model: str = DEFAULT_MODEL
    n: int = 1
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    response_format: str | None = None
    moderation: str | None = None
    user: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    extra: Mapping[str, Any] = field(default_factory=Extra)

    def __post_init__(self) -> None:
        _check_model(self.model)
        if isinstance(self.size, str):
            object.__setattr__(self, "size", catalog.resolve_size(self.spec, self.size))
        if not isinstance(self.extra, Extra):
            object.__setattr__(self, "extra", Extra(self.extra))
        _check_prompt(self.spec, self.prompt)
        for name, value in self._given():
            _check_value(self.spec, name, value)
        _check_together(self)
        _check_extra(self.extra)

    @property
    def spec(self) -> Model:
        """What the catalog knows of the model."""
        return catalog.find(self.model)

    def _given(self) -> list[tuple[str, Any]]:
        """The parameters that are set, but for model and prompt; `stream` only when it is on."""
        pairs = [(name, getattr(self, name)) for name in WIRE_PARAMETERS[2:]]
        return [
            (name, value) for name, value in pairs if value is not None and (name, value) != ("stream", False)
        ]

    def body(self) -> dict[str, Any]:
        """The JSON that goes on the wire: what is set and nothing else."""
        sent = {name: value for name, value in self._given() if (name, value) != ("n", 1)}
        return {"model": self.model, "prompt": self.prompt, **sent, **dict(self.extra)}

    def key(self, vendor: str) -> str:
        """The name of these pictures at this vendor: sha256 over all that changes them, as hex."""
        picture = {name: value for name, value in self._given() if name not in _NOT_IN_KEY}
        extra = {name: value for name, value in self.extra.items() if name != "safety_identifier"}
        facts = {"model": self.model, "prompt": self.prompt, "vendor": vendor, "version": _KEY_VERSION}
        text = _canonical("extra", {**facts, "parameters": picture, "extra": extra})
        return hashlib.sha256(text.encode()).hexdigest()

    def estimate(self, price_per_image: int | None = None) -> Price:
        """What it should cost in micro-USD; a range where `auto` chooses.

        `price_per_image` stands in where the table has no price.
        """
        tariff = self.spec.price
        ends = [tariff.picture(size, word) if tariff else None for size, word in self.outcomes()]
        costs = [price_per_image if end is None else end for end in ends]
        known = [cost for cost in costs if cost is not None]
        if not known or len(known) < len(costs):
            return Price(None, None)
        beside = 0 if tariff is None or None in ends else self._beside(tariff)
        return Price(min(known) * self.n + beside, max(known) * self.n + beside)

    def outcomes(self) -> list[tuple[str, str]]:
        """Each size and quality the server may choose."""
        sizes = self.spec.auto_sizes if self.size in (None, "auto") else (self.size or "",)
        words = self.spec.auto_qualities if self.quality in (None, "auto") else (self.quality or "",)
        return [(size, word) for size in sizes or ("",) for word in words or ("",)]

    def _beside(self, tariff: catalog.Tariff) -> int:
        """Prompt and previews."""
        return tariff.prompt(len(self.prompt)) + (self.partial_images or 0) * (tariff.partial or 0)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know before it is sent, one sentence each."""
        spec = self.spec
        found = [spec.notice] if spec.notice else []
        if spec.retired:
            found.append(f"{self.model} ends at its vendor on {spec.retired}; CometAPI may differ")
        if self.background == "transparent" and spec.transparent == "preview":
            found.append(f"background transparent is a preview on {self.model} and may be refused")
        if not self.estimate().known:
            found.append(f"the price of {self.model} is not known before the call")
        return tuple(found)

    @property
    def mime_hint(self) -> str:
        """The type of picture that was asked for; the bytes decide what it is."""
        return f"image/{self.output_format or 'png'}"

    def to_dict(self) -> dict[str, Any]:
        """The request as plain JSON values: what is set, `extra` as one member."""
        facts = {"prompt": self.prompt, "model": self.model, **dict(self._given())}
        return {**facts, "extra": dict(self.extra)} if self.extra else facts

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """The request that `to_dict` told of, taken as it was checked then: rules may have changed since."""
        names = [member.name for member in fields(cls)]
        _check_names(facts, names)
        request = cls("-")
        for name in names:
            if name in facts:
                value = Extra(facts[name]) if name == "extra" else facts[name]
                object.__setattr__(request, name, value)
        return request


def _check_names(facts: Mapping[str, Any], names: list[str]) -> None:
    for name in facts:
        if name not in names:
            meant = suggest(str(name), names)
            hint = f"Did you mean {meant}?" if meant else "Parameters the table does not know go into extra."
            raise InvalidRequestError(f"{name} is no parameter", param=str(name), hint=hint)


def _check_model(model: object) -> None:
    if not isinstance(model, str) or not model.strip() or not model.isprintable() or len(model) > 200:
        raise InvalidRequestError(f"model is {_shown(model)}; an id of a model is taken", param="model")


def _check_prompt(spec: Model, prompt: object) -> None:
    if not isinstance(prompt, str) or not prompt.strip():
        given = "empty" if isinstance(prompt, str) else f"a {type(prompt).__name__}"
        raise InvalidRequestError(f"prompt is {given}; a text is taken", param="prompt")
    if len(prompt) > spec.prompt_limit:
        taken = f"{spec.id} takes at most {spec.prompt_limit}"
        raise InvalidRequestError(f"prompt has {len(prompt)} characters; {taken}", param="prompt")
    for character in prompt:
        if (character < " " and character not in "\t\n\r") or "\ud800" <= character <= "\udfff":
            raise InvalidRequestError(f"prompt holds the character U+{ord(character):04X}", param="prompt")


def _shown(value: object) -> str:
    """A value as a message repeats it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else repr(value)
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return (text if len(text) <= 80 else f"{text[:79]}…") or "empty"


_NO_PARAMETER = {
    "response_format": "A gpt-image model always answers with the picture itself: leave it out.",
    "partial_images": "Only models that stream send previews.",
}


def _check_value(spec: Model, name: str, value: object) -> None:
    rule = spec.parameters.get(name)
    if rule is None:
        said = f"{name} is {_shown(value)}; {spec.id} takes no {name}"
        raise InvalidRequestError(said, param=name, hint=_NO_PARAMETER.get(name, ""))
    if name == "output_format" and value in ("gif", "svg"):
        raise InvalidRequestError(
            f"output_format is {value}; {spec.id} takes png, jpeg or webp here",
            param=name,
            hint="Pictures of gif and svg would not be opened here.",
        )
    if rule.admits(value):
        return
    near, hint = rule.nearest(value), ""
    said = f"{name} is {_shown(value)}; {spec.id} takes {rule}"
    if rule.kind == "size" and near:
        said, hint = f"{said}, nearest {near}", f"Use size {near}."
    elif rule.kind == "choice" and near:
        hint = f"Did you mean {near}?"
    raise InvalidRequestError(said, param=name, hint=hint)


def _check_together(request: ImageRequest) -> None:
    """Parameters that are right alone and wrong together."""
    picture = request.output_format or "png"
    streams = bool(request.stream)
    if request.background == "transparent" and picture == "jpeg":
        said, param = "background is transparent; jpeg has no transparency, png and webp have", "background"
    elif request.spec.known and request.output_compression is not None and picture == "png":
        said, param = "output_compression is set; jpeg and webp take it, png does not", "output_compression"
    elif request.partial_images is not None and not streams:
        said, param = "partial_images is set; it is taken with stream only", "partial_images"
    elif streams and request.n > 1:
        # {"message": "Streaming is only supported with n=1."}: https://github.com/vercel/ai/issues/6102
        said, param = f"n is {request.n}; with stream {request.model} takes 1", "n"
    else:
        return
    raise InvalidRequestError(said, param=param)


def _check_extra(extra: Mapping[str, Any]) -> None:
    for name in extra:
        if name in _NEVER_OPENED:
            said = f"extra holds {name}; gif and svg would not be opened here"
        elif name in WIRE_PARAMETERS:
            said = f"extra holds {name}; it has a name of its own"
        elif not name.strip():
            said = "extra holds a parameter without a name"
        else:
            continue
        raise InvalidRequestError(said, param=name)


def plan_requests(prompt: str, **options: Any) -> tuple[ImageRequest, ...]:
    """The requests that together ask for `n` pictures: one, or several where the model takes fewer at once.

    Takes the parameters of `ImageRequest`; None means not set.

    Raises:
        InvalidRequestError: a rule is broken, or `n` is not 1 to 100.
    """
    given = {name: value for name, value in options.items() if value is not None}
    _check_names(given, [member.name for member in fields(ImageRequest)])
    count = given.pop("n", 1)
    if type(count) is not int or not 1 <= count <= MOST_PICTURES:
        raise InvalidRequestError(f"n is {_shown(count)}; a call takes 1 to {MOST_PICTURES}", param="n")
    first = ImageRequest(prompt, **given)
    most = 1 if first.stream else first.spec.n.high
    sizes = [min(most, count - start) for start in range(0, count, most)]
    return tuple(ImageRequest(prompt, **given, n=size) for size in sizes)


def cost_of(
    request: ImageRequest, usage: Mapping[str, Any] | None, images: int, price_per_image: int | None = None
) -> int | None:
    """Micro-USD of an answered call, by its usage or its printed price; None where neither tells."""
    tariff = request.spec.price
    counted = tariff.of_usage(usage) if tariff else None
    if counted is not None:
        return counted
    printed = {tariff.picture(*outcome) for outcome in request.outcomes()} if tariff else {None}
    settled = printed.pop() if len(printed) == 1 and tariff and tariff.image_out is None else None
    each = price_per_image if settled is None else settled
    return None if each is None else each * images


def parse_dollars(amount: str | float, *, name: str = "max_cost") -> int:
    """An amount in USD as whole micro-USD: "5", "$0.50", 5.0.

    Raises:
        InvalidRequestError: it is no amount of money; `param` is `name`.
    """
    text = str(amount).strip().removeprefix("$")
    try:
        dollar = Decimal(text)
    except InvalidOperation:
        dollar = Decimal(-1)
    if isinstance(amount, bool) or not dollar.is_finite() or not 0 <= dollar <= 1_000_000:
        raise InvalidRequestError(
            f"{name} is {_shown(amount)}; an amount in USD such as 0.50 is taken", param=name
        )
    return round(dollar * 1_000_000)
