"""Rows from every kind of table, and what becomes of their columns."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from comet_magic.errors import ConfigurationError, InvalidRequestError
from comet_magic.pipeline import expand
from comet_magic.pipeline.expand import Expander, typed
from comet_magic.pipeline.source import BATCH, plain, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def items_of(source: Any, prompt: str = "prompt", **defaults: Any) -> list[Any]:
    items = Expander({"model": "gpt-image-2", **defaults}, prompt=prompt, vendor="sandbox")
    return [item for batch, _ in read_source(source, prompt=prompt).batches() for item in items.read(batch)]


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_table_gives_the_same_requests(kind: str, tmp_path: Path) -> None:
    items = items_of(SOURCES[kind](tmp_path), "caption")

    assert [item.prompt for item in items] == [row["caption"] for row in ROWS]
    assert [item.template.request(item.prompt).size for item in items] == ["1024x1024", None, "1536x1024"]
    assert [item.key for item in items] == [item.key for item in items_of(ROWS, "caption")]


@pytest.mark.parametrize(
    ("kind", "size"),
    [("list", 3), ("pandas", 3), ("pyarrow", 3), ("parquet", 3), ("csv", None), ("generator", None)],
)
def test_a_table_tells_its_size_where_it_knows_it(kind: str, size: int | None, tmp_path: Path) -> None:
    assert read_source(SOURCES[kind](tmp_path), prompt="caption").size == size


def test_texts_are_prompts() -> None:
    assert [item.prompt for item in items_of(["one", "two"], "caption")] == ["one", "two"]


def test_a_large_table_comes_in_batches() -> None:
    batches = list(read_source([str(n) for n in range(BATCH * 2 + 1)], prompt="prompt").batches())

    assert [(len(batch), last) for batch, last in batches] == [(BATCH, False), (BATCH, False), (1, True)]


def test_a_table_that_fills_its_batches_ends_with_an_empty_one() -> None:
    batches = list(read_source([str(n) for n in range(BATCH)], prompt="prompt").batches())

    assert [(len(batch), last) for batch, last in batches] == [(BATCH, False), (0, True)]


def test_a_slow_source_is_handed_on_row_by_row() -> None:
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
        ([5], "row 0 is of type int"),
        (["a", None], "row 1 is of type NoneType"),
        (5, "source must be a frame, a path or an iterable of rows, not int"),
        ({"prompt": ["a"]}, "or an iterable of rows, not dict"),
        (b"rows.csv", "or an iterable of rows, not bytes"),
        ("rows.xlsx", "rows.xlsx is not a table; its name must end in .csv"),
        ("rows.csv", "there is no file rows.csv"),
    ],
)
def test_what_is_no_table_is_told(source: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        items_of(source)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.jsonl", b'{"prompt": "a"}\n[1]\n', "line 2 is not a JSON object"),
        ("rows.jsonl", b'{"prompt": "a"}\n{"prompt', "rows.jsonl cannot be read"),
        ("rows.csv", b"prompt\na,b,c\n", "line 2 has 2 values too many"),
        ("rows.tsv", b"prompt\tlabel\na\t1\nb\t2\t3\n", "line 3 has 1 value too many"),
        ("rows.csv", b"prompt\n\xff\xfe\n", "rows.csv cannot be read"),
        ("rows.parquet", b"no parquet", "rows.parquet cannot be read"),
    ],
)
def test_a_broken_file_is_told_by_its_name(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        items_of(tmp_path / name)

    assert words in str(caught.value)


def test_a_parquet_file_that_is_damaged_within_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"prompt": [str(number) * 9 for number in range(2000)]}), path)
    whole = bytearray(path.read_bytes())
    whole[100:4000] = bytes(3900)
    path.write_bytes(whole)

    with pytest.raises(ConfigurationError, match=r"rows.parquet cannot be read: \w+ .*\w"):
        items_of(path)


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    csv_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert len(items_of("~/rows.csv", "caption")) == len(ROWS)


def test_a_tsv_is_read_by_its_tabs(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("prompt\tlabel\na, boat\tx\n")

    assert [item.prompt for item in items_of(tmp_path / "rows.tsv")] == ["a, boat"]


def test_without_pyarrow_a_parquet_file_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = parquet_file(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigurationError, match="pyarrow is not installed") as caught:
        items_of(path, "caption")

    assert "comet-magic[data]" in caught.value.hint


# --- values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (numpy.int64(5), 5),
        (numpy.float32(0.5), 0.5),
        (numpy.array([1, 2]), [1, 2]),
        (float("nan"), None),
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


def test_bytes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a column holds bytes"):
        plain(b"picture")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", "3", 3),
        ("n", 3.0, 3),
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


def test_a_column_named_like_a_parameter_holds_for_its_row() -> None:
    rows = [{"prompt": "a", "quality": "high"}, {"prompt": "b"}, {"prompt": "c", "quality": "high"}]
    items = items_of(rows, quality="low")

    assert [item.template.request(item.prompt).quality for item in items] == ["high", "low", "high"]


def test_equal_requests_are_numbered_and_others_are_not() -> None:
    items = items_of(["a", "b", "a", {"prompt": "a", "size": "1024x1024"}, "a"])

    assert [item.copy for item in items] == [0, 0, 1, 0, 2]


def test_deduplicated_rows_share_the_first() -> None:
    items = Expander({}, prompt="prompt", vendor="sandbox", dedupe=True)

    found = list(items.read([{"prompt": "a"}, {"prompt": "a"}, {"prompt": "b"}]))

    assert [(item.copy, item.shares_earlier) for item in found] == [(0, False), (0, True), (0, False)]
    assert items.duplicates == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": None}, "prompt is of type NoneType"),
        ({"label": 1}, "prompt is of type NoneType"),
        ({"prompt": 7}, "prompt is 7; it must be a text"),
        ({"prompt": "a", "size": "7x7"}, "size is 7x7"),
        ({"prompt": "a", "n": 0}, "n is 0; a row takes 1 to 100"),
        ({"prompt": "a", "extra": "no"}, "extra must be a mapping"),
    ],
)
def test_a_row_that_breaks_a_rule_is_kept_with_its_reason(row: dict[str, Any], words: str) -> None:
    good, bad = items_of([{"prompt": "good"}, row])

    assert good.problem is None
    assert words in str(bad.problem)
    assert (bad.key, bad.template) == ("", None)


def test_wrong_defaults_are_refused_at_once() -> None:
    with pytest.raises(InvalidRequestError, match="quality is ultra"):
        Expander({"model": "gpt-image-2", "quality": "ultra"}, prompt="prompt", vendor="sandbox")


def test_many_sets_of_parameters_are_not_all_remembered() -> None:
    items = Expander({"model": "test-model"}, prompt="prompt", vendor="sandbox")

    found = list(items.read({"prompt": "a", "extra": {"seed": n}} for n in range(2500)))

    assert len({item.key for item in found}) == 2500
    assert len(items._templates) <= 1000


def test_equal_rows_are_counted_however_far_apart_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_RECENT", 10)
    prompts = [f"row {number % 40}" for number in range(120)]

    with Expander({"n": 2}, prompt="prompt", vendor="sandbox") as rows:
        found = list(rows.read({"prompt": prompt} for prompt in prompts))
        duplicates = rows.duplicates

    assert [row.copy for row in found] == [
        copy for times in (0, 2, 4) for _ in range(40) for copy in (times, times + 1)
    ]
    assert duplicates == 240 - 40


def test_memory_does_not_grow_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_RECENT", 500)

    with Expander({}, prompt="prompt", vendor="sandbox") as rows:
        tracemalloc.start()
        for row in rows.read({"prompt": f"row {number}"} for number in range(20_000)):
            if row.position == 5_000:
                before = tracemalloc.get_traced_memory()[0]
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

    assert after - before < 200_000  # bytes; a count for each of the other rows takes two million
