"""Prompt templates: alternatives, names, doubled braces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comet_magic as cm
from comet_magic.request.prompt_template import (
    alternatives_in,
    drawn,
    filled,
    names_in,
    variants,
)

pytestmark = pytest.mark.usefixtures("plain_pictures")

WORDS = st.text(st.characters(exclude_characters="{}|", exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("template", "prompts"),
    [
        ("a boat", ["a boat"]),
        ("a {red|blue} {cat|dog}", ["a red cat", "a red dog", "a blue cat", "a blue dog"]),
        ("a { red | blue } boat", ["a red boat", "a blue boat"]),
        ("a{| very} big boat", ["a big boat", "avery big boat"]),
        ("{same|same|other}", ["same", "other"]),
        ("{{a|b}} {c|d}", ["{a|b} c", "{a|b} d"]),
        ("{{{a|b}}}", ["{a}", "{b}"]),
        ("{a cat|a {animal}} sleeps", ["a cat sleeps", "a fish sleeps"]),
        ("{红|蓝}色的船", ["红色的船", "蓝色的船"]),
    ],
)
def test_a_template_becomes_the_product_of_its_alternatives(template: str, prompts: list[str]) -> None:
    found = [filled(variant.text, {"animal": "fish"}) for variant in variants(template)]

    assert found == prompts


def test_a_variant_tells_which_words_it_took() -> None:
    assert [variant.words for variant in variants("a {red|blue} {cat|dog}")][1] == ("red", "dog")


def test_a_product_too_large_to_list_is_begun() -> None:
    template = "{a|b}" * 100

    assert next(iter(variants(template))).text == "a" * 100


@given(st.lists(st.lists(WORDS, min_size=2, max_size=4), max_size=5), st.integers() | st.text(max_size=9))
def test_a_draw_is_one_of_the_product_and_the_same_for_the_same_seed(groups: list, seed: int | str) -> None:
    template = " and ".join("{" + "|".join(group) + "}" for group in groups)

    assert drawn(template, seed) in set(variants(template))
    assert drawn(template, seed) == drawn(template, seed)


def test_draws_are_the_same_on_every_machine_and_all_words_come_up() -> None:
    assert [drawn("{a|b|c}", seed).words[0] for seed in range(12)] == list("cacaabcaabbb")
    assert {drawn("{a|b|c}", seed).text for seed in range(30)} == {"a", "b", "c"}


def test_values_are_filled_in_as_they_are_and_never_looked_through_again() -> None:
    values = {"animal": "{style} {a|b} {{x}}", "style": 3}

    assert filled("a {animal} in {style}, {{braces}}", values) == "a {style} {a|b} {{x}} in 3, {braces}"


@pytest.mark.parametrize(
    "wrong", ["{a.b}", "{a[0]}", "{a:>9}", "{a!r}", "{a()}", "{ a }", "{}", "{0}", "}", "{a"]
)
def test_braces_that_hold_no_plain_name_are_refused_with_the_way_out(wrong: str) -> None:
    for read in (names_in, lambda text: filled(text, {"a": "x"})):
        with pytest.raises(cm.InvalidRequestError) as caught:
            read(f"a boat {wrong}")
        assert "only {name} can" in str(caught.value)
        assert "{{ and }}" in caught.value.hint


def test_nested_alternatives_are_refused() -> None:
    with pytest.raises(cm.InvalidRequestError, match="cannot be filled in"):
        [filled(variant.text, {}) for variant in variants("{a {b|c}|d}")]


def test_a_name_without_a_value_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        cm.InvalidRequestError, match=r"\{colour\} in the prompt has no value; there are \{color\}"
    ):
        filled("a {colour} boat", {"color": "red"})


def test_the_names_of_a_template_are_told_once_also_those_in_alternatives() -> None:
    assert names_in("{b} {a} {a cat|a {c}} {{d}} {b}") == ("b", "a", "c")


@given(WORDS)
def test_a_text_without_braces_is_itself(text: str) -> None:
    assert filled(text, {}) == text
    assert alternatives_in(text) == ()


def test_a_plain_call_sends_alternatives_as_typed_and_says_so_once() -> None:
    request = cm.ImageRequest("a {red|blue} boat")

    assert request.body()["prompt"] == "a {red|blue} boat"
    assert [notice for notice in request.notices if "alternatives" in notice] == [
        "{red|blue} is sent as typed; alternatives are drawn by vary only"
    ]
    assert not cm.ImageRequest("a {boat} {{a|b}}").notices


def test_generate_warns_of_alternatives_in_the_line_of_the_caller() -> None:
    with (
        cm.start_sandbox() as sandbox,
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client,
    ):
        with pytest.warns(UserWarning, match="is sent as typed") as told:
            images = client.generate("a {red|blue} boat", model="dall-e-2", size="256x256")

    assert images.prompt == "a {red|blue} boat"
    assert [warning.filename for warning in told] == [__file__]
