"""One archive, many at work: processes, clients of one process, forks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comet_magic.archive import Archive
from tests.crash import actor
from tests.crash.evidence import check_money, digest

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
    receipts = [json.loads(path.read_bytes()) for path in Path(asked.folder).glob("receipts/*/*.json")]
    assert {receipt["id"] for receipt in receipts} >= {entry.id for entry in made}
    assert archive.open_calls() == archive.uncertain() == []
    check_money(Path(asked.folder))
    archive.close()
