"""What Tab offers, on the shell's own completer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from comet_magic import load_ipython_extension, unload_ipython_extension
from comet_magic.catalog import MODELS

Complete = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def bare_shell() -> Iterator[Any]:
    config = Config()
    config.HistoryManager.enabled = False
    config.Completer.use_jedi = False  # slow, and not under test
    shell = InteractiveShell(config=config)
    yield shell
    shell.restore_sys_module_state()
    shell._atexit_once()


@pytest.fixture
def shell(bare_shell: Any) -> Iterator[Any]:
    load_ipython_extension(bare_shell)
    yield bare_shell
    unload_ipython_extension(bare_shell)
    bare_shell.config.pop("CometMagics", None)


@pytest.fixture
def complete(shell: Any) -> Complete:
    def complete(text: str) -> list[str]:
        with provisionalcompleter():
            return [each.text for each in shell.Completer.completions(text, len(text))]

    return complete


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%cometimg --qual", ["--quality"]),
        ("%%cometimg --si", ["--size"]),
        ("x = %cometimg --si", ["--size"]),
        ("%%time\n%%cometimg --si", ["--size"]),
        ("%cometimg --quality ", ["low", "medium", "high", "auto"]),
        ("%cometimg -m dall-e-3 --quality ", ["standard", "hd"]),
        ("%cometimg -mdall-e-3 --quality=h", ["hd"]),
        ("%cometimg --model=dall-e-", ["dall-e-3", "dall-e-2"]),
        ("%cometimg --inline p", ["preview"]),
        ("%cometimg -m dall-e-3 -n ", ["1"]),
        ("%cometimg_history --as", ["--as-code"]),
        ("%cometimg --output-format w", ["webp"]),
    ],
)
def test_flags_and_the_values_that_the_model_takes_are_offered_alone(
    complete: Complete, typed: str, offered: list[str]
) -> None:
    assert complete(typed) == offered


def test_every_model_is_offered(complete: Complete) -> None:
    assert complete("%cometimg -m ") == [model.id for model in MODELS]


def test_the_model_of_the_settings_decides_where_the_line_names_none(shell: Any, complete: Complete) -> None:
    shell.run_line_magic("config", 'CometMagics.model = "dall-e-3"')

    assert complete("%cometimg --quality ") == ["standard", "hd"]


def test_sizes_are_offered_with_words_and_ratios(complete: Complete) -> None:
    assert {"auto", "1024x1024", "square", "16:9"} <= set(complete("%cometimg --size "))


def test_names_of_the_notebook_are_offered_after_the_out_flag(shell: Any, complete: Complete) -> None:
    shell.user_ns["boat_pictures"] = 1  # the shell is this module's own

    assert complete("%cometimg -o boat") == ["boat_pictures"]
    assert "In" not in complete("%cometimg -o ")


@pytest.mark.parametrize(
    "typed",
    [
        "%cometimg a boat --si",  # inside the prompt
        "%cometimg -- --si",
        "%cometimg --nonsense 5 --si",
        "%cometimg -m dall-e-3 --background ",  # not taken by this model
        "%cometimg --timeout ",
        "%cometimg --quiet=",
        "%timeit --si",
        "%cometimg_other --si",
    ],
)
def test_nothing_of_ours_is_offered_elsewhere(complete: Complete, typed: str) -> None:
    offered = set(complete(typed))

    assert not offered & {"--size", "auto", "low", "transparent"}
