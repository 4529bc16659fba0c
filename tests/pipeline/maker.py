"""A process that makes a dataset, to be killed, interrupted or run beside another."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from comet_magic.errors import CallAbandoned
from comet_magic.pipeline import generate_dataset
from tests.pipeline.conftest import settings
from tests.processes import start

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

SCRIPT = """
import json, sys
from comet_magic.errors import CometError
from comet_magic.pipeline import generate_dataset
out, rows, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
try:
    print(json.dumps(generate_dataset(rows, out, **options).counts))
except CometError as error:
    print(json.dumps({"error": type(error).__name__, "outcome": error.outcome, "lines": error.lines()}))
"""


def rows_of(count: int, first: int = 0) -> list[str]:
    return [f"row {number}" for number in range(first, first + count)]


def start_maker(rows: list[str], out: Path, endpoint: Endpoint, **options: Any) -> subprocess.Popen[str]:
    given = {**settings(endpoint), **options}
    return start(SCRIPT, out, json.dumps(rows), json.dumps(given))


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it said at its end."""
    output, noise = process.communicate(timeout=60)
    assert noise == "", noise
    return dict(json.loads(output))


DYING = """
import sys
from comet_magic import generate_one
from comet_magic.request import ImageRequest
request = ImageRequest("a boat", model="test-model")
generate_one(request, sys.argv[1], base_url=sys.argv[2], call_id=sys.argv[3], api_key="sandbox")
"""


def begin_and_die(store: Path, endpoint: Endpoint, call_id: str = "") -> None:
    """A worker that is killed between a whole answer and its picture."""
    worker = start(DYING, store, endpoint.base_url, call_id)
    endpoint.until(lambda seen: seen.downloading == 1)
    kill(worker)


def make_until_told(rows: list[str], out: Path, options: dict[str, Any], talk: Connection) -> None:
    """Make a dataset in a process of its own, until a signal stops it."""
    talk.send("begins")
    with contextlib.suppress(CallAbandoned):
        generate_dataset(rows, out, **options)
