"""Answers as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from tests.faults import pictures
from tests.faults.exchange import USAGE, Exchange, scenario
from tests.faults.scenarios.status import BLOCKED, error

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "text/event-stream"
FACTS = {"created_at": 1781075000, "size": "1024x1024", "quality": "low", "background": "opaque"}
PARTIAL, COMPLETED = "image_generation.partial_image", "image_generation.completed"


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def event(kind: str, value: object, end: str = "\n") -> str:
    return f"event: {kind}{end}data: {json.dumps(value)}{end}{end}"


def preview(x: Exchange, number: int = 0, **facts: Any) -> dict[str, Any]:
    data = coded(x.picture(100 + number))
    return {
        "type": PARTIAL,
        "b64_json": data,
        "partial_image_index": number,
        "output_format": "png",
        **FACTS,
        **facts,
    }


def final(x: Exchange, **facts: Any) -> dict[str, Any]:
    usage = {name: USAGE[name] for name in USAGE}
    return {
        "type": COMPLETED,
        "b64_json": coded(x.picture()),
        "output_format": "png",
        "usage": usage,
        **FACTS,
        **facts,
    }


def partials(x: Exchange, end: str = "\n") -> str:
    return "".join(event(PARTIAL, preview(x, number), end) for number in range(2))


def whole(x: Exchange, end: str = "\n") -> str:
    return partials(x, end) + event(COMPLETED, final(x), end)


async def begin(x: Exchange, text: str = "") -> None:
    """The headers and the first part of a stream: from here on the work counts as begun."""
    x.charge()
    await x.chunked(ctype=KIND)
    if text:
        await x.chunk(text.encode())


@scenario("sse-ok")
async def honest(x: Exchange) -> None:
    await begin(x)
    for number in range(int(x.body.get("partial_images") or 0)):
        await x.chunk(event(PARTIAL, preview(x, number)).encode())
    await x.chunk(event(COMPLETED, final(x)).encode())
    await x.end()
    x.counts.delivered += 1


def lines(*values: object) -> str:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values)


def spread(value: object) -> str:
    """One event whose data is spread over many lines."""
    return "".join(f"data: {line}\n" for line in json.dumps(value, indent=1).split("\n")) + "\n"


# Streams that hold a whole picture, in a form that a reader must take.
GOOD: dict[str, Callable[[Exchange], str]] = {
    "sse-crlf": lambda x: whole(x, "\r\n"),
    "sse-cr": lambda x: whole(x, "\r"),
    "sse-bom": lambda x: "\ufeff" + whole(x),
    "sse-multiline-data": lambda x: spread(preview(x)) + spread(final(x)),
    "sse-no-event-name": lambda x: lines(preview(x), final(x)),
    "sse-message": lambda x: event("message", preview(x)) + event("message", final(x)),
    "sse-null-error": lambda x: lines({"error": None, "data": [{"b64_json": coded(x.picture())}]}),
    "sse-no-type": lambda x: f"event: {COMPLETED}\ndata: {json.dumps({**final(x), 'type': None})}\n\n",
    "sse-unknown-event": lambda x: event("ping", {"type": "ping"}) + event("x.y", [1, 2]) + whole(x),
    "sse-done-marker": lambda x: whole(x) + "data: [DONE]\n\n",
    "sse-out-of-order": lambda x: event(PARTIAL, preview(x, 1)) + event(PARTIAL, preview(x, 0)) + whole(x),
    "sse-late-partial": lambda x: event(COMPLETED, final(x)) + partials(x),
    "sse-comments": lambda x: ": keepalive\n\n" + partials(x) + ":\n:\n\n" + event(COMPLETED, final(x)),
    "sse-ids": lambda x: "id: 1\nretry: 10\n\nid: \x00\nretry: soon\n" + whole(x),
    "sse-no-space": lambda x: whole(x).replace("data: ", "data:").replace("event: ", "event:"),
    "sse-odd-fields": lambda x: "data\nevent\nfoo: bar\n\n" + whole(x),
    "sse-null-data": lambda x: "data: null\n\ndata: 5\n\ndata: []\n\n" + whole(x),
    "sse-sparse": lambda x: event(COMPLETED, {"b64_json": coded(x.picture())}),
    "sse-bad-preview": lambda x: event(PARTIAL, preview(x, b64_json="!!!")) + event(COMPLETED, final(x)),
    "sse-odd-preview": lambda x: (
        event(PARTIAL, {"type": PARTIAL, "b64_json": 7}) + event(COMPLETED, final(x))
    ),
    "sse-junk-preview": lambda x: event(PARTIAL, preview(x, b64_json=coded(pictures.noise()))) + whole(x),
    "sse-two-completed": lambda x: event(COMPLETED, final(x)) * 2,
    "sse-error-after-completed": lambda x: event(COMPLETED, final(x)) + event("error", error("too late")),
    "sse-dataurl": lambda x: event(
        COMPLETED, final(x, b64_json="data:image/png;base64," + coded(x.picture()))
    ),
    "sse-huge-id": lambda x: "id: " + "i" * 500_000 + "\n" + whole(x),
    "sse-responses": lambda x: (
        event("response.image_generation_call.partial_image", {"partial_image_b64": coded(x.picture(100))})
        + event("response.image_generation_call.completed", {"item_id": "ig_1"})
        + event("response.output_item.done", {"item": {"result": coded(x.picture())}})
    ),
    "sse-bare": lambda x: ": keepalive\n\n" + json.dumps(x.envelope()) + "\n",
    "sse-retry-first": lambda x: "retry: 3000\nid: 1\n" + whole(x),
    "sse-error-false": lambda x: lines({"type": "keepalive", "error": False}) + whole(x),
    "sse-no-completed-name": lambda x: event("", {"data": [{"image": coded(x.picture())}]}),
    "sse-ark": lambda x: (
        event("image_generation.partial_succeeded", {"image_index": 0, "url": x.url(name="url-ok")})
        + event("image_generation.completed", {"usage": {"generated_images": 1}})
        + "data: [DONE]\n\n"
    ),
    # Streams without a picture, or with one that cannot be used.
    "sse-no-completed": partials,
    "sse-only-done": lambda _: "data: [DONE]\n\n",
    "sse-empty": lambda _: "\n",
    "sse-html": lambda _: pictures.HTML.decode(),
    "sse-error": lambda x: partials(x) + event("error", error("upstream failed", "server_error")),
    "sse-error-first": lambda _: lines(error("upstream failed", "server_error")),
    "sse-error-policy": lambda x: partials(x) + event("error", BLOCKED),
    "sse-bad-json": lambda x: partials(x) + f"event: {COMPLETED}\ndata: {{'b64_json': \n\n",
    "sse-deep": lambda x: partials(x) + "data: " + "[" * 100_000 + "\n\n",
    "sse-bad-final": lambda x: partials(x) + event(COMPLETED, final(x, b64_json=coded(pictures.noise()))),
    "sse-empty-final": lambda x: partials(x) + event(COMPLETED, final(x, b64_json="")),
    "sse-number-final": lambda x: partials(x) + event(COMPLETED, final(x, b64_json=7)),
    "sse-unfinished": lambda x: partials(x) + event(COMPLETED, final(x))[:-2],
    "sse-url": lambda x: event(COMPLETED, {**final(x), "b64_json": None, "url": x.url(name="url-ok")}),
}


def streamed(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        await begin(x, GOOD[name](x))
        await x.end()


for _name in GOOD:
    streamed(_name)


@scenario("sse-unasked")
async def unasked(x: Exchange) -> None:
    await begin(x, whole(x))
    await x.end()


@scenario("sse-ignored")
async def ignored(x: Exchange) -> None:
    await x.deliver()


@scenario("sse-close-delimited")
async def close_delimited(x: Exchange) -> None:
    x.charge()
    await x.send(x.headers(200, [("Content-Type", KIND + "; charset=utf-8")], version="HTTP/1.0"))
    await x.send(whole(x).encode())
    x.close()


@scenario("sse-bytewise")
async def bytewise(x: Exchange) -> None:
    await begin(x)
    text = ": grüße 船\n\n" + event(PARTIAL, preview(x)) + event(COMPLETED, final(x))
    for byte in text.encode():
        await x.chunk(bytes([byte]))
    await x.end()


@scenario("sse-cut")
async def cut(x: Exchange) -> None:
    await begin(x, partials(x))
    await asyncio.sleep(0.05)
    x.close()


@scenario("sse-cut-in-completed")
async def cut_within_the_last_event(x: Exchange) -> None:
    await begin(x, partials(x) + event(COMPLETED, final(x))[:150])
    await asyncio.sleep(0.05)
    x.close()


@scenario("sse-rst")
async def reset_within(x: Exchange) -> None:
    await begin(x, partials(x))
    await asyncio.sleep(0.05)
    x.reset()


@scenario("sse-stall")
async def stall(x: Exchange) -> None:
    await begin(x, partials(x))
    await x.hold()


@scenario("sse-heartbeat")
async def heartbeat(x: Exchange) -> None:
    await begin(x, partials(x))
    beat = b"e\r\n: keep-alive\n\n\r\n"
    await x.drip(beat * 1000, piece=len(beat))


@scenario("sse-empty-events")
async def empty_events(x: Exchange) -> None:
    """Previews without end: something always comes, and it is never finished."""
    await begin(x)
    for _ in range(400):
        if x.reader.at_eof():
            break
        await x.chunk(event(PARTIAL, preview(x)).encode())
        await asyncio.sleep(0.05)
    x.close()


@scenario("sse-completed-hang")
async def completed_and_open(x: Exchange) -> None:
    await begin(x, whole(x))
    x.counts.delivered += 1
    await x.hold(5)


@scenario("sse-unlabelled-hang")
async def unlabelled_and_open(x: Exchange) -> None:
    """A stream under another label, whose connection stays open after the picture."""
    x.charge()
    await x.chunked(ctype="application/json")
    await x.chunk(whole(x).encode())
    x.counts.delivered += 1
    await x.hold(5)


@scenario("sse-pings")
async def pings_after_the_picture(x: Exchange) -> None:
    """A picture under no name that says whether it is the last, then pings, and in the end an error."""
    await begin(x, partials(x) + lines({"data": [{"b64_json": coded(x.picture())}]}))
    for _ in range(200):
        await x.chunk(b": ping\n\n" + event("ping", {"type": "ping"}).encode())
        await asyncio.sleep(0.05)
        if x.reader.at_eof():
            return
    await x.chunk(event("error", {"error": {"message": "too late"}}).encode())


@scenario("open-json")
async def json_that_does_not_end(x: Exchange) -> None:
    """A whole document, then blanks."""
    x.charge()
    await x.chunked()
    await x.chunk(json.dumps(x.envelope()).encode())
    await x.drip(b"2\r\n \n\r\n" * 400, piece=7)


@scenario("sse-ark-cut")
async def cut_after_a_part(x: Exchange) -> None:
    await begin(x, event("image_generation.partial_succeeded", {"url": x.url(name="url-ok")}))
    await asyncio.sleep(0.05)
    x.close()


@scenario("sse-endless-line")
async def endless_line(x: Exchange) -> None:
    await begin(x, "data: ")
    await x.pour(b"10000\r\n" + b"A" * 65536 + b"\r\n", 512 * 1024 * 1024)


@scenario("sse-endless-lines")
async def endless_lines(x: Exchange) -> None:
    """One event of endlessly many data lines."""
    await begin(x)
    piece = b"data: " + b"A" * 57 + b"\n"
    await x.pour(b"%x\r\n%s\r\n" % (len(piece) * 1000, piece * 1000), 512 * 1024 * 1024)


@scenario("sse-flood")
async def flood(x: Exchange) -> None:
    await begin(x)
    for number in range(int(x.wish.argument)):
        await x.chunk(event(PARTIAL, preview(x, number % 3)).encode())
    await x.chunk(event(COMPLETED, final(x)).encode())
    await x.end()
