"""The sandbox on a socket: delays, rate limit, simulated failures, and a log of what was served.

`app` decides what is answered; this module decides when, and over which connection.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigurationError
from ..money import usd
from . import fault_injection
from .app import App, HTTPRequest, HTTPResponse, empty_success, error_response
from .connection import ClientConnection, ClientLeft, Listener
from .error_replies import CHARGED_STATUSES, ErrorReply, injected_error, too_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

# Painting takes CPU that the notebook needs too, however many connections there are.
RENDER_SLOTS = 2

# A comment line in a waiting stream, so that neither side takes the connection for dead.
_HEARTBEAT = b": keepalive\n\n"
_HEARTBEAT_EVERY = 1.0
_LONGEST = 1e8


@dataclass(frozen=True)
class Served:
    """One request in the log; the entry is made when it arrives and replaced when it ends.

    Attributes:
        status: the HTTP status that was sent, 0 while nothing was sent.
        charged: whether play money was charged for it.
        disconnected: whether the client left before the response was complete.
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
        # Path and model come from outside; repr keeps control characters out of the terminal.
        return f"{self.method} {self.path!r:.80} {self.status or '-'} {self.model or '-'!r:.80} {end}"


class Sandbox:
    """A sandbox that serves from now until it is closed; a context manager.

    Attributes:
        base_url: the base URL for clients, with `/v1`.
        log: one entry per request so far, in order of arrival.
        spent: play money charged so far, in USD.

    Args:
        port: the port on 127.0.0.1; 0 takes a free one.
        delay: seconds that each generation takes, as with a real model.
        rate: requests per second; faster ones get 429 with `retry-after`.
        fail: failures to simulate: `"500"` (always), `"429:2"` (the first two), `"500@0.2"` (a fifth), or a
            list with one status or name per request. Names: hang, cut, drop, empty, moderation, quota,
            ignored-mask.
        url_lifetime: seconds for which the URL of a picture works.
        report: called with each entry of the log when its request has ended.

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
        self._rate_gate = fault_injection.RateGate(rate) if rate is not None else None
        self._faults = fault_injection.faults(fail)
        self._report = report
        self._log: list[Served] = []
        self._changed = threading.Condition()
        self._render_slots = threading.BoundedSemaphore(RENDER_SLOTS)
        self._spent = 0
        self._listener = _listen(port, self._serve)
        self._root = f"http://127.0.0.1:{self._listener.port}"
        self._app = App(secret=secrets.token_bytes(32), root=self._root, url_lifetime=url_lifetime)
        self._listener.start()

    @property
    def base_url(self) -> str:
        """The base URL for clients, with `/v1`."""
        return f"{self._root}/v1"

    @property
    def log(self) -> list[Served]:
        """One entry per request so far, in order of arrival."""
        with self._changed:
            return list(self._log)

    @property
    def spent(self) -> float:
        """Play money charged so far, in USD."""
        return usd(self._spent)

    def until(self, condition: Callable[[list[Served]], bool], timeout: float = 10.0) -> bool:
        """Wait until the log fulfils the condition; returns whether it did within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._log), timeout)

    def close(self) -> None:
        """Stop serving and close every connection; a second call does nothing.

        Raises:
            Exception: what a request handler failed with; the sandbox must not hide its own faults.
        """
        self._listener.close()

    def _serve(self, connection: ClientConnection) -> None:
        started = time.monotonic()
        request_id = f"{time.strftime('%Y%m%d%H%M%S')}{time.time_ns() % 10**9:09d}{secrets.token_hex(4)}"
        entry = Served(
            connection.method,
            connection.target.partition("?")[0],
            request_id,
            idempotency_key=connection.headers.get("idempotency-key"),
        )
        with self._changed:
            index = len(self._log)
            self._log.append(entry)
            self._changed.notify_all()
        left = False
        try:
            with connection.upload() as upload:
                self._answer(connection, upload, index, request_id)
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

    def _answer(self, connection: ClientConnection, upload: BinaryIO, index: int, request_id: str) -> None:
        fault = ""
        try:
            connection.read_body(upload)
            request = HTTPRequest(
                connection.method,
                connection.target,
                connection.headers,
                upload,
                request_id,
                now=time.time(),
                spent=self._spent,
            )
            response = self._app.answer(request)
            self._amend(index, prompt=response.prompt, model=response.model)
            if response.steps:
                response, fault = self._inject_fault(response, request)
        except ErrorReply as error:
            response = error_response(error, request_id)
        # Work that was begun is charged, even if its response is lost.
        self._amend(index, charge=response.charge)
        content = {} if response.status == 204 else {"content-type": response.content_type}
        headers = {**response.headers, **content, "x-request-id": request_id}
        self._send(connection, replace(response, headers=headers), fault, index)

    def _inject_fault(self, response: HTTPResponse, request: HTTPRequest) -> tuple[HTTPResponse, str]:
        """Apply the rate limit and the simulated failures to a good response; returns it and the connection's fault."""
        with self._changed:
            wait = self._rate_gate.wait(time.monotonic()) if self._rate_gate else 0.0
            fault = next(self._faults) if not wait else ""
        if wait:
            raise too_fast(wait)
        if fault.isdigit() or fault in {"moderation", "quota"}:
            error = injected_error(fault)
            charge = response.charge if error.status in CHARGED_STATUSES else None
            return replace(error_response(error, request.request_id), charge=charge), ""
        if fault == fault_injection.IGNORED_MASK:
            return self._app.answer(replace(request, ignores_mask=True)), ""
        if fault == fault_injection.EMPTY:
            return replace(empty_success(request), charge=response.charge), ""
        return response, fault

    def _amend(self, index: int, *, charge: int | None = None, **facts: Any) -> None:
        with self._changed:
            self._spent += charge or 0
            charged = self._log[index].charged or charge is not None
            self._log[index] = replace(self._log[index], charged=charged, **facts)
            self._changed.notify_all()

    def _send(self, connection: ClientConnection, response: HTTPResponse, fault: str, index: int) -> None:
        if fault == fault_injection.DROP:
            return connection.break_off()
        while fault == fault_injection.HANG:
            connection.wait(60)
        cut = fault == fault_injection.CUT
        pieces = self._pieces(connection, response, heartbeats=response.streams and not cut)
        headers = dict(response.headers)
        if response.streams:
            headers["cache-control"] = "no-cache"
        else:
            body = b"".join(pieces)
            pieces = iter([body])
            if response.status != 204:
                headers["content-length"] = str(len(body))
        # Before the last byte leaves: a client that has the response may read the log at once.
        self._amend(index, status=response.status)
        return connection.send(response.status, headers, pieces, cut=cut)

    def _pieces(
        self, connection: ClientConnection, response: HTTPResponse, *, heartbeats: bool
    ) -> Iterator[bytes]:
        """The body of a response, each piece after its share of the delay."""
        for _ in range(response.steps or 1):
            left = self._delay / response.steps if response.steps else 0.0
            while left > 0:
                connection.wait(min(left, _HEARTBEAT_EVERY))
                left -= _HEARTBEAT_EVERY
                if heartbeats and left > 0:
                    yield _HEARTBEAT
            yield self._painted(connection, response)

    def _painted(self, connection: ClientConnection, response: HTTPResponse) -> bytes:
        """The next piece of the response, made when a render slot is free."""
        if not response.paints:
            return next(response.pieces)
        while not self._render_slots.acquire(timeout=0.25):
            connection.wait(0)
        try:
            piece = next(response.pieces)
        finally:
            self._render_slots.release()
        connection.wait(0)
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url}, {len(self.log)} served>"


def _listen(port: int, serve: Callable[[ClientConnection], None]) -> Listener:
    try:
        return Listener(port, serve)
    except (OSError, OverflowError) as problem:
        reason = str(problem)
    raise ConfigurationError(
        f"port {port} cannot be used: {reason}", hint="Choose another port, or 0 for a free one."
    )


start_sandbox = Sandbox


# --- the sandbox that a process has if it needs one

_of_process: dict[int, Sandbox] = {}
_lock = threading.Lock()


def process_sandbox() -> Sandbox:
    """The sandbox of this process, started at the first call; a forked child starts its own."""
    with _lock:
        if os.getpid() not in _of_process:
            _of_process[os.getpid()] = start_sandbox()
        return _of_process[os.getpid()]


def running_process_sandbox() -> Sandbox | None:
    """The sandbox of this process, or None if nothing needed one yet."""
    return _of_process.get(os.getpid())


def close_process_sandbox() -> None:
    """Close the sandbox of this process, if it has one."""
    with _lock:
        sandbox = _of_process.pop(os.getpid(), None)
    if sandbox is not None:
        sandbox.close()
