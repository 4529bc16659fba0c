"""A panel in this process, before a sandbox on its socket; afterwards nothing of either is left."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.notebook.panel import Panel
from comet_magic.notebook.session import session
from comet_magic.sandbox import Sandbox, start_sandbox
from tests.notebook.panel.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-" + "panelTESTKEY0123456789abcdef"


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox and make it the environment's address; the newest one counts."""
    with ExitStack() as stack:

        def serve(**options: Any) -> Sandbox:
            sandbox = stack.enter_context(start_sandbox(**options))
            monkeypatch.setenv("COMETAPI_KEY", KEY)
            monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
            return sandbox

        yield serve
        for job in session.jobs():
            job.drop()
        session.close()


@pytest.fixture
def sandbox(serve: Callable[..., Sandbox]) -> Sandbox:
    return serve()


@pytest.fixture
def shown(sandbox: Sandbox) -> Iterator[Shown]:
    panel = Panel()
    yield Shown(panel)
    panel.close()
    for job in session.jobs():
        job.drop()
    panel.wait(30)
