"""Pictures side by side."""

from __future__ import annotations

import pytest
from PIL import Image

import comet_magic as cm

pytestmark = pytest.mark.usefixtures("plain_pictures")

HOSTILE = "a <b onclick=x>boat</b> $\\alpha$"


def test_pictures_are_shown_side_by_side_with_what_is_known_of_each() -> None:
    with cm.start_sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        draft = client.generate(HOSTILE, quality="low", size="1024x1024", n=2)
        best = draft[:1].upgrade("high")
        compared = cm.compare(draft, Image.new("RGB", (30, 20), "navy"), best=best)

    bundle = compared._repr_mimebundle_()
    page, text = bundle["text/html"], bundle["text/plain"]
    assert page.count("<img ") == 4
    assert len(page) < 450_000
    assert "<b onclick" not in page
    assert "<b onclick" in text
    assert text.splitlines()[0].split() == ["1", "2", "3", "best"]
    assert "quality=high" in text
    assert "30x20" in text
    assert text.count("$0.") == 3
    assert repr(compared) == text
    assert best.seconds > 0


@pytest.mark.parametrize(("given", "problem"), [((), "0 pictures"), ((3,), "int is not a picture")])
def test_what_is_not_a_picture_is_refused(given: tuple, problem: str) -> None:
    with pytest.raises(cm.InvalidRequestError, match=problem):
        cm.compare(*given)
    with pytest.raises(cm.InvalidRequestError, match="25 pictures"):
        cm.compare([Image.new("L", (1, 1))] * 25)
