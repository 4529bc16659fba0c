"""Two hundred pictures in one process: what is kept is paid for in memory, and nothing else is."""

from __future__ import annotations

import base64
import io
import json
import random
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    for _ in range(50):
        made(1)
    print(json.dumps({"kept": size, "grown": held - start, "later": rss() - held}))
"""


@contextmanager
def photographs() -> Iterator[tuple[str, int]]:
    """The address of a server whose every answer is the same photograph, and its size."""
    dice = random.Random(1)
    noise = Image.frombytes("RGB", (512, 512), dice.randbytes(512 * 512 * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=85)
    body = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", len(buffer.getvalue())
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(
    "not __import__('os').path.exists('/proc/self/statm')", reason="memory is read from /proc"
)
def test_two_hundred_pictures_cost_no_more_memory_than_their_bytes(tmp_path: Path) -> None:
    with photographs() as (base_url, size):
        seen = json.loads(run(MANY, base_url, tmp_path / "cometimg"))
    print(size, seen)

    assert seen["kept"] == 200 * size
    assert seen["grown"] < 1.3 * seen["kept"]
    assert seen["later"] < 20 * size
