"""The form: a prompt, a model, one control per parameter that the model takes, and how the call is made.

It knows the catalog's rules through `choices`; what becomes of its values is the panel's business.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ...catalog import DEFAULT_MODEL, MODELS, find, square_price
from ...errors import InvalidRequestError
from ...money import Price, parse_dollars
from ...request import Extra, requests_of
from ...text import html, looks_like_key
from .choices import BLANK, legal, offers
from .controls import Line, Switch, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...catalog import Model
    from ...request import ImageRequest
    from .controls import Control, Dress

OTHER = "another model"
ADVANCED = ("response_format", "moderation", "user")
KEY_REMOVED = (
    "That looked like an API key, so it was taken out of the form. A key belongs into %cometimg_login; "
    "if this notebook was saved meanwhile, rotate the key."
)


@dataclass(frozen=True)
class Order:
    """What one click sends: checked, and priced with what is known; a draft may have no prompt yet."""

    prompt: str
    options: Mapping[str, Any]
    requests: tuple[ImageRequest, ...]
    price: Price

    @property
    def count(self) -> int:
        """How many pictures it asks for."""
        return sum(request.n for request in self.requests)


class Form:
    """The controls and what they say together.

    Args:
        dress: what all widgets share.
        changed: called after every change, on whatever thread the change came.
        defaults: values to begin with; `model`, `size`, `quality`.
    """

    def __init__(self, dress: Dress, changed: Callable[[], None], defaults: Mapping[str, Any]) -> None:
        self._dress = dress
        self._changed = changed
        self._filling = True
        self.note = ""
        self._controls: dict[tuple[str, Callable[[str, Dress], Control]], Control] = {}
        self._shown: dict[str, Control] = {}
        self._make_heads()
        self._make_advanced()
        self.widget = dress.make(widgets.VBox, "comet-form")
        self.widget.children = (
            self.prompt,
            self.model,
            self.other.widget,
            self._about,
            self.grid,
            self._hint,
            self._more,
        )
        self._put(defaults)
        self._filling = False
        for widget in (self.prompt, self.model, self.other.widget, *self._beside):
            widget.observe(self._on_change, "value")

    def _make_heads(self) -> None:
        make = self._dress.make
        self.prompt = make(
            widgets.Textarea,
            "comet-control",
            "comet-prompt",
            description="Prompt",
            placeholder="What the picture shows: a paper boat on calm water at sunrise",
        )
        options = [*((label_of_model(model), model.id) for model in MODELS), ("Another model…", OTHER)]
        self.model = make(
            widgets.Dropdown,
            "comet-control",
            "comet-model",
            description="Model",
            options=options,
            value=DEFAULT_MODEL,
        )
        self.other = Line(
            "other", self._dress, placeholder="as the vendor spells it", label="Id of the model"
        )
        self._about = make(widgets.HTML, "comet-about")
        self.grid = make(widgets.Box, "comet-grid")
        self._hint = make(widgets.HTML, "comet-hint")

    def _make_advanced(self) -> None:
        make = self._dress.make
        self.raw = make(
            widgets.Textarea,
            "comet-control",
            "comet-raw",
            description="Further parameters, as JSON",
            placeholder='{"seed": 7}',
            continuous_update=False,
        )
        self.timeout = Line("timeout", self._dress, placeholder="600", label="Time limit, s")
        self.max_cost = Line("max-cost", self._dress, placeholder="none", label="Cost limit, USD")
        self.reuse = Switch("reuse", self._dress)
        self.reuse.widget.description = "Take pictures of the same request from the archive"
        self._beside = (self.raw, self.timeout.widget, self.max_cost.widget, self.reuse.widget)
        self._advanced = make(widgets.Box, "comet-grid")
        self._more = make(widgets.Accordion, "comet-more", children=(self._advanced,))
        self._more.titles, self._more.selected_index = ("Advanced",), None

    # --- what it says

    @property
    def model_id(self) -> str:
        """The model that is chosen or typed."""
        chosen = str(self.model.value)
        return (self.other.value or DEFAULT_MODEL) if chosen == OTHER else chosen

    def values(self) -> dict[str, Any]:
        """The parameters that are set and go together, as they go on the wire."""
        set_values = {name: control.value for name, control in self._shown.items()}
        return legal(self.model_id, set_values)

    @property
    def text(self) -> str:
        """The prompt as it will be sent."""
        return str(self.prompt.value).strip("\n")

    def order(self, price_per_image: float | None = None, *, draft: bool = False) -> Order:
        """What a click would send; a draft may still lack its prompt.

        Raises:
            InvalidRequestError: something is missing or cannot be read; `param` names it.
        """
        text = "" if draft and not self.text.strip() else self.text
        options = {"model": self.model_id, **self.values(), **self._call_options()}
        requests = requests_of(text or (BLANK if draft else ""), options)
        each = None if price_per_image is None else parse_dollars(price_per_image, name="price_per_image")
        price = sum((request.estimate(each) for request in requests), Price(0, 0))
        return Order(text, options, requests, price)

    def _call_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if extra := str(self.raw.value).strip():
            options["extra"] = _extra(extra)
        if self.timeout.value:
            options["timeout"] = _seconds(self.timeout.value)
        if self.max_cost.value:
            options["max_cost"] = parse_dollars(self.max_cost.value) / 1_000_000
        if self.reuse.value:
            options["reuse"] = True
        return options

    # --- what it is told

    def fill(self, options: Mapping[str, Any], prompt: str | None = None) -> None:
        """Take these options and nothing else; what the model does not take is left out."""
        with self._at_once():
            self.note = ""
            if prompt is not None:
                self.prompt.value = prompt
            self._put(options)
        self._changed()

    def _put(self, options: Mapping[str, Any]) -> None:
        self._choose(str(options.get("model") or DEFAULT_MODEL))
        for control in self._shown.values():
            control.put(None)
        # Twice: a control may be there only because of the value of another one.
        for _ in range(2):
            self._follow()
            for name, control in self._shown.items():
                control.put(options.get(name))
        extra = options.get("extra")
        self.raw.value = json.dumps(dict(extra), ensure_ascii=False) if extra else ""
        self.timeout.put(options.get("timeout"))
        self.max_cost.put(options.get("max_cost"))
        self.reuse.put(options.get("reuse"))
        self._follow()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Several changes that are told as one."""
        with self._dress.lock:
            self._filling = True
            try:
                yield
            finally:
                self._filling = False

    def _choose(self, model: str) -> None:
        listed = model in [each.id for each in MODELS]
        self.model.value = model if listed else OTHER
        self.other.put("" if listed else model)

    def _on_change(self, change: Any) -> None:
        if self._filling:
            return
        with self._at_once():
            self.note = ""
            if isinstance(change["new"], str) and looks_like_key(change["new"]):
                change["owner"].value = ""
                self.note = KEY_REMOVED
            if self.note or change["owner"] is not self.prompt:
                self._follow()
        self._changed()

    def _follow(self) -> None:
        """Show the controls that the model and the other values allow, refilled."""
        model = self.model_id
        before = {name: control.value for name, control in self._shown.items()}
        found = offers(model, before)
        shown: dict[str, Control] = {}
        for name, offer in found.items():
            control = shown[name] = self._control(name, kind_of(offer))
            control.refill(offer)
            if control is not self._shown.get(name) and before.get(name) is not None:
                control.put(before[name])
        self._shown = shown
        notes = [self.note, *(getattr(control, "note", "") for control in shown.values())]
        notes += [offer.withheld for offer in found.values()]
        self._hint.value = "".join(f"<div>{html(note)}</div>" for note in dict.fromkeys(notes) if note)
        self._about.value = about(
            find(model), requests_of(BLANK, {"model": model, **self.values()})[0].notices
        )
        self._place(shown)

    def _control(self, name: str, kind: Callable[[str, Dress], Control]) -> Control:
        key = (name, kind)
        if key not in self._controls:
            self._controls[key] = kind(name, self._dress)
            self._controls[key].widget.observe(self._on_change, "value")
        return self._controls[key]

    def _place(self, shown: Mapping[str, Control]) -> None:
        first = tuple(control.widget for name, control in shown.items() if name not in ADVANCED)
        rest = tuple(control.widget for name, control in shown.items() if name in ADVANCED)
        if self.grid.children != first:
            self.grid.children = first
        if self._advanced.children != (*rest, *self._beside):
            self._advanced.children = (*rest, *self._beside)
        other = (self.other.widget,) if self.model.value == OTHER else ()
        children = (self.prompt, self.model, *other, self._about, self.grid, self._hint, self._more)
        if self.widget.children != children:
            self.widget.children = children


def label_of_model(model: Model) -> str:
    """A model in the list: its id, its price, and the day its vendor switches it off."""
    price = square_price(model)
    cost = str(price) if price.known else "price unknown"
    return " · ".join([model.id, cost, *([f"off {model.retired}"] if model.retired else [])])


def about(model: Model, notices: Iterable[str]) -> str:
    """What is to be known of a model, as HTML: its price and when that was true, and what is to be minded."""
    price = square_price(model) if model.auto_sizes else Price(None, None)
    as_of = f", as of {model.price.date}" if model.price else ""
    cost = [f"One square picture: {price}{as_of}"] if price.known else []
    warnings = [f"\N{WARNING SIGN} {notice}" for notice in notices]
    return "".join(f"<div>{html(line)}</div>" for line in (*cost, *warnings))


def _extra(text: str) -> Extra:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidRequestError(
            'the further parameters are no JSON object; write them as {"name": value}', param="extra"
        )
    return Extra(found)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InvalidRequestError(f"timeout is {text[:40]}; seconds above 0 are taken", param="timeout")
    return number
