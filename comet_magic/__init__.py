"""Make pictures from a notebook: with one cell, one form, or a table of prompts.

    %load_ext comet_magic                  import comet_magic as cm
    %%cometimg --size 16:9 -o boats        images = cm.generate("a paper boat", size="16:9")
    A paper boat at sunrise.               images.image.save("boat.png")

Most names are loaded at their first use: importing this package imports nothing heavy.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import *  # noqa: F403 - exactly the names of `errors.__all__`

if TYPE_CHECKING:
    from .client import AsyncClient, Client, agenerate, edit, generate
    from .comparison import compare
    from .explore import vary
    from .history_table import history
    from .images import Images, read_metadata
    from .notebook.panel import Panel
    from .pipeline import agenerate_dataset, checks, generate_dataset, open_dataset, plan, product, sample
    from .preset_files import presets
    from .recipes import recipe
    from .remote import generate_one
    from .request import ImageRequest
    from .sandbox import start_sandbox
    from .spend_table import spend

__version__ = "0.2.0"
__all__ = ["AsyncClient", "Client", "ImageRequest", "Images", "__version__", "agenerate"]
__all__ += ["agenerate_dataset", "compare", "edit", "generate", "generate_dataset", "generate_one", "history"]
__all__ += ["checks"]
__all__ += ["load_ipython_extension", "open_dataset", "panel", "plan", "presets", "product", "read_metadata"]
__all__ += ["recipe", "sample", "spend", "start_sandbox", "unload_ipython_extension", "vary"]
__all__ += errors.__all__

# https://pyodide.org/en/stable/usage/wasm-constraints.html
_IN_BROWSER = (
    "comet_magic makes no pictures, datasets and panels in JupyterLite: Python in a browser (Pyodide) has neither"
    " threads nor sockets; open the notebook in JupyterLab"
)
if sys.platform == "emscripten":
    warnings.warn(_IN_BROWSER, stacklevel=2)

_LATE = {
    "comparison": ("compare",),
    "history_table": ("history",),
    "client": ("AsyncClient", "Client", "agenerate", "edit", "generate"),
    "explore": ("vary",),
    "images": ("Images", "read_metadata"),
    "pipeline": (
        "agenerate_dataset",
        "checks",
        "generate_dataset",
        "open_dataset",
        "plan",
        "product",
        "sample",
    ),
    "preset_files": ("presets",),
    "recipes": ("recipe",),
    "remote": ("generate_one",),
    "request": ("ImageRequest",),
    "sandbox": ("start_sandbox",),
    "spend_table": ("spend",),
}


def __getattr__(name: str) -> Any:
    module = next((module for module, names in _LATE.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _refuse_browsers()
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def _refuse_browsers() -> None:
    if sys.platform == "emscripten":
        raise errors.ConfigurationError(_IN_BROWSER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def panel(name: str | None = None) -> Panel:
    """A form and a gallery for pictures, as the value of a cell; `.images` and `.last` are what it made.

    A panel of the same name, or without one the panel of the same cell, is closed: the new one takes over its form,
    its pictures and its running requests.

    Without a key it uses the sandbox: placeholder pictures that are painted on this machine.

    Args:
        name: tells the panels of one notebook apart; None means the cell's own.

    Example:
        >>> import comet_magic as cm
        >>> panel = cm.panel()
        >>> panel.images
        []
        >>> panel.close()
    """
    _refuse_browsers()
    from .notebook.panel import Panel

    return Panel(name)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext comet_magic`: register the magics and the completion."""
    _refuse_browsers()
    from .notebook.magic import load

    load(ipython)
    _tell_of_open_calls()


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext comet_magic`: remove the magics, and stop what they started."""
    from .notebook.magic import unload

    unload(ipython)


def _tell_of_open_calls() -> None:
    """Print a line if an earlier kernel left calls that may be billed; without a ledger nothing is opened."""
    from .machine import DEFAULT_ARCHIVE, archive_folder

    archive = None
    try:
        folder = archive_folder(DEFAULT_ARCHIVE)
        if folder is None or not (folder / "ledger.sqlite").is_file():
            return
        from .archive import Archive

        archive = Archive(folder)
        count = len(archive.doubtful())
    except errors.CometError as problem:
        # Not raised: the magics work, and with one of them another folder can be set.
        print(f"{problem}. {problem.hint}")
        return
    finally:
        if archive is not None:
            archive.close()
    if count:
        from .text import counted

        calls = counted(count, "call has", "calls have")
        print(f"{calls} an unknown outcome and may be billed: %cometimg_status")
