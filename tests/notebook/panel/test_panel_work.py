"""The panel at work, in this process against the sandbox on its socket; no browser."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets
import pytest

import comet_magic as cm
from comet_magic import settings
from comet_magic.errors import ConfigurationError
from comet_magic.notebook.panel import Panel
from comet_magic.notebook.session import session
from comet_magic.sandbox import Sandbox
from comet_magic.text import Secret
from tests.loopback import until
from tests.notebook.panel.shown import WAIT, Shown, state_size

if TYPE_CHECKING:
    from collections.abc import Callable


def bought(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.charged]


def small(shown: Shown, prompt: str = "a boat") -> Shown:
    """A form that asks for the smallest picture."""
    shown.panel.form.fill({"model": "dall-e-2", "size": "256x256"}, prompt)
    return shown


def test_generate_shows_the_picture_keeps_it_and_says_what_it_cost(shown: Shown, sandbox: Sandbox) -> None:
    small(shown).make()

    assert [images.prompt for images in shown.panel.images] == ["a boat"]
    assert shown.panel.last is shown.panel.images[0]
    assert shown.panel.last.image.size == (256, 256)
    assert len(shown.tiles) == 1
    assert 'alt="a boat"' in shown.part("comet-figure").value
    assert "dall-e-2 · 256 × 256 · $0.016 · PNG" in shown.words("comet-figure")
    assert shown.words("comet-status").startswith("Done: 1 picture in")
    assert bought(sandbox) == ["a boat"]


def test_a_click_under_a_head_that_says_free_pays_nothing_after_a_login(
    sandbox: Sandbox, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The address that is paid is a sandbox here: the default, which needs a key.
    monkeypatch.setattr(settings, "DEFAULT_BASE_URL", sandbox.base_url)
    monkeypatch.delenv("COMETAPI_BASE_URL")
    monkeypatch.delenv("COMETAPI_KEY")
    panel = Panel()
    shown = small(Shown(panel))
    assert "cost nothing" in shown.words("comet-top")
    shown.make()
    assert bought(sandbox) == []

    shown.control("Prompt").value = "a boat with a key"
    settings.login(Secret(key), settings.resolve_base_url())
    try:
        shown.make()
        assert bought(sandbox) == []
        assert "nothing was sent" in shown.words("comet-status")
        assert "cost nothing" not in shown.words("comet-top")
        assert "key from %cometimg_login" in shown.words("comet-top")

        shown.make()
        assert bought(sandbox) == ["a boat with a key"]
    finally:
        settings.logout()

    panel.close()


@pytest.mark.parametrize("change", ["address", "key"])
def test_the_head_says_where_a_click_sends_each_time_the_form_changes(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = shown.words("comet-top")
    if change == "address":
        monkeypatch.setenv("COMETAPI_BASE_URL", "https://images.example/v1")
    else:
        monkeypatch.delenv("COMETAPI_KEY")
        monkeypatch.delenv("COMETAPI_BASE_URL")
    shown.control("Prompt").value = "another boat"
    assert shown.words("comet-top") != before


def test_generate_returns_before_the_picture_is_there(shown: Shown, serve: Callable[..., Sandbox]) -> None:
    serve(delay=0.8)
    small(shown)

    shown.press("Generate")

    assert shown.words("comet-status") == "Ordered 1 picture from dall-e-2."
    assert shown.panel.wait(WAIT)
    assert len(shown.tiles) == 1


def test_what_runs_shows_its_state_its_time_and_its_previews(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    serve(delay=1.8)
    shown.panel.form.fill(
        {"size": "1024x640", "quality": "low", "stream": True, "partial_images": 2, "n": 2}, "a boat"
    )

    shown.press("Generate")

    assert until(lambda: "Waiting for the model, 0 of 2 done" in shown.words("comet-line"))
    assert until(lambda: shown.part("comet-previews").value.count('alt="preview of picture') == 2)
    assert re.search(r"\d s", shown.words("comet-line"))
    assert shown.panel.wait(WAIT)
    assert len(shown.tiles) == 2


def test_a_double_click_is_one_purchase(shown: Shown, sandbox: Sandbox) -> None:
    small(shown)
    button = shown.button("Generate")

    button.click()
    button.click()
    assert "this click ordered nothing more" in shown.words("comet-status")
    assert shown.panel.wait(WAIT)

    assert len(bought(sandbox)) == 1


def test_a_second_click_right_after_a_quick_answer_is_still_a_double_click(
    shown: Shown, sandbox: Sandbox
) -> None:
    small(shown)
    panel = shown.panel
    panel.generate()
    assert panel.wait(WAIT)
    panel._ordered = time.monotonic()  # however long the answer took on this machine

    panel.generate()  # a click that was already on its way when the button was disabled

    assert "double click" in shown.words("comet-status")
    assert len(bought(sandbox)) == 1


def test_the_next_order_can_be_given_when_the_last_one_has_ended(shown: Shown, sandbox: Sandbox) -> None:
    small(shown).make()
    shown.make("a ship")

    assert bought(sandbox) == ["a boat", "a ship"]
    assert [images.prompt for images in shown.panel.images] == ["a boat", "a ship"]


def test_an_error_is_told_in_its_own_words_and_the_panel_goes_on(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    sandbox = serve(fail=["moderation"])
    small(shown).make()

    words = shown.words("comet-error")
    assert "rejected by the safety system" in words
    assert "some providers bill that" in words
    assert f"request id {sandbox.log[0].request_id}" in words

    shown.make()
    assert shown.part("comet-error").value == ""
    assert len(shown.tiles) == 1


@pytest.mark.parametrize("prompt", ["", "   \n "])
def test_a_missing_prompt_is_told_and_nothing_is_sent(shown: Shown, sandbox: Sandbox, prompt: str) -> None:
    small(shown, prompt).make()

    assert "prompt is empty" in shown.words("comet-error")
    assert sandbox.log == []


def test_a_limit_on_cost_is_kept(shown: Shown, sandbox: Sandbox) -> None:
    small(shown)
    shown.control("Cost limit, USD").value = "0.001"
    shown.make()

    assert "max_cost is $0.001" in shown.words("comet-error")
    assert sandbox.log == []


def test_no_key_for_a_base_url_is_an_error_and_names_the_ways_on(
    shown: Shown, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMETAPI_KEY")
    small(shown).make()

    assert "no API key was found" in shown.words("comet-error")
    assert sandbox.log == []


def test_pictures_of_a_call_that_failed_in_part_are_shown_with_the_failure(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    serve(fail=["moderation"])
    shown.panel.form.fill({"model": "dall-e-3", "n": 2}, "a boat")
    shown.make()

    assert len(shown.tiles) == 1
    assert "1 of 2 pictures arrived" in shown.words("comet-error")
    assert "2 were asked for" in shown.words("comet-status")


def test_stop_frees_the_panel_at_once_and_the_picture_comes_late(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    sandbox = serve(delay=1.2)
    small(shown)
    shown.press("Generate")
    assert until(lambda: bool(sandbox.log))
    assert until(lambda: "Waiting" in shown.words("comet-line"))

    shown.press("Stop")

    assert until(lambda: not shown.button("Generate").disabled)
    assert until(
        lambda: "1 request was already sent, may be billed (at most $0.016)" in shown.words("comet-status")
    )
    assert until(lambda: "comet-late" not in shown.hidden)
    assert shown.panel.wait(WAIT)
    assert len(shown.tiles) == 1
    assert shown.words("comet-status").startswith("Late, after the stop: 1 picture")
    assert "comet-late" in shown.hidden


def test_stop_cancels_what_was_not_sent(shown: Shown, serve: Callable[..., Sandbox]) -> None:
    sandbox = serve(delay=1.2)
    shown.panel.form.fill({"model": "dall-e-3", "n": 6}, "a boat")  # four are sent side by side
    shown.press("Generate")
    assert until(lambda: len(sandbox.log) == 4)

    shown.press("Stop")

    assert until(lambda: "2 more cancelled before they were sent" in shown.words("comet-status"))
    assert shown.panel.wait(WAIT)
    assert len(bought(sandbox)) == 4
    assert len(shown.tiles) == 4


def test_stop_before_anything_was_sent_costs_nothing(shown: Shown, sandbox: Sandbox) -> None:
    small(shown)
    with shown.panel._hand._bell:  # the hand cannot begin yet
        shown.press("Generate")
        shown.press("Stop")
    assert shown.panel.wait(WAIT)

    assert "Nothing was sent and nothing is billed" in shown.words("comet-status")
    assert bought(sandbox) == []


def test_a_new_order_can_be_given_while_a_stopped_one_runs_on(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    sandbox = serve(delay=1.2)
    small(shown)
    shown.press("Generate")
    assert until(lambda: "Waiting" in shown.words("comet-line"))
    shown.press("Stop")
    assert until(lambda: len(sandbox.log) == 1)

    shown.make("a ship")

    assert {images.prompt for images in shown.panel.images} == {"a boat", "a ship"}
    assert len(bought(sandbox)) == 2


def test_dropping_closes_the_connection_and_says_what_it_may_cost(
    shown: Shown, serve: Callable[..., Sandbox]
) -> None:
    sandbox = serve(delay=60)
    small(shown)
    shown.press("Generate")
    assert until(lambda: "Waiting" in shown.words("comet-line"))
    shown.press("Stop")
    assert until(lambda: "comet-late" not in shown.hidden)

    shown.press("Drop it")

    assert shown.panel.wait(WAIT)
    assert sandbox.until(lambda log: log[0].disconnected)
    assert "may still be billed, at most $0.016" in shown.words("comet-status")
    assert shown.part("comet-error").value == ""
    assert shown.tiles == []


def test_without_a_key_the_sandbox_paints_and_every_picture_says_so(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMETAPI_KEY")
    monkeypatch.delenv("COMETAPI_BASE_URL")
    shown.panel._repr_mimebundle_()
    head = shown.words("comet-top")
    assert "Sandbox: there is no key" in head
    assert "%cometimg_login" in head

    small(shown).make()

    assert "sandbox picture: set COMETAPI_KEY" in shown.words("comet-figure")
    assert shown.panel.last is not None
    assert "sandbox picture" in shown.panel.last.notice


def test_the_head_says_where_the_key_is_from_and_never_the_key(shown: Shown) -> None:
    assert "key from COMETAPI_KEY" in shown.words("comet-top")


def test_the_key_is_in_no_widget(shown: Shown, key: str) -> None:
    small(shown).make()

    assert key not in json.dumps(widgets.Widget.get_manager_state())
    assert not any(isinstance(each, widgets.Password) for each in shown.widgets)


HOSTILE = "</textarea><script>alert(1)</script><img src=x onerror=alert(2)> $x^2$ ${name}"


def test_text_of_a_server_full_of_html_is_text(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-3"}, HOSTILE)  # it comes back as the revised prompt
    shown.make()

    for widget in shown.widgets:
        value = getattr(widget, "value", "")
        if isinstance(widget, widgets.HTML):
            assert "<script" not in value
            assert "<img src=x" not in value
    assert "Painted by the sandbox" in shown.words("comet-figure")
    assert HOSTILE in shown.words("comet-figure")


def test_twenty_pictures_keep_the_state_of_a_notebook_small(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-2", "size": "512x512", "n": 10}, "A fox in a winter forest")
    shown.make()
    shown.make()

    assert len(shown.tiles) == 20
    assert state_size() < 300_000


def test_more_than_a_page_of_pictures_is_turned_over_and_the_state_does_not_grow(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-2", "size": "256x256", "n": 10}, "a boat")
    shown.make()
    shown.make()
    before = state_size()
    shown.make()

    assert len(shown.tiles) == 20
    assert state_size() < before + 5_000
    assert "1 to 20 of 30 pictures" in shown.words("comet-count")
    shown.press("Older")
    assert len(shown.tiles) == 10
    assert shown.button("Older").disabled


def test_a_transparent_picture_has_a_small_thumbnail_too(shown: Shown) -> None:
    shown.panel.form.fill({"model": "gpt-image-1", "background": "transparent", "quality": "low"}, "a boat")
    shown.make()

    (tile,) = shown.tiles
    assert "data:image/jpeg" in tile.children[0].value
    assert len(tile.children[0].value) < 12_000


def test_large_views_are_gone_from_the_state_when_they_are_closed(shown: Shown) -> None:
    shown.panel.form.fill({"quality": "low"}, "a boat")
    shown.make()
    before = state_size()

    shown.press("See large")
    assert shown.panel.wait(WAIT)
    assert "comet-large" not in shown.hidden
    assert state_size() > before + 20_000

    shown.press("Close")
    assert "comet-large" in shown.hidden
    assert state_size() < before + 100


def test_a_download_is_the_very_file_and_is_taken_back(shown: Shown) -> None:
    import base64

    small(shown).make()
    assert shown.panel.last is not None
    shown.press("Download")
    assert until(lambda: "download=" in shown.part("comet-download").value)

    found = re.search(
        r'download="([^"]*)" href="data:image/png;base64,([^"]*)"', shown.part("comet-download").value
    )
    assert found
    assert base64.b64decode(found[2]) == shown.panel.last.data[0]
    assert found[1] == Path(str(shown.panel.last.paths[0])).name

    shown.panel._viewing._take_back_at = 0.0
    assert shown.panel.wait(WAIT)
    assert shown.part("comet-download").value == ""


def test_a_very_large_file_is_not_pushed_through_the_browser(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comet_magic.notebook.panel.stage.MOST_DOWNLOAD", 10)
    small(shown).make()
    shown.press("Download")
    assert until(lambda: "fetch its file" in shown.words("comet-download"))


def test_two_pictures_stand_side_by_side(shown: Shown) -> None:
    small(shown).make()
    shown.make("a ship")

    shown.press("Compare")
    assert "click the other picture" in shown.words("comet-download")
    shown.pick(1)

    large = shown.part("comet-large-figure").value
    assert large.count("<figure>") == 2
    assert 'alt="a ship"' in large
    assert 'alt="a boat"' in large


def test_a_picture_gives_its_settings_back_to_the_form(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-2", "size": "256x256", "n": 2}, "a boat")
    shown.make()
    shown.panel.form.fill({"model": "gpt-image-2"}, "something else")

    shown.press("Use settings")

    assert shown.panel.form.order().options == {"model": "dall-e-2", "size": "256x256", "n": 2}
    assert shown.panel.form.text == "a boat"


def test_each_picture_of_a_call_shows_its_share_of_the_cost(shown: Shown) -> None:
    shown.panel.form.fill({"model": "dall-e-2", "size": "256x256", "n": 2}, "two boats")

    shown.make()
    first = shown.words("comet-figure")
    shown.pick(0)
    second = shown.words("comet-figure")

    assert [" · $0.016 · " in words for words in (first, second)] == [True, True]


def test_a_picture_is_removed_from_view_and_stays_on_disk(shown: Shown) -> None:
    small(shown).make()
    assert shown.panel.last is not None
    path = Path(str(shown.panel.last.paths[0]))

    shown.press("Remove")

    assert shown.tiles == []
    assert "Removed from view" in shown.words("comet-count")
    assert path.exists()
    assert len(shown.panel.images) == 1


def test_saving_writes_the_picture_and_refuses_a_name_that_is_taken(shown: Shown, tmp_path: Path) -> None:
    small(shown).make()
    shown.control("Save as").value = str(tmp_path / "boat.png")

    shown.press("Save")
    assert until(lambda: "Saved as" in shown.words("comet-download"))
    assert (tmp_path / "boat.png").exists()

    shown.press("Save")
    assert until(lambda: "exists already" in shown.words("comet-error"))


def test_the_archive_is_shown_on_request_and_works_like_the_session(shown: Shown) -> None:
    small(shown).make()
    shown.make("a ship")
    other = Shown(Panel())
    try:
        other.control("Show pictures of").value = "Archive"
        assert other.panel.wait(WAIT)
        assert len(other.tiles) == 2

        other.pick(1)

        assert 'alt="a boat"' in other.part("comet-figure").value
        assert "reused (free)" in other.words("comet-figure")
        other.press("Use settings")
        assert other.panel.form.order().options == {"model": "dall-e-2", "size": "256x256"}
    finally:
        other.panel.close()


def test_a_picture_of_the_archive_that_is_gone_says_so(shown: Shown) -> None:
    small(shown).make()
    assert shown.panel.last is not None
    Path(str(shown.panel.last.paths[0])).unlink()

    shown.control("Show pictures of").value = "Archive"
    assert shown.panel.wait(WAIT)
    assert "cannot be read" in shown.tiles[0].children[0].value
    shown.pick(0)

    assert "cannot be read" in shown.words("comet-error")


def test_an_empty_archive_says_so(shown: Shown) -> None:
    shown.control("Show pictures of").value = "Archive"
    assert shown.panel.wait(WAIT)
    assert "Nothing was kept yet" in shown.words("comet-count")

    shown.control("Show pictures of").value = "This session"
    assert "Nothing yet" in shown.words("comet-count")


def damage_file(ledger: Path) -> None:
    ledger.write_bytes(b"garbage" * 5000)


def damage_page(ledger: Path) -> None:
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def replace_by_folder(ledger: Path) -> None:
    ledger.unlink()
    ledger.mkdir()


@pytest.mark.parametrize("damage", [damage_file, damage_page, replace_by_folder])
def test_an_archive_that_cannot_be_read_says_so(
    shown: Shown, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    small(shown).make()
    session.close()
    for name in ("-wal", "-shm"):
        (tmp_path / "cometimg" / f"ledger.sqlite{name}").unlink(missing_ok=True)
    damage(tmp_path / "cometimg" / "ledger.sqlite")

    shown.control("Show pictures of").value = "Archive"
    assert shown.panel.wait(WAIT)

    assert shown.words("comet-count") == "The archive cannot be read."
    assert "ledger.sqlite cannot be used" in shown.words("comet-error")


def test_an_archive_behind_a_wrong_setting_says_so(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_BASE_URL", "ftp://nowhere")

    shown.control("Show pictures of").value = "Archive"
    assert shown.panel.wait(WAIT)

    assert shown.words("comet-count") == "The archive cannot be read."
    assert "ftp" in shown.words("comet-error")


def test_the_selected_picture_is_told_in_words(shown: Shown) -> None:
    small(shown).make()
    shown.make("a ship")

    assert [tile.children[1].description for tile in shown.tiles] == [
        "Selected picture 2: a ship",
        "Picture 1: a boat",
    ]


def test_a_panel_shown_twice_is_one_panel(shown: Shown) -> None:
    first, second = (shown.panel._repr_mimebundle_() for _ in range(2))

    assert first == second
    assert first["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.panel.widget.model_id


def test_where_widgets_do_not_show_there_is_a_sentence_and_the_cell(shown: Shown) -> None:
    small(shown)

    text = shown.panel._repr_mimebundle_()["text/plain"]

    assert text.startswith("The panel needs a notebook that shows widgets.")
    assert text.endswith("%%cometimg -m dall-e-2 --size 256x256\na boat")


def test_closing_leaves_no_widget_and_lets_its_calls_run_on(serve: Callable[..., Sandbox]) -> None:
    sandbox = serve(delay=0.7)
    before = set(widgets.Widget.get_manager_state()["state"])
    panel = Panel()
    small(Shown(panel))
    panel.generate()
    assert until(lambda: bool(sandbox.log))

    panel.close()
    panel.close()

    assert set(widgets.Widget.get_manager_state()["state"]) == before
    assert panel.wait(WAIT)
    assert len(panel.images) == 1


def test_closing_stops_what_was_started_if_told_so(serve: Callable[..., Sandbox]) -> None:
    sandbox = serve(delay=1.2)
    panel = Panel()
    shown = Shown(panel)
    panel.form.fill({"model": "dall-e-3", "n": 6}, "a boat")
    panel.generate()
    assert until(lambda: len(sandbox.log) == 4)

    panel.close(stop=True)

    assert panel.wait(WAIT)
    assert len(bought(sandbox)) == 4
    assert shown.panel.last is not None


def test_a_closed_panel_sends_nothing(shown: Shown, sandbox: Sandbox) -> None:
    small(shown)
    shown.panel.close()

    with pytest.raises(ConfigurationError, match="panel was closed") as caught:
        shown.panel.generate()

    assert caught.value.outcome == "not_sent"
    assert shown.panel.wait(WAIT)
    assert sandbox.log == []


def test_the_panel_is_a_public_name() -> None:
    panel = cm.panel()

    assert isinstance(panel, Panel)
    panel.close()


def test_a_fault_of_ours_does_not_kill_the_panel(
    shown: Shown, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[type[BaseException]] = []
    monkeypatch.setattr("threading.excepthook", lambda fault: faults.append(fault.exc_type))
    shown.panel._hand.do(lambda: 1 / 0)
    assert shown.panel.wait(WAIT)

    small(shown).make()

    assert faults == [ZeroDivisionError]
    assert len(shown.tiles) == 1
