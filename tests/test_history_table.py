"""The history that finds, the money by model, day and folder, stars, and the tree of a call."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.formatters import DisplayFormatter

import comet_magic as cm
from comet_magic.archive import Reader
from comet_magic.errors import ConfigurationError, InvalidRequestError
from comet_magic.lineage import tree_bundle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_pictures")

LOW = {"quality": "low", "size": "1024x1024"}
DULL = {"model": "dall-e-2", "size": "256x256"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An archive with a boat, two edits of it, an edit of one of these, and one of both; and a house."""
    folder = tmp_path_factory.mktemp("made") / "archive"
    with (
        cm.start_sandbox() as sandbox,
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=folder) as client,
    ):
        boat = client.generate("a paper boat", **LOW)
        night, day = boat.edit("make it <b>night</b>", **LOW), boat.edit("make it day", **LOW)
        night.edit("add a moon", **LOW)
        client.generate("both in one", image=[night, day], **LOW)
        client.generate("a house", **DULL).star()
    return folder


def prompts(made: Path, words: str = "", **filters: Any) -> list[str | None]:
    return [entry.prompt for entry in cm.history(words, archive=made, **filters)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"words": "PAPER a"}, ["a paper boat"]),
        ({"model": "dall-e-2"}, ["a house"]),
        ({"starred": True}, ["a house"]),
        ({"min_cost": 0.0159, "max_cost": 0.0161}, ["a house"]),
        ({"words": "day", "min_cost": 0.001}, ["make it day"]),
        ({"day": str(date.today()), "limit": 1}, ["a house"]),
        ({"day": date.today() - timedelta(days=2)}, []),
        ({"since": str(date.today() + timedelta(days=2))}, []),
    ],
)
def test_calls_are_found_by_words_model_day_cost_and_star(
    made: Path, filters: dict[str, Any], found: list[str]
) -> None:
    assert prompts(made, **filters) == found


def test_what_came_of_a_call_is_found_by_its_id_and_by_its_key(made: Path) -> None:
    (night,) = cm.history("night", archive=made)

    assert prompts(made, parent=night.id[:8]) == ["both in one", "add a moon"]
    assert prompts(made, parent=night.key) == ["both in one", "add a moon"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day", "yesterday"),
        ("since", "1.2.2026"),
        ("min_cost", "cheap"),
        ("max_cost", -1),
        ("limit", 0),
        ("parent", "x"),
    ],
)
def test_a_filter_of_a_wrong_kind_is_named(made: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        cm.history(archive=made, **{name: value})

    assert caught.value.param == name


def test_the_history_shows_itself_with_thumbnails_as_text_and_as_a_frame(made: Path) -> None:
    calls = cm.history(archive=made)
    shown = calls._repr_mimebundle_()
    frame = calls.to_frame()

    assert shown["text/html"].count('<img src="data:image/jpeg;base64,') == 6
    assert "<b>night" not in shown["text/html"]
    assert re.search(r"★ .*a house", shown["text/plain"])
    assert list(frame["prompt"])[-1] == "a paper boat"
    assert frame["starred"].sum() == 1


def test_a_star_is_given_to_one_picture_and_taken_away(tmp_path: Path) -> None:
    with cm.start_sandbox() as sandbox:
        settings: dict[str, Any] = {"base_url": sandbox.base_url, "api_key": "sandbox"}
        with cm.Client(**settings, archive=tmp_path) as client:
            images = client.generate("boats", n=2, **DULL)
        with cm.Client(**settings, archive="off") as client:
            lost = client.generate("boats", **DULL)
    images[1:].star()
    (entry,) = cm.history(starred=True, archive=tmp_path)
    marks = [bool(picture.starred) for picture in entry.pictures]
    images.star(False)

    assert marks == [False, True]
    assert cm.history(starred=True, archive=tmp_path) == []
    with pytest.raises(ConfigurationError, match="in no archive"):
        lost.star()


def test_money_is_told_by_model_day_and_folder_and_sums_up(made: Path) -> None:
    whole = cm.spend(archive=made)
    for by in ("model", "day", "folder"):
        table = cm.spend(by=by, archive=made)
        assert sum(row.spend.spent_micro for row in table) == whole.spent_micro
        assert sum(row.spend.calls for row in table) == whole.calls == 6
        assert table.to_frame().columns[0] == by
        assert "play money" in table._repr_mimebundle_()["text/html"]
    assert [row.name for row in cm.spend(by="model", archive=made)] == ["gpt-image-2", "dall-e-2"]
    assert cm.spend("cometapi", by="day", archive=made) == []
    with pytest.raises(InvalidRequestError, match="model, day or folder"):
        cm.spend(by="month", archive=made)


def test_datasets_of_this_machine_count(tmp_path: Path) -> None:
    with cm.start_sandbox() as sandbox:
        cm.generate_dataset(
            ["a lighthouse"], tmp_path / "dataset", base_url=sandbox.base_url, api_key="sandbox", **DULL
        )

    assert [entry.prompt for entry in cm.history("lighthouse")] == ["a lighthouse"]
    assert any("dataset" in row.name for row in cm.spend(by="folder"))


def drawn(made: Path, words: str) -> tuple[str, str]:
    (entry,) = cm.history(words, archive=made)
    shown = tree_bundle(Reader(made), entry)
    return re.sub(r"[0-9a-f]{8}  ", "", re.sub(r" · [^\n]*?(?=  ←|\n|$)", "", shown["text/plain"])), shown[
        "text/html"
    ]


def test_the_tree_of_a_call_shows_what_it_was_made_from_and_what_came_of_it(made: Path) -> None:
    whole, markup = drawn(made, "paper")
    middle, _ = drawn(made, "night")

    assert whole.splitlines() == [
        "a paper boat  ← this call",
        "├─ make it <b>night</b>",
        "│  ├─ add a moon",
        "│  └─ both in one",
        "└─ make it day",
        "   └─ see above",
    ]
    assert middle.splitlines() == [
        "a paper boat",
        "└─ make it <b>night</b>  ← this call",
        "   ├─ add a moon",
        "   └─ both in one",
    ]
    assert markup.count("<img ") == 5
    assert "<b>night" not in markup
    assert markup.count("<ul") == markup.count("</ul>")


def test_a_parent_that_the_ledger_has_lost_is_said(tmp_path: Path) -> None:
    with (
        cm.start_sandbox() as sandbox,
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path) as client,
    ):
        client.generate("a boat", **DULL).edit("a moon", **LOW)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM calls WHERE prompt = 'a boat'")

    shown = drawn(tmp_path, "moon")[0].splitlines()

    assert re.fullmatch("not in this archive|[0-9a-f]{8}  not in this archive", shown[0])
    assert shown[1] == "└─ a moon  ← this call"


@pytest.mark.parametrize(
    "look",
    [
        lambda made: cm.history(archive=made),
        lambda made: cm.spend(by="day", archive=made),
        lambda _: cm.presets(),
    ],
)
def test_a_terminal_shows_the_same_table_as_text(made: Path, look: Any) -> None:
    found = look(made)
    formats, _ = DisplayFormatter().format(found)
    assert formats["text/plain"] == found._repr_mimebundle_()["text/plain"]


def test_a_table_is_printed_as_it_is_shown_in_a_terminal(tmp_path: Path) -> None:
    with cm.start_sandbox() as sandbox:
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path).generate(
            "a boat", model="dall-e-2", size="256x256"
        )

    for shown in (cm.history(archive=tmp_path), cm.spend(by="model", archive=tmp_path)):
        head, row, *_ = str(shown).splitlines()
        assert "model" in head
        assert "dall-e-2" in row
        assert len(row) <= 100
