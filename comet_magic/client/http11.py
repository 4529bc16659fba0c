"""One request and its answer on a connection of its own: h11 keeps the protocol, a body of known length goes past it.

The library's connection is made for many requests; its locks, its events and its copies of each piece took a tenth of
the CPU of a call. It still serves proxies.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import h11
import httpcore

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence

    from .sockets import Socket
    from .transport import SendProgress

LONGEST_HEAD = 100 * 1024  # bytes of the status line and headers of an answer
_BODILESS = (204, 304)  # whatever the headers say


class HTTPExchange:
    """A request that `send` sends, and its answer, whose body is still unread then; whoever connected closes.

    Attributes:
        status: its status code.
        headers: their names, in lower case, and values, in order.
    """

    def __init__(self, stream: Socket, silence: float | None) -> None:
        self._stream, self._silence = stream, silence
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()

    async def send(
        self, request: httpcore.Request, content: bytes | AsyncIterable[bytes] | None, progress: SendProgress
    ) -> None:
        """Send the request, and read the answer up to its body.

        Raises:
            httpcore.LocalProtocolError, httpcore.NetworkError, httpcore.TimeoutException: as they say.
            httpcore.RemoteProtocolError: the answer is not HTTP, or ends too early.
        """
        send, write, method, target = self._http.send, self._stream.write, request.method, request.url.target
        if method == b"POST":
            await progress.begin()
        try:
            # A server may refuse a request, and close, before it has read all of it; then its answer is here.
            with contextlib.suppress(httpcore.WriteError):
                # what is written stands in no variable here, for the key is in it
                first = partial(h11.Request, method=method, target=target)
                await write(send(first(headers=request.headers)) or b"")
                if isinstance(content, bytes):
                    await write(send(h11.Data(content)) or b"")
                elif content is not None:
                    async for piece in content:
                        await write(send(h11.Data(piece)) or b"")
                send(h11.EndOfMessage())
                progress.whole = progress.begun
        except h11.LocalProtocolError as fault:
            raise httpcore.LocalProtocolError(str(fault)) from fault
        while not isinstance(head := await self._next(), h11.Response):
            pass  # 100 Continue and the like
        self.status, self.headers = head.status_code, list(head.headers)

    async def _next(self) -> object:
        """The event that h11 reads next."""
        while True:
            try:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._stream.read(LONGEST_HEAD, self._silence)
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
                self._http.receive_data(data)
            except h11.RemoteProtocolError as fault:
                raise httpcore.RemoteProtocolError(str(fault)) from fault

    async def aiter_stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            httpcore.RemoteProtocolError: it is cut, or not framed as HTTP has it.
            httpcore.ReadError, httpcore.ReadTimeout: the connection broke; nothing came in time.
        """
        framed = dict(self.headers)
        length = None if b"transfer-encoding" in framed else framed.get(b"content-length")
        if length is None or self.status in _BODILESS:  # in chunks, as long as the connection, or nothing
            while isinstance(event := await self._next(), h11.Data):
                yield bytes(event.data)
            return
        left = int(length)  # which h11 has checked
        piece, _ = self._http.trailing_data
        while left:
            if piece:
                yield piece[:left]
                left -= min(left, len(piece))
            if left and not (piece := await self._stream.read(LONGEST_HEAD, self._silence)):
                raise httpcore.RemoteProtocolError(f"the connection was closed, {left} bytes too early")
