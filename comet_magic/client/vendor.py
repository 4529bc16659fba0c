"""Free questions to the vendor: today's catalogue, and the money left on the key.

https://apidoc.cometapi.com/overview/models.md
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ..errors import BadResponseError, CometError
from ..money import usd
from ..protocol import refusal_of
from ..text import clean
from .loop_thread import LoopHandle
from .transport import HTTPFault, SendProgress, ask_without_key, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings import BaseURL
    from .transport import APITransport, Response

LASTS = 3600.0  # seconds a catalogue is kept
NO_LIMIT = 100_000_000  # USD from which a limit means that there is none
LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True)
class Listed:
    """A model of the vendor's catalogue.

    Attributes:
        text_in: USD per million tokens of text sent, or None.
        image_out: USD per million tokens of picture received, or None.
        per_request: USD per call, for models that are priced so, or None.
    """

    id: str
    name: str
    text_in: Decimal | None
    image_out: Decimal | None
    per_request: Decimal | None


@dataclass(frozen=True)
class Balance:
    """Money on the key."""

    used_micro: int
    left_micro: int | None

    @property
    def used(self) -> float:
        """Used so far, in USD."""
        return usd(self.used_micro)

    @property
    def left(self) -> float | None:
        """Left, in USD; None if there is no limit."""
        return usd(self.left_micro)


_kept: dict[str, tuple[float, tuple[Listed, ...]]] = {}


async def catalogue(api: APITransport, base: BaseURL) -> tuple[Listed, ...]:
    """The image models that the vendor lists now; read without the key, kept for an hour.

    Raises:
        CometError: the catalogue cannot be read.
    """
    kept = _kept.get(base.origin)
    if kept is not None and time.monotonic() - kept[0] < LASTS:
        return kept[1]
    document = await _page(api, f"{base.origin}/api/models", with_key=False)
    entries = document.get("data")
    listed = tuple(
        _listed(entry)
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("model_type") == "image"
    )
    if not listed:
        raise BadResponseError(f"the catalogue at {base.origin} holds no image models", outcome="not_sent")
    _kept[base.origin] = (time.monotonic(), listed)
    return listed


async def balance(api: APITransport, base: BaseURL) -> Balance:
    """What the key has used and has left, asked with the key at its own origin.

    Raises:
        CometError: the vendor does not report it.
    """
    subscription = await _page(api, base.endpoint("/dashboard/billing/subscription"), with_key=True)
    usage = await _page(api, base.endpoint("/dashboard/billing/usage"), with_key=True)
    limit, cents = _amount(subscription.get("hard_limit_usd")), _amount(usage.get("total_usage"))
    if limit is None or cents is None:
        raise BadResponseError("the vendor's balance holds no numbers", outcome="not_sent")
    used = int(cents * 10_000)
    return Balance(used, None if limit >= NO_LIMIT else int(limit * 1_000_000) - used)


def reachable(base: BaseURL) -> CometError | None:
    """None where the server of a base URL answers at all, else why not; no key is sent and nothing is bought."""
    loop = LoopHandle()
    try:
        loop.portal.call(ask_without_key, base, "/api/models")
    except HTTPFault as fault:
        return error_of(fault, SendProgress(), base.host)
    finally:
        loop.release()
    return None


async def _page(api: APITransport, url: str, *, with_key: bool) -> dict[str, Any]:
    problem: CometError
    try:
        response, body = await api.get(url, with_key=with_key, largest=LARGEST)
    except HTTPFault as fault:
        problem = error_of(fault, SendProgress(), clean(url))
    else:
        return _document(response, body, url)
    raise problem


def _document(response: Response, body: bytes, url: str) -> dict[str, Any]:
    if response.status_code != 200:
        raise refusal_of(response.status_code, dict(response.headers), body).with_facts(outcome="not_sent")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadResponseError(f"{clean(url)} holds no JSON object", outcome="not_sent")
    return document


def _listed(entry: Mapping[str, Any]) -> Listed:
    pricing = entry.get("pricing")
    prices = pricing if isinstance(pricing, dict) else {}
    return Listed(
        clean(entry.get("id"), limit=100),
        clean(entry.get("name") or entry.get("id"), limit=100),
        _amount(prices.get("input")),
        _amount(prices.get("output")),
        _amount(prices.get("per_request")),
    )


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
