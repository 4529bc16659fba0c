"""Each public name, option and flag is explained in one place, which the others quote."""

from __future__ import annotations

import argparse
import inspect
from collections import Counter
from typing import Any

import pytest

import comet_magic as cm
from comet_magic import doctor
from comet_magic.client import Client
from comet_magic.client.api import GenerateOptions
from comet_magic.explanations import explanations, quoted
from comet_magic.notebook.flags import CELL_FLAGS, USAGE, flags_of, help_of
from comet_magic.notebook.magic import CometMagics
from comet_magic.notebook.panel.form import Form
from comet_magic.pipeline import cli
from comet_magic.pipeline.dataset import DatasetOptions
from comet_magic.request import InputOptions, WireOptions
from comet_magic.sandbox import serve
from comet_magic.settings import ClientOptions, ConnectionOptions, Settings

PUBLIC = [name for name in cm.__all__ if callable(getattr(cm, name))]
FLAGS = [(magic, flag) for magic in sorted(USAGE) for flag in flags_of(magic)]
COMMANDS: dict[str, Any] = {"dataset": cli, "sandbox": serve, "doctor": doctor}
OF_THE_CELL = {"dry_run"}  # of `vary` it is another one


def plain(text: str) -> str:
    return "".join(text.split())


def summary(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def test_each_public_name_says_something_of_its_own() -> None:
    said = Counter(summary(getattr(cm, name)) for name in PUBLIC)
    assert {text: count for text, count in said.items() if count > 1 or not text.endswith(".")} == {}


def test_each_option_of_a_call_is_explained_by_generate_alone() -> None:
    doors = [cm.agenerate, cm.edit, Client.generate, Client.submit, Client.plan, cm.AsyncClient.generate]
    assert set(GenerateOptions.__annotations__) - set(explanations(cm.generate)) == set()
    for door in doors:
        assert set(explanations(door)) & set(GenerateOptions.__annotations__) <= set()
        assert "`comet_magic.generate`" in door.__doc__ or "generate` does" in door.__doc__


def test_each_option_of_a_dataset_is_explained_by_it_or_where_it_says() -> None:
    own, elsewhere = set(explanations(cm.generate_dataset)), plain(cm.generate_dataset.__doc__ or "")
    wire = (
        set(WireOptions.__annotations__) | {"resize", "paste_back"} | set(ConnectionOptions.__annotations__)
    )
    client = set(ClientOptions.__annotations__) - wire - {"archive"}
    assert own & (wire | client) == {"max_cost", "max_in_flight"}, (
        "of a whole dataset they are something else"
    )
    assert set(DatasetOptions.__annotations__) - {"archive"} <= own | wire | client
    assert wire <= set(explanations(cm.generate))
    assert client <= set(explanations(Settings))
    for name in (wire | client) - own:
        assert name in elsewhere


@pytest.mark.parametrize(("magic", "flag"), FLAGS, ids=[f"{magic}-{flag.name}" for magic, flag in FLAGS])
def test_a_flag_with_the_name_of_an_option_quotes_its_explanation(magic: str, flag: Any) -> None:
    name = flag.name.removeprefix("no_")
    option = magic in ("cometimg", "cometimg_preset") and name in {
        *GenerateOptions.__annotations__,
        *explanations(cm.vary),
    }
    option = option and name not in OF_THE_CELL
    assert bool(flag.quotes) >= option
    if flag.quotes:
        assert name in explanations(getattr(cm, flag.quotes))
        assert flag.explanation == quoted(getattr(cm, flag.quotes), name, flag.help)
    assert flag.explanation.strip()
    assert plain(flag.explanation) in plain(help_of(magic))


def test_a_cell_takes_every_option_of_a_call_that_can_be_typed() -> None:
    flags = {flag.name.removeprefix("no_") for flag in flags_of("cometimg")}
    not_typed = {"on_event", "extra", *ConnectionOptions.__annotations__}
    assert set(GenerateOptions.__annotations__) - not_typed <= flags
    assert {flag.name for flag in CELL_FLAGS if flag.name in InputOptions.__annotations__} <= flags


@pytest.mark.parametrize("name", COMMANDS)
def test_each_flag_of_a_command_is_explained_and_quotes_what_is_public(name: str) -> None:
    parser = argparse.ArgumentParser()
    COMMANDS[name].add_arguments(parser)
    said = {action.dest: action.help or "" for action in parser._actions}
    assert [flag for flag, text in said.items() if not text.strip()] == []
    source = {"dataset": cm.generate_dataset, "sandbox": cm.start_sandbox}.get(name)
    for flag in explanations(source) if source else ():
        if flag in said and flag not in ("source", "out", "parameters", "columns"):
            assert said[flag].startswith(quoted(source, flag, "…").removesuffix(": …")), flag


def test_a_setting_of_the_magics_says_what_the_setting_of_a_client_says() -> None:
    traits = {name: trait.help for name, trait in CometMagics.class_traits(config=True).items()}
    assert all(traits.values())
    for name in set(traits) & set(explanations(Settings)) - {"archive"}:  # which a text switches off there
        assert traits[name] == quoted(Settings, name), name


def test_what_is_quoted_is_the_first_sentence_or_clause_without_marks() -> None:
    def thing() -> None:
        """Do it.

        Args:
            one: `a` or b: as it is; more. And more.
            two, three: these, on
                two lines.
        """

    assert explanations(thing)["three"] == "these, on two lines."
    assert quoted(thing, "one") == "a or b: as it is; more"
    assert quoted(thing, "one", "c") == "a or b: c"
    assert quoted(thing, "two") == "these, on two lines"
    assert quoted(thing, "four", "only this") == "only this"


def test_the_panel_explains_its_fields_with_the_same_words() -> None:
    form = Form({})
    fields = form.facts(None, {})["fields"]
    assert len(fields) > 8
    for field in fields:
        assert field["about"] == quoted(cm.generate, field["name"])
        assert field["about"]
