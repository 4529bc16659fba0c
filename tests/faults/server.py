"""The fault server: an API, a picture host, traps, a TLS port and dead ends, all on loopback, all counted.

One thread with one event loop. What the prompt asks for decides how a request ends; see `scenarios`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import socket
import ssl
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme
from werkzeug.formparser import parse_form_data

from tests.faults import pictures, scenarios
from tests.faults.exchange import DOWNLOADS, SCENARIOS, Counts, Exchange, Wish, reset
from tests.loopback import Head, LoopbackServer, read_head

if TYPE_CHECKING:
    from collections.abc import Callable

CREDENTIALS = ("authorization", "x-api-key", "api-key", "cookie", "referer", "proxy-authorization")
KEY = "sk-test-9fKq2LmX7vBw4RtZ8sHd3NcY6pGj1TeU"
TLS_NAME = "api.comet.test"
PICTURES_NAME = "pictures.test"
GARBAGE = b"\x16\x03\x01\x02\x00 this is not HTTP \xff\xfe\r\n\r\n"


ROUTES = ("/v1/images/generations", "/v1/images/edits")


def body_of(head: Head, raw: bytes) -> dict[str, Any]:
    """The parameters of a request, whichever route it takes; those of a form with numbers as numbers."""
    kind = head.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return dict(json.loads(raw))
    environ = {"wsgi.input": io.BytesIO(raw), "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(raw))}
    _, fields, files = parse_form_data({"REQUEST_METHOD": "POST", **environ}, silent=False)
    for _, file in files.items(multi=True):
        file.close()
    return {
        name: json.loads(value) if value.isdigit() or value in ("true", "false") else value
        for name, value in fields.items()
    }


class FaultServer(LoopbackServer):
    """A server that fails on request. A context manager; every attribute may be read from any thread.

    Attributes:
        base_url: the API, with `/v1`.
        cdn_url: the picture host, another port of 127.0.0.1.
        tls_url: the API behind a certificate that nobody trusts.
        trusted_url, secure_cdn_url: the API and the picture host behind a certificate of `authority`, which `ca_file`
            holds, for the host names `TLS_NAME` and `PICTURES_NAME`.
        dead_url: nobody listens there. blackhole_url: connecting never ends.
        trap_urls: by name, addresses that no client may ever touch.
        leaks: credentials that arrived where they do not belong.
        trap_hits, stolen, strays, strangers: touched traps; POSTs at other origins; other requests than POSTs
            and GETs of pictures at the API; POSTs without the right key.
    """

    def __init__(self, key: str = KEY) -> None:
        super().__init__()
        self.key = key
        self.leaks: list[str] = []
        self.trap_hits: list[str] = []
        self.stolen: list[str] = []
        self.strays: list[str] = []
        self.strangers: list[str] = []
        self.trap_urls: dict[str, str] = {}
        self._counts: dict[str, Counts] = defaultdict(Counts)
        self._prompts: dict[str, str] = {}
        self._sockets: list[socket.socket] = []

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        for each in self._sockets:
            each.close()
        self._folder.cleanup()

    def counts(self, prompt: str) -> Counts:
        """What was seen of this prompt, once every exchange about it has ended."""
        return self.run(self._settled(prompt))

    def seen(self, prompt: str) -> Counts:
        """What was seen of this prompt so far."""
        return self._counts[prompt]

    def front(self, kind: str, times: int = 1) -> str:
        """A further port of the API whose first connections fail before a request is read."""
        return f"http://127.0.0.1:{self.run(self._open_front(kind, times))}/v1"

    def token(self, prompt: str) -> str:
        """A short name of the prompt, for addresses of its pictures."""
        token = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:12]
        self._prompts[token] = prompt
        return token

    @property
    def picture_origins(self) -> str:
        """Where its good pictures and its dead ends are, as the environment names them."""
        ports = (self.cdn_url, self.tls_url.removesuffix("/v1"), self.dead_url.removesuffix("/v1"))
        return ", ".join(ports)

    @property
    def problems(self) -> list[str]:
        """Everything that no scenario may ever cause."""
        return self.leaks + self.trap_hits + self.stolen + self.strays + self.strangers + self.crashes

    async def _settled(self, prompt: str) -> Counts:
        counts = self._counts[prompt]
        for _ in range(600):
            if not counts.active:
                break
            await asyncio.sleep(0.01)
        return counts

    async def opened(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="faults-")
        untrusted, trusted = self._certificates()
        self.base_url = f"http://127.0.0.1:{await self.listen(self._api)}/v1"
        self.cdn_url = f"http://127.0.0.1:{await self.listen(self._cdn)}"
        self.tls_url = f"https://127.0.0.1:{await self.listen(self._api, tls=untrusted)}/v1"
        self.trusted_url = f"https://{TLS_NAME}:{await self.listen(self._api, tls=trusted)}/v1"
        self.secure_cdn_url = f"https://{PICTURES_NAME}:{await self.listen(self._cdn, tls=trusted)}"
        for name, host in (
            ("two", "127.0.0.2"),
            ("three", "127.0.0.3"),
            ("local", "127.0.0.1"),
            ("six", "::1"),
        ):
            with contextlib.suppress(OSError):
                port = await self.listen(self._trap, host)
                self.trap_urls[name] = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with contextlib.suppress(OSError):
            self.six_url = f"http://localhost:{await self.listen(self._cdn, '::1')}"
        self.dead_url = f"http://127.0.0.1:{self._dead()}/v1"
        self.blackhole_url = f"http://127.0.0.1:{self._blackhole()}/v1"

    def _certificates(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        contexts = []
        for names in (("127.0.0.1",), (TLS_NAME, PICTURES_NAME)):
            self.authority = trustme.CA()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert(*names).configure_cert(context)
            contexts.append(context)
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca_file)
        return contexts[0], contexts[1]

    def _dead(self) -> int:
        """A port that is taken, so that nobody else can listen on it, and refuses."""
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        self._sockets.append(taken)
        return int(taken.getsockname()[1])

    def _blackhole(self) -> int:
        """A listener whose queue is full: the kernel drops further connections without a word."""
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        self._sockets.append(full)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            self._sockets.append(filler)
        return int(full.getsockname()[1])

    async def _open_front(self, kind: str, times: int) -> int:
        left = times

        async def front(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                await self._api(reader, writer)
            elif kind == "garbage":
                writer.write(GARBAGE)
            elif kind == "rst":
                reset(writer)
            elif kind == "rst-in-body":
                await reader.readuntil(b"\r\n\r\n")
                reset(writer)
            else:
                assert kind == "close", kind

        return await self.listen(front)

    async def _api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        while not writer.is_closing() and (head := await read_head(reader)) is not None:
            self._look_for_leaks("the API", head, allowed="authorization" if head.method == "POST" else "")
            if head.method == "GET" and head.target.startswith("/p/"):
                await self._picture(reader, writer, head)
                continue
            if head.method != "POST" or not head.target.split("?")[0].endswith(ROUTES):
                if head.method != "GET" or "authorization" in head.headers:  # no picture's address
                    self.strays.append(f"{head.method} {head.target}")
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            await self._post(reader, writer, head, first=first)
            first = False
            if head.headers.get("connection", "").lower() == "close":
                return

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head, *, first: bool
    ) -> None:
        raw = await reader.readexactly(head.length)
        body = body_of(head, raw)
        prompt = str(body.get("prompt"))
        counts = self._counts[prompt]
        counts.posts += 1
        counts.connections += first
        counts.arrivals.append(self._loop.time())
        counts.bodies.append(body)
        counts.heads.append(head)
        if head.headers.get("authorization") != f"Bearer {self.key}":
            self.strangers.append(prompt)
        exchange = Exchange(self, (reader, writer), (head, body), counts)
        wish = exchange.wish
        name = "normal" if wish.times and counts.posts > wish.times else wish.name
        await self._answer(SCENARIOS[name], exchange)

    async def _answer(self, handler: Callable[[Exchange], Any], exchange: Exchange) -> None:
        exchange.counts.active += 1
        try:
            await handler(exchange)
        finally:
            exchange.counts.active -= 1

    async def _cdn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing() and (head := await read_head(reader)) is not None:
            self._look_for_leaks("the picture host", head)
            if head.method != "GET":
                await self._steal(reader, writer, head)
                return
            await self._picture(reader, writer, head)

    async def _picture(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head) -> None:
        _, _, token, name, _ = head.target.split("?")[0].split("/")
        prompt = self._prompts[token]
        counts = self._counts[prompt]
        counts.gets += 1
        counts.heads.append(head)
        exchange = Exchange(self, (reader, writer), (head, {"prompt": prompt}), counts)
        await self._answer(DOWNLOADS[name], exchange)

    async def _steal(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head) -> None:
        self.stolen.append(f"{head.method} {head.target}")
        body = {"prompt": "forged"}
        await Exchange(self, (reader, writer), (head, body), Counts()).deliver()

    async def _trap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("sockname")[0]
        self.trap_hits.append(f"{name} was touched")
        head = await read_head(reader)
        if head is not None:
            self._look_for_leaks(f"the trap {name}", head)
            await Exchange(self, (reader, writer), (head, {}), Counts()).reply(
                pictures.picture("trap"), ctype="image/png"
            )

    def _look_for_leaks(self, where: str, head: Head, allowed: str = "") -> None:
        found = [name for name in CREDENTIALS if name != allowed and name in head.headers]
        text = "\n".join(f"{name}: {value}" for name, value in head.headers.items() if name != allowed)
        if self.key in text + head.target or (not allowed and self.key.encode() in head.raw):
            found.append("the key")
        if "x-injected" in head.headers:
            found.append("an injected header")
        self.leaks.extend(f"{name} arrived at {where}: {head.method} {head.target[:200]}" for name in found)


__all__ = ["KEY", "PICTURES_NAME", "SCENARIOS", "TLS_NAME", "FaultServer", "Wish", "scenarios"]
