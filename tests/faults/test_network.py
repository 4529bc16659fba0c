"""What lies around a call: names, proxies, logins of the machine, connections, threads."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import ssl
import subprocess
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


TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("variable", TRUST)
def test_certificates_that_cannot_be_read_are_told_before_anything_is_paid(
    arguments: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    content: str | None,
) -> None:
    path = tmp_path / "trusted.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(
        ConfigurationError, match=f"trusted certificates in {path} cannot be read: "
    ) as caught:
        Client(**arguments | {"base_url": "https://127.0.0.1:9/v1"})
    assert f"Correct {variable}, or unset" in caught.value.hint
    Client(**arguments).close()  # http needs none


@pytest.fixture
def folder_of_certificates(server: FaultServer, tmp_path: Path) -> str:
    """A folder as OpenSSL reads it, below one that is missing."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    shutil.copy(server.ca_file, folder / "ca.pem")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which names the files of such a folder")
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)
    return f"{tmp_path}/missing:{folder}"


@pytest.mark.parametrize("variable", TRUST)
def test_the_certificates_that_the_environment_names_are_trusted(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    names: Any,
    folder_of_certificates: str,
    variable: str,
) -> None:
    names[TLS_NAME] = [["127.0.0.1"]]
    monkeypatch.setenv(variable, folder_of_certificates if variable == "SSL_CERT_DIR" else server.ca_file)
    prompt = marked(Row("F:normal"))
    with Client(**arguments | {"base_url": server.trusted_url}) as client:
        assert client.generate(prompt).data == (picture(prompt),)


def test_the_system_names_the_trusted_certificates_before_other_tools_do(
    arguments: dict[str, Any],
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    names: Any,
) -> None:
    names[TLS_NAME] = [["127.0.0.1"]]
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    order = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    for variable in order:
        monkeypatch.setenv(variable, str(tmp_path / "other.pem"))
    for variable in order:  # the first of those that are left is the one that counts
        remote = arguments | {"base_url": server.trusted_url, "max_attempts": 1}
        with (
            Client(**remote) as client,
            pytest.raises(APIConnectionError, match="no certificate that this machine"),
        ):
            client.generate("never sent")
        monkeypatch.setenv(variable, server.ca_file)
        with Client(**remote) as client:
            client.generate(marked(Row("F:normal")))
        monkeypatch.setenv(variable, "")


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
