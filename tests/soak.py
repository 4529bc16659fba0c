"""Random faults for many minutes: `python -m tests.soak --minutes 10 --workers 8`.

The fault server is another process, so that what grows here is the client. Prints how memory, threads and file
descriptors went, what leaked to where it does not belong, and every exception that is none of ours; exits with 1
where anything of that is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import multiprocessing
import random
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from comet_magic import AsyncClient, Client, CometError
from tests.faults.expected import ROWS
from tests.faults.row import MEBI
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from tests.faults.row import Row

# Those that take long or hold much, and those of another address, belong to the table.
FIT = [
    row
    for row in ROWS
    if row.base == "base_url" and row.mib is None and row.at_least <= 1 and "huge" not in row.prompt
]
SETTINGS: dict[str, Any] = {"timeout": 8, "retry_base_delay": 0.02, "download_timeout": 1.5}
MOST_MIB_A_MINUTE = 1.0
M_ARENA_MAX = -8  # of malloc.h
STEP = 2.0  # seconds between two looks at the memory


@dataclass
class Tally:
    """What came of all calls."""

    endings: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, ending: str) -> None:
        with self.lock:
            self.endings[ending] += 1


def serve(talk: Connection) -> None:
    """The fault server's process: tells where it is, and at the end what must not have happened."""
    with FaultServer() as server:
        talk.send((server.base_url, server.key))
        talk.recv()
        talk.send((server.leaks, server.trap_hits, server.problems))


def ask(row: Row, prompt: str, shared: Client, given: dict[str, Any], dice: random.Random) -> None:
    """One call through one of the doors."""
    way = dice.random()
    if not row.client and way < 0.6:
        shared.generate(prompt, **row.arguments)
    elif way < 0.8:
        with Client(**{**given, **row.client}) as client:
            client.generate(prompt, **row.arguments)
    else:
        asyncio.run(awaited({**given, **row.client}, prompt, row.arguments))


async def awaited(given: dict[str, Any], prompt: str, options: dict[str, Any]) -> None:
    async with AsyncClient(**given) as client:
        await client.generate(prompt, **options)


def work(number: int, end: float, shared: Client, given: dict[str, Any], tally: Tally) -> None:
    """What one worker does until the end: one random fault after another."""
    dice = random.Random(number)
    for count in range(sys.maxsize):
        if time.monotonic() >= end:
            return
        row = dice.choice(FIT)
        try:
            ask(row, f"{row.prompt} #{number}-{count}", shared, given, dice)
            tally.add("ok")
        except CometError as error:
            tally.add(type(error).__name__)
        except BaseException:
            with tally.lock:
                tally.foreign.append(f"{row}: {traceback.format_exc()}")


def slope(samples: list[tuple[float, float]]) -> float:
    """The growth of a line through the samples, by least squares."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def standing(process: psutil.Process) -> tuple[int, int]:
    """Threads and file descriptors, once what was let go of is gone."""
    for _ in range(50):
        gc.collect()
        threads = threading.active_count()
        if threads == 1:
            break
        time.sleep(0.1)
    return threads, process.num_fds()


def watch(
    workers: list[threading.Thread], process: psutil.Process, tally: Tally
) -> list[tuple[float, float]]:
    """Minutes and MiB, from the first minute on or the first fifth of a short run."""
    samples: list[tuple[float, float]] = []
    begun = told = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        time.sleep(STEP)
        now = time.monotonic()
        samples.append(((now - begun) / 60, process.memory_info().rss / MEBI))
        if now - told > 60:
            told = now
            print(
                f"{samples[-1][0]:5.1f} min  {samples[-1][1]:6.1f} MiB  {tally.endings.total():6} calls",
                flush=True,
            )
    warm = min(1.0, samples[-1][0] / 5)
    return [sample for sample in samples if sample[0] >= warm]


def soak(minutes: float, workers: int, base_url: str, key: str, folder: Path) -> bool:
    """Run it and print the figures; whether all is well on this side."""
    process, tally = psutil.Process(), Tally()
    given = {"base_url": base_url, "api_key": key, "archive": folder, **SETTINGS}
    before = standing(process)
    end = time.monotonic() + 60 * minutes
    with Client(max_in_flight=workers, **given) as shared:
        threads = [
            threading.Thread(target=work, args=(number, end, shared, given, tally))
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        samples = watch(threads, process, tally)
    growth, after = slope(samples), standing(process)
    print(f"endings: {dict(tally.endings.most_common())}")
    print(f"calls: {tally.endings.total()}; foreign exceptions: {len(tally.foreign)}")
    print(f"memory: {samples[0][1]:.1f} to {samples[-1][1]:.1f} MiB, {growth:+.2f} MiB a minute")
    print(
        f"threads: {before[0]} before, {after[0]} after; file descriptors: {before[1]} before, {after[1]} after"
    )
    for text in tally.foreign[:3]:
        print(text)
    return (
        not tally.foreign and growth < MOST_MIB_A_MINUTE and after[0] <= before[0] and after[1] <= before[1]
    )


def one_heap() -> None:
    """Have glibc keep one heap: it keeps one per thread, and what dead threads leave in theirs looks like growth."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def main() -> int:
    """Read the command line, start the server's process, run."""
    one_heap()
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    base_url, key = here.recv()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        well = soak(given.minutes, given.workers, base_url, key, Path(folder) / "pictures")
    here.send("end")
    leaks, trap_hits, problems = here.recv()
    server.join(20)
    print(f"leaks: {len(leaks)}; trap hits: {len(trap_hits)}; other problems: {problems[:3]}")
    return 0 if well and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
