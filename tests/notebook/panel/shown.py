"""What the panel's tests share: a panel in this very process, and a way to press its buttons and read it."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from comet_magic.notebook.panel import Panel
from tests.loopback import until

if TYPE_CHECKING:
    pass

WAIT = 60


def everything(widget: Any) -> list[Any]:
    """A widget and all that stands in it."""
    return [widget, *(each for child in getattr(widget, "children", ()) for each in everything(child))]


class Shown:
    """A panel as somebody in front of it sees it: labels, buttons and words, found by what they say."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    @property
    def widgets(self) -> list[Any]:
        return everything(self.panel.widget)

    def control(self, label: str) -> Any:
        (found,) = [
            each
            for each in self.widgets
            if getattr(each, "description", "") == label and hasattr(each, "value")
        ]
        return found

    @property
    def labels(self) -> set[str]:
        return {
            each.description
            for each in self.widgets
            if hasattr(each, "value") and hasattr(each, "description")
        }

    def button(self, label: str) -> Any:
        (found,) = [
            each for each in self.widgets if isinstance(each, widgets.Button) and each.description == label
        ]
        return found

    def press(self, label: str) -> None:
        """Press a button and wait for what it started, but for calls that go on."""
        button = self.button(label)
        assert not button.disabled, f"{label} cannot be pressed"
        button.click()

    def part(self, name: str) -> Any:
        """The widget with this CSS class."""
        (found,) = [each for each in self.widgets if name in each._dom_classes]
        return found

    def parts(self, name: str) -> list[Any]:
        return [each for each in self.widgets if name in each._dom_classes]

    def words(self, name: str) -> str:
        """What stands in the HTML with this CSS class."""
        return html.unescape(
            re.sub(r"<[^>]*>", " ", self.part(name).value.replace("<span>$</span>", "$"))
        ).strip()

    def code(self, name: str) -> str:
        """The text of one of the boxes to copy from."""
        found = re.search(r"<pre[^>]*>(.*)</pre>", self.part(f"comet-code-{name}").value, re.DOTALL)
        assert found
        return html.unescape(found[1])

    @property
    def tiles(self) -> list[Any]:
        return self.parts("comet-tile")

    def pick(self, number: int) -> None:
        """Click a thumbnail, 0 for the newest, and wait until it is on the stage."""
        self.tiles[number].children[1].click()
        assert self.panel.wait(WAIT)

    def make(self, prompt: str | None = None) -> None:
        """Generate and wait for the end."""
        if prompt is not None:
            self.control("Prompt").value = prompt
        assert until(lambda: not self.button("Generate").disabled)
        self.press("Generate")
        assert self.panel.wait(WAIT), self.words("comet-status")

    @property
    def hidden(self) -> set[str]:
        return {
            name for each in self.widgets if "comet-hidden" in each._dom_classes for name in each._dom_classes
        }


def state_size() -> int:
    """The bytes that all widgets together would add to a notebook."""
    return len(json.dumps(widgets.Widget.get_manager_state()))
