"""The notebooks that people read first: they run as they stand, and they read well where they are only looked at."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.processes import HOME
from tests.run_notebook import run

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def _finds_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HOME)


# The one on tables runs in tests/pipeline/test_notebook.py, where what it tells is looked at too.
@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem != "03_pipeline"], ids=lambda path: path.stem
)
def test_it_runs_top_to_bottom_with_no_key_and_no_network(path: Path, tmp_path: Path) -> None:
    run(Path(shutil.copy(path, tmp_path)))


def test_the_cell_of_the_first_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    shown = re.search(r"```\n(%load_ext comet_magic)\n\n(%%cometimg .*?)```", page, re.DOTALL)
    assert shown is not None
    then = "boats[0].rotate(3), boats.save('boats/'), boats.cost"
    cells = [nbformat.v4.new_code_cell(source) for source in (*shown.groups(), then)]
    path = tmp_path / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

    run(path)

    assert [file.suffix for file in (tmp_path / "boats").iterdir()] == [".png"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_short_and_small_and_holds_what_it_showed(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [kind for output in shown for kind in output.get("data", {}) if kind.startswith("image/")]

    assert len(notebook.cells) < 15
    assert path.stat().st_size < 1_000_000
    assert pictures
    assert "sandbox" in notebook.cells[0].source or "painted on this machine" in notebook.cells[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_tells_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = re.sub(r"[A-Za-z0-9+/=]{200,}", "", path.read_text("utf-8"))
    assert re.findall(r"/(?:home|root|tmp|work|Users|opt|usr)/\S*|127\.0\.0\.1:\d+|sk-\w{8,}", text) == []
