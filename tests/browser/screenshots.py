"""`python -m tests.browser.screenshots [folder]`: pictures of the panel, from the real thing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from comet_magic.catalog import find
from comet_magic.notebook.panel.form import label_of_model
from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.lab import Notebook, PanelPage, Server, chromium

PROMPTS = (
    "A paper boat floating on calm water at sunrise",
    "A lighthouse in a storm",
    "A fox in a winter forest",
    "A teapot on a wooden table",
    "Mountains behind a lake in autumn",
    "A red balloon over a city at night",
)


def _notebook(server: Server, name: str, sandbox: Sandbox | None) -> None:
    key = (
        f"import os; os.environ.update(COMETAPI_KEY='sk-' + 'x' * 24, COMETAPI_BASE_URL={sandbox.base_url!r})\n"
        if sandbox
        else ""
    )
    server.write(name, [f"{key}%load_ext comet_magic", "%cometimg_panel"])


def _open(
    browser: Browser, server: Server, name: str, *, width: int = 1360, dark: bool = False
) -> tuple[Page, Notebook]:
    page = browser.new_context(viewport={"width": width, "height": 1700}, device_scale_factor=1).new_page()
    notebook = Notebook(page, server, name)
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    if dark:
        page.evaluate(
            "() => { jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}) }"
        )
        page.locator('body[data-jp-theme-light="false"]').wait_for()
    notebook.run_all()
    return page, notebook


def _make(panel: PanelPage, prompt: str, count: int) -> None:
    panel.prompt.fill(prompt)
    panel.button("Generate").click()
    panel.root.locator(".comet-tile").nth(count - 1).wait_for()
    panel.root.page.wait_for_function("() => !document.querySelector('.comet-generate')?.disabled")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, start_sandbox() as sandbox, chromium() as (_, browser):
        server = Server(Path(place))
        try:
            _shoot(browser, server, sandbox, folder)
        finally:
            server.close()


def _shoot(browser: Browser, server: Server, sandbox: Sandbox, folder: Path) -> None:
    _notebook(server, "empty.ipynb", None)
    page, notebook = _open(browser, server, "empty.ipynb")
    notebook.panel.root.screenshot(path=folder / "empty.png")
    page.close()
    for name, dark, width in (("light", False, 1360), ("dark", True, 1360), ("narrow", False, 520)):
        _notebook(server, f"{name}.ipynb", sandbox)
        page, notebook = _open(browser, server, f"{name}.ipynb", dark=dark, width=width)
        panel = notebook.panel
        panel.root.get_by_label("Quality", exact=True).select_option("low")
        panel.root.get_by_label("Size", exact=True).fill("3:2")
        panel.root.get_by_label("Size", exact=True).press("Enter")
        for number, prompt in enumerate(PROMPTS, 1):
            _make(panel, prompt, number)
            if number == 3 and name == "narrow":
                break
        panel.root.locator(".comet-tile button").last.click()
        panel.root.locator(f".comet-figure img[alt='{PROMPTS[0]}']").wait_for()
        panel.prompt.fill(PROMPTS[0])
        panel.root.screenshot(path=folder / f"{name}.png")
        if name == "light":
            panel.model.select_option(label=label_of_model(find("dall-e-3")))
            panel.prompt.fill("x" * 10)
            panel.root.get_by_text("Advanced").click()
            panel.root.get_by_label("Most this may cost, USD").fill("0.001")
            panel.button("Generate").click()
            panel.alert.wait_for()
            panel.root.screenshot(path=folder / "error.png")
        page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
