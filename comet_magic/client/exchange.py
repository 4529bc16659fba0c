"""One attempt at a paid request: sends it and reads the answer; a failure is a value too."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError
from ..protocol import (
    StreamCollector,
    StreamReader,
    decisions,
    looks_like_a_stream,
    read_preview,
    refusal_of,
    request_id_of,
)
from ..text import clean
from .transport import HTTPFault, SendProgress, announced, error_of, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from ..settings import Settings
    from .core import Core
    from .run_call import Attempts, InFlight

REFUSAL_BYTES = 256 * 1024  # of a refusal's body; the rest is of no use
PATH = "/images/generations"


@dataclass(frozen=True)
class Received:
    """A 2xx answer, its body in the raw answer.

    Attributes:
        headers: names in lower case.
        stream: whether it is labelled as a stream.
        begins: of a stream, the bytes before the event that decides.
        cut: the error if it is cut and holds no whole picture; None if it is whole.
    """

    status: int
    headers: Mapping[str, str]
    stream: bool
    begins: int = 0
    cut: CometError | None = None


async def exchange(core: Core, flight: InFlight, attempts: Attempts) -> Received | CometError:
    """Send once and read the answer, or say how that failed; nothing is raised but a cancellation."""
    flight.begin_attempt()
    progress = SendProgress(flight.first_byte_leaves)
    result: Received | CometError | None = None
    with anyio.CancelScope(deadline=attempts.deadline):
        result = await _exchange(core, flight, progress)
    if result is None:
        row = decisions.LATE if progress.whole else decisions.LATE_UNSENT
        return row.error(f"{core.base.host} gave no answer within {attempts.timeout:g} s")
    return result


async def _exchange(core: Core, flight: InFlight, progress: SendProgress) -> Received | CometError:
    request = flight.call.request
    try:
        response = await core.api.send(
            PATH,
            json.dumps(request.body(), ensure_ascii=False, separators=(",", ":")).encode(),
            accept="text/event-stream" if request.stream else "application/json",
            idempotency_key=flight.idempotency_key,
            silence=core.settings.stream_idle_timeout if request.stream else None,
            progress=progress,
        )
    except HTTPFault as fault:
        return error_of(fault, progress, core.base.host)
    headers = dict(response.headers.items())
    flight.call.request_id = request_id_of(headers)
    try:
        if 200 <= response.status_code < 300:
            return await _answer(response, headers, flight, core.settings)
        return refusal_of(response.status_code, headers, await _beginning(response), now=time.time())
    finally:
        await response.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """The first part of a refusal's body; one that is cut is still a refusal."""
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= REFUSAL_BYTES:
                break
    except HTTPFault:
        pass
    return bytes(body[:REFUSAL_BYTES])


async def _answer(
    response: httpx.Response, headers: dict[str, str], flight: InFlight, settings: Settings
) -> Received | CometError:
    stream = "event-stream" in headers.get("content-type", "")
    largest = settings.max_response_bytes * max(1, flight.call.request.n)
    if announced(headers) > largest:
        return _too_large(largest)
    live = _LiveStream(flight, settings, largest) if stream else None
    cut: CometError | None = None
    try:
        async for piece in response.aiter_raw():
            if live is None and not flight.raw.size and looks_like_a_stream(piece):
                live = _LiveStream(flight, settings, largest)
            problem = _keep(flight, piece)
            if problem is None and flight.raw.size > largest:
                problem = _too_large(largest)
            if problem is not None:
                return problem
            if live is not None and live.ended(piece):
                break
    except HTTPFault as fault:
        cut = _cut(fault, flight.raw.size, stream=live is not None)
        if not (live.collector.has_pictures if live else flight.raw.size):
            return cut
    except CometError as error:
        return error
    begins = live.collector.begins if live else None
    return Received(response.status_code, headers, stream, begins or 0, cut)


def _keep(flight: InFlight, piece: bytes) -> CometError | None:
    """Write a piece of the answer where it stays; a fault of our own file is not the network's."""
    try:
        flight.raw.write(piece)
    except OSError as fault:
        reason = clean(fault.strerror or fault, limit=120)
        return decisions.NOT_SAVED.error(f"the answer arrived and could not be kept: {reason}")
    return None


def _cut(fault: BaseException, size: int, *, stream: bool) -> CometError:
    if stream and silent(fault):
        return decisions.LATE.error(f"the stream was silent for too long, after {size} bytes", hint="")
    row = decisions.STREAM_CUT if stream else decisions.ANSWER_CUT
    return row.error(f"the answer was cut after {size} bytes ({type(fault).__name__})")


def _too_large(largest: int) -> CometError:
    return decisions.TOO_LARGE.error(f"the answer is larger than max_response_bytes allows, {largest} bytes")


class _LiveStream:
    """Reads a stream while it arrives: hands on its previews and finds its end."""

    def __init__(self, flight: InFlight, settings: Settings, largest: int) -> None:
        self._flight = flight
        self._largest_picture = settings.max_image_bytes
        self._reader = StreamReader(largest=largest)
        self._numbers = count()
        self.collector = StreamCollector(
            largest_picture=settings.max_image_bytes, wanted=max(1, flight.call.request.n)
        )

    def ended(self, piece: bytes) -> bool:
        """Take the next piece; whether nothing that follows is needed."""
        for event in self._reader.feed(piece):
            if event.is_preview:
                preview = read_preview(event, largest_picture=self._largest_picture)
                if preview is not None:
                    self._flight.show_preview(preview, next(self._numbers))
            elif self.collector.take(event):
                return True
        return False
