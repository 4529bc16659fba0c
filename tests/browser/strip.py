"""`python -m tests.browser.strip [file]`: the picture at the top of the README, from a real notebook."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.lab import Notebook, Server, chromium

CELLS = [
    '%load_ext comet_magic\n%config CometMagics.quality = "low"',
    "%%cometimg --size 3:2 -o boats\nA paper boat floating on calm water at sunrise.",
    "%cometimg --edit -o night make it night",
    "%%cometimg --size 3:2 --vary boat=paper|wooden --vary sky=sunny|stormy|starry\nA {boat} boat below a {sky} sky.",
    "%cometimg_panel",
]
TITLES = ("One cell", "An edit of what came", "A grid of values, priced first", "The same as a form")
PROMPTS = (
    "A lighthouse in a storm",
    "A red balloon over a city at night",
    "Mountains behind a lake in autumn",
)
WIDTH = 760
PAGE = """<!doctype html><style>
body {{ margin: 0; padding: 28px; width: 1540px; background: #fff; color: #333 }}
main {{ display: grid; grid-template-columns: 1fr 1fr; gap: 28px }}
figure {{ margin: 0; border: 1px solid #ddd; border-radius: 10px; overflow: hidden }}
figure {{ display: flex; flex-direction: column }}
figcaption {{ padding: 12px 18px; background: #f5f5f7; border-bottom: 1px solid #ddd }}
figcaption {{ font: 500 22px "DejaVu Sans", sans-serif }}
img {{ width: 100%; display: block; margin: auto 0 }}
</style><main>{}</main>"""


def _cells(browser: Browser, server: Server) -> list[str]:
    """A photograph of each cell and what it shows, as base64."""
    server.write("strip.ipynb", CELLS)
    page = browser.new_page(viewport={"width": WIDTH, "height": 2400}, device_scale_factor=2)
    notebook = Notebook(page, server, "strip.ipynb")
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    notebook.run_all()
    panel = notebook.panel
    for option, value in {"Model": "gpt-image-2", "Size": "3:2", "Quality": "low"}.items():
        panel.list(option).select_option(value)
    for number, prompt in enumerate(PROMPTS):
        panel.prompt.fill(prompt)
        panel.generate()
        panel.pictures.nth(number).locator("img[src]").wait_for()
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    return [base64.b64encode(cells.nth(number).screenshot()).decode() for number in range(1, len(CELLS))]


def main(path: Path) -> None:
    """Photograph the cells and lay them out side by side."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder))
        try:
            shots = _cells(browser, server)
        finally:
            server.close()
        figures = "".join(
            f"<figure><figcaption>{title}</figcaption><img src='data:image/png;base64,{shot}'></figure>"
            for title, shot in zip(TITLES, shots, strict=True)
        )
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_content(PAGE.format(figures))
        page.locator("body").screenshot(path=path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "strip.png"))
