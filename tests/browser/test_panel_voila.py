"""The same panel as an application of its own, served by voila."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from comet_magic.sandbox import start_sandbox
from tests.browser.conftest import settings
from tests.browser.lab import TIMEOUT, PanelPage

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext

    from tests.browser.lab import Server

expect.set_options(timeout=TIMEOUT)


def test_generate_error_and_stop_work_in_voila(
    voila: Server, context: BrowserContext, tmp_path: Path
) -> None:
    with start_sandbox(delay=2, fail=["moderation"]) as sandbox:
        voila.write("panel.ipynb", [settings(sandbox, str(tmp_path)), "panel = %cometimg_panel\npanel"])
        page = context.new_page()
        page.goto(f"{voila.url}/voila/render/panel.ipynb", timeout=2 * TIMEOUT)
        panel = PanelPage(page.locator(".comet-panel"))
        panel.choose("Quality", "low")
        panel.type("Size", "1024x640")
        panel.prompt.fill("a boat")
        expect(panel.code("cell")).to_contain_text("a boat")

        panel.button("Generate").click()
        expect(panel.alert).to_contain_text("rejected by the safety system")

        panel.generate(1)
        expect(panel.picture).to_have_attribute("alt", "a boat")

        panel.button("Generate").click()
        expect(panel.root.locator(".comet-line")).to_contain_text("Waiting for the model")
        panel.button("Stop").click()
        expect(panel.status).to_contain_text("runs on")
        expect(panel.thumbnails).to_have_count(2)
        page.close()
