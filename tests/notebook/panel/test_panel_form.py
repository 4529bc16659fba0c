"""The form: made from the catalog, and never holding what the model does not take."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.catalog import DEFAULT_MODEL, MODELS, FreeSize, Model, find
from comet_magic.notebook.cell_call import parse_cell
from comet_magic.notebook.panel.controls import LABELS, UNSET, label_of
from comet_magic.notebook.panel.form import KEY_REMOVED
from comet_magic.request import ImageRequest, requests_of

if TYPE_CHECKING:
    from tests.notebook.panel.shown import Shown

CALL = ("reuse", "timeout", "max_cost")
EVERY = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)


def shown_parameters(shown: Shown) -> set[str]:
    names = {name for model in MODELS for name in model.parameters}
    return {name for name in names if label_of(name) in shown.labels}


def offered(shown: Shown, name: str) -> list[str]:
    options = shown.control(label_of(name)).options
    return [each if isinstance(each, str) else each[1] for each in options]


@EVERY
def test_a_model_shows_a_control_for_each_of_its_parameters_and_no_other(shown: Shown, model: Model) -> None:
    shown.control("Model").value = model.id

    waiting = {"output_compression", "partial_images"}  # they stand behind a format and a stream
    assert shown_parameters(shown) == set(model.parameters) - waiting


@EVERY
def test_whatever_a_list_offers_is_taken(shown: Shown, model: Model) -> None:
    shown.control("Model").value = model.id
    for name in shown_parameters(shown):
        control = shown.control(label_of(name))
        for value in [each for each in offered(shown, name) if each] if hasattr(control, "options") else []:
            control.value = value
            ImageRequest("a boat", model=model.id, **{name: value})
            assert shown.panel.form.values()[name] == value
            control.value = ""


@EVERY
def test_numbers_keep_to_their_bounds(shown: Shown, model: Model) -> None:
    shown.control("Model").value = model.id
    number = shown.control("Pictures")
    number.value = 10_000

    assert len(requests_of("a boat", shown.panel.form.order(draft=True).options)) >= 1
    assert number.value == 10


def test_a_value_that_is_still_legal_stays_when_the_model_changes(shown: Shown) -> None:
    shown.control("Model").value = "gpt-image-1"
    shown.control("Size").value = "1536x1024"
    shown.control("Quality").value = "high"
    shown.control("Format").value = "webp"

    shown.control("Model").value = "gpt-image-2"

    assert [shown.control(label).value for label in ("Size", "Quality", "Format")] == [
        "1536x1024",
        "high",
        "webp",
    ]


def test_a_value_that_is_not_taken_any_more_is_gone(shown: Shown) -> None:
    shown.control("Quality").value = "high"
    shown.control("Size").value = "2048x1152"

    shown.control("Model").value = "dall-e-3"

    assert (shown.control("Quality").value, shown.control("Size").value) == ("", "")
    assert shown.panel.form.values() == {}


def test_what_another_model_does_not_know_is_remembered_for_the_way_back(shown: Shown) -> None:
    shown.control("Background").value = "transparent"
    shown.control("Model").value = "dall-e-3"
    assert "background" not in shown.panel.form.values()

    shown.control("Model").value = DEFAULT_MODEL

    assert shown.panel.form.values() == {"background": "transparent"}


def test_transparent_takes_jpeg_away_and_says_why(shown: Shown) -> None:
    shown.control("Background").value = "transparent"

    assert offered(shown, "output_format") == ["", "png", "webp"]
    assert "jpeg has no transparency" in shown.words("comet-hint")


def test_choosing_transparent_after_jpeg_gives_the_format_up(shown: Shown) -> None:
    shown.control("Format").value = "jpeg"

    shown.control("Background").value = "transparent"

    assert shown.panel.form.values() == {"background": "transparent"}
    assert "jpeg has no transparency" in shown.words("comet-hint")


def test_compression_is_there_only_for_a_format_that_has_it(shown: Shown) -> None:
    label = label_of("output_compression")
    assert label not in shown.labels

    shown.control("Format").value = "jpeg"
    shown.control(label).value = 60
    assert shown.panel.form.values() == {"output_format": "jpeg", "output_compression": 60}

    shown.control("Format").value = "png"
    assert label not in shown.labels
    assert shown.panel.form.values() == {"output_format": "png"}


def test_the_number_of_previews_is_asked_for_only_with_previews(shown: Shown) -> None:
    shown.control(LABELS["stream"]).value = True

    assert shown.panel.form.values() == {"stream": True, "partial_images": 2}

    shown.control(LABELS["stream"]).value = False
    assert LABELS["partial_images"] not in shown.labels
    assert shown.panel.form.values() == {}


@pytest.mark.parametrize(
    ("typed", "becomes", "sent", "said"),
    [
        ("16:9", "16:9", "1536x864", ""),
        ("landscape", "landscape", "1536x1024", ""),
        ("1920x1080", "1920x1088", "1920x1088", "nearest 1920x1088"),
        ("4000x4000", "2880x2880", "2880x2880", "nearest"),
        ("huge", "", None, "size is huge"),
        ("<b>9</b>", "", None, "size is <b>9</b>"),
    ],
)
def test_a_size_becomes_what_the_model_takes(
    shown: Shown, typed: str, becomes: str, sent: str | None, said: str
) -> None:
    shown.control("Size").value = typed

    assert shown.control("Size").value == becomes
    assert shown.panel.form.order(draft=True).requests[0].size == sent
    assert said in shown.words("comet-hint")


def test_sizes_are_offered_as_words_ratios_and_pixels(shown: Shown) -> None:
    sizes = offered(shown, "size")

    assert {"square", "16:9", "1024x1024", "auto"} <= set(sizes)
    assert isinstance(find(DEFAULT_MODEL).parameters["size"], FreeSize)


def test_the_price_and_the_request_follow_the_form(shown: Shown) -> None:
    shown.control("Model").value = "dall-e-3"
    shown.control("Quality").value = "hd"
    shown.control("Pictures").value = 3

    words = shown.words("comet-price")

    assert words.startswith("$0.24")
    assert "for 3 pictures" in words
    assert "3 requests · dall-e-3 · quality hd" in words


def test_a_model_at_its_end_says_so_in_the_list_and_beside_it(shown: Shown) -> None:
    labels = {model: label for label, model in shown.control("Model").options}
    assert "off 2026-05-12" in labels["dall-e-3"]
    assert "$0.04 to $0.08" in labels["dall-e-3"]

    shown.control("Model").value = "dall-e-3"

    assert "2026-05-12" in shown.words("comet-about")


def test_a_model_that_is_not_in_the_list_can_be_typed(shown: Shown) -> None:
    shown.control("Model").value = "another model"
    shown.control("Id of the model").value = "gpt-image-9"
    assert shown.panel.form.order(draft=True).requests[0].model == "gpt-image-9"
    assert "is not in the table" in shown.words("comet-about")

    shown.control("Id of the model").value = "brand-new"
    shown.control("Quality").value = "splendid"

    assert shown.panel.form.order(draft=True).requests[0].body()["quality"] == "splendid"


@pytest.mark.parametrize("label", ["Prompt", "Further parameters, as JSON", "End-user id", "Time limit, s"])
def test_a_key_does_not_stay_in_the_form(shown: Shown, label: str) -> None:
    shown.control(label).value = "look: " + "sk-" + "abcdefghij0123456789"

    assert shown.control(label).value == ""
    assert shown.words("comet-hint") == KEY_REMOVED


@pytest.mark.parametrize(
    ("label", "typed", "said"),
    [
        ("Further parameters, as JSON", "seed: 7", "no JSON object"),
        ("Further parameters, as JSON", "[7]", "no JSON object"),
        ("Further parameters, as JSON", '{"size": "1x1"}', "extra contains size"),
        ("Time limit, s", "soon", "timeout is soon"),
        ("Time limit, s", "inf", "timeout is inf"),
        ("Cost limit, USD", "cheap", "max_cost is cheap"),
    ],
)
def test_what_cannot_be_read_is_said_where_the_price_would_stand(
    shown: Shown, label: str, typed: str, said: str
) -> None:
    shown.control(label).value = typed

    assert said in shown.words("comet-price")
    assert said in shown.code("cell")

    shown.control(label).value = ""
    assert "for 1 picture" in shown.words("comet-price")


def test_a_form_without_a_prompt_has_its_cell_already(shown: Shown) -> None:
    shown.control("Quality").value = "low"

    assert shown.code("cell") == f"%%cometimg -m {DEFAULT_MODEL} --quality low\n"
    assert '"prompt": ""' in shown.code("request")


def test_the_settings_of_the_magics_are_where_the_form_begins(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-3", "quality": "hd", "background": "opaque"}, "a boat")

    assert shown.panel.form.order().requests == (ImageRequest("a boat", model="dall-e-3", quality="hd"),)


FORMS: list[dict[str, Any]] = [
    {},
    {"n": 3},
    {"model": "dall-e-3", "n": 3, "style": "vivid"},
    {"model": "dall-e-2", "n": 4, "size": "256x256"},
    {"stream": True, "partial_images": 3, "n": 2},
    {"extra": {"seed": 7, "words": ["it's", 'a "quote"', "{x}"]}},
    {"timeout": 30.5, "max_cost": 0.25, "reuse": True},
    {"max_cost": 0.0000125},
    {"user": "o'neill & co", "output_format": "webp", "output_compression": 7},
    *({"model": model.id} for model in MODELS),
]
PROMPTS = ["a boat", 'say "hi" to {name}, it\'s $5\n\n  100 % 中文 🚢 <b>', "%%cometimg -n 4\n# no comment"]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_the_cell_asks_for_exactly_what_the_form_does(shown: Shown, options: dict[str, Any]) -> None:
    shown.control("Assign the newest to").value = "boats"
    for prompt in PROMPTS:
        shown.panel.form.fill(options, prompt)
        line, _, body = shown.code("cell").partition("\n")

        typed = parse_cell(line.removeprefix("%%cometimg"), body)
        call = dict(typed.wire) | ({"extra": dict(typed.values["raw"])} if typed.values["raw"] else {})

        order = shown.panel.form.order()
        assert requests_of(typed.prompt, call) == order.requests
        assert {name: typed.values[name] for name in CALL} == {name: order.options.get(name) for name in CALL}
        assert typed.values["out"] == "boats"
        assert typed.values["no_interpolate"] or "{" not in prompt


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_the_python_call_asks_for_exactly_what_the_form_does(shown: Shown, options: dict[str, Any]) -> None:
    for prompt in PROMPTS:
        shown.panel.form.fill(options, prompt)
        tree = ast.parse(shown.code("python"))
        (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}

        order = shown.panel.form.order()
        wire = {name: value for name, value in given.items() if name not in CALL}
        assert requests_of(ast.literal_eval(call.args[0]), wire) == order.requests
        assert {name: given.get(name) for name in CALL} == {name: order.options.get(name) for name in CALL}


def test_every_control_has_a_label(shown: Shown) -> None:
    for widget in shown.widgets:
        if hasattr(widget, "disabled") and not hasattr(widget, "titles"):
            assert widget.description, widget
    assert UNSET in shown.control("Quality").options[0]
