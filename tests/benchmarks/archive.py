"""What the archive costs: python -m tests.benchmarks.archive [rows]. Times are printed, never asserted."""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from comet_magic.archive import Archive, Budget
from comet_magic.archive.claims import Order, claim, settle
from comet_magic.archive.ledger import Ledger
from comet_magic.archive.records import StoredPicture
from comet_magic.request import ImageRequest

BUDGET = Budget(session=10**12, day=10**12)
PICTURE = os.urandom(2_000_000)
DIGEST = hashlib.sha256(PICTURE).hexdigest()
FACTS = {"mime": "image/png", "width": 1024, "height": 1024, "sha256": DIGEST}


def measured(work: Callable[[], object], times: int) -> tuple[float, float]:
    """The median wall and CPU milliseconds of some work."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return median(walls) * 1e3, median(cpus) * 1e3


def tell(what: str, work: Callable[[], object], times: int = 1) -> None:
    """Print what some work costs."""
    wall, cpu = measured(work, times)
    print(f"{what:<58} {wall:9.2f} ms wall {cpu:9.2f} ms CPU")


def fill(folder: Path, rows: int, *, vendor: str = "v") -> list[str]:
    """An archive with many finished calls of a picture each, as quickly as can be; gives their keys."""
    Archive(folder).close()
    ledger = Ledger(folder / "ledger.sqlite")
    keys = []
    with ledger.transaction(create=True) as connection:
        for n in range(rows):
            order = Order(
                ImageRequest(f"prompt number {n} of a long table"), vendor, 40_000, "s", "r", "", prompts=True
            )
            call = claim(connection, order, budget=Budget(), copies=[0], redo=False)
            name = f"images/{call.key[:2]}/a-{call.key[:10]}.0.png"
            picture = StoredPicture(call.key, 0, call.id, 0, name, size=2_000_000, **FACTS)
            settle(connection, call.id, "done", facts={"cost": 40_000}, pictures=[picture])
            keys.append(call.key)
    ledger.close()
    return keys


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


def main(rows: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as home:
        archive = Archive(Path(home) / "new")
        tell("claim and settle (2 durable transactions)", lambda: one_call(archive, picture=False), 200)
        tell(
            "claim to settle with a picture of 2 MB (aim: 10 ms CPU)",
            lambda: one_call(archive, picture=True),
            50,
        )
        archive.close()
        folder = Path(home) / "full"
        keys: list[str] = []
        tell(f"filling an archive with {rows:,} rows", lambda: keys.extend(fill(folder, rows)))
        tell(f"opening an archive of {rows:,} rows (aim: 500 ms)", lambda: opened(folder), 5)
        archive = Archive(folder)
        tell("claim and settle in that archive", lambda: one_call(archive, picture=False), 200)
        tell("what became of every row", lambda: archive.outcomes(keys), 3)
        tell("what became of every row, with the evidence", lambda: archive.have(keys), 3)
        tell("a word in the history of every row", lambda: archive.history("nowhere"), 3)
        tell("the newest 20", archive.history, 5)
        print(f"ledger: {(folder / 'ledger.sqlite').stat().st_size / 1e6:.1f} MB")
        archive.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
