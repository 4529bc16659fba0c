"""Prompts made of columns: templates, drawn words, presets, rewriting, several models; and tables of words."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import comet_magic as cm
from comet_magic.errors import ConfigurationError, InvalidRequestError, SourceError
from comet_magic.pipeline import open_dataset, plan
from comet_magic.preset_files import save_preset
from tests.pipeline.conftest import name_what_is_no_text, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

Make = "Callable[..., Dataset]"


def asked(endpoint: Endpoint) -> list[str]:
    return sorted(one.prompt for one in endpoint.asked)


def test_a_template_is_filled_from_columns_which_stay_beside_the_prompt(
    make: Make, endpoint: Endpoint
) -> None:
    table = {"animal": ["cat", "{dog}", "fish"], "size": ["tiny", "big", ""], "label": [1, 2, 3]}
    report = make(table, prompt="a {size} {animal}, {{braces}}")

    records = list(report.records())

    assert [record["prompt"] for record in records[:2]] == ["a tiny cat, {braces}", "a big {dog}, {braces}"]
    assert [record["size"] for record in records] == ["tiny", "big", None]
    assert [record["animal"] for record in records] == ["cat", "{dog}", "fish"]
    assert report.counts["done"] == 2
    assert report.counts["failed"] == 1
    assert asked(endpoint) == ["a big {dog}, {braces}", "a tiny cat, {braces}"]


def test_a_column_with_the_name_of_a_template_is_the_column_of_the_prompts(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    make([{"a {b}": "one", "b": "x"}], prompt="a {b}")
    path.write_text("b,a {b}\ny,two\n")
    make(path, "second", prompt="a {b}")

    assert asked(endpoint) == ["one", "two"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt", "texts", "series", "stream"])
def test_every_source_fills_a_template(make: Make, endpoint: Endpoint, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    rows = [{"animal": "cat", "style": "ink"}, {"animal": "dog", "style": "oil"}]
    texts = {"csv": "animal;style\ncat;ink\ndog;oil\n", "txt": "cat\ndog\n"}
    texts["jsonl"] = '{"animal": "cat", "style": "ink"}\n{"animal": "dog", "style": "oil"}\n'
    source: Any = {"texts": ["cat", "dog"], "series": pd.Series(["cat", "dog"]), "stream": iter(rows)}.get(
        kind
    )
    if source is None:
        path.write_text(texts[kind])
        source = path

    make(source, prompt="a {animal}")

    assert asked(endpoint) == ["a cat", "a dog"]


def test_a_column_that_the_prompt_uses_is_a_parameter_too_only_if_it_is_listed(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    table = [{"quality": "low", "what": "boat"}]
    options = {**settings(endpoint), "model": "gpt-image-2", "prompt": "a {quality} {what}"}

    words = plan(table, tmp_path / "a", **options)
    both = plan(table, tmp_path / "a", parameters=["quality"], **options)

    assert words.parameters == ()
    assert both.parameters == ("quality",)
    assert both.price.high < words.price.high


@pytest.mark.parametrize(
    ("prompt", "error", "problem"),
    [
        (
            "a {colour} boat",
            SourceError,
            r"uses \{colour\}, and there is no such column; the columns are: color",
        ),
        ("a {color.upper} boat", InvalidRequestError, r"only \{name\} can"),
        ("a {color!r} boat", InvalidRequestError, r"only \{name\} can"),
        ("a {color", InvalidRequestError, r"only \{name\} can"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_before_the_first_call(
    make: Make, endpoint: Endpoint, prompt: str, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        make(pd.DataFrame({"color": ["red"]}), prompt=prompt)
    assert endpoint.asked == []


def test_alternatives_are_drawn_for_each_row_by_the_seed_and_a_resume_draws_the_same(
    make: Make, endpoint: Endpoint
) -> None:
    table = cm.product(animal=["cat", "dog", "fish"], number=range(4))
    template = "a {red|blue|green} {animal} {number} at {dawn|dusk}"
    report = make(table, prompt=template, sample_seed=7)
    records = list(report.records())
    again = make(table, prompt=template, sample_seed=7)

    assert again.counts["done"] == len(endpoint.asked) == 12
    assert {record["drawn_1"] for record in records} == {"red", "blue", "green"}
    assert {record["drawn_2"] for record in records} == {"dawn", "dusk"}
    for record in records:
        words = "a {drawn_1} {animal} {number} at {drawn_2}".format(**record)
        assert record["prompt"] == words

    other = make(table, "other", prompt=template, sample_seed=8)
    assert [one["prompt"] for one in other.records()] != [one["prompt"] for one in records]


def test_a_preset_gives_parameters_and_puts_its_template_around_each_prompt(
    make: Make, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    save_preset("rough", {"quality": "low", "size": "512x512"}, "{prompt}, {charcoal|chalk}")
    save_preset("capped", {"max_cost": 0.5})
    report = make([{"prompt": "a boat", "size": "64x64"}, "a {train}"], preset="rough")

    records = list(report.records())

    for record, words in zip(records, ("a boat", "a {train}"), strict=True):
        assert record["prompt"] == f"{words}, {record['drawn_1']}"
        assert record["asked_prompt"] == words
    rows = sqlite3.connect(tmp_path / "dataset/ledger.sqlite").execute("SELECT request, asked FROM calls")
    kept = sorted(rows)
    assert '"size": "512x512"' in kept[0][0]
    assert '"size": "64x64"' in kept[1][0]
    assert {one[1] for one in kept} == {'{"preset": "rough"}'}
    with pytest.raises(InvalidRequestError, match="capped has max_cost, which is for single calls"):
        make(["a boat"], "other", preset="capped")


def test_a_rewriting_is_asked_once_for_each_prompt_also_over_runs(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    batches: list[list[str]] = []

    def rewrite(prompts: list[str]) -> list[str]:
        batches.append(prompts)
        return [f"{prompt}, in detail" for prompt in prompts]

    table = pd.DataFrame({"animal": [f"cat {number % 40}" for number in range(50)]})
    planned = plan(table, tmp_path / "dataset", prompt="a {animal}", rewrite=rewrite, **settings(endpoint))
    assert (planned.to_generate, batches) == (50, [])

    report = make(table, prompt="a {animal}", rewrite=rewrite)
    more = pd.concat([table, pd.DataFrame({"animal": ["dog"]})])
    make(more, prompt="a {animal}", rewrite=rewrite)

    assert max(map(len, batches)) <= 32
    wanted = {*(f"a cat {number}" for number in range(40)), "a dog"}
    assert sorted(prompt for batch in batches for prompt in batch) == sorted(wanted)
    record = next(iter(report.records()))
    assert (record["prompt"], record["asked_prompt"]) == ("a cat 0, in detail", "a cat 0")
    assert len(endpoint.asked) == 51

    make(table[:1], "dataset", prompt="a {animal}", rewrite=rewrite, rewrite_version="2", append=True)
    assert batches[-1] == ["a cat 0"]


def test_a_rewriting_that_fails_is_a_failed_row_and_is_asked_again_by_the_next_run(
    make: Make, endpoint: Endpoint
) -> None:
    def broken(prompts: list[str]) -> list[Any]:
        return [None if prompt == "two" else prompt.upper() for prompt in prompts]

    def raising(prompts: list[str]) -> list[str]:
        raise ConnectionError("no model there")

    counts = [
        make(["one", "two"], rewrite=rewrite).counts
        for rewrite in (raising, broken, lambda prompts: ["TWO" for _ in prompts])
    ]

    assert [(one["done"], one["failed"]) for one in counts] == [(0, 2), (1, 1), (2, 0)]
    assert asked(endpoint) == ["ONE", "TWO"]
    with pytest.raises(ConfigurationError, match="store_prompts=False"):
        make(["one"], rewrite=broken, store_prompts=False)
    with pytest.raises(ConfigurationError, match="must be a function"):
        make(["one"], rewrite="upper")


def test_rewritten_prompts_whose_database_is_damaged_are_told(make: Make, endpoint: Endpoint) -> None:
    report = make(["one"], rewrite=lambda prompts: [prompt.upper() for prompt in prompts])
    name_what_is_no_text(report.folder / "rewrites.sqlite")

    with pytest.raises(ConfigurationError, match=r"the rewritten prompts in .* cannot be used"):
        make(["one", "two"], rewrite=lambda prompts: prompts, append=True)

    assert asked(endpoint) == ["ONE"]


def test_a_row_is_made_by_each_of_several_models_with_what_that_model_takes(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    options = {
        **settings(endpoint),
        "model": ["gpt-image-2", "dall-e-3"],
        "quality": "low",
        "size": "1536x1024",
    }
    table = [
        {"prompt": "a boat"},
        {"prompt": "a train", "model": "dall-e-3"},
        {"prompt": "a car", "model": '["dall-e-2", "dall-e-3"]'},
    ]

    planned = plan(pd.DataFrame(table), tmp_path / "dataset", **options)
    report = cm.generate_dataset(table, tmp_path / "dataset", **options)

    assert [(record["prompt"], record["model"]) for record in report.records()] == [
        ("a boat", "gpt-image-2"),
        ("a boat", "dall-e-3"),
        ("a train", "dall-e-3"),
        ("a car", "dall-e-2"),
        ("a car", "dall-e-3"),
    ]
    assert planned.rows == report.counts["done"] == 5
    assert planned.adapted["quality low is left out for dall-e-3"] == 3
    assert open_dataset(tmp_path / "dataset").counts["done"] == 5


@pytest.mark.parametrize(
    ("options", "problem"), [({"model": []}, "empty list"), ({"model": ["gpt-image-2", 3]}, "model is 3")]
)
def test_wrong_models_are_refused(
    make: Make, endpoint: Endpoint, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        make(["a boat"], **options)
    with pytest.raises(InvalidRequestError, match="quality is ultra"):
        make(["a boat"], model=["gpt-image-2", "dall-e-3"], quality="ultra")
    assert endpoint.asked == []


def test_product_has_every_combination_and_sample_draws_by_weight_and_seed() -> None:
    table = cm.product(animal=["cat", "dog"], style=("ink", "oil", "ink"), place="home")
    drawn = cm.sample(2000, sample_seed=7, animal={"cat": 3, "dog": 1, "cow": 0}, style=["ink", "oil"])

    assert table.to_dict("list") == {
        "animal": ["cat", "cat", "dog", "dog"],
        "style": ["ink", "oil", "ink", "oil"],
        "place": ["home"] * 4,
    }
    assert drawn.equals(
        cm.sample(2000, sample_seed=7, animal={"cat": 3, "dog": 1, "cow": 0}, style=["ink", "oil"])
    )
    counts = drawn["animal"].value_counts()
    assert set(counts.index) == {"cat", "dog"}
    assert 1400 < counts["cat"] < 1600
    assert not drawn.equals(cm.sample(2000, sample_seed=8, animal={"cat": 3, "dog": 1}, style=["ink", "oil"]))


@pytest.mark.parametrize(
    "call",
    [
        cm.product,
        lambda: cm.product(a=[]),
        lambda: cm.product(a=range(10_000), b=range(10_000)),
        lambda: cm.sample(0, a=["x"]),
        lambda: cm.sample("4", a=["x"]),
        lambda: cm.sample(3),
        lambda: cm.sample(3, a={"x": -1}),
        lambda: cm.sample(3, a={"x": 0}),
        lambda: cm.sample(3, a={"x": float("nan")}),
    ],
)
def test_a_table_of_words_that_cannot_be_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequestError):
        call()
