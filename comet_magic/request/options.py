"""The options that every entry point takes beside the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALL_OPTIONS = frozenset({"timeout", "max_cost", "reuse", "on_event", "preset"})
INPUT_OPTIONS = frozenset({"image", "mask", "markup", "resize", "paste_back"})
# What the parameters of a picture are in JSON and TOML; those that are not named here are texts.
WIRE_KINDS: dict[str, type[Any]] = {
    "n": int,
    "output_compression": int,
    "stream": bool,
    "partial_images": int,
    "extra": dict,
}

# What editors offer: the values of the catalog, which a test compares, and any other text.
# fmt: off
ModelId = Literal[
    "gpt-image-2.6-flare", "gpt-image-2.6-sunburst", "gpt-image-2.5-flare", "gpt-image-2.5-sunburst",
    "gpt-image-2", "gpt-image-1.5", "gpt-image-1-mini", "gpt-image-1", "chatgpt-image-latest", "dall-e-3",
    "dall-e-2", "qwen-image", "qwen-image-edit", "doubao-seedream-5-0-260128",
    "doubao-seedream-4-5-251128", "bytedance-seedream-4-0-250828",
] | str
SizeText = Literal[
    "auto", "square", "landscape", "portrait", "1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "21:9",
    "2.39:1", "1024x1024", "1536x1024", "1024x1536", "2048x2048", "2048x1152", "3840x2160", "2160x3840",
    "1792x1024", "1024x1792", "512x512", "256x256", "1328x1328", "1664x928", "928x1664", "1472x1140",
    "1140x1472", "2K", "3K", "4K", "2304x1728", "1728x2304", "2560x1440", "1440x2560", "2496x1664",
    "1664x2496", "3024x1296", "1K",
] | str
# fmt: on
Quality = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] | str
Style = Literal["vivid", "natural"] | str
Background = Literal["transparent", "opaque", "auto"] | str
OutputFormat = Literal["png", "jpeg", "webp"] | str
ResponseFormat = Literal["url", "b64_json"] | str
Moderation = Literal["low", "auto"] | str
InputFidelity = Literal["low", "high"] | str
PresetName = (
    Literal["watercolor", "ink", "pencil", "oil", "woodblock", "flat", "isometric", "pixel", "studio", "film"]
    | str
)


class WireOptions(TypedDict, total=False):
    """The parameters of a picture; None means not set."""

    model: ModelId | None
    n: int | None
    size: SizeText | None
    quality: Quality | None
    style: Style | None
    background: Background | None
    output_format: OutputFormat | None
    output_compression: int | None
    response_format: ResponseFormat | None
    moderation: Moderation | None
    user: str | None
    stream: bool | None
    partial_images: int | None
    input_fidelity: InputFidelity | None
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
    preset: PresetName | None
