"""One request and its answer on a connection of its own: where a body ends, and what is no answer."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import httpcore
import pytest

from comet_magic.client.transport import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        yield made


def answered(
    listener: socket.socket, *pieces: bytes, content: bytes | None = None
) -> tuple[int, bytes, bytes]:
    """Status and body as we read an answer that comes in these pieces before the end; and the head of our request."""

    def serve() -> bytes:
        theirs, _ = listener.accept()
        with theirs:
            head = theirs.recv(65536)
            with suppress(ConnectionResetError):  # we do not read what is not HTTP to its end
                for piece in pieces:
                    theirs.sendall(piece)
                theirs.shutdown(socket.SHUT_WR)
                while theirs.recv(65536):
                    pass
        return head

    async def ask() -> tuple[int, bytes, bytes]:
        serving = asyncio.create_task(asyncio.to_thread(serve))
        url = httpcore.URL(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        method = "GET" if content is None else "POST"
        headers = {} if content is None else {"Content-Length": str(len(content))}
        connection = Connection("http://127.0.0.1", None, 20)
        try:
            response = await connection.send(method, url, headers, content=content, silence=20)
            try:
                body = b"".join([piece async for piece in response.aiter_raw()])
            finally:
                await response.aclose()
        finally:
            head = await serving
        return response.status_code, body, head

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"Content-Length: 4\r\n\r\nboat",),
        (OK + b"Content-Length: 4\r\n\r\n", b"bo", b"at"),
        (OK + b"Content-Length: 4\r\n\r\nboat and what nobody asked for",),
        (OK + b"Content-Length: 4, 4\r\ncontent-length: 4\r\n\r\nboat",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", b"2\r\nat\r\n0\r\n\r\nmore"),
        (OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nboat\r\n0\r\n\r\n",),
        (OK + b"\r\nbo", b"at"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 4\r\n\r\nboat"),
    ],
)
def test_a_body_ends_where_its_framing_says(listener: socket.socket, pieces: tuple[bytes, ...]) -> None:
    assert answered(listener, *pieces)[:2] == (200, b"boat")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_ends_with_its_head(listener: socket.socket, status: bytes) -> None:
    assert answered(listener, b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\n")[1] == b""


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 100 Continue\r\n\r\n",),
        (OK + b"Content-Length: 4\r\n\r\n",),
        (OK + b"Content-Length: 4\r\n\r\nboa",),
        (OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nboats",),
        (OK + b"Content-Length: four\r\n\r\nboat",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nboat\r\n",),
        (OK + b"Content-Len",),
        (OK + b"A: " + b"a" * 200_000,),
        (b"SSH-2.0-boat\r\n\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: boat\r\n\r\n",),
    ],
)
def test_what_is_cut_or_is_not_http_is_told(listener: socket.socket, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(httpcore.RemoteProtocolError):
        answered(listener, *pieces)


def test_a_refusal_that_comes_while_the_request_is_sent_is_read(listener: socket.socket) -> None:
    def refuse() -> None:
        theirs, _ = listener.accept()
        with theirs:
            theirs.recv(65536)
            theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nsmall")
            theirs.shutdown(socket.SHUT_WR)
            theirs.settimeout(20)
            while theirs.recv(1 << 20):
                pass

    async def ask() -> tuple[int, bytes]:
        refusing = asyncio.create_task(asyncio.to_thread(refuse))
        url = httpcore.URL(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        content = bytes(30 << 20)
        connection = Connection("http://127.0.0.1", None, 20)
        response = await connection.send(
            "POST", url, {"Content-Length": str(len(content))}, content=content, silence=20
        )
        body = b"".join([piece async for piece in response.aiter_raw()])
        await response.aclose()
        await refusing
        return response.status_code, body

    assert asyncio.run(ask()) == (413, b"small")


def test_a_body_of_another_length_than_was_said_is_not_sent_whole(listener: socket.socket) -> None:
    async def ask() -> None:
        async def pieces():
            yield b"bo"

        url = httpcore.URL(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        connection = Connection("http://127.0.0.1", None, 20)
        await connection.send("POST", url, {"Content-Length": "4"}, content=pieces(), silence=20)

    with pytest.raises(httpcore.LocalProtocolError):
        asyncio.run(ask())


def test_a_request_is_one_head_and_its_body(listener: socket.socket) -> None:
    _, _, head = answered(listener, OK + b"Content-Length: 0\r\n\r\n", content=b"a boat")

    assert head.startswith(b"POST /v1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert head.count(b"\r\n\r\n") == 1
    assert b"\r\nConnection: close\r\n" in head
