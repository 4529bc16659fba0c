"""Two hundred pictures in one process: what is kept is paid for in memory, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.crash.photographs import photographs
from tests.processes import run

MEMORY = Path("/proc/self/statm")
MANY = """
import gc, json, sys
from comet_magic import Client
def rss():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def made(count):
    return [client.generate("a photograph", output_format="jpeg") for _ in range(count)]
with Client(base_url=sys.argv[1], api_key="sandbox", archive=sys.argv[2]) as client:
    made(20)
    start = rss()
    kept = made(200)
    held = rss()
    size = sum(len(data) for images in kept for data in images.data)
    for _ in range(20):
        made(1)
    print(json.dumps({"kept": size, "grown": held - start, "later": rss() - held}))
"""


@pytest.mark.full
@pytest.mark.skipif(not MEMORY.exists(), reason="memory is read from /proc")
def test_two_hundred_pictures_cost_little_more_memory_than_their_bytes(tmp_path: Path) -> None:
    with photographs(edge=512) as server:
        seen = json.loads(run(MANY, server.base_url, tmp_path / "cometimg"))
    print(server.size, seen)

    assert seen["kept"] == 200 * server.size
    assert seen["grown"] < 1.3 * seen["kept"]
    assert seen["later"] < 10 * server.size
