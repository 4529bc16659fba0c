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
    said = told(notebook)
    assert done[0] in ("4/9", "5/9", "6/9")
    assert done[1:] == ["9/9", "9/9", "1/1"]
    assert re.search(r"stopped: [345] done, 1 refused, [543] remaining; ", said)
    assert "max cost     $0.06, buys all 9 rows" in said
    assert "1 x ContentPolicyError moderation_blocked" in said
    assert "1 rejected" in said
    assert re.search(r"sailboat +3 +3 ", said)
    assert {"test-00000.parquet", "train-00000.parquet"} <= set(said.split())
    assert [
        one for one in outputs(notebook) if one.output_type == "error" or one.get("name") == "stderr"
    ] == []
    (sheet,) = (one.data for one in outputs(notebook) if "image/jpeg" in one.get("data", {}))
    assert "image/png" not in sheet
    assert [path.name for path in tmp_path.iterdir() if path.name != ".ipython"] == []
