"""The table and its rules, against facts from outside: the vendor's schema, its own examples, its own messages."""

import json
from dataclasses import FrozenInstanceError
from datetime import date
from math import log
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic import catalog
from comet_magic.catalog import Boolean, Choice, FreeSize, Interval, SizeList, Text, find, resolve_size
from comet_magic.errors import InvalidRequestError
from comet_magic.preset_files import SHIPPED
from comet_magic.request import options

SCHEMA = json.loads(
    (Path(__file__).parent / "data" / "create_image_request.json").read_text(encoding="utf-8")
)
FREE = find("gpt-image-2").parameters["size"]
SIZED = [model for model in catalog.MODELS if "size" in model.parameters]
EVERY_SIZED_MODEL = pytest.mark.parametrize("model", SIZED, ids=lambda model: model.id)
EVERY_MODEL = pytest.mark.parametrize("model", catalog.MODELS, ids=lambda model: model.id)


def schema_enum(name):
    """The words the vendor's schema has for a parameter, None where it is open."""
    ways = SCHEMA["properties"][name].get("anyOf", [SCHEMA["properties"][name]])
    words = [way["enum"] for way in ways if "enum" in way]
    return words[0] if words else None


# What editors offer


def offered(alias):
    """The values of a `Literal[...] | str`."""
    literal, text = get_args(alias)
    assert text is str
    return get_args(literal)


@pytest.mark.parametrize(
    ("name", "alias", "more"),
    [
        ("size", options.SizeText, (*catalog.SIZE_WORDS, *catalog.RATIOS)),
        ("quality", options.Quality, ()),
        ("style", options.Style, ()),
        ("background", options.Background, ()),
        ("output_format", options.OutputFormat, ()),
        ("response_format", options.ResponseFormat, ()),
        ("moderation", options.Moderation, ()),
        ("input_fidelity", options.InputFidelity, ()),
    ],
)
def test_editors_offer_the_values_that_some_model_takes(name, alias, more):
    rules = [rule for model in catalog.MODELS if (rule := model.rule(name))]
    values = {word for rule in rules for word in rule.choices()} | set(more)
    assert set(offered(alias)) == values
    assert len(offered(alias)) == len(values)


def test_editors_offer_the_models_and_the_styles():
    assert offered(options.ModelId) == tuple(model.id for model in catalog.MODELS)
    assert offered(options.PresetName) == tuple(SHIPPED)


# Rules


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (Choice(("low", "medium", "high", "auto")), "low, medium, high or auto"),
        (Choice(("standard",)), "standard"),
        (Interval(1, 1), "1"),
        (Interval(0, 100), "0 to 100"),
        (Boolean(), "true or false"),
        (Text(), "a text of one line"),
        (SizeList(("1024x1024", "512x512"), words=("auto",)), "auto, 1024x1024 or 512x512"),
        (FREE, "auto or WIDTHxHEIGHT in multiples of 16 up to 3840, at most 3:1, 655360 to 8294400 pixels"),
    ],
)
def test_a_rule_ends_the_sentence(rule, sentence):
    assert str(rule) == sentence


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Choice(("low", "high")), ["low"], ["Low", "", None, 1, ["low"]]),
        (Interval(1, 10), [1, 10], [0, 11, True, 1.0, "1", None]),
        (Boolean(), [True, False], [0, 1, "true", None]),
        (Text(), ["somebody-7", "2K"], ["", "  ", "two\nlines", "\ud800", 7, None]),
        (SizeList(("1024x1024",), words=("auto",)), ["auto", "1024x1024"], ["1024x1025", "AUTO", 1024, None]),
        (FREE, ["auto", "1024x1024"], ["big", "1024", "1024x", "0x0", "1024x1024 ", None, (1024, 1024)]),
    ],
)
def test_a_rule_admits_what_the_model_takes_and_nothing_else(rule, good, bad):
    assert [value for value in good if not rule.admits(value)] == []
    assert [value for value in bad if rule.admits(value)] == []


def test_a_rule_offers_its_words_and_the_nearest_of_them():
    assert Choice(("low", "high")).choices() == ("low", "high")
    assert Choice(("low", "high")).nearest("hgih") == "high"
    assert Choice(("low", "high")).nearest("HIGH") == "high"
    assert Choice(("low", "high")).nearest(3) is None
    assert Boolean().choices() == Text().choices() == ()
    assert Text().nearest("x") is None


def test_words_are_listed_as_a_sentence_lists_them():
    assert str(Choice(("a", "b", "c"))) == "a, b or c"
    assert str(Choice(("a", "b"))) == "a or b"
    assert str(Choice(("a",))) == "a"


# The table


@EVERY_MODEL
def test_every_parameter_of_the_table_is_in_the_vendors_schema_with_its_words(model):
    for name, rule in model.parameters.items():
        assert name in SCHEMA["properties"]
        words = schema_enum(name)
        if isinstance(rule, Choice) and words:
            assert set(rule.options) <= set(words), name


@EVERY_MODEL
def test_every_model_says_how_it_answers_and_where_that_is_written(model):
    assert model.source.startswith("https://")
    assert model.prompt_limit >= 1_000
    assert 1 <= model.n.high <= 10
    assert model.needs_input or model.parameters["size"].admits(model.auto_sizes[0])
    assert ("response_format" in model.parameters) <= (model.answers == "either")
    assert model.price is None or (
        model.price.source.startswith("https://") and date.fromisoformat(model.price.date)
    )


def test_every_model_of_the_vendors_schema_is_in_the_table():
    for model_id in schema_enum("model"):
        model = find(model_id)
        assert (model.id, model.known, model.assumed) == (model_id, True, False)


def test_the_default_model_is_in_the_table_and_still_served():
    assert find(catalog.DEFAULT_MODEL).retired is None
    assert find(catalog.DEFAULT_MODEL).known


def test_the_table_has_no_id_twice():
    ids = [name for model in catalog.MODELS for name in (model.id, *model.snapshots)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("stream", {"gpt-image"}),
        ("background", {"gpt-image"}),
        ("style", {"dall-e-3"}),
        ("response_format", {"dall-e-2", "dall-e-3", "seedream"}),
    ],
)
def test_a_parameter_belongs_to_the_families_the_vendor_names(name, models):
    assert {model.family for model in catalog.MODELS if name in model.parameters} == models


@pytest.mark.parametrize(
    ("model", "formats"),
    [
        ("doubao-seedream-5-0-260128", ("jpeg", "png")),
        ("doubao-seedream-4-5-251128", None),
        ("bytedance-seedream-4-0-250828", None),
    ],
)
def test_of_seedream_only_the_fifth_takes_a_format(model, formats):
    rule = find(model).parameters.get("output_format")
    assert (rule.choices() if rule else None) == formats


def test_quality_words_grow_with_the_generation():
    words = {
        model_id: find(model_id).parameters["quality"].choices()
        for model_id in ("gpt-image-1", "gpt-image-2")
    }
    assert set(words.values()) == {("low", "medium", "high", "auto")}
    assert find("gpt-image-2.5-flare").parameters["quality"].admits("max")
    assert find("gpt-image-2.6-sunburst").parameters["quality"].admits("xhigh")


def test_values_of_the_table_are_frozen_and_hashable():
    model = find("gpt-image-2")
    assert len({*catalog.MODELS, *model.parameters.values(), model.price}) > len(catalog.MODELS)
    with pytest.raises(FrozenInstanceError):
        model.id = "other"
    with pytest.raises(TypeError):
        model.parameters["n"] = Interval(1, 100)


# Finding a model


def test_a_snapshot_is_its_model_under_its_own_id():
    snapshot, model = find("gpt-image-2-2026-04-21"), find("gpt-image-2")
    assert snapshot.id == "gpt-image-2-2026-04-21"
    assert (snapshot.parameters, snapshot.price, snapshot.assumed) == (model.parameters, model.price, False)


@pytest.mark.parametrize(
    ("model_id", "relative"),
    [
        ("gpt-image-3", "gpt-image-2.6-flare"),
        ("gpt-image-3-sunburst", "gpt-image-2.6-sunburst"),
        ("chatgpt-image-next", "gpt-image-2.6-flare"),
        ("dall-e-4", "dall-e-3"),
        ("qwen-image-max", "qwen-image"),
        ("doubao-seedream-6-0-270101", "doubao-seedream-5-0-260128"),
    ],
)
def test_an_unlisted_id_of_a_family_follows_its_newest_and_says_so(model_id, relative):
    model = find(model_id)
    assert (model.id, model.assumed, model.known) == (model_id, True, True)
    assert model.parameters == find(relative).parameters
    assert (model.price, model.retired) == (None, None)
    assert relative in model.notice


def test_an_unlisted_snapshot_follows_its_own_model_and_price():
    model = find("gpt-image-1.5-2025-12-16")
    assert model.assumed
    assert "gpt-image-1.5" in model.notice
    assert (model.price, model.retired) == (find("gpt-image-1.5").price, date(2026, 12, 1))


def test_an_unknown_model_passes_everything_and_says_so():
    model = find("flux-2-pro")
    assert not model.known
    assert set(model.parameters) == set(catalog.WIRE_PARAMETERS) - {"model", "prompt"}
    assert model.parameters["quality"].admits("ultra")
    assert "server decides" in model.notice
    assert model.price is None


def test_an_unknown_model_that_looks_like_a_known_one_is_asked_about():
    assert find("gpt-imag-2").notice.endswith("did you mean gpt-image-2?")


# Sizes


@pytest.mark.parametrize(
    "size",
    ["1024x1024", "1536x1024", "1024x1536", "2048x2048", "2048x1152", "3840x2160", "2160x3840", "1360x768"],
)
def test_the_vendors_own_sizes_are_taken(size):
    assert FREE.admits(size)


@pytest.mark.parametrize("size", ["4096x4096", "576x1024", "1920x1080", "1366x768", "3840x2400", "3200x1040"])
def test_what_the_vendor_refuses_is_refused(size):
    assert not FREE.admits(size)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_rule_of_free_sizes_is_the_vendors(width, height):
    long, short = max(width, height), min(width, height)
    legal = (
        width % 16 == height % 16 == 0
        and long / short <= 3
        and long <= 3840
        and 655_360 <= width * height <= 8_294_400
    )
    assert FREE.admits(f"{width}x{height}") == legal


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ("1920x1080", "1920x1088"),
        ("1366x768", "1360x768"),
        ("1080x1920", "1088x1920"),
        ("4096x4096", "2880x2880"),
        ("512x512", "816x816"),
        ("1000x1000", "1008x1008"),
        ("4000x1000", "3456x1152"),
        ("1024x1024", "1024x1024"),
        ("999999x1", "1728x576"),
    ],
)
def test_the_nearest_size_is_the_one_that_takes_the_least_stretching(size, nearest):
    assert FREE.nearest(size) == nearest


@pytest.mark.parametrize("value", ["auto", "16:9", "big", "1234567x1", "0x10", None, 7])
def test_what_is_no_size_has_no_nearest(value):
    assert FREE.nearest(value) is None
    assert SizeList(("1024x1024",)).nearest(value) is None


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_the_nearest_size_is_always_legal_and_stays_when_it_is_near(width, height):
    near = FREE.nearest(f"{width}x{height}")
    assert FREE.admits(near)
    assert FREE.nearest(near) == near


SMALL = FreeSize(grid=16, ratio=3, edge=320, low=4_096, high=40_000, usual=("128x128",))
SMALL_SIZES = [
    (width, height)
    for width in range(16, 321, 16)
    for height in range(16, 321, 16)
    if SMALL.admits(f"{width}x{height}")
]


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_no_legal_size_is_nearer_than_the_nearest(width, height):
    def stretch(size):
        return log(size[0] / width) ** 2 + log(size[1] / height) ** 2

    near = tuple(int(edge) for edge in SMALL.nearest(f"{width}x{height}").split("x"))
    assert stretch(near) == pytest.approx(min(stretch(size) for size in SMALL_SIZES))


@given(st.sampled_from(SIZED), st.integers(1, 9000), st.integers(1, 9000))
def test_every_model_has_a_legal_nearest_for_any_size(model, width, height):
    rule = model.parameters["size"]
    assert rule.admits(rule.nearest(f"{width}x{height}"))


@EVERY_SIZED_MODEL
def test_every_size_that_is_offered_is_taken(model):
    rule = model.parameters["size"]
    assert [size for size in rule.choices() if not rule.admits(size)] == []


@pytest.mark.parametrize(
    ("model", "word", "size"),
    [
        ("gpt-image-2", "square", "1024x1024"),
        ("gpt-image-2", "landscape", "1536x1024"),
        ("gpt-image-2", "portrait", "1024x1536"),
        ("gpt-image-2", "1:1", "1024x1024"),
        ("gpt-image-2", "3:2", "1536x1024"),
        ("gpt-image-2", "16:9", "1536x864"),
        ("gpt-image-2", "9:16", "864x1536"),
        ("gpt-image-2", "3:1", "1776x592"),
        ("gpt-image-2", " Square ", "1024x1024"),
        ("gpt-image-2", "1536\N{MULTIPLICATION SIGN}1024", "1536x1024"),
        ("gpt-image-2", "1024X1536", "1024x1536"),
        ("gpt-image-2", "AUTO", "auto"),
        ("gpt-image-2", "1920x1080", "1920x1080"),
        ("gpt-image-1", "16:9", "1536x1024"),
        ("gpt-image-1", "9:16", "1024x1536"),
        ("gpt-image-1", "1.1:1", "1024x1024"),
        ("doubao-seedream-5-0-260128", "16:1", "8192x512"),
        ("dall-e-3", "landscape", "1792x1024"),
        ("dall-e-2", "square", "1024x1024"),
        ("qwen-image", "16:9", "1664x928"),
        ("doubao-seedream-4-5-251128", "16:9", "2560x1440"),
        ("doubao-seedream-4-5-251128", "2k", "2K"),
        ("flux-2-pro", "16:9", "16:9"),
        ("flux-2-pro", "square", "square"),
    ],
)
def test_a_word_or_a_ratio_becomes_a_size_of_the_model(model, word, size):
    assert resolve_size(find(model), word) == size


@pytest.mark.parametrize(("word", "said"), [("1:4", "ratios up to 3:1"), ("4:1", "ratios up to 3:1")])
def test_a_ratio_beyond_the_model_is_refused_with_a_sentence(word, said):
    with pytest.raises(InvalidRequestError, match=f"size is {word}; gpt-image-2 takes {said}") as caught:
        resolve_size(find("gpt-image-2"), word)
    assert caught.value.param == "size"


def test_a_model_with_squares_only_does_not_sell_a_square_as_a_landscape():
    with pytest.raises(
        InvalidRequestError, match="size is 16:9; dall-e-2 takes 1024x1024, 512x512 or 256x256"
    ):
        resolve_size(find("dall-e-2"), "16:9")


@given(st.sampled_from(SIZED), st.floats(0.34, 2.99))
def test_every_ratio_becomes_a_legal_size_of_its_orientation(model, ratio):
    if model.id == "dall-e-2":
        return
    rule = model.parameters["size"]
    size = rule.of_ratio(ratio)
    width, height = (int(edge) for edge in size.split("x"))
    assert rule.admits(size)
    assert (width - height) * (ratio - 1) >= 0


@given(st.floats(1 / 3, 3))
def test_a_free_size_of_a_ratio_is_close_to_it_and_of_about_a_megapixel(ratio):
    width, height = (int(edge) for edge in FREE.of_ratio(ratio).split("x"))
    assert 1024 * 1024 <= width * height <= 1.5 * 1024 * 1024
    assert abs(log(width / height / ratio)) < 0.01


@pytest.mark.parametrize("text", ["0:1", "1:0", "16:", "a:b", "16:9:4"])
def test_what_is_no_ratio_passes_through_to_the_check(text):
    assert resolve_size(find("gpt-image-2"), text) == text


def test_the_words_and_ratios_that_are_offered_work_with_the_default_model():
    model = find(catalog.DEFAULT_MODEL)
    for word in (*catalog.SIZE_WORDS, *catalog.RATIOS):
        assert model.parameters["size"].admits(resolve_size(model, word))


# The table on paper


def test_the_markdown_table_has_every_model_once_and_equal_columns():
    lines = catalog.model_table().splitlines()
    assert {line.count(" | ") for line in lines} == {8}
    assert [catalog.model_table().count(f"`{model.id}`") for model in catalog.MODELS] == [1] * len(
        catalog.MODELS
    )


def test_the_markdown_table_tells_price_and_end():
    rows = {line.split(" | ")[0].strip("| "): line for line in catalog.model_table().splitlines()}
    assert "$0.0047 to $0.1686" in rows["`gpt-image-2`"]
    assert "2026-05-12" in rows["`dall-e-3`"]
    assert "unknown" in rows["`gpt-image-2.6-flare`, `gpt-image-2.6-sunburst`"]
