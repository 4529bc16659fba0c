"""Turn a server's refusal into one of our errors: by its code and type first, by its status second.

CometAPI passes a fault of the request on as 500 or 503, so the status alone is not enough.
https://apidoc.cometapi.com/errors/error-codes-handling
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..text import clean
from .decisions import BASE_URL_HINT, decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import CometError

_REQUEST_ID = re.compile(r"\(request id:\s*([\w.:-]{4,80})\)", re.IGNORECASE)


def request_id_of(headers: Mapping[str, str], message: str = "") -> str | None:
    """The server's id of the request, from a header or from its message, or None."""
    for name in ("x-request-id", "x-oneapi-request-id"):
        if headers.get(name):
            return clean(headers[name], limit=100)
    found = _REQUEST_ID.search(message)
    return found.group(1) if found else None


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> CometError:
    """The error for an answer that is not a picture, as the decision table says.

    Args:
        status: the HTTP status; 2xx means an error inside an answer of success or a stream.
        headers: names in lower case.
        body: the first part of the body; JSON must be whole.
    """
    envelope = _envelope(body)
    said = envelope.get("message")
    message = " ".join(clean(said if isinstance(said, str) else prose(body), limit=300).split())
    code = _word(envelope.get("code"))
    row = decide(status, headers, (code, _word(envelope.get("type"))))
    return row.error(
        _sentence(status, message),
        # A server that answers with an error object is the right one.
        hint="" if envelope and row.hint == BASE_URL_HINT else row.hint,
        code=code,
        param=_word(envelope.get("param")),
        status_code=status,
        request_id=request_id_of(headers, said if isinstance(said, str) else ""),
    )


def _envelope(body: bytes) -> dict[str, Any]:
    """The `error` object of a body, or {}; gateways send different shapes."""
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
    """The text of a body that is not JSON: the title of a web page, or the text itself."""
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
