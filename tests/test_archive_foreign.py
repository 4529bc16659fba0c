"""A folder that a stranger made: whatever its ledger, receipts and links say, nothing outside of it is touched."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import comet_magic as cm
from comet_magic.__main__ import main
from comet_magic.archive import Archive
from comet_magic.files import inside, is_name_inside
from comet_magic.notebook.history import images_of
from comet_magic.request import ImageRequest
from comet_magic.sandbox import Sandbox

from .processes import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Edit = Callable[[Path, Path], object]

pytestmark = pytest.mark.usefixtures("plain_pictures")

BOAT = {"prompt": "a boat", "model": "dall-e-2", "size": "256x256"}
OPEN = {**BOAT, "prompt": "a boat that never came"}
HELD = {**BOAT, "prompt": "a boat whose answer is held"}


def canary() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


CANARY = canary()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must stay as it is: files that an archive would lock, read, write or remove, if they were its own."""
    outside = tmp_path / "outside"
    for name in ("", "owners", "aa"):
        folder = outside / name
        folder.mkdir()
        (folder / "victim.lock").touch()
        (folder / "0123456789abcdef.lock").touch()
        (folder / "victim.body").write_bytes(b"{}")
        (folder / "victim.sent").touch()
        (folder / "victim.json").write_text("{}")
        (folder / "old.part").touch()
        os.utime(folder / "old.part", (1, 1))
        (folder / "canary.png").write_bytes(CANARY)
    return outside


@pytest.fixture
def folder(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A real archive: a picture, a call of a dead process, and one whose whole raw answer lies there."""
    folder = tmp_path / "cometimg"
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client:
        client.generate(**BOAT)
    archive = Archive(folder)
    for facts, held in ((OPEN, False), (HELD, True)):
        call = archive.claim(ImageRequest(**facts), vendor="sandbox", reserve=20_000)
        if held:
            raw = archive.raw_answer(call)
            raw.write(b"{}")
            raw.close()
    archive.close()
    return folder


def photograph(outside: Path) -> dict[str, object]:
    return {
        str(path.relative_to(outside)): (path.lstat().st_mtime_ns, path.is_dir() or path.read_bytes())
        for path in outside.rglob("*")
    }


def edited(*statements: str) -> Edit:
    """The ledger changed; `{out}` stands for the way out."""

    def edit(folder: Path, outside: Path) -> None:
        connection = sqlite3.connect(folder / "ledger.sqlite")
        with contextlib.closing(connection), connection:
            for statement in statements:
                connection.execute(statement.replace("{out}", str(outside)).replace("{sha}", _sha(CANARY)))

    return edit


def receipt(**facts: object) -> Edit:
    """The receipt changed and the ledger removed, so that it is made again."""

    def edit(folder: Path, outside: Path) -> None:
        path = folder / "receipts.jsonl"
        content = json.loads(path.read_text())
        picture = {**content["pictures"][0], **facts.pop("picture", {})}  # type: ignore[dict-item]
        changed = json.dumps({**content, **facts, "pictures": [picture]}).replace("{out}", str(outside))
        path.write_text(changed)
        for each in folder.glob("ledger.sqlite*"):
            each.unlink()

    return edit


def linked(name: str) -> Edit:
    """A folder of the archive is a link that leads out."""

    def edit(folder: Path, outside: Path) -> None:
        place = folder / name
        if place.exists():
            for path in place.rglob("*"):
                if path.is_file():
                    (outside / path.name).write_bytes(path.read_bytes())
            place.rename(folder.parent / "former")
        place.symlink_to(outside)

    return edit


def linked_file(pattern: str, target: str) -> Edit:
    def edit(folder: Path, outside: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()
            path.symlink_to(outside / target)

    return edit


def journal(folder: Path, outside: Path) -> None:
    """A rollback journal that names a file, which SQLite would remove."""
    magic, name = bytes.fromhex("d9d505f920a163d7"), str(outside / "victim.body").encode()
    head = magic + struct.pack(">IIIII", 0, 7, 1, 512, 4096)
    names = name + struct.pack(">II", len(name), sum(name)) + magic
    (folder / "ledger.sqlite-journal").write_bytes(head.ljust(512, b"\0") + names)


def hard_link(name: str) -> Edit:
    def edit(folder: Path, outside: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).hardlink_to(outside / "victim.body")

    return edit


def pipe(name: str) -> Edit:
    def edit(folder: Path, outside: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return edit


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


OPENS = "state = 'claimed'"
EDITS: dict[str, Edit] = {
    "owner-up": edited(f"UPDATE calls SET {OPENS}, owner = '../../outside/victim'"),
    "owner-absolute": edited(f"UPDATE calls SET {OPENS}, owner = '{{out}}/victim'"),
    "owner-blob": edited(f"UPDATE calls SET {OPENS}, owner = CAST('../../outside/victim' AS BLOB)"),
    "id-up": edited("UPDATE calls SET id = '../../outside/victim' WHERE state = 'claimed' AND number = 3"),
    "id-up-done": edited("UPDATE calls SET id = '../../outside/victim' WHERE number = 1"),
    "id-absolute": edited("UPDATE calls SET id = '{out}/victim' WHERE number = 3"),
    "key-up": edited(
        "UPDATE calls SET key = '../../outside/victim' WHERE number = 3",
        "UPDATE pictures SET key = '../../outside/victim' WHERE call = 3",
    ),
    "key-short": edited(f"UPDATE calls SET {OPENS}, key = '../*' WHERE number = 2"),
    "copies-up": edited("UPDATE calls SET copies = '[\"../../../outside/victim\"]' WHERE number > 1"),
    "path-up": edited("UPDATE pictures SET path = '../outside/canary.png', sha256 = '{sha}' WHERE call = 1"),
    "path-deep": edited(
        "UPDATE pictures SET path = 'images/../../outside/canary.png', sha256 = '{sha}' WHERE call = 1"
    ),
    "path-absolute": edited("UPDATE pictures SET path = '{out}/canary.png', sha256 = '{sha}' WHERE call = 1"),
    "receipt-path": receipt(picture={"path": "../outside/canary.png", "sha256": _sha(CANARY)}),
    "receipt-absolute": receipt(picture={"path": "{out}/canary.png", "sha256": _sha(CANARY)}),
    "receipt-id": receipt(id="../../outside/victim"),
    "receipt-key": receipt(key="../../outside/victim"),
    "receipt-copies": receipt(copies=["../../outside/victim"]),
    "receipt-names": receipt(picture={"surprise": 1}),
    "journal": journal,
    **{f"hard-link{name}": hard_link(f"ledger.sqlite{name}") for name in ("-journal", "-wal", "-shm")},
    "hard-link-receipts": hard_link("receipts.jsonl"),
    **{f"pipe{name}": pipe(f"ledger.sqlite{name}") for name in ("", "-journal", "-wal", "-shm")},
    "pipe-receipts": pipe("receipts.jsonl"),
    "link-owners": linked("owners"),
    "link-spool": linked("spool"),
    "link-images": linked("images"),
    "link-receipts": linked("receipts"),
    "link-rescue": linked("rescue"),
    "link-picture": linked_file("images/*/*.png", "canary.png"),
    "link-body": linked_file("spool/*.body", "victim.body"),
    "link-receipt": linked_file("receipts/*/*.json", "victim.json"),
}


@pytest.mark.parametrize("name", EDITS)
def test_nothing_outside_the_folder_is_read_written_or_removed(
    folder: Path, outside: Path, sandbox: Sandbox, name: str
) -> None:
    EDITS[name](folder, outside)
    before = photograph(outside)
    shown: list[bytes | None] = []
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client:
        for prompt in ("a boat", "another boat"):
            with contextlib.suppress(cm.CometError):
                shown += client.generate(**{**BOAT, "prompt": prompt}, reuse=True).data
        entries = []
        with contextlib.suppress(cm.ConfigurationError):
            entries = client.archive.history(limit=None)
        for entry in entries:
            with contextlib.suppress(cm.CometError):
                shown += client.fetch(entry.id).data
            with contextlib.suppress(cm.CometError):
                shown += images_of(client.archive, entry).data
    main(["doctor", "--repair", "--archive", str(folder)])
    main(["doctor", "--archive", str(folder)])
    assert CANARY not in shown
    assert photograph(outside) == before


@pytest.mark.parametrize("name", ["owner-up", "owner-absolute", "owner-blob", "link-owners"])
def test_loading_the_extension_touches_nothing_outside_the_folder(
    folder: Path, outside: Path, name: str
) -> None:
    EDITS[name](folder, outside)
    before = photograph(outside)
    loaded = run(
        f"import sys; from IPython.core.interactiveshell import InteractiveShell as S; import os; "
        f"os.chdir({str(folder.parent)!r}); S().run_line_magic('load_ext', 'comet_magic')"
    )
    assert photograph(outside) == before
    assert "Traceback" not in str(loaded)


def test_a_picture_that_leads_out_is_paid_for_again_rather_than_read(
    folder: Path, outside: Path, sandbox: Sandbox
) -> None:
    EDITS["path-up"](folder, outside)
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client:
        assert client.archive.history(limit=1, model="dall-e-2")
        images = client.generate(**BOAT, reuse=True)
    assert images.cost == 0.016
    assert inside(folder, Path(images.paths[0] or "").relative_to(folder).as_posix()).is_file()


@pytest.mark.parametrize(
    "name", ["a.png", "images/ab/a-boat.0.png", "images/ab/日本.png", "a..b/c", ".hidden", "..."]
)
def test_a_name_in_the_folder_is_one(name: str) -> None:
    assert is_name_inside(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../a", "a/../b", "a/..", "/a", "//host/share/a", "a\0b", None, 3, b"a"),
        *("\\a", "..\\a", "a\\..\\b", "C:\\a", "C:a", "\\\\host\\share\\a"),
    ],
)
def test_a_name_that_leads_out_is_none(name: object, tmp_path: Path) -> None:
    assert is_name_inside(name) is False
    with pytest.raises(PermissionError):
        inside(tmp_path, name)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_on_the_way_is_not_taken_and_one_above_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "sub").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    with pytest.raises(PermissionError):
        inside(tmp_path / "real", "sub/a.png")
    assert inside(tmp_path / "alias", "a.png") == tmp_path / "alias" / "a.png"


def test_an_address_of_another_vendors_call_is_left_to_a_client_of_that_vendor(
    folder: Path, sandbox: Sandbox
) -> None:
    archive = Archive(folder)
    call = archive.claim(ImageRequest("a boat of another", model="dall-e-2"), vendor="other", reserve=20_000)
    archive.received(call, urls=[f"{sandbox.base_url}/files/a.png"])
    archive.close()
    before = len(sandbox.log)
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client:
        client.generate(**BOAT, reuse=True)
        with pytest.raises(cm.InvalidRequestError, match="is a call of other"):
            client.fetch(call.id)
        assert call.id in [entry.id for entry in client.archive.doubtful()]
    assert [entry for entry in sandbox.log[before:] if entry.method == "GET"] == []
