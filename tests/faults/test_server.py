"""The fault server does what its scenarios say and counts what it sees, as an independent client finds it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from tests.faults import pictures
from tests.faults.exchange import DOWNLOADS, SCENARIOS, Wish
from tests.faults.expected import CORE, DOORS, ROWS
from tests.faults.server import TLS_NAME, FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/images/generations"


@pytest.fixture(scope="module")
def own() -> Iterator[FaultServer]:
    """A server of this module, whose records of misconduct may be filled."""
    with FaultServer() as server:
        yield server
        assert server.crashes == []


@pytest.fixture
def client(own: FaultServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {own.key}", "Connection": "close", "Accept-Encoding": "identity"}
    with httpx.Client(headers=headers, timeout=3, trust_env=False) as client:
        yield client


def post(client: httpx.Client, server: FaultServer, prompt: str, **body: Any) -> httpx.Response:
    return client.post(server.base_url + PATH, json={"prompt": prompt, **body})


def test_the_table_has_a_row_for_every_scenario_and_a_short_run_of_a_hundred_at_least() -> None:
    assert {Wish.read(row.prompt).name for row in ROWS} == set(SCENARIOS)
    assert len(SCENARIOS) >= 120
    assert len(CORE) >= 100
    assert len(DOORS) >= 25


def test_every_row_is_different_from_every_other() -> None:
    assert len({repr(row) for row in ROWS}) == len(ROWS)


def test_a_prompt_names_its_scenario_an_argument_and_how_often() -> None:
    assert Wish.read("F:slow-ok:2.5,times=3 #a1") == Wish("slow-ok", 2.5, 3)
    assert Wish.read("F:500 #a1") == Wish("500", 0, 0)
    assert Wish.read("a boat") == Wish("normal", 0, 0)


async def drained(url: str, requests: list[bytes]) -> None:
    """Sends requests side by side and reads each answer for a moment or a mebibyte at most."""
    host, port = url.split("/")[2].split(":")
    side_by_side = asyncio.Semaphore(32)

    async def one(request: bytes) -> None:
        async with side_by_side:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            await writer.drain()
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.3):
                    got = 0
                    while got < 2**20 and (piece := await reader.read(65536)):
                        got += len(piece)
            writer.transport.abort()

    await asyncio.gather(*(one(request) for request in requests))


def request(method: str, target: str, key: str = "", body: object = None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    return (head + (f"Authorization: Bearer {key}\r\n" if key else "") + "\r\n").encode() + data


def test_every_scenario_ends_or_hangs_without_a_mistake_of_the_server() -> None:
    with FaultServer() as server:
        bodies = [{"prompt": f"F:{name}", "n": 2} for name in SCENARIOS]
        asyncio.run(
            drained(server.base_url, [request("POST", "/v1" + PATH, server.key, body) for body in bodies])
        )
        found = {name: server.counts(f"F:{name}").posts for name in SCENARIOS}
        assert found == dict.fromkeys(SCENARIOS, 1)
        assert server.problems == []


def test_every_address_at_the_picture_host_ends_or_hangs_without_a_mistake(own: FaultServer) -> None:
    token = own.token("F:every-download")
    asyncio.run(drained(own.cdn_url, [request("GET", f"/p/{token}/{name}/0.png") for name in DOWNLOADS]))
    assert own.counts("F:every-download").gets == len(DOWNLOADS)


def test_work_that_began_is_charged_and_a_refusal_is_not(own: FaultServer, client: httpx.Client) -> None:
    assert post(client, own, "F:500 #c").status_code == 500
    assert post(client, own, "F:429 #c").headers["Retry-After"] == "1"
    assert post(client, own, "F:normal #c").status_code == 200
    found = [
        (own.counts(f"F:{name} #c").charged, own.counts(f"F:{name} #c").delivered)
        for name in ("500", "429", "normal")
    ]
    assert found == [(1, 0), (0, 0), (1, 1)]


def test_a_fault_that_is_asked_for_twice_ends_with_the_third_attempt(
    own: FaultServer, client: httpx.Client
) -> None:
    found = [post(client, own, "F:408,times=2 #t").status_code for _ in range(3)]
    assert found == [408, 408, 200]
    assert len(own.counts("F:408,times=2 #t").arrivals) == 3


def test_a_hung_up_connection_and_a_reset_one_are_told_apart(own: FaultServer, client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        post(client, own, "F:close-no-response #h")
    with pytest.raises(httpx.ReadError):
        post(client, own, "F:rst-after-request #h")


def test_an_exchange_ends_when_its_client_leaves(own: FaultServer, client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post(own.base_url + PATH, json={"prompt": "F:hang #w"}, timeout=0.3)
    assert own.counts("F:hang #w").active == 0


def test_a_pooled_connection_gets_a_ghost_after_a_desync(own: FaultServer) -> None:
    host, port = own.base_url.split("/")[2].split(":")
    asked = request("POST", "/v1" + PATH, own.key, {"prompt": "F:desync #g"}).replace(b"close", b"keep-alive")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(asked)
        with raw.makefile("rb") as file:
            got = file.read()
    assert got.count(b"HTTP/1.1 200 OK") == 2


def test_a_kept_connection_is_counted_once(own: FaultServer) -> None:
    headers = {"Authorization": f"Bearer {own.key}"}
    with httpx.Client(headers=headers, trust_env=False) as client:
        post(client, own, "F:normal #k")
        post(client, own, "F:normal #k")
    assert (own.counts("F:normal #k").posts, own.counts("F:normal #k").connections) == (2, 1)


def test_credentials_at_a_wrong_origin_are_recorded(own: FaultServer) -> None:
    url = f"{own.cdn_url}/p/{own.token('F:url-ok #l')}/url-ok/0.png"
    headers = {"Authorization": f"Bearer {own.key}", "Cookie": "a=1", "Referer": own.base_url}
    own.leaks.clear()
    httpx.get(url, headers=headers, trust_env=False)
    assert sorted(leak.split(" ")[0] for leak in own.leaks) == ["authorization", "cookie", "referer", "the"]
    httpx.get(url + "?" + own.key, trust_env=False)
    assert own.leaks[-1].startswith("the key arrived at the picture host")


def test_a_touched_trap_a_stolen_post_and_a_stray_request_are_recorded(
    own: FaultServer, client: httpx.Client
) -> None:
    for url in own.trap_urls.values():
        httpx.get(url + "/0.png", trust_env=False)
    assert len(own.trap_hits) == len(own.trap_urls)
    reply = post(client, own, "F:redirect-cross-307 #s")
    httpx.post(reply.headers["Location"], json={}, trust_env=False)
    assert own.stolen == ["POST /steal"]
    client.get(own.base_url + "/models")
    assert own.strays == ["GET /v1/models"]
    httpx.post(own.base_url + PATH, json={"prompt": "who"}, trust_env=False)
    assert own.strangers == ["who"]


def test_the_dead_port_refuses_and_the_blackhole_never_answers(own: FaultServer) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(own.dead_url, trust_env=False)
    with pytest.raises(httpx.ConnectTimeout):
        httpx.get(own.blackhole_url, timeout=0.2, trust_env=False)


def test_one_tls_port_is_trusted_by_nobody_and_one_by_its_authority(own: FaultServer) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(own.tls_url, trust_env=False)
    trusting = ssl.create_default_context(cafile=own.ca_file)
    port = int(own.trusted_url.rsplit(":", 1)[1].removesuffix("/v1"))
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        trusting.wrap_socket(raw, server_hostname=TLS_NAME) as secure,
    ):
        assert secure.version() == "TLSv1.3"


@pytest.mark.parametrize("kind", ["close", "rst", "garbage", "rst-in-body"])
def test_a_front_fails_once_and_then_works(own: FaultServer, client: httpx.Client, kind: str) -> None:
    url = own.front(kind) + PATH
    with pytest.raises(httpx.HTTPError):
        client.post(url, json={"prompt": f"front {kind}"})
    assert client.post(url, json={"prompt": f"front {kind}"}).status_code == 200
    assert own.counts(f"front {kind}").posts == 1


def test_every_prompt_and_position_has_a_picture_of_its_own() -> None:
    found = {pictures.picture(prompt, index) for prompt in ("a", "b") for index in range(3)}
    assert len(found) == 6
    for kind in pictures.MIME:
        with Image.open(io.BytesIO(pictures.picture("a", kind=kind))) as image:
            assert (image.format, image.size) == (kind.upper(), (48, 48))
            image.load()


BROKEN = (
    "png-truncated",
    "png-bad-crc",
    "jpeg-truncated",
    "webp-truncated",
    "png-header-only",
    "png-zero-size",
)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_does_not_decode(own: FaultServer, client: httpx.Client, name: str) -> None:
    data = base64.b64decode(post(client, own, f"F:{name} #b").json()["data"][0]["b64_json"])
    with pytest.raises((OSError, SyntaxError, ValueError)):
        Image.open(io.BytesIO(data)).load()


def test_the_large_picture_is_honest() -> None:
    assert 27_000_000 < len(pictures.large()) < 28_000_000
