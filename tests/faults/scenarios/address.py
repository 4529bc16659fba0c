"""Answers that hold addresses: which address, and what the picture host does when asked."""

from __future__ import annotations

import asyncio
import gzip
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from tests.faults import pictures
from tests.faults.exchange import Exchange, download, scenario
from tests.faults.scenarios.payload import MEBI, zeros

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNED = "?X-Signature=SECRETSIG&Expires=99"
PNG = "image/png"


def traps(x: Exchange) -> dict[str, str]:
    return {"two": "", "three": "", "local": "", "six": ""} | x.server.trap_urls


def port(x: Exchange, name: str = "local") -> str:
    return traps(x)[name].rsplit(":", 1)[-1]


# Addresses that must not be fetched.
UNSAFE: dict[str, Callable[[Exchange], str]] = {
    "url-file": lambda _: "file:///etc/passwd",
    "url-ftp": lambda x: f"ftp://127.0.0.1:{port(x)}/0.png",
    "url-gopher": lambda x: f"gopher://127.0.0.1:{port(x)}/_GET%20/",
    "url-javascript": lambda _: "javascript:alert(1)",
    "url-data": lambda _: "data:image/png;base64,AAAA",
    "url-scheme-relative": lambda x: f"//127.0.0.1:{port(x)}/0.png",
    "url-empty-host": lambda _: "http:///0.png",
    "url-no-slashes": lambda x: f"http:127.0.0.1:{port(x)}/0.png",
    "url-bad-port": lambda _: "http://127.0.0.1:99999/0.png",
    "url-wordy-port": lambda _: "http://127.0.0.1:http/0.png",
    "url-negative-port": lambda _: "http://127.0.0.1:-80/0.png",
    "url-metadata": lambda _: "http://169.254.169.254/latest/meta-data/",
    "url-metadata-name": lambda _: "http://metadata.google.internal/computeMetadata/v1/",
    "url-private": lambda _: "http://10.0.0.1/0.png",
    "url-link-local": lambda _: "http://[fe80::1]/0.png",
    "url-cgnat": lambda _: "https://100.64.0.1/0.png",
    "url-multicast": lambda _: "https://224.0.0.1/0.png",
    "url-nat64": lambda _: "https://[64:ff9b::7f00:1]/0.png",
    "url-6to4": lambda _: "https://[2002:7f00:1::]/0.png",
    "url-mapped": lambda x: f"http://[::ffff:127.0.0.1]:{port(x)}/0.png",
    "url-trap-two": lambda x: traps(x)["two"] + "/0.png",
    "url-trap-three": lambda x: traps(x)["three"] + "/0.png",
    "url-trap-six": lambda x: (traps(x)["six"] or "http://[::1]:9") + "/0.png",
    "url-trap-decimal": lambda x: f"http://2130706433:{port(x)}/0.png",
    "url-trap-octal": lambda x: f"http://0177.0.0.1:{port(x)}/0.png",
    "url-trap-hex": lambda x: f"http://0x7f.0.0.1:{port(x)}/0.png",
    "url-trap-short": lambda x: f"http://127.1:{port(x)}/0.png",
    "url-trap-zero": lambda x: f"http://0.0.0.0:{port(x)}/0.png",
    "url-localhost-trap": lambda x: f"http://localhost:{port(x)}/0.png",
    "url-localhost-dot-trap": lambda x: f"http://localhost.:{port(x)}/0.png",
    "url-userinfo": lambda x: f"http://user:pass@127.0.0.1:{port(x)}/0.png",
    "url-userinfo-trick": lambda x: f"http://127.0.0.1:{port(x)}@127.0.0.2:{port(x, 'two')}/0.png",
    "url-backslash": lambda x: f"http://127.0.0.1:{port(x)}\\@127.0.0.2:{port(x, 'two')}/0.png",
    "url-crlf": lambda x: x.url() + " HTTP/1.1\r\nX-Injected: 1\r\nX-Rest: ",
    "url-nul": lambda x: x.url() + "\x00.png",
    "url-surrogate": lambda x: x.url() + "\ud800.png",
    "url-tab-in-host": lambda x: f"http://127.0.\t0.2:{port(x, 'two')}/0.png",
    "url-unicode": lambda x: f"http://①②⑦.⓪.⓪.②:{port(x, 'two')}/0.png",
    "url-ideographic-dots": lambda x: f"http://127。0。0。2:{port(x, 'two')}/0.png",
    "url-fraction-slash": lambda x: f"http://127.0.0.1:{port(x)}／@127.0.0.2/0.png",
    "url-huge": lambda x: x.url() + "?" + "a" * 200_000,
    "url-zone": lambda x: f"http://[fe80::1%25lo]:{port(x)}/0.png",
    "url-percent-host": lambda x: f"http://%31%32%37.0.0.2:{port(x, 'two')}/0.png",
}


def answered_with(name: str, place: Callable[[Exchange], str]) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        await x.deliver([{"url": place(x), "b64_json": "", "revised_prompt": ""}])


for _name, _place in UNSAFE.items():
    answered_with(_name, _place)
answered_with("url-tls-selfsigned", lambda x: x.server.tls_url.removesuffix("/v1") + "/0.png")
answered_with("url-signed", lambda x: x.url(name="url-ok", query=SIGNED))
answered_with("url-signed-404", lambda x: x.url(name="url-404", query=SIGNED))
answered_with("url-signed-redirect", lambda x: x.url(query=SIGNED))
answered_with("url-space", lambda x: " " + x.url(name="url-ok", query="?name=my boat.png") + " ")
answered_with("url-long", lambda x: x.url(name="url-ok", query="?" + "a" * 50_000))
answered_with("url-dead", lambda x: x.server.dead_url.removesuffix("/v1") + "/0.png")
answered_with("url-name", lambda x: f"http://rebind.test:{port(x)}/0.png")
answered_with(
    "url-elsewhere",
    lambda x: x.url(host=x.server.cdn_url.replace("127.0.0.1", "pictures.test"), name="url-ok"),
)
answered_with("url-six", lambda x: x.url(host=x.server.six_url, name="url-ok"))
answered_with("url-given", lambda x: x.body.get("address", "https://10.0.0.1/0.png"))
answered_with("url-secure", lambda x: x.url(host=x.server.secure_cdn_url, name="url-ok"))
answered_with("url-relative", lambda x: x.url(name="url-ok").removeprefix(x.server.cdn_url))
answered_with("url-fragment", lambda x: x.url(name="url-ok") + "#fragment")
answered_with("url-amp", lambda x: x.url(query="?a=1&b=%2F%20%25&c=a%2Bb&d=1;2"))


@scenario("url-one-gone")
async def one_of_two_is_gone(x: Exchange) -> None:
    await x.deliver([{"url": x.url(name="url-ok")}, {"url": x.url(1, name="url-410")}])


@scenario("url-one-trap")
async def one_of_two_is_a_trap(x: Exchange) -> None:
    await x.deliver([{"url": x.url(name="url-ok")}, {"url": traps(x)["two"] + "/0.png"}])


def hosted(*names: str) -> Callable[[Callable[[Exchange], object]], Callable[[Exchange], object]]:
    """A scenario whose pictures are at the picture host, and how that answers."""

    def register(handler: Callable[[Exchange], object]) -> Callable[[Exchange], object]:
        download(*names)(handler)  # type: ignore[arg-type]  # the handlers below are coroutines
        for name in names:
            if name not in ("url-signed-redirect", "url-amp"):

                @scenario(name)
                async def answer(x: Exchange) -> None:
                    await x.deliver([{"url": x.url(index)} for index in range(x.n)])

        return handler

    return register


async def serve(x: Exchange, data: bytes | None = None, ctype: str = PNG, **more: str) -> None:
    index = int(x.head.target.split("?")[0].rsplit("/", 1)[-1].removesuffix(".png") or 0)
    headers = [(name.replace("_", "-"), value) for name, value in more.items()]
    await x.reply(x.picture(index) if data is None else data, ctype=ctype, headers=headers)


@hosted("url-ok")
async def good(x: Exchange) -> None:
    await serve(x)


@hosted("url-amp")
async def exact_query(x: Exchange) -> None:
    """A signature breaks when a query is written anew."""
    wanted = "?a=1&b=%2F%20%25&c=a%2Bb&d=1;2"
    await (serve(x) if x.head.target.endswith(wanted) else x.reply(b"", 403))


@hosted("url-cookie")
async def cookie(x: Exchange) -> None:
    await serve(x, Set_Cookie="session=stolen; Path=/", WWW_Authenticate="Basic realm=x")


@hosted("url-jpeg")
async def jpeg(x: Exchange) -> None:
    await serve(x, x.picture(kind="jpeg"), "image/png")


@hosted("url-wrong-ctype")
async def wrong_label(x: Exchange) -> None:
    await serve(x, ctype="text/plain")


@hosted("url-octets")
async def no_label(x: Exchange) -> None:
    await serve(x, ctype="application/octet-stream")


@hosted("url-html")
async def page(x: Exchange) -> None:
    await serve(x, pictures.HTML, "text/html")


@hosted("url-svg")
async def drawing(x: Exchange) -> None:
    await serve(x, pictures.SVG, "image/svg+xml")


@hosted("url-bomb")
async def bomb(x: Exchange) -> None:
    await serve(x, await asyncio.to_thread(pictures.blank, 25_000, 25_000))


@hosted("url-empty")
async def nothing(x: Exchange) -> None:
    await serve(x, b"")


@hosted("url-odd-encoding")
async def odd_encoding(x: Exchange) -> None:
    """What object stores leave in this header."""
    await serve(x, Content_Encoding="UTF-8")


@hosted("url-negotiated")
async def negotiated(x: Exchange) -> None:
    """Another kind for whoever takes any."""
    avif = b"\0\0\0 ftypavif\0\0\0\0avifmif1" + bytes(40)
    await serve(x, avif if "*" in x.head.headers.get("accept", "") else None)


@hosted("url-avif")
async def other_kind(x: Exchange) -> None:
    await serve(x, b"\0\0\0 ftypavif\0\0\0\0avifmif1" + bytes(40))


@hosted("url-disposition")
async def named(x: Exchange) -> None:
    await serve(
        x, Content_Disposition="attachment; filename=\"/tmp/pwned.png\"; filename*=UTF-8''..%2Fpwned.png"
    )


@hosted("url-chunked")
async def in_chunks(x: Exchange) -> None:
    await x.chunked(ctype=PNG)
    data = x.picture()
    for at in range(0, len(data), 50):
        await x.chunk(data[at : at + 50])
    await x.end()


@hosted("url-206")
async def partial_content(x: Exchange) -> None:
    await x.reply(x.picture()[:60], 206, ctype=PNG, headers=[("Content-Range", "bytes 0-59/999")])


def always(status: int) -> None:
    @hosted(f"url-{status}")
    async def answer(x: Exchange) -> None:
        await x.reply(b"<Error><Code>Refused</Code></Error>", status, ctype="application/xml")


for _status in (204, 304, 400, 401, 403, 404, 410, 429, 451, 500, 503):
    always(_status)


@hosted("url-403-expired")
async def expired(x: Exchange) -> None:
    await x.reply(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", 403)


def first_fails(kind: str, fail: Callable[[Exchange], object]) -> None:
    @hosted(f"url-{kind}-then-ok")
    async def answer(x: Exchange) -> None:
        await (fail(x) if x.counts.gets <= max(1, x.wish.argument) else serve(x))  # type: ignore[misc]


async def cut(x: Exchange) -> None:
    """Half of the picture; a range is honoured when the client asks for one."""
    data = x.picture()
    await x.send(x.headers(200, [("Content-Type", PNG), ("Content-Length", str(len(data)))]) + data[:100])
    x.close()


async def reset_at_once(x: Exchange) -> None:
    x.reset()


async def close_at_once(x: Exchange) -> None:
    x.close()


first_fails("500", lambda x: x.reply(b"", 500))
first_fails("502", lambda x: x.reply(b"", 502))
first_fails("empty", lambda x: serve(x, b""))
first_fails("404", lambda x: x.reply(b"", 404))
first_fails("429", lambda x: x.reply(b"", 429, headers=[("Retry-After", "0")]))
first_fails(
    "503", lambda x: x.reply(b"", 503, headers=[("Retry-After", formatdate(time.time() - 9, usegmt=True))])
)
first_fails("reset", reset_at_once)
first_fails("close", close_at_once)
first_fails("truncated", cut)


@hosted("url-range-ignored")
async def range_ignored(x: Exchange) -> None:
    """The first answer is cut; a resumed one begins from the start all the same."""
    if x.counts.gets == 1:
        await cut(x)
    else:
        await serve(x, Accept_Ranges="bytes")


@hosted("url-range-wrong")
async def range_wrong(x: Exchange) -> None:
    """The first answer is cut; a resumed one is of another place, under the right label."""
    data = x.picture()
    if x.counts.gets == 1:
        await cut(x)
    elif "range" in x.head.headers:
        label = f"bytes 100-{len(data) - 1}/{len(data)}"
        await x.reply(data[50:-50], 206, ctype=PNG, headers=[("Content-Range", label)])
    else:
        await serve(x)


@hosted("url-truncated")
async def always_cut(x: Exchange) -> None:
    await cut(x)


@hosted("url-endless")
async def endless(x: Exchange) -> None:
    await x.chunked(ctype=PNG)
    await x.pour(b"10000\r\n" + bytes(65536) + b"\r\n", 512 * MEBI)


@hosted("url-cl-huge")
async def huge(x: Exchange) -> None:
    await x.send(x.headers(200, [("Content-Type", PNG), ("Content-Length", str(10**15))]) + x.picture())
    await x.hold()


@hosted("url-gzip-bomb")
async def packed_bomb(x: Exchange) -> None:
    await serve(x, await asyncio.to_thread(zeros, 256 * MEBI), Content_Encoding="gzip")


@hosted("url-gzip-unasked")
async def packed(x: Exchange) -> None:
    await serve(x, gzip.compress(x.picture()), Content_Encoding="gzip")


@hosted("url-drip")
async def drip(x: Exchange) -> None:
    await x.send(x.headers(200, [("Content-Type", PNG), ("Content-Length", "50000")]))
    await x.drip(x.picture())


@hosted("url-hang")
async def hang(x: Exchange) -> None:
    await x.hold()


@hosted("url-slow-ok")
async def slow(x: Exchange) -> None:
    await asyncio.sleep(x.wish.argument)
    await serve(x)


@hosted("url-garbage")
async def garbage(x: Exchange) -> None:
    await x.send(b"not HTTP at all\r\n\r\n")
    x.close()


def moved(name: str, place: Callable[[Exchange], str | None], status: int = 302) -> None:
    @hosted(name)
    async def answer(x: Exchange) -> None:
        where = place(x)
        await x.reply(b"", status, headers=[("Location", where)] if where is not None else [])


moved("url-redirect-ok", lambda x: x.url(name="url-ok"))
moved("url-redirect-relative", lambda x: f"../url-ok/0.png?{x.token}", 307)
moved("url-redirect-303", lambda x: x.url(name="url-ok"), 303)
moved("url-signed-redirect", lambda x: x.url(name="url-ok", query=SIGNED))
moved("url-redirect-trap", lambda x: traps(x)["two"] + "/0.png")
moved("url-redirect-localhost", lambda x: f"http://localhost:{port(x)}/0.png")
moved("url-redirect-metadata", lambda _: "http://169.254.169.254/latest/meta-data/", 301)
moved("url-redirect-file", lambda _: "file:///etc/passwd")
moved("url-redirect-userinfo", lambda x: x.url(name="url-ok").replace("://", "://u:p@"))
moved("url-redirect-nowhere", lambda _: None)
moved("url-redirect-empty", lambda _: "")
moved("url-redirect-garbage", lambda _: "http://[::1")
moved("url-redirect-loop", lambda x: x.head.target, 308)
moved("url-redirect-many", lambda x: f"{x.head.target}?{x.counts.gets}")
moved("url-redirect-tls", lambda x: x.server.tls_url.removesuffix("/v1") + "/0.png")
