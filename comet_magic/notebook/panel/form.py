"""The form: what is typed, exactly as typed; what of it can be sent, at which price, and what is wrong with it.

Values are texts by the name of the option; an empty one is not sent. Nothing here changes a value that cannot be
read: it stays, it is told at its field, and nothing is bought.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from itertools import islice
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
from ...errors import BudgetExceededError, CometError, ConfigurationError, InvalidRequestError
from ...explanations import quoted
from ...images import prepare_inputs
from ...money import Price, dollars, optional_dollars, parse_dollars
from ...preset_files import presets, with_preset
from ...request import requests_of
from ...request.checks import check_value
from ...text import clean, looks_like_key
from ..account import reading_client
from .items import BLANK, Order, SourcePicture, grid_notes, grid_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...catalog import Model, Rule
    from ...explore import GridPlan
    from ...request import Inputs

FIRST = ("size", "quality", "n", "style", "preset")  # the others are behind "More options"
CALL = ("preset", "timeout", "max_cost", "reuse", "extra")
NAMES = (*(name for name in WIRE_PARAMETERS if name != "stream"), *CALL)
COMPARED = ("model", "size", "quality", "style", "preset", "background")  # these take several values: a grid
MOST_NOTES = 4  # on what a grid leaves out or changes
FILLED = frozenset({*NAMES, "stream"}) - {"prompt"}  # what a form can be filled with, beside its prompt
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
        self._planned: tuple[Any, GridPlan | None] = (None, None)
        self.fill({"model": DEFAULT_MODEL, **defaults})

    def fill(self, options: Mapping[str, Any], prompt: str | None = None) -> None:
        """Take these options and no others.

        Args:
            options: as `generate` takes them; what the model does not take stays, and is told.
            prompt: None leaves the prompt as it is.

        Raises:
            InvalidRequestError: an option is not a field of the panel.
        """
        for name in options:
            if name not in FILLED:
                meant, known = suggest(name, FILLED), ", ".join(sorted(FILLED))
                said = f"{clean(name, limit=40)} is not a field of the panel; its fields are {known}"
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

    def chosen(self, name: str) -> list[str]:
        """The values of a field; only those that can be compared have several, with commas between."""
        text = self.values.get(name, "")
        several = text.split(",") if name in COMPARED else [text]
        return list(dict.fromkeys(filter(None, map(str.strip, several))))

    @property
    def varies(self) -> bool:
        """Whether a field has several values, so that it asks for a grid."""
        return any(len(self.chosen(name)) > 1 for name in COMPARED)

    @property
    def models(self) -> list[Model]:
        """The models that are chosen or typed."""
        return [find(name) for name in self.chosen("model") or [DEFAULT_MODEL]]

    @property
    def model(self) -> Model:
        """The first of them."""
        return self.models[0]

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
            if self.varies:
                return self._grid(prompt, options, each), {}
            inputs = self._inputs(options)
            text, whole = with_preset(prompt if prompt.strip() else BLANK, options)
            requests = requests_of(text, whole, inputs)
            micro = optional_dollars(each, name="price_per_image")
        except (InvalidRequestError, ConfigurationError, BudgetExceededError) as error:
            return None, {_place(getattr(error, "param", None)): told(error)}
        price = sum((request.estimate(micro) for request in requests), Price(0, 0))
        return Order(prompt, self.with_pictures(options), requests, price, self._kept_sources()), {}

    def _grid(self, prompt: str, options: Mapping[str, Any], each: float | None) -> Order:
        """Every combination of the values; planned again only after a change.

        Raises:
            InvalidRequestError: no combination can be sent, or there are too many.
            BudgetExceededError: together they could cost more than the limit.
        """
        options = self.with_pictures(options)
        key = (self.rev, each, [(source.id, id(source.mask)) for source in self.sources])
        if self._planned[0] != key or self._planned[1] is None:
            self._planned = (key, grid_plan(reading_client(), prompt, options))
        grid = self._planned[1]
        assert grid is not None  # noqa: S101 - set above
        return Order(prompt, options, grid.requests, grid.price, self._kept_sources(), grid)

    def _kept_sources(self) -> tuple[SourcePicture, ...]:
        return tuple(replace(source) for source in self.sources)

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
        specs, problems = self.models, {}
        spec = specs[0]
        options: dict[str, Any] = {"model": spec.id if len(specs) == 1 else [one.id for one in specs]}
        for name in NAMES:
            texts = self.chosen(name)
            if not texts or name in ("prompt", "model") or not self._spec_of(name):
                continue
            try:
                value = _read(name, texts[0]) if len(texts) == 1 else texts
                one_value = (
                    len(specs) == len(texts) == 1
                )  # the plan of a grid tells what a model does not take
                if name in WIRE_PARAMETERS and name != "n" and value != 0 and one_value:
                    check_value(spec, name, resolve_size(spec, texts[0]) if name == "size" else value)
            except CometError as error:
                problems[name] = told(error)
                continue
            if name == "partial_images":
                options |= {"stream": True, **({name: value} if value else {})}
            else:
                options[name] = value
        return options, problems

    def _spec_of(self, name: str) -> Model | None:
        """The first of the models that has the parameter in this form."""
        if name == "input_fidelity" and not self.sources:
            return None
        every = (one for one in self.models if name in CALL or not one.known or one.rule(name) is not None)
        return next(every, None)

    # --- as the browser shows it

    def facts(self, order: Order | None, problems: Mapping[str, str]) -> dict[str, Any]:
        """The form for the browser: values, fields, problems."""
        return {
            "rev": self.rev,
            "by": self.by,
            "values": {name: text for name, text in self.values.items() if text},
            "models": [[model.id, self._model_label(model)] for model in MODELS],
            "fields": list(self._fields()),
            "problems": {name: clean(text, limit=400) for name, text in problems.items()},
            "note": self.note or "; ".join(self._notices(order)),
            "takes": self.model.inputs.most if self.model.inputs else 0,
            "masks": bool(self.model.inputs and self.model.inputs.mask),
        }

    def _notices(self, order: Order | None) -> tuple[str, ...]:
        if order is not None and order.grid is not None:
            return tuple(clean(said, limit=160) for said in islice(grid_notes(order.grid), MOST_NOTES))
        try:
            return tuple(clean(one) for one in requests_of(BLANK, {"model": self.model.id})[0].notices)
        except InvalidRequestError:
            return ()

    def _fields(self) -> Iterator[dict[str, Any]]:
        for name in (*(name for name in NAMES if name not in CALL), *CALL):
            spec = self._spec_of(name)
            if name in ("prompt", "model") or spec is None or not self._applies(name):
                continue
            shown: dict[str, Any] = {
                "name": name,
                "label": LABELS.get(name, name.replace("_", " ").capitalize()),
                "about": quoted(generate, name),
            }
            shown |= {"more": True} if name not in FIRST else {}
            shown |= {"hint": HINTS[name]} if name in HINTS else {}
            control = self._control(name, spec)
            if name in COMPARED and control["kind"] in ("choice", "size"):
                shown["several"] = True
            yield {**shown, **control}

    def _applies(self, name: str) -> bool:
        """Whether a control would do something now; one with a value stays."""
        if name == "output_compression" and self.model.known:
            return self.values.get("output_format") in ("jpeg", "webp") or bool(self.values.get(name))
        return True

    def _control(self, name: str, spec: Model) -> dict[str, Any]:
        """The kind of a control, and what it offers: of several models, what any of them takes."""
        rule = spec.rule(name)
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
        offered: dict[str, str] = {}
        for one in self.models if name in COMPARED else [spec]:
            for word in _words(one, one.rule(name)):
                if word not in offered and (name != "size" or self._price(one, size=word) is not None):
                    offered[word] = self._label(name, word, one)
        if not offered:
            return {"kind": "text"}
        return {
            "kind": "size" if isinstance(rule, FreeSize) else "choice",
            "options": [*map(list, offered.items())],
        }

    def _previews(self, most: int) -> list[list[str]]:
        each = self.model.price.partial if self.model.price else None
        words = [
            [str(count), f"{count} · +{dollars(count * each)}" if each else str(count)]
            for count in range(1, most + 1)
        ]
        return [["0", "0 · streamed"], *words] if self.values.get("partial_images") == "0" else words

    def _label(self, name: str, word: str, spec: Model) -> str:
        if name not in ("size", "quality") or len(self.models) > 1:  # its size and price differ by model
            return word
        size = resolve_size(spec, word) if name == "size" else word
        price = _one_price(self._price(spec, **{name: word}))
        return " · ".join(filter(None, (word, size if size != word else "", price)))

    def _price(self, spec: Model, **change: str) -> Price | None:
        """The price of one picture if this were chosen; None if it cannot be."""
        options = {"model": spec.id, **change}
        for name in ("size", "quality"):
            rule, text = spec.rule(name), next(iter(self.chosen(name)), "")
            if name not in options and text and rule is not None and (name == "size" or rule.admits(text)):
                options[name] = text
        for attempt in (options, {**options, "size": change.get("size")}):
            try:
                return requests_of(BLANK, attempt)[0].picture_price()
            except InvalidRequestError:  # the size that is typed is not one of this model's
                continue
        return None

    def _model_label(self, model: Model) -> str:
        price = _one_price(self._price(model))
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


def _words(spec: Model, rule: Rule | None) -> tuple[str, ...]:
    """What to offer; where any size is taken: words and ratios, then sizes that no ratio becomes."""
    if not isinstance(rule, FreeSize):
        return tuple(rule.choices()) if rule else ()
    own = [word for word in rule.words if word not in SIZE_WORDS]
    ratios = {word: resolve_size(spec, word) for word in RATIOS}
    sizes = [size for size in (*rule.usual, *rule.common) if size not in ratios.values()]
    return tuple(dict.fromkeys((*own, *RATIOS, *sizes)))


def _typed(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, list | tuple):
        return ",".join(map(_typed, value))
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
