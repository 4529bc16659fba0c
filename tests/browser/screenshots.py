"""`python -m tests.browser.screenshots [folder] [scene...]`: pictures of the panel, from the real thing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.lab import Notebook, Server, chromium

PROMPTS = (
    "A paper boat floating on calm water at sunrise",
    "A lighthouse in a storm",
    "A fox in a winter forest",
    "A sailing ship on the sea",
    "Mountains behind a lake in autumn",
    "A red balloon over a city at night",
)


@dataclass(frozen=True)
class Scene:
    """What is done with the panel before it is photographed, and where."""

    act: Callable[[Notebook], None]
    width: int = 1360
    dark: bool = False
    key: bool = True
    delay: float = 0.0
    fail: str | None = None
    window: bool = False  # a dialog covers the whole window
    contrast: bool = False


def _empty(notebook: Notebook) -> None:
    notebook.panel.button("Generate").wait_for()


def _made(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.list("Model").select_option("gpt-image-2")
    panel.list("Size").select_option("3:2")
    panel.list("Quality").select_option("low")
    real = "play money" not in panel.price.inner_text()
    for number, prompt in enumerate(PROMPTS, 1):
        panel.prompt.fill(prompt)
        panel.generate(asked=number == 1 and real)
        panel.pictures.nth(number - 1).locator("img[src]").wait_for()
    panel.prompt.fill(PROMPTS[0])


def _grid(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.prompt.fill(PROMPTS[1])
    panel.button("Compare values").click()
    for group, names in (
        ("Model", ("gpt-image-1-mini",)),
        ("Quality", ("low", "medium", "high")),
    ):
        for name in names:
            panel.group(group).get_by_text(name, exact=True).click()
    panel.root.get_by_text("= 6 pictures").wait_for()


def _grid_made(notebook: Notebook) -> None:
    _grid(notebook)
    notebook.panel.generate(asked=True)
    notebook.panel.pictures.nth(5).locator("img[src]").wait_for(
        timeout=90_000
    )  # six large pictures are painted


def _grid_open(notebook: Notebook) -> None:
    _grid_made(notebook)
    notebook.panel.button("View grid").click()
    notebook.page.wait_for_function(
        "() => [...document.querySelectorAll('dialog img')].every(image => image.naturalWidth > 1000)"
    )


def _refused(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.prompt.fill(PROMPTS[4])
    panel.generate(asked=True)
    panel.alert.wait_for()


def _queue(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.list("Model").select_option("gpt-image-2")
    panel.list("Quality").select_option("low")
    for number, prompt in enumerate(PROMPTS[:3]):
        panel.prompt.fill(prompt)
        panel.generate(asked=number == 0)
        panel.requests.nth(number).wait_for()


def _question(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.prompt.fill(PROMPTS[1])
    panel.generate()
    panel.group("Confirm").locator("button:enabled", has_text="Send").first.wait_for()


def _brush(notebook: Notebook) -> None:
    _made(notebook)
    panel, mouse = notebook.panel, notebook.page.mouse
    panel.edit(PROMPTS[0], "A red sail")
    panel.button("Draw mask").click()
    place = panel.dialog("Draw mask").get_by_role("application", name="Mask").bounding_box()
    assert place is not None
    mouse.move(place["x"] + place["width"] * 0.3, place["y"] + place["height"] * 0.4)
    mouse.down()
    mouse.move(place["x"] + place["width"] * 0.6, place["y"] + place["height"] * 0.5, steps=12)
    mouse.up()


def _lightbox(notebook: Notebook) -> None:
    _made(notebook)
    notebook.panel.open(PROMPTS[1]).get_by_role("img", name=PROMPTS[1]).wait_for()
    notebook.page.wait_for_function(
        "() => [...document.querySelectorAll('dialog img')].every(image => image.naturalWidth > 1000)"
    )


def _compare(notebook: Notebook) -> None:
    """An edit beside what it was."""
    panel = notebook.panel
    panel.list("Model").select_option("gpt-image-2")
    panel.list("Size").select_option("3:2")
    panel.list("Quality").select_option("low")
    panel.prompt.fill(PROMPTS[0])
    panel.generate(asked=True)
    panel.edit(PROMPTS[0], "A paper boat at night, under stars")
    panel.generate()
    panel.open("A paper boat at night, under stars").get_by_role("button", name="Compare").click()
    panel.dialog("Compare").get_by_role("slider").wait_for()
    notebook.page.wait_for_function(
        "() => [...document.querySelectorAll('dialog img')].every(image => image.naturalWidth > 300)"
    )


def _dead(notebook: Notebook) -> None:
    _made(notebook)
    notebook.shut_down()
    notebook.panel.band.wait_for()


SCENES = {
    "empty": Scene(_empty, key=False),
    "light": Scene(_made, key=False),
    "dark": Scene(_made, dark=True),
    "compare": Scene(_grid),
    "grid": Scene(_grid_made),
    "grid-narrow": Scene(_grid_made, width=516, dark=True),
    "grid-open": Scene(_grid_open, window=True),
    "contrast": Scene(_made, contrast=True),
    "narrow": Scene(_made, width=516),
    "question": Scene(_question),
    "brush": Scene(_brush, window=True),
    "before-after": Scene(_compare, window=True),
    "lightbox": Scene(_lightbox, window=True, dark=True),
    "queue": Scene(_queue, delay=60.0),
    "error": Scene(_refused, fail="moderation"),
    "dead": Scene(_dead),
}


def _shoot(browser: Browser, server: Server, name: str, scene: Scene, path: Path) -> None:
    with start_sandbox(delay=scene.delay, fail=scene.fail) as sandbox:
        server.write(f"{name}.ipynb", [_settings(sandbox if scene.key else None), "%cometimg_panel"])
        height = 900 if scene.window else 4200  # so that nothing of the panel is below the window
        context = browser.new_context(
            viewport={"width": scene.width, "height": height},
            device_scale_factor=2,
            forced_colors="active" if scene.contrast else "none",
        )
        page = context.new_page()
        notebook = Notebook(page, server, f"{name}.ipynb")
        page.evaluate("() => jupyterapp.shell.collapseLeft()")
        notebook.theme(dark=scene.dark)
        notebook.run_all()
        scene.act(notebook)
        if scene.window:
            page.screenshot(path=path)
        else:
            page.evaluate("() => document.activeElement.blur()")
            notebook.panel.root.screenshot(path=path)
        context.close()


def _settings(sandbox: Sandbox | None) -> str:
    load = "%load_ext comet_magic"
    if sandbox is None:
        return load
    return f"import os; os.environ.update(COMETAPI_KEY='sk-shown', COMETAPI_BASE_URL={sandbox.base_url!r})\n{load}"


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
