"""IPython in a terminal: a line of text, and the pictures as the value."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import comet_magic

CELLS = """\
%load_ext comet_magic
%cometimg -m dall-e-2 --size 256x256 a cat's hat
_.image.size
x = %cometimg -q -m dall-e-2 --size 256x256 a boat
len(x)
y = %cometimg --reuse -m dall-e-2 --size 256x256 a boat
%cometimg --quality ultra a boat
%unload_ext comet_magic
"""
ELSEWHERE = """\
%load_ext comet_magic
%config CometMagics.archive = "elsewhere"
%cometimg -m dall-e-2 --size 256x256 a boat
"""


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of an IPython whose own files are in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    package = str(Path(comet_magic.__file__).parent.parent)
    return {**environment, "PYTHONPATH": package, "IPYTHONDIR": str(folder / "ipython")}


def typed(cells: str, folder: Path) -> str:
    """What a terminal shows of these cells, errors too."""
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        input=cells, capture_output=True, text=True, timeout=100, check=True, cwd=folder, env=surroundings(folder),
    )  # fmt: skip
    return ran.stdout + ran.stderr


def test_a_terminal_prints_a_line_and_returns_the_pictures(tmp_path: Path) -> None:
    shown = typed(CELLS, tmp_path)

    assert "dall-e-2, $0.016. sandbox picture: set COMETAPI_KEY for real ones" in shown
    assert "Out[2]: \ndall-e-2 · 256x256 · $0.016 · cometimg/images" in shown
    assert "(256, 256)" in shown
    assert "from the archive, $0.00. sandbox picture" in shown
    assert shown.count("sandbox picture") == 3
    assert "UsageError: quality is ultra" in shown
    assert "Traceback" not in shown


def test_a_ledger_that_cannot_be_read_is_told_and_another_folder_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "cometimg").mkdir()
    (tmp_path / "cometimg" / "ledger.sqlite").write_bytes(b"no ledger " * 100)

    shown = typed(ELSEWHERE, tmp_path)

    assert "cannot be used: file is not a database. Is its disk full" in shown
    assert "ConfigurationError" not in shown
    assert "elsewhere/images" in shown


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo terminals")
def test_in_a_real_terminal_a_cell_ends_in_one_line_and_its_pictures(tmp_path: Path) -> None:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--colors=NoColor", "--simple-prompt"],
        cwd=str(tmp_path), env=surroundings(tmp_path), encoding="utf-8", timeout=60, dimensions=(24, 120),
    )  # fmt: skip
    with contextlib.closing(child):
        child.expect_exact("In [1]: ")
        for number, line in enumerate(
            ("%load_ext comet_magic", "%cometimg -m dall-e-2 --size 256x256 a boat"), 2
        ):
            child.sendline(line)
            child.expect_exact(f"In [{number}]: ")
        shown = child.before
        child.sendline("exit")
        child.expect(pexpect.EOF)

    assert shown.count("dall-e-2, $0.016. sandbox picture") == 1
    assert "Out[2]: \r\ndall-e-2 · 256x256 · $0.016 · cometimg/images" in shown
    assert "Traceback" not in shown
