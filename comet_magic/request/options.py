"""The options that every entry point takes beside the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALL_OPTIONS = frozenset({"timeout", "max_cost", "reuse", "on_event", "preset"})
INPUT_OPTIONS = frozenset({"image", "mask", "markup", "resize", "paste_back"})


class WireOptions(TypedDict, total=False):
    """The parameters of a picture; None means not set."""

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
    input_fidelity: str | None
    extra: Mapping[str, Any] | None


class InputOptions(TypedDict, total=False):
    """The pictures that go in, and what is done with them; `comet_magic.generate` explains them."""

    image: Any
    mask: Any
    markup: Any
    resize: bool | None
    paste_back: bool | None


class Options(WireOptions, InputOptions, total=False):
    """The options of a call; None means not set. `CALL_OPTIONS` are about the call, the others about the picture."""

    timeout: float | None
    max_cost: float | None
    reuse: bool | None
    on_event: Callable[[Any], object] | None
    preset: str | None
