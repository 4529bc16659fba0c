"""A server whose every answer is the same large photograph."""

from __future__ import annotations

import base64
import io
import json
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Photographs:
    """Where it is, and how many bytes a photograph has."""

    base_url: str
    size: int


@contextmanager
def photographs(*, edge: int, delay: float = 0.0) -> Iterator[Photographs]:
    """A server of photographs of so many pixels a side, each after so many seconds."""
    noise = random.Random(1).randbytes(edge * edge * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (edge, edge), noise).save(buffer, "JPEG", quality=85)
    text = base64.b64encode(buffer.getvalue()).decode()
    body = json.dumps({"created": 1, "data": [{"b64_json": text}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Photographs(f"http://127.0.0.1:{server.server_port}/v1", len(buffer.getvalue()))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
