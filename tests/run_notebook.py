"""Runs a notebook top to bottom where it stands and checks what its outputs hold."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

path = Path(sys.argv[1])
notebook = nbformat.read(path, as_version=4)
place = {"metadata": {"path": str(path.parent)}}
NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
pictures = 0
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
        if len(kinds) > 1:
            sys.exit(f"an output of {path} holds {kinds}: one format was due")
        pictures += len(kinds)
size = len(nbformat.writes(notebook))
print(f"{path}: {len(notebook.cells)} cells, {pictures} pictures, {size / 1000:.0f} kB")
if not pictures or size > 1_000_000:
    sys.exit(f"{path} holds {pictures} pictures in {size} bytes")
