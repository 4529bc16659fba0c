"""Plain HTTP on loopback: the listener, and the connection of one client; h11 reads and writes the protocol.

It knows nothing of pictures: the callable that the listener is given answers the requests.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import tempfile
import threading
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING, Any

import h11

from .error_replies import GATEWAY, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

LARGEST_BODY = 512 * 2**20  # ten pictures of 50 MB to edit
LARGEST_IN_MEMORY = 2**20  # of a body; what is larger is in a file
_MOST_DRAINED = 64 * 2**20
_IDLE_SECONDS = 120.0
_POLL_SECONDS = 0.25


def _too_large() -> ErrorReply:
    message = f"Request entity too large; the limit is {LARGEST_BODY} bytes"
    return ErrorReply(413, message, type=GATEWAY, code="")


class ClientLeft(Exception):  # noqa: N818 - an event, not a fault
    """The client closed the connection."""


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections on 127.0.0.1, one thread each, and can close all of them at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, serve: Callable[[ClientConnection], None]) -> None:
        # TCPServer, not HTTPServer: that one asks the resolver for the host's name, which can take seconds.
        super().__init__(("127.0.0.1", port), ClientConnection)
        self.serve = serve
        self.closing = threading.Event()
        self._crash: BaseException | None = None
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="sandbox", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Start to accept connections."""
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, close every connection, and raise what a handler crashed with."""
        with self._lock:
            if self.closing.is_set():
                return
            self.closing.set()
            handlers = dict(self._open)
        for connection in handlers:
            _shut(connection)
        # Wakes the accepting thread on Linux; elsewhere it polls.
        _shut(self.socket)
        self.shutdown()
        self._thread.join()
        self.server_close()
        for thread in handlers.values():
            # Painting cannot be interrupted; the thread ends after it.
            thread.join(timeout=2)
        if self._crash:
            raise self._crash

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end, in a thread of its own."""
        with self._lock:
            self._open[request] = threading.current_thread()
            if self.closing.is_set():
                _shut(request)
        super().process_request_thread(request, client_address)
        with self._lock:
            del self._open[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep a handler's crash for `close`; a client that went away is not a crash."""
        problem = sys.exc_info()[1]
        if not isinstance(problem, (ConnectionError, TimeoutError)):
            self._crash = self._crash or problem
            super().handle_error(request, client_address)


class ClientConnection(socketserver.BaseRequestHandler):
    """One connection: reads requests, writes responses, notices when the client leaves.

    Attributes:
        method: of the request that is being answered, as are `target` and `headers`.
        headers: values by names in lower case.
    """

    request: socket.socket
    server: Listener
    method = target = ""
    headers: Mapping[str, str]

    def handle(self) -> None:
        """Serve the requests of this connection, one after the other, until either side ends it."""
        self.request.settimeout(_IDLE_SECONDS)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http = h11.Connection(h11.SERVER)
        with contextlib.suppress(ClientLeft):
            try:
                self._serve_requests()
            except ErrorReply as error:
                self.send(error.status, {"content-type": error.content_type}, [error.body("none")])
        self._drain()

    def _serve_requests(self) -> None:
        while isinstance(head := self._receive(), h11.Request):
            self.method, self.target = head.method.decode(), head.target.decode()
            self.headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            self.server.serve(self)
            if not self._http.our_state is self._http.their_state is h11.DONE:
                return
            self._http.start_next_cycle()

    @staticmethod
    def upload() -> Any:
        """A file for a body; it is in memory while it is small, and gone when it is closed."""
        return tempfile.SpooledTemporaryFile(LARGEST_IN_MEMORY)

    def read_body(self, upload: BinaryIO) -> None:
        """Write the body of the request into a file.

        Raises:
            ErrorReply: it is too large, or not sent as HTTP demands.
            ClientLeft: it ended early.
        """
        left = LARGEST_BODY
        if int(self.headers.get("content-length", "0")) > left:  # h11 has checked that it is a number
            raise _too_large()
        while isinstance(event := self._receive(), h11.Data):
            left -= len(event.data)
            if left < 0:
                raise _too_large()
            try:
                upload.write(event.data)
            except OSError as fault:
                message = f"There is no room for the body in the folder for temporary files: {fault.strerror}"
                raise ErrorReply(507, message, type=GATEWAY, code="") from None

    def wait(self, seconds: float) -> None:
        """Wait; with 0 only look whether the client is still there.

        Raises:
            ClientLeft: the client closed the connection.
        """
        self.request.settimeout(max(seconds, 0.0))
        try:
            # Only looks: the bytes of the next request stay in the socket.
            there = self.request.recv(1, socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return
        except ConnectionError:
            there = b""
        finally:
            self.request.settimeout(_IDLE_SECONDS)
        if not there:
            raise ClientLeft
        self.server.closing.wait(seconds)

    def send(
        self, status: int, headers: Mapping[str, str], pieces: Iterable[bytes], *, cut: bool = False
    ) -> None:
        """Send a response piece by piece, as chunks if no header tells its length.

        With `cut` the connection is closed halfway through the first piece.
        """
        common = {"server": "comet-magic-sandbox", "date": formatdate(usegmt=True)}
        if self._http.their_state in (h11.SEND_BODY, h11.ERROR):  # the rest of the request stays unread
            common["connection"] = "close"
        self._write(
            h11.Response(
                status_code=status,
                headers=[*{**common, **headers}.items()],
                reason=responses.get(status, "").encode(),
            )
        )
        for piece in pieces if self.method != "HEAD" else ():
            self._write(h11.Data(piece[: len(piece) // 2] if cut else piece))
            if cut:
                return self.break_off()
        return self._write(h11.EndOfMessage())

    def break_off(self) -> None:
        """Close the connection without a response, or in the middle of one."""
        _shut(self.request)

    def _receive(self) -> object:
        """The next event of the request."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                data = self.request.recv(65536)
                if not data:
                    raise ClientLeft
                self._http.receive_data(data)
        except (ConnectionError, TimeoutError):
            raise ClientLeft from None
        except h11.RemoteProtocolError as error:
            problem = ErrorReply(error.error_status_hint, str(error), type=GATEWAY, code="invalid_request")
        else:
            return event
        raise problem

    def _write(self, event: h11.Event) -> None:
        try:
            self.request.sendall(self._http.send(event) or b"")
        except (ConnectionError, TimeoutError):
            raise ClientLeft from None

    def _drain(self) -> None:
        """Read what the client still sends, so that it gets the response and not a reset."""
        self.request.settimeout(0.5)
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            for _ in range(_MOST_DRAINED // 65536):
                if not self.request.recv(65536):
                    break


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
