"""A look at everything that no fault may ever cause."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.ending import SIGNATURE, secrets_in
from tests.faults.proxies import ProxyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.server import FaultServer


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
def arguments(server: FaultServer, tmp_path: Path) -> dict[str, Any]:
    return {
        "base_url": server.base_url,
        "api_key": server.key,
        "archive": tmp_path / "pictures",
        "timeout": 20,
        "retry_base_delay": 0.02,
    }


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Answers of the name service: for each name one list of addresses after another, the last again and again.

    Of an empty list, the name is not known.
    """
    answers: dict[str, list[list[str]]] = {}
    ask = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return ask(host, port, *rest, **more)
        turn = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        if not turn:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [info for address in turn for info in ask(address, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return answers


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were connected to; those beyond this machine cannot be reached."""
    hosts: list[str] = []
    connect = socket.socket.connect

    def noting(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            hosts.append(address[0])
            if not address[0].startswith(("127.", "::1")):
                raise OSError(101, "Network is unreachable")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noting)
    return hosts


@pytest.fixture(scope="session")
def proxies(faults: FaultServer) -> Iterator[ProxyServer]:
    """Forward proxies, started once for all tests of a process."""
    with ProxyServer(faults.authority) as started:
        yield started


@pytest.fixture
def proxy(proxies: ProxyServer, server: FaultServer) -> Iterator[ProxyServer]:
    """Forward proxies; a test with them fails when the key arrived there."""
    proxies.reset()
    yield proxies
    assert proxies.crashes == []
    assert [head.target for head in proxies.heads if server.key.encode() in head.raw] == []


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
