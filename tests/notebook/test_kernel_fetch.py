"""A paid picture whose download failed is fetched again for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.pipeline.endpoint import Endpoint

from .conftest import KEY, Kernel


@pytest.fixture
def shop() -> Iterator[Endpoint]:
    """An endpoint that gives addresses, of which none gives its picture yet."""
    with Endpoint(urls=True) as shop:
        shop.sold_out = True
        yield shop


def test_a_picture_that_did_not_come_is_fetched_again_for_nothing(kernel: Kernel, shop: Endpoint) -> None:
    kernel.run(
        f"import os; os.environ['COMETAPI_KEY'] = {KEY!r}; os.environ['COMETAPI_BASE_URL'] = {shop.base_url!r}"
    )
    failed = kernel.run("%cometimg -m dall-e-2 --size 256x256 a boat")
    listed = "".join(output.data["text/plain"] for output in kernel.run("%cometimg_history").outputs)
    found = re.search(r"\b[0-9a-f]{8}\b", listed)
    assert found

    closed = kernel.run(f"%cometimg_history --fetch {found[0]}")
    shop.sold_out = False
    fetched = kernel.run(f"%cometimg_history --fetch {found[0]}")
    again = kernel.run(f"%cometimg_history --fetch {found[0]}")

    assert failed.error is not None
    assert failed.error["ename"] == "DownloadError"
    assert closed.error is not None
    assert [output.pictures for output in fetched.shown] == [["image/png"]]
    assert "UsageError" in again.traceback[0]
    assert shop.paid == 1


def test_fetching_needs_an_id(kernel: Kernel) -> None:
    assert "--fetch needs the ID of a call" in kernel.run("%cometimg_history --fetch boats").traceback[0]
