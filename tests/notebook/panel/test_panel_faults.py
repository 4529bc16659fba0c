"""Every fault has one honest ending in the panel too: told in the error's words, and the panel goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import pytest

from comet_magic.notebook.panel import Panel
from comet_magic.notebook.session import session
from tests.faults.ending import CONTROL, marked, secrets_in
from tests.faults.expected import DOORS
from tests.faults.row import within
from tests.faults.server import FaultServer
from tests.notebook.panel.shown import WAIT, Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.row import Row

# For each row what a person reads of it; the form has no field for the settings of the other rows.
SAID = {
    "F:error-xss": "the server answered 400",
    "F:error-echo-key": "Check the key",
    "F:403-quota": "Top up the account",
    "F:content-policy": "Change the prompt",
    "F:429-huge": "60 min",
    "F:500": "the server answered 500",
    "F:html-200": "not readable as JSON",
    "F:svg-script": "not a PNG, JPEG or WEBP image",
    "F:png-bomb": "pixels",
    "F:url-metadata": "was not fetched",
    "F:url-403-expired": "expired",
    "F:one-bad-image": "1 of 2 pictures arrived",
    "F:sse-cut": "",
    "F:revised-xss": "",
}
LONG = {
    "F:400": "the server answered 400",
    "F:401": "Check the key",
    "F:502-html": "a web page instead of an answer",
    "F:close-no-response": "was lost",
    "F:truncated-chunked": "was cut",
    "F:error-in-200": "the server reported an error in its answer",
    "F:data-empty": "contains no pictures",
    "F:b64-odd-length": "base64",
    "F:url-one-gone": "1 of 2 pictures arrived",
    "F:data-fewer": "",
    "F:revised-markdown": "",
    "F:flaky:2": "",
    "F:sse-ok": "",
}
WORDS = SAID | LONG
ROWS = [
    pytest.param(row, marks=pytest.mark.full if row.prompt in LONG else (), id=str(row))
    for row in DOORS
    if row.prompt in WORDS and row.base == "base_url" and not row.client
]


@pytest.fixture
def shown(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    monkeypatch.setenv("COMETAPI_BASE_URL", server.base_url)
    monkeypatch.setenv("COMETAPI_KEY", server.key)
    panel = Panel()
    yield Shown(panel)
    panel.close()
    for job in session.jobs():
        job.drop()
    panel.wait(WAIT)
    session.close()


def wrong(row: Row, shown: Shown) -> Iterator[str]:
    """What of the page is not as the row states."""
    words, failed = shown.words("comet-error"), row.ends != "ok"
    if bool(words) is not failed:
        yield f"{words!r} is told; {row.ends} was due"
    if failed and not any(words.endswith(name) for name in row.classes):
        yield f"the kind of the error is not told: {words}"
    missing = [each for each in (WORDS[row.prompt], *row.says) if each not in words]
    yield from (f"{each!r} is not told: {words}" for each in missing)
    due = row.images if row.images is not None else 0 if failed else row.n
    if len(shown.tiles) != due:
        yield f"{len(shown.tiles)} pictures are shown; {due} were due"
    state = json.dumps(widgets.Widget.get_manager_state(), ensure_ascii=False)
    yield from (f"a widget holds {form}" for form in secrets_in(state))
    for widget in shown.widgets:
        value: Any = getattr(widget, "value", "")
        if isinstance(widget, widgets.HTML) and ("<script" in value or "<img src=x" in value):
            yield f"markup of the server in {value[:200]}"
        if isinstance(value, str) and CONTROL.search(value):
            yield f"control characters in {value[:200]!r}"


@pytest.mark.parametrize("row", ROWS)
def test_the_ending_is_the_same_in_the_panel_which_goes_on(
    row: Row, shown: Shown, server: FaultServer
) -> None:
    prompt = marked(row)
    shown.panel.form.fill(row.arguments, prompt)
    shown.make()

    found, counts = list(wrong(row, shown)), server.counts(prompt)
    for name, value, limits in (("POSTs", counts.posts, row.posts), ("GETs", counts.gets, row.gets)):
        if not within(value, limits):
            found.append(f"{value} {name}; {limits} was due")
    told = shown.words("comet-error")
    if row.ends != "ok" and any(f"request id {each}" not in told for each in counts.request_ids[-1:]):
        found.append(f"the request id is not told: {told}")
    assert not found, "\n".join(found)

    before = len(shown.tiles)
    shown.panel.form.fill({}, marked(row).replace(row.prompt, "F:normal"))
    shown.make()
    assert shown.part("comet-error").value == ""
    assert len(shown.tiles) == before + 1
