"""Look up a model by its id, a size by a word or a ratio, and the output tokens of a picture."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from ..errors import InvalidRequestError
from .model import InputRules, Model
from .rules import Boolean, FreeSize, Interval, Rule, SizeList, Text, suggest
from .table import COMET, MODELS

DEFAULT_MODEL = "gpt-image-2"
# For models that are not in the table: only the type is checked.
_OPEN: dict[str, Rule] = {
    "n": Interval(1, 100),
    **dict.fromkeys(("size", "quality", "style", "background", "output_format"), Text()),
    "output_compression": Interval(0, 1_000_000),
    **dict.fromkeys(("response_format", "moderation", "user"), Text()),
    "stream": Boolean(),
    "partial_images": Interval(0, 1_000_000),
    "input_fidelity": Text(),
}
WIRE_PARAMETERS = ("model", "prompt", *_OPEN)
SIZE_WORDS = {"square": 1.0, "landscape": 3 / 2, "portrait": 2 / 3}
RATIOS = ("1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "21:9", "2.39:1")

_BY_ID = {name: replace(model, id=name) for model in MODELS for name in (model.id, *model.snapshots)}
_DATED = re.compile(r"(.+)-\d{4}-\d{2}-\d{2}")
# The newest model of each family, for ids that are not in the table; the first match counts.
_FAMILIES = (
    (re.compile(r"gpt-image-.*sunburst.*"), "gpt-image-2.6-sunburst"),
    (re.compile(r"(chat)?gpt-image-.+"), "gpt-image-2.6-flare"),
    (re.compile(r"dall-e-.+"), "dall-e-3"),
    (re.compile(r"qwen-image-edit.*"), "qwen-image-edit"),
    (re.compile(r"qwen-image-.+"), "qwen-image"),
    (re.compile(r".*seedream.*"), "doubao-seedream-5-0-260128"),
)
_RATIO = re.compile(r"(\d{1,5}(?:\.\d{1,5})?):(\d{1,5}(?:\.\d{1,5})?)")


@lru_cache(maxsize=256)
def find(model_id: str) -> Model:
    """The model with this id; else one with the rules of its family; else one without rules. Never raises."""
    if model_id in _BY_ID:
        return _BY_ID[model_id]
    dated = _DATED.fullmatch(model_id)
    if dated and dated[1] in _BY_ID:
        return _follow(model_id, _BY_ID[dated[1]])
    for pattern, newest in _FAMILIES:
        if pattern.fullmatch(model_id):
            return replace(_follow(model_id, _BY_ID[newest]), price=None, retired=None)
    return _unknown(model_id)


def _follow(model_id: str, relative: Model) -> Model:
    notice = f"{model_id} is not in the table; it is checked by the rules of {relative.id}"
    return replace(relative, id=model_id, snapshots=(), assumed=True, notice=notice)


def _unknown(model_id: str) -> Model:
    meant = suggest(model_id, _BY_ID)
    ask = f"; did you mean {meant}?" if meant else ""
    return Model(
        id=model_id,
        family="unknown",
        parameters=_OPEN,
        prompt_limit=1_000_000,
        source=COMET,
        # Gemini takes pictures on a route of its own: https://apidoc.cometapi.com/api/image/gemini
        inputs=None if model_id.startswith("gemini") else InputRules(markup=True, fidelity=Text()),
        known=False,
        notice=f"{model_id} is not in the table, so nothing is checked and the server decides{ask}",
    )


def resolve_size(model: Model, text: str) -> str:
    """The size that goes on the wire: words and ratios become the nearest size the model takes.

    Sizes, `auto` and unknown words pass through. A ratio becomes one of the model's usual
    sizes if that has the ratio, else the closest one near the pixels of its default size.

    Raises:
        InvalidRequestError: the model has no size of this ratio or orientation.
    """
    rule = model.parameters.get("size")
    word = text.strip().lower().replace("\N{MULTIPLICATION SIGN}", "x")
    ratio = _ratio(word)
    if not isinstance(rule, SizeList | FreeSize):
        return text
    if ratio is None:
        for known in rule.choices():
            if known.lower() == word:
                return known
        return word
    size = _of_ratio(rule, ratio)
    if size is None:
        taken = f"ratios up to {rule.ratio}:1" if isinstance(rule, FreeSize) else str(rule)
        raise InvalidRequestError(f"size is {text}; {model.id} takes {taken}", param="size")
    return size


@lru_cache(maxsize=256)
def _of_ratio(rule: SizeList | FreeSize, ratio: float) -> str | None:
    return rule.of_ratio(ratio)


def _ratio(word: str) -> float | None:
    found = _RATIO.fullmatch(word)
    if not found:
        return SIZE_WORDS.get(word)
    width, height = float(found[1]), float(found[2])
    return width / height if width and height else None


def output_tokens(model: Model, size: str, quality: str) -> int | None:
    """Output tokens of one picture of a given size and quality (not `auto`), or None if unknown."""
    tokens = model.price.tokens if model.price else None
    return tokens.count(size, quality) if tokens else None
