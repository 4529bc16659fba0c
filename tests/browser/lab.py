"""A real JupyterLab and a real Chromium, for tests, screenshots and the benchmark."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

import nbformat
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

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
TIMEOUT = 30_000  # ms; a machine that does other work is slow
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

# What a notebook whose kernel does not come says of itself, with the words of any dialog over it.
STATE = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const {status, connectionStatus} = context?.session?.kernel ?? {};
    const dialogs = [...document.querySelectorAll('.jp-Dialog')].map(dialog => dialog.textContent);
    return JSON.stringify({ready: context?.isReady, status, connectionStatus, dialogs});
}"""


class Server:
    """A Jupyter server of its own, with folders of its own, on loopback."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        application: str = "jupyterlab",
        files: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.application = folder, application
        self.root = folder / "work"
        self.root.mkdir(parents=True)
        for name, text in (files or {}).items():
            (self.root / name).write_text(text)
        settings = folder / "settings"
        settings.mkdir()
        (settings / "overrides.json").write_text(json.dumps(OVERRIDES))
        # Else each page that is opened starts node, which asks whether extensions must be built.
        (settings / "page_config.json").write_text('{"buildCheck": false, "buildAvailable": false}')
        # What is imported with each start and serves neither cells nor widgets.
        unused = {"jupyter_lsp": False, "jupyter_server_terminals": False}
        (folder / "config").mkdir()
        server_config = {"ServerApp": {"jpserver_extensions": unused}}
        (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(server_config))
        self.kernels = _install_kernels(folder / "data" / "kernels")
        self.port = _free_port()
        self._log = (folder / "server.log").open("w")
        command = [sys.executable, "-m", application, *self._arguments(application, settings), *arguments]
        self._process = subprocess.Popen(
            command, cwd=self.root, env=_environment(folder), stdout=self._log, stderr=self._log
        )
        self._log_path = folder / "server.log"
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _arguments(self, application: str, settings: Path) -> list[str]:
        if application == "marimo":
            return ["run", str(self.root / "app.py"), "--headless", f"--port={self.port}", "--host=127.0.0.1"]
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
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/", timeout=5):
                    return
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self._log_path.read_text()[-4000:]}")

    def write(self, name: str, cells: Sequence[str], *, kernel: str = "python3") -> Path:
        """A notebook with these cells in the server's folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
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


def _install_kernels(folder: Path) -> list[str]:
    """Make the kernels of COMET_TEST_KERNELS known to a server; gives their names."""
    names = []
    for executable in filter(None, os.environ.get("COMET_TEST_KERNELS", "").split(os.pathsep)):
        names.append(Path(executable).parent.parent.name)
        spec = {
            "argv": [executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": names[-1],
            "language": "python",
        }
        (folder / names[-1]).mkdir(parents=True)
        (folder / names[-1] / "kernel.json").write_text(json.dumps(spec))
    return names


def _free_port() -> int:
    """A port below those that the system gives to others until the server listens."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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


def wait_for(page: Page, condition: str, *, arg: object = None) -> None:
    """Wait until a condition of a page holds, and look at most twenty times a second: by default each frame would."""
    page.wait_for_function(condition, arg=arg, timeout=2 * TIMEOUT, polling=50)


class Notebook:
    """A notebook that is open in JupyterLab or Notebook 7, with a kernel that is ready.

    Args:
        page: that of JupyterLab if `place` is "", where the notebook is opened beside others.
        place: where the server has notebooks on pages of their own.
    """

    def __init__(self, page: Page, server: Server, name: str, *, place: str = "lab/tree") -> None:
        self.page, self.name = page, name
        page.set_default_timeout(TIMEOUT)
        if place:
            page.goto(f"{server.url}/{place}/{name}?reset", timeout=2 * TIMEOUT)
        else:
            self.activate()
        self.ready()

    def activate(self) -> None:
        """Open it in JupyterLab, or come back to it."""
        self.page.evaluate("path => { jupyterapp.commands.execute('docmanager:open', {path}) }", self.name)
        wait_for(self.page, "path => jupyterapp.shell.currentWidget?.context?.path === path", arg=self.name)

    def close(self) -> None:
        """End the kernel, and close the notebook without saving it."""
        self.page.evaluate(
            """() => {
                const panel = jupyterapp.shell.currentWidget;
                const session = panel.sessionContext.session;
                panel.dispose();
                if (session) jupyterapp.serviceManager.sessions.shutdown(session.id).catch(() => {});
            }"""
        )

    def save(self) -> None:
        """Save the file."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")

    def source(self) -> list[tuple[str, str]]:
        """Kind and text of each cell, as they are now."""
        return [
            (kind, text)
            for kind, text in self.page.evaluate(
                """() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells
                    .map(cell => [cell.cell_type, cell.getSource()])"""
            )
        ]

    def runs(self) -> int:
        """The highest number of a cell that ran."""
        return int(
            self.page.evaluate(
                """() => Math.max(...jupyterapp.shell.currentWidget.content.model.sharedModel.cells
                    .map(cell => cell.execution_count ?? 0))"""
            )
        )

    def ready(self) -> None:
        """Wait until there is a kernel and it has nothing to do."""
        try:
            wait_for(self.page, READY)
        except PlaywrightTimeoutError as error:
            error.add_note(f"{self.name} has no kernel that is ready: {self.page.evaluate(STATE)}")
            raise

    def theme(self, *, dark: bool) -> None:
        """Change the colours, and wait until they have changed."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}) }", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")

    def become(self, cells: Sequence[str]) -> None:
        """Have these cells instead of the others; the kernel stays."""
        self.activate()
        self.page.evaluate(
            """sources => {
                const model = jupyterapp.shell.currentWidget.content.model.sharedModel;
                const count = model.cells.length;
                model.insertCells(count, sources.map(source => ({cell_type: 'code', source})));
                model.deleteCellRange(0, count);
            }""",
            list(cells),
        )

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

    def finished(self, index: int) -> None:
        """Wait until a cell has run."""
        wait_for(
            self.page,
            """index => {
                const cell = jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel;
                return cell.execution_count !== null && cell.executionState !== 'running';
            }""",
            arg=index,
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

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell, as they would be saved."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "index => jupyterapp.shell.currentWidget.content.widgets[index].model.outputs.toJSON()", index
        )
        return found

    def wait_for_sheet(self, alternative: str) -> None:
        """Wait until the panel's cell keeps a picture with this alternative text."""
        wait_for(
            self.page,
            """alternative => jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.toJSON()
                .some(output => output.metadata?.['image/jpeg']?.alt === alternative)""",
            arg=alternative,
        )

    def text_of(self, index: int) -> str:
        """The text of a cell's outputs."""
        found = []
        for output in self.outputs(index):
            text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue", "")
            found.append("".join(text))
        return "".join(found)

    @property
    def panel(self) -> PanelPage:
        return PanelPage(self.page.get_by_role("region", name="Image panel").first)


class PanelPage:
    """The panel on a page, as a person finds it: by roles and names."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        root.wait_for(timeout=TIMEOUT)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def box(self, name: str) -> Locator:
        """A field to type into."""
        return self.root.get_by_role("textbox", name=name, exact=True)

    def list(self, name: str) -> Locator:
        """A list to choose from."""
        return self.root.get_by_role("combobox", name=name, exact=True)

    def group(self, name: str) -> Locator:
        return self.root.get_by_role("group", name=name, exact=True)

    def dialog(self, name: str) -> Locator:
        return self.root.get_by_role("dialog", name=name, exact=True)

    @property
    def prompt(self) -> Locator:
        return self.box("Prompt")

    @property
    def price(self) -> Locator:
        """What the next request costs."""
        return self.root.get_by_text("Next request")

    @property
    def status(self) -> Locator:
        return self.root.get_by_role("status", name="Progress")

    @property
    def band(self) -> Locator:
        return self.root.get_by_role("status", name="Kernel")

    @property
    def alert(self) -> Locator:
        return self.root.get_by_role("alert")

    @property
    def requests(self) -> Locator:
        return self.root.get_by_role("list", name="Requests").get_by_role("listitem")

    @property
    def inputs(self) -> Locator:
        """The pictures that go in."""
        return self.root.get_by_role("list", name="Pictures in").get_by_role("listitem")

    @property
    def pictures(self) -> Locator:
        """The pictures of the gallery."""
        return self.root.get_by_role("listbox", name="Gallery").get_by_role("option")

    def ask_for(self, prompt: str, *, model: str = "dall-e-2", size: str = "256x256") -> PanelPage:
        """Fill in a form that asks for one small picture, and wait until it may be sent."""
        self.list("Model").select_option(model)
        if size:
            self.list("Size").select_option(size)
        self.prompt.fill(prompt)
        return self

    def generate(self, *, asked: bool = False) -> None:
        """Press Generate; with `asked` answer the question before real money is spent."""
        self.root.locator("button:enabled", has_text="Generate").click()
        if asked:
            self.button("Send").click()

    def open(self, name: str) -> Locator:
        """Open a picture of the gallery large; gives the dialog."""
        self.pictures.filter(has=self.root.page.locator("img")).and_(
            self.root.get_by_role("option", name=name, exact=True)
        ).click()
        return self.dialog("Picture")

    def edit(self, name: str, prompt: str) -> None:
        """Take a picture of the gallery as the one that goes in, and say what becomes of it."""
        dialog = self.open(name)
        dialog.get_by_role("button", name="Edit this").click()
        # What is typed into a form behind an open dialog goes nowhere.
        dialog.wait_for(state="detached")
        self.inputs.first.wait_for()  # the price with it is shown, too
        self.prompt.fill(prompt)
