"""The code of a request, run again, makes that request."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from comet_magic.errors import InvalidRequestError
from comet_magic.notebook.arguments import UsageError
from comet_magic.notebook.as_code import request_code
from comet_magic.notebook.cell_call import parse_cell
from comet_magic.notebook.cell_names import fill
from comet_magic.request import ImageRequest, requests_of

PRINTABLE = st.characters(exclude_categories=["C", "Zl", "Zp"])


def made_by(code: str) -> ImageRequest:
    """The request that a cell with this code makes."""
    head, _, body = code.partition("\n")
    if head.startswith("%%cometimg"):
        typed = parse_cell(head.removeprefix("%%cometimg"), body)
        extra = dict(typed.values["raw"] or ()) or None
        prompt = typed.prompt if typed.values["no_interpolate"] else fill(typed.prompt, {"x": 1}).text
        (request,) = requests_of(prompt, {**typed.wire, "extra": extra})
        return request
    call = ast.parse(code).body[-1]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert ast.unparse(call.value.func) == "cm.generate"
    options: dict[str, Any] = {
        word.arg: ast.literal_eval(word.value) for word in call.value.keywords if word.arg is not None
    }
    (request,) = requests_of(ast.literal_eval(call.value.args[0]), options)
    return request


@pytest.mark.parametrize(
    "prompt",
    [
        "boat",
        "\nboat",
        "boat\n\n",
        "  boat ",
        "a {x} b",
        "{{x}}",
        "-n 4 boats",
        "# comment\nboat",
        "a\n\nboat",
        'say "hi"',
        "it's",
    ],
)
def test_a_prompt_comes_back_to_the_letter(prompt: str) -> None:
    request = ImageRequest(prompt)

    assert made_by(request_code(request)) == request


@pytest.mark.parametrize("user", ["me", "-n", "--", "-x", "--size", "--user=a", "it's", "two words", "#1"])
def test_a_value_comes_back_to_the_letter(user: str) -> None:
    request = ImageRequest("boat", user=user)

    assert made_by(request_code(request)) == request


@pytest.mark.parametrize("value", [1, 0.5, True, "two words", "-n", "it's", "a\nb", ["a", {"b": None}], ""])
def test_a_parameter_outside_the_table_comes_back_as_it_was(value: Any) -> None:
    request = ImageRequest("boat", extra={"seed": value})

    assert made_by(request_code(request)) == request


@given(st.text(PRINTABLE | st.just("\n"), min_size=1), st.text(PRINTABLE, min_size=1))
def test_any_prompt_and_any_value_come_back(prompt: str, user: str) -> None:
    try:
        request = ImageRequest(prompt, user=user)
    except InvalidRequestError:
        reject()

    assert made_by(request_code(request)) == request


def test_what_a_cell_can_say_is_a_cell() -> None:
    request = ImageRequest("a boat", n=2, size="16:9", user="-n", extra={"seed": 5})

    assert request_code(request) == (
        f"%%cometimg -m gpt-image-2 -n 2 --size {request.size} --user=-n --raw seed=5\na boat\n"
    )


def test_a_key_in_a_prompt_is_not_written_into_a_cell() -> None:
    key = "sk-" + "abcDEF0123456789" * 2

    with pytest.raises(UsageError) as caught:
        request_code(ImageRequest.from_dict({"prompt": f"a boat {key}"}))  # from a stranger's ledger

    assert key not in json.dumps(str(caught.value))
