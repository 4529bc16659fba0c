"""Other processes for tests: real interpreters that find the package that is under test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import comet_magic

HOME = str(Path(comet_magic.__file__).parent.parent)


def start(script: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A Python process that runs a script."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**(os.environ if env is None else env), "PYTHONPATH": HOME},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: str, *arguments: object, env: dict[str, str] | None = None) -> str:
    """What a script prints; it must end well and say nothing on stderr."""
    process = start(script, *arguments, env=env)
    output, noise = process.communicate(timeout=100)
    assert (process.returncode, noise) == (0, ""), noise
    return output
