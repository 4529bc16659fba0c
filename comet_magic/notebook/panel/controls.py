"""One control per kind of rule: a widget, the value it stands for, and how it is refilled for another model.

An empty control is a parameter that is not sent; None stands for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import ipywidgets as widgets

from ...catalog import FreeSize, Interval
from .choices import most_pictures, settled_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from .choices import Offer

UNSET = "Model’s default"
# What a parameter is called where its name on the wire is not plain enough.
LABELS = {
    "n": "Pictures",
    "output_format": "Format",
    "output_compression": "Compression (100 is the default)",
    "response_format": "Answer as",
    "user": "End-user id",
    "stream": "Show previews while it works",
    "partial_images": "How many previews",
}
# Parameters with a value of their own where nothing is sent.
_DEFAULTS = {"n": 1, "output_compression": 100, "partial_images": 0}
# What stands in a control that appears because another one asks for it.
_FIRST = {"partial_images": 2}


def label_of(name: str) -> str:
    """What a person reads beside the control of a parameter."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


class Dress:
    """What all widgets of a panel share: the Layout and the styles, of which each would be a kilobyte of state.

    Attributes:
        lock: held while anything is shown or changed; callbacks come on any thread.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.layout = widgets.Layout()
        self._styles: dict[type, Any] = {}
        self._made: WeakSet[Any] = WeakSet()

    def make(self, kind: Any, *classes: str, **traits: Any) -> Any:
        """A widget of this kind in the shared dress, with CSS classes of its own."""
        style = self._styles.get(kind)
        if style is not None:
            traits["style"] = style
        widget = kind(layout=self.layout, **traits)
        if style is None and hasattr(widget, "style"):
            self._styles[kind] = widget.style
        widget._dom_classes = classes  # noqa: SLF001 - one message instead of one per class
        self._made.add(widget)
        return widget

    def close(self) -> None:
        """Close every widget that was made here."""
        for widget in (*self._made, *self._styles.values(), self.layout):
            widget.close()


class Control(Protocol):
    """A widget and the value it stands for."""

    widget: Any

    @property
    def value(self) -> Any:
        """What is set, None for nothing."""

    def put(self, value: Any) -> None:
        """Set it; None for nothing."""

    def refill(self, offer: Offer) -> None:
        """Take what another model takes; a value that is still legal stays."""


class Words:
    """One of a few words, or nothing."""

    def __init__(self, name: str, dress: Dress) -> None:
        options = [(UNSET, "")]
        self.widget = dress.make(
            widgets.Dropdown, "comet-control", f"comet-{name}", description=label_of(name), options=options
        )

    @property
    def value(self) -> str | None:
        return self.widget.value or None

    def put(self, value: Any) -> None:
        self.widget.value = value if value in [each for _, each in self.widget.options] else ""

    def refill(self, offer: Offer) -> None:
        options = ((UNSET, ""), *((word, word) for word in offer.words))
        if self.widget.options != options:
            chosen = self.widget.value
            with self.widget.hold_sync():
                self.widget.options = options
                self.put(chosen)


class Size:
    """A size, a ratio or a word; what the model does not take becomes the nearest it takes."""

    def __init__(self, name: str, dress: Dress) -> None:
        self.note = ""
        self._model = ""
        self.widget = dress.make(
            widgets.Combobox,
            "comet-control",
            f"comet-{name}",
            description=label_of(name),
            placeholder=UNSET,
            continuous_update=False,
        )

    @property
    def value(self) -> str | None:
        return str(self.widget.value).strip() or None

    def put(self, value: Any) -> None:
        size, self.note = settled_size(self._model, str(value or ""))
        self.widget.value = size or ""

    def refill(self, offer: Offer) -> None:
        self._model = offer.model
        if self.widget.options != offer.words:
            self.widget.options = offer.words
        self.put(self.widget.value)


class Number:
    """A whole number within bounds."""

    def __init__(self, name: str, dress: Dress) -> None:
        self._unset = _DEFAULTS.get(name, 0)
        self.widget = dress.make(
            widgets.BoundedIntText,
            "comet-control",
            f"comet-{name}",
            description=label_of(name),
            value=self._unset,
            min=self._unset,
        )

    @property
    def value(self) -> int | None:
        number = int(self.widget.value)
        return None if number == self._unset else number

    def put(self, value: Any) -> None:
        self.widget.value = self._unset if value is None else value

    def refill(self, offer: Offer) -> None:
        if isinstance(offer.rule, Interval):
            self.widget.max = most_pictures(offer.rule)


class Slider(Number):
    """A whole number within bounds, chosen by its place between them."""

    def __init__(self, name: str, dress: Dress) -> None:
        self._unset = _DEFAULTS.get(name, 0)
        self.widget = dress.make(
            widgets.IntSlider,
            "comet-control",
            "comet-slider",
            f"comet-{name}",
            description=label_of(name),
            value=_FIRST.get(name, self._unset),
            continuous_update=False,
        )

    def refill(self, offer: Offer) -> None:
        if isinstance(offer.rule, Interval):
            self.widget.min, self.widget.max = offer.rule.low, min(offer.rule.high, 100)


class Switch:
    """On, or nothing."""

    def __init__(self, name: str, dress: Dress) -> None:
        self.widget = dress.make(
            widgets.Checkbox, "comet-check", f"comet-{name}", description=label_of(name), indent=False
        )

    @property
    def value(self) -> bool | None:
        return True if self.widget.value else None

    def put(self, value: Any) -> None:
        self.widget.value = bool(value)

    def refill(self, offer: Offer) -> None:
        """It offers the same for every model."""


class Line:
    """A line of text, or nothing."""

    def __init__(self, name: str, dress: Dress, *, placeholder: str = UNSET, label: str = "") -> None:
        self.widget = dress.make(
            widgets.Text,
            "comet-control",
            f"comet-{name}",
            description=label or label_of(name),
            placeholder=placeholder,
        )

    @property
    def value(self) -> str | None:
        return str(self.widget.value).strip() or None

    def put(self, value: Any) -> None:
        self.widget.value = str(value or "")

    def refill(self, offer: Offer) -> None:
        """It offers the same for every model."""


def kind_of(offer: Offer) -> Callable[[str, Dress], Control]:
    """The kind of control that a rule asks for."""
    rule = offer.rule
    if isinstance(rule, FreeSize):
        return Size
    if offer.words:
        return Words
    if isinstance(rule, Interval):
        return Number if offer.name == "n" else Slider
    return Switch if rule.kind == "boolean" else Line
