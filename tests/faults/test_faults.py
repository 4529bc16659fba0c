"""Every fault has one honest ending: the table, driven through `AsyncClient`, its core through the other doors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.faults.drive import awaited, problems, waited
from tests.faults.ending import CONTROL, SIGNATURE, marked, secrets_in
from tests.faults.expected import CORE, DOORS, ROWS
from tests.faults.row import within
from tests.notebook.conftest import Kernel

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.row import Row
    from tests.faults.server import FaultServer

PICTURE = Image.new("RGB", (64, 64), "navy")
# The magic's client has no argument for these.
CELLS = [row for row in DOORS if row.base == "base_url" and set(row.client) <= {"timeout"}]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the two tests of the whole table its core, or with `--full` all of it.

    The short run of edits is that of the doors: the table is one, and only the way out is another.
    """
    short = {
        test_every_fault_has_one_honest_ending: CORE,
        test_the_ending_of_an_edit_is_that_of_a_generation: DOORS,
    }
    if metafunc.function in short:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("row", ROWS if full else short[metafunc.function], ids=str)


def test_every_fault_has_one_honest_ending(
    row: Row, server: FaultServer, connects: Counter[int], heard: Callable[[], list[str]], tmp_path: Path
) -> None:
    found = problems(row, awaited, server, connects, tmp_path / "pictures") + heard()
    assert not found, "\n".join(found)


def edited(arguments: dict[str, Any], prompt: str, options: dict[str, Any]) -> Any:
    """A call through `Client` that edits a picture: the other route, with a form."""
    return waited(arguments, prompt, {**options, "image": PICTURE})


def test_the_ending_of_an_edit_is_that_of_a_generation(
    row: Row, server: FaultServer, connects: Counter[int], heard: Callable[[], list[str]], tmp_path: Path
) -> None:
    found = problems(row, edited, server, connects, tmp_path / "pictures") + heard()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("row", DOORS, ids=str)
def test_the_ending_is_the_same_where_a_program_waits(
    row: Row, server: FaultServer, connects: Counter[int], tmp_path: Path
) -> None:
    found = problems(row, waited, server, connects, tmp_path / "pictures")
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def shell(faults: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that was told of the fault server by its environment."""
    import sys

    kernel = Kernel(sys.executable, tmp_path_factory.mktemp("shell"))
    told = {"COMETAPI_BASE_URL": faults.base_url, "COMETAPI_KEY": faults.key}
    told["COMETIMG_PICTURE_ORIGINS"] = faults.picture_origins
    for code in (f"import os; os.environ.update({told!r})", "%load_ext comet_magic"):
        assert kernel.run(code).error is None
    yield kernel
    kernel.close()


def cell(row: Row, prompt: str) -> str:
    """The cell that asks for a row."""
    flags = ["-o shown"]
    options = {**row.arguments, **row.client}
    for name, value in options.items():
        flag = "-n" if name == "n" else "--" + name.replace("_", "-")
        flags.append(flag if value is True else f"{flag} {value}")
    return f"%%cometimg {' '.join(flags)}\n{prompt}"


def wrong_in_notebook(row: Row, ran: Any, kept: int) -> Iterator[str]:
    name = ran.error["ename"] if ran.error else "ok"
    if name not in row.classes:
        yield f"ended with {name}; {row.ends} was due: {ran.error or ran.stderr}"
    due = row.images if row.images is not None else row.n if name == "ok" else 0
    if kept != due:
        yield f"{kept} pictures are bound; {due} were due"
    if len(ran.traceback) > 8:
        yield f"a traceback of {len(ran.traceback)} lines"
    told = str(ran.messages)
    yield from (
        f"a message holds {form}" for form in [*secrets_in(told), *([SIGNATURE] * (SIGNATURE in told))]
    )
    for text in ("\n".join(ran.traceback), ran.stdout, ran.stderr):
        if CONTROL.search(text):
            yield f"control characters in {text!r}"
    for output in ran.outputs + ran.updates:
        if {"image/svg+xml", "image/webp", "text/markdown", "text/latex"} & set(output.data):
            yield f"an output of kind {set(output.data)}"
        if "<script" in output.data.get("text/html", "") or "onerror=" in output.data.get("text/html", ""):
            yield f"a script in {output.data['text/html'][:300]}"
        if CONTROL.search(output.data.get("text/plain", "")):
            yield f"control characters in {output.data['text/plain']!r}"


@pytest.mark.parametrize("row", CELLS, ids=str)
def test_the_ending_is_the_same_in_a_notebook(row: Row, server: FaultServer, shell: Kernel) -> None:
    prompt = marked(row)
    shell.run("shown = ()")
    ran = shell.run(cell(row, prompt))
    counts = server.counts(prompt)
    found = list(wrong_in_notebook(row, ran, shell.value("len(shown)")))
    for name, value, limits in (("POSTs", counts.posts, row.posts), ("GETs", counts.gets, row.gets)):
        if not within(value, limits):
            found.append(f"{value} {name}; {limits} was due")
    assert not found, "\n".join(found)


def test_fewer_pictures_than_requested_are_told_below_a_cell(server: FaultServer, shell: Kernel) -> None:
    fewer = shell.run("%cometimg -q -n 2 F:data-fewer #cell")
    enough = shell.run("%cometimg -q F:data-fewer #one")

    assert "2 pictures were requested; the answer held 1" in fewer.stdout
    assert fewer.stderr == ""
    assert "were requested" not in enough.stdout
