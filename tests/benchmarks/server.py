"""A quick images endpoint in a process of its own: real pictures, serialised once, answered with one write.

The path says what comes back and how late: `/<kind>/<delay in ms>/v1/images/generations`. It prints its
ports as one JSON line and ends when its standard input does.
"""

import asyncio
import base64
import io
import json
import random
import re
import socket
import ssl
import sys
from functools import partial

from PIL import Image

EDGE = 1024
LENGTH = re.compile(rb"^content-length: *(\d+)", re.MULTILINE | re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nx-request-id: req_bench\r\n%b\r\n\r\n"
USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"text_tokens": 12, "image_tokens": 0},
    "output_tokens": 196,
    "total_tokens": 208,
}
TARGET = re.compile(rb"^[A-Z]+ /([a-z-]+)/?(\d*)")


def picture(grain: float) -> Image.Image:
    """Gradients under seeded noise, which is what makes the file as large as a photograph's."""
    noise = random.Random(7)
    slope = Image.linear_gradient("L")
    grounds = (slope, Image.radial_gradient("L"), slope.rotate(90))
    dust = (Image.frombytes("L", (EDGE, EDGE), noise.randbytes(EDGE * EDGE)) for _ in grounds)
    return Image.merge(
        "RGB", [Image.blend(a.resize((EDGE, EDGE)), b, grain) for a, b in zip(grounds, dust, strict=True)]
    )


def whole(kind: str, body: bytes) -> list[bytes]:
    """A reply in one piece."""
    return [HEAD % (kind.encode(), b"Content-Length: %d" % len(body)) + body]


def answer(item: dict[str, object], form: str) -> list[bytes]:
    """The JSON reply with one picture."""
    reply = {"created": 1790000000, "data": [item], "output_format": form, "quality": "low", "usage": USAGE}
    return whole("application/json", json.dumps(reply).encode())


def events(data: str, form: str) -> list[bytes]:
    """Three partial pictures and the completed one, as server-sent events."""
    common = {"b64_json": data, "created_at": 1790000000, "output_format": form, "size": f"{EDGE}x{EDGE}"}
    made = [{"type": "image_generation.partial_image", "partial_image_index": n, **common} for n in range(3)]
    made.append({"type": "image_generation.completed", **common, "usage": USAGE})
    pieces = [HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked")]
    for event in made:
        text = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        pieces.append(b"%x\r\n%b\r\n" % (len(text), text))
    pieces[-1] += b"0\r\n\r\n"
    return pieces


def replies(port: int) -> dict[bytes, list[bytes]]:
    """Every reply by kind, each a list of pieces."""
    made: dict[bytes, list[bytes]] = {}
    for kind, form, grain, edge in (
        ("png", "png", 0.015, EDGE),
        ("jpeg", "jpeg", 0.38, EDGE),
        ("large", "png", 0.08, EDGE),
    ):
        file = io.BytesIO()
        picture(grain).resize((edge, edge)).save(file, form, quality=85)
        text = base64.b64encode(file.getvalue()).decode()
        url = f"http://127.0.0.1:{port}/{kind}-file"
        made |= {
            kind.encode(): answer({"b64_json": text}, form),
            f"{kind}-url".encode(): answer({"url": url}, form),
            f"{kind}-file".encode(): whole(f"image/{form}", file.getvalue()),
            f"{kind}-stream".encode(): events(text, form),
        }
    return made


class Endpoint(asyncio.Protocol):
    """Reads whole requests and answers each from what was serialised before."""

    replies: dict[bytes, list[bytes]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.received = bytearray()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            request = bytes(self.received[:end])
            length = LENGTH.search(request)
            end += 4 + (int(length[1]) if length else 0)
            if len(self.received) < end:
                return
            del self.received[:end]
            self.answer(request)

    def answer(self, request: bytes) -> None:
        kind, delay = TARGET.match(request).groups()
        send = partial(self.send, self.replies[kind], last=b"connection: close" in request.lower())
        if int(delay or 0):
            self.loop.call_later(int(delay) / 1000, send)
        else:
            send()

    def send(self, pieces: list[bytes], *, last: bool) -> None:
        for piece in pieces:
            self.transport.write(piece)
        if last:
            self.transport.close()


async def serve(certificate: str) -> None:
    """Serves plain HTTP and TLS until standard input ends."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain = await loop.create_server(Endpoint, "127.0.0.1", 0, backlog=1024)
    secure = await loop.create_server(Endpoint, "127.0.0.1", 0, backlog=1024, ssl=context)
    ports = [server.sockets[0].getsockname()[1] for server in (plain, secure)]
    Endpoint.replies = replies(ports[0])
    sizes = {kind: len(Endpoint.replies[f"{kind}-file".encode()][0]) for kind in ("png", "jpeg", "large")}
    print(json.dumps({"plain": ports[0], "tls": ports[1], "bytes": sizes}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
