"""The panel in a real JupyterLab, in a real Chromium, before the sandbox on its socket."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from comet_magic.notebook.panel.panel import TOO_OLD
from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.lab import TIMEOUT, Notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.lab import Server

    Open = Callable[..., Notebook]

expect.set_options(timeout=TIMEOUT)


# It ends only when the test has seen what it waits for: the test writes the file.
BLOCK = "import os, time\nwhile not os.path.exists('stop'): time.sleep(0.05)"


def bought(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.charged]


def test_a_prompt_becomes_a_picture_that_is_also_kept_below_the_panel(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    panel = notebook.panel.ask_for("a boat")
    expect(panel.price).to_contain_text("$0.016")
    panel.generate(asked=True)

    expect(panel.pictures).to_have_count(1)
    expect(panel.pictures).to_have_accessible_name("a boat")
    expect(panel.status).to_contain_text("Done: 1 picture")
    notebook.wait_for_sheet("1 picture: a boat")
    assert bought(sandbox) == ["a boat"]

    dialog = panel.open("a boat")
    picture = dialog.get_by_role("img", name="a boat")
    expect(dialog.get_by_text("dall-e-2 · 256 × 256")).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    with notebook.page.expect_download() as waiting:
        dialog.get_by_role("button", name="Download").click()
    assert waiting.value.suggested_filename == "a-boat.png"
    assert Path(waiting.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    notebook.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


# What of the panel reaches over its edges.
OUTSIDE = """root => {
    const {left, right} = root.getBoundingClientRect();
    return [...root.querySelectorAll('*')].filter(one => {
        const place = one.getBoundingClientRect();
        return place.width && (place.left < left - 1 || place.right > right + 1);
    }).map(one => one.className || one.localName);
}"""
# Controls that only their colour would show: forced colours take it away.
BORDERLESS = """root => [...root.querySelectorAll('button, textarea, select, input[type=text]')].filter(one => {
    const style = getComputedStyle(one);
    const seen = style.borderStyle !== 'none' && parseFloat(style.borderWidth) > 0
        && !/^(transparent|rgba\\(.*, 0\\))$/.test(style.borderColor);
    return one.checkVisibility({visibilityProperty: true}) && !seen;
}).map(one => one.ariaLabel || one.textContent)"""


def test_it_fits_a_narrow_window_and_respects_high_contrast_and_reduced_motion(open_panel: Open) -> None:
    with start_sandbox(delay=120) as sandbox:
        notebook = open_panel(sandbox)
        panel, page = notebook.panel.ask_for("a boat", model="gpt-image-2", size="1:1"), notebook.page
        panel.generate(asked=True)
        expect(panel.requests).to_have_count(1)
        page.emulate_media(reduced_motion="no-preference")
        moves = "root => root.getAnimations({subtree: true}).length"
        page.wait_for_function(f"root => ({moves})(root) > 0", arg=panel.root.element_handle())
        page.emulate_media(reduced_motion="reduce")
        assert panel.root.evaluate(moves) == 0
        panel.button("Stop").hover()
        assert panel.root.evaluate(moves) == 0

        page.emulate_media(forced_colors="active")
        for summary in ("More options", "As code"):
            panel.root.get_by_text(summary, exact=True).click()
        assert panel.root.evaluate(BORDERLESS) == []
        panel.prompt.focus()
        for _ in range(8):
            page.keyboard.press("Tab")
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outline")
            assert re.match(r"rgba?\((?!.*, 0\)).* (solid|auto) [2-9]px", outline)

        for width in (900, 516, 400):
            page.set_viewport_size({"width": width, "height": 1600})
            assert panel.root.evaluate(OUTSIDE) == []
            assert panel.root.evaluate("root => root.scrollWidth - root.clientWidth") == 0


def test_each_request_waits_in_the_queue_and_has_its_stop(open_panel: Open) -> None:
    with start_sandbox(delay=120) as sandbox:
        panel = open_panel(sandbox).panel.ask_for("a boat")
        panel.generate(asked=True)
        expect(panel.requests).to_have_count(1)
        panel.prompt.fill("a ship")
        panel.generate()
        expect(panel.requests).to_have_count(2)
        assert sandbox.until(lambda log: len(log) == 2, timeout=30)

        panel.requests.filter(has_text="a boat").get_by_role("button", name="Stop").click()
        expect(panel.status).to_contain_text("runs on in the background (at most $0.016). It may be billed.")
        panel.requests.filter(has_text="a boat").get_by_role("button", name="Cancel").click()
        expect(panel.requests).to_have_count(1)
        assert sandbox.until(lambda log: sum(entry.disconnected for entry in log) == 1, timeout=30)


def test_an_error_has_its_request_id_and_the_next_request_works(open_panel: Open) -> None:
    with start_sandbox(fail=["moderation"]) as sandbox:
        panel = open_panel(sandbox).panel.ask_for("a boat")
        panel.generate(asked=True)
        expect(panel.alert).to_contain_text("rejected by the safety system")
        expect(panel.alert).to_contain_text(f"request id {sandbox.log[0].request_id}")

        panel.generate()
        expect(panel.pictures).to_have_count(1)
        expect(panel.alert).to_have_count(0)


def test_input_that_cannot_be_read_stays_and_buys_nothing(notebook: Notebook, sandbox: Sandbox) -> None:
    panel = notebook.panel
    panel.prompt.fill("a boat")
    panel.list("Model").select_option("gpt-image-2")
    panel.list("Size").select_option(label="Custom…")
    panel.box("Custom size").fill("very big")

    expect(panel.box("Custom size")).to_have_attribute("aria-invalid", "true")
    expect(panel.box("Custom size")).to_have_accessible_description(re.compile("very big"))
    expect(panel.button("Generate")).to_be_disabled()
    panel.prompt.press("Control+Enter")
    expect(panel.box("Custom size")).to_have_value("very big")
    assert list(sandbox.log) == []


def test_a_key_that_came_meanwhile_is_asked_about_before_it_pays(open_panel: Open, sandbox: Sandbox) -> None:
    notebook = open_panel(None, alone=True)
    panel = notebook.panel.ask_for("a boat")
    expect(panel.group("Account")).to_contain_text("Sandbox")
    expect(panel.price).to_contain_text("play money")
    panel.generate()
    expect(panel.pictures).to_have_count(1)

    notebook.execute(f"%config CometMagics.base_url = {sandbox.base_url!r}")
    login = notebook.append("%cometimg_login")
    notebook.run(login)
    field = notebook.page.locator("input[type=password]")
    field.fill("sk-" + "browserLOGIN0123456789abcdef")
    field.press("Enter")
    notebook.finished(login)
    panel.generate()

    expect(panel.group("Confirm")).to_contain_text("real money")
    expect(panel.group("Account")).to_contain_text(sandbox.base_url)
    assert list(sandbox.log) == []
    panel.button("Do not send").click()
    expect(panel.group("Confirm")).to_have_count(0)
    assert list(sandbox.log) == []
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(2)
    assert bought(sandbox) == ["a boat"]


def test_stop_and_pictures_come_while_a_cell_blocks_the_kernel(open_panel: Open, tmp_path: Path) -> None:
    with start_sandbox(delay=8) as sandbox:
        notebook = open_panel(sandbox)
        block = notebook.append(BLOCK)
        panel = notebook.panel.ask_for("a boat")
        panel.generate(asked=True)
        assert sandbox.until(bool, timeout=30)
        notebook.run(block)

        panel.requests.get_by_role("button", name="Stop").click()
        expect(panel.status).to_contain_text("Stopped after")
        expect(panel.pictures).to_have_count(1)

        assert notebook.running(block)
        (tmp_path / "stop").touch()
        notebook.finished(block)


def test_a_click_that_waited_for_a_cell_on_an_old_kernel_buys_nothing(
    open_panel: Open, lab: Server, sandbox: Sandbox, tmp_path: Path
) -> None:
    if not lab.kernels:
        pytest.skip("COMET_TEST_KERNELS names no old kernel")
    notebook = open_panel(sandbox, kernel=lab.kernels[0])
    panel = notebook.panel.ask_for("a boat")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)
    block = notebook.append(BLOCK)
    notebook.run(block)

    panel.generate()
    expect(panel.band).to_contain_text("Waiting for the running cell")
    expect(panel.button("Generate")).to_be_disabled()
    notebook.page.wait_for_timeout(TOO_OLD * 1000)
    (tmp_path / "stop").touch()
    notebook.finished(block)

    expect(panel.root.get_by_text("click again")).to_be_visible()
    expect(panel.requests).to_have_count(0)
    assert bought(sandbox) == ["a boat"]
    panel.generate()
    expect(panel.pictures).to_have_count(2)
    assert len(bought(sandbox)) == 2


SCRIPT = (
    "<script>window.struck=1</script><img src=x onerror='window.struck=1'><b>bold</b> $x^2$ "
    "<svg onload='window.struck=1'><script>window.struck=1</script></svg>"
)


def test_text_of_a_server_is_text(notebook: Notebook) -> None:
    panel = notebook.panel.ask_for(SCRIPT, model="dall-e-3", size="")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)
    expect(panel.pictures).to_have_accessible_name(re.compile("<script>"))
    panel.pictures.click()
    dialog = panel.dialog("Picture")
    dialog.get_by_text("Details").click()
    expect(dialog.get_by_text(f"{SCRIPT} Painted by the sandbox.")).to_be_visible()
    notebook.page.keyboard.press("Escape")

    panel.list("Model").select_option(label="Custom…")
    panel.box("Custom model").fill(SCRIPT)
    panel.generate(asked=True)
    expect(panel.alert).to_contain_text("onerror='window.struck=1'")

    assert panel.root.locator("b, svg, script, mjx-container").count() == 0
    assert notebook.page.evaluate("() => window.struck") is None


def test_two_views_agree_and_a_cell_run_again_takes_over(notebook: Notebook, sandbox: Sandbox) -> None:
    panel = notebook.panel.ask_for("a boat")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)

    notebook.execute("panel")
    views = notebook.page.get_by_role("region", name="Image panel")
    expect(views).to_have_count(2)
    second = views.nth(1).get_by_role("textbox", name="Prompt")
    expect(second).to_have_value("a boat")
    second.fill("a ship")
    expect(panel.prompt).to_have_value("a ship")
    expect(views.nth(1).get_by_role("option", name="a boat")).to_be_visible()
    typed = (notebook.execute("print(panel.form.values['prompt'])") for _ in range(20))
    assert "a ship\n" in typed  # the kernel knows it a moment after the page

    notebook.run(1)
    expect(views).to_have_count(1)
    expect(panel.prompt).to_have_value("a ship")
    expect(panel.pictures).to_have_count(1)
    assert notebook.execute("print(len(panel.images), panel.last.prompt)") == "1 a boat\n"


def test_a_double_click_is_one_purchase_and_the_archive_is_searched(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    panel = notebook.panel.ask_for("a boat")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)
    panel.prompt.fill("a ship")
    panel.root.locator("button:enabled", has_text="Generate").dblclick(delay=0)
    expect(panel.pictures).to_have_count(2)
    expect(panel.requests).to_have_count(0)
    assert bought(sandbox) == ["a boat", "a ship"]

    dialog = panel.open("a boat")
    dialog.get_by_role("button", name="Star").click()
    expect(dialog.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    notebook.page.keyboard.press("Escape")

    panel.root.get_by_role("tab", name="Archive").click()
    expect(panel.pictures).to_have_count(2)
    panel.root.get_by_role("searchbox", name="Search").fill("ship")
    expect(panel.pictures).to_have_count(1)
    panel.root.get_by_role("searchbox", name="Search").fill("")
    panel.root.get_by_role("checkbox", name="Starred only").check()
    expect(panel.pictures).to_have_count(1)
    expect(panel.pictures).to_have_accessible_name("a boat")


def test_a_picture_is_edited_where_the_brush_says_and_compared_also_from_the_archive(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    panel = notebook.panel
    panel.list("Model").select_option("gpt-image-2")
    panel.list("Size").select_option("1:1")
    panel.list("Quality").select_option("low")
    panel.prompt.fill("a boat")
    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(1)
    panel.edit("a boat", "a red boat")
    panel.button("Draw mask").click()
    dialog = panel.dialog("Draw mask")
    canvas = dialog.get_by_role("application", name="Mask")
    place = canvas.bounding_box()
    assert place is not None
    mouse = notebook.page.mouse
    dialog.get_by_role("button", name="Box").click()
    mouse.move(place["x"] + place["width"] / 4, place["y"] + place["height"] / 4)
    mouse.down()
    mouse.move(place["x"] + place["width"] * 3 / 4, place["y"] + place["height"] * 3 / 4, steps=3)
    mouse.up()
    expect(dialog.get_by_role("status")).to_contain_text("25 % of the picture is marked")
    dialog.get_by_role("button", name="Use mask").click()
    expect(dialog).to_have_count(0)

    panel.generate()
    expect(panel.pictures).to_have_count(2)
    assert bought(sandbox) == ["a boat", "a red boat"]
    for tab in ("This session", "Archive"):
        panel.root.get_by_role("tab", name=tab).click()
        panel.open("a red boat").get_by_role("button", name="Compare").click()
        dialog = panel.dialog("Compare")
        for side in ("Before", "After"):
            expect(dialog.get_by_text(side, exact=True)).to_be_visible()
            picture = dialog.get_by_role("img", name=side)
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1024
        slider = dialog.get_by_role("slider", name="Before and after")
        slider.press("Home")
        expect(slider).to_have_value("0")
        notebook.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    mask = notebook.execute(
        "from PIL import Image; import numpy as np\n"
        "one, two = (np.asarray(images[0].convert('RGB')).astype(int) for images in panel.images)\n"
        "changed = (abs(one - two).sum(2) > 30).nonzero()\n"
        "print(*(int(v) for side in changed for v in (side.min(), side.max())))"
    )
    assert [abs(int(side) - (256, 767)[index % 2]) < 12 for index, side in enumerate(mask.split())] == [
        True
    ] * 4


def test_pictures_come_in_by_drop_paste_and_choice(notebook: Notebook) -> None:
    panel = notebook.panel
    panel.list("Model").select_option("gpt-image-2")
    make = """async ([root, kind]) => {
        const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 32});
        canvas.getContext('2d').fillRect(0, 0, 9, 9);
        const blob = await new Promise(done => canvas.toBlob(done));
        const data = new DataTransfer();
        data.items.add(new File([blob], `${kind}.png`, {type: 'image/png'}));
        const more = {bubbles: true, cancelable: true, composed: true};
        root.dispatchEvent(kind === 'drop' ? new DragEvent('drop', {...more, dataTransfer: data})
            : new ClipboardEvent('paste', {...more, clipboardData: data}));
    }"""
    for kind in ("drop", "paste"):
        notebook.page.evaluate(make, [panel.prompt.element_handle(), kind])
        expect(panel.button(f"Remove {kind}.png")).to_be_visible()
    with notebook.page.expect_file_chooser() as choosing:
        panel.button("Add pictures").click()
    choosing.value.set_files({"name": "note.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(panel.alert).to_contain_text("picture")
    panel.button("Remove drop.png").click()
    expect(panel.button("Remove drop.png")).to_have_count(0)
    expect(panel.button("Remove paste.png")).to_be_visible()


def test_ticked_values_are_priced_together_and_become_a_labelled_grid_of_which_some_are_downloaded(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    panel = notebook.panel.ask_for("a boat")
    panel.button("Compare values").click()
    panel.group("Size").get_by_role("checkbox", name="512x512").check(force=True)
    panel.group("Preset").get_by_role("checkbox", name="ink").check(force=True)
    panel.group("Preset").get_by_role("checkbox", name="pixel").check(force=True)
    expect(panel.root).to_contain_text("2 sizes × 2 presets = 4 pictures")
    expect(panel.price).to_contain_text("$0.068")
    assert bought(sandbox) == []

    panel.generate(asked=True)
    expect(panel.pictures).to_have_count(4)
    expect(panel.pictures.nth(3)).to_have_accessible_name(re.compile("size 256x256, preset pixel, 4 of 4"))
    assert len(bought(sandbox)) == 4
    panel.button("Select").click()
    for place in (1, 2, 3, 2):  # the third one is taken back
        panel.pictures.nth(place).click()
    with notebook.page.expect_download() as waiting:
        panel.button("Download 2").click()
    with zipfile.ZipFile(waiting.value.path()) as file:
        assert len(file.namelist()) == 2
    panel.button("Select").click()
    expect(panel.button("Download 2")).to_have_count(0)

    panel.button("View grid").click()
    picture = panel.dialog("Grid").get_by_role("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1600
    notebook.page.keyboard.press("Escape")

    panel.button("Compare values").click()
    expect(panel.list("Size")).to_have_value("512x512")
