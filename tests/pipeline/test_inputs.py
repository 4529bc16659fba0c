"""Pictures that go into the rows of a dataset: from columns of any kind of table, sent once, kept once, priced."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import comet_magic as cm
from comet_magic.errors import InvalidRequestError
from comet_magic.pipeline import generate_dataset, open_dataset, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_pictures")

BOX = "4,4,40,40"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[cm.sandbox.Sandbox]:
    with cm.start_sandbox() as running:
        yield running


@pytest.fixture
def options(sandbox: Any) -> dict[str, Any]:
    return {"base_url": sandbox.base_url, "api_key": "sandbox", "quality": "low", "size": "1024x1024"}


def made(source: Any, out: Path, options: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return list(generate_dataset(source, out, progress=False, **options, **more).records())


def square(colour: str) -> Image.Image:
    return Image.new("RGB", (64, 64), colour)


def png(colour: str) -> bytes:
    out = io.BytesIO()
    square(colour).save(out, "PNG")
    return out.getvalue()


def table(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """A csv file with pictures beside it, in a folder that is not the working one."""
    (folder / "pics").mkdir(parents=True)
    for colour in ("red", "blue"):
        (folder / "pics" / f"{colour}.png").write_bytes(png(colour))
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "photo", "sky"), *rows])
    return folder / "rows.csv"


def test_a_row_of_a_file_edits_the_picture_beside_it_and_a_second_run_is_free(
    options: dict[str, Any], tmp_path: Path
) -> None:
    rows = [("night", f"pics/{colour}.png", BOX) for colour in ("red", "blue", "red")]
    source = table(tmp_path / "in", rows)

    before = plan(source, tmp_path / "out", image="photo", mask="sky", **options)
    records = made(source, tmp_path / "out", options, image="photo", mask="sky")
    report = open_dataset(tmp_path / "out")
    cost = report.cost
    again = made(source, tmp_path / "out", options, image="photo", mask="sky")

    assert before.to_generate == 3
    assert before.price.high_micro is not None
    assert before.price.low_micro is not None
    assert before.price.high_micro / 1e6 >= cost > before.price.low_micro / 1e6 / 2
    assert plan(source, tmp_path / "other", **options).price.high_micro < before.price.low_micro  # type: ignore[operator]
    assert [record["outcome"] for record in records] == ["done"] * 3
    assert records[0]["photo"] == records[2]["photo"] != records[1]["photo"]
    assert records[0]["file_name"] != records[2]["file_name"]
    with Image.open(tmp_path / "out" / records[1]["photo"]) as kept:
        assert kept.convert("RGB").getpixel((9, 9)) == (0, 0, 255)
    assert again == records
    assert report.cost == cost
    assert plan(source, tmp_path / "out", image="photo", mask="sky", **options).done == 3
    assert len(list((tmp_path / "out" / "inputs").rglob("*.png"))) == 3  # two pictures and the mask


def test_the_same_pixels_are_the_same_row_in_whatever_form_they_come(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "red.png").write_bytes(png("red"))
    forms = [
        str(tmp_path / "red.png"),
        tmp_path / "red.png",
        square("red"),
        png("red"),
        np.asarray(square("red")),
        {"bytes": png("red"), "path": None},
        [{"bytes": None, "path": str(tmp_path / "red.png")}],
    ]
    rows = [{"prompt": "night", "photo": form} for form in forms]

    records = made(rows, tmp_path / "out", options, image="photo", dedupe=True)
    frame = made(pd.DataFrame(rows), tmp_path / "out", options, image="photo", dedupe=True)
    stream = made(iter(rows), tmp_path / "out", options, image="photo", dedupe=True)

    assert len({record["file_name"] for record in records}) == 1
    assert records == frame == stream
    assert open_dataset(tmp_path / "out").spend.spent_micro < 10_000


@pytest.mark.parametrize(
    ("photo", "sky", "said"),
    [
        ("", BOX, "photo is empty"),
        ("pics/none.png", BOX, "none.png cannot be read"),
        ("pics/secret.png", BOX, "not a picture"),
        ("pics", BOX, "not a file"),
        ("https://example.com/a.png", BOX, "is an address"),
        ("pics/red.png", "", "sky is empty"),
        ("pics/red.png", "1,1,900,9", "within 64x64"),
    ],
)
def test_a_row_whose_picture_cannot_be_used_fails_alone_and_nothing_of_it_is_sent(
    photo: str, sky: str, said: str, options: dict[str, Any], tmp_path: Path
) -> None:
    source = table(tmp_path / "in", [("night", photo, sky), ("night", "pics/blue.png", BOX)])
    (tmp_path / "in" / "pics" / "secret.png").write_text("a secret text")

    bad, good = made(source, tmp_path / "out", options, image="photo", mask="sky")

    assert (bad["outcome"], good["outcome"]) == ("failed", "done")
    assert said in bad["message"]
    assert bad["photo"] == (photo or None)
    assert len(open_dataset(tmp_path / "out").rows) == 2
    assert b"secret" not in b"".join(
        path.read_bytes() for path in (tmp_path / "out" / "inputs").rglob("*.png")
    )


def test_one_picture_for_all_rows_is_given_by_itself_and_a_column_wins_over_a_file(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo").write_bytes(png("red"))
    rows = [{"prompt": "day", "photo": square("blue")}, {"prompt": "night", "photo": square("blue")}]

    column = made(rows, tmp_path / "column", options, image="photo")
    file = made(["day", "night"], tmp_path / "file", options, image="photo")
    both = made(rows, tmp_path / "both", options, image=["photo", square("green")], mask=(1, 1, 9, 9))

    assert "photo" not in file[0]
    assert {record["outcome"] for record in (*column, *file, *both)} == {"done"}
    assert column[0]["photo"] == both[0]["photo"]
    inputs = {
        out: len(list((tmp_path / out / "inputs").rglob("*.png"))) for out in ("column", "file", "both")
    }
    assert inputs == {"column": 1, "file": 1, "both": 3}
    with pytest.raises(InvalidRequestError, match="no such column and no such file; the columns are: prompt"):
        generate_dataset(["day"], tmp_path / "none", image="foto", **options)
    assert not (tmp_path / "none").exists()


def test_a_file_of_a_stranger_under_the_name_of_an_input_is_not_sent_in_its_place(
    options: dict[str, Any], tmp_path: Path
) -> None:
    source = table(tmp_path / "in", [("night", "pics/red.png", BOX)])
    made(source, tmp_path / "first", options, image="photo")
    (kept,) = (tmp_path / "first" / "inputs").glob("*/*")
    place = tmp_path / "out" / kept.relative_to(tmp_path / "first")
    place.parent.mkdir(parents=True)
    place.write_bytes(png("blue"))

    (record,) = made(source, tmp_path / "out", options, image="photo")

    assert record["outcome"] == "done"
    assert place.read_bytes() == kept.read_bytes() == png("red")


def test_pictures_of_a_table_at_an_address_come_from_there_and_from_nowhere_else(
    options: dict[str, Any], tmp_path: Path
) -> None:
    system = fsspec.filesystem("memory")
    (tmp_path / "red.png").write_bytes(png("red"))
    system.pipe("/tables/pics/red.png", png("red"))
    names = ["pics/red.png", "memory://tables/pics/red.png", f"file://{tmp_path}/red.png"]
    system.pipe(
        "/tables/rows.jsonl", "\n".join(json.dumps({"prompt": "a", "p": name}) for name in names).encode()
    )
    try:
        records = made("memory://tables/rows.jsonl", tmp_path / "out", options, image="p", dedupe=True)
    finally:
        system.rm("/tables", recursive=True)

    assert [record["outcome"] for record in records] == ["done", "done", "failed"]
    assert records[0]["p"] == records[1]["p"]
    assert "elsewhere" in records[2]["message"]


def test_failed_rows_are_retried_with_their_pictures_and_without_the_table(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with cm.start_sandbox(fail="moderation:1") as strict:
        here = {"base_url": strict.base_url, "api_key": "sandbox"}
        options = {**options, **here}
        rows = [{"prompt": "day", "photo": square("red")}]
        (refused,) = made(rows, tmp_path / "out", options, image="photo")
        (again,) = open_dataset(tmp_path / "out").retry("refused", progress=False, **here).records()

    assert (refused["outcome"], again["outcome"]) == ("refused", "done")
    assert again["photo"] == refused["photo"]


@pytest.mark.judge
def test_pictures_of_a_dataset_and_of_parquet_go_in_and_pairs_come_out_as_two_image_columns(
    options: dict[str, Any], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")

    given = datasets.Dataset.from_dict(
        {"prompt": ["day", "night"], "photo": [square("red"), square("blue")]},
        features=datasets.Features({"prompt": datasets.Value("string"), "photo": datasets.Image()}),
    )
    given.to_parquet(tmp_path / "in.parquet")

    records = made(given, tmp_path / "out", options, image="photo")
    assert made(tmp_path / "in.parquet", tmp_path / "out", options, image="photo") == records

    report = open_dataset(tmp_path / "out")
    for form, kind in (("parquet", "parquet"), ("folder", "imagefolder")):
        report.export(tmp_path / form, format=form)  # type: ignore[arg-type]
        loaded = datasets.load_dataset(
            kind, data_dir=str(tmp_path / form), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert isinstance(loaded.features["image"], datasets.Image)
        assert isinstance(loaded.features["photo"], datasets.Image)
        assert [row["photo"].convert("RGB").getpixel((5, 5)) for row in loaded] == [(255, 0, 0), (0, 0, 255)]
        assert [row["image"].size for row in loaded] == [(1024, 1024)] * 2
    report.export(tmp_path / "tar", format="webdataset")
    with tarfile.open(tmp_path / "tar" / "data-00000.tar") as tar:
        names = tar.getnames()
    assert names[:3] == ["000000000.png", "000000000.photo.png", "000000000.json"]


@pytest.mark.judge
def test_a_column_may_hold_one_picture_in_some_rows_and_several_in_others(
    options: dict[str, Any], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    names = {colour: tmp_path / f"{colour}.png" for colour in ("red", "blue")}
    for colour, path in names.items():
        path.write_bytes(png(colour))
    red, blue = map(str, names.values())
    rows = [{"prompt": "one", "photo": red}, {"prompt": "two", "photo": [red, blue]}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    records = made(rows, tmp_path / "out", options, image="photo")
    lines = made(tmp_path / "rows.jsonl", tmp_path / "out", options, image="photo")

    assert records == lines
    assert [len(record["photo"]) for record in records] == [1, 2]
    assert records[0]["photo"][0] == records[1]["photo"][0]
    report = open_dataset(tmp_path / "out")
    for form, kind in (("parquet", "parquet"), ("folder", "imagefolder")):
        report.export(tmp_path / form, format=form)  # type: ignore[arg-type]
        loaded = datasets.load_dataset(
            kind, data_dir=str(tmp_path / form), split="train", cache_dir=str(tmp_path / "cache")
        )
        shown = [[image.convert("RGB").getpixel((5, 5)) for image in row["photo"]] for row in loaded]
        assert shown == [[(255, 0, 0)], [(255, 0, 0), (0, 0, 255)]]
    report.export(tmp_path / "tar", format="webdataset")
    with tarfile.open(tmp_path / "tar" / "data-00000.tar") as tar:
        names_in_tar = [name for name in tar.getnames() if "photo" in name]
    assert names_in_tar == ["000000000.photo.0.png", "000000001.photo.0.png", "000000001.photo.1.png"]
