"""More of the same request, and the same request at another quality."""

from __future__ import annotations

import pickle

import pytest
from PIL import Image

import comet_magic as cm
from comet_magic.images import Images

pytestmark = pytest.mark.usefixtures("plain_pictures")


def test_more_makes_new_pictures_of_the_same_request_in_any_case(tmp_path) -> None:
    with cm.start_sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        images = client.generate("a boat", size="16:9", quality="low")
        more = images.more(3)
        again = more[1:].more(1)

        calls = client.archive.history()
    assert [len(images), len(more), len(again)] == [1, 3, 1]
    assert len({call.key for call in calls}) == 1
    assert len({data for some in (images, more, again) for data in some.paths}) == 5
    assert again.asked == {"size": "16:9"}


def test_an_edit_is_upgraded_with_its_pictures_and_its_mask(tmp_path) -> None:
    photo = Image.new("RGB", (1024, 1024), "navy")
    with cm.start_sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        draft = client.generate("add a moon", image=photo, mask=(0, 0, 400, 400), quality="low")
        best = pickle.loads(pickle.dumps(draft))
        best.maker = client.generate
        best = best.upgrade("high")

    first, second = draft.request, best.request
    assert first is not None
    assert second is not None
    assert second.inputs == first.inputs
    assert second.to_dict() == {**first.to_dict(), "quality": "high"}
    assert best.cost > draft.cost
    assert best[0].crop((400, 400, 1024, 1024)).tobytes() == photo.crop((400, 400, 1024, 1024)).tobytes()


def test_what_is_not_known_or_would_change_more_is_refused_before_anything_is_sent() -> None:
    with cm.start_sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        images = client.generate("a boat", quality="low", n=2)
        with pytest.raises(cm.InvalidRequestError, match="quality is lowest"):
            images.upgrade("lowest")
        with pytest.raises(cm.InvalidRequestError, match="size would change more than this"):
            images.more(2, size="auto")
        with pytest.raises(cm.BudgetExceededError):
            images.upgrade("high", max_cost=0.01)
        with pytest.raises(cm.InvalidRequestError, match="how these pictures were made is not known"):
            Images(images.pictures).more()
        assert len(client.archive.history()) == 1


def test_the_ledger_keeps_what_was_asked_but_no_words_where_prompts_are_not_kept(tmp_path) -> None:
    import sqlite3

    with cm.start_sandbox() as sandbox:
        with cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
            client.generate("a boat", size="16:9", quality="low")
            client.generate("a boat", size="1024x1024", quality="low")
    rows = sqlite3.connect(tmp_path / "cometimg/ledger.sqlite").execute("SELECT asked FROM calls").fetchall()
    assert rows == [('{"size": "16:9"}',), (None,)]
