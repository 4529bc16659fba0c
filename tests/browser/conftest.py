"""One JupyterLab and one Chromium for all tests of a session; a page and a notebook for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from comet_magic.sandbox import Sandbox, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext

    from tests.browser.lab import Notebook, PanelPage, Server

KEY = "sk-" + "browserTESTKEY0123456789abcdef"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


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


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1360, "height": 1600}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for the test's notebook, in a folder of its own: each has an archive of its own."""
    word = re.sub(r"\W+", "-", request.node.name)[:60]
    return f"{word}/{word}.ipynb"


def settings(sandbox: Sandbox | None) -> str:
    """The first cell: where the kernel's requests go."""
    where = f"COMETAPI_KEY={KEY!r}, COMETAPI_BASE_URL={sandbox.base_url!r}" if sandbox else ""
    return f"import os; os.environ.update({where})\n%load_ext comet_magic"


@pytest.fixture
def open_panel(
    lab: Server, context: BrowserContext, name: str
) -> Iterator[Callable[[Sandbox | None], Notebook]]:
    """Open a notebook with the panel, before a sandbox or, with None, without a key."""
    from tests.browser.lab import Notebook

    opened: list[Notebook] = []

    def open_panel(sandbox: Sandbox | None) -> Notebook:
        lab.write(name, [settings(sandbox), "panel = %cometimg_panel\npanel"])
        notebook = Notebook(context.new_page(), lab, name)
        opened.append(notebook)
        notebook.run_all()
        return notebook

    yield open_panel
    for notebook in opened:
        notebook.shut_down()


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
