"""`python -m tests.browser.screenshots [folder] [scene...]`: pictures of the panel, from the real thing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

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


@dataclass(frozen=True)
class Scene:
    """What is done with the panel before it is photographed, and where."""

    act: Callable[[PanelPage], None]
    width: int = 1360
    dark: bool = False
    key: bool = True
    delay: float = 0.0
    fail: str | None = None


def _empty(panel: PanelPage) -> None:
    panel.button("Generate").wait_for()


def _made(panel: PanelPage) -> None:
    panel.choose("Quality", "low")
    panel.type("Size", "3:2")
    for number, prompt in enumerate(PROMPTS, 1):
        panel.prompt.fill(prompt)
        panel.generate(number)
    panel.root.locator(".comet-tile button").last.click()
    panel.root.locator(f".comet-figure img[alt='{PROMPTS[0]}']").wait_for()
    panel.prompt.fill(PROMPTS[0])


def _refused(panel: PanelPage) -> None:
    panel.choose("Quality", "high")
    panel.prompt.fill(PROMPTS[4])
    panel.button("Generate").click()
    panel.alert.wait_for()


def _working(panel: PanelPage) -> None:
    panel.choose("Quality", "low")
    panel.root.get_by_label("Show previews while it works").check()
    panel.root.get_by_label("Pictures", exact=True).fill("3")
    panel.prompt.fill(PROMPTS[1])
    panel.button("Generate").click()
    panel.root.locator(".comet-part img").nth(2).wait_for()


def _stopped(panel: PanelPage) -> None:
    panel.choose("Quality", "low")
    panel.prompt.fill(PROMPTS[5])
    panel.button("Generate").click()
    panel.root.get_by_text("Waiting for the model").wait_for()
    panel.button("Stop").click()
    panel.root.get_by_text("in the background").wait_for()


def _compared(panel: PanelPage) -> None:
    _made(panel)
    panel.button("Compare").click()
    panel.root.locator(".comet-tile button").first.click()
    panel.root.locator(".comet-side-by-side img").nth(1).wait_for()


def _gallery(panel: PanelPage) -> None:
    panel.choose("Quality", "low")
    panel.root.get_by_label("Pictures", exact=True).fill("8")
    for number, prompt in enumerate(PROMPTS[:3], 1):
        panel.prompt.fill(prompt)
        panel.generate(min(20, 8 * number))
    panel.root.get_by_role("button", name="Archive").click()
    panel.root.locator(".comet-count").filter(has_text="Reading").wait_for()
    panel.root.locator(".comet-count").filter(has_text="1 to 20 of").wait_for()


SCENES = {
    "empty": Scene(_empty, key=False),
    "light": Scene(_made),
    "dark": Scene(_made, dark=True),
    "narrow": Scene(_made, width=516),
    "error": Scene(_refused, fail="moderation"),
    "working": Scene(_working, delay=8.0),
    "stopped": Scene(_stopped, delay=8.0),
    "compared": Scene(_compared),
    "gallery": Scene(_gallery, dark=True),
}


def _shoot(browser: Browser, server: Server, name: str, scene: Scene, path: Path) -> None:
    with start_sandbox(delay=scene.delay, fail=scene.fail) as sandbox:
        server.write(f"{name}.ipynb", [_settings(sandbox if scene.key else None), "%cometimg_panel"])
        context = browser.new_context(viewport={"width": scene.width, "height": 2400})
        page = context.new_page()
        notebook = Notebook(page, server, f"{name}.ipynb")
        page.evaluate("() => jupyterapp.shell.collapseLeft()")
        notebook.theme(dark=scene.dark)
        notebook.run_all()
        scene.act(notebook.panel)
        notebook.panel.root.screenshot(path=path)
        context.close()


def _settings(sandbox: Sandbox | None) -> str:
    load = "%load_ext comet_magic"
    if sandbox is None:
        return load
    return f"import os; os.environ.update(COMETAPI_KEY='sandbox', COMETAPI_BASE_URL={sandbox.base_url!r})\n{load}"


def main(folder: Path, names: list[str]) -> None:
    """Photograph the scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        server = Server(Path(place))
        try:
            for name in names or SCENES:
                _shoot(browser, server, name, SCENES[name], folder / f"{name}.png")
        finally:
            server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"), sys.argv[2:])
