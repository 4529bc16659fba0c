"""When a person is asked before a call is paid: decisions and cells."""

from __future__ import annotations

from typing import Any

import pytest

from comet_magic.client import Plan
from comet_magic.errors import InvalidRequestError
from comet_magic.money import Price
from comet_magic.notebook.session import never_asks, purchase_to_confirm, refusal
from comet_magic.request import requests_of

from .conftest import KEY, Kernel

SHOP = "https://shop.invalid/v1"  # real money for all that is known, and nobody answers
TEN_HIGH = "--quality high --size square -n 10"


def plan(**options: Any) -> Plan:
    requests = requests_of("a boat", options)
    return Plan(requests[0], requests, sum((request.estimate() for request in requests), Price(0, 0)))


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"n": 10, "size": "square", "quality": "high"}, "10 pictures for at most $1.69"),
        ({"n": 6}, "6 pictures for at most $1.01"),  # the server may choose the highest quality
        ({"n": 5}, ""),
        ({"n": 100, "size": "square", "quality": "low"}, ""),
        ({"n": 26, "model": "dall-e-3"}, "26 pictures for at most $1.04"),
        ({"n": 25, "model": "dall-e-3"}, ""),  # exactly a dollar
        ({"n": 5, "model": "gpt-image-2.6-flare"}, "5 pictures of unknown price"),
        ({"n": 4, "model": "gpt-image-2.6-flare"}, ""),
        ({"n": 5, "model": "somebodys-model"}, "5 pictures of unknown price"),
        (
            {"model": "doubao-seedream-4-5-251128", "extra": {"sequential_image_generation": "auto"}},
            "15 pictures of unknown price",
        ),
    ],
)
def test_a_dear_call_and_many_pictures_of_unknown_price_are_to_be_confirmed(
    options: dict[str, Any], asked: str
) -> None:
    assert purchase_to_confirm(plan(**options), 1.00) == asked


@pytest.mark.parametrize("above", [-1, float("nan"), float("inf"), 10_000_000])
def test_an_amount_that_is_none_is_refused_by_its_name(above: float) -> None:
    with pytest.raises(InvalidRequestError, match="confirm_above is"):
        purchase_to_confirm(plan(), above)


def test_what_the_archive_has_needs_no_word() -> None:
    request = requests_of("a boat", {"n": 10, "quality": "high"})[0]
    assert purchase_to_confirm(Plan(request, (), Price(0, 0)), 0) == ""
    awaited = Plan(request, (), Price(0, request.estimate().high), awaited=(request,))
    assert purchase_to_confirm(awaited, 0) == ""


@pytest.mark.parametrize("name", ["max_cost", "max_cost_session", "max_cost_day"])
def test_any_limit_and_play_money_need_no_word(name: str) -> None:
    assert never_asks("cometapi", {name: 500.0})
    assert never_asks("sandbox", {})
    assert not never_asks("cometapi", {"timeout": 3.0, name: None})


def test_the_limit_that_is_offered_is_enough_for_the_call() -> None:
    dear = plan(n=7, quality="medium", size="3840x2160")
    offered = float(refusal(dear, 0.01).rpartition("--max-cost ")[2])
    assert dear.price.high <= offered < dear.price.high + 0.01


@pytest.fixture
def real(kernel: Kernel) -> Kernel:
    """A kernel whose purchases are real ones."""
    kernel.run(f"import os; os.environ |= {{'COMETAPI_KEY': {KEY!r}, 'COMETAPI_BASE_URL': {SHOP!r}}}")
    return kernel


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (f"%cometimg {TEN_HIGH} a boat", "10 pictures for at most $1.69, and more than $1.00 needs a yes"),
        (f"%%cometimg {TEN_HIGH}\na boat", "add --yes, or set a limit: --max-cost 1.69"),
        ("%cometimg -m gpt-image-2.6-flare -n 40 a boat", "40 pictures of unknown price"),
        ("%config CometMagics.confirm_above = 0.1\n%cometimg --quality high a boat", "1 picture for at most"),
        ("%config CometMagics.confirm_above = -1\n%cometimg a boat", "confirm_above is -1"),
    ],
)
def test_a_cell_above_the_amount_fails_with_its_price_and_the_ways_on(
    real: Kernel, cell: str, said: str
) -> None:
    ran = real.run(cell)

    assert ran.status == "error"
    assert ran.error is not None
    assert said in ran.traceback[0]
    assert len(ran.traceback) == 1
    assert real.run("%cometimg_history").stdout == "Nothing was made yet.\n"


@pytest.mark.parametrize(
    "cell",
    [
        f"%cometimg --yes --timeout 0.2 {TEN_HIGH} a boat",
        f"%cometimg --max-cost 2 --timeout 0.2 {TEN_HIGH} a boat",
        f"%config CometMagics.max_cost_day = 50\n%cometimg --timeout 0.2 {TEN_HIGH} a boat",
        f"%config CometMagics.confirm_above = 1.7\n%cometimg --timeout 0.2 {TEN_HIGH} a boat",
        "import comet_magic as cm\ncm.generate('a boat', n=10, quality='high', timeout=0.2)",
    ],
)
def test_a_yes_a_limit_and_python_code_are_not_asked(real: Kernel, cell: str) -> None:
    ran = real.run(cell)

    assert ran.error is not None, ran.stderr
    assert ran.error["ename"] in ("APIConnectionError", "APITimeoutError")


def test_play_money_is_not_asked_for(kernel: Kernel) -> None:
    ran = kernel.run(
        "%config CometMagics.confirm_above = 0\n%cometimg -m dall-e-2 --size 256x256 -n 2 a boat"
    )
    assert ran.status == "ok", ran.stderr
