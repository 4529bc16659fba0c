from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import stat
import threading
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from comet_magic.archive import Archive, Budget, Claim, CopyTaken, RawAnswer, Spend
from comet_magic.archive.ledger import Ledger
from comet_magic.archive.schema import ready_to_read
from comet_magic.errors import (
    AmbiguousError,
    BudgetExceededError,
    ConfigurationError,
    ContentPolicyError,
    DownloadError,
    RateLimitError,
)
from comet_magic.request import ImageRequest
from comet_magic.text import Secret

from .archive_actor import receipts
from .processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

BOAT = ImageRequest("A paper boat on calm water")


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def claim(
    archive: Archive, request: ImageRequest = BOAT, reserve: int | None = 40_000, **options: object
) -> Claim:
    return archive.claim(request, vendor="cometapi", reserve=reserve, **{"session": "s", **options})


def keep(
    archive: Archive, call: Claim, index: int = 0, data: bytes | Path | None = None, **facts: object
) -> Path:
    data = png(index) if data is None else data
    raw = data if isinstance(data, bytes) else data.read_bytes()
    known = {"mime": "image/png", "width": 8, "height": 6, "sha256": hashlib.sha256(raw).hexdigest()}
    return archive.store(call, index, data, **{**known, **facts})


def buy(
    archive: Archive, request: ImageRequest = BOAT, cost: int | None = 20_000, **options: object
) -> Claim:
    call = claim(archive, request, **options)
    archive.received(call, request_id="req-1", status=200)
    for index in range(len(call.copies)):
        keep(archive, call, index, png(call.copies[index]))
    archive.settle(call, "done", cost=cost, usage={"output_tokens": 196}, attempts=1)
    return call


def answered(archive: Archive, call: Claim, body: bytes = b"{}") -> RawAnswer:
    """The raw answer of a call, as it came."""
    answer = archive.raw_answer(call)
    answer.write(body)
    answer.close()
    return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cometimg"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    archive = Archive(folder)
    yield archive
    archive.close()


@pytest.fixture(params=["folder", "memory"])
def either(request: pytest.FixtureRequest, folder: Path) -> Iterator[Archive]:
    """An archive in a folder, and one that keeps nothing on disk: they keep the same books."""
    archive = Archive(folder if request.param == "folder" else None)
    yield archive
    archive.close()


def ledger(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "ledger.sqlite")
    connection.row_factory = sqlite3.Row
    return connection


# --- nothing until the first claim --------------------------------------------------------------------


def test_looking_makes_nothing(archive: Archive, folder: Path) -> None:
    assert archive.history() == archive.open_calls() == archive.uncertain() == archive.reconcile() == []
    assert archive.stored("0" * 64) == []
    assert archive.copies(["0" * 64]) == archive.copies(["0" * 64], facts=True) == {}
    assert archive.entry("ab") is None
    assert archive.orphan("ab") is None
    assert archive.spend() == Spend()

    assert not folder.exists()


def test_the_folder_is_private_and_so_is_everything_in_it(archive: Archive, folder: Path) -> None:
    call = claim(archive)
    answered(archive, call)
    keep(archive, call)
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}

    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert (folder / ".gitignore").read_text() == "*\n"
    assert archive.open_calls()[0].id == call.id
    archive.settle(call, "done")
    assert list((folder / "spool").iterdir()) == []


def test_a_file_in_place_of_the_folder_is_found_before_paying(folder: Path) -> None:
    folder.write_text("")

    with pytest.raises(ConfigurationError, match="it is a file") as caught:
        claim(Archive(folder))

    assert caught.value.outcome == "not_sent"


def test_a_ledger_that_is_no_database_is_found_before_paying(archive: Archive, folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.sqlite").write_text("these are not the bytes you are looking for" * 100)

    with pytest.raises(ConfigurationError, match="file is not a database"):
        claim(archive)


@pytest.mark.parametrize("there", [True, False])
def test_a_ledger_that_is_a_link_is_neither_written_nor_read(
    archive: Archive, folder: Path, tmp_path: Path, there: bool
) -> None:
    folder.mkdir()
    if there:
        (tmp_path / "victim").write_bytes(b"")
    (folder / "ledger.sqlite").symlink_to(tmp_path / "victim")

    with pytest.raises(ConfigurationError, match="is a link"):
        claim(archive)
    if there:
        with pytest.raises(ConfigurationError, match="is a link"):
            archive.history()

    assert [path.read_bytes() for path in tmp_path.glob("victim*")] == [b""] * there


def test_a_link_or_a_pipe_in_place_of_the_receipts_costs_no_picture(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    log = folder / "receipts.jsonl"
    for plant in (lambda: log.symlink_to(tmp_path / "victim"), lambda: os.mkfifo(log)):
        call = claim(archive)
        plant()
        keep(archive, call)
        with pytest.raises(OSError, match=r"leads out|No such device"):
            archive.settle(call, "done", cost=7)
        log.unlink()

    assert [archive.load(picture) for picture in archive.stored(call.key)] == [png(0), png(0)]
    assert archive.spend() == Spend(spent_micro=14, calls=2)
    assert not (tmp_path / "victim").exists()


def test_a_folder_for_locks_that_is_a_file_is_found_before_paying(archive: Archive, folder: Path) -> None:
    folder.mkdir()
    (folder / "owners").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        claim(archive)


def test_a_newer_ledger_is_refused_with_a_way_on(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.close()
    with ledger(folder) as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()

    with pytest.raises(ConfigurationError, match="newer comet_magic") as caught:
        claim(archive)
    with pytest.raises(ConfigurationError, match="newer comet_magic"):
        archive.history()

    assert "Upgrade" in caught.value.hint


def test_a_ledger_that_another_program_holds_is_told(archive: Archive, folder: Path) -> None:
    buy(archive)
    other = ledger(folder)
    other.execute("BEGIN EXCLUSIVE")
    patient = Ledger(folder / "ledger.sqlite", busy=0.1)

    with pytest.raises(ConfigurationError, match="database is locked"), patient.transaction():
        pass

    patient.close()
    other.close()


# --- the life of a call -------------------------------------------------------------------------------


def test_a_claim_is_on_disk_before_it_returns(archive: Archive, folder: Path) -> None:
    call = claim(archive)

    row = ledger(folder).execute("SELECT * FROM calls").fetchone()
    assert (row["id"], row["key"], row["state"], row["reserved"]) == (
        call.id,
        BOAT.key("cometapi"),
        "claimed",
        40_000,
    )
    assert (row["prompt"], row["session"], row["pid"]) == (BOAT.prompt, "s", os.getpid())
    assert row["day"] == date.today().isoformat()


def test_looking_after_what_others_left_writes_nothing_when_nothing_was_left(
    archive: Archive, folder: Path
) -> None:
    buy(archive)
    archive.close()
    before = sorted(folder.rglob("*"))

    assert archive.reconcile() == []

    assert [path for path in sorted(folder.rglob("*")) if "ledger" not in path.name] == [
        path for path in before if "ledger" not in path.name
    ]


def test_every_step_is_seen_by_another_process(archive: Archive, folder: Path) -> None:
    look = f"""
from comet_magic.archive import Archive
archive = Archive({str(folder)!r})
print([(c.state, c.alive) for c in archive.open_calls()], [e.outcome for e in archive.history()])
print(archive.reconcile())
archive.close()
"""
    call = claim(archive)
    assert run(look) == "[('claimed', True)] ['open']\n[]\n"
    archive.received(call, request_id="r", status=200)
    assert run(look) == "[('received', True)] ['open']\n[]\n"
    keep(archive, call)
    archive.settle(call, "done")
    assert run(look) == "[] ['done']\n[]\n"


def test_a_picture_is_named_by_its_prompt_its_key_and_its_copy(archive: Archive, folder: Path) -> None:
    key = BOAT.key("cometapi")

    for _ in range(2):
        buy(archive)

    names = sorted(path.name for path in (folder / "images" / key[:2]).iterdir())
    assert names == [f"a-paper-boat-on-calm-water-{key[:10]}.{copy}.png" for copy in (0, 1)]


def test_the_bytes_come_back_as_they_came(archive: Archive) -> None:
    call = buy(archive, ImageRequest("boat", n=2))

    newest = archive.stored(call.key)

    assert [picture.copy for picture in newest] == [1, 0]
    assert [archive.load(picture) for picture in newest] == [png(1), png(0)]
    assert newest[0].cost_micro == 10_000
    assert newest[0].request_id == "req-1"


def test_storing_the_same_bytes_twice_is_storing_them_once(archive: Archive, folder: Path) -> None:
    call = claim(archive)

    paths = {keep(archive, call), keep(archive, call)}

    assert len(paths) == 1
    assert len(list((folder / "images").rglob("*.png"))) == 1


def test_a_name_that_is_taken_is_left_alone(archive: Archive, folder: Path) -> None:
    call = claim(archive)
    strange = folder / "images" / call.key[:2] / f"a-paper-boat-on-calm-water-{call.key[:10]}.0.png"
    strange.parent.mkdir(parents=True)
    strange.write_bytes(b"somebody's")

    path = keep(archive, call)
    archive.settle(call, "done")

    assert strange.read_bytes() == b"somebody's"
    assert path.name == strange.name.replace(".0.png", ".0-2.png")
    assert archive.load(archive.stored(call.key)[0]) == png()


def test_a_link_planted_at_the_name_is_not_followed(archive: Archive, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    call = claim(archive)
    name = folder / "images" / call.key[:2] / f"a-paper-boat-on-calm-water-{call.key[:10]}.0.png"
    name.parent.mkdir(parents=True)
    name.symlink_to(tmp_path / "victim")

    path = keep(archive, call)

    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert path != name
    assert path.read_bytes() == png()


def test_a_picture_that_changed_on_disk_is_not_given_out(archive: Archive) -> None:
    call = buy(archive)
    (stored,) = archive.stored(call.key)
    archive.path_of(stored).write_bytes(png(9))

    with pytest.raises(OSError, match="not the picture that was stored"):
        archive.load(stored)


def test_a_picture_that_is_gone_is_an_os_error(archive: Archive) -> None:
    call = buy(archive)
    (stored,) = archive.stored(call.key)
    archive.path_of(stored).unlink()

    with pytest.raises(FileNotFoundError):
        archive.load(stored)


def test_a_picture_nobody_asked_for_gets_a_copy_of_its_own(archive: Archive) -> None:
    call = claim(archive)
    archive.received(call, urls=["https://a.example/0?sig=1", "https://a.example/1?sig=1"])
    keep(archive, call, 0, png(0))
    keep(archive, call, 1, png(1))
    keep(archive, call, 2, png(2))
    archive.settle(call, "done")

    assert [picture.copy for picture in archive.stored(call.key)] == [2, 1, 0]
    assert claim(archive).copies == (3,)


def test_the_receipt_tells_the_whole_answer_and_the_unit_of_its_money(archive: Archive, folder: Path) -> None:
    call = buy(archive, ImageRequest("boat", n=2, size="1024x1024"))
    buy(archive)

    receipt, other = receipts(folder)
    assert (receipt["id"], receipt["key"], receipt["prompt"], receipt["request_id"]) == (
        *(call.id, call.key, "boat", "req-1"),
    )
    assert (receipt["cost_micro_usd"], receipt["reserved_micro_usd"]) == (20_000, 40_000)
    assert not {"cost", "reserved"} & receipt.keys()
    assert receipt["request"]["size"] == "1024x1024"
    assert [one["sha256"] for one in receipt["pictures"]] == [
        hashlib.sha256(png(n)).hexdigest() for n in (0, 1)
    ]
    assert other["prompt"] == BOAT.prompt


def test_the_folder_may_be_removed_between_paying_and_saving(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    call = claim(archive)
    folder.rename(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="gone"):
        keep(archive, call)
    answer = answered(archive, call)
    assert b"".join(answer.pieces()) == b"{}"
    with pytest.raises(OSError, match="gone"):
        archive.received(call)
    with pytest.raises(OSError, match="gone"):
        archive.settle(call, "done")

    assert not folder.exists()


def test_after_that_the_next_claim_begins_a_new_archive(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    buy(archive)
    folder.rename(tmp_path / "elsewhere")

    call = buy(archive)

    assert call.copies == (0,)
    assert archive.spend().spent_micro == 20_000
    assert (folder / "ledger.sqlite").exists()


def test_a_call_of_a_ledger_that_was_removed_fails_as_the_disk_does(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    call = claim(archive)
    folder.rename(tmp_path / "elsewhere")
    buy(archive, ImageRequest("another"))

    for step in (
        lambda: archive.received(call),
        lambda: keep(archive, call),
        lambda: archive.settle(call, "done"),
    ):
        with pytest.raises(OSError, match="does not know this call"):
            step()


def test_a_receipt_that_cannot_be_written_still_settles_the_money(archive: Archive, folder: Path) -> None:
    call = claim(archive)
    keep(archive, call)
    (folder / "receipts.jsonl").mkdir()

    with pytest.raises(OSError, match="directory"):
        archive.settle(call, "done", cost=7)

    assert archive.spend() == Spend(spent_micro=7, calls=1)
    assert archive.load(archive.stored(call.key)[0]) == png()


def test_settling_without_a_ledger_can_be_tried_again(archive: Archive, folder: Path, tmp_path: Path) -> None:
    call = claim(archive)
    keep(archive, call)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="gone"):
        archive.settle(call, "done")
    (tmp_path / "elsewhere").rename(folder)

    archive.settle(call, "done", cost=5)

    assert len(archive.stored(call.key)) == 1
    assert archive.spend().spent_micro == 5


# --- copies -------------------------------------------------------------------------------------------


def test_a_fresh_call_takes_the_next_free_copies(either: Archive) -> None:
    assert claim(either, ImageRequest("boat", n=3)).copies == (0, 1, 2)
    assert claim(either, ImageRequest("boat")).copies == (3,)
    assert claim(either, ImageRequest("boat", size="1024x1024")).copies == (0,)


@pytest.mark.parametrize("state", ["rejected", "cancelled"])
def test_a_call_that_made_nothing_gives_its_copies_back(either: Archive, state: str) -> None:
    first, second = claim(either), claim(either)
    either.settle(first, state)

    assert claim(either).copies == first.copies
    assert claim(either).copies == (2,)
    assert second.copies == (1,)


def test_named_copies_are_exactly_those(either: Archive) -> None:
    buy(either, copies=[4])

    assert claim(either, ImageRequest(BOAT.prompt, n=2), copies=[2, 7]).copies == (2, 7)
    assert claim(either).copies == (0,)


def test_a_named_copy_is_made_once(either: Archive) -> None:
    done, running, lost = buy(either, copies=[0]), claim(either, copies=[1]), claim(either, copies=[2])
    either.settle(lost, "unknown")

    for copy, call, outcome in ((0, done, "done"), (1, running, "open"), (2, lost, "unknown")):
        with pytest.raises(CopyTaken) as caught:
            claim(either, copies=[copy])
        assert [(slot.copy, slot.call_id, slot.outcome) for slot in caught.value.taken] == [
            (copy, call.id, outcome)
        ]
        assert caught.value.outcome == "not_sent"
    assert either.spend().calls == 3


def test_an_uncertain_copy_can_be_made_again_when_told_so(archive: Archive) -> None:
    lost, running, done = claim(archive), claim(archive), buy(archive)
    archive.settle(lost, "unknown", error=AmbiguousError("the answer was lost"))

    again = claim(archive, copies=lost.copies, redo=True)

    assert again.copies == lost.copies
    assert [call.id for call in archive.uncertain()] == [lost.id]
    for call in (running, done):
        with pytest.raises(CopyTaken):
            claim(archive, copies=call.copies, redo=True)


def test_a_lost_answer_that_comes_late_takes_nobody_elses_place(archive: Archive) -> None:
    lost = claim(archive)
    archive.settle(lost, "unknown")
    again = buy(archive, copies=lost.copies, redo=True)

    keep(archive, lost, 0, png(77))
    archive.settle(lost, "done", cost=20_000)

    late, first = archive.stored(again.key)
    assert {late.call_id, first.call_id} == {lost.id, again.id}
    assert archive.stored(again.key)[0].call_id == again.id
    assert archive.spend() == Spend(spent_micro=40_000, calls=2)


def test_a_picture_with_an_address_keeps_its_copy(archive: Archive) -> None:
    call = claim(archive)
    archive.received(call, urls=["https://cdn.example/1.png?sig=SECRET"])
    archive.settle(call, "done", cost=9, error=DownloadError("404"))

    with pytest.raises(CopyTaken, match="has an address"):
        claim(archive, copies=[0])
    assert claim(archive).copies == (1,)
    assert archive.orphan(call.id).urls == ((0, "https://cdn.example/1.png?sig=SECRET"),)
    assert claim(archive, copies=[0], redo=True).copies == (0,)


# --- money --------------------------------------------------------------------------------------------


def test_money_is_reserved_then_settled(either: Archive) -> None:
    call = claim(either)
    assert either.spend() == Spend(reserved_micro=40_000, calls=1)
    either.received(call)
    assert either.spend() == Spend(reserved_micro=40_000, calls=1)
    either.settle(call, "done", cost=21_000)
    assert either.spend() == Spend(spent_micro=21_000, calls=1)


@pytest.mark.parametrize(
    ("state", "cost", "spend"),
    [
        ("done", None, Spend(spent_micro=40_000, calls=1)),
        ("done", 0, Spend(calls=1)),
        ("unknown", None, Spend(uncertain_micro=40_000, calls=1)),
        ("rejected", None, Spend(calls=1)),
        ("rejected", 5, Spend(spent_micro=5, calls=1)),
        ("cancelled", None, Spend()),
    ],
)
def test_every_end_has_its_price(either: Archive, state: str, cost: int | None, spend: Spend) -> None:
    either.settle(claim(either), state, cost=cost)

    assert either.spend() == spend
    assert spend.bound_micro == spend.spent_micro + spend.reserved_micro + spend.uncertain_micro


def test_calls_of_unknown_price_are_counted_as_such(either: Archive) -> None:
    either.settle(claim(either, reserve=None), "unknown")
    either.settle(claim(either, reserve=None), "done")
    either.settle(claim(either, reserve=None), "rejected")

    assert either.spend() == Spend(calls=3, unpriced=2)


@pytest.mark.parametrize("scope", ["session", "day", "archive"])
def test_a_limit_counts_what_is_spent_in_flight_and_uncertain(either: Archive, scope: str) -> None:
    budget = Budget(**{scope: 160_000})
    either.settle(claim(either, budget=budget), "done", cost=40_000)
    either.settle(claim(either, budget=budget), "unknown")
    claim(either, budget=budget)
    last = claim(either, budget=budget)

    with pytest.raises(BudgetExceededError, match=r"\$0.04, and \$0.16 of the \$0.16 per " + scope) as caught:
        claim(either, budget=budget)

    assert caught.value.outcome == "not_sent"
    either.settle(last, "rejected")
    claim(either, budget=budget)


def test_a_session_and_a_vendor_have_their_own_money(either: Archive) -> None:
    claim(either, session="first")
    either.claim(BOAT, vendor="sandbox", reserve=1_000_000)

    claim(either, session="second", budget=Budget(session=40_000, archive=80_000))
    with pytest.raises(BudgetExceededError, match="archive"):
        claim(either, session="third", budget=Budget(session=40_000, archive=80_000))

    assert either.spend("cometapi").reserved_micro == 80_000
    assert either.spend("cometapi", session="second").reserved_micro == 40_000
    assert either.spend("sandbox").reserved_micro == 1_000_000


def test_a_day_has_its_own_money(archive: Archive, folder: Path) -> None:
    buy(archive)
    with ledger(folder) as connection:
        connection.execute("UPDATE money SET day = '2020-02-29'")
    connection.close()

    claim(archive, budget=Budget(day=40_000))

    assert archive.spend().bound_micro == 60_000
    assert archive.spend(since=date.today()).bound_micro == 40_000


def test_with_a_limit_the_price_must_be_known(either: Archive) -> None:
    with pytest.raises(BudgetExceededError, match="price of this call is unknown") as caught:
        claim(either, reserve=None, budget=Budget(day=10_000_000))

    assert "price_per_image" in caught.value.hint
    claim(either, reserve=None)


def test_thirty_threads_and_money_for_ten_make_ten(either: Archive) -> None:
    gate, refused = threading.Barrier(30), []

    def ask() -> None:
        gate.wait()
        try:
            buy(either, cost=40_000, budget=Budget(session=400_000))
        except BudgetExceededError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 20
    assert either.spend() == Spend(spent_micro=400_000, calls=10)


def test_what_there_is_no_money_for_leaves_no_row(either: Archive) -> None:
    with pytest.raises(BudgetExceededError):
        claim(either, budget=Budget(session=1))

    assert either.copies([BOAT.key("cometapi")]) == {}


# --- questions ----------------------------------------------------------------------------------------


def test_what_became_of_every_copy_is_asked_in_one_question(either: Archive) -> None:
    boat, ship = buy(either, ImageRequest("boat", n=2)), claim(either, ImageRequest("ship"))
    refused = claim(either, ImageRequest("boat"))
    either.settle(refused, "rejected", error=ContentPolicyError("no boats", code="content_policy_violation"))

    found = either.copies([ship.key, boat.key, "0" * 64, boat.key])

    assert {place: copy.outcome for place, copy in found.items()} == {
        (boat.key, 0): "done",
        (boat.key, 1): "done",
        (boat.key, 2): "refused",
        (ship.key, 0): "open",
    }
    assert (found[boat.key, 2].code, found[boat.key, 2].message) == ("content_policy_violation", "no boats")
    known = either.copies([ship.key, boat.key], facts=True)
    assert {place: copy[:4] for place, copy in known.items() if copy.path is None} == {
        place: copy[:4] for place, copy in found.items() if copy.path is None
    }
    assert (known[boat.key, 1].width, known[boat.key, 1].cost, known[boat.key, 1].request_id) == (
        *(8, 10_000, "req-1"),
    )


def test_many_keys_are_asked_at_once(archive: Archive) -> None:
    call = buy(archive)
    keys = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(12_000)]

    assert list(archive.copies([*keys, call.key])) == [(call.key, 0)]


def test_the_history_is_newest_first_and_found_by_words(either: Archive) -> None:
    for prompt in ("A RED Boot mit Segel", "a blue boat", "ein rotes STRAẞE-boot"):
        buy(either, ImageRequest(prompt))

    assert [entry.prompt for entry in either.history()] == [
        "ein rotes STRAẞE-boot",
        "a blue boat",
        "A RED Boot mit Segel",
    ]
    assert [entry.prompt for entry in either.history("boot segel")] == ["A RED Boot mit Segel"]
    assert [entry.prompt for entry in either.history("strasse")] == ["ein rotes STRAẞE-boot"]
    assert [entry.prompt for entry in either.history(limit=1)] == ["ein rotes STRAẞE-boot"]
    assert len(either.history(limit=None)) == 3
    assert either.history("50% _") == []


def test_the_history_is_found_by_model_and_time(either: Archive) -> None:
    buy(either)
    buy(either, ImageRequest("boat", model="dall-e-3"))
    now = datetime.now()

    assert [entry.model for entry in either.history(model="dall-e-3")] == ["dall-e-3"]
    assert len(either.history(since=date.today())) == 2
    assert len(either.history(since=now - timedelta(hours=1))) == 2
    assert either.history(since=now + timedelta(hours=1)) == []


def test_an_entry_tells_everything(either: Archive) -> None:
    request = ImageRequest("boat", n=2, size="1024x1024", quality="low")
    call = buy(either, request, cost=20_001)

    (entry,) = either.history()

    assert entry.request == request
    assert entry.parameters["quality"] == "low"
    assert (entry.id, entry.key, entry.vendor, entry.model) == (call.id, call.key, "cometapi", "gpt-image-2")
    assert (entry.state, entry.outcome, entry.cost_micro, entry.bound_micro) == (
        "done",
        "done",
        20_001,
        20_001,
    )
    assert (entry.request_id, entry.usage, entry.attempts) == ("req-1", {"output_tokens": 196}, 1)
    assert [picture.position for picture in entry.pictures] == [0, 1]
    assert entry.created <= entry.ended
    assert either.entry(call.id[:6]) == entry


def test_a_failure_in_the_history_has_its_evidence(either: Archive) -> None:
    error = RateLimitError("too fast", code="rate_limit", request_id="req-9", status_code=429, attempts=3)
    either.settle(claim(either), "rejected", error=error)

    (entry,) = either.history()

    assert (entry.error, entry.code, entry.message) == ("RateLimitError", "rate_limit", "too fast")
    assert (entry.request_id, entry.attempts, entry.cost_micro, entry.outcome) == ("req-9", 3, 0, "failed")


def test_an_id_that_begins_several_calls_is_none_of_them(either: Archive) -> None:
    ids = [claim(either).id for _ in range(17)]
    first = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)

    assert either.entry(first) is None
    assert either.entry("zz") is None
    assert either.entry("' OR 1=1 --") is None


def test_the_uncertain_are_listed_with_the_most_they_can_cost(either: Archive) -> None:
    call = claim(either)
    either.settle(call, "unknown", error=AmbiguousError("cut", request_id="req-7"))

    (lost,) = either.uncertain()

    assert (lost.id, lost.bound_micro, lost.request_id, lost.prompt, lost.alive) == (
        call.id,
        40_000,
        "req-7",
        BOAT.prompt,
        False,
    )
    assert either.open_calls() == []


def test_a_picture_of_a_call_that_was_cut_is_here_and_the_call_is_uncertain(either: Archive) -> None:
    call = claim(either, ImageRequest("boat", n=2))
    keep(either, call, 0)
    either.settle(call, "unknown")

    assert [copy.outcome for copy in either.copies([call.key]).values()] == ["done", "unknown"]
    assert either.history()[0].outcome == "unknown"


def test_a_request_that_can_no_longer_be_made_is_still_shown(archive: Archive, folder: Path) -> None:
    buy(archive)
    with ledger(folder) as connection:
        connection.execute("""UPDATE calls SET request = '{"model": "gpt-image-2", "sizes": "1x1"}'""")
    connection.close()

    (entry,) = archive.history()

    assert entry.request is None
    assert entry.parameters["sizes"] == "1x1"


# --- secrets ------------------------------------------------------------------------------------------


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_signed_address_is_forgotten_once_its_picture_is_here(archive: Archive, folder: Path) -> None:
    call = claim(archive)
    archive.received(call, urls=["https://cdn.example/a.png?X-Signature=SECRETSIG"])
    assert b"SECRETSIG" in everything(folder)
    assert archive.open_calls()[0].urls == ("https://cdn.example/a.png",)

    keep(archive, call)
    archive.settle(call, "done")

    archive.close()
    assert b"SECRETSIG" not in everything(folder)
    assert b"https://cdn.example/a.png" in everything(folder)


def test_no_key_reaches_the_disk(archive: Archive, folder: Path) -> None:
    key = Secret("sk-THISISAKEYTHATMUSTNOTBESEEN123")
    call = claim(archive)
    keep(archive, call, revised_prompt=f"a boat {key.reveal()}")
    archive.settle(call, "done", error=DownloadError(f"401 Bearer {key.reveal()}", code=key.reveal()))
    archive.close()

    assert b"MUSTNOTBESEEN" not in everything(folder)


def test_prompts_may_be_kept_as_hashes_only(folder: Path) -> None:
    archive = Archive(folder, store_prompts=False)
    call = claim(archive, ImageRequest("the secret garden"))
    keep(archive, call, revised_prompt="a secret garden with roses")
    archive.settle(call, "done")

    (entry,) = archive.history()
    assert (entry.prompt, entry.request) == (None, None)
    assert len(archive.stored(call.key)) == 1
    assert archive.stored(call.key)[0].revised_prompt is None
    archive.close()
    assert b"secret" not in everything(folder)
    assert hashlib.sha256(b"the secret garden").hexdigest().encode() in everything(folder)
    assert not list(folder.rglob("*garden*"))


def test_an_archive_says_only_where_it_is(archive: Archive, folder: Path) -> None:
    assert repr(archive) == f"Archive({folder})"


# --- the raw answer -----------------------------------------------------------------------------------


def test_a_raw_answer_is_dropped_once_its_pictures_are_safe(either: Archive) -> None:
    call = claim(either)
    answer = answered(either, call, b"{}" * (1 << 20))
    assert answer.path is not None
    keep(either, call)

    either.settle(call, "done")
    path = answer.path
    del answer

    assert not path.exists()


def test_a_raw_answer_can_be_kept_for_good(either: Archive) -> None:
    call = claim(either)
    answer = answered(either, call, b"{broken")

    kept = answer.keep()

    assert kept is not None
    assert kept.read_bytes() == b"{broken"
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    if either.folder is None:
        del answer
        assert kept.exists()
        kept.unlink()
        kept.parent.rmdir()
    else:
        assert answer.path is not None
        assert not answer.path.exists()


@pytest.mark.parametrize(
    ("body", "suffix"),
    [
        (b'{"data": []}', ".json"),
        (b" \n[1]", ".json"),
        (b"<!DOCTYPE html><p>no", ".html"),
        (b"event: error\ndata: {}\n\n", ".txt"),
        (b"GIF89a", ".gif"),
        (b"\xff\xfe\x01", ".body"),
    ],
)
def test_a_raw_answer_is_kept_under_the_ending_of_its_kind(
    archive: Archive, body: bytes, suffix: str
) -> None:
    kept = answered(archive, claim(archive), body).keep()
    assert kept is not None
    assert (kept.suffix, kept.read_bytes()) == (suffix, body)


def test_a_picture_that_is_not_opened_is_kept_beside_the_raw_answer(archive: Archive) -> None:
    answer = answered(archive, claim(archive), b"{}")
    kept = answer.keep_part(1, b"GIF89a", ".gif")
    assert kept is not None
    assert (kept.name.endswith(".1.gif"), kept.read_bytes()) == (True, b"GIF89a")
    assert answer.keep_part(1, b"other", ".gif") == kept  # the first stays
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_in_memory_nothing_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    archive = Archive(None)
    call = claim(archive)
    answer = answered(archive, call, b"{}" * (1 << 20))
    assert list(tmp_path.iterdir()) != []
    assert keep(archive, call) is None
    archive.settle(call, "done", cost=3)

    assert archive.stored(call.key) == []
    assert archive.history()[0].outcome == "done"
    assert archive.repair().adopted == ()
    assert archive.reconcile() == []
    archive.close()
    del answer
    assert list(tmp_path.iterdir()) == []


def test_a_closed_archive_can_be_used_again(archive: Archive, folder: Path) -> None:
    buy(archive)
    archive.close()
    assert list((folder / "owners").iterdir()) == []

    buy(archive)

    assert len(archive.history()) == 2


def test_a_ledger_that_another_process_makes_just_now_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "archive" / "ledger.sqlite"
    path.parent.mkdir()
    path.touch()
    other = Archive(path.parent)

    def make_meanwhile(statement: str) -> None:
        if "sqlite_master" in statement and not other.open_calls():
            claim(other)

    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_trace_callback(make_meanwhile)
    assert ready_to_read(connection, str(path))
    connection.close()
    other.close()
