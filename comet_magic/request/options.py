"""The names every door takes beside the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALL_OPTIONS = frozenset({"timeout", "max_cost", "reuse", "on_event"})


class WireOptions(TypedDict, total=False):
    """What a picture may be asked for with; None is the same as not set."""

    model: str | None
    n: int
    size: str | None
    quality: str | None
    style: str | None
    background: str | None
    output_format: str | None
    output_compression: int | None
    response_format: str | None
    moderation: str | None
    user: str | None
    stream: bool | None
    partial_images: int | None
    extra: Mapping[str, Any] | None


class Options(WireOptions, total=False):
    """What a call may set; None is the same as not set. Its own four (`CALL_OPTIONS`) are about the call."""

    timeout: float | None
    max_cost: float | None
    reuse: bool | None
    on_event: Callable[[Any], object] | None
