"""The archive's format: what 0.1.0 wrote is read, brought up to date and made again, and version 2 holds everything.

The folders in `data` were made by comet_magic 0.1.0 with its sandbox; money in them is in micro-USD.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic.archive import Archive, Budget, Reader, Spend
from comet_magic.archive.queries import OF_THESE_SIZES
from comet_magic.errors import BudgetExceededError, ConfigurationError
from comet_magic.request import ImageRequest
from comet_magic.sandbox import Sandbox

from .archive_actor import receipts
from .processes import run, start
from .test_archive import BOAT, buy, claim, keep, ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent / "data"
CAT = ImageRequest("a cat")
SPEND = Spend(spent_micro=48_000, reserved_micro=48_000, uncertain_micro=16_000, calls=8)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An archive of 0.1.0: a call with two pictures, failures, and three calls whose process died."""
    return Path(shutil.copytree(DATA / "archive-0.1.0", tmp_path / "cometimg"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of 0.1.0: two pictures and a row that breaks a rule."""
    return Path(shutil.copytree(DATA / "dataset-0.1.0", tmp_path / "dataset"))


@pytest.fixture
def archive(old: Path) -> Iterator[Archive]:
    archive = Archive(old)
    yield archive
    archive.close()


def version(folder: Path) -> int:
    with contextlib.closing(ledger(folder)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def schema(folder: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(ledger(folder)) as connection:
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        return [tuple(row) for row in connection.execute(query)]


def told(reader: Reader) -> list[Any]:
    """Everything that can be asked."""
    entries = reader.history(limit=None)
    keys = [entry.key for entry in entries]
    return [
        *(entries, reader.open_calls(), reader.uncertain(), reader.spend(), reader.spend("sandbox")),
        *(reader.copies(keys), reader.copies(keys, facts=True)),
        *(reader.stored(key) for key in keys),
        *(reader.entry(entry.id[:12]) for entry in entries),
    ]


def plan(folder: Path, query: str) -> str:
    """How SQLite answers a query that takes one JSON list."""
    with contextlib.closing(ledger(folder)) as connection:
        return " ".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", ("[1]",)))


# --- version 1 ----------------------------------------------------------------------------------------


def test_an_archive_of_0_1_is_read_as_it_is(old: Path) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    reader = Reader(old)

    entries = reader.history(limit=None)

    assert [
        (entry.prompt, entry.outcome, entry.cost_micro)
        for entry in reversed(entries)
        if entry.prompt != "no money"
    ] == [
        ("a paper boat", "done", 32_000),
        ("lost on the way", "unknown", None),
        ("not allowed", "refused", 0),
        ("too fast", "failed", 0),
        ("never sent", "cancelled", 0),
        ("gone picture", "failed", 16_000),
        ("paid, and its process died", "open", None),
        ("addresses known, and its process died", "open", None),
        ("sent, and its process died", "open", None),
    ]
    assert [picture.cost_micro for picture in entries[-1].pictures] == [16_000, 16_000]
    assert [len(reader.load(picture)) for picture in entries[-1].pictures] == [77_141, 75_209]
    assert {call.prompt: (call.alive, call.urls) for call in reader.open_calls()} == {
        "paid, and its process died": (False, ()),
        "addresses known, and its process died": (False, ("https://cdn.example/a.png",)),
        "sent, and its process died": (False, ()),
    }
    assert [call.prompt for call in reader.uncertain()] == ["lost on the way"]
    assert reader.spend() == SPEND
    assert entries[0].seconds is None
    assert {path: path.read_bytes() for path in before} == before
    assert version(old) == 1


def test_the_first_write_brings_it_to_version_2_and_changes_nothing_else(old: Path, tmp_path: Path) -> None:
    before = told(Reader(old))
    archive = Archive(old)

    call = claim(archive)
    archive.settle(call, "cancelled")
    archive.close()

    assert version(old) == 2
    with contextlib.closing(ledger(old)) as connection, connection:
        connection.execute(
            "DELETE FROM pictures WHERE call = (SELECT number FROM calls WHERE id = ?)", (call.id,)
        )
        connection.execute("DELETE FROM calls WHERE id = ?", (call.id,))
        # What there was no money for in 0.1 was never sent.
        states = connection.execute("SELECT state FROM calls WHERE prompt = 'no money'").fetchall()
        assert [tuple(row) for row in states] == [("cancelled",)]
        connection.execute("UPDATE calls SET state = 'over_budget' WHERE prompt = 'no money'")
    assert told(Reader(old)) == before
    new = Archive(tmp_path / "new")
    claim(new)
    new.close()
    assert schema(old) == schema(tmp_path / "new")


def test_a_reader_goes_on_while_another_process_brings_the_ledger_up(old: Path) -> None:
    reader = Reader(old)
    before = told(reader)

    run(
        f"""
from comet_magic.archive import Archive
archive = Archive({str(old)!r})
with archive._ledger.transaction():
    pass
archive.close()
"""
    )

    assert version(old) == 2
    after = told(reader)
    assert after[3:5] == before[3:5]
    assert [entry.id for entry in after[0]] == [entry.id for entry in before[0]]


def test_killed_while_it_is_brought_up_the_ledger_is_of_one_version(old: Path, tmp_path: Path) -> None:
    before, seen = told(Reader(old))[3:], set()
    for step in range(2, 46, 4):
        folder = Path(shutil.copytree(old, tmp_path / str(step)))
        start(
            f"""
import os, signal, sys
from comet_magic.archive import Archive
left = {step}
def count(frame, event, function):
    global left
    if event == "c_call" and getattr(function, "__name__", "") == "execute":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
archive = Archive({str(folder)!r})
sys.setprofile(count)
with archive._ledger.transaction():
    pass
sys.setprofile(None)
archive.close()
"""
        ).communicate()
        seen.add(version(folder))
        assert told(Reader(folder))[3:5] == before[:2]

    assert seen == {1, 2}


def test_what_dead_processes_of_0_1_left_is_taken_over(archive: Archive) -> None:
    orphans = {orphan.call.request.prompt: orphan for orphan in archive.reconcile() if orphan.call.request}

    paid, known = orphans["paid, and its process died"], orphans["addresses known, and its process died"]
    assert paid.raw_answer is not None
    assert paid.raw_answer.read_bytes().startswith(b'{"created": 1, "data"')
    assert known.urls == ((0, "https://cdn.example/a.png?sig=SIGNED"),)
    assert {call.prompt for call in archive.uncertain()} == {"lost on the way", "sent, and its process died"}
    archive.settle(paid.call, "done", cost=16_000)
    archive.settle(known.call, "done", cost=16_000)
    assert archive.spend() == Spend(spent_micro=80_000, uncertain_micro=32_000, calls=8)


def test_a_limit_counts_what_0_1_spent(archive: Archive) -> None:
    boat = ImageRequest("a boat", model="dall-e-2", size="256x256")
    with pytest.raises(BudgetExceededError, match=r"\$0.112 of the \$0.12 per archive"):
        archive.claim(boat, vendor="sandbox", reserve=16_000, budget=Budget(archive=120_000))

    archive.claim(boat, vendor="sandbox", reserve=16_000, budget=Budget(archive=128_000))


def test_a_removed_ledger_of_0_1_is_made_again_from_its_receipts(old: Path, archive: Archive) -> None:
    known = [entry for entry in archive.history() if entry.pictures]
    archive.close()
    (old / "ledger.sqlite").unlink()

    archive.reconcile()

    assert [entry.pictures for entry in archive.history()] == [entry.pictures for entry in known]
    assert [entry.cost_micro for entry in archive.history()] == [32_000]
    assert archive.spend() == Spend(spent_micro=32_000, calls=1)


def test_a_dataset_of_0_1_is_read_and_finished_for_nothing(dataset: Path) -> None:
    before = Reader(dataset).spend()
    rows = [{"prompt": f"a {label}", "label": label} for label in ("cat", "dog", "hen")]
    with Sandbox() as sandbox:
        report = cm.generate_dataset(
            rows,
            dataset,
            base_url=sandbox.base_url,
            api_key="sandbox",
            model="dall-e-2",
            size="256x256",
            max_cost=0.05,
        )
    after = Reader(dataset)

    assert before == Spend(spent_micro=32_000, calls=2)
    assert after.spend() == Spend(spent_micro=48_000, calls=3)
    assert [record["outcome"] for record in report.records()] == ["done"] * 3
    assert len({record["cost"] for record in report.records()}) == 1
    lines = (dataset / "metadata.jsonl").read_text().splitlines()
    assert len(lines) == 3
    # Pictures of 0.1 stay where they are; those of today are nested.
    depths = [json.loads(line)["file_name"].count("/") for line in lines]
    assert depths == [2, 2, 3]
    assert [image.size for image in report.images()] == [(256, 256)] * 3
    assert report.verify()
    # Receipts of 0.1 stay as they are; those of today are in a file of their own, and say their unit.
    assert [receipt["cost_micro_usd"] for receipt in receipts(dataset)] == [16_000]
    (dataset / "ledger.sqlite").unlink()
    Archive(dataset).repair()
    assert Reader(dataset).spend() == Spend(spent_micro=48_000, calls=3)


def test_what_0_1_made_is_found_reused_and_made_again_by_the_calls_of_today(old: Path) -> None:
    picture = next(path for path in (old / "images").rglob("*.png") if "paper-boat" in path.name)
    with (
        Sandbox() as sandbox,
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=old) as client,
    ):
        images = client.generate("a paper boat", model="dall-e-2", size="256x256", n=2, reuse=True)

    assert sandbox.log == []
    assert images.cost == 0.0
    assert str(picture) in map(str, images.paths)
    (found,) = cm.history("paper boat", archive=old)
    assert (found.outcome, found.cost, len(found.pictures)) == ("done", 0.032, 2)
    recipe = cm.recipe(picture, archive=old)
    assert {name: recipe[name] for name in ("prompt", "model", "size")} == {
        "prompt": "a paper boat",
        "model": "dall-e-2",
        "size": "256x256",
    }


def test_a_dataset_of_0_1_opens_with_its_rows_and_pictures(dataset: Path, tmp_path: Path) -> None:
    report = cm.open_dataset(dataset)

    assert report.counts["done"] == 2
    assert report.cost == 0.032
    assert [row["outcome"] for row in report] == ["done", "done", "failed"]
    assert [image.size for image in report.images()] == [(256, 256)] * 2
    assert report.to_frame()["cost"].sum() == pytest.approx(0.032)
    report.export(tmp_path / "copy", format="folder")
    assert len(list((tmp_path / "copy").rglob("*.png"))) == 2


# --- version 2 ----------------------------------------------------------------------------------------


def test_a_call_keeps_its_session_and_its_seconds_also_in_its_receipt(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    buy(archive)
    entry = archive.history()[0]

    assert entry.session == "s"
    assert entry.seconds is not None
    assert entry.seconds > 0
    archive.close()
    (folder / "ledger.sqlite").unlink()
    archive.repair()
    again = archive.history()[0]
    assert (again.seconds, again.session) == (entry.seconds, entry.session)
    archive.close()


def test_a_star_stays_on_a_picture_that_is_stored_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "cometimg")
    call = buy(archive)
    with contextlib.closing(sqlite3.connect(tmp_path / "cometimg/ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE pictures SET starred = 1.5")

    keep(archive, call, data=archive.load(archive.stored(call.key)[0]))
    archive.settle(call, "done", cost=20_000)

    archive.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "cometimg/ledger.sqlite")) as connection:
        assert connection.execute("SELECT starred FROM pictures").fetchall() == [(1.5,)]


def test_where_prompts_are_not_kept_no_words_are(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "cometimg", store_prompts=False)
    call = claim(archive, ImageRequest("a secret garden"))
    keep(archive, call)
    archive.settle(call, "done")

    archive.close()
    assert not any(
        b"secret" in path.read_bytes() for path in (tmp_path / "cometimg").rglob("*") if path.is_file()
    )


# --- reading only -------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become somebody else"
)
@pytest.mark.parametrize("made_by", ["0.1", "today"])
def test_an_archive_of_somebody_else_is_read(old: Path, public: Path, made_by: str) -> None:
    old = Path(shutil.copytree(old, public / "cometimg"))
    if made_by == "today":
        archive = Archive(old)
        claim(archive)
        archive.close()
    for path in (old, *old.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    names = sorted(old.rglob("*"))

    said = run(
        f"""
import os
import comet_magic as cm
from comet_magic.archive import Reader
history = cm.history  # imports it: who reads the archive may not be allowed to read this Python
os.setgid(65534); os.setuid(65534)
print(len(history(archive={str(old)!r})), Reader({str(old)!r}).spend().spent_micro)
"""
    )

    assert said == f"{10 + (made_by == 'today')} 48000\n"
    assert sorted(old.rglob("*")) == names


def test_a_question_does_not_switch_the_journal(old: Path) -> None:
    with contextlib.closing(sqlite3.connect(old / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    before = (old / "ledger.sqlite").read_bytes()

    assert told(Reader(old))[3] == SPEND

    assert (old / "ledger.sqlite").read_bytes() == before
    assert [path.name for path in old.glob("ledger*")] == ["ledger.sqlite"]


def test_a_reader_sees_what_a_writer_adds(tmp_path: Path) -> None:
    archive, reader = Archive(tmp_path / "cometimg"), Reader(tmp_path / "cometimg")
    assert reader.history() == []

    for number in (1, 2):
        buy(archive)
        assert len(reader.history()) == number
        assert len(reader.stored(BOAT.key("cometapi"))) == number
    archive.close()
    assert reader.spend().calls == 2


# --- damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE calls SET cost = -1",
        "UPDATE calls SET reserved = 1e300 WHERE state = 'claimed'",
        "UPDATE calls SET reserved = 'much'",
        "UPDATE calls SET state = 'free'",
        "ALTER TABLE calls ADD COLUMN more",
        "ALTER TABLE calls ADD COLUMN more AS (zeroblob(900000000))",
        "CREATE INDEX more ON calls (length(prompt))",
        "CREATE TABLE more (x)",
        "DROP TABLE pictures",
        "CREATE TRIGGER more AFTER UPDATE ON calls BEGIN DELETE FROM calls; END",
        "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT * FROM n",
    ],
)
def test_a_row_or_a_table_that_we_never_wrote_is_told_as_our_own_error(
    tmp_path: Path, statement: str
) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    buy(archive)
    claim(archive)
    archive.close()
    with contextlib.closing(ledger(folder)) as connection, connection:
        connection.execute(statement)

    with pytest.raises(ConfigurationError, match="ledger"):
        told(Reader(folder))
    with pytest.raises(ConfigurationError, match="ledger"):
        claim(archive)


@pytest.mark.parametrize(
    "change",
    [
        "request = '[1]', prompt = NULL",
        "usage = '{'",
        "created = 1e300",
        "created = 'yesterday', ended = 'today'",
        f"usage = '{'[' * 5000}'",
        "key = 'short'",
        "id = CAST('x' AS BLOB)",
        "prompt = CAST(x'ff' AS TEXT)",
        "error = 3",
    ],
)
def test_a_row_that_we_never_wrote_is_set_aside_and_stops_nothing(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    buy(archive)
    buy(archive, CAT)
    archive.close()
    with contextlib.closing(ledger(folder)) as connection, connection:
        connection.execute(f"UPDATE calls SET {change} WHERE number = 1")

    told(Reader(folder))
    kept = Reader(folder).history(limit=None)
    assert kept[0].prompt == CAT.prompt
    assert len(kept) + Reader(folder).set_aside() >= 2
    assert Reader(folder).spend().calls == 2
    buy(archive)
    archive.close()


def test_pictures_are_found_by_their_size_without_reading_those_of_other_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    claim(archive)
    archive.close()

    assert "SEARCH pictures USING INDEX pictures_size" in plan(folder, OF_THESE_SIZES)
    assert "SCAN pictures" not in plan(folder, OF_THESE_SIZES)


def test_a_ledger_without_the_index_of_sizes_is_read_and_gets_it_with_the_first_write(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    buy(archive)
    with_index, before = schema(folder), archive.history()
    archive.close()
    with contextlib.closing(ledger(folder)) as connection, connection:
        connection.execute("DROP INDEX pictures_size")

    assert Reader(folder).history() == before
    assert "SCAN pictures" in plan(folder, OF_THESE_SIZES)
    claim(archive)
    archive.close()
    assert schema(folder) == with_index


def test_sums_that_are_not_those_of_the_calls_are_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    buy(archive)
    spent = archive.spend()
    archive.close()
    with contextlib.closing(ledger(folder)) as connection, connection:
        connection.execute("UPDATE money SET spent = -1000000000, uncertain = 1e300")

    assert Reader(folder).spend() == spent
    claim(archive)
    assert archive.spend().spent == spent.spent
    archive.close()


def test_a_ledger_with_damaged_pages_is_told_as_our_own_error(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    archive = Archive(folder)
    for _ in range(40):
        archive.settle(claim(archive), "unknown")
    archive.close()
    whole = (folder / "ledger.sqlite").read_bytes()
    page = 4096
    for number in range(len(whole) // page):
        damaged = whole[: number * page] + b"\xa5" * page + whole[(number + 1) * page :]
        (folder / "ledger.sqlite").write_bytes(damaged)
        with contextlib.suppress(ConfigurationError):  # a page may be one that no question needs
            told(Reader(folder))

    (folder / "ledger.sqlite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="cannot be used"):
        told(Reader(folder))
