"""The errors of the vendor: status, envelope, code. Pure; it decides nothing about requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://apidoc.cometapi.com/errors/error-codes-handling
GATEWAY = "comet_api_error"
# https://developers.openai.com/api/docs/guides/error-codes
CALLER = "invalid_request_error"
# https://developers.openai.com/api/docs/guides/image-generation
PICTURE = "image_generation_user_error"

# Timeouts of a gateway or proxy: the work was begun, so a vendor may charge for it.
CHARGED_STATUSES = frozenset({504, 524})


class ErrorReply(Exception):  # noqa: N818 - it is a response, not a fault
    """A response that is not 200, with the fields of its envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = CALLER,  # noqa: A002 - the envelope's own word
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    @property
    def content_type(self) -> str:
        """HTML for Cloudflare's own 524, JSON for all others."""
        return "text/html" if self.status == 524 else "application/json"

    def body(self, request_id: str) -> bytes:
        """The body as it is sent; the gateway writes its request id into the message."""
        if self.status == 524:
            return f"<html><title>524: {self}</title></html>".encode()
        message = f"{self} (request id: {request_id})" if self.type == GATEWAY else str(self)
        error: dict[str, Any] = {
            "message": message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}).encode()


def too_fast(wait: float) -> ErrorReply:
    """The 429 for a client that is too fast, with the seconds to wait."""
    headers = {"retry-after": str(max(1, -int(-wait // 1))), "retry-after-ms": str(int(wait * 1000) + 1)}
    return ErrorReply(429, "Rate limit reached", type="requests", code="rate_limit_exceeded", headers=headers)


def injected_error(name: str) -> ErrorReply:
    """The error that `fail=` names by its status or name."""
    if name == "429":
        return too_fast(0.2)
    status, message, kind, code = _KNOWN.get(name) or (int(name), "The upstream failed", GATEWAY, "")
    return ErrorReply(status, message, type=kind, code=code)


_KNOWN: dict[str, tuple[int, str, str, str | None]] = {
    "moderation": (400, "Your request was rejected by the safety system.", PICTURE, "moderation_blocked"),
    "quota": (429, "Your credit balance is exhausted.", "insufficient_quota", "credit_balance_exhausted"),
    "400": (400, "The request could not be validated", GATEWAY, "invalid_request"),
    "401": (401, "Invalid token", GATEWAY, "invalid_api_key"),
    "402": (402, "Payment required", GATEWAY, "insufficient_user_quota"),
    "403": (403, "This key may not use this model", GATEWAY, "permission_denied"),
    "404": (404, "The model does not exist", CALLER, "model_not_found"),
    "413": (413, "Request entity too large", GATEWAY, ""),
    "500": (500, "The server had an error while processing your request", "server_error", None),
    "503": (503, "The server is overloaded", "service_unavailable_error", "server_is_overloaded"),
    "524": (524, "A timeout occurred", GATEWAY, ""),
}
