"""Plain HTTP/1.1 on loopback: the listener, and the connection of one client.

It knows nothing of pictures: the callable that the listener is given answers the requests.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from .error_replies import GATEWAY, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Room for 32,000 characters of prompt in any spelling, and for reference pictures inside the body.
LARGEST_BODY = 16 * 2**20
_LENGTH = re.compile(r"[0-9]{1,18}")
_IDLE_SECONDS = 120.0
_POLL_SECONDS = 0.25


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

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        with self._lock:
            if self.closing.is_set():
                return
            self._open[request] = threading.current_thread()
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End one connection; a handler's thread does this last, after a crash was recorded."""
        super().shutdown_request(request)
        with self._lock:
            self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep a handler's crash for `close`; a client that went away is not a crash."""
        problem = sys.exc_info()[1]
        if not isinstance(problem, (ConnectionError, TimeoutError)):
            self._crash = self._crash or problem
            super().handle_error(request, client_address)


class ClientConnection(BaseHTTPRequestHandler):
    """One connection: reads requests, writes responses, notices when the client leaves."""

    protocol_version = "HTTP/1.1"
    server_version = "comet-magic-sandbox"
    sys_version = ""
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Listener
    _unread = False

    def _serve(self) -> None:
        self.server.serve(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base's names

    def read_body(self) -> bytes:
        """The body of the request.

        Raises:
            ErrorReply: its length is missing, not a number, or too large.
            ClientLeft: it ended early.
        """
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not _LENGTH.fullmatch(length):
            self._unread = self.close_connection = True
            raise ErrorReply(411, "The length of the body is missing", type=GATEWAY, code="invalid_request")
        if int(length) > LARGEST_BODY:
            self._unread = self.close_connection = True
            message = f"Request entity too large: {length} bytes; the limit is {LARGEST_BODY}"
            raise ErrorReply(413, message, type=GATEWAY, code="")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self._leave()
        return body

    def wait(self, seconds: float) -> None:
        """Wait; with 0 only look whether the client is still there.

        Raises:
            ClientLeft: the client closed the connection.
        """
        self.connection.settimeout(max(seconds, 0.0))
        try:
            # Only looks: the bytes of the next request stay in the socket.
            there = self.connection.recv(1, socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return
        except ConnectionError:
            there = b""
        finally:
            self.connection.settimeout(self.timeout)
        if not there:
            self._leave()
        self.server.closing.wait(seconds)

    def send(self, status: int, headers: Mapping[str, str], body: bytes, *, cut: bool = False) -> None:
        """Send a response; with `cut`, announce its whole length and close halfway."""
        with self._noticing():
            self._head(status, {**headers, "content-length": str(len(body))})
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.break_off()
        elif self._unread:
            self._drain()

    def open_stream(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of a response whose length is not known."""
        with self._noticing():
            self._head(status, {**headers, "cache-control": "no-cache", "transfer-encoding": "chunked"})

    def write(self, piece: bytes) -> None:
        """Send one piece of a stream."""
        with self._noticing():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end_stream(self) -> None:
        """End a stream, so that the client knows that it is whole."""
        with self._noticing():
            self.wfile.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        """Close the connection without a response."""
        self.close_connection = True
        _shut(self.connection)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is not an HTTP request with an error in the vendor's envelope."""
        self.close_connection = True
        error = ErrorReply(
            405 if code == 501 else code, message or "Bad request", type=GATEWAY, code="invalid_request"
        )
        with contextlib.suppress(ClientLeft):
            self.send(error.status, {"content-type": "application/json"}, error.body("none"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
        """Write nothing; the sandbox keeps its own log."""

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()

    def _drain(self) -> None:
        """Read what the client still sends, so that it gets the response and not a reset."""
        self.connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(4 * LARGEST_BODY // 65536):
                if not self.connection.recv(65536):
                    break

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError):
            self._leave()

    def _leave(self) -> None:
        self.close_connection = True
        raise ClientLeft


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
