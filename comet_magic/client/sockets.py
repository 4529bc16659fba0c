"""Sockets for the HTTP library, on asyncio itself: a read gives all that has arrived.

The library's own go through anyio, 64 KiB and several cancel scopes at a time; of TLS, one record at a time. That cost
more than everything else about reading an answer. They still serve proxies: asyncio's TLS within TLS fails badly.
"""

# ruff: noqa: ASYNC109 - the library passes timeouts

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import httpcore

if TYPE_CHECKING:
    import ssl

BUFFERED = 1 << 18  # bytes that may wait to be read; then nothing more is taken from the system
ATTEMPT = 0.25  # seconds until the next address of a host is tried beside the last one (RFC 8305)
FLUSH = 0.05  # seconds between two looks whether the system has taken what is sent


async def connect(
    host: str, port: int, timeout: float, context: ssl.SSLContext | None = None, name: str = ""
) -> Socket:
    """Connect to a host; of several addresses, the first one that answers. With a `context`, it is encrypted.

    `timeout` is for the connection, and again for the handshake; `name` is the one on the certificate.

    Raises:
        httpcore.ConnectTimeout, httpcore.ConnectError: no connection was made.
    """
    is_address = ":" in host or host[-1:].isdigit()
    delay = None if is_address else ATTEMPT
    connecting = asyncio.get_running_loop().create_connection
    try:
        with anyio.fail_after(timeout):
            _, made = await connecting(Socket, host, port, happy_eyeballs_delay=delay)
    except TimeoutError as fault:
        raise httpcore.ConnectTimeout(str(fault)) from fault
    except (OSError, UnicodeError) as fault:  # the latter for a name that cannot be looked up
        raise httpcore.ConnectError(str(fault)) from fault
    if context is not None:
        try:
            await made.start_tls(context, name, timeout)
        except BaseException:
            await made.aclose()
            raise
    return made


class Socket(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection; whoever reads it or writes to it is one task."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: list[bytes] = []
        self._size = 0
        self._ended = False
        self._fault: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None

    # --- what the loop calls

    def connection_made(self, transport: Any) -> None:
        """Keep the transport: `_wire` is that of TCP, `_transport` that of TLS within it, if there is one."""
        self._transport = self._wire = transport

    def data_received(self, data: bytes) -> None:
        """Keep what arrived until it is read."""
        self._arrived.append(data)
        self._size += len(data)
        if self._size >= BUFFERED:
            self._transport.pause_reading()
        self._wake(arrived=True)

    def eof_received(self) -> bool:
        """Nothing more comes; what is sent may go on, which TLS does not offer."""
        self._ended = True
        self._wake(arrived=True)
        return self._transport is self._wire

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._ended, self._fault = True, exc
        self._wake(arrived=True)

    def _wake(self, *, arrived: bool) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(arrived)

    # --- what the library calls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - all is given
        """All that has arrived, which may be more than `max_bytes`; b"" at the end.

        Raises:
            httpcore.ReadTimeout, httpcore.ReadError: nothing came in time; the connection broke.
        """
        if not self._arrived and not self._ended:
            self._reader = self._loop.create_future()
            timer = None if timeout is None else self._loop.call_later(timeout, self._late)
            try:
                if not await self._reader:
                    raise httpcore.ReadTimeout
            finally:
                self._reader = None
                if timer is not None:
                    timer.cancel()
        if self._arrived:
            data = b"".join(self._arrived)
            self._arrived.clear()
            if self._size >= BUFFERED and not self._transport.is_closing():
                self._transport.resume_reading()
            self._size = 0
            return data
        if self._fault is not None:
            raise httpcore.ReadError(str(self._fault)) from self._fault
        return b""

    def _late(self) -> None:
        self._wake(arrived=False)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the call has one
        """Write, and wait until the system has taken every byte.

        Raises:
            httpcore.WriteError: the connection is closed, or broke meanwhile.
        """
        if not self._wire.is_closing():
            self._transport.write(buffer)
        pause = 0.001
        while not self._wire.is_closing() and (
            self._transport.get_write_buffer_size() or self._wire.get_write_buffer_size()
        ):
            await asyncio.sleep(pause)
            pause = min(2 * pause, FLUSH)
        if self._wire.is_closing():
            raise httpcore.WriteError(str(self._fault or "the connection is closed"))

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Socket:
        """Encrypt the connection from here on.

        Raises:
            httpcore.ConnectTimeout, httpcore.ConnectError: the handshake did not end in time; it failed.
        """
        try:
            with anyio.fail_after(timeout):
                self._transport = await self._loop.start_tls(
                    *(self._transport, self, ssl_context),
                    server_hostname=server_hostname,
                    ssl_handshake_timeout=None if timeout is None else timeout + 1,
                )
        except TimeoutError as fault:
            raise httpcore.ConnectTimeout(str(fault)) from fault
        except OSError as fault:  # also of TLS
            raise httpcore.ConnectError(str(fault)) from fault
        return self

    async def aclose(self) -> None:
        """Close the connection at once."""
        self._wire.abort()
        await asyncio.sleep(0)

    def get_extra_info(self, info: str) -> Any:
        """What the library asks for: the `ssl_object`."""
        return self._transport.get_extra_info(info)
