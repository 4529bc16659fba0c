"""One archive, many at work: processes, clients of one process, forks."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comet_magic import CometError
from comet_magic.archive import Archive
from tests.archive_actor import receipts
from tests.crash import actor
from tests.crash.evidence import check_money, digest
from tests.faults import pictures
from tests.processes import run

if TYPE_CHECKING:
    from tests.crash.conftest import Stage


def test_processes_share_an_archive_without_an_error_or_a_double_claim(stage: Stage) -> None:
    processes, count = (8, 200) if stage.full else (4, 50)
    asked = replace(stage.asked, prompt="shared by processes", settings={"max_in_flight": 8})
    talks = [stage.begin(actor.many, asked, count) for _ in range(processes)]
    assert [talk.hear() for talk in talks] == ["ready"] * processes
    for talk in talks:
        talk.pipe.send("go")
    ends = [talk.hear() for talk in talks]

    assert [errors for errors, _ in ends] == [[]] * processes
    archive = Archive(asked.folder)
    made = [entry for entry in archive.history(asked.prompt, limit=None) if entry.outcome == "done"]
    pictures = [picture for entry in made for picture in entry.pictures]
    copies = Counter((picture.key, picture.copy) for picture in pictures)
    assert len(made) == len(pictures) == len(copies) == processes * count
    assert {path for _, paths in ends for path in paths} == {str(archive.path_of(one)) for one in pictures}
    assert all(digest(archive.path_of(one)) == one.sha256 for one in pictures)
    assert sum(stage.server.seen(f"{asked.prompt} {n}").charged for n in range(5)) == processes * count
    assert {receipt["id"] for receipt in receipts(Path(asked.folder))} >= {entry.id for entry in made}
    assert archive.open_calls() == archive.uncertain() == []
    check_money(Path(asked.folder))
    archive.close()


def test_two_clients_of_one_process_do_not_take_each_others_calls(stage: Stage) -> None:
    asked = stage.asked
    with asked.client() as first:
        slow = first.submit("F:slow-ok:0.5 #first")
        with asked.client() as second:
            jobs = [client.submit(f"both {n % 3}") for n in range(10) for client in (first, second)]
            paths = [job.result(60).paths[0] for job in jobs]
            images = slow.result(60)
            uncertain = second.archive.uncertain()
        second.archive.close()

    assert uncertain == []
    assert images.paths[0] is not None
    assert len(set(paths)) == 20
    copies = [entry.pictures[0].copy for entry in first.archive.history("both 0", limit=None)]
    assert sorted(copies) == list(range(8))
    assert stage.server.seen("F:slow-ok:0.5 #first").posts == 1
    check_money(Path(asked.folder))
    first.archive.close()


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_a_clock_that_jumps_ends_no_call_early_or_late(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    asked = replace(stage.asked, settings={"timeout": 20, "stream_idle_timeout": 5, "download_timeout": 5})
    now, began = time.time, time.monotonic()
    prompts = [f"F:slow-ok:0.5 #{jump}", f"F:url-slow-ok:0.5 #{jump}", f"F:429,times=1 #{jump}"]
    with asked.client() as client:
        jobs = [client.submit(prompt) for prompt in prompts]
        assert all(stage.until(lambda prompt=prompt: stage.server.seen(prompt).posts) for prompt in prompts)
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        images = [job.result(30) for job in jobs]

    assert [picture.data for each in images for picture in each.pictures] == [
        pictures.picture(prompt) for prompt in prompts
    ]
    assert time.monotonic() - began < 10
    assert client.archive.open_calls() == client.archive.uncertain() == []
    client.archive.close()


def test_what_a_client_has_not_sent_when_it_is_closed_is_never_sent(stage: Stage) -> None:
    client = replace(stage.asked, settings={"max_in_flight": 1}).client()
    jobs = [client.submit(f"never {n}", n=2) for n in range(5)]
    client.close()
    errors = [job.exception(30) for job in jobs]

    sent = [stage.server.counts(f"never {n}").posts for n in range(5)]
    assert sum(sent) <= 1  # the one that could leave before
    for error, posts in zip(errors, sent, strict=True):
        assert posts or (isinstance(error, CometError) and error.outcome == "not_sent")
    assert len(client.archive.uncertain()) + len(client.archive.open_calls()) <= sum(sent)
    client.archive.close()


PLAIN = r"""
import sys
from comet_magic import Client
assert sys.getfilesystemencoding() == "ascii"
with Client(base_url=sys.argv[1], api_key=sys.argv[2], archive=sys.argv[3]) as client:
    for _ in range(2):
        images = client.generate("\u4e00\u53ea\u732b, \xfcber alles", reuse=True)
        print(len(images), images.pictures[0].sha256, ascii(client.archive.history()[0].prompt))
"""


def test_a_locale_of_plain_letters_keeps_every_prompt(stage: Stage) -> None:
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    asked, prompt = stage.asked, "一只猫, über alles"
    output = run(PLAIN, asked.base_url, asked.key, asked.folder, env=plain)

    first, second = output.splitlines()
    assert first == second
    assert first.endswith(ascii(prompt))
    assert stage.server.counts(prompt).posts == 1
    (entry,) = Archive(asked.folder).history("über")
    assert Path(asked.folder, entry.pictures[0].path).read_bytes() == pictures.picture(prompt)
