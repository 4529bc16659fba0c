"""One JupyterLab, one Chromium and one notebook for all tests of a session that need no kernel of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.sandbox import Sandbox, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

    from tests.browser.lab import Notebook, PanelPage, Server

SCREEN: ViewportSize = {"width": 1360, "height": 1600}
KEY = "sk-" + "browserTESTKEY0123456789abcdef"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.parent.name == "browser"]
    for item in here:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.timeout(900))
        if len(here) < len(items):
            reason = (
                "Playwright keeps a loop running, which other tests cannot bear: run tests/browser by itself"
            )
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright", reason="playwright is not installed")
    from tests.browser.lab import CHROMIUM, chromium

    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    from tests.browser.lab import Server

    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def voila(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("voila", reason="voila is not installed")
    from tests.browser.lab import Server

    server = Server(tmp_path_factory.mktemp("voila"), application="voila")
    yield server
    server.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    # What moves is painted again with each frame, for as long as a request waits.
    context = browser.new_context(viewport=SCREEN, accept_downloads=True, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture(scope="session")
def page(lab: Server, context: BrowserContext) -> Page:
    """The one page of JupyterLab, in which the tests open their notebooks: a page of its own takes five seconds."""
    page = context.new_page()
    page.goto(f"{lab.url}/lab?reset", timeout=120_000)
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget", timeout=120_000, polling=50)
    # Until then the layout may be replaced, and which kernels there are is not known.
    page.evaluate("() => Promise.all([jupyterapp.restored, jupyterapp.serviceManager.ready]).then(() => {})")
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    return page


@dataclass
class Shared:
    """The notebook whose kernel serves one test after the other; None before the first, and after one that failed."""

    notebook: Notebook | None = None
    failures: int = 0


@pytest.fixture(scope="session")
def shared() -> Shared:
    return Shared()


@pytest.fixture
def open_notebook(
    lab: Server, page: Page, context: BrowserContext, shared: Shared, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Show these cells in a notebook.

    It is the one of the tests before, with a kernel that they have used, unless the test asks for one of its own:
    with alone=True, with the name of a kernel, or with place="notebooks" in Notebook 7.
    """
    from tests.browser.lab import Notebook

    opened: list[Notebook] = []
    if shared.notebook is not None and shared.failures != request.session.testsfailed:
        shared.notebook.activate()
        shared.notebook.close()
        shared.notebook = None
    shared.failures = request.session.testsfailed

    def open_notebook(*cells: str, kernel: str = "python3", place: str = "", alone: bool = False) -> Notebook:
        alone = alone or bool(place) or kernel != "python3"
        if not alone and shared.notebook is not None:
            shared.notebook.become(cells)
            return shared.notebook
        if not place and shared.notebook is not None:
            shared.notebook.become(())  # else the page has its panel, too, behind this one
        name = f"{request.node.originalname}-{len(opened)}{place}.ipynb"
        lab.write(name, cells, kernel=kernel)
        notebook = Notebook(context.new_page() if place else page, lab, name, place=place)
        if alone:
            opened.append(notebook)
        else:
            shared.notebook = notebook
        return notebook

    yield open_notebook
    for notebook in opened:
        notebook.close()
        if notebook.page is not page:
            notebook.page.close()
    page.set_viewport_size(SCREEN)
    page.emulate_media(forced_colors="none", reduced_motion="reduce")


def settings(sandbox: Sandbox | None, folder: str) -> str:
    """The first cell: an archive of the test's own, where the kernel's requests go, and nothing of an earlier test."""
    where = f"COMETAPI_KEY={KEY!r}, COMETAPI_BASE_URL={sandbox.base_url!r}" if sandbox else ""
    return (
        f"import os; os.makedirs({folder!r}, exist_ok=True); os.chdir({folder!r})\n"
        "for name in [name for name in os.environ if name.startswith('COMET')]: del os.environ[name]\n"
        f"os.environ.update({where})\n"
        "%load_ext comet_magic\n"
        "from comet_magic.notebook.session import session\n"
        "if 'panel' in globals(): panel.close(stop=True)\n"
        "session.close(); session.confirmed_click = False"
    )


@pytest.fixture
def open_panel(open_notebook: Callable[..., Notebook], tmp_path: Path) -> Callable[..., Notebook]:
    """Show a new panel, before a sandbox or, with None, without a key."""

    def open_panel(sandbox: Sandbox | None, **options: Any) -> Notebook:
        notebook = open_notebook(
            settings(sandbox, str(tmp_path)), "panel = %cometimg_panel\npanel", **options
        )
        notebook.run_all()
        return notebook

    return open_panel


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def notebook(open_panel: Callable[[Sandbox | None], Notebook], sandbox: Sandbox) -> Notebook:
    return open_panel(sandbox)


@pytest.fixture
def panel(notebook: Notebook) -> PanelPage:
    return notebook.panel
