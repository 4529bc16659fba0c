"""The sandbox on a socket: HTTP, delays, rehearsed failures, and a log of what was served.

What is answered is decided in `app`; here is only when and over which connection.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigurationError
from . import rehearsal
from .app import App, Received, Reply, empty, refused
from .connection import ClientLeft, Connection, Listener
from .refusals import CHARGED_STATUSES, Refusal, rehearsed, too_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

# However many connections there are: painting is CPU, and the notebook beside it wants some.
PAINTINGS_AT_ONCE = 2

# A comment line in a waiting stream, so that neither side takes the silence for death.
_HEARTBEAT = b": keepalive\n\n"
_HEARTBEAT_EVERY = 1.0
_LONGEST = 1e8


@dataclass(frozen=True)
class Served:
    """What is known of one request; an entry is there from its arrival and is replaced when it ends.

    Attributes:
        status: the HTTP status sent, 0 while nothing was sent.
        charged: whether money was taken for it.
        disconnected: whether the client left before the answer was whole.
        seconds: from arrival to the last byte; None while it runs.
    """

    method: str
    path: str
    request_id: str
    status: int = 0
    prompt: str | None = None
    model: str | None = None
    idempotency_key: str | None = None
    charged: bool = False
    disconnected: bool = False
    seconds: float | None = None

    def __str__(self) -> str:
        end = "client left" if self.disconnected else f"{(self.seconds or 0) * 1000:.0f} ms"
        # Both come from outside; repr keeps control characters out of the terminal.
        return f"{self.method} {self.path!r:.80} {self.status or '-'} {self.model or '-'!r:.80} {end}"


def start_sandbox(
    *,
    port: int = 0,
    delay: float = 0.0,
    rate: float | None = None,
    fail: str | int | Sequence[str | int] | None = None,
    url_lifetime: float = 3600.0,
) -> Sandbox:
    """A sandbox that serves until it is closed; a context manager.

    Args:
        port: the port on 127.0.0.1; 0 takes a free one.
        delay: seconds that every generation takes, as with a real model.
        rate: requests per second; what comes faster is refused with 429 and `retry-after`.
        fail: failures to rehearse: `"500"` (always), `"429:2"` (the first two), `"500@0.2"` (a fifth), or a
            list with one status or name per request. Names: hang, cut, drop, empty, moderation, quota.
        url_lifetime: seconds for which a picture's address works.

    Returns:
        `.base_url` is for clients, `.log` holds one entry per request, `.spent` the play money in micro-USD.

    Raises:
        ConfigurationError: the port is taken, or a value cannot be used.

    Example:
        >>> import comet_magic as cm
        >>> with (
        ...     cm.start_sandbox(fail="429:1") as sandbox,
        ...     cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client,
        ... ):
        ...     images = client.generate("a paper boat", quality="low")
        >>> [entry.status for entry in sandbox.log]
        [429, 200]
    """
    return Sandbox(port=port, delay=delay, rate=rate, fail=fail, url_lifetime=url_lifetime)


class Sandbox:
    """A running sandbox: an address for clients, and the facts of what it served."""

    def __init__(
        self,
        *,
        port: int = 0,
        delay: float = 0.0,
        rate: float | None = None,
        fail: str | int | Sequence[str | int] | None = None,
        url_lifetime: float = 3600.0,
        report: Callable[[Served], None] | None = None,
    ) -> None:
        for name, seconds in (("delay", delay), ("url_lifetime", url_lifetime)):
            if not 0 <= seconds <= _LONGEST:
                raise ConfigurationError(f"{name} is {seconds}; it takes seconds from 0 to {_LONGEST:.0f}")
        self._delay = delay
        self._pace = rehearsal.Pace(rate) if rate is not None else None
        self._failures = rehearsal.failures(fail)
        self._report = report
        self._log: list[Served] = []
        self._changed = threading.Condition()
        self._easels = threading.BoundedSemaphore(PAINTINGS_AT_ONCE)
        self._spent = 0
        try:
            self._listener = Listener(port, self._serve)
        except (OSError, OverflowError) as problem:
            reason = str(problem)
        else:
            reason = ""
        if reason:
            raise ConfigurationError(
                f"port {port} cannot be used: {reason}", hint="Choose another port, or 0 for a free one."
            )
        self._root = f"http://127.0.0.1:{self._listener.port}"
        self._app = App(secret=secrets.token_bytes(32), root=self._root, url_lifetime=url_lifetime)
        self._listener.start()

    @property
    def base_url(self) -> str:
        """The address to give to a client, with `/v1`."""
        return f"{self._root}/v1"

    @property
    def log(self) -> list[Served]:
        """One entry per request so far, in order of arrival."""
        with self._changed:
            return list(self._log)

    @property
    def spent(self) -> int:
        """Play money charged so far, in micro-USD."""
        return self._spent

    def until(self, condition: Callable[[list[Served]], bool], timeout: float = 10.0) -> bool:
        """Whether the log came to fulfil the condition in time; waits for it."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._log), timeout)

    def close(self) -> None:
        """Stops serving and closes every connection; a second call does nothing.

        Raises:
            Exception: what a request handler failed with, if one did; a fake must not hide its own faults.
        """
        self._listener.close()

    def _serve(self, connection: Connection) -> None:
        started = time.monotonic()
        request_id = f"{time.strftime('%Y%m%d%H%M%S')}{time.time_ns() % 10**9:09d}{secrets.token_hex(4)}"
        entry = Served(
            connection.command,
            connection.path.partition("?")[0],
            request_id,
            idempotency_key=connection.headers.get("idempotency-key"),
        )
        with self._changed:
            index = len(self._log)
            self._log.append(entry)
            self._changed.notify_all()
        left = False
        try:
            self._answer(connection, index, request_id)
        except ClientLeft:
            left = True
        finally:
            self._amend(
                index,
                disconnected=left and not self._listener.closing.is_set(),
                seconds=time.monotonic() - started,
            )
        if self._report:
            self._report(self.log[index])

    def _answer(self, connection: Connection, index: int, request_id: str) -> None:
        fault = ""
        try:
            body = connection.read_body()
            received = Received(
                connection.command, connection.path, connection.headers, body, request_id, time.time()
            )
            reply = self._app.answer(received, spent=self._spent)
            self._amend(index, prompt=reply.prompt, model=reply.model)
            if reply.steps:
                reply, fault = self._hindered(reply, received)
        except Refusal as refusal:
            reply = refused(refusal, request_id)
        # Work that has begun is charged, whatever becomes of its answer.
        self._amend(index, charge=reply.charge)
        headers = {**reply.headers, "content-type": reply.content_type, "x-request-id": request_id}
        self._send(connection, replace(reply, headers=headers), fault, index)

    def _hindered(self, reply: Reply, received: Received) -> tuple[Reply, str]:
        """What becomes of a good answer under the pace and the failures that are rehearsed."""
        with self._changed:
            wait = self._pace.wait(time.monotonic()) if self._pace else 0.0
            fault = next(self._failures) if not wait else ""
        if wait:
            raise too_fast(wait)
        if fault.isdigit() or fault in {"moderation", "quota"}:
            refusal = rehearsed(fault)
            charge = reply.charge if refusal.status in CHARGED_STATUSES else None
            return replace(refused(refusal, received.request_id), charge=charge), ""
        if fault == rehearsal.EMPTY:
            return replace(empty(received), charge=reply.charge), ""
        return reply, fault

    def _amend(self, index: int, *, charge: int | None = None, **facts: Any) -> None:
        with self._changed:
            self._spent += charge or 0
            charged = self._log[index].charged or charge is not None
            self._log[index] = replace(self._log[index], charged=charged, **facts)
            self._changed.notify_all()

    def _send(self, connection: Connection, reply: Reply, fault: str, index: int) -> None:
        if fault == rehearsal.DROP:
            return connection.break_off()
        while fault == rehearsal.HANG:
            connection.wait(60)
        pause = self._delay / reply.steps if reply.steps else 0.0
        if reply.streams:
            self._amend(index, status=reply.status)
            return self._stream(connection, reply, pause, fault)
        connection.wait(pause)
        body = self._painted(connection, reply)
        # Before the last byte leaves: who has the answer may look at the log at once.
        self._amend(index, status=reply.status)
        connection.send(reply.status, reply.headers, body, cut=fault == rehearsal.CUT)
        return None

    def _stream(self, connection: Connection, reply: Reply, pause: float, fault: str) -> None:
        connection.open_stream(reply.status, reply.headers)
        for _ in range(reply.steps):
            until = time.monotonic() + pause
            while (left := until - time.monotonic()) > 0:
                connection.wait(min(left, _HEARTBEAT_EVERY))
                if left > _HEARTBEAT_EVERY:
                    connection.write(_HEARTBEAT)
            event = self._painted(connection, reply)
            connection.write(event[: len(event) // 2] if fault == rehearsal.CUT else event)
            if fault == rehearsal.CUT:
                return connection.break_off()
        connection.end_stream()
        return None

    def _painted(self, connection: Connection, reply: Reply) -> bytes:
        """The next piece of the answer, made when an easel is free."""
        if not reply.paints:
            return next(reply.pieces)
        while not self._easels.acquire(timeout=0.25):
            connection.wait(0)
        try:
            piece = next(reply.pieces)
        finally:
            self._easels.release()
        connection.wait(0)
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url}, {len(self.log)} served>"
