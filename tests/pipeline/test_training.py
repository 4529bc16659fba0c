"""Exports for training: chosen rows, pictures of one size and format, splits that stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from comet_magic.errors import ConfigurationError
from comet_magic.pipeline.export_manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.pipeline import Dataset

SHARES = {"train": 0.7, "test": 0.3}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def prompts_by_split(folder: Path) -> dict[str, list[str]]:
    return {
        path.parent.name: [row["prompt"] for row in lines_of(path)]
        for path in folder.glob("*/metadata.jsonl")
    }


@pytest.mark.parametrize(("crop", "expected"), [("center", (32, 32)), ("pad", (32, 32)), ("none", (16, 16))])
def test_pictures_are_made_anew_in_one_size_and_format_and_the_record_says_so(
    crop: Any, expected: tuple[int, int], make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make([{"prompt": "a", "label": 1}, {"prompt": "REFUSE b", "label": 2}])

    names = dataset.export(
        tmp_path / "out",
        format="folder",
        where="done",
        size=32,
        crop=crop,
        image_format="webp",
        columns=["label", "width"],
    )

    (row,) = lines_of(tmp_path / "out" / "metadata.jsonl")
    assert row == {"file_name": names[0], "label": 1, "width": expected[0]}
    with Image.open(tmp_path / "out" / names[0]) as image:
        assert (image.format, image.size) == ("WEBP", expected)
    assert dataset.export(tmp_path / "out", format="folder", where=lambda row: row["label"] == 2) == [
        "metadata.jsonl"
    ]
    found = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"metadata.jsonl", MANIFEST}


def test_more_rows_move_none_to_another_split_and_equal_values_stay_together(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    rows = [
        {"prompt": f"row {number}", "scene": f"s{number % 7}", "part": "test" if number % 2 else "train"}
        for number in range(40)
    ]
    few = make(rows[:20], "few")
    few.export(tmp_path / "1", format="folder", split=SHARES)
    first = prompts_by_split(tmp_path / "1")
    many = make(rows, "many")
    many.export(tmp_path / "2", format="folder", split=SHARES)
    second = prompts_by_split(tmp_path / "2")
    many.export(tmp_path / "3", format="folder", split=SHARES, split_by="scene")
    many.export(tmp_path / "4", format="folder", split="part")

    assert sum(map(len, second.values())) == 40
    assert all(set(first[split]) <= set(second[split]) for split in first)
    assert 20 <= len(second["train"]) <= 36
    scenes = [{row["scene"] for row in lines_of(path)} for path in (tmp_path / "3").glob("*/metadata.jsonl")]
    assert sum(map(len, scenes)) == len(set().union(*scenes)) == 7
    assert prompts_by_split(tmp_path / "4")["test"] == [row["prompt"] for row in rows[1::2]]


def test_a_picture_that_cannot_be_decoded_is_named_and_its_row_left_out(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make(["a", "b"])
    bad, good = (record["file_name"] for record in dataset.records())
    (dataset.folder / bad).write_bytes((dataset.folder / bad).read_bytes()[:60])

    with pytest.warns(UserWarning, match="cannot be decoded") as caught:
        names = dataset.export(tmp_path / "out", format="folder", size=16)

    assert bad in str(caught[0].message)
    assert names == [good, "metadata.jsonl"]


@pytest.mark.parametrize(
    "options",
    [
        {"size": 4},
        {"crop": "left"},
        {"image_format": "gif"},
        {"quality": 0},
        {"split": {"train": 0.5}},
        {"split": {"../x": 1.0}},
        {"split_by": "scene"},
        {"split": SHARES, "split_by": "nothing"},
        {"columns": ["nothing"]},
    ],
)
def test_an_option_that_cannot_be_used_is_refused_in_a_sentence(
    options: dict[str, Any], make: Callable[..., Dataset], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError):
        make(["a"]).export(tmp_path / "out", format="folder", **options)


@pytest.mark.judge
@pytest.mark.parametrize(
    ("form", "kind"), [("parquet", "parquet"), ("folder", "imagefolder"), ("webdataset", "webdataset")]
)
def test_train_and_test_are_splits_to_those_who_load_them(
    form: Any, kind: str, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")

    dataset = make([f"row {number}" for number in range(12)])
    dataset.export(tmp_path / "out", format=form, split=SHARES, size=16)

    loaded = datasets.load_dataset(kind, data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

    assert set(loaded) == {"train", "test"}
    assert sum(part.num_rows for part in loaded.values()) == 12
