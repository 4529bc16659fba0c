"""A folder in disorder, put in order: by receipts, by names, and never by throwing a picture away."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from comet_magic.archive import Archive, Repair, Spend
from comet_magic.errors import DownloadError
from comet_magic.request import ImageRequest

from .processes import run, start
from .test_archive import BOAT, answered, buy, claim, keep, ledger, png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NORMAL, FULL = 1, 2  # https://sqlite.org/pragma.html#pragma_synchronous


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cometimg"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    archive = Archive(folder)
    yield archive
    archive.close()


def pictures(folder: Path) -> list[Path]:
    return sorted((folder / "images").glob("*/*"))


def forget(folder: Path) -> None:
    """Somebody removes the ledger."""
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()


def died(folder: Path, body: str) -> None:
    """A process that claimed a boat, did something, and was killed."""
    start(
        f"""
import os, signal
from pathlib import Path
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(folder)!r})
call = archive.claim(ImageRequest({BOAT.prompt!r}, n=2), vendor="cometapi", reserve=40_000)
{body}
os.kill(os.getpid(), signal.SIGKILL)
"""
    ).communicate()


def test_an_archive_in_order_is_left_as_it_is(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.settle(claim(archive), "unknown")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in {".png", ".json"}}

    assert archive.repair() == Repair()

    assert {path: path.read_bytes() for path in before} == before


def test_an_archive_that_is_not_there_is_made_and_in_order(archive: Archive, folder: Path) -> None:
    assert archive.repair() == Repair()
    assert (folder / "ledger.sqlite").exists()


def test_a_lost_ledger_is_made_again_by_the_next_who_works_and_by_no_question(
    archive: Archive, folder: Path
) -> None:
    calls = [buy(archive, ImageRequest("boat", n=2)), buy(archive), buy(archive, cost=None)]
    known, spend = archive.history(), archive.spend()
    archive.close()
    forget(folder)
    assert archive.history() == []
    assert archive.spend() == Spend()
    assert not (folder / "ledger.sqlite").exists()

    assert archive.reconcile() == []
    assert [entry.id for entry in archive.history()] == [call.id for call in reversed(calls)]
    assert [entry.pictures for entry in archive.history()] == [entry.pictures for entry in known]
    assert [entry.request for entry in archive.history()] == [entry.request for entry in known]
    assert archive.spend() == spend
    assert claim(archive).copies == (2,)


def test_an_answer_that_came_in_two_parts_is_made_again_whole(archive: Archive, folder: Path) -> None:
    call = claim(archive, ImageRequest("boat", n=2))
    archive.received(call, urls=[None, "https://cdn.example/1?sig=X"])
    keep(archive, call, 0)
    archive.settle(call, "done", cost=7, error=DownloadError("404"))
    keep(archive, archive.orphan(call.id[:12]).call, 1)
    archive.settle(call, "done", cost=7)
    known = archive.history()
    archive.close()
    forget(folder)
    archive.repair()

    assert [entry.pictures for entry in archive.history()] == [entry.pictures for entry in known]
    assert len(known[0].pictures) == 2
    assert archive.spend() == Spend(spent_micro=7, calls=1)


def test_a_power_cut_before_the_end_is_synced_leaves_the_picture_or_an_unknown_call(
    archive: Archive, folder: Path
) -> None:
    calls = [claim(archive), claim(archive, ImageRequest("lost"))]
    before = [(path, path.read_bytes()) for path in folder.glob("ledger.sqlite*")]
    keep(archive, calls[0])
    for call in calls:
        archive.settle(call, "done", cost=7)
    archive.close()
    for path, content in before:  # what was synced last
        path.write_bytes(content)

    assert [call.alive for call in archive.open_calls()] == [False, False]
    assert archive.reconcile() == []

    assert [archive.load(picture) for picture in archive.stored(calls[0].key)] == [png(0)]
    assert [call.id for call in archive.uncertain()] == [calls[1].id]
    assert archive.spend() == Spend(spent_micro=40_000, uncertain_micro=40_000, calls=2)


def test_claims_and_ends_are_synced_and_the_arrival_of_an_answer_waits(archive: Archive) -> None:
    call = claim(archive)
    assert synced(archive) == FULL
    archive.received(call, urls=["https://cdn.example/a.png"])
    assert synced(archive) == NORMAL
    keep(archive, call)
    archive.settle(call, "done", cost=7)
    assert synced(archive) == FULL


def synced(archive: Archive) -> int:
    """How the last transaction was written."""
    ((value,),) = archive._ledger.rows("PRAGMA synchronous")
    return int(value)


def test_a_removed_ledger_is_noticed_while_the_archive_is_open(archive: Archive, folder: Path) -> None:
    call = buy(archive)
    forget(folder)

    assert claim(archive).copies == (1,)
    assert len(archive.stored(call.key)) == 1


def test_a_receipt_without_a_row_brings_its_pictures_back(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.close()
    shutil.copytree(folder, folder.with_name("copy"))
    call = buy(archive)
    archive.close()
    shutil.copytree(folder / "images", folder.with_name("copy") / "images", dirs_exist_ok=True)
    shutil.copy(folder / "receipts.jsonl", folder.with_name("copy") / "receipts.jsonl")

    copy = Archive(folder.with_name("copy"))
    report = copy.repair()

    assert report.settled == (call.id,)
    assert [copy.load(picture) for picture in copy.stored(call.key)] == [png(1), png(0)]
    assert copy.spend() == archive.spend()
    assert copy.repair() == Repair()
    copy.close()


def test_a_receipt_gives_way_to_a_picture_that_has_its_place(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.close()
    old = (folder / "receipts.jsonl").read_bytes()
    shutil.rmtree(folder)
    call = buy(archive)
    with (folder / "receipts.jsonl").open("ab") as log:
        log.write(old)

    archive.repair()

    assert [picture.call_id for picture in archive.stored(call.key)] == [call.id]
    assert archive.spend() == Spend(spent_micro=40_000, calls=2)


def test_a_receipt_whose_picture_changed_adopts_nothing(archive: Archive, folder: Path) -> None:
    call = buy(archive)
    archive.close()
    forget(folder)
    pictures(folder)[0].write_bytes(png(200))
    archive.reconcile()

    assert archive.stored(call.key) == []
    assert archive.spend().spent_micro == 20_000
    assert archive.repair() == Repair(unexplained=(str(pictures(folder)[0].relative_to(folder)),))


def test_a_broken_receipt_is_told_and_left(archive: Archive, folder: Path) -> None:
    buy(archive)
    path = folder / "receipts" / "ab" / "a.json"
    path.parent.mkdir(parents=True)
    log = (folder / "receipts.jsonl").read_bytes()
    for text in (
        "{",
        "[]",
        '{"version": 99}',
        "[" * 100_000,
        '{"version": 2, "id": 3}',
        "\0\0\0",
        log.decode()[1:99],
    ):
        path.write_text(text)
        (folder / "receipts.jsonl").write_bytes(b"\n" + text.encode() + log)
        assert archive.repair().unexplained == ("receipts.jsonl:2", str(path.relative_to(folder)))

    forget(folder)
    archive.repair()
    assert len(archive.history()) == 1


def test_what_a_kill_left_without_a_receipt_is_adopted_by_name(archive: Archive, folder: Path) -> None:
    died(
        folder,
        f"""
import hashlib
for n, data in enumerate({[png(0), png(1)]!r}):
    archive.store(call, n, data, mime="image/png", width=8, height=6, sha256=hashlib.sha256(data).hexdigest())
""",
    )

    report = archive.repair()

    (entry,) = archive.history()
    assert report.settled == (entry.id,)
    assert (entry.outcome, entry.cost_micro, entry.bound_micro) == ("done", None, 40_000)
    assert [archive.load(picture) for picture in entry.pictures] == [png(0), png(1)]
    assert [(picture.width, picture.height, picture.mime) for picture in entry.pictures] == [
        (8, 6, "image/png")
    ] * 2
    assert archive.spend() == Spend(spent_micro=40_000, calls=1)


def test_a_part_of_an_answer_is_adopted_and_the_rest_is_fetched(archive: Archive, folder: Path) -> None:
    died(
        folder,
        f"""
import hashlib
archive.received(call, urls=["https://cdn.example/0?sig=X", "https://cdn.example/1?sig=X"])
data = {png(0)!r}
archive.store(call, 0, data, mime="image/png", width=8, height=6, sha256=hashlib.sha256(data).hexdigest())
""",
    )

    (orphan,) = archive.reconcile()

    assert orphan.urls == ((1, "https://cdn.example/1?sig=X"),)
    assert orphan.call.request == ImageRequest(BOAT.prompt, n=2)
    keep(archive, orphan.call, 1, png(1))
    archive.settle(orphan.call, "done", cost=5)
    assert [archive.load(picture) for picture in archive.history()[0].pictures] == [png(0), png(1)]


def test_a_body_that_was_cut_is_no_answer(archive: Archive, folder: Path) -> None:
    cut = [
        b"",
        b'{"data": [{"b64_json": "iVBO',
        b'{"data": [{"b64_json": "iVBO"}',
        b"event: a.partial_image\ndata: {}\n\n",
    ]
    for body in cut:
        died(folder, f"archive.raw_answer(call).write({body!r})")
        assert archive.reconcile() == []

    assert len(archive.uncertain()) == len(cut)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"url": "https://cdn.example/a.png"}]}',
        b'\n {"data": [{"b64_json": "iVBORw0K"}], "usage": {}}\n',
        b"[]",
        gzip.compress(b'{"data": []}', mtime=0),
        b'event: image_generation.completed\ndata: {"b64_json": "iVBORw0K"}\n\n',
        b"data: {}\n\ndata: [DONE]\n\n",
        b'\xef\xbb\xbf: hello\r\n\r\nevent: error\r\ndata: {"message": "no"}\r\n\r\n',
    ],
)
def test_a_whole_raw_answer_is_its_own_proof(archive: Archive, folder: Path, body: bytes) -> None:
    died(folder, f"archive.raw_answer(call).write({body!r})")

    (orphan,) = archive.reconcile()

    assert orphan.raw_answer is not None
    assert orphan.raw_answer.read_bytes() == body


def test_what_is_no_file_is_no_raw_answer(archive: Archive, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"{}")
    for make in ("os.mkfifo(path)", f"os.symlink({str(tmp_path / 'elsewhere')!r}, path)"):
        died(folder, f"path = archive.raw_answer(call).path\n{make}")

    assert archive.reconcile() == []
    assert len(archive.uncertain()) == 2


@pytest.mark.parametrize("nested", [False, True])
def test_a_picture_of_an_uncertain_call_is_adopted_when_it_turns_up(
    archive: Archive, folder: Path, *, nested: bool
) -> None:
    call = claim(archive)
    archive.settle(call, "unknown")
    place = folder / "images" / call.key[:2] / (call.key[2:4] if nested else "")
    path = place / f"anything-{call.key[:10]}.0.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(png(5))

    report = archive.repair()

    assert report.adopted == (str(path.relative_to(folder)),)
    assert archive.load(archive.stored(call.key)[0]) == png(5)
    assert archive.uncertain() == []


@pytest.mark.parametrize("data", [png(5)[:-20], png(5)[:40] + b"?" + png(5)[41:], b"<svg/>"])
def test_a_file_that_is_no_whole_picture_is_not_adopted(archive: Archive, folder: Path, data: bytes) -> None:
    call = claim(archive)
    archive.settle(call, "unknown")
    path = folder / "images" / call.key[:2] / f"anything-{call.key[:10]}.0.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)

    report = archive.repair()

    assert report.adopted == ()
    assert path.read_bytes() == data
    assert [open_call.id for open_call in archive.uncertain()] == [call.id]


def test_files_that_belong_to_nothing_are_told_and_left(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    call = claim(archive)
    archive.settle(call, "unknown")
    home = folder / "images" / call.key[:2]
    home.mkdir(parents=True)
    (tmp_path / "victim").write_bytes(png(1))
    (home / f"x-{call.key[:10]}.0.jpg").symlink_to(tmp_path / "victim")
    (home / f"x-{call.key[:10]}.0.png").write_bytes(b"no picture")
    (home / f"x-{call.key[:10]}.7.png").write_bytes(png(1))
    (home / "holiday.png").write_bytes(png(1))

    report = archive.repair()

    assert report.adopted == ()
    assert report.unexplained == tuple(str(path.relative_to(folder)) for path in pictures(folder))
    assert len(pictures(folder)) == 4


def test_a_picture_that_is_gone_gives_its_copy_free_and_gets_it_back(archive: Archive, folder: Path) -> None:
    call = buy(archive)
    (path,) = pictures(folder)
    path.rename(folder / "elsewhere.png")

    assert archive.repair().missing == (str(path.relative_to(folder)),)
    assert archive.stored(call.key) == []
    assert [copy.outcome for copy in archive.copies([call.key]).values()] == ["failed"]
    assert archive.repair() == Repair()

    (folder / "elsewhere.png").rename(path)
    assert archive.repair().adopted == (str(path.relative_to(folder)),)
    assert archive.load(archive.stored(call.key)[0]) == png(0)


def test_a_damaged_picture_is_told_and_left(archive: Archive, folder: Path) -> None:
    buy(archive)
    (path,) = pictures(folder)
    path.write_bytes(png()[:-9])

    assert archive.repair() == Repair(damaged=(str(path.relative_to(folder)),))
    assert path.exists()


def test_what_a_dead_writer_left_is_removed(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.close()
    left = folder / "images" / ".boat.png.abc.part"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 10,) * 2)
    (folder / "owners" / "0123456789abcdef.lock").touch()

    assert archive.repair().removed == ("images/.boat.png.abc.part",)
    assert [path.stem for path in (folder / "owners").iterdir()] != ["0123456789abcdef"]


def test_what_a_living_process_may_be_writing_stays(archive: Archive, folder: Path) -> None:
    buy(archive)
    other = start(
        f"""
import sys
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(folder)!r})
archive.claim(ImageRequest("ship"), vendor="v", reserve=1)
print("here", flush=True)
sys.stdin.readline()
"""
    )
    assert other.stdout is not None
    other.stdout.readline()
    new, old = folder / "images" / ".new.part", folder / "images" / ".old.part"
    for path, age in ((new, 60), (old, 7200)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)

    assert archive.repair().removed == ("images/.old.part",)
    assert new.exists()
    assert [call.alive for call in archive.open_calls()] == [True]
    other.communicate("end\n")


def test_raw_answers_of_finished_calls_are_removed_and_others_kept(archive: Archive, folder: Path) -> None:
    done, lost = buy(archive), claim(archive)
    archive.settle(lost, "unknown")
    for call in (done, lost):
        answered(archive, call)

    assert archive.repair().removed == (f"spool/{done.id}.body",)
    assert (folder / "spool" / f"{lost.id}.body").exists()


def test_a_second_look_finds_nothing_to_do(archive: Archive, folder: Path) -> None:
    died(folder, "pass")
    buy(archive)
    archive.repair()

    assert archive.repair() == Repair()


def test_a_finished_call_is_read_while_another_process_works(archive: Archive, folder: Path) -> None:
    call = buy(archive)
    writer = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM pictures")

    assert (
        run(
            f"""
from comet_magic.archive import Archive
archive = Archive({str(folder)!r})
print(len(archive.stored({call.key!r})), archive.spend().spent_micro)
archive.close()
"""
        )
        == "1 20000\n"
    )
    writer.close()
    assert not list(ledger(folder).execute("SELECT * FROM calls WHERE state != 'done'"))
