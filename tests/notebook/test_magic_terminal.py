"""IPython in a terminal: a line of text, and the pictures as the value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_terminal_prints_a_line_and_returns_the_pictures(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {
        "PYTHONPATH": str(Path(comet_magic.__file__).parent.parent),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }

    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        input=CELLS, capture_output=True, text=True, timeout=100, check=True, cwd=tmp_path, env=environment,
    )  # fmt: skip

    assert "dall-e-2, $0.016. sandbox picture: set COMETAPI_KEY for real ones" in ran.stdout
    assert "Out[2]: dall-e-2 · 256x256 · $0.016 · cometimg/images" in ran.stdout
    assert "(256, 256)" in ran.stdout
    assert "from the archive, $0.00. sandbox picture" in ran.stdout
    assert ran.stdout.count("sandbox picture") == 3
    assert "UsageError: quality is ultra" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
