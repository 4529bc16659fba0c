"""A process that uses an archive and dies at a step of one's choice. Run as a script by the crash tests.

    archive_actor.py journey FOLDER WAY [STEP]   the whole life of a call; killed before its STEP-th system call

The server's side of the story is kept in FOLDER.server: a line for each call that was charged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from comet_magic.archive import Archive, Budget, Claim
from comet_magic.files import native
from comet_magic.request import ImageRequest

# What changes the disk, and what waits for it: the process dies before one of these, or right after it.
STEPS = {"execute", "executemany", "fsync", "link", "unlink", "remove", "open", "write", "writelines", "mkdir",
         "flock", "close", "connect", "chmod", "replace"}  # fmt: skip
WORDS = "A paper boat, über alles 漢"


def png(shade: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [png(0), png(1)]


def receipts(folder: Path) -> list[dict[str, Any]]:
    """The log of receipts in a folder; none where there is no log."""
    log = folder / "receipts.jsonl"
    return [json.loads(line) for line in log.read_bytes().splitlines() if line] if log.exists() else []


class Killer:
    """Counts the steps, and ends this process at one of them as `kill -9` does."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps = 0

    def __call__(self, frame: object, event: str, function: object) -> None:
        if event not in {"c_call", "c_return"} or getattr(function, "__name__", "") not in STEPS:
            return
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def charge(folder: Path, call: Claim) -> None:
    """The server does the work and counts it."""
    log = os.open(native(f"{folder}.server"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, f"{call.id}\n".encode())
    os.close(log)


def finish(archive: Archive, call: Claim, missing: list[int]) -> None:
    """From the bytes to the end of the call."""
    for index in missing:
        data = PICTURES[index]
        digest = hashlib.sha256(data).hexdigest()
        archive.store(call, index, data, mime="image/png", width=8, height=6, sha256=digest)
    archive.settle(call, "done", cost=20_000)


def journey(folder: Path, way: str) -> None:
    """Claimed, charged, received, stored, settled."""
    archive = Archive(folder)
    call = archive.claim(
        ImageRequest(WORDS, n=2), vendor="cometapi", reserve=40_000, budget=Budget(day=10**9)
    )
    charge(folder, call)
    if way == "body":
        answer = archive.raw_answer(call)
        answer.write(json.dumps([0, 1]).encode())
        answer.close()
        archive.received(call, request_id="req-1", status=200)
    else:
        archive.received(
            call, request_id="req-1", urls=[f"https://cdn.example/{n}.png?sig=X" for n in (0, 1)]
        )
    finish(archive, call, [0, 1])
    archive.close()


def main(folder: Path, way: str, at: int | None) -> None:
    """Go the way, killed at a step, or tell how many steps there are."""
    killer = Killer(at)
    sys.setprofile(killer)
    journey(folder, way)
    sys.setprofile(None)
    print(killer.steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
