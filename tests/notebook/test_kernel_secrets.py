"""A key that somebody gave once stands in nothing that a kernel shows, remembers, writes or exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter, PythonExporter

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.key_forms import found

from .conftest import PACKAGE, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-" + "oNceGivenZq8wErTyU7iOpAsDf"
SMALL = "-m dall-e-2 --size 256x256"
# What a debugger shows: every variable of every frame.
LOCALS = """(lambda frames: [f'{frame.f_code.co_qualname}: {frame.f_locals!r}' for frame in frames])(
    (lambda walk: walk(walk, __import__('sys').last_traceback))(
        lambda walk, at: [] if at is None else [at.tb_frame, *walk(walk, at.tb_next)]
    )
)"""


@pytest.fixture
def give(kernel: Kernel) -> Iterator[Callable[[Sandbox], Kernel]]:
    """Log a kernel in at a sandbox, so that the key is typed and in no cell."""

    def give(sandbox: Sandbox) -> Kernel:
        kernel.run(f"import os, comet_magic as cm; os.environ['COMETAPI_BASE_URL'] = {sandbox.base_url!r}")
        message_id = kernel.start("%cometimg_login", allow_stdin=True)
        kernel.client.get_stdin_msg(timeout=30)
        kernel.client.input(KEY)
        assert kernel.finish(message_id).status == "ok"
        return kernel

    yield give
    kernel.run("%xmode Context")


FAILING = {
    "a magic": f"%cometimg {SMALL} a boat",
    "a call": "cm.generate('a boat', model='dall-e-2', size='256x256')",
    "an awaited call": "await cm.agenerate('a boat', model='dall-e-2', size='256x256')",
    "a client": "cm.Client(timeout=-1)",
    "a dataset": "cm.generate_dataset(['a boat'], 'dataset', progress=False, model='dall-e-2', size='256x256')",
}


@pytest.mark.every_kernel
def test_no_traceback_of_any_mode_shows_the_key(give: Callable[[Sandbox], Kernel]) -> None:
    with start_sandbox(fail="401") as sandbox:
        kernel = give(sandbox)
        modes = kernel.value("get_ipython().InteractiveTB.valid_modes")
        assert {"Context", "Verbose", "Plain", "Minimal"} <= set(modes)
        short = kernel.run(f"%xmode Verbose\n{FAILING['a magic']}")
        kernel.run("%config CometMagics.debug = True")
        for what, code in FAILING.items():
            ran = kernel.run(code)
            again = [kernel.run(f"%tb {mode}") for mode in modes if mode != "Verbose"]
            remembered = kernel.value(LOCALS)

            assert ran.error is not None, what
            assert found(KEY, str([one.messages for one in (short, ran, *again)])) == []
            assert remembered
            assert [line for line in remembered if found(KEY, line)] == []


@pytest.mark.every_kernel
def test_an_interrupted_call_leaves_no_frame_that_remembers_the_key(
    give: Callable[[Sandbox], Kernel], slow_sandbox: Sandbox
) -> None:
    kernel = give(slow_sandbox)
    message_id = kernel.start(f"%cometimg {SMALL} a boat")
    assert slow_sandbox.until(bool)
    kernel.interrupt()
    ran = kernel.finish(message_id, timeout=20)

    assert ran.error is not None
    assert ran.error["ename"] == "CallAbandoned"
    assert [line for line in kernel.value(LOCALS) if found(KEY, line)] == []
    assert found(KEY, str(kernel.run("%cometimg_status\n%cometimg_cancel").messages)) == []


WRITTEN = """
get_ipython().history_manager.writeout_cache()
%logstop
%history -o -f history.txt
%save saved.py 1-999
%notebook kept.ipynb
%store boats
import pickle, pathlib
pathlib.Path("boats.pickle").write_bytes(pickle.dumps(boats))
"""


@pytest.mark.every_kernel
def test_history_logs_and_saved_cells_hold_no_key(
    give: Callable[[Sandbox], Kernel], sandbox: Sandbox, tmp_path: Path
) -> None:
    kernel = give(sandbox)
    kernel.run("%logstart -o -r -t log.txt over")
    for code in (
        f"%cometimg {SMALL} -o boats a boat",
        "%cometimg -m dall-e-2 --size 7x7 a boat",
        "%cometimg_status --balance",
        "%cometimg_history",
        "print(boats, [cm.Client()], cm.client.shared_client())",
    ):
        kernel.run(code)
    wrote = kernel.run(WRITTEN)
    home = Path(kernel.value("os.environ['IPYTHONDIR']"))

    assert wrote.status == "ok", wrote.error
    made = {"history.txt", "saved.py", "kept.ipynb", "log.txt", "boats.pickle", "cometimg"}
    assert made <= {path.name for path in tmp_path.iterdir()}
    assert any(path.name == "history.sqlite" for path in home.rglob("*"))
    assert holding(tmp_path) + holding(home) == []


def holding(folder: Path) -> list[str]:
    """Files that hold the key."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and found(KEY, path.read_bytes())]


CELLS = [
    "import comet_magic as cm\n%load_ext comet_magic",
    f"%cometimg {SMALL} a boat",  # refused
    f"%%cometimg {SMALL} -o boats\na boat",
    "%cometimg_status",
    "%cometimg_history",
    "panel = cm.panel()\npanel",
    "cm.Client()",
    "%cometimg --help",
]


@pytest.fixture
def ran_notebook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A notebook that was run where the environment has a key, with the state of its widgets."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    with start_sandbox(fail="401:1") as sandbox:
        for name, value in {
            "COMETAPI_KEY": KEY,
            "COMETAPI_BASE_URL": sandbox.base_url,
            "PYTHONPATH": str(PACKAGE),
        }.items():
            monkeypatch.setenv(name, value)
        NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=True).execute()
    return notebook


def test_a_saved_notebook_and_its_exports_hold_no_key(ran_notebook: Any, tmp_path: Path) -> None:
    nbformat.write(ran_notebook, tmp_path / "ran.ipynb")
    exporters = {"html": HTMLExporter, "md": MarkdownExporter, "py": PythonExporter}
    for suffix, exporter in exporters.items():
        body, resources = exporter().from_notebook_node(ran_notebook)
        (tmp_path / f"ran.{suffix}").write_text(body, "utf-8")
        assert found(KEY, repr(resources.get("outputs", {}))) == []

    assert ran_notebook.cells[1].outputs[-1]["output_type"] == "error"
    assert any("image/png" in output.get("data", {}) for output in ran_notebook.cells[2].outputs)
    assert ran_notebook.metadata["widgets"]
    assert holding(tmp_path) == []
