"""The example notebook, in a real kernel: what it tells is what happened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.processes import HOME

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).parents[2] / "notebooks" / "03_pipeline.ipynb"


def outputs(notebook: Any) -> Iterator[Any]:
    return (output for cell in notebook.cells for output in cell.get("outputs", ()))


def told(notebook: Any) -> str:
    """All text that a reader sees below the cells."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook)
    )


def test_it_runs_from_a_plan_to_a_sheet_without_key_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", HOME)
    notebook = nbformat.read(PATH, as_version=4)

    NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    bars = [one.data["text/plain"] for one in outputs(notebook) if "widget-view" in str(one.get("data"))]
    done = [bar.split("|")[2].split()[0] for bar in bars]
    assert done[0] in ("4/12", "5/12", "6/12")
    assert done[1:] == ["12/12", "13/13"]
    assert re.search(r"stopped: [456] done, [876] remaining; ", told(notebook))
    assert "12 done, 1 refused" in told(notebook)
    assert "1 x ContentPolicyError moderation_blocked" in told(notebook)
    assert [
        one for one in outputs(notebook) if one.output_type == "error" or one.get("name") == "stderr"
    ] == []
    assert "image/jpeg" in notebook.cells[-1].outputs[0].data
    assert (tmp_path / "shards" / "data-00000.tar").is_file()
