"""The folders of this machine: a day's limit counts them all, also for two processes at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comet_magic.archive.known_folders import known_folders, remember_folder
from comet_magic.pipeline import generate_dataset, open_dataset
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import rows_of, start_maker, told
from tests.processes import start

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        yield server


def state() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "comet_magic"


def test_a_limit_of_a_day_counts_every_folder(endpoint: Endpoint, tmp_path: Path) -> None:
    generate_dataset(rows_of(3), tmp_path / "one", **settings(endpoint))

    report = generate_dataset(rows_of(9), tmp_path / "two", max_cost_day=0.20, **settings(endpoint))

    assert (report.counts["done"], report.counts["over_budget"], endpoint.paid) == (2, 7, 5)


def test_two_runs_at_once_do_not_both_take_the_last_dollar(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.02
    both = [start_maker(rows_of(20), tmp_path / name, endpoint, max_cost_day=0.40) for name in ("one", "two")]
    for process in both:
        told(process)

    assert endpoint.paid == 10
    assert sum(open_dataset(tmp_path / name).counts["done"] for name in ("one", "two")) == 10


def test_a_folder_that_cannot_be_read_stops_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    for name in ("damaged", "removed"):
        generate_dataset(["a"], tmp_path / name, **settings(endpoint))
    (tmp_path / "damaged/ledger.sqlite").write_bytes(b"this is no database at all" * 100)
    (tmp_path / "removed/ledger.sqlite").unlink()

    report = generate_dataset(["a"], tmp_path / "set", max_cost_day=0.05, **settings(endpoint))

    assert report.counts["done"] == 1


def test_the_list_is_private_and_forgets_what_was_removed(endpoint: Endpoint, tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate_dataset(["a"], tmp_path / name, **settings(endpoint))
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    remember_folder(tmp_path / "elsewhere")

    assert known_folders() == [tmp_path / "two", tmp_path / "elsewhere"]
    assert state().stat().st_mode & 0o077 == 0
    assert [path.name for path in state().iterdir() if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("text", [b"", b"\xff", b"{}", b'["relative", 5, null, "/no\\u0000ne"]', b"[" * 5000])
def test_a_list_that_somebody_damaged_is_begun_anew(text: bytes, endpoint: Endpoint, tmp_path: Path) -> None:
    state().mkdir(parents=True)
    (state() / "folders.json").write_bytes(text)

    generate_dataset(["a"], tmp_path / "set", **settings(endpoint))

    assert json.loads((state() / "folders.json").read_bytes()) == [str(tmp_path / "set")]


def test_without_a_place_for_the_list_everything_works(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    report = generate_dataset(rows_of(3), tmp_path / "set", max_cost_day=0.05, **settings(endpoint))

    assert (report.counts["done"], known_folders()) == (1, [])


ASKS = """
from IPython.core.interactiveshell import InteractiveShell
import comet_magic as cm
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "comet_magic")
for line in ("cometimg_status", "cometimg_history harbour", "cometimg_history"):
    name, _, words = line.partition(" ")
    print("#", line)
    shell.run_line_magic(name, words)
shell.run_line_magic("cometimg_history", cm.history("a", archive="sets/two")[0].id).save("again.png")
money = cm.spend()
print("#", money.calls, round(float(money.spent), 2), len(money.unreadable), cm.spend(archive="sets/two").calls)
"""


def test_status_history_and_spend_know_the_datasets_of_this_machine(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    sets = tmp_path / "sets"
    generate_dataset(["a boat", "LOST boat"], sets / "one", **settings(endpoint))
    generate_dataset(["a harbour"], sets / "two", **settings(endpoint))
    generate_dataset(["a quay"], sets / "three", **settings(endpoint))
    (sets / "three/ledger.sqlite").write_bytes(b"this is no database at all" * 100)

    said, noise = start(ASKS).communicate(timeout=60)

    status, found, history, money = said.split("\n#")[0:1] + said.split("\n# ")[1:]
    assert noise == ""
    assert "spent in the sandbox (play money) in sets/one  $0.04, at most $0.08 in 2 calls" in status
    assert "spent in the sandbox (play money) in sets/two  $0.04 in 1 call" in status
    assert "LOST boat" in status
    assert "cannot be read" in status
    assert "three/ledger.sqlite" in status
    assert "a harbour" in found
    assert "boat" not in found
    assert history.index("a harbour") < history.index("boat")
    assert money.split()[0] == "3"
    assert money.split()[2:] == ["1", "1"]
    assert (tmp_path / "again.png").is_file()
