"""The panel in its front ends: the keys of the notebook, the end of a kernel, saved files, voila and marimo."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.conftest import settings
from tests.browser.lab import TIMEOUT, Notebook, PanelPage, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

    Open = Callable[..., Notebook]

expect.set_options(timeout=TIMEOUT)
BAND = "The kernel is gone: run this cell again"
KEYS = [*"abmxdd00", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"]
KEYS += ["Shift+Enter", "Control+Enter", "Alt+Enter"]
# Every element that takes the focus, in the order of the page; the one with this number gets it.
FOCUS = """(root, at) => {
    const all = [...root.querySelectorAll(
        'button, input, select, textarea, summary, canvas, [tabindex]')].filter(
        one => !one.disabled && one.checkVisibility({visibilityProperty: true}));
    all[at]?.focus();
    return all.length;
}"""


def press_everywhere(page: Page, panel: PanelPage, keys: list[str]) -> int:
    """Press keys on everything in the panel that takes the focus; gives how many elements it was."""
    count, at = 1, 0
    while at < count:
        count = panel.root.evaluate(FOCUS, at)
        for key in keys:
            page.keyboard.press(key)
        dialogs = panel.root.get_by_role("dialog")
        if dialogs.count():  # what a key has opened
            page.keyboard.press("Escape")
            expect(dialogs).to_have_count(0)
        at += 1
    return count


@pytest.mark.parametrize("place", ["", "notebooks"], ids=["lab", "notebook"])
def test_no_key_pressed_in_the_panel_changes_the_notebook(open_panel: Open, place: str) -> None:
    notebook = open_panel(None, place=place)
    panel, page = notebook.panel.ask_for("a boat"), notebook.page
    panel.generate()
    expect(panel.pictures).to_have_count(1)
    notebook.wait_for_sheet("1 picture: a boat")
    before = (notebook.source(), notebook.runs())

    panel.open("a boat")
    panel.dialog("Picture").get_by_role("button", name="Zoom").focus()
    for key in KEYS:
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    expect(panel.dialog("Picture")).to_have_count(0)
    assert press_everywhere(page, panel, KEYS) > 10

    assert (notebook.source(), notebook.runs()) == before


def test_a_kernel_that_ends_is_told_in_one_band(open_panel: Open, sandbox: Sandbox) -> None:
    notebook = open_panel(sandbox)
    panel = notebook.panel.ask_for("a boat")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)

    notebook.page.evaluate("() => { jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart() }")
    expect(panel.band).to_have_text(BAND)
    expect(panel.button("Generate")).to_be_disabled()
    expect(panel.pictures).to_have_count(1)
    notebook.ready()
    notebook.run_all()
    expect(panel.band).to_have_count(0)
    expect(panel.pictures).to_have_count(0)

    notebook.shut_down()
    expect(panel.band).to_have_text(BAND)
    expect(panel.button("Generate")).to_be_disabled()


def test_a_lost_server_is_told_and_a_saved_notebook_still_shows_its_pictures(
    browser: object, context: BrowserContext, sandbox: Sandbox, tmp_path: Path
) -> None:
    server = Server(tmp_path / "server")
    try:
        path = server.write(
            "kept.ipynb", [settings(sandbox, str(tmp_path)), "panel = %cometimg_panel\npanel"]
        )
        notebook = Notebook(context.new_page(), server, "kept.ipynb", place="notebooks")
        notebook.run_all()
        panel = notebook.panel.ask_for("a boat")
        panel.generate(asked=True)
        notebook.wait_for_sheet("1 picture: a boat")
        notebook.save()
        saved = path.read_text()
        html = subprocess.run(
            [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout
        path.write_text(saved.replace('"name": "python3"', '"name": "none-here"'))

        other = context.new_page()
        other.goto(f"{server.url}/notebooks/kept.ipynb")
        shown = other.locator("img[width]")
        expect(shown.first).to_be_visible()
        assert shown.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
        other.close()

        other = context.new_page()
        other.set_content(html)
        # The template drops alternative texts.
        assert (
            other.locator("img[width]").evaluate("image => image.decode().then(() => image.naturalWidth)")
            == 256
        )
        other.close()
    finally:
        server.close()
    expect(panel.band).to_have_text(BAND)
    expect(panel.button("Generate")).to_be_disabled()
    notebook.page.close()


def test_the_pictures_are_asked_for_again_after_a_reload(open_panel: Open, sandbox: Sandbox) -> None:
    notebook = open_panel(sandbox, place="notebooks")
    notebook.panel.ask_for("a boat").generate(asked=True)
    expect(notebook.panel.pictures).to_have_count(1)
    notebook.wait_for_sheet("1 picture: a boat")
    notebook.save()

    notebook.page.reload()
    notebook.ready()

    picture = notebook.panel.pictures.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256


def core(panel: PanelPage, sandbox: Sandbox) -> None:
    """What holds everywhere: an error is shown, a picture comes, and Stop stops."""
    panel.ask_for("a boat").generate(asked=True)
    expect(panel.alert).to_contain_text("rejected by the safety system")
    panel.generate()
    expect(panel.pictures).to_have_count(1)
    expect(panel.pictures.locator("img")).to_be_visible()
    panel.prompt.fill("a ship")
    panel.generate()
    panel.requests.get_by_role("button", name="Stop").click()
    expect(panel.status).to_contain_text(re.compile("runs on|Nothing was sent"))
    expect(panel.requests).to_have_count(0)


def test_the_core_works_in_voila(voila: Server, context: BrowserContext, tmp_path: Path) -> None:
    with start_sandbox(delay=2, fail=["moderation"]) as sandbox:
        voila.write("panel.ipynb", [settings(sandbox, str(tmp_path)), "panel = %cometimg_panel\npanel"])
        page = context.new_page()
        page.goto(f"{voila.url}/voila/render/panel.ipynb", timeout=4 * TIMEOUT)
        core(PanelPage(page.get_by_role("region", name="Image panel")), sandbox)
        page.close()


MARIMO = """import marimo
app = marimo.App()

@app.cell
def _():
    import os
    os.chdir({folder!r})
    os.environ.update(COMETAPI_KEY={key!r}, COMETAPI_BASE_URL={url!r})
    import comet_magic
    panel = comet_magic.panel()
    panel
    return

if __name__ == "__main__":
    app.run()
"""


def test_the_core_works_in_marimo(browser: object, context: BrowserContext, tmp_path: Path) -> None:
    pytest.importorskip("marimo", reason="marimo is not installed")
    from tests.browser.conftest import KEY

    with start_sandbox(delay=2, fail=["moderation"]) as sandbox:
        app = MARIMO.format(folder=str(tmp_path), key=KEY, url=sandbox.base_url)
        server = Server(tmp_path / "marimo", application="marimo", files={"app.py": app})
        try:
            page = context.new_page()
            page.goto(server.url, timeout=4 * TIMEOUT)
            core(PanelPage(page.get_by_role("region", name="Image panel")), sandbox)
            page.close()
        finally:
            server.close()
