"""The request: what is refused and in which words, what goes on the wire, the key, the way through JSON, the plan."""

import json
import pickle
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic import catalog
from comet_magic.errors import InvalidRequestError
from comet_magic.request import CALL_OPTIONS, INPUT_OPTIONS, Extra, ImageRequest, Options, requests_of
from tests.examples import fewer

SCHEMA = json.loads(
    (Path(__file__).parent / "data" / "create_image_request.json").read_text(encoding="utf-8")
)
VENDOR = jsonschema.Draft202012Validator(SCHEMA)
MODEL_IDS = [name for model in catalog.MODELS for name in (model.id, *model.snapshots)]
EVERY_MODEL = pytest.mark.parametrize("model", MODEL_IDS)
TEXT = st.text("ab \"'{}\\é船⛵", max_size=20).map(lambda text: f"x{text}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
EXTRA = st.dictionaries(TEXT, JSON, max_size=3)


@st.composite
def options_of(draw, model_id):
    """Options a model takes, each alone and all together."""
    chosen = {"model": model_id}
    for name, rule in catalog.find(model_id).parameters.items():
        if not draw(st.booleans()):
            continue
        if rule.kind == "integer":
            chosen[name] = draw(st.integers(rule.low, rule.high))
        elif rule.kind == "boolean":
            chosen[name] = draw(st.booleans())
        else:
            chosen[name] = draw(st.sampled_from(rule.choices()) if rule.choices() else TEXT)
    return _made_to_agree(chosen)


def _made_to_agree(chosen):
    if not chosen.get("stream"):
        chosen.pop("partial_images", None)
    elif "n" in chosen:
        chosen["n"] = 1
    if chosen.get("output_format", "png") == "png":
        chosen.pop("output_compression", None)
    if chosen.get("output_format") == "jpeg" and chosen.get("background") == "transparent":
        chosen["background"] = "opaque"
    return chosen


OPTIONS = st.sampled_from(MODEL_IDS).flatmap(options_of)


def refusal(prompt="boat", **options):
    with pytest.raises(InvalidRequestError) as caught:
        ImageRequest(prompt, **options)
    assert caught.value.outcome == "not_sent"
    assert not str(caught.value).endswith(".")
    return caught.value


# What is refused, and how it is said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "qwen-image", "n": 4}, "n is 4; qwen-image takes 1"),
        ({"model": "dall-e-3", "n": 2}, "n is 2; dall-e-3 takes 1"),
        ({"n": 11}, "n is 11; gpt-image-2 takes 1 to 10"),
        ({"n": True}, "n is true; gpt-image-2 takes 1 to 10"),
        ({"n": 2.5}, "n is 2.5; gpt-image-2 takes 1 to 10"),
        ({"n": "two"}, "n is the text two; gpt-image-2 takes 1 to 10"),
        ({"n": [2]}, "n is of type list; gpt-image-2 takes 1 to 10"),
        ({"quality": "ultra"}, "quality is ultra; gpt-image-2 takes low, medium, high or auto"),
        ({"quality": ""}, "quality is empty; gpt-image-2 takes low, medium, high or auto"),
        ({"quality": "max"}, "quality is max; gpt-image-2 takes low, medium, high or auto"),
        ({"model": "dall-e-2", "quality": "hd"}, "quality is hd; dall-e-2 takes standard"),
        ({"style": "vivid"}, "style is vivid; gpt-image-2 takes no style"),
        ({"stream": True, "model": "qwen-image"}, "stream is true; qwen-image takes no stream"),
        ({"stream": "yes"}, "stream is the text yes; gpt-image-2 takes true or false"),
        ({"stream": "true"}, "stream is the text true; gpt-image-2 takes true or false"),
        ({"n": "2"}, "n is the text 2; gpt-image-2 takes 1 to 10"),
        ({"output_compression": "90"}, "output_compression is the text 90; gpt-image-2 takes 0 to 100"),
        ({"background": "blue"}, "background is blue; gpt-image-2 takes transparent, opaque or auto"),
        ({"moderation": "none"}, "moderation is none; gpt-image-2 takes low or auto"),
        (
            {"output_compression": 101, "output_format": "jpeg"},
            "output_compression is 101; gpt-image-2 takes 0 to 100",
        ),
        ({"partial_images": 4, "stream": True}, "partial_images is 4; gpt-image-2 takes 0 to 3"),
        (
            {"model": "dall-e-2", "size": "600x500"},
            "size is 600x500; dall-e-2 takes 1024x1024, 512x512 or 256x256, nearest 512x512",
        ),
        ({"size": 1024}, f"size is 1024; gpt-image-2 takes {catalog.find('gpt-image-2').parameters['size']}"),
        ({"output_format": "bmp"}, "output_format is bmp; gpt-image-2 takes png, jpeg or webp"),
    ],
)
def test_a_value_the_model_does_not_take_is_refused_with_what_it_takes(options, message):
    error = refusal(**options)
    assert str(error) == message
    assert error.param == message.split(" ", 1)[0]


def test_a_size_off_the_grid_is_refused_with_the_nearest():
    error = refusal(size="1920x1080")
    assert str(error).endswith(", nearest 1920x1088")
    assert error.hint == "Use size 1920x1088."
    assert error.param == "size"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"quality": "hihg"}, "Did you mean high?"),
        ({"quality": "Low"}, "Did you mean low?"),
        ({"size": "sqaure"}, "Did you mean square?"),
        ({"size": "zzz"}, ""),
        ({"background": "purple"}, ""),
    ],
)
def test_a_misspelt_value_is_asked_about(options, hint):
    assert refusal(**options).hint == hint


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-2.6-flare", "flux-2-pro"])
@pytest.mark.parametrize("picture", ["gif", "svg"])
def test_pictures_that_would_never_be_opened_are_refused(model, picture):
    error = refusal(model=model, output_format=picture)
    assert str(error) == f"output_format is {picture}; it must be png, jpeg or webp"


@pytest.mark.parametrize("name", ["svg", "frame_count", "frame_duration_ms"])
def test_nor_can_they_be_asked_for_through_extra(name):
    assert refusal(model="gpt-image-2.6-flare", extra={name: 2}).param == name


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_compression": 50, "output_format": "png"}, "output_compression"),
        ({"partial_images": 2}, "partial_images"),
        ({"partial_images": 2, "stream": False}, "partial_images"),
        ({"stream": True, "n": 2}, "n"),
        ({"model": "flux-2-pro", "stream": True, "n": 2}, "n"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(options, param):
    assert refusal(**options).param == param


@pytest.mark.parametrize("output_format", [None, "png", "webp"])
def test_a_transparent_background_goes_with_png_and_webp(output_format):
    body = ImageRequest("boat", background="transparent", output_format=output_format).body()
    assert body["background"] == "transparent"


@pytest.mark.parametrize(
    "model", [model.id for model in catalog.MODELS if "response_format" not in model.parameters]
)
def test_response_format_is_refused_where_the_vendor_would_call_it_unknown(model):
    error = refusal(model=model, response_format="b64_json")
    assert str(error) == f"response_format is b64_json; {model} takes no response_format"
    assert "Leave it out" in error.hint


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt is empty; say what the picture shows"),
        (" \n\t ", "prompt is empty; say what the picture shows"),
        (None, "prompt is of type NoneType; it must be a text"),
        (7, "prompt is 7; it must be a text"),
        ("a\x00b", "prompt contains U+0000 at character 2, which cannot be sent"),
        ("boat \x1b[31m", "prompt contains U+001B at character 6, which cannot be sent"),
        ("half \ud83d", "prompt contains U+D83D at character 6, which cannot be sent"),
        ("b" * 32_001, "prompt has 32001 characters; gpt-image-2 takes 32000"),
    ],
)
def test_a_prompt_that_cannot_be_meant_is_refused(prompt, message):
    error = refusal(prompt)
    assert (str(error), error.param) == (message, "prompt")


@pytest.mark.parametrize(
    "prompt", ['it\'s "$5"; 100%', "{a}\n\ttwo lines\r\n", "小船在水上", "⛵" * 100, "b" * 32_000]
)
def test_a_prompt_goes_on_the_wire_as_it_is(prompt):
    assert ImageRequest(prompt).body()["prompt"] == prompt


def test_older_models_take_shorter_prompts():
    assert refusal("b" * 1_001, model="dall-e-2").param == "prompt"
    assert refusal("b" * 4_001, model="dall-e-3").param == "prompt"


@pytest.mark.parametrize("model", ["", "  ", "a\nb", "m" * 201, None, 3, "\ud800"])
def test_an_id_that_is_none_is_refused(model):
    assert refusal(model=model).param == "model"


def test_messages_repeat_values_shortened_and_on_one_line():
    assert len(str(refusal(quality="x" * 500))) < 200
    assert "\n" not in str(refusal(quality="a\nb"))
    assert "very many digits" in str(refusal(n=10**5000))


@fewer
@given(OPTIONS, st.sampled_from(catalog.WIRE_PARAMETERS[2:]), JSON)
def test_no_value_gets_past_the_check_but_by_its_rule(options, name, value):
    rule = catalog.find(options["model"]).parameters.get(name)
    with suppress(InvalidRequestError):
        sent = getattr(ImageRequest("boat", **{**options, name: value}), name)
        assert sent is None or rule.admits(sent)


# Extra


@pytest.mark.parametrize("name", catalog.WIRE_PARAMETERS)
def test_extra_cannot_override_a_parameter_with_a_name_of_its_own(name):
    error = refusal(extra={name: "x"})
    assert str(error) == f"extra contains {name}; set it by its own name"
    assert error.param == name


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"seed": float("nan")}, "extra cannot be sent: it is not JSON (ValueError)"),
        ({"seed": {1, 2}}, "extra cannot be sent: it is not JSON (TypeError)"),
        ({"seed": "\ud800"}, "extra cannot be sent: it contains half a character"),
        ({7: "seed"}, "extra must be a mapping of names to JSON values"),
        (["seed"], "extra must be a mapping of names to JSON values"),
        ({" ": 1}, "extra contains a parameter without a name"),
    ],
)
def test_what_is_no_json_is_refused(extra, message):
    error = refusal(extra=extra)
    assert (str(error), error.param) == (message, "extra")


def test_json_without_end_is_refused():
    endless = {}
    endless["again"] = endless
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert refusal(extra={"a": endless}).param == "extra"
    assert refusal(extra={"a": deep}).param == "extra"


def test_extra_goes_on_the_wire_beside_the_others():
    request = ImageRequest(
        "boat", model="doubao-seedream-4-5-251128", extra={"watermark": False, "guidance_scale": 2.5}
    )
    assert request.body() == {
        "model": "doubao-seedream-4-5-251128",
        "prompt": "boat",
        "watermark": False,
        "guidance_scale": 2.5,
    }


def test_extra_cannot_be_changed_from_outside_or_inside():
    given_values = {"options": {"max_images": 2}}
    request = ImageRequest("boat", extra=given_values)
    given_values["options"]["max_images"] = 9
    request.extra["options"]["max_images"] = 9
    request.body()["options"]["max_images"] = 9
    assert request.body()["options"] == {"max_images": 2}


def test_extras_are_equal_when_their_text_is():
    assert Extra({"a": 1, "b": 2}) == Extra({"b": 2, "a": 1})
    assert hash(Extra({"a": 1, "b": 2})) == hash(Extra({"b": 2, "a": 1}))
    assert Extra({"a": 1}) != Extra({"a": True})
    assert Extra() != {}
    assert repr(Extra({"a": 1})) == "{'a': 1}"
    assert isinstance(Extra(), Mapping)


# The wire


def test_what_is_not_set_is_not_sent():
    assert ImageRequest("boat").body() == {"model": "gpt-image-2", "prompt": "boat"}
    assert ImageRequest("boat", n=1, stream=False, extra=None).body() == {
        "model": "gpt-image-2",
        "prompt": "boat",
    }


def test_none_is_the_same_as_not_set():
    unset = {member.name: None for member in fields(ImageRequest) if member.name not in ("prompt", "model")}
    assert ImageRequest("boat", **unset) == ImageRequest("boat")


def test_what_is_set_is_sent_as_it_is():
    request = ImageRequest(
        "boat", n=2, size="landscape", quality="low", output_format="webp", output_compression=0
    )
    assert request.body() == {
        "model": "gpt-image-2",
        "prompt": "boat",
        "n": 2,
        "size": "1536x1024",
        "quality": "low",
        "output_format": "webp",
        "output_compression": 0,
    }


@fewer
@given(OPTIONS, TEXT)
def test_every_body_is_what_the_vendors_schema_describes(options, prompt):
    body = ImageRequest(prompt, **options).body()
    VENDOR.validate(body)
    assert set(body) <= set(SCHEMA["properties"])
    assert None not in body.values()


@EVERY_MODEL
def test_every_value_the_table_offers_makes_a_body_of_the_schema(model):
    for name, rule in catalog.find(model).parameters.items():
        for word in rule.choices():
            body = ImageRequest("boat", model=model, **{name: word}).body()
            VENDOR.validate(body)
            assert body[name] == word


def test_an_unknown_model_gets_whatever_was_given():
    options = {
        "size": "16:9",
        "quality": "ultra",
        "style": "noir",
        "output_compression": 50,
        "response_format": "url",
    }
    request = ImageRequest("boat", model="flux-2-pro", n=20, **options)
    assert request.body() == {"model": "flux-2-pro", "prompt": "boat", "n": 20, **options}


# The value


def test_a_request_is_frozen_hashable_and_comparable():
    request = ImageRequest("boat", size="16:9", extra={"seed": 1})
    assert len({request, ImageRequest("boat", size="1536x864", extra={"seed": 1})}) == 1
    with pytest.raises(FrozenInstanceError):
        request.n = 2


def test_replacing_a_part_checks_the_whole_again():
    with pytest.raises(InvalidRequestError, match="quality is max"):
        replace(ImageRequest("boat", model="gpt-image-2.6-flare", quality="max"), model="gpt-image-2")


@fewer
@given(OPTIONS, TEXT, EXTRA)
def test_a_request_survives_json_pickle_and_copying(options, prompt, extra):
    request = ImageRequest(prompt, **options, extra=extra)
    assert ImageRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert pickle.loads(pickle.dumps(request)) == request
    assert deepcopy(request) == request


def test_a_null_in_the_facts_is_the_same_as_not_set():
    assert ImageRequest.from_dict({"prompt": "boat", "n": None, "size": None, "extra": None}) == ImageRequest(
        "boat"
    )


def test_a_request_of_an_older_table_comes_back_unchecked():
    request = ImageRequest.from_dict({"prompt": "boat", "model": "gpt-image-2", "quality": "retired-word"})
    assert request.body()["quality"] == "retired-word"
    assert not request.estimate().known


@pytest.mark.parametrize(
    ("facts", "param"), [({"prompt": "boat", "sise": "1x1"}, "sise"), ({"model": "gpt-image-2"}, "prompt")]
)
def test_facts_that_are_no_request_are_refused(facts, param):
    with pytest.raises(InvalidRequestError) as caught:
        ImageRequest.from_dict(facts)
    assert caught.value.param == param


# The key


def key(vendor="cometapi", prompt="boat", **options):
    return ImageRequest(prompt, **options).key(vendor)


def test_the_key_of_a_request_never_changes():
    """Archives are found by it: a change here makes every paid picture of every user unfindable."""
    assert key() == "3aef79c18982931d5342e2957dd9d7e9f9af7d7b4edca9bcca1cda4d6f1d4041"
    full = {"size": "16:9", "quality": "low", "output_format": "jpeg", "extra": {"b": [1, 2.5], "a": "ö"}}
    assert key(**full) == "5806c0a153eb48921e1d76260232814f20b671f25ba268eea289624db4903817"


@pytest.mark.parametrize(
    "options",
    [
        {"n": 3},
        {"user": "somebody"},
        {"stream": True},
        {"stream": True, "partial_images": 2},
        {"extra": {"safety_identifier": "x"}},
    ],
)
def test_how_many_who_and_which_way_are_not_in_the_key(options):
    assert key(**options) == key()


def test_the_form_of_the_answer_is_not_in_the_key():
    assert key(model="dall-e-3", response_format="url") == key(model="dall-e-3")


@pytest.mark.parametrize(
    "options",
    [
        {"vendor": "sandbox"},
        {"prompt": "boat "},
        {"model": "gpt-image-2-2026-04-21"},
        {"size": "1024x1024"},
        {"quality": "auto"},
        {"background": "opaque"},
        {"output_format": "png"},
        {"moderation": "low"},
        {"extra": {"seed": 1}},
    ],
)
def test_whatever_changes_the_picture_changes_the_key(options):
    assert key(**options) != key()


def test_one_and_true_are_two_keys():
    assert len({key(extra={"seed": value}) for value in (1, True, "1", 1.5)}) == 4


@fewer
@given(OPTIONS, TEXT, EXTRA, st.randoms())
def test_the_key_is_the_same_whatever_the_order_and_the_journey(options, prompt, extra, random):
    request = ImageRequest(prompt, **options, extra=extra)
    shuffled = list(extra.items())
    random.shuffle(shuffled)
    again = ImageRequest(prompt, **dict(reversed(options.items())), extra=dict(shuffled))
    assert request.key("cometapi") == again.key("cometapi")
    assert request.key("cometapi") == ImageRequest.from_dict(request.to_dict()).key("cometapi")


@fewer
@given(OPTIONS, OPTIONS)
def test_two_requests_share_a_key_only_when_their_pictures_do(one, other):
    asked = {"n", "user", "stream", "partial_images", "response_format"}
    pictures = [{name: value for name, value in each.items() if name not in asked} for each in (one, other)]
    assert (key(**one) == key(**other)) == (pictures[0] == pictures[1])


# What a user should know


@pytest.mark.parametrize(
    ("options", "notices"),
    [
        ({}, ()),
        ({"size": "16:9", "quality": "low"}, ()),
        ({"model": "gpt-image-1.5"}, ("gpt-image-1.5 is retired on 2026-12-01",)),
        ({"model": "dall-e-3"}, ("dall-e-3 is retired on 2026-05-12",)),
        (
            {"background": "transparent"},
            ("a transparent background is a preview on gpt-image-2; it may be refused",),
        ),
        ({"model": "gpt-image-2.5-flare", "background": "transparent"}, ()),
        (
            {"model": "gpt-image-2.6-flare"},
            ("the price of gpt-image-2.6-flare is not known before the call",),
        ),
        (
            {"model": "gpt-image-3"},
            (
                "gpt-image-3 is not in the table; it is checked by the rules of gpt-image-2.6-flare",
                "the price of gpt-image-3 is not known before the call",
            ),
        ),
        (
            {"model": "flux-2-pro"},
            (
                "flux-2-pro is not in the table, so nothing is checked and the server decides",
                "the price of flux-2-pro is not known before the call",
            ),
        ),
    ],
)
def test_notices_say_what_the_table_knows_and_does_not_know(options, notices):
    assert ImageRequest("boat", **options).notices == notices


@pytest.mark.parametrize(("output_format", "mime"), [(None, "image/png"), ("jpeg", "image/jpeg")])
def test_the_type_asked_for_is_png_unless_set(output_format, mime):
    assert ImageRequest("boat", output_format=output_format).mime_hint == mime


# Several requests


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [1]),
        ({"n": 4}, [4]),
        ({"n": 25}, [10, 10, 5]),
        ({"n": 21}, [10, 10, 1]),
        ({"n": 3, "model": "qwen-image"}, [1, 1, 1]),
        ({"n": 2, "model": "dall-e-3"}, [1, 1]),
        ({"n": 3, "stream": True}, [1, 1, 1]),
        ({"n": 100, "model": "flux-2-pro"}, [100]),
        ({"n": 2, "model": "flux-2-pro", "stream": True}, [1, 1]),
        ({"n": None, "size": None}, [1]),
    ],
)
def test_more_pictures_than_a_model_takes_become_several_requests(options, counts):
    requests = requests_of("boat", options)
    assert [request.n for request in requests] == counts
    assert len({request.key("cometapi") for request in requests}) == 1


@pytest.mark.parametrize("n", [0, -1, 101, 2.0, True, "3"])
def test_a_call_asks_for_one_to_a_hundred_pictures(n):
    with pytest.raises(InvalidRequestError, match="a call takes 1 to 100") as caught:
        requests_of("boat", {"n": n})
    assert caught.value.param == "n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("qualty", "Did you mean quality?"), ("zzz", "Pass a parameter that is not in the table by extra.")],
)
def test_an_option_nobody_knows_is_refused_with_a_way_on(name, hint):
    with pytest.raises(InvalidRequestError, match=f"{name} is not a parameter") as caught:
        requests_of("boat", {name: 1})
    assert (caught.value.param, caught.value.hint) == (name, hint)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("reuse", "no", "reuse is the text no; it must be True or False"),
        ("reuse", 1, "reuse is 1; it must be True or False"),
        ("on_event", "print", "on_event is print; it must be a function"),
    ],
)
def test_an_option_of_the_call_of_another_kind_is_refused(name, value, said):
    with pytest.raises(InvalidRequestError, match=said) as caught:
        requests_of("boat", {name: value})
    assert caught.value.param == name


def test_a_call_checks_like_a_request():
    with pytest.raises(InvalidRequestError, match="1920x1088"):
        requests_of("boat", {"n": 20, "size": "1920x1080"})


# One list of names


def test_options_are_the_parameters_of_the_wire_and_those_of_the_call():
    names = {member.name for member in fields(ImageRequest)}
    assert names == {*catalog.WIRE_PARAMETERS, "extra", "inputs", "asked"}
    assert (
        set(Options.__annotations__) == (names - {"prompt", "inputs", "asked"}) | INPUT_OPTIONS | CALL_OPTIONS
    )


@pytest.mark.parametrize(
    ("options", "arrived", "words"),
    [
        ({}, ("image/png", 64, 64), ""),
        ({"size": "1024x1024"}, ("image/png", 1024, 1024), ""),
        ({"size": "1024x1024"}, ("image/png", 1254, 1254), "1254x1254 arrived, 1024x1024 was requested"),
        ({"output_format": "webp"}, ("image/png", 64, 64), "png arrived, webp was requested"),
        (
            {"size": "1024x1024", "output_format": "jpeg"},
            ("image/png", 64, 64),
            "64x64 png arrived, 1024x1024 jpeg was requested",
        ),
        ({"size": "auto"}, ("image/webp", 64, 64), ""),
    ],
)
def test_a_picture_that_differs_from_what_was_requested_is_told_in_words(options, arrived, words):
    assert ImageRequest("a boat", model="gpt-image-2", **options).difference(*arrived) == words


@pytest.mark.parametrize(
    ("asked", "mime"), [("jpg", "image/jpeg"), ("JPEG", "image/jpeg"), ("url", "image/png")]
)
def test_formats_by_other_names_are_the_same(asked, mime):
    assert ImageRequest("a boat", model="some-other-model", output_format=asked).difference(mime, 1, 1) == ""
