"""Forward proxies on loopback, which count what they are asked; every name leads to this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from typing import TYPE_CHECKING

from tests.loopback import Head, LoopbackServer, header_block, read_head

if TYPE_CHECKING:
    import trustme

SILENCE = b"silence"


class ProxyServer(LoopbackServer):
    """Proxies of HTTP and of SOCKS5. A context manager; every attribute may be read from any thread.

    Attributes:
        url, six_url, tls_url, socks_url: the same proxy by IPv4, by IPv6, behind TLS, and of the other kind.
        asked: the method and target of each request, as in `CONNECT api.comet.test:443`.
        heads: what came with each.
        reply: what it says instead of leading anywhere: a whole answer, b"" to hang up, `SILENCE`; None to lead.
        login: the name and password that it wants, as in `name:password`, or "".
    """

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__()
        self._authority = authority
        self.reset()

    def reset(self) -> None:
        """Lead everywhere, and forget what was asked."""
        self.asked: list[str] = []
        self.heads: list[Head] = []
        self.reply: bytes | None = None
        self.login = ""

    def refuse(self, status: int, body: bytes = b"<html><title>Blocked</title></html>") -> None:
        """Answer with a page of this status."""
        self.reply = header_block(status, [("Content-Length", str(len(body)))]) + body

    async def opened(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        self.url = f"http://127.0.0.1:{await self.listen(self._http)}"
        self.six_url = f"http://[::1]:{await self.listen(self._http, '::1')}"
        self.tls_url = f"https://127.0.0.1:{await self.listen(self._http, tls=context)}"
        self.socks_url = f"socks5://127.0.0.1:{await self.listen(self._socks)}"

    async def _instead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.reply == SILENCE:
            await reader.read()
        else:
            writer.write(self.reply or b"")
            await writer.drain()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is None:  # a handshake that was broken off
            return
        self.asked.append(f"{head.method} {head.target}")
        self.heads.append(head)
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and head.headers.get("proxy-authorization") != wanted:
            self.refuse(407)
        if self.reply is not None:
            await self._instead(reader, writer)
            return
        authority = head.target if head.method == "CONNECT" else head.target.split("/")[2]
        other, out = await asyncio.open_connection("127.0.0.1", int(authority.rsplit(":")[-1]))
        if head.method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            out.write(head.raw.replace(f"http://{authority}".encode(), b"", 1))
        await joined((reader, out), (other, writer))

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = (await reader.readexactly(2))[1]
        offered = await reader.readexactly(methods)
        if self.reply is not None:
            self.asked.append("SOCKS")
            await self._instead(reader, writer)
            return
        method = b"\x02" if self.login else b"\x00"
        writer.write(b"\x05" + (method if method in offered else b"\xff"))
        if self.login and method in offered:
            name = await reader.readexactly((await reader.readexactly(2))[1])
            word = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01" + (b"\x00" if f"{name.decode()}:{word.decode()}" == self.login else b"\x01"))
        with contextlib.suppress(asyncio.IncompleteReadError):  # the client does not go on
            kind = (await reader.readexactly(4))[3]
            host = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
            port = int.from_bytes(await reader.readexactly(2), "big")
            self.asked.append(f"SOCKS {host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
            other, out = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            await joined((reader, out), (other, writer))


async def joined(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Hand on what comes, until both ends are done."""
    with contextlib.closing(ways[0][1]):
        await asyncio.gather(*(pump(reader, writer) for reader, writer in ways))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # ENOTCONN, where the other end went first, is no ConnectionError
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
