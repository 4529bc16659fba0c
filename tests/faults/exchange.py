"""One request that reached the fault server, and the words for answering it, well or badly."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults import pictures
from tests.loopback import Head, header_block

if TYPE_CHECKING:
    from tests.faults.server import FaultServer

USAGE = {
    "input_tokens": 13,
    "output_tokens": 196,
    "total_tokens": 209,
    "input_tokens_details": {"text_tokens": 13, "image_tokens": 0},
}
PIECE = 256 * 1024
LONGEST = 20.0  # no handler outlives this, however a client behaves


@dataclass
class Counts:
    """What the server saw of one prompt."""

    posts: int = 0
    charged: int = 0
    delivered: int = 0
    gets: int = 0
    sent: int = 0
    connections: int = 0
    active: int = 0
    arrivals: list[float] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)


@dataclass(frozen=True)
class Wish:
    """What a prompt asks of the server: `F:name:argument,times=2 #mark`."""

    name: str
    argument: float
    times: int

    @classmethod
    def read(cls, prompt: str) -> Wish:
        found = re.match(r"F:([a-z0-9-]+)(?::([\d.]+))?(?:,times=(\d+))?", prompt)
        if found is None:
            return cls("normal", 0.0, 0)
        return cls(found[1], float(found[2] or 0), int(found[3] or 0))


Handler = Callable[["Exchange"], Awaitable[None]]
SCENARIOS: dict[str, Handler] = {}
DOWNLOADS: dict[str, Handler] = {}


def scenario(*names: str) -> Callable[[Handler], Handler]:
    """Answers the POSTs whose prompt begins with `F:` and one of these names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            assert name not in SCENARIOS, name
            SCENARIOS[name] = handler
        return handler

    return register


def download(*names: str) -> Callable[[Handler], Handler]:
    """Answers the GETs at the picture host for the scenarios of these names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            assert name not in DOWNLOADS, name
            DOWNLOADS[name] = handler
        return handler

    return register


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Exchange:
    """One request and its connection."""

    def __init__(
        self,
        server: FaultServer,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: tuple[Head, dict[str, Any]],
        counts: Counts,
    ) -> None:
        self.server = server
        self.reader, self.writer = connection
        self.head, body = request
        self.body, self.counts = body, counts
        self.prompt = str(body.get("prompt", ""))
        self.wish = Wish.read(self.prompt)
        self.n = int(body.get("n") or 1)
        self.streamed = bool(body.get("stream"))
        self.token = server.token(self.prompt)
        self.request_id = f"20261122{self.token}{counts.posts:04d}"

    @property
    def bearer(self) -> str:
        """The key, as the client sent it."""
        return self.head.headers.get("authorization", "").removeprefix("Bearer ")

    def charge(self) -> None:
        self.counts.charged += 1

    def picture(self, index: int = 0, kind: str = "png") -> bytes:
        return pictures.picture(self.prompt, index, kind)

    def item(self, data: bytes | None = None, index: int = 0, **facts: Any) -> dict[str, Any]:
        encoded = base64.b64encode(self.picture(index) if data is None else data).decode()
        return {"b64_json": encoded, **facts}

    def url(self, index: int = 0, host: str = "", name: str = "", query: str = "") -> str:
        """The address of a picture at the picture host."""
        return f"{host or self.server.cdn_url}/p/{self.token}/{name or self.wish.name}/{index}.png{query}"

    def envelope(self, items: object = None, **facts: Any) -> dict[str, Any]:
        """The JSON of a good answer; `items` replaces its pictures."""
        data = [self.item(index=index) for index in range(self.n)] if items is None else items
        return {
            "created": 1781075000,
            "background": "opaque",
            "data": data,
            "output_format": "png",
            "quality": "low",
            "size": "1024x1024",
            "usage": USAGE,
            **facts,
        }

    def headers(
        self, status: int, fields: Iterable[tuple[str, str]] = (), *, version: str = "HTTP/1.1"
    ) -> bytes:
        """A header block; the request id is noted as sent."""
        named = {name.lower() for name, _ in fields}
        lines = list(fields)
        if "x-request-id" not in named and "no-request-id" not in named:
            lines.append(("X-Request-Id", self.request_id))
        self.counts.request_ids.append(self.request_id)
        return header_block(status, lines, version=version)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        self.counts.sent += len(data)
        await self.writer.drain()

    async def reply(
        self,
        body: bytes | dict[str, Any],
        status: int = 200,
        *,
        ctype: str | None = "application/json",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """A whole answer with its length."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = [*headers, ("Content-Length", str(len(data)))]
        if ctype is not None:
            fields.append(("Content-Type", ctype))
        fields.append(("Connection", self.head.headers.get("connection", "keep-alive")))
        head = self.headers(status, fields)
        await self.send(head + data[:PIECE])
        for at in range(PIECE, len(data), PIECE):
            await self.send(data[at : at + PIECE])

    async def deliver(self, items: object = None, **facts: Any) -> None:
        """A good answer: charged and delivered."""
        self.charge()
        await self.reply(self.envelope(items, **facts))
        self.counts.delivered += 1

    async def chunked(self, status: int = 200, ctype: str = "application/json") -> None:
        await self.send(self.headers(status, [("Content-Type", ctype), ("Transfer-Encoding", "chunked")]))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        reset(self.writer)

    def close(self) -> None:
        self.writer.close()

    async def hold(self, seconds: float = LONGEST) -> None:
        """Says nothing until the client closes."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except (TimeoutError, ConnectionError):
            pass
        self.close()

    async def drip(self, data: bytes, pause: float = 0.05, piece: int = 1) -> None:
        """Sends a little at a time, then goes on with spaces until the client closes."""
        started = time.monotonic()
        at = 0
        while time.monotonic() - started < LONGEST and not self.reader.at_eof():
            try:
                await self.send(data[at : at + piece] or b" ")
            except ConnectionError:
                break
            at += piece
            await asyncio.sleep(pause)
        self.close()

    async def pour(self, data: bytes, total: int) -> None:
        """Sends the same bytes again and again, until enough or until the client closes."""
        for _ in range(total // len(data)):
            if self.reader.at_eof():
                break
            await self.send(data)
            await asyncio.sleep(0)
        self.close()
