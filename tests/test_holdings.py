"""What an archive holds, and removing of it: raw answers that nobody needs, pictures and inputs of one call."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from PIL import Image

import comet_magic as cm
from comet_magic.__main__ import main
from comet_magic.archive import Archive
from comet_magic.errors import DownloadError, InvalidRequestError
from comet_magic.request import ImageRequest
from comet_magic.sandbox import Sandbox, start_sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL = {"model": "dall-e-2", "size": "256x256"}
EDIT = {"model": "gpt-image-2", "quality": "low", "size": "1024x1024"}


@pytest.fixture(scope="module")
def shop() -> Sandbox:
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(shop: Sandbox) -> cm.Client:
    with cm.Client(base_url=shop.base_url, api_key="sandbox") as client:
        yield client


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path("cometimg", folder).rglob("*") if path.is_file())


def test_what_is_held_is_counted_by_kind_and_links_are_not_followed(
    client: cm.Client, tmp_path: Path
) -> None:
    assert Archive(tmp_path / "none").holdings() == (0, 0, 0)
    boat = client.generate("a boat", image=Image.new("RGB", (64, 64), "red"), **EDIT)
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    (tmp_path / "cometimg" / "images" / "link.png").symlink_to(tmp_path / "large")
    held = client.archive.holdings()

    assert held.pictures == len(boat.data[0])
    assert 0 < held.inputs < 10_000
    assert held.raw_answers == 0


def test_pruning_removes_what_no_promise_needs(client: cm.Client, capsys: pytest.CaptureFixture[str]) -> None:
    archive = client.archive
    client.generate("a boat", **SMALL)
    (entry,) = archive.history()
    needed = archive.claim(ImageRequest("paid, its picture is not here"), vendor="v", reserve=1)
    archive.settle(needed, "done", cost=1, error=DownloadError("404"))
    uncertain = archive.claim(ImageRequest("uncertain"), vendor="v", reserve=1)
    archive.settle(uncertain, "unknown")
    spool = Path("cometimg/spool")
    for call_id in (entry.id, needed.id, uncertain.id, "f" * 32):
        (spool / f"{call_id}.json").write_text("{}")
    client.close()

    assert main(["doctor", "--prune", "raw"]) == 0

    assert "1 raw answer removed" in capsys.readouterr().out
    assert names("spool") == sorted(f"{call_id}.json" for call_id in (needed.id, uncertain.id, "f" * 32))


def test_a_forgotten_call_leaves_its_money_and_nothing_else(client: cm.Client) -> None:
    photo = Image.new("RGB", (64, 64), "red")
    client.generate("with a photo", image=photo, mask=(0, 0, 8, 8), **EDIT)
    client.generate("another", **SMALL)
    spent = client.spend()
    (forgotten,) = client.archive.history("photo")
    kept = names("images")

    removed = client.archive.forget(forgotten)

    assert len(removed) == 4  # the pasted picture, the one that came, the photo, the mask
    assert (names("inputs"), names("unpasted")) == ([], [])
    assert len(names("images")) == len(kept) - 1
    assert client.spend() == spent
    (entry,) = cm.history("photo")
    assert (entry.outcome, entry.cost, entry.pictures) == ("forgotten", forgotten.cost, ())
    client.archive.repair()
    assert cm.history("photo")[0].outcome == "forgotten"
    assert client.spend() == spent


def test_inputs_of_other_calls_stay_and_the_request_can_be_made_again(client: cm.Client) -> None:
    photo = Image.new("RGB", (64, 64), "red")
    first = client.generate("first", image=photo, **EDIT)
    client.generate("second", image=photo, **EDIT)
    (entry,) = client.archive.history("first")
    client.archive.forget(entry)

    assert len(names("inputs")) == 1
    again = client.generate("first", image=photo, reuse=True, **EDIT)
    assert again.cost == first.cost
    assert [one.outcome for one in client.archive.history("first")] == ["done", "forgotten"]


def test_a_call_under_way_is_not_forgotten(client: cm.Client) -> None:
    client.archive.claim(ImageRequest("running"), vendor="v", reserve=1)
    (entry,) = client.archive.history("running")
    with pytest.raises(InvalidRequestError, match="still open"):
        client.archive.forget(entry)


def test_a_strangers_ledger_makes_nothing_else_be_deleted(client: cm.Client, tmp_path: Path) -> None:
    client.generate("a boat", **SMALL)
    (tmp_path / "precious.png").write_bytes(b"x")
    (entry,) = client.archive.history()
    client.archive.close()
    for name in ("ledger.sqlite", "receipts.jsonl", "../precious.png", str(tmp_path / "precious.png")):
        connection = sqlite3.connect("cometimg/ledger.sqlite")
        with connection:
            connection.execute("UPDATE pictures SET path = ?", (name,))
        connection.close()
        assert client.archive.forget(entry) == []
        client.archive.close()

    assert (tmp_path / "precious.png").exists()
    assert Path("cometimg/receipts.jsonl").exists()
