"""What the README says is what the package does."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

import comet_magic as cm
from comet_magic import doctor
from comet_magic.catalog import MODELS, model_table
from comet_magic.notebook import flags
from comet_magic.pipeline import cli as dataset_command
from comet_magic.sandbox import serve
from tests.benchmarks.quoted import figures, quoted, requoted

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")
RESULTS = (ROOT / "tests" / "benchmarks" / "RESULTS.md").read_text("utf-8")


def blocks(text: str) -> list[str]:
    """The code of a page, without its comments."""
    return [
        re.sub(r"\s+#.*", "", block)
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_the_table_of_models_is_the_catalogs(page: str) -> None:
    printed = re.search(r"<!-- models -->\n(.*?)<!-- /models -->", page, re.DOTALL)
    assert printed is not None
    assert printed.group(1).strip() == model_table().strip(), f"it should be:\n{model_table()}"


def test_both_languages_have_the_same_commands_and_tables() -> None:
    assert blocks(CHINESE) == blocks(README)
    rows = [
        [line.count("|") for line in page.splitlines() if line.startswith("|")] for page in (README, CHINESE)
    ]
    assert rows[0] == rows[1]


def test_both_languages_name_the_same_things_in_each_row_of_their_tables() -> None:
    named = [
        [re.findall(r"`[^`]+`", line) for line in page.splitlines() if line.startswith("|")]
        for page in (README, CHINESE)
    ]
    assert named[0] == named[1]


def test_every_flag_and_magic_that_is_named_exists() -> None:
    commands = "".join(map(inspect.getsource, (doctor, dataset_command, serve)))
    known = {flag.spelling for magic in flags.USAGE for flag in flags.flags_of(magic)}
    known |= set(re.findall(r"--[a-z][a-z-]+", commands))
    magics = {*flags.USAGE, "cometimg_panel"}
    for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", README):
        assert name in known, name
    for name in re.findall(r"%(cometimg\w*)", README):
        assert name in magics, name


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
def test_the_python_that_is_shown_runs_as_it_stands(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"cm": cm}
    with cm.start_sandbox() as sandbox:
        monkeypatch.setenv("COMETAPI_KEY", "sandbox")
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.iscoroutine(running):
            asyncio.run(running)
        cm.client.close_shared_client()
    assert [len(images) for images in names.get("pictures", [])] in ([], [1, 1])
    assert "report" not in names or names["report"].counts["done"] == 4


def test_the_first_page_is_short() -> None:
    assert len(README.splitlines()) <= 170


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_the_prices_are_of_the_day_that_is_named(page: str) -> None:
    assert max(model.price.date for model in MODELS if model.price) in page


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_the_figures_are_those_of_the_benchmark(page: str) -> None:
    assert quoted(page) == figures(RESULTS)
    assert requoted(page, RESULTS) == page


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_every_file_that_is_linked_is_there(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (ROOT / target).exists(), target


def test_every_module_that_the_page_on_security_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", page)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "comet_magic" / name).exists()] == []
