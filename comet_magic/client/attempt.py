"""One attempt at a paid request: out it goes, and what comes back is a value, also when it fails."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ..errors import AmbiguousError, APITimeoutError, CometError, TooLargeError
from ..protocol import StreamReader, read_preview, refusal, request_id_of
from .http import APIDoor, HTTPFault, Phase, error_of, permanent, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from .spool import Spool

REFUSAL_BYTES = 256 * 1024  # of a refusal's body; the rest is of no use
PATH = "/images/generations"


@dataclass(frozen=True)
class Received:
    """A whole 2xx answer, its body in the spool."""

    status: int
    headers: Mapping[str, str]
    stream: bool


@dataclass(frozen=True)
class Failed:
    """An attempt without an answer that could hold a picture."""

    error: CometError
    headers: Mapping[str, str]
    permanent: bool = False


@dataclass(frozen=True)
class Outgoing:
    """What one attempt needs to know.

    Attributes:
        body: the request as JSON.
        stream: whether a stream was asked for.
        call_id: the call's own id, sent with every attempt of it.
        deadline: on the loop's clock.
        timeout: seconds the whole call may take, for the message.
        idle: seconds of silence that end a stream.
        largest: bytes of the whole answer.
        largest_picture: bytes of one picture.
        on_begun: told when the first bytes may leave.
        on_preview: told each streamed preview.
    """

    body: bytes
    stream: bool
    call_id: str
    deadline: float
    timeout: float
    idle: float
    largest: int
    largest_picture: int
    on_begun: Callable[[], None]
    on_preview: Callable[[bytes], None]


async def attempt(door: APIDoor, out: Outgoing, spool: Spool, host: str) -> Received | Failed:
    """Send once and read the answer; nothing is raised but a cancellation."""
    phase = Phase(on_begun=out.on_begun)
    result: Received | Failed | None = None
    with anyio.CancelScope(deadline=out.deadline):
        result = await _exchange(door, out, spool, host, phase)
    if result is None:
        return Failed(_late(out, phase, host), {})
    return result


def _late(out: Outgoing, phase: Phase, host: str) -> APITimeoutError:
    outcome = "unknown" if phase.whole else "not_sent"
    return APITimeoutError(
        f"{host} gave no answer within {out.timeout:g} s",
        outcome=outcome,  # type: ignore[arg-type]  # both words are outcomes
        hint="A longer --timeout, a lower quality or --stream helps slow pictures.",
    )


async def _exchange(door: APIDoor, out: Outgoing, spool: Spool, host: str, phase: Phase) -> Received | Failed:
    accept = "text/event-stream" if out.stream else "application/json"
    idle = out.idle if out.stream else None
    try:
        response = await door.send(
            PATH, out.body, accept=accept, idempotency_key=out.call_id, idle=idle, phase=phase
        )
    except HTTPFault as fault:
        return Failed(error_of(fault, phase, host), {}, permanent(fault))
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        if 200 <= response.status_code < 300:
            return await _answer(response, headers, out, spool)
        return Failed(refusal(response.status_code, headers, await _beginning(response)), headers)
    finally:
        await response.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """The first part of a refusal's body; one that is cut is still a refusal."""
    body = bytearray()
    try:
        async for piece in pieces(response):
            body += piece
            if len(body) >= REFUSAL_BYTES:
                break
    except HTTPFault:
        pass
    return bytes(body[:REFUSAL_BYTES])


async def _answer(
    response: httpx.Response, headers: dict[str, str], out: Outgoing, spool: Spool
) -> Received | Failed:
    stream = "event-stream" in headers.get("content-type", "")
    write_head(spool, response.status_code, headers)
    live = StreamReader(largest=out.largest) if stream else None
    try:
        async for piece in pieces(response):
            spool.write(piece)
            if spool.size > out.largest:
                return _failed(TooLargeError(f"the answer is larger than {out.largest >> 20} MiB"), headers)
            if live is not None and _completed(live, piece, out):
                break
    except HTTPFault as fault:
        error = AmbiguousError(
            f"the answer was cut after {spool.size} bytes ({type(fault).__name__})",
            outcome="unknown" if stream else "billed",
        )
        return _failed(error, headers)
    except CometError as error:
        return _failed(error, headers)
    finally:
        spool.close()
    return Received(response.status_code, headers, stream)


def _failed(error: CometError, headers: dict[str, str]) -> Failed:
    return Failed(error.with_facts(request_id=request_id_of(headers), status_code=200), headers)


def _completed(live: StreamReader, piece: bytes, out: Outgoing) -> bool:
    """Hand on the previews in a piece; whether the picture, or an error, has come."""
    for event in live.feed(piece):
        kind = event.kind
        if kind in ("completed", "error", "end"):
            return True
        if kind == "partial":
            preview = read_preview(event, largest_picture=out.largest_picture)
            if preview is not None:
                out.on_preview(preview)
    return False


def write_head(spool: Spool, status: int, headers: Mapping[str, str]) -> None:
    """Keep beside the body what is needed to read it after a crash."""
    if spool.path is None:
        return
    names = ("content-type", "content-encoding", "x-request-id", "x-oneapi-request-id")
    head = {"status": status, "headers": {name: headers[name] for name in names if name in headers}}
    try:
        spool.path.with_suffix(".head").write_text(json.dumps(head), "utf-8")
    except OSError:
        return  # the body is what counts; without a head it is read as JSON


def read_head(spool: Spool) -> Received:
    """The answer that a crashed process had received."""
    try:
        head = json.loads(spool.path.with_suffix(".head").read_text("utf-8")) if spool.path else {}
    except (OSError, ValueError):
        head = {}
    headers = head.get("headers", {})
    return Received(head.get("status", 200), headers, "event-stream" in headers.get("content-type", ""))
