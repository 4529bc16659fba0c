"""What stands after a magic's name."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic.catalog import MODELS, WIRE_PARAMETERS
from comet_magic.notebook.arguments import UsageError, read_flags
from comet_magic.notebook.flags import USAGE, flags_of, help_of, wire_flags

KEY = "sk-" + "abcDEF0123456789" * 2


def read(line: str, *, verbatim: bool = True) -> tuple[dict[str, Any], str]:
    values, rest = read_flags(line, flags_of("cometimg"), magic="%cometimg", verbatim=verbatim)
    return {name: value for name, value in values.items() if value is not None}, rest


@pytest.mark.parametrize(
    ("line", "flags", "prompt"),
    [
        ("a cat's hat", {}, "a cat's hat"),
        ("-n 4 a cat's \"hat", {"n": 4}, "a cat's \"hat"),
        (
            "-n4 -m gpt-image-2 --size 16:9   two  spaces ",
            {"n": 4, "model": "gpt-image-2", "size": "16:9"},
            "two  spaces ",
        ),
        ("--user 'a b' -- --not-a-flag", {"user": "a b"}, "--not-a-flag"),
        ("- a dash", {}, "- a dash"),
        ("--quality=low #1 of them", {"quality": "low"}, "#1 of them"),
        (
            "-q --stream --partial-images 2 $5; 100% 猫 🐈",
            {"quiet": True, "stream": True, "partial_images": 2},
            "$5; 100% 猫 🐈",
        ),
        ("", {}, ""),
        ("--user -x y", {"user": "-x"}, "y"),
        ("--max-cost $0.50 --timeout 1.5 y", {"max_cost": 0.5, "timeout": 1.5}, "y"),
        (
            """--raw seed=5 --raw 'tags=["a"]' --raw 'a="b"' y""",
            {"raw": [("seed", 5), ("tags", ["a"]), ("a", "b")]},
            "y",
        ),
    ],
)
def test_the_prompt_of_a_line_stays_as_typed_after_the_flags(
    line: str, flags: dict[str, Any], prompt: str
) -> None:
    assert read(line) == (flags, prompt)


@pytest.mark.parametrize("dash", list("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"))
@pytest.mark.parametrize("space", ["\t", "\xa0", "\u2003", "\u202f", "\u3000", " \u200b", "\ufeff "])
@pytest.mark.parametrize("verbatim", [True, False])
def test_flags_are_read_with_the_dashes_and_spaces_of_a_page_they_were_copied_from(
    dash: str, space: str, verbatim: bool
) -> None:
    line = f"{dash}size{space}16:9{space}{dash}{dash}quality=low{space}{dash}n{space}2{space}{dash}n3"

    assert read(line, verbatim=verbatim) == ({"size": "16:9", "quality": "low", "n": 3}, "")


@pytest.mark.parametrize(
    "prompt", ["\u2014 a boat", "\u2013boat\xa0in fog", "a\u3000boat \u2014 at dusk\xa0", "\u22125 degrees"]
)
def test_dashes_and_spaces_of_a_prompt_stay_as_typed(prompt: str) -> None:
    assert read(f"-n 2 {prompt}") == ({"n": 2}, prompt)


def test_a_quoted_value_keeps_its_spaces() -> None:
    assert read("--user 'a\xa0b'\xa0x") == ({"user": "a\xa0b"}, "x")


def test_words_may_stand_between_the_flags_where_no_prompt_follows() -> None:
    assert read("boats -n 2 'at dusk' # a comment", verbatim=False) == ({"n": 2}, "boats at dusk")
    assert read("boats -- -n 2", verbatim=False) == ({}, "boats -n 2")


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("--sise 16:9 x", "did you mean --size?"),
        ("--output_format png x", "did you mean --output-format?"),
        ("-model dall-e-3 x", "did you mean --model?"),
        ("--siz 16:9 x", "did you mean --size?"),
        ("-5 degrees", "-- before the text"),
        ("--seed 5 x", "--raw seed=VALUE"),
        ("--size", "needs a value"),
        ("--size --quality low x", "needs a value"),
        ("--inline", "needs a value: auto, full, preview, none"),
        ("--quiet=1 x", "takes no value"),
        ("-n many x", "--n is many; it takes a whole number"),
        ("-n= x", "--n is empty; it takes a whole number"),
        ("--timeout soon x", "--timeout is soon; it takes a number above 0"),
        ("--timeout 0 x", "it takes a number above 0"),
        ("--max-cost inf x", "it takes a number above 0"),
        ("--inline fll x", "did you mean full?"),
        ("--inline 9 x", "--inline is 9; it takes auto, full, preview, none"),
        ("--quality= x", "--quality is empty"),
        ("-o 2fast x", "--out is 2fast; it takes the name of a variable"),
        ("-o for x", "the name of a variable"),
        ("--raw seed x", "it takes name=value"),
        ("--raw =5 x", "it takes name=value"),
        ("--raw style=vivid x", """text is written --raw 'style="vivid"'"""),
        ("--raw a=NaN x", "is not JSON"),
        ("--user 'a b c", "a quote among the flags is not closed"),
        ("--user a\\", "flags stand on one line"),
        ("a boat \u2212n 2", "put the flags first: %cometimg -n 2 a boat"),
        ("--base-url http://x y", "%config CometMagics.base_url"),
    ],
)
def test_a_wrong_flag_or_value_is_refused_in_one_line_with_the_fix(line: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(line)

    assert len(caught.value.lines()) == 1
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--api-key", "--key", "--token", "-api_key"])
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_there_is_no_flag_for_a_key_and_the_refusal_does_not_repeat_it(flag: str, form: str) -> None:
    with pytest.raises(UsageError, match="rotate the key") as caught:
        read(form.format(flag, KEY) + " x")

    assert KEY[:8] not in str(caught.value)


def test_every_parameter_of_the_table_has_a_flag_and_the_help_says_what_each_model_takes() -> None:
    names = {flag.name for flag in wire_flags()}
    text = help_of("cometimg")

    assert names == set(WIRE_PARAMETERS) - {"prompt"}
    for model in MODELS:
        for name in model.parameters:
            assert "--" + name.replace("_", "-") in text
    assert "low, medium, high or auto" in " ".join(text.split())


@pytest.mark.parametrize("magic", sorted(USAGE))
def test_each_magic_explains_itself_with_every_flag(magic: str) -> None:
    text = help_of(magic)

    assert text.startswith(f"::\n\n  %{magic}")
    assert all(flag.spelling in text for flag in flags_of(magic))


def test_a_path_of_windows_keeps_its_backslashes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "nt")

    flags, _ = read(r"--save C:\pictures\boat.png x")

    assert flags == {"save": r"C:\pictures\boat.png"}


@given(st.text())
def test_whatever_is_typed_is_read_or_refused_in_one_line(line: str) -> None:
    for verbatim in (True, False):
        with contextlib.suppress(UsageError):
            _, rest = read(line, verbatim=verbatim)
            assert rest in line or not verbatim


@given(
    st.text(alphabet=st.characters(exclude_characters="-", exclude_categories=["Z", "C"]), min_size=1),
    st.text(),
)
def test_a_line_that_begins_with_a_plain_word_is_all_prompt(word: str, rest: str) -> None:
    assert read(f"--size 16:9 {word}{rest}")[1] == word + rest
