"""Programs that run a whole notebook with nobody there: papermill, and nbconvert with `--execute`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import comet_magic

CELL = "%%cometimg -m dall-e-2 --size 256x256 -o boats\nA {kind} boat"


def notebook(folder: Path, *cells: str) -> Path:
    """A notebook with a cell of parameters, in a folder of its own."""
    parameters = nbformat.v4.new_code_cell('kind = "paper"', metadata={"tags": ["parameters"]})
    more = [nbformat.v4.new_code_cell(cell) for cell in ("%load_ext comet_magic", *cells)]
    path = folder / "boats.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, *more], metadata=kernel), path)
    return path


def run(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A module of this Python, run where the notebook is."""
    environment = {**os.environ, "PYTHONPATH": str(Path(comet_magic.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=path.parent, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def pictures(path: Path) -> list[str]:
    """The kinds of the pictures in a notebook's outputs."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    return [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]


@pytest.mark.judge
def test_papermill_fills_in_a_parameter_and_keeps_the_pictures(tmp_path: Path) -> None:
    pytest.importorskip("papermill", reason="the extra papermill is not installed")
    path = notebook(tmp_path, CELL, "print(boats.prompt)")

    ran = run(path, "papermill", path.name, "done.ipynb", "-p", "kind", "wooden", "--no-progress-bar")

    assert ran.returncode == 0, ran.stderr[-2000:]
    assert pictures(tmp_path / "done.ipynb") == ["image/png"]
    assert "A wooden boat" in (tmp_path / "done.ipynb").read_text("utf-8")


@pytest.mark.judge
def test_papermill_stops_at_a_cell_that_fails_with_its_few_lines(tmp_path: Path) -> None:
    pytest.importorskip("papermill", reason="the extra papermill is not installed")
    path = notebook(tmp_path, "%cometimg --quality ultra a boat", "never = True")

    ran = run(path, "papermill", path.name, "done.ipynb", "--no-progress-bar")

    assert ran.returncode != 0
    assert "UsageError: quality is ultra" in ran.stderr
    done = nbformat.read(tmp_path / "done.ipynb", 4)
    assert done.cells[-1].execution_count is None


def test_nbconvert_runs_a_notebook_into_a_page_with_its_picture(tmp_path: Path) -> None:
    path = notebook(tmp_path, CELL)

    ran = run(path, "nbconvert", "--execute", "--to", "html", path.name)

    page = (tmp_path / "boats.html").read_text("utf-8")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert page.count('src="data:image/png;base64,') == 1
    assert "sandbox picture" in page
