"""One contender in a process of its own: reads a task per line, answers with samples as JSON.

A sample maps a column ("wall ms", "CPU ms", "peak MB", or anything else worth a word) to a number. A task
answers `{"": sample}`, and `{": part": sample}` for parts of the whole.
"""

import asyncio
import atexit
import gc
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.peers import PEERS, Peer, in_slots

Sample = dict[str, float]
BEAT = 0.005
STATUS = Path("/proc/self/status")


@cache
def peer(name: str, base_url: str, folder: str | None) -> Peer:
    """The contender with its client, kept between the rounds and past its first call."""
    made = PEERS[name](base_url, folder=folder)
    made.warm()
    atexit.register(made.close)
    return made


def memory(field: str = "VmRSS") -> float:
    """Resident MB now, or at its highest (`VmHWM`); not a number where the system does not say."""
    if not STATUS.exists():
        return float("nan")
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if field in line) / 1024


def forget_peak() -> float:
    """Starts the high-water mark anew; returns the resident MB."""
    gc.collect()
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
    return memory()


def calls(
    *, name: str, base_url: str, folder: str | None, count: int, stream: bool = False, pixels: bool = False
) -> dict[str, Sample]:
    """Calls one after the other: the median wall and the mean CPU of one."""
    contender = peer(name, base_url, folder)
    call = contender.preview if stream else contender.pixels if pixels else contender.one
    walls, previews = [], []
    cpu = process_time()
    for _ in range(count):
        start = perf_counter()
        preview = call()
        walls.append(perf_counter() - start)
        if stream:
            previews.append(preview)
    whole = {"wall ms": median(walls) * 1e3, "CPU ms": (process_time() - cpu) / count * 1e3}
    return {"": whole | ({"first preview ms": median(previews) * 1e3} if stream else {})}


def peak(*, name: str, base_url: str, folder: str | None, count: int) -> dict[str, Sample]:
    """How far one call lifts the resident memory, its result included; the median of `count`."""
    contender = peer(name, base_url, folder)
    lifts = []
    for _ in range(count):
        before = forget_peak()
        kept = contender.one()
        lifts.append(memory("VmHWM") - before)
        del kept
    return {"": {"peak MB": median(lifts)}}


def alive(*, name: str, base_url: str, folder: str | None, count: int) -> dict[str, Sample]:
    """MB still resident after `count` dropped results with the cyclic garbage collector off."""
    contender = peer(name, base_url, folder)
    for _ in range(3):
        contender.one()
    before = forget_peak()
    gc.disable()
    for _ in range(count):
        contender.one()
    after = memory()
    gc.enable()
    return {"": {"MB kept": after - before}}


def noise(edge: int, seed: int, *, transparent: bool = False) -> bytes:
    """A PNG of noise; one that is transparent in places cannot be sent as it is."""
    from PIL import Image

    out, mode = io.BytesIO(), "RGBA" if transparent else "RGB"
    pixels = random.Random(seed).randbytes(edge * edge * len(mode))
    Image.frombytes(mode, (edge, edge), pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def edits(
    *, name: str, base_url: str, folder: str | None, count: int, fresh_pictures: bool, prepared: bool
) -> dict[str, Sample]:
    """Edits one after the other, of a picture each or of the same one: the mean CPU and the median wall of one."""
    contender = peer(name, base_url, folder)
    edge = 707 if prepared else 816  # 2 MB
    made = partial(noise, edge, transparent=prepared)
    edit = contender.edit_prepared if prepared else contender.edit
    first = made(0)
    return each(
        edit, first, [made(time.time_ns()) for _ in range(count)] if fresh_pictures else [first] * count
    )


def each(act: Callable[[bytes], object], first: bytes, others: list[bytes]) -> dict[str, Sample]:
    """Do something with each picture, the first one apart: the mean CPU and the median wall of one."""
    act(first)
    walls, cpu = [], process_time()
    for data in others:
        start = perf_counter()
        act(data)
        walls.append(perf_counter() - start)
    return {"": {"wall ms": median(walls) * 1e3, "CPU ms": (process_time() - cpu) / len(others) * 1e3}}


def hashed(*, name: str, base_url: str, folder: str | None, count: int) -> dict[str, Sample]:
    """What Pillow and OpenSSL need to know a picture by its pixels."""
    from PIL import Image

    def known(data: bytes) -> str:
        return hashlib.sha256(Image.open(io.BytesIO(data)).tobytes()).hexdigest()

    return each(known, noise(816, 0), [noise(816, time.time_ns()) for _ in range(count)])


def paste(*, name: str, base_url: str, folder: str | None, count: int) -> dict[str, Sample]:
    """The original put back outside a mask, in an answer of the same size."""
    from comet_magic.images import Picture, paste_back, prepare_inputs

    data = noise(816, 0)
    inputs = prepare_inputs({"image": data, "mask": (0, 0, 400, 400)})
    return each(lambda one: paste_back(Picture(one, "image/png", 816, 816), inputs), data, [data] * count)


def sixteen(*, name: str, base_url: str, folder: str | None) -> dict[str, Sample]:
    """How far one edit of sixteen files lifts the resident memory."""
    contender = peer(name, base_url, folder)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        paths = [Path(place, f"{number}.png") for number in range(16)]
        for number, path in enumerate(paths):
            path.write_bytes(noise(2646, number))
        contender.edit(noise(64, 0))
        before = forget_peak()
        contender.edit(paths)
        return {"": {"MB over the start": memory("VmHWM") - before}}


async def heartbeat(late: list[float]) -> None:
    """Notes by how much each beat of the running loop is late."""
    while True:
        start = perf_counter()
        await asyncio.sleep(BEAT)
        late.append(perf_counter() - start - BEAT)


async def timed_batch(contender: Peer, pictures: int) -> Sample:
    """One batch with a heartbeat on its loop, and on our engine's where there is one."""
    late, engine_late = [0.0], [0.0]
    async with contender:
        engine = await contender.engine_loop()
        beats = [asyncio.ensure_future(heartbeat(late))]
        if engine:
            beats.append(asyncio.run_coroutine_threadsafe(heartbeat(engine_late), engine))
        forget_peak()
        start, cpu = perf_counter(), process_time()
        took = await in_slots(contender, pictures)
        wall, cpu = perf_counter() - start, process_time() - cpu
        for beat in beats:
            beat.cancel()
    cuts = quantiles(took, n=100, method="inclusive")
    return {
        "wall ms": wall / pictures * 1e3,
        "CPU ms": cpu / pictures * 1e3,
        "peak MB": memory("VmHWM"),
        "pictures/s": pictures / wall,
        "p50 ms": cuts[49] * 1e3,
        "p99 ms": cuts[98] * 1e3,
        "p99/p50": cuts[98] / cuts[49],
        "stall ms": max(late + engine_late) * 1e3,
    }


def batch(
    *, name: str, base_url: str, folder: str | None, pictures: int, in_flight: int
) -> dict[str, Sample]:
    """Many pictures with so many in flight."""
    contender = PEERS[name](base_url, folder=folder, in_flight=in_flight)
    return {"": asyncio.run(timed_batch(contender, pictures))}


def table(
    *, name: str, base_url: str, folder: str | None, steps: list[int], in_flight: int
) -> dict[str, Sample]:
    """Tables of so many rows one after the other; memory after the first of them and after the last."""
    contender = PEERS[name](base_url, folder=folder, in_flight=in_flight)
    contender.table(in_flight)
    levels, start, cpu = [forget_peak()], perf_counter(), process_time()
    for rows in steps:
        contender.table(rows)
        levels.append(memory())
    wall, cpu = perf_counter() - start, process_time() - cpu
    return {
        "": {
            "wall ms": wall / sum(steps) * 1e3,
            "CPU ms": cpu / sum(steps) * 1e3,
            "peak MB": memory("VmHWM"),
            "rows/s": sum(steps) / wall,
            "MB over the start": levels[-1] - levels[0],
            "MB between the two": levels[-1] - levels[1],
        }
    }


def answer(tasks: dict[str, Any]) -> None:
    """Answers orders until standard input ends; whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(tasks[order.pop("task")](**order)), file=answers, flush=True)


if __name__ == "__main__":
    answer(
        {task.__name__: task for task in (calls, peak, alive, batch, table, edits, hashed, paste, sixteen)}
    )
