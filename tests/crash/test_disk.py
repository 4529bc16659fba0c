"""A disk that refuses: found before paying, or the picture is in the error and can be saved elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comet_magic import AsyncClient, ConfigurationError, SaveError
from comet_magic.archive import Archive, RawAnswer
from comet_magic.client.job import Preview
from tests.crash import actor
from tests.crash.evidence import check_money
from tests.crash.photographs import photographs
from tests.faults import pictures
from tests.processes import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.client.job import Event
    from tests.crash.conftest import Stage


def saved_elsewhere(error: SaveError, prompt: str, folder: Path) -> None:
    """The picture is in the error, and goes where the disk takes it."""
    assert error.outcome == "billed"
    assert error.images.data == (pictures.picture(prompt),)
    (path,) = error.images.save(folder / "elsewhere.png")
    assert Path(path).is_file()
    assert error.images.image.size == (48, 48)


# --- before paying


def a_file(folder: Path) -> None:
    folder.write_text("not a folder")


def below_a_file(folder: Path) -> None:
    folder.parent.rmdir()
    folder.parent.write_text("not a folder")


def a_link_to_itself(folder: Path) -> None:
    folder.symlink_to(folder)


def with_a_folder_for_a_ledger(folder: Path) -> None:
    (folder / "ledger.sqlite").mkdir(parents=True)


def with_rubbish_for_a_ledger(folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(b"rubbish" * 1000)


def with_a_file_for_its_locks(folder: Path) -> None:
    folder.mkdir()
    (folder / "owners").write_text("not a folder")


BAD = [a_file, below_a_file, a_link_to_itself, with_a_folder_for_a_ledger, with_rubbish_for_a_ledger,
       with_a_file_for_its_locks]  # fmt: skip


@pytest.mark.parametrize("make", BAD)
def test_an_archive_that_cannot_be_used_is_found_before_paying(
    stage: Stage, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "parent" / "archive"
    folder.parent.mkdir()
    make(folder)
    prompt = f"never {make.__name__}"
    with replace(stage.asked, folder=str(folder)).client() as client:
        for options in ({}, {"reuse": True}):
            with pytest.raises(ConfigurationError) as caught:
                client.generate(prompt, **options)
            assert caught.value.outcome == "not_sent"
            assert str(folder) in str(caught.value)
    client.archive.close()
    assert stage.server.counts(prompt).posts == 0


@pytest.mark.parametrize("name", [".", "missing/archive"])
def test_a_folder_that_may_not_be_written_is_found_before_paying(stage: Stage, name: str) -> None:
    home = Path(tempfile.mkdtemp())
    home.chmod(0o555)
    asked = replace(stage.asked, folder=str(home / name), prompt="never read-only")
    try:
        told = stage.begin(actor.unprivileged, asked).hear()
    finally:
        home.chmod(0o700)
        home.rmdir()

    assert told[0] == "not_sent"
    assert told[1].startswith(f"the folder {home}")
    assert "cannot be written: " in told[1]
    assert stage.server.counts(asked.prompt).posts == 0


# --- after paying


def test_a_folder_removed_while_the_answer_arrives_costs_no_picture(stage: Stage, tmp_path: Path) -> None:
    asked, prompt = stage.asked, "F:sse-ok #removed as it arrives"

    def remove(event: Event) -> None:
        if isinstance(event, Preview):
            shutil.rmtree(asked.folder, ignore_errors=True)

    with asked.client() as client:
        job = client.submit(prompt, stream=True, partial_images=2, on_event=remove)
        error = job.exception(30)
    client.archive.close()

    assert isinstance(error, SaveError)
    saved_elsewhere(error, prompt, tmp_path)
    assert stage.server.counts(prompt).posts == 1


def test_a_raw_answer_that_cannot_be_kept_is_no_fault_of_the_network(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(RawAnswer, "write", refuse)
    with stage.asked.client() as client:
        error = client.submit("never kept").exception(30)
        (entry,) = client.archive.history("never kept")
    client.archive.close()

    assert isinstance(error, SaveError)
    assert "could not be kept: Input/output error" in str(error)
    assert (error.outcome, entry.state, stage.server.counts("never kept").posts) == ("billed", "done", 1)


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_removed_while_the_server_paints_costs_no_picture(
    stage: Stage, tmp_path: Path, again: bool
) -> None:
    asked, prompt = stage.asked, f"F:slow-ok:0.5 #removed {again}"
    with asked.client() as client:
        job = client.submit(prompt)
        assert stage.until(lambda: stage.server.seen(prompt).posts)
        shutil.rmtree(asked.folder)
        if again:  # another call makes the folder anew
            client.generate(f"meanwhile {again}")
        error = job.exception(30)
    client.archive.close()

    assert isinstance(error, SaveError)
    assert asked.folder in str(error)
    saved_elsewhere(error, prompt, tmp_path)
    assert stage.server.counts(prompt).posts == 1
    assert again or not Path(asked.folder).exists()


def test_an_awaited_call_has_the_picture_in_its_error_too(stage: Stage, tmp_path: Path) -> None:
    asked, prompt = stage.asked, "F:slow-ok:0.3 #awaited and removed"

    async def lost() -> SaveError:
        async with AsyncClient(base_url=asked.base_url, api_key=asked.key, archive=asked.folder) as client:
            task = asyncio.create_task(client.generate(prompt))
            while not stage.server.seen(prompt).posts:
                await asyncio.sleep(0.01)
            shutil.rmtree(asked.folder)
            with pytest.raises(SaveError) as caught:
                await task
        client.archive.close()
        return caught.value

    saved_elsewhere(asyncio.run(lost()), prompt, tmp_path)


LIMITED = """
import resource, sys, time
from comet_magic import Client, SaveError
base_url, key, folder, limit = sys.argv[1:]
with Client(base_url=base_url, api_key=key, archive=folder) as client:
    job = client.submit("a photograph")
    until = time.monotonic() + 30
    while job.calls[0].state != "waiting":
        assert time.monotonic() < until
        time.sleep(0.005)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    error = job.exception(30)
    assert type(error) is SaveError and error.outcome == "billed", repr(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    path, = error.images.save(folder + ".jpg")
    print([entry.state for entry in client.archive.history()], error.images.image.size, client.spend().bound_micro)
"""


@pytest.mark.parametrize(
    ("limit", "states"),
    [(600_000, "['done']"), (1, "['claimed']")],
    ids=["for the picture", "for everything"],
)
def test_a_full_disk_costs_no_picture_and_hides_no_money(tmp_path: Path, limit: int, states: str) -> None:
    folder = tmp_path / "cometimg"
    with photographs(edge=1024, delay=0.3) as server:
        output = run(LIMITED, server.base_url, "key", folder, limit)

    said, bound = output.rsplit(" ", 1)
    assert said == f"{states} (1024, 1024)"
    assert (tmp_path / "cometimg.jpg").stat().st_size >= server.size > 600_000
    assert not list(folder.rglob("*.part"))
    archive = Archive(folder)
    archive.reconcile()
    (entry,) = archive.history()
    assert (entry.state, entry.error) in {("done", "SaveError"), ("unknown", "AmbiguousError")}
    assert archive.spend().bound_micro == entry.bound_micro == int(bound) > 0
    archive.close()
    check_money(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(512))


def test_a_disk_that_fills_up_while_the_server_paints_costs_no_picture(
    stage: Stage, tmp_path: Path, small_disk: Path
) -> None:
    asked, prompt = replace(stage.asked, folder=str(small_disk / "cometimg")), "F:slow-ok:0.5 #full"
    with asked.client() as client:
        client.generate("there was room")
        job = client.submit(prompt)
        assert stage.until(lambda: stage.server.seen(prompt).posts)
        fill(small_disk / "filler")
        error = job.exception(30)
        assert isinstance(error, SaveError)
        saved_elsewhere(error, prompt, tmp_path)
        with pytest.raises((ConfigurationError, SaveError)):
            client.generate("no room")

        (small_disk / "filler").unlink()
        assert client.generate("room again").paths[0]
        assert client.archive.spend().calls >= 3
    client.archive.close()
