"""What lies around a call: names, proxies, logins of the machine, connections, threads."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import trustme

from comet_magic import (
    APIConnectionError,
    AsyncClient,
    Client,
    CometError,
    ConfigurationError,
    UnsafeURLError,
)
from comet_magic.client.vendor import reachable
from comet_magic.sandbox import Sandbox
from comet_magic.settings import resolve_base_url
from tests.faults.ending import marked
from tests.faults.pictures import picture
from tests.faults.row import Row
from tests.faults.server import TLS_NAME

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.server import FaultServer

PUBLIC = "93.184.216.34"
LONG = [pytest.param(20), pytest.param(200, marks=pytest.mark.full)]


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
    """Answers of the name service: for each name one list of addresses after another, the last again and again."""
    answers: dict[str, list[list[str]]] = {}
    ask = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return ask(host, port, *rest, **more)
        turn = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
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


@pytest.mark.parametrize(
    "turns",
    [
        [["127.0.0.1"]],
        [["127.0.0.2"]],
        [[PUBLIC], ["127.0.0.1"]],
        [[PUBLIC, "127.0.0.1"]],
        [["127.0.0.1", PUBLIC]],
        [["10.0.0.1"]],
        [["::ffff:127.0.0.1"]],
    ],
    ids=str,
)
def test_a_name_is_resolved_once_and_only_the_checked_address_is_connected_to(
    arguments: dict[str, Any], server: FaultServer, names: Any, reached: list[str], turns: list[list[str]]
) -> None:
    names["rebind.test"] = [list(turn) for turn in turns]
    prompt = marked(Row("F:url-name"))
    with Client(**arguments, connect_timeout=1) as client, pytest.raises(CometError) as caught:
        client.generate(prompt)
    assert type(caught.value).__name__ in ("UnsafeURLError", "DownloadError")
    assert (server.counts(prompt).posts, server.counts(prompt).gets) == (1, 0)
    assert set(reached) <= {"127.0.0.1", PUBLIC}
    assert reached.count("127.0.0.1") == 1  # the API


def test_a_picture_is_fetched_from_the_address_of_its_host_that_answers(
    arguments: dict[str, Any], server: FaultServer, names: Any
) -> None:
    names["localhost"] = [["127.0.0.1", "::1"]]  # the picture is at the second alone
    prompt = marked(Row("F:url-six"))
    with Client(**arguments, picture_origins=[server.six_url]) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert (server.counts(prompt).posts, server.counts(prompt).gets) == (1, 1)


def test_a_public_api_may_not_point_to_this_machine(
    arguments: dict[str, Any], server: FaultServer, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    names[TLS_NAME] = [["127.0.0.1"]]
    prompt = marked(Row("F:url-ok"))
    with (
        Client(**arguments | {"base_url": server.trusted_url, "picture_origins": []}) as client,
        pytest.raises(UnsafeURLError) as caught,
    ):
        client.generate(prompt)
    assert caught.value.urls
    assert server.counts(prompt).gets == 0


def proxies(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.lower(), url)


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST"])
@pytest.mark.parametrize(
    "names_of_it", [("HTTP_PROXY",), ("http_proxy",), ("ALL_PROXY",), ("all_proxy", "https_proxy")], ids=str
)
def test_this_machine_is_never_reached_by_the_environments_proxy(
    arguments: dict[str, Any],
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    names_of_it: tuple[str, ...],
) -> None:
    for name in names_of_it:
        monkeypatch.setenv(name, server.proxy_url)
    before, prompt = len(server.proxied), marked(Row("F:url-ok"))
    base_url = server.base_url.replace("127.0.0.1", host)
    if host == "127.0.0.1":
        with Client(**arguments) as client:
            assert client.generate(prompt).data == (picture(prompt),)
    with Client(**arguments | {"base_url": base_url}) as client:
        client.generate(marked(Row("F:normal")))
    assert server.proxied[before:] == []


@pytest.mark.parametrize("kind", ["socks4", "socks", "socks5", "ftp"])
def test_a_proxy_that_is_not_spoken_does_not_keep_from_this_machine(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    proxies(monkeypatch, f"{kind}://127.0.0.1:9")
    prompt = marked(Row("F:normal"))
    with Client(**arguments) as client:
        assert client.generate(prompt).data == (picture(prompt),)


def test_free_pages_of_this_machine_are_read_without_a_proxy(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies(monkeypatch, server.proxy_url)
    before = len(server.proxied)
    with Sandbox() as sandbox:
        base = resolve_base_url(sandbox.base_url)
        with Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client:
            assert client.catalogue()
            assert client.balance().used == 0
        assert reachable(base) is None
    assert server.proxied[before:] == []


def test_the_api_is_reached_by_a_tunnel_of_the_environments_proxy(
    arguments: dict[str, Any], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies(monkeypatch, server.proxy_url)
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    before, prompt = len(server.proxied), marked(Row("F:normal"))
    with Client(**arguments | {"base_url": server.trusted_url}) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert [line.split(" ")[0] for line in server.proxied[before:]] == ["CONNECT"]


def test_a_proxy_for_pictures_is_used_only_for_another_machine_and_does_not_open_traps(
    arguments: dict[str, Any], server: FaultServer, names: Any
) -> None:
    names["pictures.test"] = [[PUBLIC]]
    before, near, far = len(server.proxied), marked(Row("F:url-ok")), marked(Row("F:url-elsewhere"))
    with Client(**arguments, download_proxy=server.proxy_url) as client:
        assert client.generate(near).data == (picture(near),)
        assert server.proxied[before:] == []
        assert client.generate(far).data == (picture(far),)
        with pytest.raises(UnsafeURLError):
            client.generate(marked(Row("F:url-trap-two")))
    (line,) = server.proxied[before:]
    assert line.startswith("GET http://pictures.test:")


def test_a_proxy_without_a_scheme_speaks_http(
    arguments: dict[str, Any], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies(monkeypatch, server.proxy_url.removeprefix("http://"))
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    before, prompt = len(server.proxied), marked(Row("F:normal"))
    with Client(**arguments | {"base_url": server.trusted_url}) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert len(server.proxied[before:]) == 1


@pytest.mark.parametrize("kind", ["socks4", "ftp", "gopher"])
def test_a_proxy_of_another_kind_is_told_before_anything_is_paid(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    address = f"{kind}://user:hunter2word@127.0.0.1:9"
    with pytest.raises(ConfigurationError, match=f"proxy of download_proxy is for {kind};"):
        Client(**arguments, download_proxy=address)
    proxies(monkeypatch, address)
    remote = arguments | {"base_url": "https://api.comet.test/v1"}
    with pytest.raises(ConfigurationError, match=f"proxy of the environment is for {kind};") as caught:
        Client(**remote)
    assert caught.value.outcome == "not_sent"
    monkeypatch.setenv("NO_PROXY", "api.comet.test")
    Client(**remote).close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_told_before_anything_is_paid(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "trusted.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match=f"trusted certificates in {path} "):
        Client(**arguments | {"base_url": "https://127.0.0.1:9/v1"})


REPLIES = {
    "plain": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "old": b"\x15\x03\x03\x00\x02\x02\x46",  # the alert protocol_version
    "fault": b"\x15\x03\x03\x00\x02\x02\x50",  # the alert internal_error
}


def certificate(kind: str, trusted: trustme.CA) -> ssl.SSLContext | None:
    """A server's side of TLS, whose certificate has a fault of this kind; None without TLS."""
    kinds = {"expired": "127.0.0.1", "other": TLS_NAME, "untrusted": "127.0.0.1"}
    if kind not in kinds:
        return None
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    until = past + datetime.timedelta(days=30 if kind == "expired" else 9999)
    authority = trustme.CA() if kind == "untrusted" else trusted
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(kinds[kind], not_before=past, not_after=until).configure_cert(context)
    return context


@pytest.fixture
def faulty_port(
    request: pytest.FixtureRequest, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> int:
    """A port whose TLS has a fault of the kind that is asked for."""
    trusted = trustme.CA()
    trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5000)
        writer.write(REPLIES.get(request.param, b""))
        await writer.drain()

    return server.run(server.listen(reply, tls=certificate(request.param, trusted)))


@pytest.mark.parametrize(
    ("faulty_port", "said", "tries"),
    [
        ("expired", "the certificate of 127.0.0.1:{port} has expired", 1),
        ("other", "the certificate of 127.0.0.1:{port} is for another host", 1),
        ("untrusted", "127.0.0.1:{port} has no certificate that this machine trusts", 1),
        ("plain", "127.0.0.1:{port} speaks no TLS at this port", 1),
        ("old", "speak no common version of TLS", 1),
        ("fault", "the TLS handshake with 127.0.0.1:{port} failed", 3),
        ("closed", "127.0.0.1:{port}", 3),
    ],
    indirect=["faulty_port"],
)
def test_a_fault_of_tls_is_told_as_what_it_is(
    arguments: dict[str, Any], connects: Counter[int], faulty_port: int, said: str, tries: int
) -> None:
    with Client(**arguments | {"base_url": f"https://127.0.0.1:{faulty_port}/v1"}) as client:
        with pytest.raises(APIConnectionError) as caught:
            client.generate("never sent")
    assert said.format(port=faulty_port) in str(caught.value)
    assert (caught.value.outcome, connects[faulty_port]) == ("not_sent", tries)
    assert ("SSL_CERT_FILE" in caught.value.hint) == ("trusts" in said)


def test_a_login_of_the_machine_is_given_to_nobody(
    arguments: dict[str, Any], server: FaultServer, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password stolen\ndefault login a password b\n")
    netrc.chmod(0o600)
    prompt, normal = marked(Row("F:url-401")), marked(Row("F:normal"))
    with Client(**arguments) as client:
        with pytest.raises(CometError):
            client.generate(prompt)
        client.generate(normal)
    assert server.counts(prompt).gets == 1


def test_a_cookie_of_the_picture_host_goes_nowhere(arguments: dict[str, Any], server: FaultServer) -> None:
    prompts = [marked(Row("F:url-cookie")), marked(Row("F:normal")), marked(Row("F:url-cookie"))]
    with Client(**arguments) as client:
        assert [client.generate(prompt).data for prompt in prompts] == [(picture(each),) for each in prompts]


@pytest.mark.parametrize("loops", LONG)
def test_an_idle_connection_that_drops_costs_nothing(
    arguments: dict[str, Any], server: FaultServer, loops: int
) -> None:
    prompts = [marked(Row("F:keepalive-drop" if turn % 2 else "F:normal")) for turn in range(loops)]
    with Client(**arguments) as client:
        found = [client.generate(prompt).data for prompt in prompts]
    assert found == [(picture(prompt),) for prompt in prompts]
    assert [server.counts(prompt).posts for prompt in prompts] == [1] * loops


@pytest.mark.parametrize("loops", LONG)
def test_a_ghost_on_the_connection_is_never_an_answer(
    arguments: dict[str, Any], server: FaultServer, loops: int
) -> None:
    prompts = [marked(Row("F:normal" if turn % 2 else "F:desync")) for turn in range(loops)]

    async def call() -> list[Any]:
        async with AsyncClient(**arguments) as client:
            return [(await client.generate(prompt)).data for prompt in prompts]

    assert asyncio.run(call()) == [(picture(prompt),) for prompt in prompts]


def test_threads_share_a_client_and_each_gets_its_own_picture(
    arguments: dict[str, Any], server: FaultServer
) -> None:
    prompts = [f"{marked(Row('F:normal'))}{number}" for number in range(64)]
    with Client(**arguments, max_in_flight=8) as client, ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda prompt: client.generate(prompt).data, prompts))
    assert found == [(picture(prompt),) for prompt in prompts]


MIXED = (
    "normal",
    "500",
    "close-no-response",
    "rst-mid-body",
    "429-huge",
    "url-410",
    "png-truncated",
    "sse-cut",
)


def test_faults_leave_no_connection_no_file_and_no_thread_open(
    arguments: dict[str, Any], server: FaultServer
) -> None:
    def batch(client: Client) -> None:
        for number in range(3 * len(MIXED)):
            try:
                client.generate(f"{marked(Row('F:' + MIXED[number % len(MIXED)]))}{number}")
            except CometError:
                continue

    process = psutil.Process()
    with Client(**arguments) as client:
        batch(client)
        files, threads = process.num_fds(), threading.active_count()
        batch(client)
        settled(lambda: process.num_fds() <= files + 2)
        assert process.num_fds() <= files + 2
        assert threading.active_count() <= threads + 1


def settled(done: Callable[[], bool]) -> None:
    """Waits for the kernel of the system to close what was closed."""
    for _ in range(200):
        if done():
            return
        threading.Event().wait(0.01)


def test_the_key_is_on_no_command_line(server: FaultServer) -> None:
    assert not any(server.key in word for word in psutil.Process(os.getpid()).cmdline())


def test_a_stream_that_pings_goes_on_only_a_little_after_its_last_picture(
    server: FaultServer, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comet_magic.client.run_call.LAST_WORDS", 0.1)
    prompt = "F:sse-pings #left"  # after ten seconds it ends with an error
    with Client(**arguments) as client:
        images = client.generate(prompt, stream=True, partial_images=1)
    client.archive.close()
    assert images.data == (picture(prompt),)
    assert server.counts(prompt).posts == 1
