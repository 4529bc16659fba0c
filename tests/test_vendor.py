"""The vendor's catalogue and the key's balance, read from the sandbox that serves both."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

import comet_magic as cm
from comet_magic.client import vendor
from comet_magic.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[cm.Client]:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as made:
        yield made


def test_the_catalogue_lists_models_and_prices_and_is_asked_once(client: cm.Client, sandbox: Sandbox) -> None:
    listed = {model.id: model for model in client.catalogue()}
    assert (listed["gpt-image-2"].text_in, listed["gpt-image-2"].image_out) == (Decimal(4), Decimal(24))
    assert client.catalogue() == tuple(listed.values())
    assert len(sandbox.log) == 1


def test_the_balance_falls_by_what_a_call_cost(client: cm.Client) -> None:
    before = client.balance()
    client.generate("a boat", model="dall-e-2", size="256x256")
    after = client.balance()
    assert after.used - before.used == pytest.approx(0.016)
    assert before.left is not None
    assert after.left == pytest.approx(before.left - 0.016)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (4, Decimal(4)),
        ("0.5", Decimal("0.5")),
        (True, None),
        (None, None),
        ("x", None),
        (-1, None),
        ("NaN", None),
    ],
)
def test_a_price_of_any_shape_is_a_number_or_nothing(value: object, amount: Decimal | None) -> None:
    assert vendor._amount(value) == amount


def test_a_vendor_without_these_pages_is_told_as_such(sandbox: Sandbox) -> None:
    with cm.Client(base_url=f"{sandbox.base_url}/elsewhere", api_key="sandbox", archive=None) as client:
        with pytest.raises(cm.CometError) as caught:
            client.balance()
    assert caught.value.outcome == "not_sent"


def test_what_was_made_and_spent_can_be_asked_from_code(sandbox: Sandbox) -> None:
    assert cm.history() == []
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        images = client.generate("a paper boat", model="dall-e-2", size="256x256")
        client.generate("a lighthouse", model="dall-e-2", size="512x512")
    assert [entry.prompt for entry in cm.history()] == ["a lighthouse", "a paper boat"]
    frame = cm.history("boat").to_frame()
    assert list(frame["cost"]) == [images.cost]
    assert cm.spend().spent == cm.spend("sandbox").bound == 0.034
    assert cm.spend("cometapi").spent == 0
