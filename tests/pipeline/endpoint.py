"""A quick images endpoint in a thread: one small picture for all, a pace, refusals on request, and every call counted.

The prompt decides: `REFUSE` is refused by policy, `BROKEN` gets half an answer, `LOST` is charged and cut off,
`FORBIDDEN` is a wrong key, `EMPTY` an empty account. What is charged is counted when work begins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from PIL import Image

USAGE = {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}


def small_picture(edge: int = 16) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((edge, edge)).convert("RGB").save(out, "PNG")
    return out.getvalue()


PICTURE = small_picture()


@dataclass(frozen=True)
class Asked:
    """One POST: when it came, what it asked for, what was answered, whether money was taken."""

    at: float
    prompt: str
    status: int
    charged: bool
    idempotency_key: str


class Endpoint:
    """A context manager; `asked` may be read from any thread.

    Args:
        delay: seconds that a picture takes.
        rate: requests a second, with a burst of one second's worth; what is too much gets 429.
        retry_after: what those 429s ask for, in seconds.
        urls: answer with addresses.
        hold: seconds until a picture is given out at its address.
        picture: what everybody gets.
    """

    def __init__(
        self,
        *,
        delay: float = 0.0,
        rate: float | None = None,
        retry_after: float = 0.5,
        urls: bool = False,
        hold: float = 0.0,
        picture: bytes = PICTURE,
    ) -> None:
        self.delay, self.rate, self.retry_after, self.urls, self.hold = delay, rate, retry_after, urls, hold
        self.picture = picture
        self.forgiving = False  # whether nothing is refused any more
        self.asked: list[Asked] = []
        self.halfway: float | None = None  # seconds that an answer stops in its middle
        self.downloading = self.most_downloading = 0
        self.running = self.most_running = 0
        self._tokens, self._filled = rate or 0.0, time.monotonic()
        self._serving: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def paid(self) -> int:
        """How many calls were charged."""
        return sum(one.charged for one in list(self.asked))

    @property
    def crowded(self) -> list[Asked]:
        """The calls that came too fast."""
        return [one for one in list(self.asked) if one.status == 429]

    def until(self, condition: Any, seconds: float = 90.0) -> None:
        """Wait until something is true of this endpoint."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.005)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._exchange(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            self._serving.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if head.startswith("GET"):
                await self._download(writer)
            else:
                length = next(
                    int(line.split(":")[1])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length")
                )
                await self._generate(head, json.loads(await reader.readexactly(length)), writer)
            await writer.drain()

    async def _download(self, writer: asyncio.StreamWriter) -> None:
        self.downloading += 1
        self.most_downloading = max(self.most_downloading, self.downloading)
        try:
            await asyncio.sleep(self.hold)
        finally:
            self.downloading -= 1
        writer.write(_head(200, len(self.picture), "image/png") + self.picture)

    async def _generate(self, head: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        prompt = body["prompt"]
        status, error = self._refusal(prompt)
        key = next(
            (line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("idempotency")), ""
        )
        self.asked.append(Asked(time.monotonic(), prompt, status, status == 200, key))
        if status != 200:
            text = json.dumps({"error": error}).encode()
            more = f"retry-after: {self.retry_after}\r\n" if status == 429 and self.retry_after else ""
            writer.write(_head(status, len(text), "application/json", more) + text)
            return
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.running -= 1
        if "LOST" in prompt:
            return
        where = {"url": f"http://127.0.0.1:{self.port}/{len(self.asked)}.png"}
        item = where if self.urls else {"b64_json": base64.b64encode(self.picture).decode()}
        text = json.dumps({"created": 1790000000, "data": [item], "usage": USAGE}).encode()
        if "BROKEN" in prompt:
            text = b'{"data": []}'
        writer.write(_head(200, len(text), "application/json", f"x-request-id: req-{len(self.asked)}\r\n"))
        if self.halfway is not None:
            writer.write(text[: len(text) // 2])
            await asyncio.sleep(self.halfway)
            text = text[len(text) // 2 :]
        writer.write(text)

    def _refusal(self, prompt: str) -> tuple[int, dict[str, Any]]:
        if self.rate is not None:
            now = time.monotonic()
            self._tokens = min(self.rate, self._tokens + (now - self._filled) * self.rate)
            self._filled = now
            if self._tokens < 1:
                return 429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}
            self._tokens -= 1
        for word, answer in _ANSWERS.items():
            if word in prompt and not self.forgiving:
                return answer
        return 200, {}


_ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "REFUSE": (400, {"message": "Your request was rejected", "code": "moderation_blocked"}),
    "FORBIDDEN": (401, {"message": "Invalid token", "code": "invalid_api_key"}),
    "EMPTY": (402, {"message": "Payment required", "code": "insufficient_user_quota"}),
    "WRONG": (400, {"message": "No such size", "code": "invalid_value", "param": "size"}),
}


def _head(status: int, length: int, kind: str, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n"
    ).encode()
