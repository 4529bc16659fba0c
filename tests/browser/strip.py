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
    "%%cometimg --size 3:2 --vary sky=sunny|stormy|starry --vary boat=paper|wooden\nA {boat} boat below a {sky} sky.",
    "%cometimg_panel",
]
TITLES = ("One cell", "An edit of what came", "A grid of values, priced first", "The same as a form")
PROMPTS = (
    "A lighthouse in a storm",
    "A red balloon over a city at night",
    "Mountains behind a lake in autumn",
)
PROMPTS = (*PROMPTS, "A fox in a winter forest")
NARROW, WIDE = {"width": 760, "height": 2400}, {"width": 1360, "height": 2400}
PAGE = """<!doctype html><style>
body {{ margin: 0; padding: 28px; width: 1640px; background: #fff; color: #333 }}
main {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 24px; align-items: start }}
figure {{ margin: 0; border: 1px solid #ddd; border-radius: 10px; overflow: hidden; height: 100% }}
figure:last-child {{ grid-column: 1 / -1 }}
figcaption {{ padding: 12px 18px; background: #f5f5f7; border-bottom: 1px solid #ddd }}
figcaption {{ font: 500 20px "DejaVu Sans", sans-serif }}
img {{ width: 100%; display: block; margin-top: 8px }}
</style><main>{}</main>"""


def _cells(browser: Browser, server: Server) -> list[str]:
    """A photograph of each cell and what it shows, as base64."""
    server.write("strip.ipynb", CELLS)
    page = browser.new_page(viewport=NARROW, device_scale_factor=2)
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
    shots = [cells.nth(number).screenshot() for number in range(1, len(CELLS) - 1)]
    page.set_viewport_size(WIDE)
    shots.append(panel.root.screenshot())
    return [base64.b64encode(shot).decode() for shot in shots]


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
        page = browser.new_page(viewport={"width": 1700, "height": 900})
        page.set_content(PAGE.format(figures))
        page.locator("body").screenshot(path=path, type="jpeg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "strip.jpg"))
