"""What a dataset tells of itself: counts, money, rows, failures, pictures; and its metadata file."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from comet_magic.errors import ConfigurationError, InvalidRequestError, SaveError
from comet_magic.pipeline import LazyImage, open_dataset, row_index
from comet_magic.pipeline.row_index import RowIndex
from comet_magic.pipeline.rows import COLUMNS
from tests.pipeline.conftest import name_what_is_no_text
from tests.pipeline.endpoint import PICTURE
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

Make = "Callable[..., Dataset]"
ROWS: list[dict[str, Any]] = [
    {"prompt": "a boat", "label": 1, "source": {"page": 5}},
    {"prompt": "REFUSE a boat", "label": 2},
    {"prompt": "", "label": 3},
    {"prompt": "LOST boat", "label": 4},
]


def test_every_row_is_told_with_its_provenance(make: Make, endpoint: Endpoint) -> None:
    records = list(make(ROWS, extra={"seed": 7}).records())

    done = records[0]
    assert [record["outcome"] for record in records] == ["done", "refused", "failed", "unknown"]
    assert (done["prompt"], done["label"], done["source"]) == ("a boat", 1, {"page": 5})
    assert (done["model"], json.loads(done["parameters"])) == ("test-model", {"extra": {"seed": 7}})
    assert (done["width"], done["height"], done["cost"]) == (16, 16, 0.04)
    assert done["request_id"].startswith("req-")
    assert done["created"].endswith("+00:00")
    assert len(done["sha256"]) == 64
    assert {name for record in records for name in record} == {*COLUMNS, "label", "source"}


def test_what_went_wrong_is_told_per_row_and_by_reason(make: Make) -> None:
    report = make(ROWS)

    _, refused, invalid, unknown = report.records()
    assert (refused["error"], refused["code"]) == ("ContentPolicyError", "moderation_blocked")
    assert (invalid["error"], invalid["code"]) == ("InvalidRequestError", None)
    assert unknown["error"] == "AmbiguousError"
    assert set(report.failures.values()) == {1}
    assert len(report.failures) == 3


def test_metadata_lies_beside_the_pictures_and_says_the_same(make: Make) -> None:
    report = make(ROWS)

    lines = (report.folder / "metadata.jsonl").read_text("utf-8").splitlines()

    assert [json.loads(line) for line in lines] == list(report.records())


def test_a_column_with_a_name_of_ours_is_kept_beside_it(make: Make) -> None:
    (record,) = make([{"prompt": "a", "cost": 5, "file_name": "x.png"}]).records()

    assert record["cost"] == 0.04
    assert (record["cost_source"], record["file_name_source"]) == (5, "x.png")


def test_a_column_called_image_leaves_the_pictures_their_place(make: Make) -> None:
    frame = make([{"prompt": "a", "image": "x.png"}]).to_frame()

    assert frame["image"][0].data == PICTURE
    assert list(frame["image_source"]) == ["x.png"]


def test_another_prompt_column_keeps_its_words_in_prompt(make: Make) -> None:
    (record,) = make([{"caption": "a boat", "prompt": "old"}], prompt="caption").records()

    assert (record["prompt"], record["prompt_source"]) == ("a boat", "old")
    assert "caption" not in record


def test_the_report_reads_the_disk_at_every_question(make: Make, tmp_path: Path) -> None:
    report = make(rows_of(2))
    before = (len(report), report.cost)

    make(rows_of(5))

    assert (before, len(report), report.cost) == ((2, 0.08), 5, 0.2)


def test_rows_are_a_frame(make: Make) -> None:
    frame = make(ROWS).rows

    assert list(frame["outcome"]) == ["done", "refused", "failed", "unknown"]
    assert list(frame["label"]) == [1, 2, 3, 4]


def test_a_frame_has_pictures_that_are_opened_when_they_are_looked_at(make: Make) -> None:
    report = make(ROWS)
    frame = report.to_frame()
    picture = frame["image"][0]

    assert isinstance(picture, LazyImage)
    assert picture.open().size == (16, 16)
    assert picture.data == PICTURE
    assert str(picture).endswith(".0.png")
    assert "image/png" in picture._repr_mimebundle_()[0]
    assert list(frame["image"].isna()) == [False, True, True, True]


def test_a_frame_of_nothing_has_its_columns(make: Make) -> None:
    assert list(make([]).rows.columns) == list(COLUMNS)


def test_without_pandas_the_frame_names_what_to_install(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make(["a"])
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ConfigurationError, match="pandas is not installed"):
        _ = report.rows


def test_a_sheet_shows_the_first_pictures(make: Make) -> None:
    report = make([*rows_of(3), "REFUSE me", "one more"])

    assert report.sheet(columns=2, width=100).width == 100
    assert isinstance(report.sheet(limit=1), Image.Image)


def test_a_sheet_of_nothing_is_refused(make: Make) -> None:
    with pytest.raises(InvalidRequestError):
        make(["REFUSE"]).sheet()


def test_a_picture_that_is_gone_is_told_by_its_name(make: Make) -> None:
    report = make(["a boat"])
    (record,) = report.records()
    (report.folder / record["file_name"]).unlink()

    with pytest.raises(SaveError, match="a-boat"):
        report.sheet()


def test_a_report_says_all_at_a_glance(make: Make) -> None:
    text = str(make([*ROWS, "REFUSE too"]))

    assert text.startswith("5 rows in dataset\n")
    assert "1 done, 2 refused, 1 failed, 1 unknown" in text
    assert "$0.04 spent, $0.08 at most" in text
    assert "2 x ContentPolicyError moderation_blocked" in text


def test_a_folder_elsewhere_is_told_whole(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make(["a"])
    (tmp_path / "elsewhere").mkdir()

    assert repr(report) == "<Dataset dataset>"
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert repr(report) == f"<Dataset {tmp_path / 'dataset'}>"


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no dataset in"):
        open_dataset(tmp_path)

    assert list(tmp_path.iterdir()) == []


def no_database(index: Path) -> None:
    for path in index.parent.glob(f"{index.name}*"):
        path.write_bytes(b"this is no database at all" * 100)


@pytest.mark.parametrize("damage", [no_database, name_what_is_no_text])
def test_an_index_that_is_damaged_is_told_and_made_again_once_it_is_removed(
    damage: Callable[[Path], None], make: Make
) -> None:
    report = make(["a"])
    damage(report.folder / "index.sqlite")

    with pytest.raises(ConfigurationError, match=r"the index .* cannot be used") as caught:
        len(report)
    for path in report.folder.glob("index.sqlite*"):
        path.unlink()

    assert "It may be removed" in caught.value.hint
    assert make(["a"]).counts["done"] == 1


def test_an_index_that_is_gone_leaves_a_dataset_without_rows(make: Make) -> None:
    report = make(["a"])
    for path in report.folder.glob("index.sqlite*"):
        path.unlink()

    assert (len(report), list(report.records()), report.complete) == (0, [], False)


def test_an_index_that_another_process_switches_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    letting_go = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    letting_go.start()

    with RowIndex(tmp_path) as index:
        assert index.begin(vendor="sandbox", size=None) == 1
    letting_go.join()
    other.close()


def test_an_index_that_another_process_never_lets_go_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_index, "BUSY", 0.1)
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with RowIndex(tmp_path) as index, pytest.raises(ConfigurationError, match="database is locked"):
        index.begin(vendor="sandbox", size=None)
    other.close()


def test_a_newer_run_takes_the_place_of_the_rows_before_it(make: Make) -> None:
    report = make(rows_of(3))
    make(["other"], replace=True)

    with sqlite3.connect(report.folder / "index.sqlite") as connection:
        rows = connection.execute("SELECT run, prompt FROM rows").fetchall()
    connection.close()

    assert rows == [(2, "other")]
    assert [record["prompt"] for record in report.records()] == ["other"]


def test_an_index_without_runs_has_none(tmp_path: Path) -> None:
    with RowIndex(tmp_path) as index:
        assert index.latest() is None


def test_prompts_in_any_script_and_half_characters_are_kept_or_told(make: Make) -> None:
    report = make(["漢字 🎨", "half \ud800"])

    first, second = report.records()
    assert (first["prompt"], first["outcome"]) == ("漢字 🎨", "done")
    assert (second["outcome"], second["error"]) == ("failed", "InvalidRequestError")


def test_the_files_of_a_dataset_are_for_its_owner_only(make: Make) -> None:
    report = make(["a"])

    for name in ("index.sqlite", "metadata.jsonl", "ledger.sqlite"):
        assert (report.folder / name).stat().st_mode & 0o077 == 0, name


def test_rows_are_had_by_their_place_and_in_order_with_a_lazy_picture(make: Make) -> None:
    report = make([*ROWS, {"prompt": "a train", "label": "five"}])

    rows = list(report)

    assert [row["label"] for row in rows] == ["1", "2", "3", "4", "five"]
    assert [report[place] for place in range(5)] == rows == report[:]
    assert report[-1] == rows[4]
    assert report[1]["image"] is None
    assert report[0]["image"].data == PICTURE
    assert [image.size for image in report.images()] == [(16, 16)] * 2
    for place in (5, -6):
        with pytest.raises(IndexError, match="of 5 rows"):
            report[place]


def test_counts_are_those_of_the_rows_also_after_another_run_and_where_nothing_was_sent(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    report = make(ROWS)
    before = report.counts
    endpoint.forgiving = True
    make([*ROWS, {"prompt": "a train"}], redo="refused")
    (tmp_path / "other").mkdir()
    empty = make([{"prompt": ""}], "other")

    after = report.counts

    assert before == {**dict.fromkeys(before, 0), "done": 1, "refused": 1, "failed": 1, "unknown": 1}
    assert {name: sum(row["outcome"] == name for row in report) for name in after} == after
    assert after["refused"] == 0
    assert (empty.counts["failed"], len(empty.failures)) == (1, 1)


def test_a_dataset_is_told_by_the_values_of_a_column_with_cost_and_seconds(make: Make) -> None:
    rows = [
        {"prompt": word and f"{word} {number}", "label": label, 'a "b': 1}
        for number, (word, label) in enumerate(
            [("boat", "sea"), ("REFUSE boat", "sea"), ("boat", "sea"), ("train", "<b>land"), ("", None)]
        )
    ]
    report = make(rows)

    by = report.by("label")
    frame = by.to_frame()

    assert frame["label"].tolist()[:2] == ["sea", "<b>land"]
    assert frame["rows"].tolist() == [3, 1, 1]
    assert frame["done"].tolist() == [2, 1, 0]
    assert frame["refused"].tolist() == [1, 0, 0]
    assert frame["cost"].tolist() == [0.08, 0.04, 0.0]
    assert frame["seconds"][0] > 0
    assert "&lt;b&gt;land" in by._repr_mimebundle_()["text/html"]
    assert repr(by).splitlines()[0].split() == [
        "label",
        "rows",
        "done",
        "refused",
        "failed",
        "cost",
        "seconds",
        "each",
    ]
    assert report.by("model").lines[0][0] == "test-model"
    assert report.by('a "b').lines[0][1]["done"] == 3
    with pytest.raises(
        InvalidRequestError, match='there is no column lable; the columns are: a "b, label, model'
    ):
        report.by("lable")


def test_rows_that_share_a_picture_cost_it_once_by_a_column(make: Make) -> None:
    report = make([{"prompt": "a boat", "label": 1}] * 3, dedupe=True)

    assert report.by("label").lines[0][2] == 0.04


@pytest.mark.judge
def test_the_hugging_face_dataset_has_the_rows_and_reads_the_pictures(make: Make) -> None:
    pytest.importorskip("datasets")

    made = make(ROWS).to_hf()

    assert made["label"] == [1, 2, 3, 4]
    assert made[0]["image"].size == (16, 16)
    assert made[1]["image"] is None
