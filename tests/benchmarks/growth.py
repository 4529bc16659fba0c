"""How the cost grows: what a dataset and its archive are asked, with 1,000, 10,000 and 100,000 rows done.

Each number of rows in processes of its own: `python -m tests.benchmarks.growth` answers one order per line.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from comet_magic.archive import Archive, Budget
from comet_magic.archive.claims import claim, settle
from comet_magic.archive.ledger import Ledger
from comet_magic.archive.records import StoredPicture
from comet_magic.pipeline import generate_dataset, open_dataset, plan
from comet_magic.request import ImageRequest
from tests.benchmarks.harness import US, Aim, Bench, Result, Scale, timed
from tests.benchmarks.pipeline import NOWHERE, asked, measured, table
from tests.benchmarks.worker import Sample, answer

# What is done, and how it should grow with the rows that are there.
PLAN, RESUME, AGAIN = "a table planned", "a table planned, all done", "a table run again, all done"
CALL = "a call claimed and settled: two durable transactions"
PICTURE_CALL, OPENED = (
    "the same with a picture of 2 MB",
    "an archive opened as a kernel does it: money is counted",
)
TABLES = {PLAN: "O(n)", RESUME: "O(n)", AGAIN: "O(n)"}
QUESTIONS = {
    "`len(report)`": "O(1)",
    "`report.counts`, the first time": "O(1)",
    "`report.counts`, again": "O(1)",
    "`str(report)`, the first time": "O(1)",
    "what a notebook shows of the report, the first time": "O(n)",
    "`report[n // 2]`, the first time": "O(n)",
    "`report[n // 2]`, again": "O(1)",
    "the first row of an iteration": "O(n)",
    "`report.to_frame()`, and its first row": "O(n)",
    CALL: "O(log n)",
    PICTURE_CALL: "O(log n)",
    "`report.counts`, the first time after a call": "O(n)",
    OPENED: "O(n)",
    "the newest 20 calls of the history": "O(1)",
    "the money that is spent": "O(1)",
    "a word in the history": "O(n)",
}
MOST = f"{Scale().rows[-1]:,} rows"
AIMS = (
    Aim(PLAN, "wall ms", 2000, who=MOST),
    Aim(PLAN, "MB grown", 300, who=MOST),
    Aim(RESUME, "wall ms", 1000, who=MOST),
    Aim(RESUME, "MB grown", 300, who=MOST),
    Aim(AGAIN, "MB grown", 300, who=MOST),
    Aim(PICTURE_CALL, "CPU ms", 10, who=MOST),
    Aim(OPENED, "wall ms", 500, who=MOST),
)
AT_ONCE = 2_000  # calls of a transaction, which has 30 s
BUDGET = Budget(session=10**12, day=10**12)
PICTURE = os.urandom(2_000_000)
DIGEST = hashlib.sha256(PICTURE).hexdigest()
FACTS = {"mime": "image/png", "width": 1024, "height": 1024, "sha256": DIGEST}


def run(bench: Bench) -> list[Result]:
    """Every question with every number of rows."""
    results = {work: Result(work, grows=grows) for work, grows in {**TABLES, **QUESTIONS}.items()}
    for rows in bench.scale.rows:
        folder, who = bench.new_folder(), f"{rows:,} rows"
        orders = {PLAN: ("planned", bench.new_folder(), 0), RESUME: ("planned", folder, rows)}

        ask = partial(asked, bench, module=__name__)
        ask({"task": "filled", "folder": folder, "rows": rows})
        for work, (task, place, done) in orders.items():
            results[work].add(who, ask({"task": task, "folder": place, "done": done, "rows": rows}))
        results[AGAIN].add(who, ask({"task": "run_again", "folder": folder, "rows": rows}))
        times = bench.scale.slow_rounds
        found = ask({"task": "questions", "folder": folder, "times": times, "rows": rows})
        for work, sample in found.items():
            results[work].add(who, sample)
    return list(results.values())


# --- in a process of its own


def filled(folder: str, *, rows: int) -> Sample:
    """Many finished calls of a picture each, written as quickly as can be; nothing is measured."""
    Archive(folder).close()
    ledger, remaining = Ledger(Path(folder) / "ledger.sqlite"), iter(table(rows))
    while some := list(islice(remaining, AT_ONCE)):
        with ledger.transaction(create=True) as connection:
            for row in some:
                finish(connection, ImageRequest(row["caption"]))
    ledger.close()
    return {}


def finish(connection: sqlite3.Connection, request: ImageRequest) -> None:
    """One call with its picture."""
    call = claim(
        connection,
        request,
        vendor="sandbox",
        reserve=40_000,
        budget=Budget(),
        session="s",
        copies=[0],
        redo=False,
        call_id="",
        parents=(),
        timeout=None,
        owner="",
        store_prompts=True,
    )
    name = f"images/{call.key[:2]}/a-{call.key[:10]}.0.png"
    picture = StoredPicture(call.key, 0, call.id, 0, name, size=2_000_000, **FACTS)
    settle(connection, call.id, "done", facts={"cost": 40_000}, pictures=[picture])


def planned(folder: str, *, rows: int, done: int) -> Sample:
    """A plan of a long table, of which nothing or all is there."""
    prompts, sample = table(rows), Sample()
    with measured(sample):
        told = plan(prompts, folder, prompt="caption", base_url=NOWHERE)
    if (told.done, told.to_generate) != (done, rows - done):
        raise AssertionError(told)
    return sample


def run_again(folder: str, *, rows: int) -> Sample:
    """A run of a long table that is there: every row looked up, index and metadata written."""
    prompts, sample = table(rows), Sample()
    options = {"base_url": NOWHERE, "api_key": "sandbox", "progress": False}
    with measured(sample):
        generate_dataset(prompts, folder, prompt="caption", **options)
    return sample


def questions(folder: str, *, rows: int, times: int) -> dict[str, Sample]:
    """What each question takes, the median of some; the first time is not counted."""
    with closing(Archive(folder)) as archive:
        report = open_dataset(folder)
        ways: tuple[Callable[[], object], ...] = (
            lambda: len(report),
            lambda: open_dataset(folder).counts,
            lambda: report.counts,
            lambda: str(open_dataset(folder)),
            lambda: open_dataset(folder)._repr_html_(),
            lambda: open_dataset(folder)[rows // 2],
            lambda: report[rows // 2],
            lambda: next(iter(report)),
            lambda: report.to_frame().iloc[0],
            lambda: one_call(archive, picture=False),
            lambda: one_call(archive, picture=True),
            lambda: open_dataset(folder).counts,
            lambda: opened(folder),
            archive.history,
            archive.spend,
            lambda: archive.history("nowhere"),
        )
        results = [timed(work, way, times) for work, way in zip(QUESTIONS, ways, strict=True)]
    columns = ("wall ms", "CPU ms")
    return {one.work: {column: one.middle(US.label, column) for column in columns} for one in results}


def one_call(archive: Archive, *, picture: bool) -> None:
    """A call from its claim to its end, with or without a picture of 2 MB."""
    call = archive.claim(ImageRequest("a boat"), vendor="v", reserve=40_000, budget=BUDGET, session="s")
    if picture:
        archive.store(call, 0, PICTURE, **FACTS)
    archive.settle(call, "done" if picture else "rejected", cost=20_000)


def opened(folder: str) -> None:
    """What a kernel does first with an archive."""
    with closing(Archive(folder)) as archive:
        archive.reconcile()
        archive.uncertain()
        archive.spend()
        archive.history()


if __name__ == "__main__":
    answer({task.__name__: task for task in (filled, planned, run_again, questions)})
