"""The panel's module under a content security policy, on a page without a notebook."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect

from tests.browser.lab import PanelPage

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

POLICY = "script-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:"
# Loads the module as anywidget does, with a model that no kernel answers.
LOADER = """
const refused = window.refused = [];
document.addEventListener('securitypolicyviolation', event => refused.push(event.violatedDirective));
const { esm, css, state } = await (await fetch('/panel.json')).json();
document.head.append(Object.assign(document.createElement('style'), { textContent: css }));
const module = await import(URL.createObjectURL(new Blob([esm], { type: 'text/javascript' })));
const widget = typeof module.default === 'function' ? await module.default() : module.default;
const model = { get: name => ({ state })[name], set() {}, save_changes() {}, send() {}, on() {}, off() {} };
const context = { model, signal: new AbortController().signal };
await widget.initialize(context);
await widget.render({ ...context, el: document.body.appendChild(document.createElement('div')) });
"""
PAGE = '<!doctype html><html lang="en"><title>panel</title><script type="module" src="/loader.js"></script>'


def test_it_loads_under_a_policy_that_names_blob_pictures_and_inline_styles(context: BrowserContext) -> None:
    from comet_magic.notebook.panel import Panel

    panel = Panel()
    facts = {"esm": panel._esm, "css": panel._css, "state": panel.state}
    panel.close()
    files = {
        "/": (PAGE, "text/html"),
        "/loader.js": (LOADER, "text/javascript"),
        "/panel.json": (json.dumps(facts), "application/json"),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text, mime = files.get(self.path, ("", "text/plain"))
            self.send_response(200 if text else 404)
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Content-Type", f"{mime}; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        shown = PanelPage(page.get_by_role("region", name="Image panel"))
        expect(shown.button("Generate")).to_be_visible()
        shown.prompt.fill("a boat")
        shown.button("Set key").click()
        expect(shown.root.get_by_text("%cometimg_login")).to_be_visible()
        assert shown.button("Generate").evaluate("button => getComputedStyle(button).borderRadius") != "0px"
        assert page.evaluate("() => window.refused") == []
        page.close()
        server.shutdown()
