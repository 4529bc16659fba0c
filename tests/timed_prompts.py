"""Runs cells that time or capture a prompt with an apostrophe in a kernel of this Python; exits with 1 if one fails."""

import sys

import nbformat
from nbclient import NotebookClient

FLAGS = "-m dall-e-2 --size 256x256"
CELLS = (
    f"%%time\n%%cometimg {FLAGS}\na cat's hat; it's red;",
    f"%time x = %cometimg -q {FLAGS} a cat's hat",
    f"%%capture caught\n%cometimg {FLAGS} a cat's (hat",
    f"%%capture caught\n%%time\n%%cometimg {FLAGS}\na cat's \"hat\n'''",
    f'for color in ("red", "blue"):\n    %time %cometimg {FLAGS} a {{color}} cat\'s hat',
)

if __name__ == "__main__":
    cell = nbformat.v4.new_code_cell
    notebook = nbformat.v4.new_notebook(
        cells=[cell("%load_ext comet_magic"), *map(cell, CELLS), cell("x.image")]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    print(f"{len(CELLS)} timed and captured prompts in Python {sys.version.split()[0]}")
