"""A quick images endpoint in a thread: one small picture for all, a pace, refusals on request, and every call counted.

The prompt decides: `REFUSE` is refused by policy, `BROKEN` gets half an answer, `LOST` is charged and cut off,
`FORBIDDEN` is a wrong key, `EMPTY` an empty account, `DOWN` a gateway without its server. What is charged is counted
when work begins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image
from werkzeug.formparser import parse_form_data

from tests.loopback import Head, LoopbackServer, header_block, read_head, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

USAGE = {"input_tokens": 10, "output_tokens": 272, "total_tokens": 282}  # of a picture of low quality


def small_picture(edge: int = 16) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((edge, edge)).convert("RGB").save(out, "PNG")
    return out.getvalue()


PICTURE = small_picture()


@dataclass(frozen=True)
class Asked:
    """One POST: when it came, what it asked for, what was answered, whether money was taken, which files were in it."""

    at: float
    prompt: str
    status: int
    charged: bool
    idempotency_key: str
    files: tuple[bytes, ...] = ()


class Endpoint(LoopbackServer):
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
        self.sold_out = False  # whether no address gives its picture any more
        self.forgiving = False  # whether nothing is refused any more
        self.down = 0  # so many requests more find a gateway without its server
        self.asked: list[Asked] = []
        self.halfway: float | None = None  # seconds that an answer stops in its middle
        self.downloading = self.most_downloading = 0
        self.running = self.most_running = 0
        self._tokens, self._filled = rate or 0.0, time.monotonic()
        super().__init__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        assert self.crashes == []

    async def opened(self) -> None:
        self.port = await self.listen(self._exchange)

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

    def until(self, condition: Callable[[Endpoint], object], seconds: float = 90.0) -> None:
        """Wait until something is true of this endpoint."""
        assert until(lambda: condition(self), seconds), "it did not come to that"

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is None:
            return
        if head.method == "GET":
            await self._download(writer)
        else:
            await self._generate(head, await reader.readexactly(head.length), writer)
        await writer.drain()

    async def _download(self, writer: asyncio.StreamWriter) -> None:
        self.downloading += 1
        self.most_downloading = max(self.most_downloading, self.downloading)
        try:
            await asyncio.sleep(self.hold)
        finally:
            self.downloading -= 1
        if self.sold_out:
            return _reply(writer, b"", 403)
        return _reply(writer, self.picture, kind="image/png")

    async def _generate(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        prompt, files = _asked(head, body)
        status, error = self._refusal(prompt)
        key = head.headers.get("idempotency-key", "")
        self.asked.append(Asked(time.monotonic(), prompt, status, status == 200, key, files))
        if status != 200:
            wait = [("Retry-After", str(self.retry_after))] if status == 429 and self.retry_after else []
            return _reply(writer, json.dumps({"error": error}).encode(), status, fields=wait)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.running -= 1
        if "LOST" in prompt:
            return None
        text = b'{"data": []}' if "BROKEN" in prompt else self._answer()
        fields = [("X-Request-Id", f"req-{len(self.asked)}")]
        if self.halfway is None:
            return _reply(writer, text, fields=fields)
        _reply(writer, text, fields=fields, sent=len(text) // 2)
        await asyncio.sleep(self.halfway)
        return writer.write(text[len(text) // 2 :])

    def _answer(self) -> bytes:
        where = {"url": f"http://127.0.0.1:{self.port}/{len(self.asked)}.png"}
        item = where if self.urls else {"b64_json": base64.b64encode(self.picture).decode()}
        return json.dumps({"created": 1790000000, "data": [item], "usage": USAGE}).encode()

    def _refusal(self, prompt: str) -> tuple[int, dict[str, Any]]:
        if self.rate is not None:
            now = time.monotonic()
            self._tokens = min(self.rate, self._tokens + (now - self._filled) * self.rate)
            self._filled = now
            if self._tokens < 1:
                return 429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}
            self._tokens -= 1
        if self.down:
            self.down -= 1
            return _ANSWERS["DOWN"]
        for word, answer in _ANSWERS.items():
            if word in prompt and not self.forgiving:
                return answer
        return 200, {}


_ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "REFUSE": (400, {"message": "Your request was rejected", "code": "moderation_blocked"}),
    "FORBIDDEN": (401, {"message": "Invalid token", "code": "invalid_api_key"}),
    "EMPTY": (402, {"message": "Payment required", "code": "insufficient_user_quota"}),
    "DOWN": (502, {"message": "Bad gateway"}),
    "WRONG": (400, {"message": "No such size", "code": "invalid_value", "param": "size"}),
}


def _asked(head: Head, body: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The prompt of a request, and the files of one that is a form."""
    kind = head.headers["content-type"]
    if not kind.startswith("multipart/"):
        return json.loads(body)["prompt"], ()
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
    _, fields, files = parse_form_data({**environ, "REQUEST_METHOD": "POST"}, silent=False)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(file)) for _, file in files.items(multi=True)]
        return fields["prompt"], tuple(file.read() for file in opened)


def _reply(
    writer: asyncio.StreamWriter,
    body: bytes,
    status: int = 200,
    *,
    kind: str = "application/json",
    fields: Iterable[tuple[str, str]] = (),
    sent: int | None = None,
) -> None:
    """An answer with its length; of its body only so many bytes are `sent` now."""
    named = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close"), *fields]
    writer.write(header_block(status, named) + body[:sent])
