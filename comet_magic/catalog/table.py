"""The table: every model with its rules and prices, and the page each comes from.

A new model is one entry of `MODELS`; the newest of a family comes first. Facts as of 2026-11-22.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from .model import InputRules, Model
from .prices import Formula, Table, Tariff
from .rules import Boolean, Choice, FreeSize, Interval, SizeList, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rule

REFERENCE = "https://developers.openai.com/api/reference/resources/images/methods/generate"
GUIDE = "https://developers.openai.com/api/docs/guides/image-generation"
COMET = "https://apidoc.cometapi.com/images-generations"
EDITS = "https://developers.openai.com/api/reference/resources/images/methods/edit"
COMET_EDITS = "https://apidoc.cometapi.com/api/image/openai/image-editing"
COMET_SEEDREAM = "https://apidoc.cometapi.com/api/image/seededit-seedream/bytedance-image-generation"
BYTEDANCE = "https://docs.byteplus.com/en/docs/ModelArk/1541523"

USUAL = SQUARE, WIDE, TALL = "1024x1024", "1536x1024", "1024x1536"
ANSWER_FORMS = Choice(("url", "b64_json"))

# REFERENCE for the bounds; above 2560x1440 is experimental (GUIDE), not refused.
GPT_SIZES = FreeSize(
    grid=16,
    ratio=3,
    edge=3840,
    low=655_360,
    high=8_294_400,
    usual=USUAL,
    words=("auto",),
    common=("2048x2048", "2048x1152", "3840x2160", "2160x3840"),
)
GPT_OLD_SIZES = SizeList(USUAL, words=("auto",))


def _gpt_image(size: Rule, quality: tuple[str, ...]) -> Mapping[str, Rule]:
    """What the gpt-image models take: REFERENCE. 2.6 also has gif and svg; they cannot be opened here."""
    return {
        "n": Interval(1, 10),
        "size": size,
        "quality": Choice((*quality, "auto")),
        "background": Choice(("transparent", "opaque", "auto")),
        "output_format": Choice(("png", "jpeg", "webp")),
        "output_compression": Interval(0, 100),
        "moderation": Choice(("low", "auto")),
        "user": Text(),
        "stream": Boolean(),
        "partial_images": Interval(0, 3),
    }


THREE = ("low", "medium", "high")
FIVE = (*THREE, "xhigh", "max")
TAKES_FIVE = _gpt_image(GPT_SIZES, FIVE)
TAKES_THREE = _gpt_image(GPT_SIZES, THREE)
TAKES_OLD = _gpt_image(GPT_OLD_SIZES, THREE)
# EDITS for numbers and kinds. Under transparent pixels gpt-image-2 sees the colours that are hidden there:
# https://longform.social, "Understanding how gpt-image models on edits see mask"
INPUTS_2 = InputRules(flatten=True, counted="patches")
INPUTS_2_5 = InputRules(markup=True, counted="bound")
INPUTS_2_6 = InputRules()
INPUTS_1 = InputRules(counted="tiles")
# Only these take it; the others always look closely, or the page says nothing.
INPUTS_1_5 = InputRules(counted="tiles", fidelity=Choice(("low", "high")))
INPUTS_MINI = InputRules(counted="tiles", fidelity=Choice(("low",)))
# Relays of the vendor print 3 pictures of 10 MB and 3072 pixels a side (C); no mask: COMET_EDITS names none for it.
INPUTS_QWEN = InputRules(most=3, mask=False, largest=10_000_000)
# COMET_SEEDREAM: up to 14; ByteDance prints 10 MB and 36 megapixels (C).
INPUTS_SEEDREAM = InputRules("generations", most=14, mask=False, pixels=36_000_000, largest=10_000_000)

_PRINTED = Tariff(date="2026-11-22", grade="B", source=GUIDE)
# USD 5, 8 and 30 per million tokens: the vendor's list, https://developers.openai.com/api/docs/pricing
_RATES = replace(_PRINTED, text_in=5_000_000, image_in=8_000_000, image_out=30_000_000)
LIST_2_5 = replace(
    _RATES, tokens=Formula((("low", 16), ("medium", 24), ("high", 48), ("xhigh", 64), ("max", 96)))
)
# The rates are published, the token counts are not: the price is known from the answer's usage only.
LIST_2_6 = replace(
    _RATES, grade="A", source="https://developers.openai.com/api/docs/models/gpt-image-2.6-sunburst"
)
# CometAPI's own: 80 % of the vendor's list; the rate of input pictures follows from that.
COMET_2 = replace(
    _PRINTED,
    grade="A",
    source="https://api.cometapi.com/api/models",
    text_in=4_000_000,
    image_in=6_400_000,
    image_out=24_000_000,
    tokens=Formula((("low", 16), ("medium", 48), ("high", 96))),
)
# Output tokens of the older models: GUIDE.
OLD_TOKENS = Table(
    (SQUARE, TALL, WIDE),
    (("low", (272, 408, 400)), ("medium", (1056, 1584, 1568)), ("high", (4160, 6240, 6208))),
)
COMET_1_5 = replace(
    _PRINTED,
    source="https://www.cometapi.com/models/openai/gpt-image-1-5/",
    text_in=6_400_000,
    image_in=6_400_000,
    image_out=25_600_000,
    tokens=OLD_TOKENS,
)
LIST_1 = replace(_PRINTED, text_in=5_000_000, image_in=10_000_000, image_out=40_000_000, tokens=OLD_TOKENS)
# The printed prices are some 340 tokens above what the table of tokens gives; CometAPI's pages disagree. The
# printed ones are the estimate, and the tokens the least that an answer may be billed.
LIST_MINI = replace(
    _PRINTED,
    text_in=2_000_000,
    image_in=2_500_000,
    image_out=8_000_000,
    tokens=OLD_TOKENS,
    printed=Table(
        USUAL,
        (
            ("low", (5_000, 6_000, 6_000)),
            ("medium", (11_000, 15_000, 15_000)),
            ("high", (36_000, 52_000, 52_000)),
        ),
    ),
)
DALLE_3_SIZES = ("1024x1024", "1792x1024", "1024x1792")
_DALLE_3 = Table(DALLE_3_SIZES, (("standard", (40_000, 80_000, 80_000)), ("hd", (80_000, 120_000, 120_000))))
LIST_DALLE_3 = replace(_PRINTED, printed=_DALLE_3)
DALLE_2_SIZES = ("1024x1024", "512x512", "256x256")
LIST_DALLE_2 = replace(_PRINTED, printed=Table(DALLE_2_SIZES, (("standard", (20_000, 18_000, 16_000)),)))
# One customer's bill of February 2026; CometAPI publishes none.
LOGGED_QWEN = Tariff(date="2026-02-05", grade="C", source=COMET, flat=40_000)

# https://developers.openai.com/api/docs/deprecations
END_OF_DALLE = date(2026, 5, 12)
END_OF_1 = date(2026, 10, 23)
END_OF_1_5 = date(2026, 12, 1)


def _gpt(model_id: str, takes: Mapping[str, Rule], qualities: tuple[str, ...], *, price: Tariff | None,
         inputs: InputRules = INPUTS_1, retired: date | None = None,
         snapshots: tuple[str, ...] = ()) -> Model:  # fmt: skip
    return Model(
        id=model_id,
        family="gpt-image",
        parameters=takes,
        answers="b64_json",
        source=REFERENCE,
        snapshots=snapshots,
        retired=retired,
        # A preview there since August 2026, refused before: REFERENCE.
        transparent="preview" if model_id == "gpt-image-2" else "yes",
        price=price,
        auto_sizes=USUAL,
        auto_qualities=qualities,
        inputs=inputs,
    )


def _seedream(model_id: str, low: int, words: tuple[str, ...], formats: tuple[str, ...] = ()) -> Model:
    """A model of ByteDance; its parameters are from COMET_SEEDREAM, the formats from BYTEDANCE.

    The bounds are the vendor's, as other gateways print them (C):
    https://docs.siraya.ai/docs/api-reference/generative-model-api/Seedream/
    A prompt of more than about 1,000 characters is read less closely, but not refused.
    """
    usual = (
        *("2048x2048", "2304x1728", "1728x2304", "2560x1440", "1440x2560"),
        *("2496x1664", "1664x2496", "3024x1296"),
    )
    size = FreeSize(grid=1, ratio=16, edge=16_384, low=low, high=16_777_216, usual=usual, words=words)
    parameters: dict[str, Rule] = {"n": Interval(1, 1), "size": size, "response_format": ANSWER_FORMS}
    if formats:
        parameters["output_format"] = Choice(formats)
    return Model(
        id=model_id,
        family="seedream",
        parameters={**parameters, "user": Text()},
        source=COMET_SEEDREAM,
        auto_sizes=usual[:1],
        inputs=INPUTS_SEEDREAM,
    )


QWEN = Model(
    id="qwen-image",
    family="qwen-image",
    parameters={
        "n": Interval(1, 1),  # COMET
        # The five sizes of the model's vendor, as other gateways print them (C); CometAPI lists none.
        "size": SizeList(("1328x1328", "1664x928", "928x1664", "1472x1140", "1140x1472")),
        "output_format": Choice(("png", "jpeg", "webp")),
        "user": Text(),
    },
    source=COMET,
    price=LOGGED_QWEN,
    auto_sizes=("1328x1328",),
)
QWEN_EDIT = Model(
    id="qwen-image-edit",
    family="qwen-image",
    # The gateway's path drops a size without a word; the shape is the last picture's.
    parameters={"n": Interval(1, 1), "user": Text()},
    source=COMET_EDITS,
    inputs=INPUTS_QWEN,
    needs_input=True,
)
DALLE_3 = Model(
    id="dall-e-3",
    family="dall-e-3",
    parameters={
        "n": Interval(1, 1),
        "size": SizeList(DALLE_3_SIZES),
        "quality": Choice(("standard", "hd")),
        "style": Choice(("vivid", "natural")),
        "response_format": ANSWER_FORMS,
        "user": Text(),
    },
    prompt_limit=4_000,
    source=REFERENCE,
    retired=END_OF_DALLE,
    price=LIST_DALLE_3,
    auto_sizes=DALLE_3_SIZES[:1],
    auto_qualities=("standard",),
)
DALLE_2 = Model(
    id="dall-e-2",
    family="dall-e-2",
    parameters={
        "n": Interval(1, 10),
        "size": SizeList(DALLE_2_SIZES),
        "quality": Choice(("standard",)),
        "response_format": ANSWER_FORMS,
        "user": Text(),
    },
    prompt_limit=1_000,
    source=REFERENCE,
    retired=END_OF_DALLE,
    price=LIST_DALLE_2,
    auto_sizes=DALLE_2_SIZES[:1],
    auto_qualities=("standard",),
)

MODELS: tuple[Model, ...] = (
    _gpt("gpt-image-2.6-flare", TAKES_FIVE, FIVE, price=LIST_2_6, inputs=INPUTS_2_6),
    _gpt("gpt-image-2.6-sunburst", TAKES_FIVE, FIVE, price=LIST_2_6, inputs=INPUTS_2_6),
    _gpt(
        "gpt-image-2.5-flare",
        TAKES_FIVE,
        FIVE,
        price=LIST_2_5,
        inputs=INPUTS_2_5,
        snapshots=("gpt-image-2.5-flare-2026-09-08",),
    ),
    _gpt(
        "gpt-image-2.5-sunburst",
        TAKES_FIVE,
        FIVE,
        price=LIST_2_5,
        inputs=INPUTS_2_5,
        snapshots=("gpt-image-2.5-sunburst-2026-09-08",),
    ),
    _gpt(
        "gpt-image-2",
        TAKES_THREE,
        THREE,
        price=COMET_2,
        inputs=INPUTS_2,
        snapshots=("gpt-image-2-2026-04-21",),
    ),
    _gpt("gpt-image-1.5", TAKES_OLD, THREE, inputs=INPUTS_1_5, price=COMET_1_5, retired=END_OF_1_5),
    _gpt("gpt-image-1-mini", TAKES_OLD, THREE, inputs=INPUTS_MINI, price=LIST_MINI, retired=END_OF_1_5),
    _gpt("gpt-image-1", TAKES_OLD, THREE, price=LIST_1, retired=END_OF_1),
    _gpt("chatgpt-image-latest", TAKES_OLD, THREE, price=None, retired=END_OF_1_5),
    DALLE_3,
    DALLE_2,
    QWEN,
    QWEN_EDIT,
    _seedream("doubao-seedream-5-0-260128", 3_686_400, ("2K", "3K", "4K"), ("jpeg", "png")),
    _seedream("doubao-seedream-4-5-251128", 3_686_400, ("2K", "4K")),
    _seedream("bytedance-seedream-4-0-250828", 921_600, ("1K", "2K", "4K")),
)
