"""Every route of the sandbox as a function from a request to a response: no socket, no clock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..catalog import MODELS
from ..money import MILLION
from . import edits, generation, signed_urls
from .error_replies import GATEWAY, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from ..catalog import Model

GENERATIONS = "/v1/images/generations"
MODEL = "/v1/models/"  # and its id
EDITS = "/v1/images/edits"
METHODS = {
    GENERATIONS: "POST",
    EDITS: "POST",
    "/v1/models": "GET",
    MODEL: "GET",
    "/api/models": "GET",
    "/v1/dashboard/billing/subscription": "GET",
    "/v1/dashboard/billing/usage": "GET",
    signed_urls.FOLDER: "GET",
    edits.PAINTINGS: "GET",
}
BALANCE_USD = 10.0
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class HTTPRequest:
    """One request as it came.

    Attributes:
        upload: the file that holds its body.
        now: the Unix time at which it came, in seconds.
        spent: the play money charged before it, in micro-USD.
        ignores_mask: whether the mask of an edit is ignored, as some gateways do.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    upload: BinaryIO
    request_id: str
    now: float
    spent: int
    ignores_mask: bool = False

    @property
    def body(self) -> bytes:
        """Its body, read into memory."""
        self.upload.seek(0)
        return self.upload.read()

    @property
    def path(self) -> str:
        """Its path without the query."""
        return self.target.partition("?")[0]

    def root(self, default: str) -> str:
        """Scheme, host and port as the client knows them, also through a proxy; `default` where it named no host."""
        host = (self.headers.get("host") or "").strip()
        named = (self.headers.get("x-forwarded-proto") or "").partition(",")[0].strip().lower()
        scheme = named if named in ("http", "https") else "http"
        return f"{scheme}://{host}" if len(host) < 256 and _HOST.fullmatch(host) else default


@dataclass(frozen=True)
class HTTPResponse:
    """One response.

    Attributes:
        pieces: the body, or the events of a stream; each is made when it is taken.
        steps: the number of pieces of a generation, which share the delay; 0 for other routes.
        paints: whether making a piece needs a render slot.
        streams: whether the pieces are sent one by one.
        charge: micro-USD of play money; None if nothing was bought.
    """

    status: int
    pieces: Iterator[bytes]
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0
    paints: bool = False
    streams: bool = False
    charge: int | None = None
    prompt: str | None = None
    model: str | None = None


def error_response(error: ErrorReply, request_id: str) -> HTTPResponse:
    """The error as a response."""
    body = error.body(request_id)
    return HTTPResponse(error.status, iter([body]), error.content_type, headers=error.headers)


def empty_success(request: HTTPRequest) -> HTTPResponse:
    """A 200 without pictures, as gateways send it for a prompt that was filtered."""
    return _json({"created": int(request.now), "data": []})


def _json(document: Mapping[str, Any]) -> HTTPResponse:
    return HTTPResponse(200, iter([json.dumps(document).encode()]))


@dataclass(frozen=True)
class App:
    """Answers the requests of one sandbox.

    Attributes:
        secret: signs the URLs of pictures.
        root: scheme, host and port of the server, for clients that name none.
        url_lifetime: seconds for which the URL of a picture works.
        paintings: edits that were answered by their URL.
    """

    secret: bytes = field(repr=False)
    root: str
    url_lifetime: float
    paintings: edits.Paintings = field(default_factory=edits.Paintings, repr=False)

    def answer(self, request: HTTPRequest) -> HTTPResponse:
        """The response to a request."""
        path = next(
            (each for each in (signed_urls.FOLDER, edits.PAINTINGS, MODEL) if request.path.startswith(each)),
            request.path,
        )
        try:
            if request.method == "OPTIONS":
                return _options(path)
            _check(request, path)
            return self._answer(request, path)
        except ErrorReply as error:
            return error_response(error, request.request_id)

    def _answer(self, request: HTTPRequest, path: str) -> HTTPResponse:
        # https://apidoc.cometapi.com/overview/models, https://apidoc.cometapi.com/tools/balance-api
        match path:
            case "/v1/models":
                return _json({"object": "list", "data": [_listed(model) for model in MODELS]})
            case "/v1/models/":
                return _json(_listed(_named(unquote(request.path.removeprefix(MODEL)))))
            case "/api/models":
                rows = [_catalogued(model) for model in MODELS]
                counts = {"page": 0, "page_size": len(rows), "total": len(rows)}
                return _json({"success": True, **counts, "data": rows})
            case "/v1/dashboard/billing/subscription":
                limits = dict.fromkeys(
                    ("hard_limit_usd", "soft_limit_usd", "system_hard_limit_usd"), BALANCE_USD
                )
                return _json({"object": "billing_subscription", "has_payment_method": True, **limits})
            case "/v1/dashboard/billing/usage":
                return _json({"object": "list", "total_usage": request.spent * 100 / MILLION})  # cents
            case signed_urls.FOLDER:
                spec = signed_urls.spec_at(request.target, secret=self.secret, now=request.now)
                return HTTPResponse(200, spec.file(), spec.mime, paints=True)
            case edits.PAINTINGS:
                data, mime = self.paintings.get(request.target)
                return HTTPResponse(200, iter([data]), mime)
            case _ if path == EDITS:
                return self._edits(request)
            case _:
                return self._generations(request)

    def _generations(self, request: HTTPRequest) -> HTTPResponse:
        fields = generation.parse(request.body)
        seen: dict[str, Any] = {
            name: value for name in ("prompt", "model") if isinstance(value := fields.get(name), str)
        }
        accept = edits.accept_with_images if "image" in fields else generation.accept
        try:
            accepted = accept(fields, first=_part(request))
        except ErrorReply as error:
            return replace(error_response(error, request.request_id), **seen)
        return self._made(accepted, request)

    def _edits(self, request: HTTPRequest) -> HTTPResponse:
        kind = request.headers.get("content-type", "")
        if kind.startswith("application/json"):
            fields, files = edits.read_json(request.body)
        else:
            request.upload.seek(0)
            fields, files = edits.read_form(request.upload, kind)
        return self._made(
            edits.accept(fields, files, first=_part(request), ignore_mask=request.ignores_mask), request
        )

    def _made(self, accepted: generation.AcceptedRequest, request: HTTPRequest) -> HTTPResponse:
        now = int(request.now)
        if accepted.request.stream:
            response = HTTPResponse(200, accepted.events(now), "text/event-stream", streams=True)
        else:
            response = HTTPResponse(200, accepted.document(now, partial(self._picture_url, request)))
        return replace(
            response,
            steps=accepted.steps,
            paints=accepted.paints,
            charge=accepted.charge,
            prompt=accepted.request.prompt,
            model=accepted.request.model,
        )

    def _picture_url(self, request: HTTPRequest, spec: signed_urls.PictureSpec, now: int) -> str:
        if isinstance(spec, edits.EditedSpec):
            return request.root(self.root) + self.paintings.put(spec)
        expires = int(now + self.url_lifetime)
        return request.root(self.root) + signed_urls.signed_path(spec, secret=self.secret, expires=expires)


def _methods(path: str) -> tuple[str, ...]:
    method = METHODS[path]
    return (method, "HEAD", "OPTIONS") if method == "GET" else (method, "OPTIONS")


def _options(path: str) -> HTTPResponse:
    """What a path takes; `*` asks for the whole server."""
    known = _methods(path) if path in METHODS else ("GET", "HEAD", "OPTIONS", "POST")
    if path not in (*METHODS, "*"):
        raise ErrorReply(404, f"Invalid URL (OPTIONS {path})", code="")
    return HTTPResponse(204, iter([b""]), headers={"allow": ", ".join(known)})


def _check(request: HTTPRequest, path: str) -> None:
    """Refuse an unknown path, the wrong method, and a request without a key."""
    if path not in METHODS:
        # The words of the gateway CometAPI resembles.
        raise ErrorReply(404, f"Invalid URL ({request.method} {path})", code="")
    if request.method not in _methods(path):
        message = f"Method {request.method} is not allowed here"
        raise ErrorReply(405, message, type=GATEWAY, code="", headers={"allow": METHODS[path]})
    scheme, _, key = (request.headers.get("authorization") or "").partition(" ")
    if path.startswith("/v1/") and (scheme.lower() != "bearer" or not key.strip()):
        raise ErrorReply(401, "Invalid token", type=GATEWAY, code="invalid_api_key")


def _part(request: HTTPRequest) -> int:
    """The number at the end of the `Idempotency-Key`, so that the requests of one call get different pictures."""
    number = (request.headers.get("idempotency-key") or "").rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0


def _named(name: str) -> Model:
    """The model of this id or snapshot."""
    for model in MODELS:
        if name in (model.id, *model.snapshots):
            return model
    raise ErrorReply(404, f"The model '{name}' does not exist", code="model_not_found", param="model")


def _listed(model: Model) -> dict[str, Any]:
    row: dict[str, Any] = {"id": model.id, "object": "model", "created": 0, "owned_by": model.family}
    if model.retired:
        row["shutdown_date"] = model.retired.isoformat()
    return row


def _catalogued(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "code": model.id.replace(".", "-"),
        "name": model.id,
        "provider": model.family,
        "provider_code": model.family,
        "description": model.notice,
        "model_type": "image",
        "features": ["text-to-image"],
        "endpoints": {"image-generation": {"path": GENERATIONS, "method": "POST"}},
        "pricing": _pricing(model),
        "context_length": None,
        "max_completion_tokens": None,
        "api_doc_url": model.source,
    }


def _pricing(model: Model) -> dict[str, Any] | None:
    if model.price is None:
        return None
    rates = {"input": model.price.text_in, "output": model.price.image_out, "per_request": model.price.flat}
    dollars = {name: rate / MILLION if rate is not None else None for name, rate in rates.items()}
    return {"currency": "USD", **dollars, "per_second": None}
