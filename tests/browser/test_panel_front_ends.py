"""The panel in its front ends: the keys of the notebook, the end of a kernel, saved files, voila and marimo."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from typing import TYPE_CHECKING

import nbformat
import pytest
from PIL import Image, ImageChops, ImageStat

pytest.importorskip("playwright", reason="playwright is not installed")

from nbconvert import HTMLExporter
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


def test_a_kernel_that_ends_is_told_in_one_band(open_panel: Open, sandbox: Sandbox) -> None:
    notebook = open_panel(sandbox, alone=True)
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


def difference(one: bytes, other: bytes) -> float:
    """How far two pictures are from each other, of 255: the mean over their colours, at 24 x 24 pixels."""
    with Image.open(BytesIO(one)) as first, Image.open(BytesIO(other)) as second:
        small = [each.convert("RGB").resize((24, 24), Image.Resampling.BOX) for each in (first, second)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3


def seen(page: Page) -> bytes:
    """What a person sees where the first picture of known size is, after it was decoded."""
    picture = page.locator("img[width]").first
    picture.evaluate("image => image.decode()")
    return picture.screenshot()


def test_pictures_stay_over_a_reload_the_end_of_the_server_and_in_the_saved_file(
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
        panel.prompt.fill("a red balloon over a city")
        panel.generate()
        notebook.wait_for_sheet("2 pictures: a red balloon over a city; a boat")
        notebook.save()

        notebook.page.reload()
        notebook.ready()
        for picture in (panel.pictures.nth(place).locator("img") for place in range(2)):
            expect(picture).to_be_visible()
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256

        saved = json.loads(path.read_text())
        bundles = [output["data"] for output in saved["cells"][1]["outputs"]]
        sheet = base64.b64decode(next(data["image/jpeg"] for data in bundles if "image/jpeg" in data))
        exported = HTMLExporter().from_notebook_node(nbformat.read(path, 4))[0]
        path.write_text(path.read_text().replace('"name": "python3"', '"name": "none-here"'))
        other = context.new_page()
        other.goto(f"{server.url}/notebooks/kept.ipynb")
        reopened = seen(other)
        assert not other.get_by_role("region", name="Image panel").count()
        other.set_content(exported)
        in_html = seen(other)
        other.set_content("<style>body { margin: 0 }</style><img width=640 height=320>")
        blank = other.screenshot()
        other.close()
        assert difference(blank, sheet) > 40
        assert difference(reopened, sheet) < 10
        assert difference(in_html, sheet) < 10
    finally:
        server.close()
    expect(panel.band).to_have_text(BAND)
    expect(panel.button("Generate")).to_be_disabled()
    notebook.page.close()


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
    expect(panel.status).to_contain_text(re.compile("runs on|before anything was sent"))
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
