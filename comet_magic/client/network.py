"""The network below HTTP: asyncio's own connections, which hand over what has come in large pieces.

The library's own reads give 64 KiB at the most and pass five layers each; a picture is a hundred of them.
"""

# ruff: noqa: ASYNC109 - the signatures are the library's

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

MOST_WAITING = 1024 * 1024  # bytes that came and were not asked for yet; then the server has to wait
EYEBALLS_DELAY = 0.25  # seconds. https://www.rfc-editor.org/rfc/rfc8305#section-8
LOOK = 0.002  # seconds between two looks whether the system took the rest of a request


@contextlib.contextmanager
def _faults(silence: type[Exception], break_: type[Exception]) -> Iterator[None]:
    """The names that HTTP has for what asyncio raises."""
    try:
        yield
    except TimeoutError as fault:
        raise silence(str(fault)) from fault
    except (OSError, UnicodeError) as fault:
        raise break_(str(fault)) from fault


def _literal(host: str) -> bool:
    """Whether a host is one address, which needs no race between several."""
    return not host.strip("0123456789.") or ":" in host


class _Connection(asyncio.Protocol):
    """What has come, until it is asked for."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.encrypted = False
        self.ended = False
        self.fault: Exception | None = None
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting > MOST_WAITING:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._news.set()
        return not self.encrypted  # the other side may still be listening

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended, self.fault = True, exc
        self._news.set()

    async def received(self) -> bytes:
        """All that has come since the last question, at least one byte, or none at the end."""
        if not self._pieces and not self.ended:
            self._news.clear()
            await self._news.wait()
        pieces, self._pieces = self._pieces, []
        if self._waiting > MOST_WAITING:
            self.transport.resume_reading()
        self._waiting = 0
        if not pieces and self.fault is not None:
            raise ConnectionError(str(self.fault)) from self.fault
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or encrypted."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._socket = connection.transport  # what carries the encrypted bytes

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - as much as came
        """What has come, however much it is; empty at the end."""
        with _faults(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                return await self._connection.received()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Returns when the system has taken all of it: what is known of a paid request depends on that."""
        with _faults(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                self._must_be_open()
                self._connection.transport.write(buffer)
                self._must_be_open()
                while self._unsent():  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(LOOK)

    def _must_be_open(self) -> None:
        if self._socket.is_closing() or self._connection.transport.is_closing():
            raise ConnectionError("the connection is closed")

    def _unsent(self) -> int:
        if self._connection.fault is not None:
            raise ConnectionError(str(self._connection.fault)) from self._connection.fault
        return self._connection.transport.get_write_buffer_size() + self._socket.get_write_buffer_size()

    async def aclose(self) -> None:
        """Close at once, whatever the other side still has to say."""
        self._connection.transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        """The same connection, encrypted from here on."""
        connection = self._connection
        connection.encrypted = True
        loop = asyncio.get_running_loop()
        try:
            with _faults(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    made = await loop.start_tls(
                        connection.transport, connection, ssl_context, server_hostname=server_hostname
                    )
        except BaseException:
            self._socket.abort()
            raise
        if made is None:  # it was closed meanwhile
            raise httpcore.ConnectError("the connection is closed")
        connection.connection_made(made)
        return self

    def get_extra_info(self, info: str) -> Any:
        """What asyncio knows of the connection."""
        return self._connection.transport.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """Connections of asyncio for the HTTP library."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - we set neither
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> _Stream:
        """A new connection; of a host with several addresses, the first that answers."""
        loop = asyncio.get_running_loop()
        with _faults(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    _Connection, host, port, happy_eyeballs_delay=None if _literal(host) else EYEBALLS_DELAY
                )
        return _Stream(connection)
