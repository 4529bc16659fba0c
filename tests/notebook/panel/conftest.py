"""A panel in this process, before a sandbox on its socket; afterwards nothing of either is left."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.notebook.panel import Panel
from comet_magic.notebook.session import session
from comet_magic.sandbox import Sandbox, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-" + "panelTESTKEY0123456789abcdef"
WAIT = 30


class Page:
    """What a browser would do with a panel: send commands, take messages, read the state."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        self._numbers = itertools.count()
        panel.send = lambda message, buffers=(): self.messages.append(
            (message, [bytes(one) for one in buffers])
        )

    @property
    def state(self) -> dict[str, Any]:
        assert self.panel.wait(WAIT)
        return dict(self.panel.state)

    def send(self, kind: str, *buffers: bytes, **fields: Any) -> dict[str, Any]:
        """Send a command, wait until all is done; gives its ack."""
        number = next(self._numbers)
        command = {
            "kind": kind,
            "id": f"{kind}-{number}",
            "t": time.time() * 1000,
            "client": "page",
            **fields,
        }
        self.panel._handle_custom_msg(command, list(buffers))
        assert self.panel.wait(WAIT)
        return self.received("ack", command["id"])[0]

    def received(self, kind: str, name: str) -> tuple[dict[str, Any], list[bytes]]:
        """The last message of this kind for a command."""
        return [one for one in self.messages if one[0]["kind"] == kind and one[0].get("id") == name][-1]

    def generate(self, prompt: str = "a boat", **fields: Any) -> dict[str, Any]:
        """Ask for the smallest picture."""
        values = {"model": "dall-e-2", "size": "256x256", "prompt": prompt, **fields.pop("values", {})}
        return self.send("generate", **{"values": values, "price": "$0.016", **fields})


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox and make it the environment's address; the newest one counts."""
    with ExitStack() as stack:
        stack.callback(setattr, session, "confirmed_click", session.confirmed_click)
        session.confirmed_click = False

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
def page(sandbox: Sandbox) -> Iterator[Page]:
    panel = Panel()
    page = Page(panel)
    yield page
    panel.close()
    for job in session.jobs():
        job.drop()
