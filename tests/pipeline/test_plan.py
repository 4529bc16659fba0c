"""What a plan says before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import ConfigurationError
from comet_magic.money import Price
from comet_magic.pipeline import DatasetPlan, plan
from comet_magic.request import ImageRequest
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

MODEL = {"model": "test-model", "price_per_image": 0.04}


def test_a_plan_needs_no_key_and_writes_nothing(tmp_path: Path) -> None:
    told = plan(rows_of(3), tmp_path / "set", **MODEL)

    assert (told.rows, told.to_generate, told.price) == (3, 3, Price(120_000, 120_000))
    assert list(tmp_path.iterdir()) == []


def test_a_plan_tells_duplicates_invalid_rows_and_what_is_at_risk(tmp_path: Path) -> None:
    told = plan(["a", "a", "b", "", "\0"], tmp_path / "set", max_in_flight=2, max_cost=5.0, **MODEL)

    assert (told.rows, told.duplicates, told.to_generate) == (5, 1, 3)
    assert sum(told.invalid.values()) == 2
    assert (told.at_risk, told.at_risk_price, told.max_cost) == (2, 0.08, 5.0)


def test_deduplicated_rows_are_paid_once(tmp_path: Path) -> None:
    assert plan(["a", "a", "b"], tmp_path / "set", dedupe=True, **MODEL).to_generate == 2


def test_a_plan_knows_what_is_there_already(
    make: Callable[..., Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    make([*rows_of(5), "REFUSE a", "WRONG b", "LOST c"])
    asked = len(endpoint.asked)

    def told(**options: Any) -> DatasetPlan:
        rows = [*rows_of(7), "REFUSE a", "WRONG b", "LOST c"]
        return plan(rows, tmp_path / "dataset", base_url=endpoint.base_url, **MODEL, **options)

    assert (told().done, told().to_generate) == (5, 2)
    assert told().ended == {"refused": 1, "failed": 1, "unknown": 1}
    assert [told(redo=word).to_generate for word in ("refused", "failed", "unknown")] == [1, 1, 1]
    assert len(endpoint.asked) == asked


def test_an_unknown_price_is_said(tmp_path: Path) -> None:
    told = plan(["a", "b"], tmp_path / "set", model="test-model")

    assert (told.price, told.unpriced, told.at_risk_price) == (Price(None, None), 2, None)
    assert "unknown" in str(told)


def test_a_price_that_depends_on_auto_is_a_range(tmp_path: Path) -> None:
    told = plan(["a boat", "two boats"], tmp_path / "set", model="gpt-image-1")

    requests = [ImageRequest(prompt, model="gpt-image-1") for prompt in ("a boat", "two boats")]
    assert told.price == requests[0].estimate() + requests[1].estimate()
    assert told.price.low < told.price.high  # type: ignore[operator]  # both are known


def test_a_plan_shows_itself_as_a_short_table(tmp_path: Path) -> None:
    text = str(plan(["a", "a", ""], tmp_path / "set", max_cost=1.0, **MODEL))

    assert "rows         3\n" in text
    assert "invalid      1: prompt is empty" in text
    assert "price        $0.08\n" in text
    assert text.endswith("max cost     $1.00")


def test_another_vendor_is_another_picture(make: Callable[..., Any], tmp_path: Path) -> None:
    make(["a"])

    assert plan(["a"], tmp_path / "dataset", **MODEL).to_generate == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_in_flight": 0}, "max_in_flight is 0"),
        ({"max_in_flight": "8"}, "max_in_flight is '8'"),
        ({"timeout": 0}, "timeout is 0"),
    ],
)
def test_a_plan_refuses_a_setting_that_the_run_would_refuse(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan(["a"], tmp_path / "set", **MODEL, **options)


@pytest.mark.parametrize("n", [1, 3])
def test_rows_with_n_are_planned_as_that_many(n: int, tmp_path: Path) -> None:
    assert plan([{"prompt": "a", "n": n}], tmp_path / "set", **MODEL).to_generate == n


def test_a_plan_counts_rows_that_are_nearly_equal(
    make: Callable[..., Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    make(["a café boat", "a red boat"])
    rows = [
        "a café boat",
        "a red boat",
        "a cafe\N{COMBINING ACUTE ACCENT} boat",
        "A red boat ",
        "a red\r\nboat",
    ]

    told = plan([*rows, "new", " new", "new"], tmp_path / "dataset", base_url=endpoint.base_url, **MODEL)

    assert (told.done, told.to_generate, told.duplicates, told.nearly_equal) == (2, 6, 1, 3)
    assert "nearly equal 3\n" in str(told)
    assert "nearly equal" not in str(plan(["a"], tmp_path / "other", **MODEL))


def test_a_plan_lists_the_parameters_of_the_table_and_what_becomes_of_defaults(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "model": name, "style": "oil"} for name in ("gpt-image-2", "dall-e-2", "dall-e-2")
    ]

    told = plan(rows, tmp_path / "set", model="gpt-image-2", quality="low", parameters=["model"])

    assert told.parameters == ("model",)
    assert told.adapted == {"quality low is left out for dall-e-2": 2}
    assert "parameters   model\n" in str(told)
    assert "adapted      2: quality low is left out for dall-e-2\n" in str(told)
