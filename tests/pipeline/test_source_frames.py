"""What has columns is read by its columns, and the same table makes the same dataset whatever holds it."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import duckdb
import pandas
import polars
import pyarrow
import pytest
from pyarrow import parquet

from comet_magic.errors import SourceError
from comet_magic.pipeline import generate_dataset
from comet_magic.pipeline.read_source import read_source
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comet_magic.pipeline import Dataset

TEXTS: list[dict[str, Any]] = [
    {
        "prompt": (
            "a boat",
            'two, "big"\nboats; one\tsmall',
            "ein Boot für 漢字 🚣",
            " edges ",
            "REFUSE a boat",
        )[number % 5]
        + f" {number}",
        "size": ("1024x1024", None)[number % 2],
        "note": ("", "n/a", "1.0", None, "café")[number % 5],
        "cost": f"invoice {number}",
    }
    for number in range(50)
]
TYPED: list[dict[str, Any]] = [
    {
        "prompt": f"typed {number}",
        "n": (None, 1)[number % 2],
        "gaps": (None, number)[number % 3 > 0],
        "share": number / 4,
        "flag": number % 2 == 0,
        "when": datetime.datetime(2026, 11, 1 + number, 7),
        "tags": ["x"] * (number % 3),
        "box": {"at": number, "of": "y"},
    }
    for number in range(20)
]


def _csv(rows: list[dict[str, Any]], sep: str) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0], delimiter=sep)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _file(name: str, write: Callable[[Path, list[dict[str, Any]]], object]) -> Callable[..., Path]:
    def make(rows: list[dict[str, Any]], folder: Path) -> Path:
        write(folder / name, rows)
        return folder / name

    return make


def _json_lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row, default=datetime.datetime.isoformat) for row in rows)


def _dask(rows: list[dict[str, Any]], folder: Path) -> Any:
    import dask.dataframe

    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "for_dask.parquet", row_group_size=7)
    return dask.dataframe.read_parquet(folder / "for_dask.parquet", split_row_groups=True)


SOURCES: dict[str, Callable[[list[dict[str, Any]], Path], Any]] = {
    "csv": _file("rows.csv", lambda path, rows: path.write_text(_csv(rows, ","), "utf-8", newline="")),
    "tsv": _file("rows.tsv", lambda path, rows: path.write_text(_csv(rows, "\t"), "utf-16", newline="")),
    "gz": _file("rows.csv.gz", lambda path, rows: path.write_bytes(gzip.compress(_csv(rows, ";").encode()))),
    "jsonl": _file("rows.jsonl", lambda path, rows: path.write_text(_json_lines(rows))),
    "parquet": _file(
        "rows.parquet", lambda path, rows: parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    ),
    "pandas": lambda rows, _: pandas.DataFrame(rows),
    "polars": lambda rows, _: polars.DataFrame(rows),
    "polars lazy": lambda rows, _: polars.LazyFrame(rows),
    "arrow reader": lambda rows, _: pyarrow.Table.from_pylist(rows).to_reader(max_chunksize=9),
    "arrow batch": lambda rows, _: pyarrow.RecordBatch.from_pylist(rows),
    "duckdb": lambda rows, _: duckdb.from_arrow(pyarrow.Table.from_pylist(rows)),
    "hugging face": lambda rows, _: pytest.importorskip("datasets").Dataset.from_list(rows),
    "dask": _dask,
    "mapping of columns": lambda rows, _: {name: [row[name] for row in rows] for name in rows[0]},
}
OF_TEXTS = ("csv", "tsv", "gz")


@pytest.fixture(scope="module")
def shop() -> Iterator[Endpoint]:
    with Endpoint() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets")


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask, to pandas
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("rows", [TEXTS, TYPED], ids=["texts", "typed"])
def test_the_same_table_makes_the_same_dataset_byte_for_byte(
    rows: list[dict[str, Any]], kind: str, shop: Endpoint, folder: Path, tmp_path: Path
) -> None:
    """Every kind is made into the folder that a list of the rows made: nothing is paid again, no byte differs."""
    if rows is TYPED and kind in OF_TEXTS:
        pytest.skip("csv has texts only")
    out = folder / ("texts" if rows is TEXTS else "typed")
    first = generate_dataset(rows, out, **settings(shop))
    before, paid = (out / "metadata.jsonl").read_bytes(), len(shop.asked)

    again = generate_dataset(SOURCES[kind](rows, tmp_path), out, **settings(shop))

    assert (out / "metadata.jsonl").read_bytes() == before
    assert len(shop.asked) == paid
    assert again.counts == first.counts
    assert sum(first.counts.values()) == len(rows)


# --- what is refused


class Columns:
    """A frame of a library that is not known here."""

    columns = ("prompt",)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


class Convertible(Columns):
    def to_pandas(self) -> pandas.DataFrame:
        return pandas.DataFrame({"prompt": ["a"]})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Convertible(), "Give source.to_pandas()."),
        (Columns(), "Give pandas.DataFrame(source)."),
        (
            pandas.DataFrame([["a", "b"]], columns=["prompt", "prompt"]),
            "the column prompt stands twice (columns 1 and 2)",
        ),
        (pyarrow.Table.from_arrays([["a"], ["b"]], names=["x", "x"]), "the column x stands twice"),
        (polars.LazyFrame({"prompt": ["a"]}).select("nope"), "the source failed: ColumnNotFoundError"),
        (pandas.DataFrame({"text": ["a"]}).iloc[:0], "there is no column prompt; the columns are: text"),
    ],
)
def test_a_frame_that_is_not_read_is_refused_and_never_iterated(
    source: Any, words: str, shop: Endpoint, tmp_path: Path
) -> None:
    asked = len(shop.asked)

    with pytest.raises(SourceError) as caught:
        generate_dataset(source, tmp_path / "set", **settings(shop))

    assert words in f"{caught.value} {caught.value.hint}"
    assert len(shop.asked) == asked
    assert not (tmp_path / "set").exists()


@pytest.mark.judge
def test_of_several_splits_one_must_be_named() -> None:
    datasets = pytest.importorskip("datasets")
    splits = datasets.DatasetDict(train=datasets.Dataset.from_list([{"prompt": "a"}]))

    with pytest.raises(SourceError, match="the source has splits: train") as caught:
        read_source(splits, prompt="prompt")

    assert "source['train']" in caught.value.hint


# --- other members


@pytest.mark.parametrize(
    "source",
    [
        pandas.Series(["a", "b"], dtype="category"),
        pandas.DataFrame({"prompt": pandas.Categorical(["a", "b"])}),
        pyarrow.array(["a", "b"]),
        pyarrow.chunked_array([["a"], ["b"]], pyarrow.large_string()),
        pyarrow.table({"prompt": pyarrow.array(["a", "b"]).dictionary_encode()}),
        polars.Series(["a", "b"]),
        polars.DataFrame({"prompt": ["a", "b"]}, schema={"prompt": polars.Categorical}),
    ],
    ids=lambda source: type(source).__name__,
)
def test_texts_are_texts_however_they_are_kept(source: Any) -> None:
    assert [row.record["prompt"] for row in read_source(source, prompt="prompt").rows()] == ["a", "b"]


@pytest.mark.parametrize("kind", ["parquet", "hugging face", "arrow reader"])
def test_pictures_of_a_table_are_not_read_and_are_named(kind: str, tmp_path: Path) -> None:
    rows = [{"prompt": "a", "photo": {"bytes": b"x", "path": None}, "raw": b"x", "is_binary": {"binary": 1}}]

    (row,) = read_source(SOURCES[kind](rows, tmp_path), prompt="prompt").rows()

    assert row.record == {"prompt": "a", "is_binary": {"binary": 1}, "photo": b"", "raw": b""}


# --- what comes back fits what went in

INDEXES: dict[str, Any] = {
    "filtered": pandas.Index([7, 3, 9]),
    "duplicates": pandas.Index([5, 5, 5], name="row"),
    "texts": pandas.Index(["x", "y", "z"], name="id"),
    "dates": pandas.date_range("2026-11-22", periods=3, tz="Europe/Berlin"),
    "two levels": pandas.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["set", None]),
    "categories": pandas.CategoricalIndex(["x", "y", "x"]),
    "default": pandas.RangeIndex(3),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_the_frame_of_a_dataset_has_the_index_of_its_source(kind: str, make: Callable[..., Dataset]) -> None:
    frame = pandas.DataFrame({"prompt": ["a", "REFUSE b", "c"]}, index=INDEXES[kind])

    frame["picture"] = make(frame).to_frame()["image"]

    assert [str(picture)[0] if picture else None for picture in frame["picture"]] == ["a", None, "c"]
    assert make(frame["prompt"]).to_frame().index.equals(frame.index)
    assert make(frame["prompt"]).to_frame().index.names == frame.index.names


def test_the_index_of_dask_is_kept_and_that_of_two_pictures_a_row_repeats(
    make: Callable[..., Dataset],
) -> None:
    import dask.dataframe

    frame = pandas.DataFrame({"prompt": ["a", "b", "c"]}, index=[7, 3, 9])

    parts = make(dask.dataframe.from_pandas(frame, npartitions=2, sort=False))

    assert list(parts.to_frame().index) == [7, 3, 9]
    assert list(make(frame, n=2).to_frame().index) == [7, 7, 3, 3, 9, 9]
    assert list(make([*"abc"], replace=True).to_frame().index) == [0, 1, 2]


def test_chunks_of_a_table_keep_their_index(make: Callable[..., Dataset]) -> None:
    frame = pandas.DataFrame({"prompt": [f"row {number}" for number in range(6)]}, index=[9, 8, 7, 6, 5, 4])

    for start in (0, 2, 4):
        report = make(frame.iloc[start : start + 2], append=True)

    assert report.to_frame().index.equals(frame.index)
