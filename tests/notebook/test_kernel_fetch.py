"""A paid picture whose download failed is fetched again for nothing."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from .conftest import KEY, Kernel


class Shop(ThreadingHTTPServer):
    """Sells pictures by address, and delivers them only while it is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.open = False
        self.sold = 0
        self.root = f"http://127.0.0.1:{self.server_port}"


class Desk(BaseHTTPRequestHandler):
    server: Shop

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sold += 1
        self.answer(
            200, "application/json", json.dumps({"data": [{"url": f"{self.server.root}/picture"}]}).encode()
        )

    def do_GET(self) -> None:
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), "navy").save(picture, "PNG")
        self.answer(200 if self.server.open else 403, "image/png", picture.getvalue())

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        thread = threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield shop
        shop.shutdown()
        thread.join()


def test_a_picture_that_did_not_come_is_fetched_again_for_nothing(kernel: Kernel, shop: Shop) -> None:
    kernel.run(
        f"import os; os.environ['COMETAPI_KEY'] = {KEY!r}; os.environ['COMETAPI_BASE_URL'] = {shop.root + '/v1'!r}"
    )
    failed = kernel.run("%cometimg -m dall-e-2 --size 256x256 a boat")
    listed = "".join(output.data["text/plain"] for output in kernel.run("%cometimg_history").outputs)
    found = re.search(r"\b[0-9a-f]{8}\b", listed)
    assert found

    closed = kernel.run(f"%cometimg_history --fetch {found[0]}")
    shop.open = True
    fetched = kernel.run(f"%cometimg_history --fetch {found[0]}")
    again = kernel.run(f"%cometimg_history --fetch {found[0]}")

    assert failed.error is not None
    assert failed.error["ename"] == "DownloadError"
    assert closed.error is not None
    assert [output.pictures for output in fetched.shown] == [["image/png"]]
    assert "UsageError" in again.stderr
    assert shop.sold == 1


def test_fetching_needs_an_id(kernel: Kernel) -> None:
    assert "--fetch needs the ID of a call" in kernel.run("%cometimg_history --fetch boats").stderr
