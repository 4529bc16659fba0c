"""Presets: shipped styles, the user's file, a project's file that may be a stranger's."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from pathlib import Path

import pytest

import comet_magic as cm
from comet_magic.preset_files import (
    LARGEST,
    delete_preset,
    find_preset,
    save_preset,
    user_file,
    with_preset,
)

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git checkout in the home folder, and a working folder in it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project/.git").mkdir(parents=True)
    (tmp_path / "project/work").mkdir()
    monkeypatch.chdir(tmp_path / "project/work")


def of_project(text: str, folder: str = "..") -> None:
    Path(folder, "cometimg.toml").write_text(text, "utf-8")


def of_user(text: str) -> Path:
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text, "utf-8")
    return user_file()


def test_ten_styles_are_shipped_and_each_makes_a_request() -> None:
    shipped = cm.presets()

    assert len(shipped) == 10
    for preset in shipped:
        prompt, options = with_preset("a boat", {"preset": preset.name})
        assert prompt.startswith("a boat, ")
        assert options == {"asked": {"preset": preset.name, "prompt": "a boat"}}


def test_a_preset_gives_what_the_call_does_not_say_itself() -> None:
    save_preset("cheap", {"quality": "low", "size": "square"}, "{prompt}, on {{old}} paper")

    prompt, options = with_preset("a {boat}", {"preset": "cheap", "size": "16:9", "model": None})

    assert prompt == "a {boat}, on {old} paper"
    assert options == {
        "quality": "low",
        "size": "16:9",
        "asked": {"preset": "cheap", "prompt": "a {boat}"},
    }


def test_the_words_and_the_prompt_are_both_kept_and_the_caption_names_the_preset(tmp_path: Path) -> None:
    of_project('[presets.cheap]\nquality = "low"\nsize = "square"\ntemplate = "{prompt}, rough"\n')
    with cm.start_sandbox() as sandbox:
        with cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
            images = client.generate("a boat", preset="cheap")
            planned = client.plan("a boat", preset="cheap")

        async def awaited() -> cm.Images:
            async with cm.AsyncClient(base_url=sandbox.base_url, api_key="sandbox", archive=None) as other:
                return await other.generate("a boat", preset="cheap", n=2)

        two = asyncio.run(awaited())
    asked = {"preset": "project:cheap", "prompt": "a boat", "size": "square"}
    assert (images.prompt, images.asked, images.request) == ("a boat, rough", asked, planned.first)
    assert "preset project:cheap" in repr(images)
    assert cm.read_metadata(images.save("boat.png")[0])["asked"] == asked
    ((prompt, kept),) = sqlite3.connect("cometimg/ledger.sqlite").execute("SELECT prompt, asked FROM calls")
    assert (prompt, json.loads(kept)) == ("a boat, rough", asked)
    assert len(two) == 2
    assert two.request is not None
    assert two.request.quality == "low"


def test_the_nearest_preset_of_a_name_counts_and_each_can_be_named() -> None:
    of_project('[presets.ink]\nquality = "high"\n', folder=".")
    of_project('[presets.ink]\nquality = "medium"\n[presets.far]\nn = 2\n')
    of_user('[presets.ink]\nquality = "low"\n')

    known = {preset.label: preset.options for preset in cm.presets()}

    assert known["project:ink"] == {"quality": "high"}
    assert known["user:ink"] == {"quality": "low"}
    assert not {"far", "project:far", "ink"} & known.keys()
    assert find_preset("ink").label == find_preset("project:ink").label == "project:ink"
    assert find_preset("user:ink").options == {"quality": "low"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('api_key = "x"', "api_key is not an option of a project's preset"),
        ('base_url = "http://127.0.0.1"', "base_url is not an option of a project's preset"),
        ("max_cost = 9.5", "max_cost is not an option of a project's preset"),
        ("timeout = 5", "timeout is not an option of a project's preset"),
        ('image = "/etc/passwd"', "image is not an option of a project's preset"),
        ("extra = {n = 9}", "extra is not an option of a project's preset"),
        ("n = 5", "n is 5; it must be 1 to 4 in a project's preset"),
        ("n = -1", "n is -1; it must be 1 to 4"),
        ("n = true", "n must be a whole number"),
        ('quality = "lowest"', "quality is lowest; gpt-image-2 takes"),
        ('qualty = "low"', "qualty is not an option of a project's preset; did you mean quality?"),
        ('template = "a boat"', "the template must contain {prompt}"),
        ('template = "{prompt} {animal}"', "no other name"),
        ('template = "{prompt.__class__}"', "only {name} can"),
        ('user = "sk-aaaaaaaaaaaaaaaaaaaaaaaa1"', "user contains what looks like an API key"),
    ],
)
def test_a_projects_file_changes_options_of_the_wire_and_words_and_nothing_else(
    line: str, problem: str
) -> None:
    of_project(f'# mine\n[presets.fine]\nquality = "low"\n\n[presets.wrong]\n# quality\n{line}\n')
    save_preset("own", {"quality": "low"})

    (told,) = cm.presets().problems

    assert told.startswith(f"{Path('..').resolve() / 'cometimg.toml'}, line 7: ")
    assert problem in told
    assert "sk-aaaa" not in told
    assert {"own", "ink"} <= {preset.label for preset in cm.presets()}
    with pytest.raises(cm.ConfigurationError, match="line 7"):
        cm.generate("a boat", preset="own", api_key="sandbox")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[presets.a]\nquality = "low\n', "line 2"),
        ('presets = "a"\n', "line 1: presets is not [presets.NAME]"),
        ('\n[settings]\nbase_url = "http://127.0.0.1"\n', "line 2: settings is not [presets.NAME]"),
        ('[presets]\nquality = "low"\n', "line 2: quality is not a table"),
        ('[presets."../x"]\nn = 1\n', "line 1: ../x is not a table with a plain name"),
        ("presets.a.b.c.d.e = {x = 1}\n", "line 1: b is not an option"),
        (f"x = {'[' * 9000}", "cannot be read"),
        ("#" * (LARGEST + 1), "at most 64 KB"),
        (b"\xff".decode("latin-1"), "cannot be read"),
    ],
)
def test_a_file_with_errors_is_one_sentence_with_its_line(text: str, problem: str) -> None:
    Path("cometimg.toml").write_bytes(text.encode("latin-1"))

    (told,) = cm.presets().problems

    assert problem in told
    assert "\n" not in told
    assert len(told) < 300


def test_a_projects_file_is_a_plain_file_or_it_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text('[presets.a]\nquality = "low"\n')
    Path("cometimg.toml").symlink_to(tmp_path / "secret.toml")
    assert "it must be a plain file" in cm.presets().problems[0]

    Path("cometimg.toml").unlink()
    os.mkfifo("cometimg.toml")
    assert len(cm.presets()) == 10


def test_a_file_that_an_editor_of_windows_wrote_is_read_and_kept() -> None:
    path = of_user("")
    path.write_bytes(b'\xef\xbb\xbf# my styles\r\n[presets.a]\r\nquality = "low"\r\n')

    save_preset("b", {"n": 2})

    assert find_preset("a").options == {"quality": "low"}
    assert find_preset("b").options == {"n": 2}
    assert "# my styles" in path.read_text()


def test_saving_keeps_comments_and_other_presets_and_writes_over_no_file_with_errors() -> None:
    path = of_user('# my styles\n[presets.a]\nquality = "low"  # drafts\n\n[presets.b]\nn = 2\n')

    save_preset("a", {"quality": "low", "n": 3}, "{prompt}, charcoal")
    save_preset("c", {"extra": {"seed": 7}})
    text = path.read_text()

    assert "# my styles" in text
    assert "# drafts" in text
    assert [preset.label for preset in cm.presets()][:3] == ["a", "b", "c"]
    assert find_preset("a").options == {"quality": "low", "n": 3}
    assert find_preset("c").options == {"extra": {"seed": 7}}

    delete_preset("b")
    assert "# my styles" in path.read_text()
    assert "b" not in {preset.name for preset in cm.presets()}

    path.write_text("[presets.a]\nn = 0\n")
    for change in (lambda: save_preset("d", {"n": 1}), lambda: delete_preset("a")):
        with pytest.raises(cm.ConfigurationError, match="line 2"):
            change()
    assert path.read_text() == "[presets.a]\nn = 0\n"


def test_a_users_file_may_be_a_link_which_stays_one(tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles.toml"
    elsewhere.write_text("# here\n")
    user_file().parent.mkdir(parents=True)
    user_file().symlink_to(elsewhere)

    save_preset("a", {"n": 2})

    assert user_file().is_symlink()
    assert elsewhere.read_text().startswith("# here")
    assert find_preset("a").options == {"n": 2}


@pytest.mark.parametrize(
    ("name", "options", "template", "problem"),
    [
        ("a b", {"n": 1}, "", "a plain name"),
        ("a:b", {"n": 1}, "", "a plain name"),
        ("a", {}, "", "at least one option"),
        ("a", {"quality": "lowest"}, "", "quality is lowest"),
        ("a", {"model": "dall-e-3", "quality": "low"}, "", "quality is low; dall-e-3 takes"),
        ("a", {"api_key": "x"}, "", "api_key is not an option"),
        ("a", {}, "no words", "must contain {prompt}"),
    ],
)
def test_what_cannot_be_a_preset_is_not_kept(name: str, options: dict, template: str, problem: str) -> None:
    with pytest.raises(cm.InvalidRequestError) as caught:
        save_preset(name, options, template)
    assert problem in str(caught.value)
    assert not user_file().exists()


def test_an_unknown_preset_and_one_with_alternatives_are_refused_before_anything_is_sent() -> None:
    save_preset("mixed", {}, "{prompt} in {red|blue}")
    with cm.start_sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        with pytest.raises(cm.InvalidRequestError, match="there is no preset watercolour") as unknown:
            client.generate("a boat", preset="watercolour")
        with pytest.raises(cm.InvalidRequestError, match="has alternatives") as mixed:
            client.submit("a boat", preset="mixed")
        assert client.archive.history() == []
    assert "watercolor" in unknown.value.hint
    assert "vary" in mixed.value.hint


def test_a_preset_of_a_call_without_a_key_is_told_before_the_key_is_missed() -> None:
    save_preset("cheap", {"quality": "low"})
    with pytest.raises(cm.InvalidRequestError, match="quality is low; dall-e-3"):
        cm.generate("a boat", preset="cheap", model="dall-e-3")
