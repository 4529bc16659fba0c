"""What the README says is what the package does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comet_magic.catalog import model_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")


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


def test_the_first_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_every_file_that_is_linked_is_there(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (ROOT / target).exists(), target
