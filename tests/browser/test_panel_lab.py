"""The panel in a real JupyterLab, in a real Chromium, before the sandbox on its socket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from comet_magic.catalog import MODELS
from comet_magic.notebook.panel.controls import label_of
from comet_magic.notebook.panel.form import label_of_model
from comet_magic.sandbox import Sandbox, start_sandbox
from tests.browser.conftest import settings
from tests.browser.lab import TIMEOUT, Notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext

    from tests.browser.lab import PanelPage, Server

    Open = Callable[[Sandbox | None], Notebook]

expect.set_options(timeout=TIMEOUT)
SCRIPT = "<script>window.struck=1</script><img src=x onerror='window.struck=1'><b>bold</b> $x^2$"


def small(panel: PanelPage, prompt: str = "a boat") -> PanelPage:
    """A form that asks for the smallest picture."""
    (model,) = [model for model in MODELS if model.id == "dall-e-2"]
    panel.choose("Model", label_of_model(model))
    expect(panel.root.locator(".comet-request")).to_contain_text("dall-e-2")
    panel.choose("Size", "256x256")
    panel.prompt.fill(prompt)
    expect(panel.code("cell")).to_have_text(f"%%cometimg -m dall-e-2 --size 256x256\n{prompt}")
    return panel


def bought(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.charged]


def test_the_form_follows_every_model_of_the_table(panel: PanelPage) -> None:
    names = {name for model in MODELS for name in model.parameters}
    labels = {label_of(name): name for name in names}
    panel.root.get_by_text("Advanced").click()
    for model in MODELS:
        panel.choose("Model", label_of_model(model))
        expect(panel.root.locator(".comet-request")).to_contain_text(f"· {model.id}")
        found = panel.root.locator(".widget-label:visible, .widget-label-basic:visible").all_inner_texts()
        shown = {labels[text.strip()] for text in found if text.strip() in labels}
        assert shown == set(model.parameters) - {"output_compression", "partial_images"}, model.id


def test_a_prompt_becomes_a_picture_with_its_facts(panel: PanelPage, sandbox: Sandbox) -> None:
    small(panel).generate(1)

    expect(panel.picture).to_have_attribute("alt", "a boat")
    assert panel.picture.evaluate("image => image.naturalWidth") == 256
    expect(panel.root.locator("figcaption")).to_contain_text("dall-e-2 · 256 × 256 · $0.016 · PNG")
    expect(panel.thumbnails).to_have_count(1)
    expect(panel.status).to_contain_text("Done: 1 picture")
    assert bought(sandbox) == ["a boat"]


def test_previews_appear_while_it_works(open_panel: Open) -> None:
    with start_sandbox(delay=4) as sandbox:
        panel = open_panel(sandbox).panel
        panel.choose("Quality", "low")
        panel.type("Size", "1024x640")
        panel.root.get_by_label("Show previews while it works").check()
        panel.type("Pictures", "2")
        panel.prompt.fill("a boat")
        expect(panel.code("cell")).to_contain_text("-n 2")

        panel.button("Generate").click()

        expect(panel.root.locator(".comet-line")).to_contain_text("0 of 2 done")
        expect(panel.root.get_by_alt_text("preview of picture 2")).to_be_visible()
        expect(panel.thumbnails).to_have_count(2)


def test_a_double_click_is_one_purchase(panel: PanelPage, sandbox: Sandbox) -> None:
    small(panel)

    panel.button("Generate").dblclick(delay=0)

    expect(panel.thumbnails).to_have_count(1)
    expect(panel.status).to_contain_text(re.compile("Done: 1 picture|double click"))
    assert len(bought(sandbox)) == 1


def test_an_error_is_told_with_its_request_id_and_the_next_order_works(open_panel: Open) -> None:
    with start_sandbox(fail=["moderation"]) as sandbox:
        panel = small(open_panel(sandbox).panel)
        panel.button("Generate").click()

        expect(panel.alert).to_contain_text("rejected by the safety system")
        expect(panel.alert).to_contain_text(f"request id {sandbox.log[0].request_id}")

        panel.generate(1)
        expect(panel.alert).to_have_count(0)


def test_stop_frees_the_panel_and_the_picture_comes_late(open_panel: Open) -> None:
    with start_sandbox(delay=5) as sandbox:
        panel = small(open_panel(sandbox).panel)
        panel.button("Generate").click()
        expect(panel.root.locator(".comet-line")).to_contain_text("Waiting for the model")

        panel.button("Stop").click()

        expect(panel.button("Generate")).to_be_enabled()
        expect(panel.status).to_contain_text("may be billed (at most $0.016) and runs on")
        expect(panel.root.locator(".comet-late")).to_be_visible()
        expect(panel.thumbnails).to_have_count(1)
        expect(panel.status).to_contain_text("Late, after the stop")


def test_dropping_closes_the_connection(open_panel: Open) -> None:
    with start_sandbox(delay=120) as sandbox:
        panel = small(open_panel(sandbox).panel)
        panel.button("Generate").click()
        expect(panel.root.locator(".comet-line")).to_contain_text("Waiting for the model")
        panel.button("Stop").click()

        panel.button("Drop it").click()

        assert sandbox.until(lambda log: log[0].disconnected, timeout=30)
        expect(panel.status).to_contain_text("may still be billed")
        expect(panel.root.locator(".comet-late")).to_be_hidden()


def test_another_cell_runs_while_a_picture_is_made(open_panel: Open) -> None:
    with start_sandbox(delay=120) as sandbox:
        notebook = open_panel(sandbox)
        small(notebook.panel).button("Generate").click()
        assert sandbox.until(bool, timeout=30)

        assert notebook.execute("print(6 * 7, len(panel.images))") == "42 0\n"

        notebook.execute("panel.stop(); panel.drop()")


def test_a_picture_appears_while_a_cell_blocks_the_kernel(open_panel: Open, tmp_path: Path) -> None:
    with start_sandbox(delay=2) as sandbox:
        notebook = open_panel(sandbox)
        panel = small(notebook.panel)
        panel.button("Generate").click()
        assert sandbox.until(bool, timeout=30)

        # It ends only when a picture was seen in the page: the test writes the file.
        stop = tmp_path / "stop"
        block = notebook.append("import os, time\nwhile not os.path.exists('stop'): time.sleep(0.05)")
        notebook.run(block)
        expect(panel.thumbnails).to_have_count(1)

        assert notebook.running(block)
        stop.touch()
        notebook.finished(block)


def test_the_newest_pictures_get_their_name(notebook: Notebook) -> None:
    panel = small(notebook.panel)
    panel.root.get_by_label("Assign the newest to").fill("boats")
    panel.root.get_by_label("Assign the newest to").press("Enter")
    expect(panel.code("cell")).to_contain_text("-o boats")
    panel.generate(1)

    expect(panel.status).to_contain_text("Assigned to boats")
    assert notebook.execute("print(boats.prompt, boats is panel.last)") == "a boat True\n"


def test_the_cell_is_copied_and_makes_the_same_picture(notebook: Notebook, sandbox: Sandbox) -> None:
    panel = small(notebook.panel, 'a boat for $5, "it\'s" {mine}'.replace("{mine}", "mine"))
    panel.generate(1)

    panel.root.get_by_role("button", name="Copy: notebook cell").click()
    copied = notebook.page.evaluate("() => navigator.clipboard.readText()")

    assert copied.rstrip("\n") == panel.code("cell").text_content()
    index = notebook.append(copied)
    notebook.run(index)
    notebook.finished(index)
    assert len(bought(sandbox)) == 2
    assert len(set(bought(sandbox))) == 1
    assert (
        notebook.execute(
            "print(_.data == panel.last.data or (_.prompt, _.model) == (panel.last.prompt, 'dall-e-2'))"
        )
        == "True\n"
    )


def test_text_of_a_server_is_text(notebook: Notebook) -> None:
    panel = notebook.panel
    (model,) = [model for model in MODELS if model.id == "dall-e-3"]
    panel.choose("Model", label_of_model(model))
    panel.prompt.fill(SCRIPT)
    expect(panel.code("cell")).to_contain_text("onerror")
    panel.generate(1)
    expect(panel.root.locator("figcaption")).to_contain_text(f"{SCRIPT} Painted by the sandbox.")

    panel.choose("Model", "Another model…")
    panel.type("Id of the model", SCRIPT)
    expect(panel.root.locator(".comet-request")).to_contain_text("<script>")
    panel.button("Generate").click()
    expect(panel.alert).to_contain_text("no available channel")

    expect(panel.alert).to_contain_text("onerror='window.struck=1'")
    assert panel.root.locator("b").count() == 0
    assert notebook.page.evaluate("() => window.struck") is None


def test_the_browser_downloads_the_very_file(notebook: Notebook) -> None:
    panel = small(notebook.panel)
    panel.generate(1)

    with notebook.page.expect_download() as waiting:
        panel.button("Download").click()

    data = Path(waiting.value.path()).read_bytes()
    assert waiting.value.suggested_filename.startswith("a-boat-")
    assert notebook.execute(f"print(hash(panel.last.data[0]) == hash({data!r}))") == "True\n"


def test_the_same_panel_twice_shows_the_same(notebook: Notebook) -> None:
    panel = small(notebook.panel)
    panel.generate(1)

    index = notebook.append("panel")
    notebook.run(index)

    both = notebook.page.locator(".comet-panel")
    expect(both).to_have_count(2)
    expect(both.nth(1).locator(".comet-figure img")).to_have_attribute("alt", "a boat")
    both.nth(1).get_by_label("Prompt", exact=True).fill("a ship")
    expect(both.nth(0).get_by_label("Prompt", exact=True)).to_have_value("a ship")


def test_the_keyboard_goes_through_the_form_in_reading_order_and_every_stop_has_a_name(
    panel: PanelPage,
) -> None:
    panel.prompt.focus()
    page = panel.root.page
    names = []
    for _ in range(12):
        names.append(
            page.evaluate(
                """() => {
                    const here = document.activeElement;
                    return here.getAttribute('aria-label') || here.labels?.[0]?.textContent.trim()
                        || here.closest('label')?.textContent.trim() || here.textContent.trim();
                }"""
            )
        )
        page.keyboard.press("Tab")

    assert all(names), names
    order = [
        "Prompt",
        "Model",
        "Pictures",
        "Size",
        "Quality",
        "Background",
        "Format",
        "Show previews while it works",
    ]
    assert names[: len(order)] == order
    assert "Generate" in names


def test_it_is_usable_at_400_pixels(notebook: Notebook) -> None:
    notebook.page.set_viewport_size({"width": 516, "height": 1600})
    panel = small(notebook.panel)
    panel.generate(1)

    box = panel.root.bounding_box()
    assert box is not None
    assert box["width"] < 420
    assert panel.root.evaluate("root => root.scrollWidth <= root.clientWidth")
    for control in panel.root.locator(
        "input:visible, select:visible, textarea:visible, button:visible"
    ).all():
        place = control.bounding_box()
        assert place is not None
        assert box["x"] <= place["x"]
        assert place["x"] + place["width"] <= box["x"] + box["width"] + 1


# Text over its ground, both flattened, for everything that has text of its own: the smallest contrast found.
CONTRAST = """root => {
    const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const over = (top, under) => {
        const a = top.length > 3 ? top[3] : 1;
        return [0, 1, 2].map(i => top[i] * a + under[i] * (1 - a));
    };
    const ground = node => {
        if (!node) return [255, 255, 255];
        return over(parse(getComputedStyle(node).backgroundColor), ground(node.parentElement));
    };
    const light = colour => {
        const [r, g, b] = colour.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const found = [];
    for (const node of root.querySelectorAll('*')) {
        const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
        const style = getComputedStyle(node);
        if (!own || !node.offsetParent || node.disabled || parseFloat(style.fontSize) < 4) continue;
        if (node.closest(':disabled') || node.tagName === 'OPTION' || node.tagName === 'STYLE') continue;
        const under = ground(node), ink = over(parse(style.color), under);
        const [high, low] = [light(ink), light(under)].sort((a, b) => b - a);
        found.push([(high + .05) / (low + .05), node.className + ': ' + node.textContent.trim().slice(0, 30)]);
    }
    return found.sort((a, b) => a[0] - b[0]).slice(0, 3);
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_is_readable_in_both_themes(open_panel: Open, dark: bool) -> None:
    with start_sandbox(fail=["moderation"]) as sandbox:
        notebook = open_panel(sandbox)
        notebook.theme(dark=dark)
        panel = small(notebook.panel)
        panel.button("Generate").click()
        panel.alert.wait_for()
        worst = panel.root.evaluate(CONTRAST)
        notebook.theme(dark=False)

    # https://www.w3.org/TR/WCAG22/#contrast-minimum
    assert worst[0][0] >= 4.5, worst


def test_without_a_key_it_paints_and_says_so(open_panel: Open) -> None:
    panel = open_panel(None).panel
    expect(panel.root.get_by_role("note")).to_contain_text("Sandbox: there is no key")
    expect(panel.root.locator("input[type=password]")).to_have_count(0)

    small(panel).generate(1)

    expect(panel.root.locator("figcaption")).to_contain_text(
        "sandbox picture: set COMETAPI_KEY for real ones"
    )


def test_it_works_in_notebook_7(
    lab: Server, context: BrowserContext, sandbox: Sandbox, tmp_path: Path
) -> None:
    pytest.importorskip("notebook", reason="Notebook 7 is not installed")
    lab.write("classic.ipynb", [settings(sandbox, str(tmp_path)), "panel = %cometimg_panel\npanel"])
    notebook = Notebook(context.new_page(), lab, "classic.ipynb", place="notebooks")
    notebook.run_all()

    small(notebook.panel).generate(1)

    expect(notebook.panel.picture).to_have_attribute("alt", "a boat")
    notebook.shut_down()
    notebook.page.close()
