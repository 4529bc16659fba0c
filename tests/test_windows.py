"""What is different on Windows, as far as another system can simulate it: open files stay, and locks are msvcrt's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import comet_magic

# Windows removes no file that somebody has open; msvcrt.locking is refused for a byte that another handle has locked.
WINDOWS = """\
import fcntl, os, sys, types
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import comet_magic.files

def unlink(path, missing_ok=False, real=Path.unlink):
    for descriptor in os.listdir("/dev/fd"):
        try:
            is_open = os.path.samestat(os.fstat(int(descriptor)), os.stat(path))
        except OSError:  # closed meanwhile, or not there
            continue
        if is_open:
            raise PermissionError(13, "The process cannot access the file", str(path))
    real(path, missing_ok)

def locking(descriptor, mode, size):
    assert (mode, size) == (2, 1)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

Path.unlink = unlink
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
system, sys.platform = sys.platform, "win32"
from comet_magic.archive import process_lock
sys.platform = system

archive = Path(sys.argv[2])
lock, other = process_lock.ProcessLock(archive), process_lock.ProcessLock(archive)
left = archive / "owners" / ("0" * 16 + ".lock")
left.touch()
"""
ALIVE = """
print(process_lock.is_alive(archive, lock.token), process_lock.is_alive(archive, lock.token, clear=True))
print(process_lock.others_alive(archive, lock.token))
"""
DEAD = """
print(process_lock.is_alive(archive, left.stem), left.exists())
print(process_lock.is_alive(archive, left.stem, clear=True), left.exists())
"""
CLOSED = """
files = len(list(left.parent.iterdir()))
other.close()
print(files, len(list(left.parent.iterdir())), process_lock.is_alive(archive, other.token), lock.holds)
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there, all other tests say so")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (ALIVE, ["True True", "True"]),
        (DEAD, ["False True", "False False"]),
        (CLOSED, ["3 2 False True"]),
    ],
    ids=["of a living process", "of a dead one", "given back"],
)
def test_a_lock_is_told_from_one_that_a_process_left(code: str, said: list[str], tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WINDOWS + code, str(Path(comet_magic.__file__).parents[1]), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert ran.stderr == ""
    assert ran.stdout.splitlines() == said
