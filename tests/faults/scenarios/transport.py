"""Faults between the two sockets, and legal oddities that look like faults."""

from __future__ import annotations

import asyncio
import json

from tests.faults import pictures
from tests.faults.exchange import Exchange, scenario

MEBI = 1024 * 1024


@scenario("normal")
async def normal(x: Exchange) -> None:
    """A good answer in the form that was asked for."""
    if x.streamed:
        from tests.faults.scenarios.stream import honest

        await honest(x)
    elif x.body.get("response_format") == "url":
        await x.deliver([{"url": x.url(index, name="url-ok")} for index in range(x.n)])
    else:
        await x.deliver()


@scenario("close-no-response")
async def close_without_a_byte(x: Exchange) -> None:
    x.charge()
    x.close()


@scenario("rst-after-request")
async def reset_without_a_byte(x: Exchange) -> None:
    x.charge()
    x.reset()


@scenario("hang")
async def hang(x: Exchange) -> None:
    x.charge()
    await x.hold()


@scenario("slow-ok")
async def slow(x: Exchange) -> None:
    await asyncio.sleep(x.wish.argument)
    await x.deliver()


@scenario("slow-headers")
async def slow_headers(x: Exchange) -> None:
    x.charge()
    await x.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000)


@scenario("drip-body")
async def drip_body(x: Exchange) -> None:
    x.charge()
    await x.send(x.headers(200, [("Content-Type", "application/json"), ("Content-Length", "50000")]))
    await x.drip(json.dumps(x.envelope()).encode())


@scenario("truncated-body")
async def truncated_body(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    await x.send(x.headers(200, [("Content-Length", str(len(body)))]) + body[:-100])
    x.close()


@scenario("truncated-chunked")
async def truncated_chunked(x: Exchange) -> None:
    x.charge()
    await x.chunked()
    await x.chunk(json.dumps(x.envelope()).encode()[:200])
    x.close()


@scenario("rst-mid-body")
async def reset_within_the_body(x: Exchange) -> None:
    x.charge()
    await x.send(x.headers(200, [("Content-Length", "90000")]) + b'{"data": [')
    await asyncio.sleep(0.05)
    x.reset()


@scenario("headers-cut")
async def headers_cut(x: Exchange) -> None:
    x.charge()
    await x.send(b"HTTP/1.1 200 OK\r\nContent-Type: applic")
    x.close()


@scenario("status-line-cut")
async def status_line_cut(x: Exchange) -> None:
    x.charge()
    await x.send(b"HTTP/1.1 2")
    x.close()


@scenario("continue-then-close")
async def continue_then_close(x: Exchange) -> None:
    x.charge()
    await x.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    x.close()


@scenario("http10-truncated")
async def close_delimited_and_cut(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    await x.send(x.headers(200, [("Content-Type", "application/json")], version="HTTP/1.0") + body[:-60])
    x.close()


@scenario("cl-too-short")
async def length_too_short(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    await x.send(x.headers(200, [("Content-Length", str(len(body) - 60))]) + body)
    x.close()


@scenario("http10-close")
async def close_delimited(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    await x.send(x.headers(200, [("Content-Type", "application/json")], version="HTTP/1.0") + body)
    x.close()
    x.counts.delivered += 1


@scenario("early-hints")
async def early_hints(x: Exchange) -> None:
    for status in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
        await x.send(b"HTTP/1.1 " + status + b"\r\nLink: </a.css>\r\n\r\n")
    await x.deliver()


@scenario("endless-continue")
async def endless_continue(x: Exchange) -> None:
    x.charge()
    await x.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, piece=25)


@scenario("sliced")
async def sliced(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    whole = x.headers(200, [("Content-Length", str(len(body)))]) + body
    for at in range(0, len(whole), 3):
        await x.send(whole[at : at + 3])
        await asyncio.sleep(0)
    x.counts.delivered += 1


@scenario("slow-close")
async def slow_close(x: Exchange) -> None:
    await x.deliver()
    await x.hold(5)


@scenario("rst-after-answer")
async def reset_after_the_answer(x: Exchange) -> None:
    await x.deliver()
    await asyncio.sleep(0.05)
    x.reset()


@scenario("half-close")
async def half_close(x: Exchange) -> None:
    await x.deliver()
    x.writer.write_eof()
    await x.hold(5)


@scenario("chunked-ok")
async def chunked_with_trailers(x: Exchange) -> None:
    x.charge()
    await x.chunked()
    body = json.dumps(x.envelope()).encode()
    for at in range(0, len(body), 100):
        await x.chunk(body[at : at + 100])
    await x.send(b"0\r\nX-Trailer: 1\r\n\r\n")
    x.counts.delivered += 1


@scenario("keepalive-drop")
async def drop_the_idle_connection(x: Exchange) -> None:
    x.charge()
    body = json.dumps(x.envelope()).encode()
    fields = [("Connection", "keep-alive"), ("Content-Length", str(len(body)))]
    await x.send(x.headers(200, fields) + body)
    x.counts.delivered += 1
    x.close()


@scenario("desync")
async def answer_twice(x: Exchange) -> None:
    """A second, unasked answer follows on the same connection, with the picture of a ghost."""
    x.charge()
    for item in (x.item(), x.item(pictures.picture("ghost"))):
        body = json.dumps(x.envelope([item])).encode()
        fields = [("Connection", "keep-alive"), ("Content-Length", str(len(body)))]
        await x.send(x.headers(200, fields) + body)
    x.counts.delivered += 1
    await x.hold(0.2)


@scenario("garbage")
async def garbage(x: Exchange) -> None:
    x.charge()
    await x.send(b"\x16\x03\x01\x02\x00 this is not HTTP \xff\xfe\r\n\r\n" * 5)
    x.close()


RAW = {
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http09": b'{"data": []}',
    "http3-version": b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "header-without-colon": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n{}",
    "header-nul": b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "wordy-length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 200\r\n\r\n{}",
    "switching-protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


def raw(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        x.charge()
        await x.send(RAW[name])
        x.close()


for _name in RAW:
    raw(_name)


@scenario("length-and-chunks")
async def length_and_chunks(x: Exchange) -> None:
    """Two statements about where the body ends: one of them is a smuggler's."""
    x.charge()
    await x.send(x.headers(200, [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]))
    await x.chunk(json.dumps(x.envelope()).encode())
    await x.end()
    x.close()


@scenario("bad-chunk-size")
async def bad_chunk_size(x: Exchange) -> None:
    x.charge()
    await x.chunked()
    await x.send(b"ZZZ\r\nnot a chunk\r\n")
    x.close()


@scenario("endless-headers")
async def endless_headers(x: Exchange) -> None:
    x.charge()
    await x.send(b"HTTP/1.1 200 OK\r\n")
    await x.pour((b"X-Endless: " + b"a" * 1000 + b"\r\n") * 64, 256 * MEBI)


@scenario("endless-chunked")
async def endless_chunked(x: Exchange) -> None:
    x.charge()
    await x.chunked()
    await x.pour(b"10000\r\n" + b" " * 65536 + b"\r\n", 512 * MEBI)


@scenario("json-huge")
async def huge_json(x: Exchange) -> None:
    """A body of as many MiB as asked for, announced honestly."""
    x.charge()
    total = int(x.wish.argument) * MEBI
    await x.send(x.headers(200, [("Content-Type", "application/json"), ("Content-Length", str(total))]))
    await x.send(b'{"data": [{"b64_json": "')
    await x.pour(b"A" * 65536, total)


@scenario("cl-huge")
async def huge_length(x: Exchange) -> None:
    x.charge()
    await x.send(
        x.headers(200, [("Content-Type", "application/json"), ("Content-Length", str(10**15))]) + b"{"
    )
    await x.hold()
