"""The form: what is typed, exactly as typed; what of it can be sent, at which price, and what is wrong with it.

Values are texts by the name of the option; an empty one is not sent. Nothing here changes a value that cannot be
read: it stays, it is told at its field, and nothing is bought.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...catalog import (
    DEFAULT_MODEL,
    MODELS,
    RATIOS,
    SIZE_WORDS,
    WIRE_PARAMETERS,
    FreeSize,
    Interval,
    find,
    resolve_size,
    suggest,
)
from ...client import generate
from ...errors import CometError, ConfigurationError, InvalidRequestError
from ...explanations import quoted
from ...images import prepare_inputs
from ...money import Price, dollars, optional_dollars, parse_dollars
from ...preset_files import presets, with_preset
from ...request import requests_of
from ...request.checks import check_value
from ...text import clean, counted, looks_like_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...catalog import Model, Rule
    from ...request import ImageRequest, Inputs

BLANK = "-"  # stands for a prompt where only the parameters are asked about
FIRST = ("size", "quality", "n", "style", "preset")  # the others are behind "More options"
CALL = ("preset", "timeout", "max_cost", "reuse", "extra")
NAMES = (*(name for name in WIRE_PARAMETERS if name != "stream"), *CALL)
LABELS = {
    "n": "Pictures",
    "output_format": "Format",
    "output_compression": "Compression",
    "response_format": "Answer as",
    "user": "End-user id",
    "partial_images": "Previews while it works",
    "input_fidelity": "Fidelity to the pictures in",
    "timeout": "Time limit, s",
    "max_cost": "Cost limit, USD",
    "reuse": "Reuse earlier results (free)",
    "extra": "Further parameters, as JSON",
}
HINTS = {"timeout": "600", "max_cost": "none", "extra": '{"seed": 7}', "output_compression": "100"}
KEY_REMOVED = (
    "That looked like an API key, so it was taken out of the form. Give a key to %cometimg_login; "
    "if this notebook was saved meanwhile, rotate the key."
)
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Order:
    """What one click sends: checked, and priced with what is known."""

    prompt: str
    options: Mapping[str, Any]
    requests: tuple[ImageRequest, ...]
    price: Price

    @property
    def count(self) -> int:
        """How many pictures it asks for."""
        return sum(request.n for request in self.requests)

    @property
    def price_text(self) -> str:
        """The price of all of it, as the panel shows it."""
        return str(self.price) if self.price.known else "price unknown"


@dataclass
class SourcePicture:
    """A picture that goes in.

    Attributes:
        picture: as `generate` takes it.
        strokes: those of the mask brush; [] for no mask.
        mask: what they draw, or None.
        recipe: the options that the file says it was made with.
    """

    id: str
    name: str
    picture: Any = field(repr=False)
    width: int
    height: int
    strokes: list[Any] = field(default_factory=list, repr=False)
    mask: Any = field(default=None, repr=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def facts(self) -> dict[str, Any]:
        """For the browser."""
        facts = {name: getattr(self, name) for name in ("id", "name", "width", "height")}
        return {**facts, "mask": self.mask is not None, "recipe": bool(self.recipe)}


class Form:
    """What is typed and which pictures go in; the caller holds the panel's lock.

    Attributes:
        values: the texts by name.
        sources: the pictures that go in, in order; the first one may have a mask.
        by: which page changed it last; "" for Python.
        rev: grows with each change of the values.
    """

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self.values: dict[str, str] = {}
        self.sources: list[SourcePicture] = []
        self.by = ""
        self.rev = 0
        self.note = ""
        self._prepared: tuple[Any, Inputs | None] = (None, None)
        self.fill({"model": DEFAULT_MODEL, **defaults})

    def fill(self, options: Mapping[str, Any], prompt: str | None = None) -> None:
        """Take these options and no others.

        Args:
            options: as `generate` takes them; what the model does not take stays, and is told.
            prompt: None leaves the prompt as it is.

        Raises:
            InvalidRequestError: an option is not a field of the panel.
        """
        known = (*NAMES, "stream")
        for name in options:
            if name not in known or name == "prompt":
                meant = suggest(name, known)
                said = (
                    f"{clean(name, limit=40)} is not a field of the panel; its fields are {', '.join(known)}"
                )
                raise InvalidRequestError(said, param=name, hint=f"Did you mean {meant}?" if meant else "")
        text = self.values.get("prompt", "") if prompt is None else prompt
        self.values = {name: _typed(options[name]) for name in NAMES if options.get(name) is not None}
        if options.get("stream") and "partial_images" not in self.values:
            self.values["partial_images"] = "0"
        self.values["prompt"] = text
        self.values["model"] = self.values.get("model") or DEFAULT_MODEL
        self.by, self.note, self.rev = "", "", self.rev + 1

    def type(self, values: Mapping[str, Any], by: str) -> None:
        """Take what was typed in a page; what looks like a key is taken out at once."""
        self.by, self.note, self.rev = by, "", self.rev + 1
        for name in NAMES:
            text = values.get(name, self.values.get(name, ""))
            self.values[name] = text if isinstance(text, str) else ""
            if looks_like_key(self.values[name]):
                self.values[name], self.by, self.note = "", "", KEY_REMOVED

    @property
    def model(self) -> Model:
        """The model that is chosen or typed."""
        return find(self.values.get("model", "").strip() or DEFAULT_MODEL)

    def with_pictures(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the pictures that go in."""
        if not self.sources:
            return dict(options)
        given = {**options, "image": [source.picture for source in self.sources]}
        return given if self.sources[0].mask is None else {**given, "mask": self.sources[0].mask}

    def check(self, each: float | None = None) -> tuple[Order | None, dict[str, str]]:
        """What a click would send, None if it cannot be sent; and what is wrong, by field.

        Args:
            each: USD of a picture whose price the catalog does not know.
        """
        options, problems = self._options()
        prompt = self.values["prompt"].strip("\n")
        if problems:
            return None, problems
        try:
            inputs = self._inputs(options)
            text, whole = with_preset(prompt if prompt.strip() else BLANK, options)
            requests = requests_of(text, whole, inputs)
            micro = optional_dollars(each, name="price_per_image")
        except (InvalidRequestError, ConfigurationError) as error:
            return None, {_place(getattr(error, "param", None)): told(error)}
        price = sum((request.estimate(micro) for request in requests), Price(0, 0))
        return Order(prompt, self.with_pictures(options), requests, price), {}

    def _inputs(self, options: Mapping[str, Any]) -> Inputs:
        """The pictures that go in, prepared once for each model."""
        masks = [(source.id, id(source.mask)) for source in self.sources]
        key, kept = (self.model.id, masks), self._prepared
        if kept[0] != key or kept[1] is None:
            kept = self._prepared = (key, prepare_inputs(self.with_pictures({"model": options["model"]})))
        inputs = kept[1]
        assert inputs is not None  # noqa: S101 - set above
        return inputs

    def _options(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The values as options, and the sentence for each that cannot be read."""
        spec, problems = self.model, {}
        options: dict[str, Any] = {"model": spec.id}
        for name in NAMES:
            text = self.values.get(name, "").strip()
            if not text or name in ("prompt", "model") or not self._has(name, spec):
                continue
            try:
                value = _read(name, text)
                if name in WIRE_PARAMETERS and name != "n" and value != 0:
                    check_value(spec, name, resolve_size(spec, text) if name == "size" else value)
            except CometError as error:
                problems[name] = told(error)
                continue
            if name == "partial_images":
                options |= {"stream": True, **({name: value} if value else {})}
            else:
                options[name] = value
        return options, problems

    def _has(self, name: str, spec: Model) -> bool:
        """Whether the model has the parameter in this form."""
        if name in CALL or not spec.known:
            return True
        if name == "input_fidelity" and not self.sources:
            return False
        return spec.rule(name) is not None

    # --- as the browser shows it

    def facts(self, problems: Mapping[str, str]) -> dict[str, Any]:
        """The form for the browser: values, fields, problems."""
        return {
            "rev": self.rev,
            "by": self.by,
            "values": {name: text for name, text in self.values.items() if text},
            "models": [[model.id, self._model_label(model)] for model in MODELS],
            "fields": list(self._fields()),
            "problems": {name: clean(text, limit=400) for name, text in problems.items()},
            "note": self.note or "; ".join(self._notices()),
            "takes": self.model.inputs.most if self.model.inputs else 0,
            "masks": bool(self.model.inputs and self.model.inputs.mask),
        }

    def _notices(self) -> tuple[str, ...]:
        try:
            return tuple(clean(one) for one in requests_of(BLANK, {"model": self.model.id})[0].notices)
        except InvalidRequestError:
            return ()

    def _fields(self) -> Iterator[dict[str, Any]]:
        spec = self.model
        for name in (*(name for name in NAMES if name not in CALL), *CALL):
            if name in ("prompt", "model") or not self._has(name, spec) or not self._applies(name):
                continue
            shown: dict[str, Any] = {
                "name": name,
                "label": LABELS.get(name, name.replace("_", " ").capitalize()),
                "about": quoted(generate, name),
            }
            shown |= {"more": True} if name not in FIRST else {}
            shown |= {"hint": HINTS[name]} if name in HINTS else {}
            yield {**shown, **self._control(name, spec.rule(name))}

    def _applies(self, name: str) -> bool:
        """Whether a control would do something now; one with a value stays."""
        if name == "output_compression" and self.model.known:
            return self.values.get("output_format") in ("jpeg", "webp") or bool(self.values.get(name))
        return True

    def _control(self, name: str, rule: Rule | None) -> dict[str, Any]:
        """The kind of a control, and what it offers."""
        if name == "reuse" or (rule is not None and rule.kind == "boolean"):
            return {"kind": "switch"}
        if name == "extra":
            return {"kind": "long"}
        if name == "preset":
            with suppress(ConfigurationError):
                return {
                    "kind": "choice",
                    "hint": "None",
                    "options": [[each.name, each.name] for each in presets()],
                }
            return {"kind": "text"}
        if name == "partial_images" and isinstance(rule, Interval):
            return {"kind": "choice", "options": self._previews(min(rule.high, 3))}
        if isinstance(rule, Interval):
            low, high = (
                (1, max(10, rule.high if rule.high < 100 else 0)) if name == "n" else (rule.low, rule.high)
            )
            return {"kind": "number", "min": low, "max": high}
        words = _sizes(self.model, rule) if isinstance(rule, FreeSize) else rule.choices() if rule else ()
        if not words:
            return {"kind": "text"}
        options = [[word, self._label(name, word)] for word in words if self._can_be(name, word)]
        return {"kind": "size" if isinstance(rule, FreeSize) else "choice", "options": options}

    def _previews(self, most: int) -> list[list[str]]:
        each = self.model.price.partial if self.model.price else None
        words = [
            [str(count), f"{count} · +{dollars(count * each)}" if each else str(count)]
            for count in range(1, most + 1)
        ]
        return [["0", "0 · streamed"], *words] if self.values.get("partial_images") == "0" else words

    def _can_be(self, name: str, word: str) -> bool:
        return name != "size" or self._price({"size": word}) is not None

    def _label(self, name: str, word: str) -> str:
        if name not in ("size", "quality"):
            return word
        size = resolve_size(self.model, word) if name == "size" else word
        return " · ".join(
            filter(None, (word, size if size != word else "", _one_price(self._price({name: word}))))
        )

    def _price(self, change: Mapping[str, str]) -> Price | None:
        """The price of one picture if this were chosen; None if it cannot be."""
        spec = find(change.get("model", self.model.id))
        options = {"model": spec.id, **{name: text for name, text in change.items() if name != "model"}}
        for name in ("size", "quality"):
            rule, text = spec.rule(name), self.values.get(name, "").strip()
            if name not in options and text and rule is not None and (name == "size" or rule.admits(text)):
                options[name] = text
        for attempt in (options, {**options, "size": change.get("size")}):
            try:
                return requests_of(BLANK, attempt)[0].picture_price()
            except InvalidRequestError:  # the size that is typed is not one of this model's
                continue
        return None

    def _model_label(self, model: Model) -> str:
        price = _one_price(self._price({"model": model.id}))
        retired = f"retired on {model.retired}" if model.retired else ""
        return " · ".join(filter(None, (model.id, price, retired)))


def told(error: CometError) -> str:
    """An error and what to do, in one sentence."""
    return clean(". ".join(filter(None, (str(error), error.hint))))


def _place(param: str | None) -> str:
    """The field at which a problem is told."""
    places = {"image": "inputs", "mask": "inputs", "markup": "inputs", "stream": "partial_images"}
    place = places.get(param or "", param or "")
    return place if place in (*NAMES, "inputs") else "form"


def _one_price(price: Price | None) -> str:
    """One amount: the most where it is not certain, "" where it is not known."""
    if price is None or price.high_micro is None:
        return ""
    return f"{'' if price.low_micro == price.high_micro else 'at most '}{dollars(price.high_micro)}"


def _sizes(spec: Model, rule: FreeSize) -> tuple[str, ...]:
    """Sizes to offer where any size is taken: words and ratios, then sizes that no ratio becomes."""
    own = [word for word in rule.words if word not in SIZE_WORDS]
    ratios = {word: resolve_size(spec, word) for word in RATIOS}
    sizes = [size for size in (*rule.usual, *rule.common) if size not in ratios.values()]
    return tuple(dict.fromkeys((*own, *RATIOS, *sizes)))


def _typed(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(dict(value), ensure_ascii=False) if value else ""


def _read(name: str, text: str) -> Any:
    """The value of an option from its text.

    Raises:
        InvalidRequestError: it cannot be read.
    """
    if name in ("n", "partial_images", "output_compression"):
        if _WHOLE.fullmatch(text):
            return int(text)
        raise InvalidRequestError(f"{name} is {text[:40]}; it must be a whole number", param=name)
    if name == "timeout":
        return _seconds(text)
    if name == "max_cost":
        return parse_dollars(text) / 1_000_000
    if name == "extra":
        return _json(text)
    return True if name == "reuse" else text


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InvalidRequestError(f"timeout is {text[:40]}; it must be seconds above 0", param="timeout")
    return number


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = 'extra is not a JSON object; write it as {"name": value}'
        raise InvalidRequestError(said, param="extra")
    return found


def summary(order: Order) -> str:
    """The next request in a few words: "2 pictures · 2 requests"."""
    return f"{counted(order.count, 'picture')} · {counted(len(order.requests), 'request')}"
