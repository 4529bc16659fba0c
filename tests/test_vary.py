"""Grids: what varies, what models take of it, what it costs, and what comes back."""

from __future__ import annotations

import base64
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import comet_magic as cm
from comet_magic.catalog import MODELS, WIRE_PARAMETERS, Model
from comet_magic.client import close_shared_client
from comet_magic.explore.variants import QUALITIES
from comet_magic.preset_files import save_preset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL: dict[str, Any] = {"model": "dall-e-2", "size": "256x256"}
PAGE = re.compile(r'src="data:(image/\w+);base64,([^"]+)"')


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with cm.start_sandbox() as sandbox:
        monkeypatch.setenv("COMETAPI_KEY", "sandbox")
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        yield sandbox
        close_shared_client()


def sent(sandbox: Sandbox) -> int:
    """How many paid requests there were."""
    return sum(served.method == "POST" for served in sandbox.log)


def page(grid: cm.explore.Grid) -> str:
    return str(grid._repr_mimebundle_()["text/html"])


# --- what varies


@pytest.mark.parametrize("value", [None, b"cat", Image.new("L", (9, 9)), len, object()])
def test_a_word_that_is_no_text_is_refused_before_anything_is_sent(sandbox: Sandbox, value: object) -> None:
    with pytest.raises(cm.InvalidRequestError, match="for animal; it must be a text or a number"):
        cm.vary("a {animal}", words={"animal": ["cat", value]}, **SMALL)

    assert sent(sandbox) == 0


def test_a_prompt_that_stands_twice_in_a_list_is_one(sandbox: Sandbox) -> None:
    grid = cm.vary(["a {red|blue} boat", "a {red|blue} boat"], **SMALL)

    assert [cell.prompt for cell in grid.plan.cells] == ["a red boat", "a blue boat"]


@pytest.mark.parametrize("value", [{"low"}, {"a": 1}, ["low"], object(), b"low", 10**400, np.zeros(3)])
@pytest.mark.parametrize("option", [*WIRE_PARAMETERS[2:]])
def test_a_value_of_any_type_is_refused_in_a_sentence(sandbox: Sandbox, option: str, value: object) -> None:
    with pytest.raises(cm.InvalidRequestError):
        cm.vary("a boat", **{"model": "gpt-image-2", option: [value, value]})
    with pytest.raises(cm.InvalidRequestError):
        cm.generate("a boat", **{"model": "gpt-image-2", option: value})

    assert sent(sandbox) == 0


def test_the_grid_is_the_product_of_lists_words_and_alternatives(sandbox: Sandbox) -> None:
    grid = cm.vary(
        "a {red|blue} {animal}",
        size=["256x256", "512x512"],
        model="dall-e-2",
        words={"animal": ["cat", "dog"]},
    )

    assert [cell.name for cell in grid][:3] == [
        "size 256x256, cat, red",
        "size 256x256, cat, blue",
        "size 256x256, dog, red",
    ]
    assert [cell.prompt for cell in grid] == 2 * ["a red cat", "a blue cat", "a red dog", "a blue dog"]
    assert sorted(image.size for image in grid.images) == [(256, 256)] * 4 + [(512, 512)] * 4
    assert sent(sandbox) == 8
    assert grid.at(size="512x512", animal="dog", **{"red|blue": "red"}).prompt == "a red dog"


def test_a_sample_is_the_same_again_with_its_seed_and_names_it(sandbox: Sandbox) -> None:
    asked: dict[str, Any] = {"words": {"number": [str(n) for n in range(500)]}, "sample": 5, "dry_run": True}
    plans = [cm.vary("{number} boats", **SMALL, **asked, sample_seed=seed) for seed in (7, 7, 8)]
    prompts = [[cell.prompt for cell in plan.cells] for plan in plans]

    assert prompts[0] == prompts[1] != prompts[2]
    assert len(set(prompts[0])) == 5
    assert "sample_seed=7" in str(plans[0])
    with pytest.raises(cm.InvalidRequestError, match="500 combinations; a grid takes up to 200"):
        cm.vary("{number} boats", **SMALL, words={"number": range(500)})
    assert sent(sandbox) == 0


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("a boat", {"words": {"animal": ["cat"]}}, r"words contains animal; the prompt has no \{animal\}"),
        ("a {model}", {"words": {"model": ["x"]}}, "words contains model, the name of an option"),
        ("a boat", {"quality": []}, "quality is an empty list"),
        ("a boat", {"qualty": ["low"]}, "qualty is not a parameter"),
        ("a {x} {red|blue}", {}, r"\{x\} in the prompt has no value"),
        ("a boat", {"sample": 0}, "sample is 0"),
        ("a boat", {"model": "qwen-image", "quality": ["low", "high"]}, "qwen-image takes no quality"),
        ("a boat", {"image": ["nowhere.png"]}, "nowhere.png cannot be read"),
        ("", {"size": ["256x256", "512x512"]}, "prompt is empty"),
        ("a boat", {"n": 0}, "n is 0"),
    ],
)
def test_what_cannot_be_varied_is_refused_in_a_sentence_before_anything_is_sent(
    sandbox: Sandbox, prompt: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(cm.InvalidRequestError, match=said):
        cm.vary(prompt, **options)
    assert sent(sandbox) == 0


# --- what models take


@pytest.mark.parametrize(
    ("model", "option", "value", "note"),
    [
        ("gpt-image-2", "quality", "max", "quality high instead of max"),
        ("gpt-image-2", "quality", "hd", "quality high instead of hd"),
        ("dall-e-3", "quality", "low", "quality standard instead of low"),
        ("dall-e-3", "quality", "max", "quality hd instead of max"),
        ("dall-e-3", "quality", "auto", "no quality instead of auto"),
        ("dall-e-3", "size", "1536x1024", "size 1792x1024 instead of 1536x1024"),
        ("gpt-image-2", "size", "1920x1080", "size 1920x1088 instead of 1920x1080"),
    ],
)
def test_a_value_that_a_model_does_not_take_becomes_its_nearest_and_the_cell_says_so(
    sandbox: Sandbox, model: str, option: str, value: str, note: str
) -> None:
    (cell,) = cm.vary("a boat", model=model, **{option: value}, dry_run=True).cells

    assert cell.notes == (note,)
    assert cell.plan.first.body().get(option) == (None if "no " in note else note.split()[1])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_whatever_is_asked_is_legal_in_the_end_or_left_out(sandbox: Sandbox, model: Model) -> None:
    asked = {"quality": [*QUALITIES, "auto"], "size": ["auto", "16:9", "portrait", "1234x777", "64x64"]}
    for name, values in asked.items():
        try:
            plan = cm.vary("a boat", model=model.id, **{name: values}, dry_run=True)
        except cm.InvalidRequestError as error:
            assert model.needs_input or f"{model.id} takes" in str(error)
            continue
        for cell in plan.cells:
            sent = cell.plan.first.body().get(name)
            assert sent is None or model.parameters[name].admits(sent)
        assert len(plan.omitted) + sum(len(cell.places) for cell in plan.cells) == len(values)


def test_equal_cells_are_one_and_what_no_model_takes_is_left_out_by_name(sandbox: Sandbox) -> None:
    grid = cm.vary(
        "a boat", model=["gpt-image-2", "dall-e-3", "qwen-image"], quality=["high", "max"], size="1024x1024"
    )

    assert [(cell.name, cell.notes) for cell in grid] == [
        ("gpt-image-2, quality high", ()),
        ("dall-e-3, quality high", ("quality hd instead of high",)),
    ]
    assert sent(sandbox) == 2
    assert (
        grid.at(model="gpt-image-2", quality="max").data == grid.at(model="gpt-image-2", quality="high").data
    )
    assert [line for line in grid.plan.left_out if line.startswith("qwen-image, quality max: ")]
    assert "the same as gpt-image-2, quality high" in page(grid)
    with pytest.raises(cm.InvalidRequestError, match="no cell matches: quality is max; qwen-image takes no"):
        grid.at(model="qwen-image", quality="max")


def test_pictures_in_a_list_are_alternatives_and_a_list_in_it_is_several_at_once(sandbox: Sandbox) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    one: dict[str, Any] = {"model": "gpt-image-2", "size": "1024x1024", "quality": "low", "dry_run": True}

    each = cm.vary("at night", image=[red, blue], **one)
    both = cm.vary("at night", image=[[red, blue]], **one)
    left = cm.vary("at night", image=red, **{**one, "model": ["gpt-image-2", "dall-e-3"]})

    assert [len(cell.plan.first.inputs.images) for cell in each.cells] == [1, 1]
    assert [len(cell.plan.first.inputs.images) for cell in both.cells] == [2]
    assert left.left_out == ("dall-e-3: image is set; dall-e-3 takes no pictures",)


# --- money


def test_the_price_before_holds_the_sum_after_and_a_limit_is_for_the_whole_grid(sandbox: Sandbox) -> None:
    asked: dict[str, Any] = {
        "model": ["gpt-image-2", "gpt-image-2.5-flare", "gpt-image-1-mini"],
        "quality": ["low", "medium"],
        "size": "1024x1024",
    }
    plan = cm.vary("a boat", **asked, dry_run=True)
    assert plan.price.low is not None
    assert plan.price.high is not None
    with pytest.raises(cm.BudgetExceededError, match="the grid of 6 cells may cost"):
        cm.vary("a boat", **asked, max_cost=plan.price.high - 0.001)
    assert sent(sandbox) == 0

    grid = cm.vary("a boat", **asked, max_cost=plan.price.high)

    assert grid.cost is not None
    assert plan.price.low <= grid.cost <= plan.price.high
    assert grid.cost == pytest.approx(sandbox.spent)
    assert grid.to_frame()["price"].sum() == pytest.approx(grid.cost)


def test_one_value_more_pays_for_that_value_only_and_n_for_what_is_lacking(sandbox: Sandbox) -> None:
    first = cm.vary("a boat", model="dall-e-2", size=["256x256", "512x512"])
    more = cm.vary("a boat", model="dall-e-2", size=["256x256", "512x512", "1024x1024"])
    assert sent(sandbox) == 3
    assert (first.cost, more.cost) == (0.034, 0.02)
    assert [cell.reused for cell in more] == [True, True, False]
    assert [cell.price for cell in more] == [0.016, 0.018, 0.02]  # as when they were made
    assert [cell.seconds for cell in more][:2] == [cell.seconds for cell in first]

    two = cm.vary("a boat", model="dall-e-2", size=["256x256", "512x512"], n=2)
    assert [len(cell.images or ()) for cell in two] == [2, 2]
    assert sent(sandbox) == 5
    assert two.cost == 0.034

    anew = cm.vary("a boat", model="dall-e-2", size=["256x256", "512x512"], reuse=False)
    assert (sent(sandbox), anew.cost) == (7, 0.034)


# --- what comes back


def test_a_refused_cell_holds_its_error_and_the_others_come() -> None:
    with cm.start_sandbox(fail="moderation:1") as sandbox:
        where: Any = {"base_url": sandbox.base_url, "api_key": "sandbox"}
        grid = cm.vary("a {paper|wooden|tin} boat", **SMALL, **where)
        (failed,) = grid.errors
        assert isinstance(grid.errors[failed], cm.ContentPolicyError)
        assert len(grid.images) == 2
        assert page(grid).count("<img") == 2
        assert "failed</b>: " in page(grid)
        assert list(grid.to_frame()["error"].notna()).count(True) == 1

        again = cm.vary("a {paper|wooden|tin} boat", **SMALL, **where)
        assert (again.errors, sent(sandbox)) == ({}, 4)
        close_shared_client()


def test_a_grid_of_which_all_failed_raises_with_the_error_of_each() -> None:
    with cm.start_sandbox(fail="moderation") as sandbox:
        with pytest.raises(cm.ContentPolicyError) as caught:
            cm.vary("a {paper|wooden} boat", **SMALL, base_url=sandbox.base_url, api_key="sandbox")
        assert len(caught.value.errors) == 2
        close_shared_client()


def test_the_best_are_marked_all_of_them_and_given_back(sandbox: Sandbox) -> None:
    grid = cm.vary("a {paper|wooden} boat", model="dall-e-2", size=["512x512", "256x256"])

    assert page(grid).count(">cheapest<") == 2
    assert page(grid).count(">fastest<") >= 1
    assert grid.best(by="cost")[0].size == (256, 256)
    assert grid.best(by="seconds").cost in (0.016, 0.018)
    with pytest.raises(cm.InvalidRequestError, match='"cost" or "seconds"'):
        grid.best(by="beauty")  # type: ignore[arg-type]  # as somebody may


def test_the_page_is_small_in_one_format_and_every_picture_has_words(sandbox: Sandbox) -> None:
    words = {"boat": ["paper", "wooden", "tin", "glass"], "sky": ["red", "grey", "starry", "stormy"]}
    grid = cm.vary("a {boat} boat below a {sky} sky", words=words, **SMALL)

    pictures = PAGE.findall(page(grid))
    assert len(pictures) == 16
    assert {kind for kind, _ in pictures} == {"image/jpeg"}
    assert all(base64.b64decode(data).startswith(b"\xff\xd8") for _, data in pictures)
    assert len(page(grid)) <= 450_000
    assert 'alt="a glass boat below a stormy sky (dall-e-2, 256x256)"' in page(grid)
    assert set(grid._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_hostile_words_are_text(sandbox: Sandbox) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)> $x$ \u202e'
    grid = cm.vary("a {thing} {boat|ship}", words={"thing": [evil, "<b>cat</b>"]}, **SMALL)

    shown = page(grid) + page(cm.vary(f"{evil.strip()} {{boat|ship}}", **SMALL))
    assert re.findall(r"<(?:script|img src=x|b>cat)", shown) == []
    assert "onerror=alert(2)>" not in shown
    assert "\u202e" not in grid._repr_mimebundle_()["text/plain"]


def test_a_preset_is_a_style_that_varies_with_its_own_alternatives_too(sandbox: Sandbox) -> None:
    save_preset("mine", {"size": "256x256"}, "{prompt} in {oil|chalk}")
    grid = cm.vary("a boat", preset=["ink", "mine"], model="dall-e-2", size="512x512")

    assert [cell.name for cell in grid] == ["preset ink", "preset mine (oil)", "preset mine (chalk)"]
    assert [cell.prompt for cell in grid][1:] == ["a boat in oil", "a boat in chalk"]
    assert {image.size for image in grid.images} == {(512, 512)}  # an option is stronger than a preset
    asked = [cell.images.asked for cell in grid if cell.images]
    assert asked[1:] == [{"preset": "mine", "prompt": "a boat"}] * 2


def test_a_grid_survives_a_pickle_and_tells_a_listener(sandbox: Sandbox) -> None:
    events: list[object] = []
    grid = pickle.loads(pickle.dumps(cm.vary("a {paper|tin} boat", **SMALL, on_event=events.append)))

    assert [image.size for image in grid.images] == [(256, 256)] * 2
    assert page(grid).count("<img") == 2
    assert sum(type(event).__name__ == "Arrived" for event in events) == 2


def test_a_frame_has_a_row_for_each_picture_with_all_that_was_asked(sandbox: Sandbox) -> None:
    frame = cm.vary("a {price} boat", words={"price": ["cheap", "dear"]}, **SMALL, n=2).to_frame()

    assert [*frame.columns] == [
        *("model", "size", "{price}", "prompt", "price", "seconds", "path", "picture", "reused", "error")
    ]
    assert [*frame["{price}"]] == ["cheap", "cheap", "dear", "dear"]
    assert [picture.size for picture in frame["picture"]] == [(256, 256)] * 4
    assert frame["price"].sum() == pytest.approx(0.064)


def test_a_sheet_has_labels_and_every_file_is_saved_under_its_own_name(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    grid = cm.vary("a {纸船|木船}", words=None, model="dall-e-2", size=["256x256", "512x512"])

    sheet = grid.sheet(width=900)
    assert sheet.width == 900
    assert "a 纸船 (dall-e-2, 256x256)" in sheet.info["Description"]
    saved = [*grid.save(tmp_path / "new"), *grid.save(tmp_path / "new")]
    assert len({path.name for path in saved}) == 10
    assert all(path.is_file() for path in saved)
    with pytest.raises(cm.InvalidRequestError, match="width is 100"):
        grid.sheet(width=100)
