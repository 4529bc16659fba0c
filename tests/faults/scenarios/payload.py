"""Whole answers with status 200 whose JSON is wrong, odd, huge or compressed."""

from __future__ import annotations

import asyncio
import base64
import codecs
import functools
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

from tests.faults import pictures
from tests.faults.exchange import Exchange, scenario
from tests.faults.scenarios.status import error, forms_of

MEBI = 1024 * 1024
Maker = Callable[[Exchange], Any]


def text(x: Exchange, **facts: Any) -> str:
    return json.dumps(x.envelope(**facts))


def with_facts(**facts: Any) -> Maker:
    return lambda x: x.envelope(**facts)


def with_data(value: object) -> Maker:
    """The usual answer, whose `data` is this."""
    return lambda x: {**x.envelope(), "data": value}


def escaped(part: str) -> str:
    """JSON in which what is special in base64 is spelled by its number, as .NET writes it."""
    return part.replace("+", "\\u002B").replace("/", "\\u002f").replace("=", "\\u003d")


def with_b64(change: Callable[[str], object]) -> Maker:
    """The usual answer, with its base64 changed."""
    return lambda x: x.envelope([{"b64_json": change(x.item()["b64_json"])}])


@functools.cache
def large_answer(count: int) -> bytes:
    """An answer with so many pictures of 27 MB each."""
    item = b'{"b64_json": "' + base64.b64encode(pictures.large()) + b'"}'
    return b'{"created": 1781075000, "data": [' + b", ".join([item] * count) + b"]}"


# Bodies are sent as they are when they are bytes, else as JSON.
BODIES: dict[str, Maker] = {
    "html-200": lambda _: pictures.HTML,
    "html-echo-key": lambda x: b"<html>your key is " + " ".join(forms_of(x.bearer)).encode() + b"</html>",
    "json-echo-key": lambda x: {"message": f"hello {x.bearer}", x.bearer: [x.bearer], "data": x.bearer},
    "empty-200": lambda _: b"",
    "blank-200": lambda _: b" \r\n\t ",
    "json-truncated": lambda x: text(x)[:-40].encode(),
    "json-null": lambda _: b"null",
    "json-array": lambda x: json.dumps([x.envelope()]).encode(),
    "json-string": lambda _: b'"ok"',
    "json-number": lambda _: b"42",
    "json-true": lambda _: b"true",
    "json-trailing": lambda x: text(x).encode() + b"} garbage",
    "json-nan": lambda x: text(x, created=float("nan"), odd=[float("inf"), float("-inf")]).encode(),
    "json-dup-keys": lambda x: (
        b'{"data": [{"b64_json": "AAAA"}], "data": [' + json.dumps(x.item()).encode() + b"]}"
    ),
    "json-bom": lambda x: codecs.BOM_UTF8 + text(x).encode(),
    "json-utf16": lambda x: text(x).encode("utf-16"),
    "json-bad-utf8": lambda x: text(x, note="@@").encode().replace(b"@@", b"\xff\xc0\x80"),
    "json-own-mark": lambda _: '{"data": [{"b64\\u005fjson": "picture:²"}]}'.encode(),
    "json-surrogate": lambda x: text(x, note="\ud800 alone").encode(),
    "json-deep": lambda _: b"[" * 200_000,
    "json-deep-objects": lambda _: b'{"a":' * 200_000,
    "json-deep-extra": lambda x: text(x, odd=0)[:-2].encode() + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "json-huge-int": lambda x: text(x)[:-1].encode() + b', "odd": ' + b"9" * 50_000 + b"}",
    "json-huge-created": lambda x: text(x).replace("1781075000", "9" * 4000).encode(),
    "json-huge-float": lambda x: text(x).replace("1781075000", "1e999999").encode(),
    "json-single-quotes": lambda _: b"{'data': []}",
    "json-comments": lambda x: b"/* hello */ " + text(x).encode(),
    "json-lines": lambda x: b'{"progress": 1}\n' + text(x).encode(),
    "error-in-200": lambda _: error("upstream failed", "upstream_error"),
    "error-string-in-200": lambda _: {"error": "upstream failed"},
    "error-policy-in-200": lambda _: error("rejected by the safety system", "moderation_blocked"),
    "error-null-in-200": with_facts(error=None),
    "error-beside-data": lambda x: {**x.envelope(), **error("a warning only")},
    "data-missing": lambda _: {"created": 1781075000},
    "data-empty": with_data([]),
    "data-null": with_data(None),
    "data-string": with_data("pictures"),
    "data-number": with_data(7),
    "data-object": lambda x: {**x.envelope(), "data": x.item()},
    "data-item-null": with_data([None]),
    "data-item-string": with_data(["picture"]),
    "data-item-list": with_data([["picture"]]),
    "data-item-empty": with_data([{}]),
    "data-item-nulls": with_data([{"url": None, "b64_json": None, "revised_prompt": None}]),
    "data-item-blanks": with_data([{"url": "", "b64_json": "", "revised_prompt": ""}]),
    "data-b64-number": with_data([{"b64_json": 5}]),
    "data-b64-list": with_data([{"b64_json": ["aGk="]}]),
    "data-url-number": with_data([{"url": 5}]),
    "data-flood": lambda _: b'{"data": [' + b"{}, " * 4_000_000 + b"{}]}",
    "data-fewer": lambda x: x.envelope([x.item()]),
    "uri-in-url": lambda x: x.envelope([{"url": "data:image/png;base64," + x.item()["b64_json"]}]),
    "picture-as-body": lambda x: x.picture(),
    "images-member": lambda x: {"images": [{"url": x.item()["b64_json"]}], "timings": {}},
    "one-refused": lambda x: x.envelope([x.item(), error("may contain sensitive information", "x")]),
    "only-refused": lambda x: x.envelope([error("may contain sensitive information", "x")], usage={"a": 0}),
    "task": lambda _: {"code": 200, "data": [{"status": "submitted", "task_id": "task-7351"}]},
    "data-more": lambda x: x.envelope([x.item(index=index) for index in range(x.n + 2)]),
    "data-both": lambda x: x.envelope([x.item(url=x.url(name="url-ok"))]),
    "one-bad-image": lambda x: x.envelope([x.item(), x.item(pictures.noise())]),
    "one-null-item": lambda x: x.envelope([x.item(), None]),
    "all-bad-images": lambda x: x.envelope([x.item(pictures.noise()) for _ in range(x.n)]),
    "truncated-b64": with_b64(lambda good: good[: len(good) // 2 // 4 * 4]),
    "b64-bad-chars": with_b64(lambda good: good[:40] + "!@~é" + good[40:]),
    "b64-odd-length": with_b64(lambda good: good.rstrip("=")[:41]),
    "b64-only-padding": with_b64(lambda _: "===="),
    "b64-of-nothing": with_b64(lambda _: "data:image/png;base64,"),
    "b64-dataurl": with_b64(lambda good: "data:image/png;base64," + good),
    "b64-whitespace": with_b64(
        lambda good: "\r\n".join(good[at : at + 76] for at in range(0, len(good), 76))
    ),
    "b64-escaped": lambda x: escaped(text(x)).encode(),
    "b64-html": with_b64(lambda _: pictures.HTML.decode()),
    "empty-strings": lambda x: x.envelope([x.item(url="", revised_prompt="")]),
    "extra-fields": lambda x: {
        **x.envelope([x.item(seed=7, size="9", odd={"a": [1]})]),
        "svg_usage": {},
        "id": "x",
    },
    "bare-data": lambda x: {"data": [x.item()]},
    "usage-null": with_facts(usage=None),
    "usage-null-members": with_facts(
        usage={"input_tokens": None, "output_tokens": None, "total_tokens": None}
    ),
    "usage-odd": with_facts(usage=["a", 1]),
    "usage-negative": with_facts(usage={"input_tokens": -5, "output_tokens": 10**30, "total_tokens": "many"}),
    "usage-chat-style": with_facts(
        usage={"prompt_tokens": 13, "completion_tokens": 196, "total_tokens": 209}
    ),
    "created-odd": with_facts(created="yesterday", size=[1], quality={"a": 1}, background=7),
    "image-27mb": lambda x: large_answer(x.n),
}
CHARGED_BUT_NOT_DELIVERED = (
    "html",
    "json-",
    "error",
    "data-",
    "one-",
    "all-",
    "b64-bad",
    "b64-o",
    "b64-html",
)


def answered(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        x.charge()
        body = await asyncio.to_thread(BODIES[name], x)
        await x.reply(body, ctype="text/html" if name.startswith("html") else "application/json")
        x.counts.delivered += not name.startswith(CHARGED_BUT_NOT_DELIVERED)


for _name in BODIES:
    answered(_name)


def labelled(name: str, ctype: str | None) -> None:
    """A good answer under a wrong or missing label."""

    @scenario(name)
    async def answer(x: Exchange) -> None:
        x.charge()
        await x.reply(x.envelope(), ctype=ctype)
        x.counts.delivered += 1


labelled("plain-ctype", "text/plain; charset=iso-8859-1")
labelled("no-ctype", None)
labelled("stream-ctype", "text/event-stream")
labelled("html-ctype", "text/html")
labelled("odd-ctype", ";;; =?utf-7?Q?x?=")
labelled("problem-ctype", "application/problem+json; charset=klingon")


@functools.cache
def zeros(size: int, layers: int = 1) -> bytes:
    """So many zero bytes, packed: once they open to all of them."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    piece = bytes(MEBI)
    data = b"".join(packer.compress(piece) for _ in range(size // MEBI)) + packer.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


def encoded(name: str, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """A good answer packed although the client did not ask for that."""

    @scenario(name)
    async def answer(x: Exchange) -> None:
        x.charge()
        body = await asyncio.to_thread(pack, text(x).encode())
        await x.reply(body, headers=[("Content-Encoding", encoding)])


encoded("gzip-unasked", "gzip", gzip.compress)
encoded("deflate-unasked", "deflate", zlib.compress)
encoded("br-unasked", "br", lambda _: pictures.noise())
encoded("zstd-unasked", "zstd", lambda _: pictures.noise())
encoded("odd-encoding", "rot13", lambda body: body)
encoded("gzip-tail", "gzip", lambda body: gzip.compress(body) + bytes(60 * MEBI))
encoded("gzip-corrupt", "gzip", lambda body: gzip.compress(body)[:60] + b"\0" * 20)
encoded("gzip-bomb", "gzip", lambda _: zeros(256 * MEBI))
encoded("gzip-nested", "gzip, gzip", lambda _: zeros(512 * MEBI, layers=2))
encoded("identity-named", "identity", lambda body: body)


@scenario("gzip-ok")
async def gzip_where_asked_for(x: Exchange) -> None:
    if "gzip" in x.head.headers.get("accept-encoding", ""):
        x.charge()
        await x.reply(gzip.compress(text(x).encode()), headers=[("Content-Encoding", "gzip")])
    else:
        await x.deliver()


@scenario("cut-behind-picture")
async def cut_behind_a_picture(x: Exchange) -> None:
    """The connection breaks within the second picture."""
    x.charge()
    body = text(x).encode()
    await x.send(x.headers(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]))
    second = body.index(b"b64_json", body.index(b"b64_json") + 1)
    await x.send(body[: second + 200])
    await asyncio.sleep(0.05)
    x.close()


@scenario("b64-huge-junk")
async def megabytes_of_bad_base64(x: Exchange) -> None:
    x.charge()
    await x.reply({"data": [{"b64_json": base64.b64encode(bytes(8 * MEBI)).decode() + "*"}]})
