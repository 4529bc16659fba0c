"""Runs a notebook top to bottom where it stands and checks what its outputs hold."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(path: Path) -> str:
    """What a notebook holds after it ran; whatever is wrong with that is a `ValueError`."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=100, kernel_name="python3", resources=place).execute()
    pictures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
            if len(kinds) > 1:
                raise ValueError(f"an output of {path} holds {kinds}: one format was due")
            pictures += len(kinds)
    size = len(nbformat.writes(notebook))
    if not pictures or size > 1_000_000:
        raise ValueError(f"{path} holds {pictures} pictures in {size} bytes")
    return f"{path}: {len(notebook.cells)} cells, {pictures} pictures, {size / 1000:.0f} kB"


if __name__ == "__main__":
    print(run(Path(sys.argv[1])))
