"""Answers with a status that is not 200: refusals, redirects, and errors that come after the work."""

from __future__ import annotations

import base64
import gzip
import json
import time
import urllib.parse
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from tests.faults import pictures
from tests.faults.exchange import USAGE, Exchange, scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Body = bytes | dict[str, Any] | list[Any]


def error(
    message: str = "the request was refused", code: Any = "", kind: str = "comet_api_error", param: str = ""
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Refusal:
    """One fixed answer."""

    status: int
    body: Body = field(default_factory=error)
    headers: Mapping[str, str] = field(default_factory=dict)
    charged: bool = False
    ctype: str = "application/json"


HTML = (
    b"<html><head><title>Error</title></head><body><h1>" + b"Just a moment... " * 60 + b"</h1></body></html>"
)
EVIL_HTML = b"<html><script>window.__pwned=1</script><img src=x onerror=alert(1)>" + HTML
WAF = b"<html><title>Attention Required! | WAF</title>" + HTML
BLOCKED = error(
    "Your request was rejected by the safety system", "moderation_blocked", "image_generation_user_error"
)
BLOCKED["error"]["moderation_details"] = {"moderation_stage": "input", "categories": ["violence"]}
LIMITED = error("slow down", "rate_limit_exceeded", "rate_limit_error")


def html(status: int, body: bytes = HTML, **facts: Any) -> Refusal:
    return Refusal(status, body, ctype="text/html; charset=utf-8", **facts)


def limited(**headers: str) -> Refusal:
    return Refusal(429, LIMITED, {name.replace("_", "-"): value for name, value in headers.items()})


USER_ERROR = "image_generation_user_error"
# Status tables: https://apidoc.cometapi.com/errors/error-codes-handling
REFUSALS: dict[str, Refusal] = {
    "400": Refusal(400, error("size is wrong", "invalid_request", param="size")),
    # What servers say of input pictures.
    "400-image-type": Refusal(
        400, error("Invalid file 'image': unsupported mimetype", "unsupported_file_mimetype", param="image")
    ),
    "400-image-twice": Refusal(
        400, error("Duplicate parameter: 'image'", "duplicate_parameter", param="image")
    ),
    "400-image-text": Refusal(
        400, error("expected a file, but got a string", "invalid_type", param="image[0]")
    ),
    "400-image-broken": Refusal(
        400, error("Invalid image file or mode for image 1", "invalid_image_file", USER_ERROR, "image")
    ),
    "400-mask-alpha": Refusal(
        400, error("mask image missing alpha channel", "invalid_mask_image_format", USER_ERROR, "mask")
    ),
    "422-both": Refusal(422, {"detail": "Cannot specify both image and image[]"}),
    "422-image-required": Refusal(
        422, {"detail": [{"type": "missing", "loc": ["body", "image"], "msg": "image is required"}]}
    ),
    "413-html": Refusal(413, b"<html><h1>413 Request Entity Too Large</h1></html>", ctype="text/html"),
    "400-empty": Refusal(400, b""),
    "400-string-error": Refusal(400, {"error": "the size is wrong"}),
    "400-message-only": Refusal(400, {"message": "the size is wrong", "code": 7}),
    "400-detail": Refusal(400, {"detail": [{"loc": ["body", "size"], "msg": "the size is wrong"}]}),
    "400-numeric-code": Refusal(400, error(code=40013)),
    "400-object-code": Refusal(400, error(code={"a": [1]})),
    "400-null-error": Refusal(400, {"error": None}),
    "400-null-fields": Refusal(400, {"error": {"message": None, "type": None, "param": None, "code": None}}),
    "400-list": Refusal(400, [error()]),
    "400-deep": Refusal(400, b"[" * 100_000),
    "400-bad-utf8": Refusal(400, b'{"error": {"message": "\xff\xfe\x80", "code": "\xc0"}}'),
    "400-gzip-unasked": Refusal(400, gzip.compress(b'{"error": {}}'), {"Content-Encoding": "gzip"}),
    "400-should-retry": Refusal(400, error(), {"x-should-retry": "true"}),
    "400-billing-limit": Refusal(400, error("limit reached", "billing_hard_limit_reached")),
    "content-policy": Refusal(400, BLOCKED),
    "content-policy-worked": Refusal(400, {**BLOCKED, "usage": USAGE}, charged=True),
    "content-policy-old": Refusal(
        400, error("not allowed", "content_policy_violation", "invalid_request_error")
    ),
    "401": Refusal(401, error("Incorrect API key", "invalid_api_key")),
    "401-html": html(401),
    "402": Refusal(402, error("insufficient balance", "insufficient_balance")),
    "403": Refusal(403, error("not for this key", "permission_denied")),
    "403-quota": Refusal(403, error("user quota is not enough", "insufficient_user_quota")),
    "403-waf-html": html(403, WAF),
    "404-html": html(404),
    "404-model": Refusal(404, error("The model does not exist", "model_not_found", param="model")),
    "405": Refusal(405, b"", {"Allow": "GET"}),
    "408": Refusal(408),
    "409": Refusal(409),
    "410": Refusal(410),
    "413": Refusal(413, error("request entity too large")),
    "415": Refusal(415),
    "418": Refusal(418, b"short and stout", ctype="text/plain"),
    "422": Refusal(422, error("size is wrong", "invalid_value", param="size")),
    "425": Refusal(425),
    "429": limited(Retry_After="1"),
    "429-ms": limited(Retry_After_Ms="100"),
    "429-negative": limited(Retry_After="-5"),
    "429-nan": limited(Retry_After="nan"),
    "429-garbage": limited(Retry_After="soon, perhaps"),
    "429-empty-hint": limited(Retry_After=""),
    "429-zero": limited(Retry_After="0"),
    "429-overflow": limited(Retry_After="9" * 400),
    "429-huge": limited(Retry_After="3600"),
    "429-huge-ms": limited(Retry_After_Ms="3600000"),
    "429-bare": limited(),
    "429-no-retry": limited(x_should_retry="false"),
    "429-html": html(429),
    "429-quota": Refusal(429, error("You exceeded your quota", "insufficient_quota", "insufficient_quota")),
    "429-credit": Refusal(429, error("credit is used up", "credit_balance_exhausted", "insufficient_quota")),
    "429-spend": Refusal(429, error("limit of spending", "organization_spend_limit_exceeded")),
    "429-balance": Refusal(429, error("余额不足或无可用资源包,请充值。", "1113")),
    "400-arrearage": Refusal(
        400, {"code": "Arrearage", "message": "Access denied", "request_id": "f9fdb027"}
    ),
    "500-nested-moderation": Refusal(500, error(json.dumps(BLOCKED), "bad_response_status_code")),
    "502-frame": Refusal(
        502, f"event: error\ndata: {json.dumps(BLOCKED)}\n\n".encode(), ctype="text/event-stream"
    ),
    "429-delay-in-body": Refusal(
        429, [error("You exceeded your current quota.") | {"details": [{"retryDelay": "1.2s"}]}]
    ),
    "451": Refusal(451, error("not available in your country", "unavailable")),
    "500": Refusal(500, error("internal error", "internal_error"), charged=True),
    "500-empty": Refusal(500, b"", charged=True),
    "500-binary": Refusal(500, pictures.noise(), charged=True, ctype="application/octet-stream"),
    "500-text": Refusal(500, b"panic: runtime error", charged=True, ctype="text/plain"),
    "500-invalid-request": Refusal(500, error("field messages is required", "invalid_request")),
    "500-user-error": Refusal(
        500,
        error(
            "Transparent background is not supported",
            "invalid_value",
            "image_generation_user_error",
            "background",
        ),
    ),
    "500-should-retry": Refusal(500, error(), {"x-should-retry": "true"}),
    "500-no-retry": Refusal(500, error(), {"x-should-retry": "false"}, charged=True),
    "500-retry-after": Refusal(500, error(), {"Retry-After": "0"}, charged=True),
    "502-html": html(502, EVIL_HTML, charged=True),
    "503": Refusal(503, error("no capacity"), charged=True),
    "503-retry-after": Refusal(503, error("no capacity"), {"Retry-After": "0"}),
    "503-model": Refusal(503, error("no available channel for model x (distributor)", "model_not_found")),
    "504": Refusal(504, error("upstream timed out"), charged=True),
    "520": html(520, charged=True),
    "521": html(521),
    "522": html(522, charged=True),
    "523": html(523),
    "524-html": html(524, charged=True),
    "525": html(525),
    "526": html(526),
    "529": Refusal(529, error("overloaded"), charged=True),
    "529-retry-after": Refusal(529, error("overloaded"), {"Retry-After": "0"}),
    "599": Refusal(599, error(), charged=True),
    "999": html(999, charged=True),
    "202-task": Refusal(202, {"task_id": "task-7351", "status": "queued"}, charged=True),
    "204": Refusal(204, b"", charged=True),
    "206": Refusal(206, b'{"data": [', charged=True),
    "301-html": html(301, headers={"Location": "/login"}),
    "304": Refusal(304, b""),
    "300-choices": html(300),
    "302-without-location": html(302),
    "error-xss": Refusal(400, error("<script>window.__pwned=1</script><img src=x onerror=alert(1)>")),
    "error-ansi": Refusal(
        400, error("\x1b[31mred\x1b[0m \x9b31m \x07 \u202egnp.exe \u200bzero \x00nul", "\x1b[2J")
    ),
    "error-huge": Refusal(400, error("long " * 400_000, "c" * 100_000, param="p" * 100_000)),
    "error-template": Refusal(400, error("{0} {prompt} %s %(key)s ${HOME} {{7*7}} $x^2$ [a](javascript:b)")),
}


def fixed(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        refusal = REFUSALS[name]
        if refusal.charged:
            x.charge()
        body = refusal.body if isinstance(refusal.body, bytes) else json.dumps(refusal.body).encode()
        await x.reply(body, refusal.status, ctype=refusal.ctype, headers=refusal.headers.items())


for _name in REFUSALS:
    fixed(_name)


def dated(name: str, offset: float, skew: float = 0.0) -> None:
    """Retry-After as a date, seen from a server whose clock is wrong by `skew` seconds."""

    @scenario(name)
    async def answer(x: Exchange) -> None:
        now = time.time() + skew
        hints = {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + offset, usegmt=True)}
        await x.reply(LIMITED, 429, headers=hints.items())


dated("429-date", 2)
dated("429-past-date", -3600)
dated("429-skewed-date", 2, skew=86400)


@scenario("flaky")
async def flaky(x: Exchange) -> None:
    """Refuses as often as asked for, then works."""
    if x.counts.posts <= x.wish.argument:
        await x.reply(LIMITED, 429)
    else:
        await x.deliver()


def redirect(name: str, status: int, place: Callable[[Exchange], str]) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        await x.reply(b"", status, headers=[("Location", place(x))])


redirect("redirect-cross-301", 301, lambda x: f"{x.server.cdn_url}/steal")
redirect("redirect-cross-302", 302, lambda x: f"{x.server.cdn_url}/steal")
redirect("redirect-cross-303", 303, lambda x: f"{x.server.cdn_url}/steal")
redirect("redirect-cross-307", 307, lambda x: f"{x.server.cdn_url}/steal")
redirect("redirect-cross-308", 308, lambda x: f"{x.server.cdn_url}/steal")
redirect("redirect-same-308", 308, lambda _: "/v1/images/generations")
redirect("redirect-loop", 307, lambda x: x.head.target)
redirect("redirect-trap", 307, lambda x: x.server.trap_urls["two"])
redirect("redirect-evil-location", 307, lambda _: "http://[::1/\x1b[31m<script>")


@scenario("400-id-in-message")
async def request_id_in_the_message(x: Exchange) -> None:
    """As CometAPI sends it: https://apidoc.cometapi.com/errors/error-codes-handling."""
    body = error(f"model name is required (request id: {x.request_id})")
    await x.reply(body, 400, headers=[("no-request-id", "1")])


@scenario("400-id-in-oneapi-header")
async def request_id_of_the_gateway(x: Exchange) -> None:
    await x.reply(error(), 400, headers=[("no-request-id", "1"), ("X-Oneapi-Request-Id", x.request_id)])


@scenario("header-evil")
async def evil_headers(x: Exchange) -> None:
    evil = "\x1b[31m<script>window.__pwned=1</script>\x9b2J" + "i" * 5000
    await x.reply(error(), 400, headers=[("X-Request-Id", evil), ("Server", evil)])


def forms_of(key: str) -> list[str]:
    """Ways in which a server may repeat a key."""
    both = f"Bearer {key}"
    return [
        key,
        both,
        key.upper(),
        key.swapcase(),
        urllib.parse.quote(both, safe=""),
        base64.b64encode(key.encode()).decode(),
        base64.b64encode(both.encode()).decode(),
        base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
        key[:-6],
    ]


@scenario("error-echo-key")
async def echo_the_key(x: Exchange) -> None:
    await x.reply(error("Incorrect API key provided: " + " | ".join(forms_of(x.bearer)), x.bearer), 401)


@scenario("error-echo-key-at-the-limit")
async def echo_the_key_where_a_message_is_cut(x: Exchange) -> None:
    text = " ".join(f"{'.' * pad}{x.bearer}" for pad in (450, 10, 10, 10))
    await x.reply(error(text, param=x.bearer), 401)


@scenario("header-echo-key")
async def echo_the_key_in_headers(x: Exchange) -> None:
    fields = [
        ("X-Request-Id", x.bearer),
        ("WWW-Authenticate", f"Bearer {x.bearer}"),
        ("Set-Cookie", f"k={x.bearer}"),
    ]
    await x.reply(error("no"), 401, headers=fields)


@scenario("400-cut")
async def refusal_cut(x: Exchange) -> None:
    await x.send(
        x.headers(400, [("Content-Type", "application/json"), ("Content-Length", "500")]) + b'{"error": {'
    )
    x.close()


@scenario("400-drip")
async def refusal_drip(x: Exchange) -> None:
    await x.send(x.headers(400, [("Content-Type", "application/json"), ("Content-Length", "50000")]))
    await x.drip(b'{"error": {"message": "')


@scenario("400-endless")
async def refusal_without_end(x: Exchange) -> None:
    await x.chunked(400)
    await x.pour(b"10000\r\n" + b"a" * 65536 + b"\r\n", 512 * 1024 * 1024)


@scenario("500-cut")
async def server_error_cut(x: Exchange) -> None:
    x.charge()
    await x.send(x.headers(500, [("Content-Length", "500")]) + b'{"error": {')
    x.close()
