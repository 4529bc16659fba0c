"""What the first page says of the `openai` package beside ours, at the defaults of both, before the same server."""

from __future__ import annotations

from typing import Any

import pytest

import comet_magic as cm

pytestmark = pytest.mark.judge
openai = pytest.importorskip(
    "openai", reason="the openai package is not installed: pip install comet-magic[openai]"
)


def asked(fail: str | None, who: str, **options: Any) -> tuple[int, int, Any]:
    """Requests, charges, and what came of one call: an error or an answer."""
    options = {"model": "gpt-image-2", "size": "1024x1024", "quality": "low", **options}
    timeout = options.pop("timeout", 60)
    with cm.start_sandbox(fail=fail) as sandbox:
        make: Any = openai.OpenAI if who == "openai" else cm.Client
        settings = {} if who == "openai" else {"archive": None}
        with make(base_url=sandbox.base_url, api_key="sandbox", timeout=timeout, **settings) as client:
            generate = client.images.generate if who == "openai" else client.generate
            try:
                end = generate(prompt="a boat", **options)
            except (openai.OpenAIError, cm.CometError) as error:
                end = error
        posts = [entry for entry in sandbox.log if entry.method == "POST"]
        return len(posts), sum(entry.charged for entry in posts), end


@pytest.mark.parametrize("fail", ["504", "cut", "drop", "hang"])
def test_a_lost_answer_is_bought_three_times_there_and_once_here(fail: str) -> None:
    timeout = 1.0 if fail == "hang" else 60.0

    theirs, ours = (asked(fail, who, timeout=timeout) for who in ("openai", "comet_magic"))

    assert theirs[:2] == (3, 3)
    assert isinstance(theirs[2], openai.OpenAIError)
    assert ours[:2] == (1, 1)
    assert ours[2].outcome in ("unknown", "billed")


def test_an_answer_without_pictures_is_a_success_there_and_an_error_here() -> None:
    assert not asked("empty", "openai")[2].data
    assert isinstance(asked("empty", "comet_magic")[2], cm.BadResponseError)


def test_an_empty_account_is_asked_three_times_there_and_once_here() -> None:
    theirs, ours = asked("quota", "openai"), asked("quota", "comet_magic")

    assert (theirs[0], ours[0]) == (3, 1)
    assert isinstance(ours[2], cm.QuotaError)
    assert ours[2].hint


def test_a_rate_limit_is_waited_out_by_both() -> None:
    for who in ("openai", "comet_magic"):
        posts, charges, end = asked("429:1", who)
        assert (posts, charges) == (2, 1)
        assert not isinstance(end, Exception)


def test_a_size_that_is_not_taken_is_refused_by_the_server_there_and_before_sending_here() -> None:
    theirs, ours = (asked(None, who, size="1000x1000") for who in ("openai", "comet_magic"))

    assert (theirs[0], type(theirs[2]).__name__) == (1, "BadRequestError")
    assert (ours[0], type(ours[2]).__name__) == (0, "InvalidRequestError")
    assert "nearest" in str(ours[2])


def test_four_of_a_model_that_makes_one_are_refused_there_and_four_requests_here() -> None:
    many = {"model": "qwen-image", "size": "1328x1328", "quality": None, "n": 4}
    theirs = asked(None, "openai", **{**many, "quality": openai.omit})
    ours = asked(None, "comet_magic", **many)

    assert isinstance(theirs[2], openai.BadRequestError)
    assert (ours[0], len(ours[2])) == (4, 4)


def test_it_does_what_is_not_done_here() -> None:
    for name in ("edit", "create_variation"):
        assert hasattr(openai.resources.Images, name)
    assert hasattr(openai.OpenAI, "chat")
    assert hasattr(openai.OpenAI, "audio")
