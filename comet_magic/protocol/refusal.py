"""A server's refusal becomes one of our errors: by its code and type first, by its status second.

CometAPI passes faults of a request on as 500 or 503, so the status alone decides little.
https://apidoc.cometapi.com/errors/error-codes-handling
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..errors import (
    AmbiguousError,
    AuthenticationError,
    BadRequestError,
    CometError,
    ContentPolicyError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from ..text import clean
from .retry import should_retry

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://developers.openai.com/api/docs/guides/error-codes; insufficient_user_quota is the gateways' own.
_BY_CODE: dict[str, type[CometError]] = {
    **dict.fromkeys(
        (
            "insufficient_quota",
            "insufficient_user_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
        ),
        QuotaError,
    ),
    **dict.fromkeys(("moderation_blocked", "content_policy_violation"), ContentPolicyError),
    **dict.fromkeys(("rate_limit_exceeded", "slow_down", "rate_limit_error"), RateLimitError),
    **dict.fromkeys(("invalid_api_key",), AuthenticationError),
    **dict.fromkeys(("permission_denied",), PermissionDeniedError),
    **dict.fromkeys(("model_not_found",), NotFoundError),
    **dict.fromkeys(
        (
            "invalid_request",
            "invalid_value",
            "invalid_request_error",
            "unknown_parameter",
            "missing_required_parameter",
            "invalid_image_file",
            "image_generation_user_error",
            "convert_request_failed",
        ),
        BadRequestError,
    ),
}

_BY_STATUS: dict[int, type[CometError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    408: ServerError,
    425: ServerError,
    429: RateLimitError,
    **dict.fromkeys((521, 523, 525, 526), ServerError),  # the edge never reached the origin
}

_HINTS: dict[type[CometError], str] = {
    AuthenticationError: "Check the key: %cometimg_status shows where it came from.",
    QuotaError: "Top up the account or raise its limit, then run it again.",
    ContentPolicyError: "Change the prompt; the same one will be refused again.",
    RateLimitError: "Wait a little, or lower max_in_flight.",
    NotFoundError: "%cometimg_models lists the models.",
    PermissionDeniedError: "The key, the account or a firewall forbids this request.",
}

EDGE_TIMEOUT = (
    "The edge stopped waiting after about 100 s while the work went on: "
    "a lower quality or --stream with partial images keeps the line busy."
)
BASE_URL_HINT = "Is the base URL right? It usually ends in /v1, as in https://api.cometapi.com/v1."

_REQUEST_ID = re.compile(r"\(request id:\s*([\w.:-]{4,80})\)", re.IGNORECASE)


def request_id_of(headers: Mapping[str, str], message: str = "") -> str | None:
    """The server's id of the request, from a header or from the end of its message, or None."""
    for name in ("x-request-id", "x-oneapi-request-id"):
        if headers.get(name):
            return clean(headers[name], limit=100)
    found = _REQUEST_ID.search(message)
    return found.group(1) if found else None


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> CometError:
    """The error that an answer other than a picture is.

    Args:
        status: the HTTP status; 200 for an error envelope inside a 200 or a stream.
        headers: names in lower case.
        body: the first part of the body, whole where it is JSON.
    """
    envelope = _envelope(body)
    said = envelope.get("message")
    message = " ".join(clean(said if isinstance(said, str) else prose(body), limit=300).split())
    code, kind = _word(envelope.get("code")), _word(envelope.get("type"))
    family = _BY_CODE.get(code or "") or _BY_CODE.get(kind or "") or _by_status(status, headers)
    error = family(
        _sentence(status, message),
        hint=_hint(family, status, envelope),
        code=code,
        param=_word(envelope.get("param")),
        status_code=status,
        request_id=request_id_of(headers, said if isinstance(said, str) else ""),
    )
    if 200 <= status < 300 and error.outcome == "rejected":
        error.outcome = "unknown"  # the work had begun when it failed
    return error


def _by_status(status: int, headers: Mapping[str, str]) -> type[CometError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in (503, 529) and headers.get("retry-after"):
        return ServerError
    if 300 <= status < 500:
        return BadRequestError
    return ServerError if 200 <= status < 300 or should_retry(headers) else AmbiguousError


def _hint(family: type[CometError], status: int, envelope: dict[str, Any]) -> str:
    if status == 524:
        return EDGE_TIMEOUT
    if family is BadRequestError and not envelope and (status in (404, 405) or 300 <= status < 400):
        return BASE_URL_HINT
    return _HINTS.get(family, "")


def _envelope(body: bytes) -> dict[str, Any]:
    """The `error` object of a body, or {}: gateways differ in what they put there."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        return {"message": error}
    if isinstance(error, dict):
        return error
    if isinstance(document, dict) and isinstance(document.get("message"), str):
        return document
    return {}


def prose(body: bytes) -> str:
    """What a body that is no JSON says: a web page's title, or the text itself."""
    text = body[:4096].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
        said = title.group(1) if title else re.sub(r"<[^>]*>", " ", text)
        return f"a web page instead of an answer: {' '.join(said.split())}"
    return text.strip() or "no text"


def _sentence(status: int, message: str) -> str:
    if 200 <= status < 300:
        return f"the server reported an error in its answer: {message}"
    return f"the server answered {status}: {message}"


def _word(value: object) -> str | None:
    return clean(value, limit=100) if isinstance(value, (str, int)) and value != "" else None
