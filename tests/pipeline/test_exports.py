"""The same dataset in other forms, twice the same bytes, loaded by those who read them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta, timezone
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from comet_magic import Client, generate_dataset, open_dataset, plan
from comet_magic.errors import ConfigurationError, SaveError
from comet_magic.pipeline.export_manifest import MANIFEST
from comet_magic.pipeline.export_rows import ChosenRow, Contents, Sample, in_threads
from comet_magic.pipeline.training import PictureForm, RowChoice, Splits
from tests.pipeline.endpoint import PICTURE

if TYPE_CHECKING:
    from collections.abc import Callable

    from comet_magic.pipeline import Dataset

FORMATS = ("parquet", "webdataset", "folder")
ROWS: list[dict[str, Any]] = [
    {"prompt": "a boat", "label": 1, "mixed": 1, "tags": ["x"], "share": 1},
    {"prompt": "REFUSE a boat", "label": 2, "mixed": "two", "share": 0.5},
    {"prompt": "ein Boot 漢字", "label": None, "mixed": None},
    {"prompt": "a boat", "label": 4, "mixed": [4], "share": 2},
]


@pytest.fixture
def dataset(make: Callable[..., Dataset]) -> Dataset:
    return make(ROWS)


def bytes_in(folder: Path) -> dict[str, str]:
    """Of all its files but the manifest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_made_twice_is_the_same_byte_for_byte(form: Any, dataset: Dataset, tmp_path: Path) -> None:
    names = dataset.export(tmp_path / "one", format=form)
    dataset.export(tmp_path / "two", format=form)
    dataset.export(tmp_path / "two", format=form)

    first = bytes_in(tmp_path / "one")
    assert first == bytes_in(tmp_path / "two")
    assert sorted(first) == sorted(names)
    assert (tmp_path / "one" / MANIFEST).read_bytes() == (tmp_path / "two" / MANIFEST).read_bytes()


def test_parquet_has_every_row_and_the_bytes_of_every_picture(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export(tmp_path / "out", format="parquet")

    table = parquet.read_table(tmp_path / "out" / "data-00000.parquet")
    rows = table.to_pylist()

    assert [row["prompt"] for row in rows] == [row["prompt"] for row in ROWS]
    assert [row["image"] and row["image"]["bytes"] for row in rows] == [PICTURE, None, PICTURE, PICTURE]
    assert [row["mixed"] for row in rows] == ["1", "two", None, "[4]"]
    assert [row["share"] for row in rows] == [1.0, 0.5, None, 2.0]
    assert [row["tags"] for row in rows] == [["x"], None, None, None]
    assert [record["mixed"] for record in dataset.records()] == ["1", "two", None, "[4]"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"dtype": "int64", "_type": "Value"}
    assert features["share"]["dtype"] == "float64"


def test_datetimes_stay_datetimes_in_parquet_and_texts_stay_texts(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    moment = datetime(2026, 1, 31, 12, 30, 15, 250000)
    rows = pandas.DataFrame(
        {
            "prompt": ["a", "b"],
            "taken": pandas.to_datetime([moment, None]),
            "zoned": [moment.replace(tzinfo=timezone(timedelta(hours=2))), moment.replace(tzinfo=UTC)],
            "both": [moment, "soon"],
            "text": ["2026-01-31T12:30:15", "2026-02-01T00:00:00"],
            "created": [moment, moment],
        }
    )

    make(rows).export(tmp_path / "out", format="parquet")

    table = parquet.read_table(tmp_path / "out" / "data-00000.parquet")
    kinds = {name: str(table.schema.field(name).type) for name in ("taken", "zoned", "both", "text")}
    assert kinds == {
        "taken": "timestamp[us]", "zoned": "timestamp[us, tz=UTC]", "both": "string", "text": "string"
    }  # fmt: skip
    assert table["taken"].to_pylist() == [moment, None]
    assert table["zoned"].to_pylist() == list(rows["zoned"])
    assert table["created_source"].to_pylist() == [moment, moment]
    assert str(table.schema.field("created").type) == "timestamp[us, tz=UTC]"
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["zoned"] == {"dtype": "timestamp[us, tz=UTC]", "_type": "Value"}


def test_parquet_keeps_a_column_called_image_beside_the_pictures(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    make([{"prompt": "a", "image": "x.png"}]).export(tmp_path / "out", format="parquet")

    (row,) = parquet.read_table(tmp_path / "out").to_pylist()
    assert (row["image"]["bytes"], row["image_source"]) == (PICTURE, "x.png")


def test_a_tar_shard_has_the_pictures_and_their_rows(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export(tmp_path / "out", format="webdataset")

    with tarfile.open(tmp_path / "out" / "data-00000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # files
        times = {member.mtime for member in tar}

    assert sorted(members) == [f"{row:09d}.{kind}" for row in (0, 2, 3) for kind in ("json", "png")]
    assert json.loads(members["000000002.json"])["prompt"] == "ein Boot 漢字"
    assert members["000000003.png"] == PICTURE
    assert times == {0}


def test_large_datasets_are_cut_into_shards_of_successive_rows(dataset: Dataset, tmp_path: Path) -> None:
    tars = dataset.export(tmp_path / "tars", format="webdataset", shard_size=2)
    files = dataset.export(tmp_path / "parquet", format="parquet", shard_size=3)

    assert tars == ["data-00000.tar", "data-00001.tar"]
    assert [parquet.read_metadata(tmp_path / "parquet" / name).num_rows for name in files] == [3, 1]


def test_a_folder_holds_each_picture_once(make: Callable[..., Dataset], tmp_path: Path) -> None:
    report = make(["same"] * 3, dedupe=True)

    names = report.export(tmp_path / "out", format="folder")

    assert len(names) == 2
    assert (tmp_path / "out" / "metadata.jsonl").read_bytes() == (
        report.folder / "metadata.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("scheme", ["memory", "file"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_address_of_fsspec_gets_the_same_bytes(
    form: Any, scheme: str, dataset: Dataset, tmp_path: Path
) -> None:
    system, place = fsspec.filesystem(scheme), f"{tmp_path.as_posix()}/{form}-there"
    dataset.export(tmp_path / "here", format=form)
    names = dataset.export(f"{scheme}://{place}", format=form)
    again = dataset.export(f"{scheme}://{place}", format=form)

    there = {name: hashlib.sha256(system.cat_file(f"{place}/{name}")).hexdigest() for name in names}
    assert there == bytes_in(tmp_path / "here")
    assert (again, again.written) == (names, 0)
    system.rm(place, recursive=True)


@pytest.mark.parametrize("address", [False, True], ids=["folder", "address"])
def test_what_a_dataset_does_not_have_any_more_does_not_come_back(
    address: bool, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    rows = [{"prompt": f"row {number}"} for number in range(3)]
    report, system = make(rows), fsspec.filesystem("memory" if address else "file")
    places = {
        form: f"memory://again/{form}" if address else str(tmp_path / "again" / form) for form in FORMATS
    }
    shards: dict[str, Any] = {form: {"format": form, "shard_size": 1} for form in FORMATS}
    shards["folder"].pop("shard_size")
    for form in FORMATS:
        report.export(places[form], **shards[form])
    mine = f"{places['parquet']}/notes.txt"
    system.pipe_file(mine, b"mine")
    make(rows[:1], replace=True)

    written = {form: report.export(places[form], **shards[form]) for form in FORMATS}
    other = report.export(places["webdataset"], format="parquet")

    assert system.cat_file(mine) == b"mine"
    system.rm_file(mine)
    for form in FORMATS:
        names = other if form == "webdataset" else written[form]
        found = {path.rpartition(f"/{form}/")[2] for path in system.find(places[form])}
        assert found == {*names, MANIFEST}
    system.rm(places["folder"].removesuffix("/folder"), recursive=True)


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_with_files_of_others_is_refused(form: Any, dataset: Dataset, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "data-00000.parquet").write_bytes(b"mine")
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh/.git").mkdir()

    for place in (others, dataset.folder):
        before = bytes_in(place)
        with pytest.raises(ConfigurationError, match="holds files that no export of this dataset wrote"):
            dataset.export(place, format=form)
        assert bytes_in(place) == before
    assert dataset.export(tmp_path / "fresh", format=form)


def test_an_export_that_was_cut_off_is_finished_by_the_next(dataset: Dataset, tmp_path: Path) -> None:
    name = list(dataset.records())[3]["file_name"]
    (dataset.folder / name).rename(tmp_path / "away")
    with pytest.raises(SaveError):
        dataset.export(tmp_path / "out", format="webdataset", shard_size=1)
    (tmp_path / "away").rename(dataset.folder / name)

    names = dataset.export(tmp_path / "out", format="webdataset", shard_size=1)

    assert sorted(bytes_in(tmp_path / "out")) == names == [f"data-{number:05d}.tar" for number in range(3)]
    assert names.written == 1


@pytest.mark.parametrize(
    "out",
    [
        "s3://bucket/set",
        "hf://datasets/me/boats",
        "memory://x",
        "file:///tmp/x",
        "gs:/bucket",
        Path("s3://b/x"),
    ],
)
def test_an_address_is_no_folder_of_a_dataset_and_the_export_is_named(
    out: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    for ask in (lambda: generate_dataset(["a"], out), lambda: plan(["a"], out), lambda: open_dataset(out)):
        with pytest.raises(ConfigurationError, match="is an address") as caught:
            ask()
        assert "report.export(" in caught.value.hint
    with pytest.raises(ConfigurationError, match="is an address"):
        Client(api_key="sandbox", base_url="http://127.0.0.1:9/v1", archive=out).generate(
            "a", model="dall-e-2"
        )

    assert list(tmp_path.iterdir()) == []


def test_git_sends_the_folder_of_a_dataset(dataset: Dataset) -> None:
    subprocess.run(["git", "init", "-q", str(dataset.folder)], check=True)
    added = subprocess.run(
        ["git", "-C", str(dataset.folder), "add", "--dry-run", "."],
        check=True,
        capture_output=True,
        text=True,
    )

    assert "metadata.jsonl" in added.stdout
    assert all(record["file_name"] in added.stdout for record in dataset.records() if record["file_name"])


def test_a_dataset_without_pictures_is_exported_all_the_same(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    report = make([{"prompt": "REFUSE", "empty": None}])

    report.export(tmp_path / "p", format="parquet")
    table = parquet.read_table(tmp_path / "p")

    assert table.num_rows == 1
    assert table.schema.field("cost").type == pyarrow.float64()
    assert table.schema.field("empty").type == pyarrow.string()
    assert report.export(tmp_path / "w", format="webdataset") == []


def test_many_rows_are_typed_together(make: Callable[..., Dataset], tmp_path: Path) -> None:
    rows = [
        {"prompt": "", "late": None, "share": 1, "mixed": 1}
        if number < 1500
        else {"prompt": "", "late": number, "share": 0.5, "mixed": "one"}
        for number in range(2200)
    ]

    make(rows).export(tmp_path / "p", format="parquet")
    table = parquet.read_table(tmp_path / "p")

    assert table.num_rows == 2200
    assert [str(table.schema.field(name).type) for name in ("late", "share", "mixed")] == [
        *("int64", "double", "string")
    ]


def test_a_number_that_parquet_cannot_hold_is_told(make: Callable[..., Dataset], tmp_path: Path) -> None:
    rows = [{"prompt": "", "value": 0.5 if number < 1000 else 2**60 + 1} for number in range(1001)]

    with pytest.raises(ConfigurationError, match=r"cannot be written as parquet: .*1152921504606846977"):
        make(rows).export(tmp_path / "p", format="parquet")


@pytest.mark.parametrize(
    ("to", "form", "error", "words"),
    [
        ("out", "zip", ConfigurationError, "format is zip; format must be parquet, webdataset or folder"),
        ("nosuch://bucket/x", "folder", ConfigurationError, "cannot be written"),
        ("taken/out", "folder", SaveError, "the export to"),
    ],
)
def test_a_place_that_cannot_be_used_is_told(
    to: str, form: Any, error: type[Exception], words: str, dataset: Dataset
) -> None:
    Path("taken").write_text("a file")

    with pytest.raises(error) as caught:
        dataset.export(to, format=form)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("module", "to", "form"), [("pyarrow", "out", "parquet"), ("fsspec", "memory://x", "folder")]
)
def test_a_missing_library_is_named(
    module: str, to: str, form: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # as the import system has it

    with pytest.raises(ConfigurationError, match=f"{module} is not installed"):
        dataset.export(to, format=form)


def test_a_picture_that_is_gone_ends_the_export_without_a_half_file(dataset: Dataset, tmp_path: Path) -> None:
    record = list(dataset.records())[3]
    (dataset.folder / record["file_name"]).unlink()

    with pytest.raises(SaveError):
        dataset.export(tmp_path / "out", format="webdataset")

    assert bytes_in(tmp_path / "out") == {}


LOADS = """
import json, sys
import datasets
datasets.disable_progress_bars()
found = {}
for name, kind, folder in json.loads(sys.argv[1]):
    loaded = datasets.load_dataset(kind, data_dir=folder, split="train", cache_dir=sys.argv[2] + "/" + name)
    image = "png" if kind == "webdataset" else "image"
    rows = loaded["json"] if kind == "webdataset" else loaded
    found[name] = [row["prompt"] for row in rows], [one and one.size for one in loaded[image]]
print(json.dumps(found))
"""
FORMS: dict[str, tuple[str, Any]] = {
    "in place": ("imagefolder", None),
    "folder": ("imagefolder", "folder"),
    "parquet": ("parquet", "parquet"),
    "webdataset": ("webdataset", "webdataset"),
}


@pytest.mark.judge
def test_datasets_loads_every_form_with_equal_rows(make: Callable[..., Dataset], tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    files = {
        "image": "a.png",
        "file_name": "b.png",
        "mask_file_name": "c.png",
    }  # of the source, and not there
    nested = [
        {"tags": ["x"], "box": {"at": [1, 2.5], "of": 1}},
        {"tags": [], "box": {"of": "two"}},
        {},
        {"tags": [3]},
    ]
    dataset = make([{**row, **files, **more} for row, more in zip(ROWS, nested, strict=True)])
    orders = []
    for name, (kind, form) in FORMS.items():
        folder = dataset.folder if form is None else tmp_path / name
        if form is not None:
            dataset.export(folder, format=form)
        orders.append((name, kind, str(folder)))

    env = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, json.dumps(orders), str(tmp_path / "cache")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout)
    every, pictures = [row["prompt"] for row in ROWS[:4]], [[16, 16], None, [16, 16], [16, 16]]
    with_pictures = [prompt for prompt, size in zip(every, pictures, strict=True) if size]
    assert found == {name: [every, pictures] for name in FORMS} | {
        "webdataset": [with_pictures, [size for size in pictures if size]]
    }


def test_an_export_is_a_stream_and_not_held_whole(dataset: Dataset) -> None:
    contents = Contents(dataset.folder, PictureForm(), RowChoice(), Splits())
    begun = []

    def begin(row: ChosenRow) -> Sample:
        begun.append(row.number)
        return contents.sample(row, lambda _: None)

    rows = (row._replace(number=number) for number, row in enumerate(cycle(list(contents.chosen()))))
    first = next(in_threads(begin, rows))

    assert first.data(first.record["file_name"]) == PICTURE
    assert len(begun) < 100


# --- names of columns

NESTED = {1: "number", "1": "text", "deep": [{2: "a", "2": "b"}]}
NAMES: dict[Any, Any] = {
    "cost": 1,
    "cost_source": "theirs",
    "cost_source_source": "older",
    "Cost": "capital",
    "image": "x.png",
    "image_source": "camera",
    "thumb_file_name": "t.png",
    "file_name": "f.png",
    1: "number",
    "1": "text",
    "1_int": "taken",
    None: "none",
    "None": "word",
    ("a", 1): "pair",
    "('a', 1)": "text of it",
}


def test_no_column_of_a_source_loses_its_value_in_any_form(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    rows = [{"prompt": "a boat", **NAMES, "nested": NESTED}, {"prompt": "b", "cost_source": "alone"}]
    dataset = make(rows)
    first, second = dataset.records()

    for form in FORMATS:
        dataset.export(tmp_path / form, format=form)
    with tarfile.open(tmp_path / "webdataset/data-00000.tar") as tar:
        in_tar = json.loads(tar.extractfile("000000000.json").read())  # type: ignore[union-attr]  # a file
    in_folder = json.loads((tmp_path / "folder/metadata.jsonl").read_text("utf-8").splitlines()[0])
    in_table = parquet.read_table(tmp_path / "parquet/data-00000.parquet").to_pylist()[0]
    in_table["created"] = in_table["created"].isoformat()

    assert list(NAMES.values()) == [value for value in first.values() if value in NAMES.values()]
    assert first["nested"] == {"1": "text", "1_int": "number", "deep": [{"2": "b", "2_int": "a"}]}
    assert first == in_tar == in_folder
    assert first == {name: in_table[name] for name in first}
    assert set(dataset.rows.columns) == {*first, *second}
    assert second["cost_source_source"] == "alone"


def test_half_a_character_in_a_column_ends_no_run_and_is_kept_where_it_can_be(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make([{"prompt": "a boat", "label": "half \ud800"}, "another boat"])

    dataset.export(tmp_path / "folder", format="folder")
    dataset.export(tmp_path / "tar", format="webdataset")
    line = (tmp_path / "folder/metadata.jsonl").read_bytes().splitlines()[0]

    assert dataset.counts["done"] == 2
    assert json.loads(line)["label"] == "half \ud800"
    with pytest.raises(SaveError, match="surrogates not allowed"):
        dataset.export(tmp_path / "parquet", format="parquet")
