"""The panel without a browser: commands in, state out, and what leaves for the server."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import comet_magic as cm
from comet_magic import settings
from comet_magic.errors import ConfigurationError, InvalidRequestError
from comet_magic.notebook.panel import Panel
from comet_magic.notebook.worker import Worker
from comet_magic.text import Secret
from tests.loopback import until
from tests.notebook.panel.conftest import WAIT, Page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")


def bought(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.charged]


def png(width: int = 64, height: int = 48) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, "PNG")
    return out.getvalue()


def buy(page: Page, prompt: str = "a boat", **fields: object) -> None:
    """A click, and the yes that the first one of a kernel needs."""
    assert page.generate(prompt, **fields)["ok"]
    if page.state["ask"]:
        assert page.send("confirm", ask=page.state["ask"]["id"])["ok"]
    assert page.panel.wait(WAIT)


# --- money


def test_the_first_real_money_is_asked_for_in_place_and_sent_once(page: Page, sandbox: Sandbox) -> None:
    assert page.state["head"]["money"] == "real"

    page.generate()
    asked = page.state["ask"]
    assert bought(sandbox) == []
    assert "1 picture for at most $0.016" in asked["text"]
    assert sandbox.base_url in asked["text"]

    page.send("confirm", ask=asked["id"])
    assert not page.send("confirm", ask=asked["id"])["ok"]
    assert bought(sandbox) == ["a boat"]

    page.generate("another boat")
    assert page.state["ask"] is None
    assert bought(sandbox) == ["a boat", "another boat"]


def test_the_header_names_the_address_of_an_unknown_host_once(page: Page, sandbox: Sandbox) -> None:
    head = page.state["head"]

    assert (head["account"], head["address"]) == ("", sandbox.base_url)


def test_a_question_can_be_answered_with_no(page: Page, sandbox: Sandbox) -> None:
    page.generate()
    page.send("cancel")

    assert page.state["ask"] is None
    assert bought(sandbox) == []


def test_an_amount_above_the_limit_and_a_changed_price_are_asked_for_again(
    page: Page, sandbox: Sandbox
) -> None:
    buy(page)
    page.generate("many boats", values={"n": "9", "size": "1024x1024"}, price="$0.18")
    assert page.state["ask"] is None

    page.generate("a boat", price="$0.01")
    assert "The price has changed from $0.01" in page.state["ask"]["text"]
    page.send("confirm", ask=page.state["ask"]["id"])
    assert bought(sandbox)[-1] == "a boat"


def test_words_typed_since_the_price_was_shown_are_not_asked_about(page: Page, sandbox: Sandbox) -> None:
    buy(page, values={"model": "gpt-image-2", "size": "1024x1024", "quality": "low"})
    seen = page.state["form"]["values"]
    shown = {"price": page.state["price"]["text"], "seen": seen}
    longer = {**seen, "prompt": "many boats " * 200}
    page.send("form", values=longer)
    assert page.state["price"]["text"] != shown["price"]

    page.send("generate", values=longer, **shown)
    assert page.state["ask"] is None
    assert bought(sandbox)[-1] == longer["prompt"]

    page.send("generate", values={**longer, "quality": "medium"}, **shown)
    assert "The price has changed" in page.state["ask"]["text"]


def test_a_panel_without_a_key_asks_after_a_login_and_then_says_so(
    sandbox: Sandbox, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The address that is paid is a sandbox here: the default, which needs a key.
    monkeypatch.setattr(settings, "DEFAULT_BASE_URL", sandbox.base_url)
    monkeypatch.delenv("COMETAPI_BASE_URL")
    monkeypatch.delenv("COMETAPI_KEY")
    panel = Panel()
    page = Page(panel)
    assert page.state["head"]["money"] == "play"
    assert page.generate()["ok"]
    assert (len(panel.images), bought(sandbox)) == (1, [])
    assert panel.last is not None
    assert panel.last.notice == "sandbox"

    settings.login(Secret(key), settings.resolve_base_url())
    try:
        page.generate("a boat with a key")
        assert bought(sandbox) == []
        assert page.state["head"]["key"] == "%cometimg_login"
        page.send("confirm", ask=page.state["ask"]["id"])
        assert bought(sandbox) == ["a boat with a key"]
    finally:
        settings.logout()
    panel.close()


def test_a_click_that_waited_or_came_before_buys_nothing(page: Page, sandbox: Sandbox) -> None:
    buy(page)

    old = page.generate("an old click", t=(time.time() - 6) * 1000)
    assert not old["ok"]
    assert "waited 6 s, so nothing was sent" in old["error"]
    assert not page.generate("a click of no time", t=None)["ok"]
    assert page.generate("a click", id="once")["ok"]
    assert page.generate("a click", id="once")["ok"]
    assert bought(sandbox) == ["a boat", "a click"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("size", "1001x", "size is 1001x; dall-e-2 takes"),
        ("n", "two", "two; a call takes 1 to 100"),
        ("quality", "hd", "quality is hd"),
        ("timeout", "soon", "timeout is 'soon'; it must be a number of seconds above 0"),
        ("max_cost", "little", "it must be an amount in USD"),
        ("extra", "seed: 7", "extra must be a mapping of names to JSON values"),
    ],
)
def test_what_cannot_be_read_stays_is_told_at_its_field_and_buys_nothing(
    page: Page, sandbox: Sandbox, name: str, text: str, said: str
) -> None:
    model = {"model": "gpt-image-2", "size": ""} if name == "quality" else {}
    assert not page.generate(values={**model, name: text})["ok"]

    form = page.state["form"]
    assert form["values"][name] == text
    assert said in form["problems"][name]
    assert page.state["price"]["text"] == ""
    assert bought(sandbox) == []


def test_all_problems_are_told_at_once_and_a_limit_below_the_price_before_the_click(page: Page) -> None:
    page.send(
        "form", values={"model": "dall-e-2", "size": "1001x", "quality": "hd", "n": "101", "timeout": "x"}
    )
    assert page.state["form"]["problems"].keys() == {"size", "quality", "n", "timeout"}

    page.send("form", values={"size": "256x256", "n": "", "timeout": "", "max_cost": "0.001"})
    assert "may cost $0.016; max_cost is $0.001" in page.state["form"]["problems"]["form"]
    assert page.state["price"]["text"] == ""


def test_what_is_reused_is_free_before_and_after(page: Page, sandbox: Sandbox) -> None:
    buy(page)
    page.send("form", values={"reuse": "true"})
    assert page.state["price"] == {"text": "$0.00", "detail": "0 pictures · 0 requests · 1 reused (free)"}

    buy(page, values={"reuse": "true"}, price="$0.00")
    assert "1 picture in" in page.state["said"]
    assert page.state["said"].endswith("reused (free).")
    assert bought(sandbox) == ["a boat"]


def test_a_key_in_the_form_is_taken_out_and_stays_out_of_the_state(page: Page, key: str) -> None:
    page.send("form", values={"prompt": key})

    assert page.state["form"]["values"].get("prompt", "") == ""
    assert "looked like an API key" in page.state["form"]["note"]
    assert key not in json.dumps(page.state)


# --- pictures


def test_pictures_of_one_request_stand_in_their_order_and_are_sent_when_asked_for(page: Page) -> None:
    buy(page, values={"n": "3"})
    items = page.state["items"]

    assert [item["prompt"] for item in items] == ["a boat"] * 3
    assert len({item["run"] for item in items}) == 1
    page.send("thumbs", items=[item["id"] for item in items])
    thumbnails = {message["item"]: sent[0] for message, sent in page.messages if message["kind"] == "thumb"}
    assert sorted(thumbnails) == sorted(item["id"] for item in items)
    assert all(0 < len(data) <= 30_000 for data in thumbnails.values())

    ack = page.send("full", item=items[1]["id"])
    facts, (data,) = page.received("full", ack["id"])
    assert data == page.panel.images[0].data[1]
    assert dict(facts["rows"])["Prompt"] == "a boat"
    ack = page.send("download", item=items[1]["id"])
    facts, (data,) = page.received("download", ack["id"])
    assert facts["name"] == "a-boat.png"
    assert b"a boat" in data


def test_a_picture_goes_in_with_a_mask_of_strokes_and_comes_back_pasted(page: Page, sandbox: Sandbox) -> None:
    page.send("attach", png(128, 96), name="photo.png")
    source = page.state["inputs"][0]
    assert (source["name"], source["width"], source["height"]) == ("photo.png", 128, 96)
    strokes = [{"tool": "brush", "size": 20, "points": [30, 30, 60, 40]}]
    assert page.send("mask", input=source["id"], strokes=strokes)["ok"]
    assert page.state["inputs"][0]["mask"]

    buy(page, "make it night", values={"model": "gpt-image-2", "size": ""})
    images = page.panel.last
    assert images is not None
    assert images.pictures[0].unpasted is not None
    assert page.state["items"][0]["edited"]
    assert bought(sandbox) == ["make it night"]


def test_a_picture_that_goes_in_is_prepared_once_for_its_price_and_its_request(page: Page) -> None:
    page.send("attach", png(128, 96), name="photo.png")
    page.send("form", values={"prompt": "make it night", "model": "gpt-image-2", "size": ""})
    planned = page.panel.open_work().check()[0]
    assert planned is not None

    buy(page, "make it night", values={"model": "gpt-image-2", "size": ""})
    assert page.panel.last is not None
    assert page.panel.last.request is not None
    assert page.panel.last.request.inputs.images is planned.options["image"].images


def test_what_is_no_picture_is_told_and_not_kept(page: Page) -> None:
    assert not page.send("attach", b"<svg onload=alert(1)>", name="x.svg")["ok"]
    assert page.state["inputs"] == []
    assert "not a picture that can be opened" in page.state["error"]["title"]


def test_settings_of_a_picture_fill_the_form_and_the_archive_is_searched(page: Page) -> None:
    buy(page, "a boat")
    buy(page, "a lighthouse", values={"size": "512x512"})
    page.send("reuse", item=page.state["items"][1]["id"])
    values = page.state["form"]["values"]
    assert (values["prompt"], values["size"]) == ("a boat", "256x256")

    ack = page.send("find", words="lighthouse", model="", day="", offset=0)
    found = page.received("found", ack["id"])[0]
    assert [item["prompt"] for item in found["items"]] == ["a lighthouse"]
    assert page.send("full", item=found["items"][0]["id"])["ok"]
    assert not page.send("find", words="", model="", day="yesterday", offset=0)["ok"]
    ack = page.send("prompts")
    assert page.received("prompts", ack["id"])[0]["prompts"] == ["a lighthouse", "a boat"]


# --- work


def test_requests_queue_and_each_has_its_stop(serve: Callable[..., Sandbox]) -> None:
    serve(delay=30)
    panel = Panel()
    page = Page(panel)
    panel.form.fill({"model": "dall-e-2", "size": "256x256"}, "first")
    panel.generate()
    panel.form.fill(prompt="second", options={"model": "dall-e-2", "size": "256x256"})
    panel.generate()
    until(lambda: [run["prompt"] for run in panel.state["queue"]] == ["first", "second"])
    first, second = panel.state["queue"]
    until(lambda: len(panel.state["queue"][0]["parts"]) == 1)

    for run in (second, second, first, first):
        panel._handle_custom_msg(
            {"kind": "stop", "id": f"{run['id']}-{time.monotonic_ns()}", "run": run["id"]}, []
        )
    assert panel.wait(WAIT)
    assert page.state["queue"] == []
    panel.close()


def test_a_refusal_becomes_an_error_that_can_be_dismissed(page: Page) -> None:
    page.send("full", item="gone")
    assert "not in the panel any more" in page.state["error"]["title"]
    page.send("dismiss")
    assert page.state["error"] is None


def test_after_a_refusal_the_status_says_that_no_picture_came(serve: Callable[..., Sandbox]) -> None:
    serve(fail="400")
    panel = Panel()
    page = Page(panel)
    buy(page)

    assert page.state["said"] == "No picture came."
    assert page.state["error"]["title"]
    panel.close()


def test_the_panel_of_a_name_is_taken_over_with_its_pictures_and_requests(
    serve: Callable[..., Sandbox],
) -> None:
    sandbox = serve()
    before = cm.panel("boats")
    before.form.fill({"model": "dall-e-2", "size": "256x256"}, "a boat")
    before.generate()
    after = cm.panel("boats")
    assert after.wait(WAIT)

    assert [images.prompt for images in after.images] == ["a boat"]
    assert after.form.values["prompt"] == "a boat"
    assert bought(sandbox) == ["a boat"]
    with pytest.raises(ConfigurationError, match="closed"):
        before.generate()
    after.close()


def test_python_fills_known_fields_only_and_nothing_after_close(page: Page) -> None:
    panel = page.panel
    with pytest.raises(InvalidRequestError, match="qualty is not a parameter"):
        panel.form.fill({"qualty": "low"})
    panel.close()
    panel.close()
    for act in (panel.generate, lambda: panel.form.fill({}, "x")):
        with pytest.raises(ConfigurationError, match="this panel was closed"):
            act()
    assert panel.images == []


def test_a_star_is_kept_in_the_archive_and_found_there(page: Page) -> None:
    buy(page, "a boat")
    buy(page, "a lighthouse")
    assert page.send("star", item=page.state["items"][1]["id"], on=True)["ok"]
    assert page.state["items"][1]["starred"]

    ack = page.send("find", words="", model="", day="", starred=True, offset=0)
    found = page.received("found", ack["id"])[0]["items"]
    assert [(item["prompt"], item["starred"]) for item in found] == [("a boat", True)]


def test_more_like_this_is_one_more_of_the_same_request(page: Page, sandbox: Sandbox) -> None:
    buy(page, "a boat", values={"n": "2"})
    assert page.send("more", item=page.state["items"][0]["id"])["ok"]

    assert [len(images) for images in page.panel.images] == [2, 1]
    assert bought(sandbox)[-1] == "a boat"


def test_a_preset_is_priced_and_sent_and_a_file_with_a_recipe_fills_the_form(
    page: Page, tmp_path: Path
) -> None:
    buy(page, "a boat", values={"preset": "watercolor"})
    images = page.panel.last
    assert images is not None
    assert "loose watercolor" in images.prompt

    page.send("attach", images.save(tmp_path / "boat.png")[0].read_bytes(), name="boat.png")
    source = page.state["inputs"][0]
    page.panel.form.fill({"model": "qwen-image"}, "something else")
    assert source["recipe"]
    assert page.send("recipe", input=source["id"])["ok"]
    assert page.state["form"]["values"]["model"] == "dall-e-2"
    assert "boat" in page.state["form"]["values"]["prompt"]


# --- a grid


def compare(page: Page, prompt: str = "a boat", **values: str) -> None:
    """A click on Generate with several values in some fields, and the yes."""
    page.send("form", values={"prompt": prompt, **values})
    page.send("generate", values={}, price=page.state["price"]["text"])
    if page.state["ask"]:
        assert page.send("confirm", ask=page.state["ask"]["id"])["ok"]
    assert page.panel.wait(WAIT)


def test_two_fields_with_several_values_are_priced_asked_about_once_and_become_a_labelled_grid(
    page: Page, sandbox: Sandbox
) -> None:
    values = {"prompt": "a boat", "model": "gpt-image-2,gpt-image-1-mini", "quality": "low,high", "size": ""}
    page.send("form", values={**values, "size": "1024x1024"})
    price = page.state["price"]
    assert price["detail"] == "2 models × 2 qualities = 4 pictures"
    page.send("generate", values={}, price=price["text"])
    assert "4 pictures for " in page.state["ask"]["text"]
    assert price["text"].removeprefix("at most ") in page.state["ask"]["text"]
    assert bought(sandbox) == []
    page.send("confirm", ask=page.state["ask"]["id"])

    assert bought(sandbox) == ["a boat"] * 4
    items = page.state["items"]
    assert [item["place"] for item in items] == [
        ["gpt-image-2", "quality low", ""],
        ["gpt-image-2", "quality high", ""],
        ["gpt-image-1-mini", "quality low", ""],
        ["gpt-image-1-mini", "quality high", ""],
    ]
    assert {(item["run"], item["group"]) for item in items} == {(items[0]["run"], price["detail"])}
    assert page.panel.last is not None
    assert len(page.panel.last) == 4
    ack = page.send("grid", item=items[0]["id"])
    labelled = Image.open(io.BytesIO(page.received("grid", ack["id"])[1][0]))
    assert labelled.width == 1600
    assert [grid for _, _, grid in page.panel.open_work().kept()] == [True]
    assert len(json.dumps(page.state)) < 20_000


def test_a_grid_names_what_it_leaves_out_or_changes_and_what_is_too_large_buys_nothing(
    page: Page, sandbox: Sandbox
) -> None:
    page.send("form", values={"prompt": "a boat", "model": "dall-e-2,dall-e-3", "size": "256x256,1024x1024"})
    assert page.state["price"]["detail"] == "2 models × 2 sizes = 3 pictures"
    assert "dall-e-3, size 256x256 is the same as dall-e-3, size 1024x1024" in page.state["form"]["note"]

    for values, said in (
        ({"n": "40"}, "these values make 120 pictures; one grid has up to 60"),
        ({"n": "many"}, "n is"),
        ({"max_cost": "0.01"}, "0.01"),
        ({"size": "big,huge"}, "size is"),
    ):
        ack = page.send("generate", values={"n": "", "max_cost": "", **values}, price="")
        assert not ack["ok"]
        assert said in ack["error"]
    assert bought(sandbox) == []


def test_words_in_the_prompt_are_compared_too_and_a_cell_of_the_grid_fills_the_form(
    page: Page, sandbox: Sandbox
) -> None:
    compare(page, "a {paper|wooden} boat", model="dall-e-2", size="256x256,512x512")
    assert sorted(map(str, bought(sandbox))) == ["a paper boat"] * 2 + ["a wooden boat"] * 2
    item = page.state["items"][3]
    assert item["place"][:2] == ["size 512x512", "wooden"]

    assert page.send("reuse", item=item["id"])["ok"]
    values = page.state["form"]["values"]
    assert (values["model"], values["size"], values["prompt"]) == ("dall-e-2", "512x512", "a wooden boat")


def test_a_grid_costs_what_its_pictures_cost_together(page: Page) -> None:
    compare(page, model="dall-e-2", size="256x256,512x512")

    assert page.panel.last is not None
    assert page.panel.last.cost == 0.034
    assert "2 pictures in" in page.state["said"]
    assert page.state["said"].endswith(", $0.034.")


def test_a_grid_with_an_unknown_cost_says_at_least(serve: Callable[..., Sandbox]) -> None:
    serve(fail="500:1")
    panel = Panel()
    page = Page(panel)
    compare(page, model="dall-e-2", size="256x256,512x512")

    assert len(panel.images) == 1
    assert re.search(r", at least \$0\.01[68]\. 2 were requested\.$", page.state["said"])
    panel.close()


def test_one_prompt_stands_for_all_pictures_of_a_grid_and_each_opens_with_its_own(page: Page) -> None:
    compare(page, "a boat", model="dall-e-2", size="256x256", preset="ink,oil")
    items = page.state["items"]
    assert [(item["prompt"], item["place"][1]) for item in items] == [
        ("a boat", "preset ink"),
        ("a boat", "preset oil"),
    ]

    prompts = []
    for item in items:
        ack = page.send("full", item=item["id"])
        prompts.append(dict(page.received("full", ack["id"])[0]["rows"])["Prompt"])
    assert ["ink line drawing" in prompt for prompt in prompts] == [True, False]
    assert ["oil painting" in prompt for prompt in prompts] == [False, True]
    page.send("reuse", item=items[1]["id"])
    values = page.state["form"]["values"]
    assert (values["prompt"], values["preset"]) == ("a boat", "oil")


def test_words_that_make_a_grid_larger_after_its_price_was_shown_are_asked_about(
    page: Page, sandbox: Sandbox
) -> None:
    compare(page, model="dall-e-2", size="256x256,512x512")
    state, count = page.state, len(bought(sandbox))
    values = {**state["form"]["values"], "prompt": "a {red|blue} boat"}
    page.send("generate", values=values, price=state["price"]["text"], seen=state["form"]["values"])

    assert "The price has changed from $0.034" in page.state["ask"]["text"]
    assert "4 pictures" in page.state["ask"]["text"]
    assert len(bought(sandbox)) == count == 2


def test_stop_of_a_grid_stops_all_of_it(serve: Callable[..., Sandbox]) -> None:
    sandbox = serve(delay=60)
    panel = Panel()
    page = Page(panel)
    panel.form.fill({"model": "dall-e-2", "size": ["256x256", "512x512"]}, "a boat")
    panel.generate()
    assert sandbox.until(lambda log: len(log) == 2, timeout=WAIT)
    until(lambda: len(panel.state["queue"]) == 1)
    (run,) = panel.state["queue"]
    assert [part["place"] for part in run["parts"]] == [["", "size 256x256", ""], ["", "size 512x512", ""]]

    for number in range(2):
        command = {"kind": "stop", "id": f"stop-{number}", "run": run["id"]}
        panel._handle_custom_msg(command, [])
    assert panel.wait(WAIT)
    assert page.state["queue"] == []
    assert "2 requests" in page.state["said"]
    panel.close()


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ({"n": "2", "size": "256x256"}, "%%cometimg -m dall-e-2 -n 2 --size 256x256\na boat"),
        (
            {"size": "256x256,512x512"},
            "%%cometimg -m dall-e-2 --vary size=256x256,512x512 --no-reuse\na boat",
        ),
        (
            {"preset": "watercolor", "max_cost": "1.5"},
            "%%cometimg -m dall-e-2 --preset=watercolor --max-cost=1.5\na boat",
        ),
        (
            {"model": "dall-e-2,dall-e-3", "prompt": "a {paper|wooden} boat"},
            "%%cometimg --vary model=dall-e-2,dall-e-3 --no-reuse\na {paper|wooden} boat",
        ),
    ],
)
def test_the_form_as_code_asks_for_the_same(page: Page, values: dict[str, str], cell: str) -> None:
    page.send("form", values={"prompt": "a boat", "model": "dall-e-2", "size": "", **values})
    ack = page.send("code")
    texts = page.received("code", ack["id"])[0]

    assert texts["cell"] == cell
    call = "vary" if "," in cell else "generate"
    assert f"cm.{call}(" in texts["python"]
    compile(texts["python"], "python", "exec")
    planned = page.panel.open_work().check()[0]
    assert planned is not None
    assert all(request.prompt in texts["request"] for request in planned.plan.requests)


# --- an edit again


def test_more_like_an_edit_and_its_settings_bring_back_picture_mask_and_prompt(
    page: Page, sandbox: Sandbox
) -> None:
    page.send("attach", png(128, 96), name="photo.png")
    strokes = [{"tool": "brush", "size": 20, "points": [30, 30, 60, 40]}]
    page.send("mask", input=page.state["inputs"][0]["id"], strokes=strokes)
    buy(page, "make it night", values={"model": "gpt-image-2", "size": "", "quality": "low"})
    page.send("detach", input=page.state["inputs"][0]["id"])
    page.send("form", values={"prompt": "something else", "quality": "high"})

    assert page.send("more", item=page.state["items"][0]["id"])["ok"]
    first, second = (cm.recipe(images[:]) for images in page.panel.images)
    assert (first, "mask" in first) == (second, True)
    assert bought(sandbox) == ["make it night"] * 2
    assert page.state["items"][0]["edited"]
    assert page.state["inputs"] == []

    for found in (page.state["items"][0], archived(page, "night")):
        page.send("form", values={"prompt": "something else", "quality": "high"})
        assert page.send("reuse", item=found["id"])["ok"]
        form, (source,) = page.state["form"], page.state["inputs"]
        assert (form["values"]["prompt"], form["values"]["quality"]) == ("make it night", "low")
        assert (source["width"], source["height"], source["mask"]) == (128, 96, True)
        ack = page.send("input", input=source["id"])
        assert page.received("input", ack["id"])[1][0]
        page.send("detach", input=source["id"])


def archived(page: Page, words: str) -> dict[str, Any]:
    """The newest picture of the archive that these words find."""
    ack = page.send("find", words=words, model="", day="", offset=0)
    return dict(page.received("found", ack["id"])[0]["items"][0])


def test_a_preset_is_not_put_into_the_prompt_twice(page: Page, sandbox: Sandbox) -> None:
    buy(page, "a boat", values={"preset": "watercolor"})
    item = page.state["items"][0]
    page.send("more", item=item["id"])
    page.send("reuse", item=item["id"])

    assert len(set(bought(sandbox))) == 1
    values = page.state["form"]["values"]
    assert (values["prompt"], values["preset"]) == ("a boat", "watercolor")


# --- the thread


def test_a_thread_that_cannot_show_what_changed_waits_for_the_next_task() -> None:
    faults: list[BaseException] = []

    def show() -> None:
        raise ValueError("it cannot be shown")

    def fail(fault: BaseException) -> None:
        faults.append(fault)
        worker.wake()

    worker = Worker(show, fail)
    for number in (1, 2):
        worker.do(lambda: None)
        assert worker.wait(WAIT)
        assert len(faults) == 2 * number
    worker.end()


def test_a_thread_that_fails_once_to_show_what_changed_shows_it_and_the_fault() -> None:
    faults: list[BaseException] = []
    shown: list[int] = []

    def show() -> None:
        if not faults:
            raise ValueError("it cannot be shown yet")
        shown.append(len(faults))

    worker = Worker(show, faults.append)
    worker.do(lambda: None)
    assert worker.wait(WAIT)
    assert shown == [1]
    worker.end()


# --- what a page and a notebook carry


def test_the_module_and_its_styles_take_at_most_60_kb_and_lose_only_comments_and_blanks() -> None:
    sent = (Panel._esm + Panel._css).encode()
    assert len(sent) <= 60_000

    folder = files("comet_magic.notebook.panel")
    for text, names in ((Panel._esm, ("host.js", "brush.js", "panel.js")), (Panel._css, ("panel.css",))):
        source = "\n".join((folder / name).read_text("utf-8") for name in names)
        assert quoted(text) == quoted(source)  # as they stand in the files, in their order
    assert Panel._esm.count("export default") == Panel._esm.count("export ") == 1


def quoted(text: str) -> list[str]:
    """The texts between quotes, outside of comments and imports."""
    found = re.finditer(
        r'("(?:[^"\\\n]|\\.)*"|`[^`]*`)|/\*.*?\*/|//[^\n]*|^import [^\n]*', text, re.DOTALL | re.MULTILINE
    )
    return [one[1] for one in found if one[1]]


def test_pictures_are_downloaded_together_as_one_file_with_their_recipes(page: Page) -> None:
    compare(page, model="dall-e-2", size="256x256,512x512")
    ack = page.send("download", items=[item["id"] for item in page.state["items"]])

    facts, (data,) = page.received("download", ack["id"])
    assert (facts["name"], facts["mime"]) == ("a-boat.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.namelist() == ["01-size-256x256-a-boat.png", "02-size-512x512-a-boat.png"]
        assert cm.recipe(file.read(file.namelist()[1]))["size"] == "512x512"
    assert not page.send("download", items=["gone"])["ok"]


@pytest.mark.parametrize("values", [{"n": "10"}, {"size": "256x256,512x512", "n": "5"}])
def test_twenty_pictures_take_at_most_20_kb_of_state_also_in_grids(
    page: Page, values: dict[str, str]
) -> None:
    for _ in range(2):
        compare(
            page,
            "a paper boat on calm water at sunrise, " * 3,
            **{"model": "dall-e-2", "size": "256x256", **values},
        )

    assert len(page.state["items"]) == 20
    assert len(json.dumps(page.state)) <= 20_000
