"""`python -m tests.benchmarks.panel`: what a person in front of the panel waits for, measured in the browser.

Click to the first visible change of the page, and the server's last byte to the picture on the screen. Both
clocks are one machine's; medians of ten, printed and never asserted.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.conftest import settings
from tests.browser.lab import Notebook, PanelPage, Server, chromium

ROUNDS = 10
AIMS = {"click to first visible change": 300, "last byte to picture on screen": 500}
FORMER = "| the former panel | 78 widgets | 73.5 KB of state | 0.16 s to build |"
# Notes when the page first changes after a click, and when a new picture is decoded and about to be painted.
WATCH = """root => {
    window.seen = {click: 0, change: 0, picture: 0};
    root.addEventListener('click', event => {
        if (event.target.textContent === 'Generate') window.seen = {click: Date.now(), change: 0, picture: 0};
    }, true);
    new MutationObserver(() => {
        const seen = window.seen;
        if (!seen.click) return;
        if (!seen.change) {
            seen.change = -1;
            requestAnimationFrame(() => { seen.change = Date.now(); });
        }
        const image = root.querySelector(`[role=option][aria-label="${window.expected}"] img[src]`);
        if (!seen.picture && image && !image.hidden) {
            seen.picture = -1;
            image.decode().then(() => requestAnimationFrame(() => { seen.picture = Date.now(); }));
        }
    }).observe(root, {subtree: true, childList: true, characterData: true, attributes: true});
}"""
BUILT = """import json, time, comet_magic
began = time.perf_counter()
comet_magic.panel()
seconds = time.perf_counter() - began
state = panel.get_state(); module = len(state.pop('_esm')) + len(state.pop('_css'))
print(f'1 widget | {module / 1000:.1f} KB of module and style, {len(json.dumps(state)) / 1000:.1f} KB of other state '
    f'| {seconds:.2f} s to build')"""


def _round(panel: PanelPage, sandbox: Sandbox, number: int) -> dict[str, float]:
    page, prompt = panel.root.page, f"A paper boat on calm water, number {number}"
    panel.prompt.fill(prompt)
    page.evaluate("prompt => { window.expected = prompt }", prompt)
    panel.generate(asked=number == 1)
    ended: list[float] = []

    def done(log: list[object]) -> bool:
        over = len(log) == number and sandbox_ended(log[-1])
        if over and not ended:
            ended.append(time.time() * 1000)
        return over

    sandbox.until(done, timeout=60)
    page.wait_for_function("() => window.seen.picture > 0")
    seen = page.evaluate("() => window.seen")
    return {
        "click to first visible change": seen["change"] - seen["click"],
        "last byte to picture on screen": seen["picture"] - ended[0],
    }


def sandbox_ended(entry: object) -> bool:
    """Whether the last byte of an answer has left."""
    return getattr(entry, "seconds", None) is not None


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place, start_sandbox(delay=1) as sandbox, chromium() as browser:
        server = Server(Path(place) / "lab")
        try:
            server.write("bench.ipynb", [settings(sandbox, place), "panel = %cometimg_panel\npanel"])
            page = browser.new_context(viewport={"width": 1360, "height": 1600}).new_page()
            notebook = Notebook(page, server, "bench.ipynb")
            notebook.run_all()
            panel = notebook.panel
            panel.list("Quality").select_option("low")
            panel.root.evaluate(WATCH)
            rounds = [_round(panel, sandbox, number) for number in range(1, ROUNDS + 2)]
            built = notebook.execute(BUILT)
        finally:
            server.close()
    print(f"{FORMER}\n| this panel | {built.strip()} |\n")
    print("| what | median ms | lowest | highest | aim |\n| --- | --- | --- | --- | --- |")
    for name, aim in AIMS.items():
        found = [each[name] for each in rounds[1:]]  # the first one imports the client
        print(f"| {name} | {statistics.median(found):.0f} | {min(found):.0f} | {max(found):.0f} | ≤ {aim} |")


if __name__ == "__main__":
    main()
