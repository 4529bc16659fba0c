"""What is published: the card of a dataset, and its way to the Hub, which is a real server on loopback here."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from comet_magic.errors import ConfigurationError
from comet_magic.pipeline.export_manifest import MANIFEST
from tests.loopback import LoopbackServer, header_block, read_head
from tests.processes import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.pipeline import Dataset

ROWS = [{"prompt": f"a boat {number}", "kind | of": number % 2} for number in range(10)]
SHARES = {"train": 0.5, "holdout": 0.5}


@pytest.fixture
def dataset(make: Callable[..., Dataset]) -> Dataset:
    return make([*ROWS, {"prompt": "REFUSE"}], quality="low").reject([3])


def test_a_card_says_what_is_there_and_how_it_was_made(dataset: Dataset, tmp_path: Path) -> None:
    cards = pytest.importorskip("huggingface_hub")
    exported = dataset.export(tmp_path / "out", format="webdataset", where="done", split=SHARES, size=64)

    where = dataset.card(
        tmp_path / "out", license="cc-by-4.0", title='Boats: "paper" <b>', about="Of *paper*."
    )

    card = cards.DatasetCard.load(where)
    told = card.data.to_dict()
    assert (told["license"], told["pretty_name"], told["tags"]) == (
        "cc-by-4.0",
        'Boats: "paper" <b>',
        ["synthetic"],
    )
    files = {one["split"]: one["path"] for one in told["configs"][0]["data_files"]}
    assert files == {split: f"{split}-*.tar" for split in ("train", "holdout")}
    words = (
        "9 done, 1 refused, 1 rejected",
        "`test-model`",
        "| 9 | $0.36 |",
        "All of it cost $0.40",
        "quality low",
    )
    assert [
        word for word in (*words, "cut to 64 x 64", "Of *paper*.", "## Limits") if word not in card.text
    ] == []
    assert "<b>" not in card.text
    assert exported.rows == 9
    with Image.open(tmp_path / "out/.card/sample.jpg") as strip:
        assert strip.size[0] == 1024


def test_a_card_without_a_license_says_so_and_warns(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the license is not set"):
        where = dataset.card()

    assert Path(where) == dataset.folder / "README.md"
    assert "## License\n\nnot set\n" in Path(where).read_text()


def test_a_strip_shows_nothing_that_was_not_exported(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export(tmp_path / "out", format="parquet", where=lambda row: row["prompt"] == "a boat 7")

    dataset.card(tmp_path / "out", license="mit")

    with Image.open(tmp_path / "out/.card/sample.jpg") as strip:
        assert strip.size[0] == 256


def test_a_card_is_written_anew_but_never_over_words_of_a_person(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dataset.export(out, format="parquet", split=SHARES)
    dataset.card(out, license="mit")
    dataset.card(out, license="cc0-1.0")
    before = (out / "README.md").read_bytes()
    dataset.export(out, format="parquet", split=SHARES, size=32)
    assert (out / "README.md").read_bytes() == before
    (out / "README.md").write_bytes(before.replace(b"## Limits", b"## My limits"))

    with pytest.raises(ConfigurationError, match="written or changed by hand"):
        dataset.card(out, license="mit")
    dataset.export(out, format="parquet")
    assert b"## My limits" in (out / "README.md").read_bytes()
    dataset.card(out, license="mit", replace=True)
    assert b"## My limits" not in (out / "README.md").read_bytes()
    with pytest.raises(ConfigurationError, match="holds no export"):
        dataset.card(tmp_path / "nowhere", license="mit")


# --- the Hub


@dataclass
class Call:
    """One request of a client of the Hub."""

    method: str
    path: str
    authorization: str
    body: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of a commit: https://huggingface.co/docs/hub/api#post-apirepo_typerepo_idcommitrevision."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Hub(LoopbackServer):
    """A Hub with one dataset at most, which takes every file as a part of a commit."""

    public: bool = False
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def opened(self) -> None:
        self.port = await self.listen(self._serve)

    @property
    def committed(self) -> dict[str, bytes]:
        """The files that came, by their names."""
        lines = [line for call in self.calls if "/commit/" in call.path for line in call.lines]
        files = [line["value"] for line in lines if line["key"] == "file"]
        return {file["path"]: base64.b64decode(file["content"]) for file in files}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_head(reader):
            if head.headers.get("transfer-encoding") == "chunked":
                body = await _chunks(reader)
            else:
                body = await reader.readexactly(head.length)
            path = head.target.partition("?")[0]
            self.calls.append(Call(head.method, path, head.headers.get("authorization", ""), body))
            answer = json.dumps(self._answer(path, body)).encode()
            fields = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
            writer.write(header_block(200, fields) + answer)
            await writer.drain()

    def _answer(self, path: str, body: bytes) -> dict[str, Any]:
        home = f"http://127.0.0.1:{self.port}/datasets/me/boats"
        if path == "/api/repos/create":
            return {"url": home, "name": "me/boats", "id": "1"}
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            return {"files": modes}
        if "/commit/" in path:
            return {
                "success": True,
                "commitOid": "0" * 40,
                "commitUrl": f"{home}/commit/{'0' * 40}",
                "hookOutput": "",
            }
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        return {"id": "me/boats", "private": not self.public, "tags": [], "siblings": [], "sha": "0" * 40}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        yield server
    assert server.crashes == []


PUSH = """
import json, sys
from comet_magic.errors import CometError
from comet_magic.pipeline import open_dataset
folder, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
try:
    print(open_dataset(folder).push_to_hub(name, **options))
except CometError as error:
    print(type(error).__name__, error)
"""


def push(dataset: Dataset, hub: Hub, name: str = "me/boats", **options: Any) -> str:
    """What a process of its own says: the address of the Hub is read when its library is imported."""
    address = f"http://127.0.0.1:{hub.port}"
    env = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    process = start(PUSH, dataset.folder, name, json.dumps({"token": "hf_test", **options}), env=env)
    said, noise = process.communicate(timeout=100)
    assert process.returncode == 0, noise
    return said


@pytest.mark.judge
def test_a_push_sends_the_export_and_its_card_and_nothing_else_to_a_private_dataset(
    dataset: Dataset, hub: Hub, tmp_path: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    out = tmp_path / "out"
    names = dataset.export(out, format="folder", where="done", split=SHARES)
    dataset.card(out, license="mit")
    (out / "notes.txt").write_text("mine alone")
    (out / "train" / "secret.png").write_bytes(b"mine alone")

    said = push(dataset, hub, export=str(out))

    assert said.strip().endswith("/datasets/me/boats")
    assert set(hub.committed) == {*names, MANIFEST, "README.md", ".card/sample.jpg"}
    assert all(data == (out / name).read_bytes() for name, data in hub.committed.items())
    (created,) = [json.loads(call.body) for call in hub.calls if call.path == "/api/repos/create"]
    assert created.get("private") or created.get("visibility") == "private"
    assert {call.authorization for call in hub.calls if call.body} == {"Bearer hf_test"}


@pytest.mark.judge
def test_nothing_is_uploaded_where_it_would_be_a_surprise(dataset: Dataset, hub: Hub, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    out = tmp_path / "out"
    hub.public = True
    (file,) = dataset.export(out, format="parquet", where="done")

    public = push(dataset, hub, export=str(out))
    (out / file).write_bytes(b"changed")
    changed = push(dataset, hub, export=str(out))
    wrong = push(dataset, hub, "a/b/c", export=str(out))
    none = push(dataset, hub, export=str(tmp_path / "nowhere"))

    assert "is public; private=False uploads to it" in public
    assert "is not as it was exported" in changed
    assert "give 'name' or 'owner/name'" in wrong
    assert "holds no whole export" in none
    assert hub.committed == {}


@pytest.mark.judge
def test_a_push_by_name_alone_exports_what_is_done(dataset: Dataset, hub: Hub) -> None:
    pytest.importorskip("huggingface_hub")

    push(dataset, hub, "boats", license="mit")

    assert set(hub.committed) == {"data-00000.parquet", MANIFEST, "README.md", ".card/sample.jpg"}
    assert b'license: "mit"' in hub.committed["README.md"]


def test_without_the_library_of_the_hub_a_push_says_what_to_install(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)

    with pytest.raises(ConfigurationError, match="huggingface_hub is not installed") as caught:
        dataset.push_to_hub("me/boats")
    assert "comet-magic[datasets]" in caught.value.hint
