"""One attempt at a paid request: out it goes, and what comes back is a value, also when it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError
from ..protocol import StreamReader, decisions, read_preview, refusal, retry_after, should_retry
from .transport import APITransport, HTTPFault, SendProgress, announced, error_of, permanent, pieces, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from ..archive import RawAnswer

REFUSAL_BYTES = 256 * 1024  # of a refusal's body; the rest is of no use
PATH = "/images/generations"


@dataclass(frozen=True)
class Received:
    """A whole 2xx answer; of a stream, the event that decides begins after so many bytes."""

    status: int
    headers: Mapping[str, str]
    stream: bool
    begins: int = 0


@dataclass(frozen=True)
class Failed:
    """An attempt without an answer that could hold a picture; of its headers only what decides is kept."""

    error: CometError
    permanent: bool = False
    should_retry: bool | None = None
    retry_after: float | None = None


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
        on_headers: told the answer's headers as they come.
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
    on_headers: Callable[[Mapping[str, str]], None]
    on_begun: Callable[[], None]
    on_preview: Callable[[bytes], None]


async def attempt(door: APITransport, out: Outgoing, raw: RawAnswer, host: str) -> Received | Failed:
    """Send once and read the answer; nothing is raised but a cancellation."""
    phase = SendProgress(on_begun=out.on_begun)
    result: Received | Failed | None = None
    with anyio.CancelScope(deadline=out.deadline):
        result = await _exchange(door, out, raw, host, phase)
    if result is None:
        return Failed(_late(out, phase, host))
    return result


def _late(out: Outgoing, phase: SendProgress, host: str) -> CometError:
    row = decisions.LATE if phase.whole else decisions.LATE_UNSENT
    return row.error(f"{host} gave no answer within {out.timeout:g} s")


async def _exchange(
    door: APITransport, out: Outgoing, raw: RawAnswer, host: str, phase: SendProgress
) -> Received | Failed:
    accept = "text/event-stream" if out.stream else "application/json"
    idle = out.idle if out.stream else None
    try:
        response = await door.send(
            PATH, out.body, accept=accept, idempotency_key=out.call_id, idle=idle, phase=phase
        )
    except HTTPFault as fault:
        return Failed(error_of(fault, phase, host), permanent(fault))
    headers = dict(response.headers.items())
    out.on_headers(headers)
    try:
        if 200 <= response.status_code < 300:
            return await _answer(response, headers, out, raw)
        error = refusal(response.status_code, headers, await _beginning(response))
        error.retry_after = retry_after(headers, now=time.time())
        return Failed(error, should_retry=should_retry(headers), retry_after=error.retry_after)
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
    response: httpx.Response, headers: dict[str, str], out: Outgoing, raw: RawAnswer
) -> Received | Failed:
    stream = "event-stream" in headers.get("content-type", "")
    if announced(headers) > out.largest:
        return Failed(_too_large(out))
    live = StreamReader(largest=out.largest) if stream else None
    begins = None
    try:
        async for piece in pieces(response):
            raw.write(piece)
            if raw.size > out.largest:
                return Failed(_too_large(out))
            begins = _decided(live, piece, out) if live else None
            if begins is not None:
                break
    except HTTPFault as fault:
        return Failed(_cut(fault, raw, stream=stream))
    except CometError as error:
        return Failed(error)
    finally:
        raw.close()
    return Received(response.status_code, headers, stream, begins or 0)


def _cut(fault: BaseException, raw: RawAnswer, *, stream: bool) -> CometError:
    if stream and silent(fault):
        return decisions.LATE.error(f"the stream was silent for too long, after {raw.size} bytes", hint="")
    row = decisions.STREAM_CUT if stream else decisions.ANSWER_CUT
    return row.error(f"the answer was cut after {raw.size} bytes ({type(fault).__name__})")


def _too_large(out: Outgoing) -> CometError:
    return decisions.TOO_LARGE.error(
        f"the answer is larger than max_response_bytes allows, {out.largest} bytes"
    )


def _decided(live: StreamReader, piece: bytes, out: Outgoing) -> int | None:
    """Hand on the previews in a piece; where in the body to look, once the picture, an error or the end has come."""
    for event in live.feed(piece):
        kind = event.kind
        if kind == "end":  # what came before it says what it is the end of
            return 0
        if kind in ("completed", "error"):
            return event.begins
        if kind == "partial":
            preview = read_preview(event, largest_picture=out.largest_picture)
            if preview is not None:
                out.on_preview(preview)
    return None
