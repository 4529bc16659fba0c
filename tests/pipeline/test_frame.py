"""The frame of a dataset in a notebook and in parquet, and a dataset in the workers of a data loader."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import pandas
import pyarrow
import pytest

from comet_magic.pipeline import open_dataset
from tests.pipeline.endpoint import PICTURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.pipeline import Dataset

    Make = Callable[..., Dataset]

TIMES = ["2026-01-02 00:00", "2026-01-03 04:05", None]


def table() -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "prompt": ["a boat", "REFUSE <b>", "a $x$ cat"],
            "local": pandas.to_datetime(TIMES),
            "zoned": pandas.to_datetime(TIMES, utc=True),
            "words": ["2026-01-02", "x", "y"],
        }
    )


def test_a_frame_goes_to_parquet_with_its_pictures(make: Make, tmp_path: Path) -> None:
    frame = make(table()).to_frame()
    frame.to_parquet(tmp_path / "frame.parquet")
    again = pandas.read_parquet(tmp_path / "frame.parquet")

    assert list(again.columns) == list(frame.columns)
    assert again["image"][0] == {"bytes": PICTURE, "path": frame["image"][0].name}
    assert again["image"][1] is None
    assert frame["image"][0].data == PICTURE
    assert list(again["prompt"]) == list(table()["prompt"])


def test_a_frame_is_a_table_of_arrow_with_its_pictures(make: Make) -> None:
    frame = make(table()).to_frame()
    arrow = pyarrow.table(frame)

    assert arrow.column_names[: len(frame.columns)] == list(frame.columns)  # and its index, as of any frame
    assert arrow["image"][0].as_py() == {"bytes": PICTURE, "path": frame["image"][0].name}
    assert arrow["image"][1].as_py() is None
    assert arrow["prompt"].to_pylist() == list(table()["prompt"])
    assert arrow["words"].type == pyarrow.table(table())["words"].type
    assert pyarrow.table(frame[frame["image"].isna()])["image"].to_pylist() == [None]
    assert pyarrow.array(frame["image"])[0].as_py()["bytes"] == PICTURE
    assert frame.groupby("prompt").size().sum() == 3
    assert frame["width"].sum() == 32


def test_datetimes_stay_datetimes_in_a_frame(make: Make) -> None:
    frame = make(table()).to_frame()

    for name in ("local", "zoned"):
        assert list(frame[name].dropna()) == list(table()[name].dropna())
        assert frame[name].isna().tolist() == [False, False, True]
    assert frame["zoned"].dt.tz is not None
    assert frame["local"].dt.tz is None
    assert frame["created"].dt.tz is not None
    assert list(frame["words"]) == list(table()["words"])


def test_a_notebook_shows_the_pictures_of_a_frame_and_no_text_as_html(make: Make) -> None:
    frame = make(table()).to_frame()
    whole, part = frame._repr_html_(), frame[["image", "prompt"]].head(1)._repr_html_()

    assert whole.count('<img src="data:image/') == 2
    assert part.count('<img src="data:image/') == 1
    assert "REFUSE &lt;b&gt;" in whole
    assert "tex2jax_ignore" in whole
    assert frame.drop(columns="image")._repr_html_().count("<img") == 0


def test_a_picture_that_is_gone_is_told_in_its_cell(make: Make) -> None:
    report = make(["a boat"])
    (report.folder / next(report.records())["file_name"]).unlink()

    assert "cannot be read" in report.to_frame()._repr_html_()


def picture_at(given: tuple[Any, int]) -> tuple[str, tuple[int, int]]:
    dataset, place = given
    row = dataset[place]
    return row["prompt"], row["image"].open().size


def test_a_dataset_serves_the_worker_processes_of_a_data_loader(make: Make) -> None:
    report = make(["one", "two", "three"])
    context = multiprocessing.get_context("spawn")

    with context.Pool(1) as pool:
        found = pool.map(picture_at, [(report, 0), (report, -1)])
        pool.close()
        pool.join()

    assert found == [("one", (16, 16)), ("three", (16, 16))]


def test_a_pickled_report_has_no_key_and_tells_the_same(make: Make) -> None:
    report = make(["one"], api_key="a-key-that-nobody-may-see-1234567890")
    data = pickle.dumps(report)

    assert b"nobody-may-see" not in data
    assert pickle.loads(data).counts == open_dataset(report.folder).counts
    with pytest.raises(IndexError):
        report[1]
