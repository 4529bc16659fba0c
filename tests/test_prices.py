"""Money: the formula against every number the vendor printed, answers that count badly, and how amounts read."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from comet_magic.catalog import MODELS, find, output_tokens
from comet_magic.errors import InvalidRequestError
from comet_magic.money import Price, dollars, parse_dollars
from comet_magic.request import ImageRequest, cost_of

# https://developers.openai.com/api/docs/guides/image-generation, read through copies on 2026-11-22
PUBLISHED = {
    "1024x1024": (196, 1756, 7024, 196, 439, 1756, 3122, 7024),
    "1536x1024": (158, 1372, 5488, 158, 343, 1372, 2459, 5488),
    "1024x1536": (158, 1372, 5488, 158, 343, 1372, 2459, 5488),
    "2048x2048": (397, 3568, 14272, 397, 892, 3568, 6343, 14272),
    "2048x1152": (157, 1413, 5650, 157, 367, 1413, 2511, 5650),
    "2560x1440": (205, 1843, 7370, 205, 478, 1843, 3276, 7370),
    "3840x2160": (371, 3336, 13342, 371, 865, 3336, 5930, 13342),
}
COLUMNS = [("gpt-image-2", word) for word in ("low", "medium", "high")] + [
    ("gpt-image-2.5-flare", word) for word in ("low", "medium", "high", "xhigh", "max")
]
USAGE = {"input_tokens": 13, "output_tokens": 196, "total_tokens": 209}
FREE = find("gpt-image-2").parameters["size"]


# Tokens


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_formula_gives_every_published_count(size):
    assert tuple(output_tokens(find(model), size, word) for model, word in COLUMNS) == PUBLISHED[size]


@pytest.mark.parametrize(
    ("size", "printed"),
    [("1024x1024", (6, 53, 211)), ("1536x1024", (5, 41, 165)), ("1024x1536", (5, 41, 165))],
)
def test_the_formula_gives_the_printed_prices_at_the_vendors_rate(size, printed):
    counts = [output_tokens(find("gpt-image-2"), size, word) for word in ("low", "medium", "high")]
    assert tuple(round(count * 30 / 1000) for count in counts) == printed


@pytest.mark.parametrize(("size", "tokens"), [("1024x672", 108), ("1024x736", 133)])
def test_halves_are_rounded_to_the_even_number(size, tokens):
    assert output_tokens(find("gpt-image-2"), size, "low") == tokens


@given(st.integers(1, 240), st.integers(1, 240), st.sampled_from([("low", 16), ("medium", 48), ("high", 96)]))
def test_the_formula_is_exact_for_every_size(columns, rows, quality):
    width, height, (word, base) = columns * 16, rows * 16, quality
    units = round(Fraction(base * min(width, height), max(width, height)))
    expected = ceil(Fraction(base * units * (2_000_000 + width * height), 4_000_000))
    assert output_tokens(find("gpt-image-2"), f"{width}x{height}", word) == expected


@pytest.mark.parametrize(
    ("model", "size", "quality"),
    [
        ("gpt-image-2", "auto", "low"),
        ("gpt-image-2", "1024x1024", "auto"),
        ("gpt-image-2", "1024x1024", "max"),
        ("gpt-image-2.6-flare", "1024x1024", "low"),
        ("gpt-image-1", "512x512", "low"),
        ("gpt-image-1", "1024x1024", "max"),
        ("dall-e-3", "1024x1024", "hd"),
        ("doubao-seedream-4-5-251128", "2048x2048", ""),
        ("flux-2-pro", "1024x1024", "low"),
    ],
)
def test_a_count_nobody_published_is_not_invented(model, size, quality):
    assert output_tokens(find(model), size, quality) is None


def test_the_older_models_count_by_their_table():
    assert output_tokens(find("gpt-image-1"), "1024x1536", "high") == 6240
    assert output_tokens(find("gpt-image-1.5"), "1536x1024", "high") == 6208


@pytest.mark.parametrize(("quality", "printed"), [("low", 11), ("medium", 42), ("high", 167)])
def test_the_older_table_gives_the_printed_prices_within_their_rounding(quality, printed):
    assert find("gpt-image-1").price.picture("1024x1024", quality) / 1000 == pytest.approx(printed, abs=0.75)


# Before the call


def estimate(price_per_image=None, **options):
    return ImageRequest("b" * 84, **options).estimate(price_per_image)


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        # 196 and 7024 tokens at 24 per million, and at most 100 tokens of prompt at 4.
        ({"size": "1024x1024", "quality": "low"}, 4_704, 4_704 + 400),
        ({"size": "1024x1024"}, 4_704, 168_576 + 400),
        ({"size": "1024x1024", "quality": "auto"}, 4_704, 168_576 + 400),
        ({"quality": "low"}, 158 * 24, 4_704 + 400),
        ({}, 158 * 24, 168_576 + 400),
        ({"size": "1024x1024", "quality": "low", "n": 3}, 3 * 4_704, 3 * 4_704 + 400),
        ({"size": "1024x1024", "quality": "low", "stream": True, "partial_images": 2}, 4_704, 9_904),
        ({"model": "gpt-image-2.5-flare", "size": "2048x2048", "quality": "max"}, 428_160, 428_660),
        # The printed price, and 6,240 tokens at 8 per million.
        ({"model": "gpt-image-1-mini", "size": "1024x1536", "quality": "high"}, 49_920, 52_200),
        ({"model": "dall-e-3"}, 40_000, 40_000),
        ({"model": "dall-e-3", "quality": "hd", "size": "1792x1024"}, 120_000, 120_000),
        ({"model": "dall-e-2", "size": "256x256", "n": 2}, 32_000, 32_000),
        ({"model": "qwen-image", "size": "16:9"}, 40_000, 40_000),
    ],
)
def test_the_price_before_the_call(options, low, high):
    assert estimate(**options) == Price(low, high)


PRICED = [model for model in MODELS if model.price is not None and model.price.image_out is not None]


@given(st.sampled_from(PRICED), st.integers(1, 600), st.integers(1, 3), st.data())
def test_no_bill_by_tokens_is_outside_the_price_before_the_call(model, length, n, data):
    size, quality = (
        data.draw(st.sampled_from(model.parameters[name].choices())) for name in ("size", "quality")
    )
    request = ImageRequest("b" * length, model=model.id, n=n, size=size, quality=quality)
    chosen_size = data.draw(st.sampled_from(model.auto_sizes)) if size == "auto" else size
    chosen_quality = data.draw(st.sampled_from(model.auto_qualities)) if quality == "auto" else quality
    made = output_tokens(model, chosen_size, chosen_quality)
    assume(made is not None)
    usage = {"input_tokens": data.draw(st.integers(1, length + 16)), "output_tokens": made * n}
    bill, price = cost_of(request, usage, n), request.estimate()
    assert price.low_micro <= bill <= price.high_micro


@pytest.mark.parametrize(
    "model",
    [
        "gpt-image-2.6-flare",
        "chatgpt-image-latest",
        "doubao-seedream-5-0-260128",
        "gpt-image-3",
        "flux-2-pro",
    ],
)
def test_a_price_nobody_published_is_unknown_unless_it_is_given(model):
    assert str(estimate(model=model)) == "unknown"
    assert estimate(model=model, price_per_image=30_000) == Price(30_000, 30_000)


def test_a_given_price_does_not_replace_a_known_one():
    assert estimate(30_000, model="dall-e-3") == Price(40_000, 40_000)


@pytest.mark.parametrize(
    ("options", "most"),
    [({"max_images": 4}, 4), ({}, 15), ({"max_images": 99}, 15), ({"max_images": "four"}, 15), (None, 15)],
)
def test_a_sequence_of_pictures_is_priced_by_its_most(options, most):
    extra = {"sequential_image_generation": "auto", "sequential_image_generation_options": options}
    price = estimate(30_000, model="doubao-seedream-4-5-251128", extra=extra)
    assert price == Price(30_000, most * 30_000)


# After the call


def paid(usage, images=1, price_per_image=None, **options):
    return cost_of(ImageRequest("boat", **options), usage, images, price_per_image)


def test_the_cost_of_a_call_is_its_tokens_at_the_rates():
    assert paid(USAGE) == 13 * 4 + 196 * 24
    assert paid(USAGE, model="gpt-image-2.6-flare") == 13 * 5 + 196 * 30


def test_the_cost_is_rounded_up_to_a_whole_micro_dollar():
    assert paid({"input_tokens": 1, "output_tokens": 1000}, model="gpt-image-1.5") == 25_607
    assert paid({"input_tokens": 1, "output_tokens": 1001}, model="gpt-image-1.5") == 25_632


def test_tokens_of_pictures_sent_have_their_own_rate():
    usage = {**USAGE, "input_tokens": 110, "input_tokens_details": {"text_tokens": 10, "image_tokens": 100}}
    assert paid(usage) == 10 * 4 + 640 + 196 * 24


@pytest.mark.parametrize("details", [None, "", [], {}, {"image_tokens": None}, {"image_tokens": "9"}])
def test_odd_details_of_a_usage_do_not_matter(details):
    assert paid({**USAGE, "input_tokens_details": details}) == paid(USAGE)


def test_details_that_contradict_the_sum_never_make_a_cost_smaller():
    assert paid({**USAGE, "input_tokens_details": {"image_tokens": 999}}) >= paid(USAGE)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"output_tokens": 196},
        {"input_tokens": 13},
        {"input_tokens": None, "output_tokens": None},
        {"input_tokens": "13", "output_tokens": "196"},
        {"input_tokens": 13, "output_tokens": -1},
        {"input_tokens": True, "output_tokens": 1},
        {"input_tokens": 13, "output_tokens": 10**30},
        {"generated_images": 1, "output_tokens": 16384, "total_tokens": 16384},
    ],
)
def test_a_usage_that_does_not_count_leaves_the_cost_unknown(usage):
    assert paid(usage) is None
    assert paid(usage, images=2, price_per_image=30_000) == 60_000


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        {"input_tokens": 0, "output_tokens": 0, "input_tokens_details": {"image_tokens": 0}},
        {"input_tokens": 13, "output_tokens": 0},
        {"input_tokens": 13, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 80},
    ],
)
@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-1.5"])
def test_a_usage_below_half_of_the_lowest_price_leaves_the_cost_unknown(usage, model):
    options = {"model": model, "size": "1024x1024", "quality": "low"}
    assert paid(usage, **options) is None
    assert paid(usage, price_per_image=1, **options) is None


def test_the_lowest_price_is_of_every_picture_that_came():
    options = {"model": "gpt-image-2", "size": "1024x1024", "quality": "low"}
    assert paid(USAGE, **options) == paid(USAGE, images=2, **options)
    assert paid(USAGE, images=3, **options) is None


def test_without_a_price_of_a_picture_a_usage_is_believed():
    assert paid({"input_tokens": 1, "output_tokens": 1}, model="gpt-image-2.6-flare") == 35


def test_printed_prices_need_no_usage():
    assert paid(None, model="dall-e-3", quality="hd") == 80_000
    assert paid(None, images=2, model="dall-e-2", n=2, size="512x512") == 36_000
    assert paid({}, model="qwen-image") == 40_000


def test_what_the_table_cannot_price_costs_what_was_given():
    assert paid(None, model="doubao-seedream-4-5-251128") is None
    assert (
        paid({"generated_images": 3}, images=3, price_per_image=30_000, model="doubao-seedream-4-5-251128")
        == 90_000
    )


@given(st.dictionaries(st.sampled_from([*USAGE, "input_tokens_details"]), st.one_of(st.none(), st.integers(),
       st.text(), st.floats(), st.dictionaries(st.just("image_tokens"), st.integers()))))  # fmt: skip
def test_no_usage_breaks_the_counting(usage):
    cost = paid(usage)
    assert cost is None or cost >= 0


# Amounts


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "$0.00"),
        (4_704, "$0.0047"),
        (6_000, "$0.006"),
        (40_000, "$0.04"),
        (211_000, "$0.211"),
        (500_000, "$0.50"),
        (12, "$0.000012"),
        (1_000_000, "$1.00"),
        (1_234_567, "$1.23"),
        (12_500_000, "$12.50"),
        (None, "unknown"),
    ],
)
def test_an_amount_reads_as_people_write_it(micro, text):
    assert dollars(micro) == text


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Price(6_000, 211_000), "$0.006 to $0.211"),
        (Price(4_704, 4_704), "$0.0047"),
        (Price(4_704, 4_705), "$0.0047"),
        (Price(4_704, 5_104), "at most $0.0051"),
        (Price(0, 400), "$0.00 to $0.0004"),
        (Price(None, None), "unknown"),
        (Price(5, None), "unknown"),
    ],
)
def test_a_price_reads_as_one_amount_or_a_range(price, text):
    assert str(price) == text


def test_prices_add_up_and_one_unknown_part_makes_the_sum_unknown():
    assert Price(1, 2) + Price(3, 4) == Price(4, 6)
    assert not (Price(1, 2) + Price(None, None)).known


@pytest.mark.parametrize(
    ("text", "micro"),
    [("5", 5_000_000), ("$0.50", 500_000), (5.0, 5_000_000), (0, 0), (" 1.25 ", 1_250_000), (0.1, 100_000)],
)
def test_an_amount_is_read_in_dollars(text, micro):
    assert parse_dollars(text) == micro


@pytest.mark.parametrize("text", ["", "abc", "-1", float("nan"), float("inf"), "1e99", True, None, "5 EUR"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InvalidRequestError, match=r"it must be an amount in USD, such as 0\.50") as caught:
        parse_dollars(text, name="max_cost_day")
    assert caught.value.param == "max_cost_day"


@given(st.integers(0, 10**12))
def test_an_amount_survives_being_written_in_full(micro):
    assert parse_dollars(f"{micro // 10**6}.{micro % 10**6:06d}") == micro
