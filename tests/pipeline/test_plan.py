"""What a plan says before anything is sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.archive import Reader
from comet_magic.errors import ConfigurationError
from comet_magic.money import Price
from comet_magic.pipeline import DatasetPlan, plan
from comet_magic.request import ImageRequest
from tests.pipeline.endpoint import PICTURE
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
    assert text.endswith("max cost     $1.00, buys all 2 rows")


def test_a_notebook_shows_the_plan_as_a_table_with_its_warnings(tmp_path: Path) -> None:
    told = plan(["a <b>", ""], tmp_path / "set", model="gpt-image-2", max_cost=1.0)
    bundle = told._repr_mimebundle_()

    assert bundle["text/plain"] == str(told)
    assert bundle["text/html"].count("<tr>") == len(str(told).splitlines()) - 1
    assert "<div>Warning: quality and size are not set in 1 row" in bundle["text/html"]


def test_an_open_quality_is_warned_of_with_its_range(tmp_path: Path) -> None:
    told = plan(["a"] * 3, tmp_path / "set", model="gpt-image-2", size="1024x1024")
    low, high = (
        plan(["a"], tmp_path / "set", model="gpt-image-2", size="1024x1024", quality=quality).price.high_micro
        for quality in ("low", "high")
    )

    (warning,) = told.warnings
    assert warning.startswith("quality is not set in 3 rows: a picture costs $0.0")
    assert warning.endswith("-fold range")
    assert low
    assert high
    assert high > 2 * low
    assert plan(["a"], tmp_path / "set", model="gpt-image-2", size="1024x1024", quality="low").warnings == ()


def test_what_a_budget_buys_counts_what_is_spent(
    make: Callable[..., Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    make(rows_of(2))
    options = {"base_url": endpoint.base_url, **MODEL}

    def told(max_cost: float) -> DatasetPlan:
        return plan(rows_of(12), tmp_path / "dataset", max_cost=max_cost, **options)

    assert told(0.20).forecast.affordable == (3, 3)
    assert "max cost     $0.20, buys about 3 of 10 rows" in str(told(0.20))
    assert told(0.08).forecast.affordable == told(0.01).forecast.affordable == (0, 0)
    assert told(9.0).forecast.affordable == (10, 10)


def test_hours_and_disk_come_from_what_was_measured_and_say_if_nothing_was(
    make: Callable[..., Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    def told(**options: Any) -> DatasetPlan:
        given = {"base_url": endpoint.base_url, **MODEL, **options}
        return plan(rows_of(40), tmp_path / "dataset", **given)

    before = told()
    report = make(rows_of(4))
    (measured,) = Reader(report.folder).measured("sandbox").values()
    after = told()

    assert "not measured yet: up to 120 s a picture" in str(before)
    assert before.hours == pytest.approx(40 * 120 / 8 / 3600)
    assert "8 side by side (measured)" in str(after)
    assert after.hours == pytest.approx(36 * measured.seconds / 8 / 3600)
    assert after.forecast.disk_bytes == 36 * len(PICTURE)
    assert told(max_in_flight=2).hours == pytest.approx(4 * after.hours)
    assert told(max_per_minute=6).hours == pytest.approx(0.1)


def test_a_retired_model_a_small_disk_and_an_unknown_price_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: small)
    rows = [{"prompt": "a", "model": "dall-e-2"}, {"prompt": "b", "model": "unheard-of"}]

    warnings = "\n".join(plan(rows, tmp_path / "set").warnings)

    assert "dall-e-2, of 1 row, was retired on 20" in warnings
    assert "the price of 1 row is unknown; give price_per_image" in warnings
    assert "the disk has 1.0 MB left, and the pictures need 4.0 MB" in warnings


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
