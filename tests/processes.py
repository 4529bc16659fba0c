"""Other processes for tests: real interpreters that find the package that is under test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import comet_magic

if TYPE_CHECKING:
    from collections.abc import Sequence

HOME = str(Path(comet_magic.__file__).parent.parent)


def start(
    script: str, *arguments: object, env: dict[str, str] | None = None, under: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """A Python process that runs a script, started by the command `under` if there is one."""
    return subprocess.Popen(
        [*under, sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**(os.environ if env is None else env), "PYTHONPATH": HOME},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: str, *arguments: object, env: dict[str, str] | None = None, under: Sequence[str] = ()) -> str:
    """What a script prints; it must end well and say nothing on stderr."""
    process = start(script, *arguments, env=env, under=under)
    output, noise = process.communicate(timeout=100)
    assert (process.returncode, noise) == (0, ""), noise
    return output
