"""A look at everything that no fault may ever cause."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.ending import SIGNATURE, secrets_in

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often this process connected to each port."""
    counted: Counter[int] = Counter()
    connect = socket.socket.connect

    def counting(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple):
            counted[address[1]] += 1
        connect(self, address)  # type: ignore[arg-type]  # whatever the caller gave

    monkeypatch.setattr(socket.socket, "connect", counting)
    monkeypatch.setattr(socket, "getaddrinfo", nowhere(socket.getaddrinfo))
    return counted


def nowhere(ask: Any) -> Any:
    """A name service that knows no name of the domains for tests, and does not ask for them either."""

    def answer(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.endswith((".test", ".invalid")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *rest, **more)

    return answer


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """What was printed, and which secrets any library logged, from DEBUG up."""
    for name in (None, "comet_magic", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)

    def look() -> list[str]:
        printed = [text for text in capfd.readouterr() if text]
        logged = [text for text in (record.getMessage() for record in caplog.records) if told(text)]
        return [f"printed: {text}" for text in printed] + [f"logged: {text[:300]}" for text in logged]

    return look


def told(text: str) -> bool:
    return bool(secrets_in(text)) or SIGNATURE in text
