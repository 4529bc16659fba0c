"""A real JupyterLab and a real Chromium, for tests, screenshots and the benchmark."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import nbformat
from playwright.sync_api import Browser, Locator, Page, sync_playwright

import comet_magic

PACKAGE = Path(comet_magic.__file__).parent.parent
CHROMIUM = os.environ.get("COMET_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 30_000  # milliseconds; the machine may be busy
OVERRIDES = {
    # Without these the first page asks whether it may fetch news.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/completer-extension:inline-completer": {"providers": {}},
}
# The toolbar says idle before there is a kernel at all; the app itself knows.
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const context = panel?.sessionContext;
    return Boolean(context?.isReady && context.session?.kernel?.status === 'idle' && panel.content.widgets.length);
}"""


class Server:
    """A Jupyter server of its own, with folders of its own, on loopback."""

    def __init__(self, folder: Path, *arguments: str, application: str = "jupyterlab") -> None:
        self.root = folder / "work"
        self.root.mkdir(parents=True)
        settings = folder / "settings"
        settings.mkdir()
        (settings / "overrides.json").write_text(json.dumps(OVERRIDES))
        self.port = _free_port()
        self._log = (folder / "server.log").open("w")
        command = [sys.executable, "-m", application, *self._arguments(application, settings), *arguments]
        self._process = subprocess.Popen(
            command, cwd=self.root, env=_environment(folder), stdout=self._log, stderr=self._log
        )
        self._log_path = folder / "server.log"
        self._wait()

    def _arguments(self, application: str, settings: Path) -> list[str]:
        if application == "voila":
            return [f"--port={self.port}", "--no-browser", "--Voila.ip=127.0.0.1"]
        return [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            f"--LabApp.app_settings_dir={settings}",
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/", timeout=5):
                    return
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self._log_path.read_text()[-4000:]}")

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """A notebook with these cells in the server's folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(notebook))
        return path

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMET", "JUPYTER"))}
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "lab-settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "HOME": "home",
    }
    for place in places.values():
        (folder / place).mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        **{name: str(folder / place) for name, place in places.items()},
        "PYTHONPATH": str(PACKAGE),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Notebook:
    """A notebook that is open in JupyterLab or Notebook 7, with a kernel that is ready."""

    def __init__(self, page: Page, server: Server, name: str, *, place: str = "lab/tree") -> None:
        self.page = page
        page.set_default_timeout(TIMEOUT)
        page.goto(f"{server.url}/{place}/{name}?reset")
        self.ready()

    def ready(self) -> None:
        """Wait until there is a kernel and it has nothing to do."""
        self.page.wait_for_function(READY, timeout=2 * TIMEOUT)

    def clear(self) -> None:
        """Begin anew: no cell but an empty one, and nothing that runs."""
        self.page.evaluate(
            """async () => {
                const panel = jupyterapp.shell.currentWidget;
                await panel.sessionContext.session.kernel.interrupt();
                const model = panel.content.model.sharedModel;
                model.transact(() => {
                    model.deleteCellRange(0, model.cells.length);
                    model.insertCell(0, {cell_type: 'code', source: ''});
                });
            }"""
        )
        self.ready()

    def theme(self, *, dark: bool) -> None:
        """Change the colours, and wait until they have changed."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")

    def run_all(self) -> None:
        """Run every cell; returns when the last one has its number."""
        # Not awaited in the page: a dialog would wait for ever there.
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
        self.finished(self.count - 1)

    @property
    def count(self) -> int:
        return int(self.page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.length"))

    def run(self, index: int) -> None:
        """Start one cell; does not wait."""
        self.page.evaluate(
            """index => {
                jupyterapp.shell.currentWidget.content.activeCellIndex = index;
                jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def append(self, source: str) -> int:
        """A new cell at the end; gives its index."""
        return int(
            self.page.evaluate(
                """source => {
                    const model = jupyterapp.shell.currentWidget.content.model.sharedModel;
                    model.insertCell(model.cells.length, {cell_type: 'code', source});
                    return model.cells.length - 1;
                }""",
                source,
            )
        )

    def finished(self, index: int, timeout: float = 2 * TIMEOUT) -> None:
        """Wait until a cell has run."""
        self.page.wait_for_function(
            """index => {
                const cell = jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel;
                return cell.execution_count !== null && cell.executionState !== 'running';
            }""",
            arg=index,
            timeout=timeout,
        )

    def running(self, index: int) -> bool:
        """Whether a cell is at work."""
        return bool(
            self.page.evaluate(
                """index => {
                    const cell = jupyterapp.shell.currentWidget.content.widgets[index];
                    return cell.model.sharedModel.executionState === 'running';
                }""",
                index,
            )
        )

    def shut_down(self) -> None:
        """End the kernel."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def execute(self, source: str) -> str:
        """Run code in a new cell and give what it printed or showed as text."""
        index = self.append(source)
        self.run(index)
        self.finished(index)
        return self.text_of(index)

    def text_of(self, index: int) -> str:
        """The text of a cell's outputs."""
        outputs: list[dict[str, Any]] = self.page.evaluate(
            """index => jupyterapp.shell.currentWidget.content.widgets[index].model.outputs.toJSON()""", index
        )
        found = []
        for output in outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue", "")
            found.append("".join(text))
        return "".join(found)

    @property
    def panel(self) -> PanelPage:
        return PanelPage(self.page.locator(".comet-panel").first)


class PanelPage:
    """The panel on a page, as a person finds it: by what stands there."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        root.wait_for(timeout=TIMEOUT)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    @property
    def prompt(self) -> Locator:
        return self.root.get_by_label("Prompt", exact=True)

    @property
    def model(self) -> Locator:
        return self.root.get_by_label("Model", exact=True)

    def choose(self, label: str, value: str) -> None:
        """Choose from a list; returns when the kernel has answered."""
        self.root.get_by_label(label, exact=True).select_option(label=value)

    def type(self, label: str, value: str) -> None:
        """Type into a field and leave it."""
        field = self.root.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Tab")

    def generate(self, count: int) -> None:
        """Press Generate and wait until there are so many thumbnails and the panel is free again."""
        self.button("Generate").click()
        self.root.locator(".comet-tile").nth(count - 1).wait_for()
        self.root.locator(".comet-generate:enabled").wait_for()

    @property
    def status(self) -> Locator:
        return self.root.locator(".comet-status")

    @property
    def alert(self) -> Locator:
        return self.root.get_by_role("alert")

    @property
    def picture(self) -> Locator:
        return self.root.locator(".comet-figure img")

    @property
    def thumbnails(self) -> Locator:
        return self.root.locator(".comet-tile img")

    def code(self, name: str) -> Locator:
        return self.root.locator(f".comet-code-{name} pre")
