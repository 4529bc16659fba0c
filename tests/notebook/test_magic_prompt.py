"""The names in a prompt."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comet_magic import Images
from comet_magic.notebook.cell_names import fill

NAMES = {
    "color": "red",
    "boats": ["sloop", "dinghy"],
    "sizes": {"small": 3, "1": "one", "two words": 2},
    "row": SimpleNamespace(caption="a hat", _private=4),
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("a {color} boat", "a red boat"),
        ("{boats[0]} and {boats[-1]}", "sloop and dinghy"),
        ("{sizes[small]} {sizes['small']} {sizes[1]} {sizes[\"two words\"]}", "3 3 one 2"),
        ("{row.caption} {row._private}", "a hat 4"),
        ("{{color}} is {color}", "{color} is red"),
    ],
)
def test_known_names_attributes_and_indexes_are_filled_in(typed: str, sent: str) -> None:
    assert fill(typed, NAMES) == (sent, ())


@pytest.mark.parametrize(
    "typed",
    [
        '{"a": {"b": 1}}',
        "$5 for {} {0}",
        "100% {{}} }{",
        "{a: 1}",
        "{{color:>9}}",
        "{paper|wooden} {a boat}",
    ],
)
def test_other_braces_stay_as_they_were_typed(typed: str) -> None:
    assert fill(typed, NAMES) == (typed, ())


def test_an_undefined_name_is_warned_about_with_the_nearest_and_left_as_typed() -> None:
    text, warnings = fill("a {colour} boat, {colour}", NAMES)

    assert text == "a {colour} boat, {colour}"
    assert len(warnings) == 1
    assert "did you mean {color}?" in warnings[0]


def test_a_hidden_name_is_never_suggested() -> None:
    _, (warning,) = fill("{colour}", NAMES, hidden={"color": 1})

    assert "{color}" not in warning
    assert "--no-interpolate" in warning


@pytest.mark.parametrize("typed", ["{boats[9]}", "{sizes[none]}", "{row.size}", "{color.real}", "{row[0]}"])
def test_what_cannot_be_read_is_left_as_typed_with_a_warning(typed: str) -> None:
    text, (warning,) = fill(typed, NAMES)

    assert text == typed
    assert "left as typed" in warning


@pytest.mark.parametrize(
    "value", [Image.new("L", (9, 9)), Images(), object(), len, str, None, b"x", "x".upper, (n for n in "a")]
)
@pytest.mark.parametrize("field", ["{thing}", "{things[0]}"])
def test_what_python_shows_in_angles_has_no_text_and_is_left_as_typed_with_a_warning(
    value: object, field: str
) -> None:
    text, (warning,) = fill(f"like {field}", {"thing": value, "things": [value]})

    assert text == f"like {field}"
    assert "has no text" in warning


def test_a_text_in_angles_is_a_text() -> None:
    assert fill("{tag}", {"tag": "<b>bold</b>"}) == ("<b>bold</b>", ())


def test_the_nearer_namespace_wins() -> None:
    assert fill("{color}", {"color": "blue"}, NAMES).text == "blue"


@given(st.text())
def test_a_prompt_without_known_names_never_changes_but_for_doubled_braces(typed: str) -> None:
    text, _ = fill(typed, {})

    assert len(text) <= len(typed)
    assert text == typed or "{{" in typed


@pytest.mark.parametrize(
    "field",
    [
        "{color!r}",
        "{color:>9}",
        "{sizes[small]:.2f}",
        "{boats[0]!s:>9}",
        "{color=}",
        "{color.upper()}",
        "{sizes['small'] + 1}",
        "{row.__class__}",
        "{ color }",
    ],
)
def test_a_field_that_begins_with_a_known_name_and_is_not_filled_in_is_warned_about(field: str) -> None:
    sent, (warning,) = fill(f"a {field} boat", NAMES)

    assert sent == f"a {field} boat"
    assert f"{field} in the prompt is left as typed" in warning
    assert "{name}" in warning


@pytest.mark.parametrize("field", ["{colour:.2f}", "{colour!r}"])
def test_a_format_code_of_an_unknown_name_is_warned_about_as_the_name_alone_is(field: str) -> None:
    sent, (warning,) = fill(field, NAMES)

    assert sent == field
    assert "did you mean {color}?" in warning
