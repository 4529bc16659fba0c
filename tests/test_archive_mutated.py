"""A valid archive changed at random, as a stranger could: nothing outside is touched, only our errors are raised."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import stat
import struct
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic.archive import Archive
from comet_magic.notebook.history import images_of
from comet_magic.pipeline import Dataset, generate_dataset
from comet_magic.request import ImageRequest
from tests.loopback import LoopbackServer
from tests.pipeline.endpoint import Endpoint
from tests.test_archive_foreign import CANARY, photograph

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL: dict[str, Any] = {"model": "dall-e-2", "size": "256x256"}
TABLES = ("calls", "pictures", "money")
VALUES: tuple[Any, ...] = (
    *(None, -1, 0, 1, -(10**12), 2**62, 1e300, float("inf"), float("nan"), 0.5, "", "x", "\0", b"\xff", b""),
    *("../../outside/canary.png", "{out}/canary.png", "{out}", "..", "images", ".", "a" * 100_000),
    *(
        "{",
        "[]",
        "{}",
        "null",
        "[1e999]",
        '{"n": "x"}',
        '{"prompt": 3, "size": []}',
        '[-1, "../x"]',
        "[" * 2000,
    ),
    *(
        "claimed",
        "received",
        "done",
        "unknown",
        "over_budget",
        "rejected",
        "image/gif",
        "SaveError",
        "system",
    ),
    *("{trap}/a.png", "https://127.0.0.1/a.png", "file://{out}/canary.png"),
)
SCHEMA = (
    "CREATE VIEW extra AS WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
    "CREATE TRIGGER more AFTER INSERT ON calls BEGIN DELETE FROM calls; END",
    "CREATE TRIGGER more AFTER UPDATE ON calls BEGIN UPDATE money SET spent = -1; END",
    "CREATE TABLE other (x)",
    "ALTER TABLE calls ADD COLUMN x",
    "ALTER TABLE calls ADD COLUMN x AS (zeroblob(900000000))",
    "ALTER TABLE calls RENAME COLUMN cost TO price",
    "DROP TABLE money",
    "DROP TABLE pictures",
    "CREATE INDEX heavy ON calls (length(randomblob(1 + abs(cost) % 2)) ) WHERE 0",
    "CREATE TABLE sqlite_stat1 (tbl, idx, stat)",
    "PRAGMA user_version = 1",
    "PRAGMA user_version = -3",
    "UPDATE calls SET owner = '../../outside/victim', state = 'claimed'",
    "UPDATE calls SET cost = -1000000000",
    "UPDATE money SET spent = -1000000000, reserved = -5",
    "DELETE FROM calls",
)


class Trap(LoopbackServer):
    """An address that nothing may ever touch."""

    touched = 0

    async def opened(self) -> None:
        self.url = f"http://127.0.0.1:{await self.listen(self._serve)}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.touched += 1


class Stranger:
    """Changes an archive by chance."""

    def __init__(self, dice: random.Random, folder: Path, outside: Path, trap: Trap) -> None:
        self.dice, self.folder, self.outside, self.trap = dice, folder, outside, trap
        self.done: list[str] = []

    def change(self) -> None:
        ways = (
            self.row,
            self.row,
            self.row,
            self.schema,
            self.bytes,
            self.file,
            self.file,
            self.beside,
            self.receipt,
        )
        for _ in range(self.dice.randint(1, 3)):
            way = self.dice.choice(ways)
            # what one change has left may be nothing that another one can change
            with contextlib.suppress(sqlite3.Error, OSError, LookupError, ValueError, TypeError):
                self.done.append(f"{way.__name__} {way()}")

    def value(self) -> Any:
        value = self.dice.choice(VALUES)
        if isinstance(value, str):
            return value.replace("{out}", str(self.outside)).replace("{trap}", self.trap.url)
        return value

    def ledger(self, name: str = "ledger.sqlite") -> sqlite3.Connection:
        if not self.is_plain(self.folder / name) or [*self.folder.glob(f"{name}-*")]:
            raise OSError("it would do here what it must not do there")
        return sqlite3.connect(self.folder / name)

    def edit(self, statement: str, *values: Any, name: str = "ledger.sqlite") -> str:
        connection = self.ledger(name)
        with contextlib.closing(connection), connection:
            connection.execute(statement, values)
        return f"{statement} {values!r:.80}"

    def row(self, name: str = "ledger.sqlite", tables: Sequence[str] = TABLES) -> str:
        table = self.dice.choice(tables)
        with contextlib.closing(self.ledger(name)) as connection:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        where = self.dice.choice(("", f"WHERE rowid = {self.dice.randint(1, 4)}" if table == "calls" else ""))
        return self.edit(
            f"UPDATE {table} SET {self.dice.choice(columns)} = ? {where}", self.value(), name=name
        )

    def schema(self) -> str:
        return self.edit(self.dice.choice(SCHEMA))

    def bytes(self) -> str:
        """A file with other bytes somewhere, or cut."""
        path = self.dice.choice(self.files())
        data = bytearray(path.read_bytes())
        if self.dice.random() < 0.3:
            path.write_bytes(data[: self.dice.randrange(len(data))])
        else:
            for _ in range(self.dice.choice((1, 8, 64))):
                data[self.dice.randrange(min(len(data), self.dice.choice((100, 5000, 10**9))))] = (
                    self.dice.randrange(256)
                )
            path.write_bytes(data)
        return path.name

    def file(self) -> str:
        """A file or a folder that is something else."""
        path = self.dice.choice([*self.files(), *(one for one in self.folder.rglob("*") if one.is_dir())])
        return self.other(path)

    def beside(self) -> str:
        """One of the files that SQLite puts beside a database."""
        path = self.folder / f"ledger.sqlite{self.dice.choice(('-journal', '-wal', '-shm'))}"
        if self.dice.random() < 0.4:
            return self.other(path)
        victim = str(self.outside / "victim.body").encode()
        names = victim + struct.pack(">II", len(victim), sum(victim)) + bytes.fromhex("d9d505f920a163d7")
        head = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 7, 1, 512, 4096)
        path.unlink(missing_ok=True)  # it may be a hard link by now
        path.write_bytes(self.dice.choice((head.ljust(512, b"\0") + names, self.dice.randbytes(4096), head)))
        return path.name

    def other(self, path: Path) -> str:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        how = self.dice.choice(("fifo", "link", "file link", "hard link", "folder", "huge", "empty", "gone"))
        match how:
            case "fifo":
                os.mkfifo(path)
            case "link":
                path.symlink_to(self.outside)
            case "file link":
                path.symlink_to(self.outside / self.dice.choice(("canary.png", "victim.body", "nothing")))
            case "hard link":
                path.hardlink_to(self.outside / self.dice.choice(("canary.png", "victim.body")))
            case "folder":
                path.mkdir()
            case "huge":
                path.touch()
                os.truncate(path, 1 << 42)
            case "empty":
                path.touch()
        return f"{path.name} {how}"

    def receipt(self) -> str:
        path = self.folder / "receipts.jsonl"
        lines = path.read_bytes().decode().splitlines() if path in self.files() else []
        content = json.loads(self.dice.choice([line for line in lines if line]))
        part = self.dice.choice((content, content["pictures"][0]))
        name = self.dice.choice(list(part))
        part[name] = self.dice.choice(
            ("x", -1, None, [], {}, 1e300, "../../outside/canary.png", 2**70, float("nan"))
        )
        path.unlink()
        path.write_text("\n".join([json.dumps(content), *lines, "{", "[[[["]))
        if self.dice.random() < 0.5:
            for each in self.folder.glob("ledger.sqlite*"):
                each.unlink()
        return f"{name} {part[name]!r}"

    @staticmethod
    def is_plain(path: Path) -> bool:
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size < 1 << 30

    def files(self) -> list[Path]:
        found = sorted(self.folder.rglob("*"))
        return [path for path in found if self.is_plain(path)]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    with Trap() as trap:
        yield trap


@pytest.fixture(scope="module")
def valid(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with pictures, a refusal, a call of a dead process, one with an address, one with its raw answer."""
    folder = tmp_path_factory.mktemp("valid") / "cometimg"
    with cm.Client(base_url=endpoint.base_url, api_key="key-of-a-test", archive=folder) as client:
        client.generate("a boat", **SMALL)
        client.generate("another", **SMALL)
        with contextlib.suppress(cm.CometError):
            client.generate("REFUSE", **SMALL)
        vendor = client.vendor
    archive = Archive(folder)
    for prompt in ("open", "received", "held"):
        call = archive.claim(ImageRequest(prompt, **SMALL), vendor=vendor, reserve=20_000)
        if prompt == "received":
            archive.received(call, urls=[f"http://127.0.0.1:{endpoint.port}/1.png"])
        if prompt == "held":
            raw = archive.raw_answer(call)
            raw.write(b'{"data": []}')
            raw.close()
    archive.close()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    (outside / "aa").mkdir(parents=True)
    for name in (
        "victim.lock",
        "victim.body",
        "victim.sent",
        "0123456789abcdef.lock",
        "aa/victim.json",
        "old.part",
    ):
        (outside / name).write_text("{}")
    os.utime(outside / "old.part", (1, 1))
    (outside / "canary.png").write_bytes(CANARY)
    return outside


def use(endpoint: Endpoint, folder: Path) -> list[bytes]:
    """Everything that a person does with an archive; each step may fail with an error of ours."""
    shown: list[bytes] = []
    client = cm.Client(
        base_url=endpoint.base_url,
        api_key="key-of-a-test",
        archive=folder,
        max_cost_session=50,
        download_timeout=1,
    )
    archive = client.archive
    entries: list[Any] = []

    def history() -> None:
        entries.extend(archive.history(limit=None))

    def generate() -> None:
        shown.extend(client.generate("a boat", reuse=True, timeout=5, **SMALL).data)

    def look() -> None:
        for entry in entries:
            with contextlib.suppress(cm.CometError):
                shown.extend(images_of(archive, entry).data)
            with contextlib.suppress(cm.CometError):
                shown.extend(client.fetch(entry.id).data)

    with client:
        for step in (
            archive.doubtful,
            history,
            generate,
            look,
            archive.spend,
            archive.repair,
            history,
            generate,
        ):
            with contextlib.suppress(cm.CometError):
                step()
        wait(client.jobs, timeout=60)
    archive.close()
    return shown


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("times", [100, pytest.param(2000, marks=pytest.mark.full)])
def test_a_mutated_archive_touches_nothing_outside_it_and_raises_only_our_errors(
    valid: Path, outside: Path, endpoint: Endpoint, trap: Trap, times: int
) -> None:
    seed = random.randrange(10**6)
    before = photograph(outside)
    for number in range(times):
        folder = outside.parent / "cometimg"
        shutil.copytree(valid, folder)
        stranger = Stranger(random.Random(f"{seed} {number}"), folder, outside, trap)
        stranger.change()
        print(f"{seed} {number}: {stranger.done}")
        assert CANARY not in use(endpoint, folder)
        assert photograph(outside) == before
        assert trap.touched == 0
        shutil.rmtree(folder)


def read_and_go_on(endpoint: Endpoint, folder: Path, exports: Path) -> None:
    """Everything that a person does with a dataset; each step may fail with an error of ours."""
    ways = {"base_url": endpoint.base_url, "api_key": "key-of-a-test", "progress": False, **SMALL}
    steps: list[Callable[[], object]] = [lambda: generate_dataset(["a", "b"], folder, append=True, **ways)]
    with contextlib.suppress(cm.CometError):
        report = Dataset(folder)
        formats: tuple[Any, ...] = ("parquet", "webdataset", "folder")
        made = [partial(report.export, exports / name, format=name) for name in formats]
        steps = [lambda: list(report.records()), report.to_frame, report.verify, *made, *steps]
    for step in steps:
        with contextlib.suppress(cm.CometError):
            step()


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("times", [8, pytest.param(300, marks=pytest.mark.full)])
def test_a_mutated_dataset_touches_nothing_outside_it_and_raises_only_our_errors(
    outside: Path, endpoint: Endpoint, trap: Trap, times: int
) -> None:
    ways = {"base_url": endpoint.base_url, "api_key": "key-of-a-test", "progress": False, **SMALL}
    valid, folder, exports = (outside.parent / name for name in ("valid", "cometimg", "exports"))
    generate_dataset(["a", "b", "REFUSE"], valid, **ways)
    seed = random.randrange(10**6)
    before = photograph(outside)
    for number in range(times):
        shutil.copytree(valid, folder)
        stranger = Stranger(random.Random(f"{seed} {number}"), folder, outside, trap)
        with contextlib.suppress(sqlite3.Error, OSError):
            stranger.done.append(stranger.row("index.sqlite", ("rows", "runs", "exports")))
        stranger.change()
        print(f"{seed} {number}: {stranger.done}")
        read_and_go_on(endpoint, folder, exports)
        assert photograph(outside) == before
        assert trap.touched == 0
        shutil.rmtree(folder)
        shutil.rmtree(exports, ignore_errors=True)
