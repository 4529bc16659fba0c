"""Keys that are pressed in the panel never edit, run or delete a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.lab import TIMEOUT, Notebook, PanelPage

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., Notebook]

expect.set_options(timeout=TIMEOUT)
# What these do to a cell: insert, change its kind, cut, delete; leave it; run it.
KEYS = [*"abmxdd", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft"]
KEYS += ["Shift+Enter", "Control+Enter", "Alt+Enter"]
# Gives the focus to the first element of the panel, or of a dialog, that takes it and whose name is new; gives
# the name, "" where another dialog is open, or none, and null when there is nothing new.
FOCUS_NEXT = """(root, [names, dialog]) => {
    const place = [...root.querySelectorAll('dialog[open]')].at(-1) ?? root;
    if ((place === root ? '' : place.ariaLabel) !== dialog) return '';
    const takes = 'a[href], button, input, select, textarea, summary, canvas, [tabindex]';
    for (const one of [place, ...place.querySelectorAll(takes)]) {
        if (!one.matches(takes) || one.matches(':disabled')) continue;
        if (!one.checkVisibility({visibilityProperty: true})) continue;
        const text = one.ariaLabel || one.labels?.[0]?.textContent || one.textContent;
        const name = `${one.localName} ${text}`.slice(0, 60);
        if (names.includes(name)) continue;
        one.focus();
        if (one.getRootNode().activeElement !== one) throw new Error(`no focus on ${name}`);
        return name;
    }
    return null;
}"""


def press_everywhere(panel: PanelPage, dialog: str, open_it: Callable[[], object]) -> list[str]:
    """Press all keys on everything that takes the focus, until nothing new appears; gives the names.

    Args:
        dialog: "" for the panel itself.
        open_it: opens the dialog, also again where a key has closed it.
    """
    page, names = panel.root.page, list[str]()
    while (name := panel.root.evaluate(FOCUS_NEXT, [names, dialog])) is not None:
        if not name:
            while panel.root.get_by_role("dialog").count():
                page.keyboard.press("Escape")
            open_it()
            continue
        names.append(name)
        for key in KEYS:
            page.keyboard.press(key)
        if name.startswith(("input", "textarea")):
            page.keyboard.press("Control+a")
            page.keyboard.press("Delete")
        assert len(names) < 150, names
    return names


@pytest.mark.parametrize("place", ["", "notebooks"], ids=["lab", "notebook"])
def test_no_key_pressed_in_the_panel_or_its_dialogs_changes_the_notebook(
    open_panel: Open, sandbox: Sandbox, place: str
) -> None:
    notebook = open_panel(sandbox, place=place)
    panel = notebook.panel.ask_for("a boat", model="gpt-image-2", size="1:1")
    panel.list("Quality").select_option("low")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)
    panel.edit("a boat", "a red boat")
    panel.generate()
    expect(panel.pictures).to_have_count(2)

    def look() -> None:
        panel.pictures.first.dispatch_event("click")  # goes through another dialog that a key has opened
        panel.dialog("Picture").or_(panel.dialog("Compare")).first.wait_for()

    def compare() -> None:
        look()
        panel.dialog("Picture").get_by_role("button", name="Compare").dispatch_event("click")
        panel.dialog("Compare").wait_for()

    def brush() -> None:
        panel.root.get_by_role("button", name="mask").dispatch_event("click")
        panel.dialog("Draw mask").wait_for()

    with start_sandbox(delay=120) as slow:
        # One request that stays in the queue.
        notebook.execute(f"os.environ['COMETAPI_BASE_URL'] = {slow.base_url!r}")
        panel.generate()
        expect(panel.requests).to_have_count(1)
        cells, runs = notebook.source(), notebook.runs()

        expect(panel.button("Generate")).to_be_enabled()  # later its form is one that cannot be sent
        panel.button("Generate").focus()
        for key in KEYS:
            notebook.page.keyboard.press(key)
        brushed = press_everywhere(panel, "Draw mask", brush)
        compared = press_everywhere(panel, "Compare", compare)
        looked = press_everywhere(panel, "Picture", look)
        pressed = press_everywhere(panel, "", lambda: None)

        # Whatever a key has started is before this cell.
        assert notebook.execute("print('the next cell')") == "the next cell\n"
        assert notebook.source() == [*cells, ("code", "print('the next cell')")]
        assert notebook.runs() == runs + 1
    assert {"canvas Mask", "button Undo", "input Brush size", "button Use mask"} <= {*brushed}
    assert {"input Before and after", "button Close"} <= {*compared}
    assert {"button Next picture", "button Hide", "input Save as", "summary Details"} <= {*looked}
    assert {"textarea Prompt", "button Compare values", "button Stop", "summary As code"} <= {*pressed}
    assert {"div Image panel", "div Gallery", "button Archive", "input Search", "pre Python"} <= {*pressed}
