"""The one fake server of the tests: listeners on loopback, served by one event loop in one thread.

What is answered is a subclass's business: `tests.faults.server` fails in every way that a network can, and
`tests.pipeline.endpoint` sells small pictures quickly and counts them.
"""

from __future__ import annotations

import asyncio
import http
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
STEP = 0.005  # seconds between two looks at a condition


def until(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether the condition came true in time; waits for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP)
    return True


@dataclass(frozen=True)
class Head:
    """The first part of a request, with header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def length(self) -> int:
        """The bytes of the body that follows."""
        return int(self.headers.get("content-length", "0"))


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next request line and its headers; None when the client has nothing more to say."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    return Head(method, target, {name.lower(): value.strip() for name, _, value in pairs}, raw)


def header_block(status: int, fields: Iterable[tuple[str, str]] = (), *, version: str = "HTTP/1.1") -> bytes:
    """A status line and its headers, to their end."""
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = "Odd"
    lines = [f"{version} {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogateescape")


class LoopbackServer:
    """A context manager; `opened` makes the listeners, every attribute may be read from any thread.

    Attributes:
        crashes: tracebacks of the server's own mistakes.
    """

    def __init__(self) -> None:
        self.crashes: list[str] = []
        self._serving: set[asyncio.Task[Any]] = set()
        self._servers: list[asyncio.Server] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not stop"

    async def opened(self) -> None:
        """Open the listeners; runs on the server's own loop."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work that is done on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def listen(
        self, serve: Serve, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, backlog: int = 512
    ) -> int:
        """Serve connections at a free port, which is returned."""

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._serving.add(task)
            try:
                await serve(reader, writer)
            except (OSError, asyncio.IncompleteReadError):  # the client went away
                pass
            except asyncio.CancelledError:
                writer.transport.abort()
            except Exception:
                self.crashes.append(traceback.format_exc())
            finally:
                writer.close()
                self._serving.discard(task)

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, 0), family=family, backlog=backlog)
        # A small window: a client cannot hand over megabytes that nobody reads.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        server = await asyncio.start_server(guarded, sock=listener, ssl=tls, backlog=backlog)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self.opened()
        self._ready.set()
        await self._stop.wait()
        for server in self._servers:
            server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
