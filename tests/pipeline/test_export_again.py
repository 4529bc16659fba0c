"""Exports made again: only what changed is written, a killed one is gone on with, nothing of others is lost."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from pyarrow import parquet

from comet_magic import recipe
from comet_magic.errors import ConfigurationError
from comet_magic.pipeline import open_dataset
from comet_magic.pipeline.export_manifest import MANIFEST
from tests.loopback import until
from tests.pipeline.maker import kill
from tests.processes import run, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.pipeline import Dataset
    from tests.pipeline.endpoint import Endpoint

ROWS = [{"prompt": f"row {number}", "label": number} for number in range(12)]
SHARDED: list[tuple[Any, str]] = [("parquet", "parquet"), ("webdataset", "tar")]


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / MANIFEST).read_bytes()))


def states_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Which file stands under each name, and since when."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(dataset: Dataset, place: int) -> str:
    """Change one byte in the middle of a picture; its name."""
    name = str(dataset[place]["file_name"])
    data = bytearray((dataset.folder / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (dataset.folder / name).write_bytes(data)
    return name


@pytest.mark.parametrize(("form", "end"), SHARDED)
def test_only_the_files_whose_rows_changed_are_written_again(
    form: Any, end: str, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset, out = make(ROWS), tmp_path / "out"
    names = dataset.export(out, format=form, where="done", shard_size=4)
    before = states_of(out)
    dataset.reject([5])

    again = dataset.export(out, format=form, where="done", shard_size=4)

    assert names == again == [f"data-0000{number}.{end}" for number in range(3)]
    after = states_of(out)
    assert {name for name in after if after[name] != before[name]} == {f"data-00001.{end}"}
    assert (again.written, again.rows, again.removed) == (1, 11, ())
    make(ROWS[:6], replace=True)
    fewer = open_dataset(dataset.folder).export(out, format=form, where="done", shard_size=4)
    assert (fewer, fewer.removed) == (names[:2], (names[2],))
    assert not (out / names[2]).exists()


def test_a_folder_gets_only_the_new_pictures_and_new_facts(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = make(ROWS[:6]).export(out, format="folder", size=16, image_format="webp")
    before = states_of(out)
    changed = [{**row, "label": -1} for row in ROWS[:7]]

    again = make(changed).export(out, format="folder", size=16, image_format="webp")

    after = states_of(out)
    assert {name for name in before if after[name] != before[name]} == {"metadata.jsonl"}
    assert (len(first), len(again), again.written) == (7, 8, 2)
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == [-1] * 7
    for line in lines:
        assert hashlib.sha256((out / line["file_name"]).read_bytes()).hexdigest() == line["sha256"]


@pytest.mark.parametrize("form", ["parquet", "webdataset", "folder"])
def test_the_manifest_has_hash_size_and_rows_of_every_file(
    form: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    names = make(ROWS).export(tmp_path / "out", format=form, split={"train": 0.5, "rest": 0.5})

    told = manifest_of(tmp_path / "out")
    assert told["complete"]
    assert told["rows"] == 12
    assert {file["name"] for file in told["files"]} == set(names)
    for file in told["files"]:
        data = (tmp_path / "out" / file["name"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_file_of_somebody_else_is_neither_overwritten_nor_removed(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset, out = make(ROWS[:8]), tmp_path / "out"
    dataset.export(out, format="parquet", shard_size=4)
    (out / "data-00002.parquet").write_bytes(b"mine")
    (out / "data-00001.parquet").write_bytes(b"changed by hand")

    with pytest.raises(
        ConfigurationError, match=r"data-00002\.parquet, which no export of this dataset wrote"
    ):
        make(ROWS, append=True).export(out, format="parquet", shard_size=4)
    assert (out / "data-00002.parquet").read_bytes() == b"mine"
    exported = dataset.export(out, format="parquet", where=[True] * 4, shard_size=4)
    assert exported == ["data-00000.parquet"]
    assert (out / "data-00001.parquet").read_bytes() == b"changed by hand"
    with pytest.raises(ConfigurationError, match="holds the export of another dataset"):
        make(ROWS[:1], "other").export(out, format="parquet")


STRANGERS: list[dict[str, Any]] = [
    {"files": [], "unfinished": ["../precious"]},
    {"files": [{"name": "notes.txt", "sha256": "", "size": 4, "of": ""}], "unfinished": []},
    {"files": [{"name": "README.md"}], "unfinished": []},
    {"files": None},
    {"files": [], "unfinished": [], "format": "exe"},
]


@pytest.mark.parametrize(
    "told", STRANGERS, ids=["outside", "of another kind", "without facts", "no list", "no format"]
)
def test_a_manifest_of_a_stranger_makes_nobody_remove_a_file(
    told: dict[str, Any], make: Callable[..., Dataset], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "precious", out / "notes.txt"):
        path.write_text("mine")
    head = {"comet_magic": "export", "version": 1, "dataset": "x", "format": "parquet", "splits": []}
    (out / MANIFEST).write_text(json.dumps({**head, **told}))

    with pytest.raises(ConfigurationError, match="files that no export of this dataset wrote"):
        make(ROWS[:1]).export(out, format="parquet")
    assert [path.read_text() for path in (tmp_path / "precious", out / "notes.txt")] == ["mine", "mine"]


EXPORT = """
import json, sys
from comet_magic.pipeline import open_dataset
print(open_dataset(sys.argv[1]).export(sys.argv[2], **json.loads(sys.argv[3])).written)
"""


@pytest.mark.parametrize("form", ["parquet", "folder"])
def test_a_killed_export_is_gone_on_with_and_ends_as_if_it_had_not_been(
    form: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset, out = make([f"row {number}" for number in range(200)]), tmp_path / "out"
    options: dict[str, Any] = {"format": form, "size": 96, "image_format": "webp"}
    options |= {"shard_size": 5} if form == "parquet" else {}
    process = start(EXPORT, dataset.folder, out, json.dumps(options))
    kind, many = ("parquet", 8) if form == "parquet" else ("webp", 100)
    assert until(lambda: len(list(out.rglob(f"*.{kind}"))) > many, 60)
    kill(process)

    assert not manifest_of(out)["complete"]
    rest = dataset.export(out, **options)
    whole = dataset.export(tmp_path / "whole", **options)

    assert manifest_of(out) == manifest_of(tmp_path / "whole")
    assert set(states_of(out)) == set(states_of(tmp_path / "whole")) == set(whole)  # no half files either
    assert 0 < rest.written < whole.written == len(whole)
    assert dataset.export(out, **options).written == 0


@pytest.mark.parametrize("form", ["parquet", "folder"])
def test_two_exports_at_once_to_one_place_do_not_spoil_each_other(
    form: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset, out = make(ROWS), tmp_path / "out"
    orders = [{"format": form, "size": 64}, {"format": form, "size": 48}]

    both = [start(EXPORT, dataset.folder, out, json.dumps(order)) for order in orders]
    told = [process.communicate(timeout=100) for process in both]

    assert [process.returncode for process in both] == [0, 0], told
    for number, order in enumerate(orders):
        dataset.export(tmp_path / f"alone-{number}", **order)
    alone = [bytes_in(tmp_path / f"alone-{number}") for number in range(2)]
    assert bytes_in(out) in alone  # it is all of one, the last


def test_a_picture_that_is_not_what_was_stored_is_named_and_comes_back_once_it_is(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset, out = make(ROWS[:6]), tmp_path / "out"
    good = (dataset.folder / dataset[2]["file_name"]).read_bytes()
    name = damage(dataset, 2)

    with pytest.warns(UserWarning, match="cannot be decoded"):
        exported = dataset.export(out, format="parquet", shard_size=3)
    (dataset.folder / name).write_bytes(good)
    again = dataset.export(out, format="parquet", shard_size=3)

    assert (exported.rows, exported.left_out) == (5, (name,))
    assert (again.rows, again.left_out, again.written) == (6, (), 1)


def test_verify_decodes_every_picture_if_asked_and_names_those_that_cannot_be(
    make: Callable[..., Dataset], endpoint: Endpoint
) -> None:
    whole = make(ROWS[:2])
    assert whole.verify(decode=True)
    # A good container with pixel data that is none: what came is what was stored.
    endpoint.picture = broken_pixels()
    dataset = make(["a"], "other")

    found = dataset.verify(decode=True)

    assert dataset.verify()
    assert not found
    assert (found.missing, found.damaged) == ((), ())
    assert found.undecodable == (dataset[0]["file_name"],)
    assert "1 cannot be decoded" in str(found)


def broken_pixels() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\x00" * 40)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("image_format", [None, "webp", "jpeg"])
def test_each_file_says_how_it_was_made_only_if_asked(
    image_format: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make(["a paper boat"], quality="low")

    plain = dataset.export(tmp_path / "plain", format="folder", image_format=image_format)
    told = dataset.export(tmp_path / "told", format="folder", image_format=image_format, embed=True)

    stored = (dataset.folder / dataset[0]["file_name"]).read_bytes()
    assert (image_format is None) == ((tmp_path / "plain" / plain[0]).read_bytes() == stored)
    with Image.open(tmp_path / "told" / told[0]) as image:
        image.load()
    made = recipe(tmp_path / "told" / told[0])
    assert made == {"prompt": "a paper boat", "model": "test-model", "quality": "low"}
    assert (
        str(dataset[0]["request_id"]).encode() in (tmp_path / "told" / told[0]).read_bytes()
        or image_format is None
    )


def test_a_row_is_in_the_same_split_where_prompts_are_not_kept(
    make: Callable[..., Dataset], tmp_path: Path
) -> None:
    shares = {"train": 0.5, "test": 0.5}

    for name, kept in (("kept", True), ("not", False)):
        make(ROWS, name, store_prompts=kept).export(tmp_path / f"{name}-out", format="parquet", split=shares)
    splits = [
        {
            split: parquet.read_table(tmp_path / out / f"{split}-00000.parquet")["label"].to_pylist()
            for split in shares
        }
        for out in ("kept-out", "not-out")
    ]

    assert splits[0] == splits[1]
    assert all(splits[0].values())


@pytest.mark.parametrize("given", [0, -1, 2.5, "500MB", True])
def test_a_shard_size_that_is_not_a_number_of_rows_is_refused(
    given: Any, make: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make(["a"])

    with pytest.raises(ConfigurationError, match="it must be a number of rows"):
        dataset.export(tmp_path / "out", format="parquet", shard_size=given)
    with pytest.raises(ConfigurationError, match="shard_size goes with parquet and webdataset"):
        dataset.export(tmp_path / "out", format="folder", shard_size=10)
    assert not (tmp_path / "out").exists()


DATASETS = """
import json, sys
import datasets
datasets.disable_progress_bars()
found = {}
for folder in sys.argv[2:]:
    loaded = datasets.load_dataset(folder, cache_dir=sys.argv[1])
    found[folder] = {
        split: [[row.get("label", (row.get("json") or {}).get("label")), bool(row.get("image") or row.get("png"))] for row in part]
        for split, part in loaded.items()
    }
print(json.dumps(found))
"""  # noqa: E501
TRICKY = [
    {"prompt": prompt, "label": number}
    for number, prompt in enumerate(
        ["a train at a station", "a test tube", "a boat", "eval 1", "dev.1 val", "x"]
    )
]


@pytest.mark.judge
def test_load_dataset_finds_every_picture_without_being_told_what_they_are(
    make: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    for name, value in {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    dataset = make(TRICKY)
    dataset.reject([5])
    places = [str(dataset.folder)]
    for form in ("parquet", "webdataset", "folder"):
        for name, split in (("plain", None), ("named", {"train": 0.4, "test": 0.3, "holdout": 0.3})):
            places.append(str(tmp_path / f"{form}-{name}"))
            dataset.export(places[-1], format=form, where="done", split=split)

    found = json.loads(run(DATASETS, tmp_path / "cache", *places))

    five = [[number, True] for number in range(5)]
    assert found.pop(places[0]) == {"train": [*five, [5, False]]}  # the rejected picture is not found
    for place, splits in found.items():
        assert sorted(row for rows in splits.values() for row in rows) == five, place
        assert ("holdout" in splits) == place.endswith("named")
