"""How a cell behaves beside IPython's own ways: help, question marks, timing, values, runners of notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from comet_magic.sandbox import Sandbox
from tests.timed_prompts import CELLS as TIMED

from .conftest import Kernel

Connect = Callable[[Sandbox], Kernel]
SMALL = "-m dall-e-2 --size 256x256"


def prompts(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.method == "POST"]


# --- help and question marks


@pytest.mark.every_kernel
@pytest.mark.parametrize("cell", ["%%cometimg --help", "\n%%cometimg --help\n\n", "%cometimg --help"])
def test_help_needs_no_body(kernel: Kernel, cell: str) -> None:
    ran = kernel.run(cell)
    assert (ran.status, "--quality" in ran.stdout) == ("ok", True)


@pytest.mark.every_kernel
@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        (f"%cometimg {SMALL} what does a boat dream of?", "what does a boat dream of?"),
        (f"x = %cometimg {SMALL} what does a boat dream of?", "what does a boat dream of?"),
        (f"%cometimg {SMALL} why??", "why??"),
        (f"%cometimg {SMALL} a cat's (dream)?  ", "a cat's (dream)?"),
        (f"if True:\n    %cometimg {SMALL} is it so?\nprint('after')", "is it so?"),
        (f"%%cometimg {SMALL}\nwhat does it dream of?", "what does it dream of?"),
    ],
)
def test_a_prompt_that_ends_in_a_question_mark_is_a_prompt(
    connect: Connect, sandbox: Sandbox, cell: str, prompt: str
) -> None:
    ran = connect(sandbox).run(cell)

    assert prompts(sandbox) == [prompt]
    assert [output.pictures for output in ran.shown] == [["image/png"]]


@pytest.mark.every_kernel
def test_questions_about_names_and_texts_with_our_magic_in_them_stay_as_they_are(
    kernel: Kernel, tmp_path: Path
) -> None:
    text = "%%time\n%cometimg a cat's?\n"
    asked = kernel.run("%cometimg?").reply["payload"]
    kernel.run(f"%%writefile notes.txt\n{text}")
    kernel.run("kept = '''\n%cometimg is it?\n%time %cometimg a hat\n'''")

    assert "--quality" in asked[0]["data"]["text/plain"]
    assert (tmp_path / "notes.txt").read_text() == text
    assert kernel.value("kept") == "\n%cometimg is it?\n%time %cometimg a hat\n"


# --- IPython's %time and %%capture parse what they ran


@pytest.mark.every_kernel
@pytest.mark.parametrize("cell", TIMED)
def test_a_timed_or_captured_prompt_may_have_an_apostrophe(
    connect: Connect, sandbox: Sandbox, cell: str
) -> None:
    ran = connect(sandbox).run(cell)

    assert ran.status == "ok", ran.error
    assert len(prompts(sandbox)) == cell.count("%cometimg") + ("for color" in cell)
    assert "Wall time" in ran.stdout or "capture" in cell


# --- flags behind the prompt


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("A cat --quality low", "%cometimg --quality low A cat"),
        ("-n 2 A cat's hat --quality=low", "%cometimg -n 2 --quality=low A cat's hat"),
        ("A cat --quality low on a mat", "%cometimg --quality low A cat on a mat"),
        ("A cat -n 4", "%cometimg -n 4 A cat"),
        ("A cat -n4", "%cometimg -n4 A cat"),
        ("A cat -o cats", "%cometimg -o cats A cat"),
        ("A cat \u2014quality low", "%cometimg --quality low A cat"),
        ("A cat --quallity low", "--quality stands behind the prompt"),
        ("A cat --dry-run", "%cometimg --dry-run A cat"),
        ("A cat --quality low --size 16:9", "%cometimg --quality low --size 16:9 A cat"),
        ("A cat --quality low and --size 16:9", "--quality stands behind the prompt"),
    ],
)
def test_a_flag_behind_the_prompt_is_refused_with_the_fix(
    connect: Connect, sandbox: Sandbox, line: str, fix: str
) -> None:
    ran = connect(sandbox).run(f"%cometimg {line}")

    assert ran.error is not None
    assert fix in ran.traceback[0]
    assert sandbox.log == []


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        (f"{SMALL} -- A cat --quality low", "A cat --quality low"),
        (f'{SMALL} a sign with "--quality low" on it', 'a sign with "--quality low" on it'),
        (f"{SMALL} a cat - and -- a dog", "a cat - and -- a dog"),
        (f"{SMALL} well-known --ar 16:9", "well-known --ar 16:9"),
        (f"{SMALL} minus -5 degrees, e-mail", "minus -5 degrees, e-mail"),
    ],
)
def test_what_only_looks_like_a_flag_stays_in_the_prompt(
    connect: Connect, sandbox: Sandbox, line: str, prompt: str
) -> None:
    connect(sandbox).run(f"%cometimg {line}")
    assert prompts(sandbox) == [prompt]


# --- shown exactly once


@pytest.mark.every_kernel
@pytest.mark.parametrize(
    ("cell", "times"),
    [
        ("x = %cometimg -q FLAGS a boat\nx", 1),
        ("%cometimg -q -o x FLAGS a boat\nx", 1),
        ("%cometimg -q -o x FLAGS a boat\ndisplay(x)", 1),
        ("x = %cometimg -q FLAGS a boat\ndisplay(x)\nx", 1),
        ("x = %cometimg FLAGS a boat\nx", 1),
        ("%cometimg -o x FLAGS a boat\n_ = x\nx", 1),
        ("%cometimg -q FLAGS a boat", 0),
        ("%time %cometimg -q FLAGS a boat", 0),
        ("for _ in range(2):\n    x = %cometimg -q FLAGS a boat\n    display(x)", 2),
        ("for _ in range(2):\n    x = %cometimg FLAGS a boat\nx", 2),
        ("y = %cometimg -q FLAGS a boat\nx = y\nx", 1),
    ],
)
@pytest.mark.parametrize("history", [True, False], ids=["in the history", "not in the history"])
def test_pictures_are_shown_once_in_their_own_cell(
    kernel: Kernel, cell: str, times: int, history: bool
) -> None:
    ran = kernel.finish(kernel.start(cell.replace("FLAGS", SMALL), store_history=history))

    assert ran.status == "ok", ran.error
    assert [output.pictures for output in ran.shown] == [["image/png"]] * times


@pytest.mark.every_kernel
def test_a_later_cell_of_a_client_without_history_shows_them_again(kernel: Kernel) -> None:
    kernel.finish(kernel.start(f"%cometimg -o x {SMALL} a boat", store_history=False))
    again = kernel.finish(kernel.start("x", store_history=False))

    assert [output.pictures for output in again.shown] == [["image/png"]]


# --- wrong usage fails the cell for everybody


WRONG = [
    ("%%cometimg --size 7x7\na boat", "size is 7x7"),
    ("%cometimg --sise 16:9 a boat", "did you mean --size?"),
    ("%cometimg_status now", "takes flags only"),
    ("%%cometimg", "the prompt is empty"),
]


@pytest.mark.parametrize(("cell", "said"), WRONG)
def test_a_runner_of_notebooks_finds_the_sentence_in_its_error(tmp_path: Path, cell: str, said: str) -> None:
    new = nbformat.v4.new_code_cell
    notebook = nbformat.v4.new_notebook(
        cells=[new("%load_ext comet_magic"), new(cell), new("print('after')")]
    )

    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert said in str(caught.value)
    assert [output.output_type for output in notebook.cells[1].outputs] == ["error"]
    assert notebook.cells[2].outputs == []


@pytest.mark.parametrize(
    "name", ["list", "print", "display", "In", "get_ipython", "exit", "_", "True", "__builtins__"]
)
def test_a_name_with_a_meaning_of_its_own_is_not_given_away(
    connect: Connect, sandbox: Sandbox, name: str
) -> None:
    ran = connect(sandbox).run(f"%cometimg -o {name} {SMALL} a boat")

    assert ran.error is not None
    assert "it takes the name of a variable of yours" in ran.traceback[0]
    assert sandbox.log == []


@pytest.mark.parametrize(
    "prompt", ['""', "''", '"', "\"\" ''", "\u201c\u201d", "``", "''''''", "\u00ab \u00bb"]
)
def test_a_prompt_of_only_quotes_is_empty(connect: Connect, sandbox: Sandbox, prompt: str) -> None:
    ran = connect(sandbox).run(f"%cometimg {SMALL} {prompt}")

    assert ran.error is not None
    assert "prompt is empty" in ran.traceback[0]
    assert sandbox.log == []


# --- the history and the models


def test_the_history_shows_real_sizes_clamps_prompts_and_opens_pictures(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run(f"%cometimg -q --quality low --size square {'a very long boat ' * 30}")
    kernel.run("%cometimg -q -m dall-e-3 a castle")

    shown = kernel.run("%cometimg_history").outputs[0].data

    (boat,) = [line for line in shown["text/plain"].splitlines() if "gpt-image-2" in line]
    assert "1024x1024" in boat
    assert max(map(len, shown["text/plain"].splitlines())) <= 100
    assert "a very long boat " * 11 not in re.sub(r"<img[^>]*>", "", shown["text/html"])
    addresses = re.findall(r'<a href="([^"]+)"', shown["text/html"])
    assert len(addresses) == 2
    assert all((tmp_path / address).is_file() for address in addresses)


def test_as_code_without_an_id_is_the_last_one(kernel: Kernel) -> None:
    nothing = kernel.run("%cometimg_history --as-code")
    kernel.run(f"%cometimg -q {SMALL} a boat")
    kernel.run(f"%cometimg -q {SMALL} a castle")
    written = kernel.run("%cometimg_history --as-code").reply["payload"][0]["text"]

    assert "finds no call" in nothing.traceback[0]
    assert written.strip().endswith("\na castle")


def test_the_models_fit_into_a_terminal(kernel: Kernel) -> None:
    table = kernel.run("%cometimg_models").outputs[0].data["text/plain"]
    assert max(map(len, table.splitlines())) <= 100
    assert "gpt-image-2 (default)" in table
