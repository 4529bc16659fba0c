"""Rows from every kind of table, and what becomes of their columns."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import time
import tracemalloc
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pandas
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from comet_magic.errors import InvalidRequestError, SourceError
from comet_magic.pipeline import expand, source
from comet_magic.pipeline.expand import Expander
from comet_magic.pipeline.parameters import typed
from comet_magic.pipeline.read_source import read_source
from comet_magic.pipeline.source import BATCH, SourceRow, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [
    {"caption": "a boat", "size": "1024x1024", "label": 1},
    {"caption": 'two boats, "big"\nand small', "size": None, "label": None},
    {"caption": "ein Boot für drei 漢字", "size": "1536x1024", "label": 3},
]


def csv_file(folder: Path) -> Path:
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def jsonl_file(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n", "utf-8")
    return path


def parquet_file(folder: Path) -> Path:
    path = folder / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


SOURCES = {
    "list": lambda _: ROWS,
    "generator": lambda _: (row for row in ROWS),
    "pandas": lambda _: pandas.DataFrame(ROWS),
    "pyarrow": lambda _: pyarrow.Table.from_pylist(ROWS),
    "csv": csv_file,
    "csv as text": lambda folder: str(csv_file(folder)),
    "jsonl": jsonl_file,
    "parquet": parquet_file,
}


def items_of(
    source: Any, prompt: str = "prompt", *, columns: Any = None, parameters: Any = None, **defaults: Any
) -> list[Any]:
    """The rows of a dataset, as a run makes them."""
    items = Expander(
        {"model": "gpt-image-2", **defaults}, prompt=prompt, vendor="sandbox", parameters=parameters
    )
    table = read_source(source, prompt=prompt, columns=columns)
    if table.whole:
        items.look_through(table.rows(), table.columns or ())
    return [item for batch, _ in table.batches() for item in items.read(batch)]


def rows_of(*records: Any) -> list[SourceRow]:
    return [SourceRow(record, "a row") for record in records]


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_table_gives_the_same_requests(kind: str, tmp_path: Path) -> None:
    items = items_of(SOURCES[kind](tmp_path), "caption")

    assert [item.prompt for item in items] == [row["caption"] for row in ROWS]
    assert [item.template.request(item.prompt).size for item in items] == ["1024x1024", None, "1536x1024"]
    assert [item.key for item in items] == [item.key for item in items_of(ROWS, "caption")]


@pytest.mark.parametrize(
    ("kind", "size"), [("list", 3), ("pandas", 3), ("pyarrow", 3), ("csv", None), ("generator", None)]
)
def test_a_table_tells_its_size_where_it_knows_it(kind: str, size: int | None, tmp_path: Path) -> None:
    assert read_source(SOURCES[kind](tmp_path), prompt="caption").size == size


def test_texts_are_prompts() -> None:
    assert [item.prompt for item in items_of(["one", "two"], "caption")] == ["one", "two"]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are filled however slow the machine is."""
    monkeypatch.setattr(source, "LINGER", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_large_table_comes_in_batches() -> None:
    batches = list(read_source([str(n) for n in range(BATCH * 2 + 1)], prompt="prompt").batches())

    assert [(len(batch), last) for batch, last in batches] == [(BATCH, False), (BATCH, False), (1, True)]


@pytest.mark.usefixtures("patient")
def test_a_table_that_fills_its_batches_ends_with_an_empty_one() -> None:
    batches = list(read_source([str(n) for n in range(BATCH)], prompt="prompt").batches())

    assert [(len(batch), last) for batch, last in batches] == [(BATCH, False), (0, True)]


def test_a_slow_source_is_handed_on_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOOK", 0.1)

    def slow() -> Iterator[str]:
        for number in range(3):
            time.sleep(0.11)
            yield str(number)

    assert [len(batch) for batch, _ in read_source(slow(), prompt="prompt").batches()] == [1, 1, 1, 0]


def test_what_a_failing_source_gave_before_is_not_lost() -> None:
    def failing() -> Iterator[str]:
        yield "one"
        yield "two"
        raise LookupError("gone")

    batches = read_source(failing(), prompt="prompt").batches()

    given, last = next(batches)
    assert (len(given), last) == (2, False)
    with pytest.raises(LookupError):
        next(batches)


def test_an_empty_table_has_no_rows() -> None:
    assert items_of([]) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([{"text": "a"}], "there is no column prompt; the columns are: text"),
        ({"text": ["a"]}, "there is no column prompt; the columns are: text"),
        ([5], "row 0 is of type int"),
        (["a", ("b", "c")], "row 1 is of type tuple; a row must be a text or a mapping"),
        (zip(["a"], ["b"], strict=True), "row 0 is of type tuple"),
        (numpy.array([["a", "b"]]), "row 0 is of type ndarray"),
        (5, "source must be a frame, a path or an iterable of rows, not int"),
        (b"rows.csv", "or an iterable of rows, not bytes"),
        ({"a", "b"}, "a set has no order"),
        (iter([pandas.DataFrame({"prompt": ["a"]})]), "row 0 is of type DataFrame"),
        ({"prompt": ["a", "b"], "size": ["1024x1024"]}, "the column size has 1 values, and prompt has 2"),
        ([{"prompt": "a", "when": object()}], "row 0: the column when holds a value of type object"),
        ([{"prompt": "a"}, {"prompt": b"b"}], "row 1: the prompt is of type bytes; it must be a text"),
        ([{"prompt": "a", "style": "oil"}], "row 0: style is oil; gpt-image-2 takes no style"),
    ],
)
def test_what_is_no_table_is_told(source: Any, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        items_of(source)

    assert words in str(caught.value)


def test_a_mapping_of_columns_is_a_table_and_one_of_values_a_row() -> None:
    several = items_of({"prompt": ["a", "b"], "size": ["1024x1024", None], "label": "all"})
    series = items_of({"prompt": pandas.Series(["a", "b"]), "label": pandas.Series([1, 2])})

    assert [(item.prompt, item.columns) for item in several] == [
        ("a", {"label": "all"}),
        ("b", {"label": "all"}),
    ]
    assert [(item.prompt, item.columns) for item in series] == [("a", {"label": 1}), ("b", {"label": 2})]
    assert [(item.prompt, item.columns) for item in items_of({"prompt": "a", "tags": ["x"]})] == [
        ("a", {"tags": ["x"]})
    ]


def test_tuples_are_rows_once_their_columns_are_named() -> None:
    table = read_source([("a", 1), ["b", 2]], prompt="prompt", columns=["prompt", "label"])

    assert [row.record for row in table.rows()] == [{"prompt": "a", "label": 1}, {"prompt": "b", "label": 2}]
    with pytest.raises(SourceError, match="row 0 has 1 values for 2 columns"):
        items_of([("a",)], columns=["prompt", "label"])


@pytest.mark.parametrize(
    "source",
    [
        ["a", None, "b"],
        ["a", float("nan"), "b"],
        iter(["a", None, "b"]),
        pandas.Series(["a", None, "b"], index=[5, 5, 7]),
        pandas.DataFrame({"prompt": ["a", pandas.NaT, "b"]}, dtype=object),
        pyarrow.table({"prompt": ["a", None, "b"]}),
        [{"prompt": "a"}, {}, {"prompt": "b"}],
        {"prompt": ["a", "", "b"]},
    ],
)
def test_a_missing_prompt_is_one_failed_row_in_every_kind_of_source(source: Any) -> None:
    items = items_of(source)

    assert [str(item.problem or item.prompt) for item in items] == [
        *("a", "prompt is empty; say what the picture shows", "b")
    ]


def test_a_stream_is_looked_through_for_its_first_rows_and_fails_row_by_row_after_them() -> None:
    def stream(bad: int) -> Iterator[Any]:
        for number in range(1200):
            yield {"prompt": "a", "size": "7x7", "label": object()} if number == bad else f"row {number}"

    with pytest.raises(SourceError, match="row 999: "):
        items_of(stream(999))
    items = items_of(stream(1100))

    assert [item.position for item in items if item.problem] == [1100]
    assert "row 1100: the column label holds" in str(items[1100].problem)


# --- values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (numpy.int64(5), 5),
        (numpy.float32(0.5), 0.5),
        (numpy.array([1, 2]), [1, 2]),
        (numpy.str_("a"), "a"),
        (numpy.datetime64("2026-11-22", "ns"), "2026-11-22T00:00:00"),
        (numpy.datetime64("NaT"), None),
        (float("nan"), None),
        (2.0, 2),
        (1e300, 1e300),
        (1 << 70, str(1 << 70)),
        ("a\r\nb\rc", "a\nb\rc"),
        (pandas.Timedelta("1D"), "1 day, 0:00:00"),
        (pandas.Interval(0, 1), "(0, 1]"),
        (pyarrow.scalar("a"), "a"),
        (Path("a/b"), "a/b"),
        ({"b", "a"}, ["a", "b"]),
        (float("inf"), None),
        (pandas.NA, None),
        (pandas.NaT, None),
        (pandas.Timestamp("2026-11-22"), "2026-11-22T00:00:00"),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (decimal.Decimal("1.50"), "1.50"),
        ({"a": (1, {2})}, {"a": [1, [2]]}),
        (True, True),
        (None, None),
    ],
)
def test_values_become_what_json_holds(value: Any, expected: Any) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), [b"x"], {"bytes": b"x"}, Image.new("1", (2, 2)), numpy.zeros((2, 2, 3), "uint8")],
)
def test_pictures_and_bytes_are_left_out_and_said_once(value: Any) -> None:
    with pytest.warns(UserWarning, match="^pictures and bytes are not kept: photo$") as told:
        items = items_of([{"prompt": "a", "photo": value, "label": 1}] * 3)

    assert [item.columns for item in items] == [{"label": 1}] * 3
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", "3", 3),
        ("n", 3.0, 3),
        ("n", "2.0", 2),
        ("output_compression", numpy.float64(80), 80),
        ("n", "three", "three"),
        ("stream", "True", True),
        ("stream", "no", "no"),
        ("extra", '{"seed": 7}', {"seed": 7}),
        ("extra", "{seed", "{seed"),
        ("size", " 16:9 ", "16:9"),
        ("size", "  ", None),
        ("quality", float("nan"), None),
    ],
)
def test_parameters_are_read_from_tables_that_know_texts_and_floats_only(
    name: str, value: Any, expected: Any
) -> None:
    assert typed(name, value) == expected


# --- requests


def test_a_column_of_mine_is_mine_and_a_column_of_the_prompts_is_no_parameter() -> None:
    (mine,) = items_of([{"prompt": "a", "style": "oil", "size": "1024x1024"}], parameters=["size"])
    (words,) = items_of([{"style": "a boat"}], "style")

    assert mine.columns == {"style": "oil"}
    assert mine.template.request("a").size == "1024x1024"
    assert words.prompt == "a boat"
    with pytest.raises(SourceError, match="parameters contains size, and there is no such column"):
        items_of(["a"], parameters=["size"])
    with pytest.raises(InvalidRequestError, match="sizes is not a parameter"):
        items_of(["a"], parameters=["sizes"])


def test_a_default_goes_to_what_the_model_of_a_row_takes() -> None:
    rows = rows_of(
        {"prompt": "a", "model": "dall-e-2"}, {"prompt": "a"}, {"prompt": "a", "model": "qwen-image"}
    )
    items = Expander(
        {"model": "gpt-image-2", "size": "1536x1024", "quality": "low"}, prompt="prompt", vendor="sandbox"
    )

    requests = [row.template.request("a") for row in items.read(rows) if row.template]

    assert [(request.size, request.quality) for request in requests] == [
        ("1024x1024", None), ("1536x1024", "low"), (requests[2].size, None),
    ]  # fmt: skip
    assert dict(items.adapted) == {
        "size 1536x1024 becomes 1024x1024 for dall-e-2": 1,
        "quality low is left out for dall-e-2": 1,
        f"size 1536x1024 becomes {requests[2].size} for qwen-image": 1,
        "quality low is left out for qwen-image": 1,
    }


def test_a_default_need_not_fit_the_default_model_if_it_fits_that_of_a_row() -> None:
    def of(**defaults: Any) -> Any:
        items = Expander(defaults, prompt="prompt", vendor="sandbox")
        return list(
            items.read(rows_of({"prompt": "a", "model": "dall-e-3"}, {"prompt": "a", "model": "dall-e-2"}))
        )

    assert [row.template.request("a").style for row in of(style="vivid")] == ["vivid", None]
    with pytest.raises(InvalidRequestError, match="style is ultra"):
        of(style="ultra")


def test_names_of_columns_do_not_fold_over_rows() -> None:
    items = items_of([{"prompt": "a", 1: "number"}, {"prompt": "b", "1": "text"}])

    assert [item.columns for item in items] == [{"1_int": "number"}, {"1": "text"}]


def test_a_column_named_like_a_parameter_holds_for_its_row() -> None:
    rows = [{"prompt": "a", "quality": "high"}, {"prompt": "b"}, {"prompt": "c", "quality": "high"}]
    items = items_of(rows, quality="low")

    assert [item.template.request(item.prompt).quality for item in items] == ["high", "low", "high"]


def test_equal_requests_are_numbered_and_others_are_not() -> None:
    items = items_of(["a", "b", "a", {"prompt": "a", "size": "1024x1024"}, "a"])

    assert [item.copy for item in items] == [0, 0, 1, 0, 2]


def test_deduplicated_rows_share_the_first() -> None:
    items = Expander({}, prompt="prompt", vendor="sandbox", dedupe=True)

    found = list(items.read(rows_of({"prompt": "a"}, {"prompt": "a"}, {"prompt": "b"})))

    assert [(item.copy, item.shares_earlier) for item in found] == [(0, False), (0, True), (0, False)]
    assert items.duplicates == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": 7}, "prompt is 7; it must be a text"),
        ({"prompt": "a", "size": "7x7"}, "size is 7x7"),
        ({"prompt": "a", "n": 0}, "n is 0; a row takes 1 to 100"),
        ({"prompt": "a", "extra": "no"}, "extra must be a mapping"),
    ],
)
def test_a_row_that_breaks_a_rule_is_kept_with_its_reason(row: dict[str, Any], words: str) -> None:
    listed = [name for name in row if name != "prompt"]
    good, bad = items_of([dict.fromkeys(row) | {"prompt": "good"}, row], parameters=listed)

    assert good.problem is None
    assert words in str(bad.problem)
    assert (bad.key, bad.template) == ("", None)


def test_wrong_defaults_are_refused_at_once() -> None:
    with pytest.raises(InvalidRequestError, match="quality is ultra"):
        Expander({"model": "gpt-image-2", "quality": "ultra"}, prompt="prompt", vendor="sandbox")


def test_many_sets_of_parameters_are_not_all_remembered() -> None:
    items = Expander({"model": "test-model"}, prompt="prompt", vendor="sandbox")

    rows = items.read(rows_of(*({"prompt": "a", "extra": {"seed": n}} for n in range(2500))))
    first = weakref.ref(next(rows).template)
    keys = {row.key for row in rows}

    assert len(keys) == 2499
    assert first() is None


def test_equal_rows_are_counted_however_far_apart_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_RECENT", 10)
    prompts = [f"row {number % 40}" for number in range(120)]

    with Expander({"n": 2}, prompt="prompt", vendor="sandbox") as rows:
        found = list(rows.read(rows_of(*({"prompt": prompt} for prompt in prompts))))
        duplicates = rows.duplicates

    assert [row.copy for row in found] == [
        copy for times in (0, 2, 4) for _ in range(40) for copy in (times, times + 1)
    ]
    assert duplicates == 240 - 40


def test_memory_does_not_grow_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_RECENT", 500)

    with Expander({}, prompt="prompt", vendor="sandbox") as rows:
        tracemalloc.start()
        prompts = read_source((f"row {number}" for number in range(20_000)), prompt="prompt")
        for row in (row for batch, _ in prompts.batches() for row in rows.read(batch)):
            if row.position == 5_000:
                before = tracemalloc.get_traced_memory()[0]
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

    assert after - before < 200_000  # bytes; a count for each of the other rows takes two million
