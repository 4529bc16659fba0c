"""What the archive costs: a call, a picture, 100,000 rows, and the throughput of many small pictures."""

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from comet_magic.archive import Archive, Budget
from comet_magic.archive.claims import claim, settle
from comet_magic.archive.ledger import Ledger
from comet_magic.archive.records import StoredPicture
from comet_magic.request import ImageRequest
from tests.benchmarks.harness import US, US_ARCHIVED, Aim, Bench, Result, Scale, timed

CALL = "claim and settle: two durable transactions"
PICTURE_CALL, OPENED = "claim to settle with a picture of 2 MB", "an archive of {rows:,} rows opened"
SLOW, FAST = "small pictures, 32 in flight, 200 ms", "small pictures, 32 in flight, 1 ms"
AIMS = (
    Aim(PICTURE_CALL, "CPU ms", 10),
    Aim(OPENED.format(rows=100_000), "wall ms", 500),
    Aim(SLOW, "pictures/s", 0.95, who=US_ARCHIVED.label, against=US.label, at_least=True),
    Aim(FAST, "pictures/s", 100, who=US_ARCHIVED.label, at_least=True),
)
BUDGET = Budget(session=10**12, day=10**12)
PICTURE = os.urandom(2_000_000)
DIGEST = hashlib.sha256(PICTURE).hexdigest()
AT_ONCE = 10_000  # rows of a transaction
FACTS = {"mime": "image/png", "width": 1024, "height": 1024, "sha256": DIGEST}


def fill(folder: Path, rows: int, *, vendor: str = "v") -> list[str]:
    """An archive with many finished calls of a picture each, as quickly as can be; gives their keys."""
    Archive(folder).close()
    ledger, keys = Ledger(folder / "ledger.sqlite"), []
    for first in range(0, rows, AT_ONCE):  # no transaction may take as long as a ledger is waited for
        with ledger.transaction(create=True) as connection:
            keys += [_made(connection, n, vendor) for n in range(first, min(rows, first + AT_ONCE))]
    ledger.close()
    return keys


def _made(connection: sqlite3.Connection, n: int, vendor: str) -> str:
    """A finished call of a picture; gives its key."""
    call = claim(
        connection,
        ImageRequest(f"prompt number {n} of a long table"),
        vendor=vendor,
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
    return call.key


def one_call(archive: Archive, *, picture: bool) -> None:
    """A call from its claim to its end, with or without a picture of 2 MB."""
    call = archive.claim(ImageRequest("a boat"), vendor="v", reserve=40_000, budget=BUDGET, session="s")
    if picture:
        archive.received(call, request_id="r", status=200)
        archive.store(call, 0, PICTURE, **FACTS)
    archive.settle(call, "done" if picture else "rejected", cost=20_000)


def opened(folder: Path) -> None:
    """What a kernel does first with an archive."""
    archive = Archive(folder)
    archive.reconcile()
    archive.uncertain()
    archive.spend()
    archive.history()
    archive.close()


def run(bench: Bench) -> list[Result]:
    """The archive by itself, then many small pictures with and without one."""
    return [*alone(Path(bench.new_folder()), bench.scale), *beside_none(bench)]


def alone(home: Path, scale: Scale) -> list[Result]:
    """One call in a new archive, and the questions to a large one."""
    times, few = 10 * scale.rounds, scale.rounds
    rows = scale.ledger
    with closing(Archive(home / "new")) as archive:
        results = [
            timed(CALL, lambda: one_call(archive, picture=False), times),
            timed(PICTURE_CALL, lambda: one_call(archive, picture=True), times),
        ]
    keys = fill(home / "full", rows)
    results.append(timed(OPENED.format(rows=rows), lambda: opened(home / "full"), few))
    with closing(Archive(home / "full")) as archive:
        results += [
            timed(f"{CALL}, among {rows:,}", lambda: one_call(archive, picture=False), times),
            timed(f"what became of each of {rows:,} rows", lambda: archive.copies(keys), few),
            timed(f"a word in the history of {rows:,} rows", lambda: archive.history("nowhere"), few),
            timed(f"the newest 20 of {rows:,}", archive.history, few),
        ]
    return results


def beside_none(bench: Bench) -> list[Result]:
    """Batches against a server as slow as a good one, and against one that an archive could hold up."""
    results = []
    for work, delay in ((SLOW, 200), (FAST, 1)):
        result = bench.compare(
            work,
            (US, US_ARCHIVED),
            "batch",
            rounds=bench.scale.slow_rounds,
            base_url=bench.base_url("small", delay=delay),
            pictures=1000 if bench.scale.whole_grid else bench.scale.pictures,
            in_flight=32,
        )
        results.append(replace(result, against=US.label))
    return results
