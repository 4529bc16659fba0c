"""The examples in the docstrings of public names do what they say; the docstrings explain every parameter."""

from __future__ import annotations

import doctest
import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic.request import Options
from comet_magic.settings import ClientOptions, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("plain_pictures")

NAMES = [name for name in cm.__all__ if name != "__version__"]
EXAMPLES = [
    example
    for name in NAMES
    for example in doctest.DocTestFinder(recurse=False).find(getattr(cm, name), name, module=False)
    if example.examples
]


@pytest.fixture(autouse=True)
def _a_key_and_an_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a person's environment would hold, so that `cm.generate` works as it is printed."""
    with cm.start_sandbox() as sandbox:
        monkeypatch.setenv("COMETAPI_KEY", "sandbox")
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        yield
        cm.client.close_shared_client()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_does_what_it_says(example: doctest.DocTest, capsys: pytest.CaptureFixture[str]) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    failed = runner.run(example).failed
    assert failed == 0, capsys.readouterr().out


def test_the_doors_have_examples() -> None:
    doors = {"generate", "agenerate", "Client", "AsyncClient", "generate_dataset", "start_sandbox", "panel"}
    assert doors <= {example.name for example in EXAMPLES}


def explained(value: Any) -> set[str]:
    """The names that a docstring explains under Args or Attributes."""
    return set(re.findall(r"^ {4}(\w+): ", inspect.cleandoc(value.__doc__ or ""), re.MULTILINE))


def test_the_help_of_generate_explains_every_option() -> None:
    assert set(Options.__annotations__) <= explained(cm.generate)


def test_every_setting_of_a_client_is_explained() -> None:
    assert set(ClientOptions.__annotations__) <= explained(Settings) | explained(cm.generate)


FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(cm, name)) and "extension" not in name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_takes_is_explained_or_said_to_be_that_of_another(name: str) -> None:
    function = getattr(cm, name)
    parameters = inspect.signature(function).parameters.values()
    taken = {one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}
    another = re.search(r"`(\w+)` (?:does|would do)", function.__doc__.partition("\n")[0])
    assert taken <= explained(function) | explained(getattr(cm, another[1]) if another else function)
