"""The form: what is typed, exactly as typed; what of it can be sent, at which price, and what is wrong with it.

Values are texts by the name of the option; an empty one is not sent. Nothing here changes a value that cannot be
read: it stays, it is told at its field, and nothing is bought.
"""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
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
)
from ...client import generate
from ...errors import BudgetExceededError, ConfigurationError, InvalidRequestError
from ...explanations import quoted
from ...explore.grid_display import layout_of
from ...explore.plan import named, plan_call, plan_grid
from ...images import prepare_inputs
from ...money import dollars
from ...preset_files import presets
from ...request import WIRE_KINDS, ImageRequest
from ...request.checks import check_names
from ...text import clean, counted, holds_key
from ..account import client_settings, reading_client
from ..as_code import call_texts, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ...catalog import Model, Rule
    from ...client import Client
    from ...explore import GridPlan, PlannedCell
    from ...money import Price
    from .items import SourcePicture

FIRST = ("size", "quality", "n", "style", "preset")  # the others are behind "More options"
CALL = ("preset", "timeout", "max_cost", "reuse", "extra")
NAMES = (*(name for name in WIRE_PARAMETERS if name != "stream"), *CALL)
READ = (*WIRE_KINDS, "timeout", "max_cost", "reuse")  # numbers, switches and JSON; the others are texts
COMPARED = ("model", "size", "quality", "style", "preset", "background")  # these take several values: a grid
MOST_COMPARED = 60  # pictures in one grid
MOST_NOTES = 4  # on what a grid leaves out or changes
FILLED = frozenset({*NAMES, "stream"}) - {"prompt"}  # what a form can be filled with, beside its prompt
BLANK = "-"  # stands for a prompt where only the parameters are asked about
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
HINTS = {
    "output_compression": "100",
    "timeout": "600",
    "max_cost": "none",
    "extra": '{"seed": 7}',
    "preset": "None",
}
KINDS = {"reuse": "switch", "extra": "long"}
KEY_REMOVED = (
    "That looked like an API key, so it was taken out of the form. Give a key to %cometimg_login; "
    "if this notebook was saved meanwhile, rotate the key."
)
PLACES = {"image": "inputs", "mask": "inputs", "markup": "inputs", "stream": "partial_images"}


# --- what one click sends


@dataclass(frozen=True)
class Order:
    """What one click sends: checked, and priced with what is known.

    Attributes:
        prompt: as it is typed.
        options: as `generate` takes them, with their pictures prepared; several values of one make a grid.
        plan: the calls that come of it; an ordinary request is a grid of one cell.
        sources: the pictures that go in, as the form had them.
    """

    prompt: str
    options: Mapping[str, Any]
    plan: GridPlan
    sources: tuple[SourcePicture, ...] = ()

    @property
    def is_grid(self) -> bool:
        """Whether something varies."""
        return bool(self.plan.axes)

    @property
    def pictures(self) -> int:
        """How many pictures it asks for, made and reused."""
        return self.plan.pictures + self.plan.reused

    @property
    def price_text(self) -> str:
        """The price of all of it, as the panel shows it."""
        return str(self.plan.price) if self.plan.price.known else "price unknown"

    @property
    def summary(self) -> str:
        """The request in a few words: "2 pictures · 2 requests", "2 models × 2 qualities = 4 pictures"."""
        pictures = counted(self.plan.pictures, "picture")
        reused = f" · {self.plan.reused} reused (free)" if self.plan.reused else ""
        if not self.is_grid:
            return f"{pictures} · {counted(len(self.plan.requests), 'request')}{reused}"
        axes = []
        for axis in self.plan.varying:
            plural = ("quality", "qualities") if axis.name == "quality" else (axis.name,)
            axes.append(counted(len(axis.values), *(plural if axis.kind == "option" else ("word",))))
        each = [f"{n} each"] if (n := self.options.get("n") or 1) > 1 else []
        return f"{' × '.join([*axes, *each])} = {pictures}{reused}"

    @property
    def code(self) -> dict[str, str]:
        """The same as a cell, as Python and as the bodies of requests."""
        requests = self.plan.requests or [cell.plan.first for cell in self.plan.cells]
        return call_texts(self.prompt, self.options, requests)

    @property
    def notes(self) -> Iterator[str]:
        """What to know of it: of a grid, what it leaves out, changes, or makes once for several combinations."""
        yield from (f"left out: {reason}" for reason in self.plan.left_out)
        for cell in self.plan.cells:
            yield from (f"{self.plan.name(cell)}: {note}" for note in cell.notes)
            yield from () if self.is_grid else cell.plan.first.notices
        yield from self.plan.repeated

    def again(self, client: Client) -> Order:
        """The same as this client would send it now; raises what `plan_of` does."""
        return replace(self, plan=plan_of(client, self.prompt, self.options))

    def place_of(self, cell: PlannedCell) -> list[str]:
        """Row, column and block of a cell, as texts; without a table, its name is the column; [] without a grid."""
        if not self.is_grid:
            return []
        plan, layout = self.plan, layout_of(self.plan)
        if layout is None:
            return ["", clean(plan.name(cell), limit=80), ""]
        table = ([layout.rows], [layout.columns], layout.blocks)
        return [clean(named(cell.labels, [plan.axes[at] for at in axes]), limit=80) for axes in table]


def plan_of(client: Client, prompt: str, options: Mapping[str, Any]) -> GridPlan:
    """The plan of a call, or of the grid that several values of an option make; nothing is sent.

    Raises:
        InvalidRequestError: it cannot be sent, or makes too many pictures.
        BudgetExceededError: all of it could cost more than the limit.
    """
    prompt = prompt if prompt.strip() else BLANK
    if not any(isinstance(options.get(name), list) for name in COMPARED):
        return plan_call(client, prompt, options)
    together = {"image": [options["image"]]} if "image" in options else {}  # all of them go into each picture
    plan = plan_grid(client, prompt, None, {**options, **together})
    if plan.pictures > MOST_COMPARED:
        said = f"these values make {plan.pictures:,} pictures; one grid has up to {MOST_COMPARED}"
        raise InvalidRequestError(said, hint="Choose fewer values.")
    return plan


# --- what is typed


class Form:
    """What is typed and which pictures go in.

    Args:
        defaults: options that it begins with.
        change: entered for each change of the texts; who looks holds the panel's lock.

    Attributes:
        texts: what is typed, by name.
        sources: the pictures that go in, in order; the first one may have a mask.
        by: which page changed it last; "" for Python.
        rev: grows with each change of the values.
    """

    def __init__(
        self, defaults: Mapping[str, Any], change: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._change = change
        self.texts: dict[str, str] = {}
        self.sources: list[SourcePicture] = []
        self.by = ""
        self.rev = 0
        self.note = ""
        self._inputs: tuple[Any, Any] = (None, None)  # what was prepared, and for what
        self._checked: tuple[Any, tuple[Order | None, dict[str, str]]] = (None, (None, {}))
        self.fill({"model": DEFAULT_MODEL, **defaults})

    @property
    def values(self) -> dict[str, str]:
        """What is typed, by name; a copy."""
        return dict(self.texts)

    def fill(
        self, options: Mapping[str, Any] | None = None, prompt: str | None = None, **fields: Any
    ) -> None:
        """Take these options and no others.

        Args:
            options: as `generate` takes them; what the model does not take stays, and is told.
            prompt: None leaves the prompt as it is.
            **fields: more of the options.

        Raises:
            InvalidRequestError: an option is not a field of the panel.
        """
        given = {**(options or {}), **fields}
        check_names(given, FILLED)
        texts = {name: typed(given[name]) for name in NAMES if given.get(name) is not None}
        if given.get("stream"):
            texts.setdefault("partial_images", "0")
        with self._change():
            texts["prompt"] = self.texts.get("prompt", "") if prompt is None else prompt
            self.texts = {**texts, "model": texts.get("model") or DEFAULT_MODEL}
            self.by, self.note, self.rev = "", "", self.rev + 1

    def type(self, values: Mapping[str, Any], by: str) -> None:
        """Take what was typed in a page; what looks like a key is taken out at once."""
        with self._change():
            self.by, self.note, self.rev = by, "", self.rev + 1
            for name in NAMES:
                text = values.get(name, self.texts.get(name, ""))
                self.texts[name] = text if isinstance(text, str) else ""
                if holds_key(self.texts[name]):
                    self.texts[name], self.by, self.note = "", "", KEY_REMOVED

    def chosen(self, name: str) -> list[str]:
        """The values of a field; only those that can be compared have several, with commas between."""
        text = self.texts.get(name, "")
        several = text.split(",") if name in COMPARED else [text]
        return list(dict.fromkeys(filter(None, map(str.strip, several))))

    @property
    def models(self) -> list[Model]:
        """The models that are chosen or typed."""
        return [find(name) for name in self.chosen("model") or [DEFAULT_MODEL]]

    def has_other_words(self, seen: Mapping[str, Any]) -> bool:
        """Whether an ordinary request differs from what was seen in the words of its prompt, and in nothing else."""
        now, then = ({name: text for name, text in each.items() if text} for each in (self.texts, seen))
        words = now.pop("prompt", ""), then.pop("prompt", "")
        return (
            now == then and words[0] != words[1] and not any(len(self.chosen(name)) > 1 for name in COMPARED)
        )

    # --- what can be sent

    def check(self, held: int = 0) -> tuple[Order | None, dict[str, str]]:
        """What a click would send, None if it cannot be sent; and what is wrong, by field.

        Args:
            held: changes with what the archive holds, as earlier pictures may be reused.
        """
        masks = [(source.id, id(source.mask)) for source in self.sources]
        key = (self.rev, held, client_settings(), masks)
        if self._checked[0] != key:
            self._checked = (key, self._check())
        return self._checked[1]

    def _check(self) -> tuple[Order | None, dict[str, str]]:
        options, problems = self._options(), dict[str, str]()
        prompt, plan = self.texts["prompt"].strip("\n"), None
        while plan is None:  # one more problem each time, without the option that has it
            try:
                prepared = self._prepared(options)
                plan = plan_of(reading_client(), prompt, prepared)
            except (InvalidRequestError, ConfigurationError, BudgetExceededError) as error:
                param = getattr(error, "param", None) or ""
                place = PLACES.get(param, param)
                problems.setdefault(place if place in (*NAMES, "inputs") else "form", clean(error.sentence))
                if param == "model" or options.pop(param, None) is None:
                    break
        if plan is None or problems:
            return None, problems
        return Order(prompt, prepared, plan, tuple(self.sources)), {}

    def _options(self) -> dict[str, Any]:
        """The values as options, with the pictures that go in."""
        models = [model.id for model in self.models]
        options: dict[str, Any] = {"model": models if len(models) > 1 else models[0]}
        for name in NAMES:
            texts = self.chosen(name)
            if texts and name not in ("prompt", "model") and self._spec_of(name):
                options[name] = texts if len(texts) > 1 else _read(name, texts[0])
        if "partial_images" in options:
            options["stream"] = True
        if options.get("partial_images") == 0:
            del options["partial_images"]
        if self.sources:
            options["image"] = [source.picture for source in self.sources]
            options |= {} if self.sources[0].mask is None else {"mask": self.sources[0].mask}
        return options

    def _prepared(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with their pictures prepared, once for each model and not for each word that is typed."""
        if "image" not in options or isinstance(options["model"], list):
            return options
        key = (options["model"], [(source.id, id(source.mask)) for source in self.sources])
        if self._inputs[0] != key:
            self._inputs = (key, prepare_inputs(options))
        return {**options, "image": self._inputs[1], "mask": None}

    def _spec_of(self, name: str) -> Model | None:
        """The first of the models for which the parameter would do something now; one with a value stays."""
        png = self.models[0].known and self.texts.get("output_format") not in ("jpeg", "webp")
        if name == "output_compression" and png and not self.texts.get(name):
            return None
        if name == "input_fidelity" and not self.sources:
            return None
        every = (one for one in self.models if name in CALL or not one.known or one.rule(name) is not None)
        return next(every, None)

    # --- as the browser shows it

    def facts(self, order: Order | None, problems: Mapping[str, str]) -> dict[str, Any]:
        """The form for the browser: values, fields, problems."""
        inputs = self.models[0].inputs
        notes = (clean(said, limit=200) for said in islice(order.notes, MOST_NOTES)) if order else ()
        return {
            "rev": self.rev,
            "by": self.by,
            "values": {name: text for name, text in self.texts.items() if text},
            "models": [[model.id, self._model_label(model)] for model in MODELS],
            "fields": list(self._fields()),
            "problems": {name: clean(text, limit=400) for name, text in problems.items()},
            "note": self.note or "; ".join(notes),
            "takes": inputs.most if inputs else 0,
            "masks": bool(inputs and inputs.mask),
        }

    def _fields(self) -> Iterator[dict[str, Any]]:
        for name in (*(name for name in NAMES if name not in CALL), *CALL):
            spec = self._spec_of(name)
            if name in ("prompt", "model") or spec is None:
                continue
            shown: dict[str, Any] = {
                "name": name,
                "label": LABELS.get(name, name.replace("_", " ").capitalize()),
                "about": quoted(generate, name),
                **({} if name in FIRST else {"more": True}),
                **({"hint": HINTS[name]} if name in HINTS else {}),
                **self._control(name, spec),
            }
            several = name in COMPARED and shown["kind"] in ("choice", "size")
            yield {**shown, "several": True} if several else shown

    def _control(self, name: str, spec: Model) -> dict[str, Any]:
        """The kind of a control, and what it offers: of several models, what any of them takes."""
        rule = spec.rule(name)
        if name in KINDS:
            return {"kind": KINDS[name]}
        if isinstance(rule, Interval):
            return self._number(name, rule)
        offered: dict[str, str] = {}
        if name == "preset":
            with suppress(ConfigurationError):
                offered = {each.name: each.name for each in presets()}
        for one in self.models if name in COMPARED else [spec]:
            for word in _words(one, one.rule(name)):
                if word not in offered and (name != "size" or self._price(one, size=word) is not None):
                    offered[word] = self._label(name, word, one)
        if not offered:
            return {"kind": "text"}
        kind = "size" if isinstance(rule, FreeSize) else "choice"
        return {"kind": kind, "options": [*map(list, offered.items())]}

    def _number(self, name: str, rule: Interval) -> dict[str, Any]:
        if name == "n":  # a call is split into requests that the model takes
            return {"kind": "number", "min": 1, "max": max(10, rule.high if rule.high < 100 else 0)}
        if name != "partial_images":
            return {"kind": "number", "min": rule.low, "max": rule.high}
        price = self.models[0].price
        each = price.partial if price else None
        streamed = [["0", "0 · streamed"]] if self.texts.get(name) == "0" else []
        words = [
            [str(count), f"{count} · +{dollars(count * each)}" if each else str(count)]
            for count in range(1, min(rule.high, 3) + 1)
        ]
        return {"kind": "choice", "options": [*streamed, *words]}

    def _label(self, name: str, word: str, spec: Model) -> str:
        if name not in ("size", "quality") or len(self.models) > 1:  # its size and price differ by model
            return word
        size = resolve_size(spec, word) if name == "size" else word
        price = _one_price(self._price(spec, **{name: word}))
        return " · ".join(filter(None, (word, size if size != word else "", price)))

    def _price(self, spec: Model, **change: str) -> Price | None:
        """The price of one picture if this were chosen; None if it cannot be."""
        options: dict[str, Any] = {**change}
        for name in ("size", "quality"):
            rule, text = spec.rule(name), next(iter(self.chosen(name)), "")
            if name not in options and text and rule is not None and (name == "size" or rule.admits(text)):
                options[name] = text
        for attempt in (options, {**options, "size": change.get("size")}):
            with suppress(InvalidRequestError):  # the size that is typed is not one of this model's
                return ImageRequest(BLANK, model=spec.id, **attempt).picture_price()
        return None

    def _model_label(self, model: Model) -> str:
        price = _one_price(self._price(model))
        retired = f"retired on {model.retired}" if model.retired else ""
        return " · ".join(filter(None, (model.id, price, retired)))


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


def _read(name: str, text: str) -> Any:
    """The value of an option from its text; one that cannot be read stays a text, which the plan refuses."""
    for read in (int, float, json.loads) if name in READ else ():
        with suppress(ValueError, RecursionError):
            return read(text)
    return text
