"""The sandbox behind real software: what proxies, load testers and old clients send, over raw sockets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from comet_magic.sandbox import start_sandbox
from tests.loopback import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comet_magic.sandbox import Sandbox

ROUTE = "/v1/images/generations"
BY_ADDRESS = {"model": "dall-e-2", "prompt": "a boat", "size": "256x256"}
STREAMED = {"model": "gpt-image-1-mini", "prompt": "a boat", "quality": "low", "stream": True}
KEY = "authorization: Bearer sandbox"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


def opened(sandbox: Sandbox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(sandbox.base_url).port), timeout=20)


def asked(sandbox: Sandbox, first_line: str, *headers: str, body: bytes = b"") -> tuple[bytes, bytes]:
    """Head and body of what the server sends until it closes."""
    length = f"content-length: {len(body)}"
    with closing(opened(sandbox)) as connection:
        connection.sendall("\r\n".join([first_line, *headers, length, "\r\n"]).encode() + body)
        head, _, rest = connection.makefile("rb").read().partition(b"\r\n\r\n")
    return head.lower(), rest


def address(sandbox: Sandbox, *headers: str, version: str = "1.1") -> str:
    """The address of the picture in the answer to a request with these headers."""
    body = json.dumps(BY_ADDRESS).encode()
    _, answer = asked(sandbox, f"POST {ROUTE} HTTP/{version}", KEY, "connection: close", *headers, body=body)
    return str(json.loads(answer)["data"][0]["url"])


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        (["host: pictures.example"], "http://pictures.example/"),
        (["host: pictures.example:8443", "x-forwarded-proto: https"], "https://pictures.example:8443/"),
        (["host: [::1]:8000", "x-forwarded-proto: HTTPS, http"], "https://[::1]:8000/"),
        (["host: sandbox_1:80", "x-forwarded-proto: gopher"], "http://sandbox_1:80/"),
        (["host: localhost", "x-forwarded-proto:"], "http://localhost/"),
    ],
)
def test_a_pictures_address_is_where_the_client_asked(
    sandbox: Sandbox, headers: list[str], root: str
) -> None:
    given = address(sandbox, *headers)
    assert given.startswith(f"{root}pictures/")
    parts = urlsplit(given)
    own = sandbox.base_url.removesuffix("/v1")
    answer = httpx.get(f"{own}{parts.path}?{parts.query}", trust_env=False)
    assert answer.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example/path",
        "u:p@evil.example",
        "a b",
        '"><script>',
        "x" * 300,
        "-",
        ":80",
        "host:port",
        "http://x",
    ],
)
def test_a_host_that_is_none_names_no_picture(sandbox: Sandbox, host: str) -> None:
    assert address(sandbox, f"host: {host}").startswith(sandbox.base_url.removesuffix("v1"))


def test_a_client_without_a_host_gets_the_servers_own_address(sandbox: Sandbox) -> None:
    assert address(sandbox, version="1.0").startswith(sandbox.base_url.removesuffix("v1"))


# --- routes and methods


@pytest.mark.parametrize("name", ["gpt-image-2", "gpt-image-2-2026-04-21", "dall%2De-3"])
def test_one_model_can_be_asked_for(sandbox: Sandbox, name: str) -> None:
    answer = httpx.get(
        f"{sandbox.base_url}/models/{name}", headers={"authorization": "Bearer x"}, trust_env=False
    )
    assert answer.json()["object"] == "model"
    assert answer.json()["id"] in ("gpt-image-2", "dall-e-3")


@pytest.mark.parametrize("name", ["nothing", "", "gpt-image-2/edits", "%00"])
def test_a_model_that_is_not_there_is_not_found(sandbox: Sandbox, name: str) -> None:
    answer = httpx.get(
        f"{sandbox.base_url}/models/{name}", headers={"authorization": "Bearer x"}, trust_env=False
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("*", b"get, head, options, post"),
        (ROUTE, b"post, options"),
        ("/v1/models", b"get, head, options"),
        ("/v1/models/gpt-image-2", b"get, head, options"),
        ("/pictures/x.png", b"get, head, options"),
    ],
)
def test_options_are_told_without_a_key(sandbox: Sandbox, target: str, allowed: bytes) -> None:
    head, body = asked(sandbox, f"OPTIONS {target} HTTP/1.1", "host: sandbox", "connection: close")
    assert head.startswith(b"http/1.1 204 ")
    assert b"allow: " + allowed in head
    assert b"content-length" not in head
    assert body == b""


def test_options_of_an_unknown_path_are_not_found(sandbox: Sandbox) -> None:
    head, _ = asked(sandbox, "OPTIONS /nowhere HTTP/1.1", "host: sandbox", "connection: close")
    assert head.startswith(b"http/1.1 404 ")


def test_head_tells_the_length_and_sends_nothing(sandbox: Sandbox) -> None:
    heads = [
        asked(sandbox, f"{method} /v1/models HTTP/1.1", "host: s", KEY, "connection: close")
        for method in ("HEAD", "GET")
    ]
    lengths = [re.search(rb"content-length: (\d+)", head) for head, _ in heads]
    assert heads[0][1] == b""
    assert lengths[0] is not None
    assert int(lengths[0][1]) == len(heads[1][1])


# --- bodies


def in_chunks(body: bytes, size: int = 7) -> bytes:
    """The body in chunks, with an extension at each and a trailer behind the last."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        b"".join(b"%x;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\nx-end: 1\r\n\r\n"
    )


def test_chunked_bodies_follow_each_other_on_one_connection(sandbox: Sandbox) -> None:
    head = f"POST {ROUTE} HTTP/1.1\r\nhost: s\r\n{KEY}\r\ntransfer-encoding: chunked\r\n"
    body = in_chunks(json.dumps(BY_ADDRESS).encode())
    with closing(opened(sandbox)) as connection:
        connection.sendall(f"{head}\r\n".encode() + body + f"{head}connection: close\r\n\r\n".encode() + body)
        answer = connection.makefile("rb").read()
    assert answer.count(b"HTTP/1.1 200 ") == 2


def temporary_files(folder: Path) -> list[str]:
    """The open files of this process in a folder, also such that have no name any more."""
    links = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(f"/proc/self/fd/{entry}"))
    return [link for link in links if link.startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed by /proc")
def test_a_large_body_is_on_disk_while_it_comes_and_gone_when_it_ended(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = json.dumps({**BY_ADDRESS, "extra": "x" * 4 * 2**20}).encode()
    half = len(body) // 2
    with closing(opened(sandbox)) as connection:
        head = (
            f"POST {ROUTE} HTTP/1.1\r\nhost: s\r\n{KEY}\r\nconnection: close\r\ncontent-length: {len(body)}"
        )
        connection.sendall(f"{head}\r\n\r\n".encode() + body[:half])
        assert until(lambda: temporary_files(tmp_path))
        connection.sendall(body[half:])
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
    assert until(lambda: not temporary_files(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_half_a_gigabyte_is_taken_in_little_memory(sandbox: Sandbox) -> None:
    import psutil

    before = psutil.Process().memory_info().rss
    piece = b" " * 2**20
    with closing(opened(sandbox)) as connection:
        head = f"POST {ROUTE} HTTP/1.1\r\nhost: s\r\n{KEY}\r\ncontent-length: {512 * 2**20}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(511):
            connection.sendall(piece)
        assert psutil.Process().memory_info().rss - before < 64 * 2**20


# --- old clients


@pytest.mark.parametrize("more", [[], ["connection: keep-alive"]])
def test_a_client_of_http_1_0_gets_its_answer_and_the_end(sandbox: Sandbox, more: list[str]) -> None:
    body = json.dumps(BY_ADDRESS).encode()
    head, answer = asked(sandbox, f"POST {ROUTE} HTTP/1.0", KEY, *more, body=body)
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert json.loads(answer)["data"]


def test_a_stream_to_http_1_0_has_no_chunks(sandbox: Sandbox) -> None:
    head, stream = asked(sandbox, f"POST {ROUTE} HTTP/1.0", KEY, body=json.dumps(STREAMED).encode())
    assert b"transfer-encoding" not in head
    assert stream.startswith(b"event: image_generation.completed\ndata: {")
    event: Any = json.loads(stream.partition(b"data: ")[2])
    assert event["b64_json"]


# --- the log


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="each write to a datagram socket is one message")
def test_a_line_of_the_log_is_one_write() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    command = [sys.executable, "-m", "comet_magic", "sandbox", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (
        closing(ours),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
        ) as server,
    ):
        theirs.close()
        ours.settimeout(30)
        assert server.stdout is not None
        base = server.stdout.readline().strip().partition("=")[2]
        for path in ("/models", "/nowhere"):
            httpx.get(base + path, headers={"authorization": "Bearer x"}, trust_env=False)
        lines = [ours.recv(65536).decode() for _ in range(2)]
        server.terminate()
    assert [re.sub(r"\d+ ms", "N ms", line) for line in lines] == [
        "GET '/v1/models' 200 '-' N ms\n",
        "GET '/v1/nowhere' 404 '-' N ms\n",
    ]
