"""Disks as people have them: without locks, full, read-only; and who may read what is written there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic.archive import Archive, ledger
from comet_magic.images import Images
from comet_magic.sandbox import start_sandbox
from tests.images_made import made, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL: Any = {"model": "dall-e-2", "size": "256x256"}
ROOT = str(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture
def options(sandbox: Sandbox) -> dict[str, Any]:
    return {"base_url": sandbox.base_url, "api_key": "sandbox"}


def mounted(place: Path, *how: str) -> bool:
    """Whether the mount was made; only root can."""
    place.mkdir(exist_ok=True)
    command = shutil.which("mount")
    return (
        command is not None
        and not subprocess.run([command, *how], capture_output=True, check=False).returncode
    )


def unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=True)


# --- without locks

# What a file system without locks says, for POSIX locks: https://man7.org/linux/man-pages/man2/fcntl.2.html
NO_LOCKS = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <errno.h>
#include <dlfcn.h>
static int answer(int fd, int what, void *more, const char *name) {
    if (what == F_SETLK || what == F_SETLKW) { errno = ENOLCK; return -1; }
    return ((int (*)(int, int, ...)) dlsym(RTLD_NEXT, name))(fd, what, more);
}
#define SHIM(name) int name(int fd, int what, ...) { \
    va_list list; va_start(list, what); void *more = va_arg(list, void *); return answer(fd, what, more, #name); }
SHIM(fcntl)
SHIM(fcntl64)
"""
ASKED = """
import sys, comet_magic as cm
url, ways = sys.argv[1], {"base_url": sys.argv[1], "api_key": "x"}
small = {"model": "dall-e-2", "size": "256x256"}
for act in (
    lambda: cm.Client(**ways).generate("a boat", **small),
    lambda: cm.generate_dataset(["a boat"], "new", progress=False, **ways, **small),
    lambda: cm.open_dataset("made").counts["done"],
    lambda: len(cm.Client(**ways, archive="made").archive.history()),
):
    try:
        print(act())
    except cm.CometError as error:
        print(type(error).__name__, error, error.hint)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc, for a shim of fcntl"
)
def test_a_file_system_without_locks_is_told_and_what_is_finished_there_is_read(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    cm.generate_dataset(["a boat"], "made", progress=False, **options, **SMALL)
    sent = len(sandbox.log)
    Path("shim.c").write_text(NO_LOCKS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(Path("shim.so").absolute()), "PYTHONPATH": ROOT}
    asked = subprocess.run(
        [sys.executable, "-c", ASKED, sandbox.base_url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=25,  # SQLite alone would wait for 30 s, each time
        check=True,
    )
    call, dataset, done, history = asked.stdout.splitlines()
    for refused in (call, dataset):
        assert "has no locks" in refused
        assert "local disk" in refused
    assert (done, history) == ("1", "1")
    assert len(sandbox.log) == sent


# --- read-only


@pytest.fixture
def finished(options: dict[str, Any], tmp_path: Path) -> Iterator[Path]:
    """A dataset and an archive that nobody can write any more."""
    place = tmp_path / "place"
    place.mkdir()
    cm.generate_dataset(["a boat", "a castle"], place / "data", progress=False, **options, **SMALL)
    with cm.Client(archive=place / "archive", **options) as client:
        client.generate("a bridge", **SMALL)
    if not mounted(place, "--bind", str(place), str(place)):
        pytest.skip("only root can mount")
    mounted(place, "-o", "remount,ro,bind", str(place))
    yield place
    unmount(place)


def test_a_finished_dataset_on_a_read_only_mount_is_read_and_exported(finished: Path) -> None:
    before = sorted(path for path in finished.rglob("*"))
    report = cm.open_dataset(finished / "data")
    assert report.counts["done"] == 2
    assert report.to_frame()["image"].notna().all()
    report.sheet()
    for form in ("parquet", "webdataset", "folder"):
        assert report.export(f"exported-{form}", format=form)
    assert sorted(path for path in finished.rglob("*")) == before


def test_an_archive_on_a_read_only_mount_is_read_and_says_why_it_takes_nothing(
    finished: Path, options: dict[str, Any]
) -> None:
    with cm.Client(archive=finished / "archive", **options) as client:
        assert [entry.prompt for entry in client.archive.history()] == ["a bridge"]
        assert len(client.generate("a bridge", reuse=True, **SMALL)) == 1
        with pytest.raises(cm.ConfigurationError, match="Read-only file system") as caught:
            client.generate("another bridge", **SMALL)
    with pytest.raises(cm.ConfigurationError, match="Read-only file system") as of_dataset:
        cm.generate_dataset(["a boat", "a tower"], finished / "data", progress=False, **options, **SMALL)
    for error in (caught.value, of_dataset.value):
        assert "remove" not in error.hint.lower()


# --- full


@pytest.fixture(params=[40, 150, 400])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk that is full after so many KB."""
    place = tmp_path / "disk"
    if sys.platform != "linux" or not mounted(
        place, "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(place)
    ):
        pytest.skip("only root can mount")
    yield place
    unmount(place)


def test_a_full_disk_is_told_and_keeps_no_parts_of_files(full: Path, options: dict[str, Any]) -> None:
    def calls() -> None:
        with cm.Client(archive=full / "archive", **options) as client:
            for number in range(8):
                client.generate(f"boat {number}", **SMALL)

    def dataset() -> None:
        rows = [f"boat {number}" for number in range(8)]
        cm.generate_dataset(rows, full / "data", progress=False, **options, **SMALL)

    def saves() -> None:
        images = Images([picture(made(size=(900, 900)))])
        for number in range(9):
            images.save(full / f"{number}.png")

    for act in (calls, dataset, saves):
        with pytest.raises((cm.SaveError, cm.ConfigurationError)):
            act()
    assert list(full.rglob("*.part")) == []


# --- who may read


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read_an_export_and_nobody_may_read_the_dataset(
    options: dict[str, Any], umask: int
) -> None:
    before = os.umask(umask)
    try:
        report = cm.generate_dataset(["a boat"], "data", progress=False, **options, **SMALL)
        for form in ("folder", "parquet"):
            report.export(f"out/{form}", format=form)
    finally:
        os.umask(before)
    for path in [*Path("out").rglob("*"), Path("out")]:
        most = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == most & ~umask, path
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in Path("data").rglob("*")} == {0}


# --- warnings


def test_a_short_answer_is_handed_over_where_warnings_are_errors(
    sandbox: Sandbox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    from comet_magic.sandbox import generation

    whole = generation.AcceptedRequest.document
    monkeypatch.setattr(
        generation.AcceptedRequest,
        "document",
        lambda self, *rest: whole(replace(self, specs=self.specs[:1]), *rest),
    )
    asked: Any = {**SMALL, "response_format": "b64_json"}
    with cm.Client(archive=None, **options) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        images = client.generate("a boat", n=2, **asked)
    assert len(images) == 1
    assert "2 pictures were requested; the answer held 1" in caplog.text


def test_locks_are_looked_for_without_touching_a_database(tmp_path: Path) -> None:
    assert ledger.has_locks(tmp_path)
    assert ledger.has_locks(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
    Archive(tmp_path / "archive").close()
