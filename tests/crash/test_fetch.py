"""A paid picture that did not come: fetched again by its call's id, for nothing, while its address lives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comet_magic import AsyncClient, Client, DownloadError, InvalidRequestError, PartialResultError
from tests.crash.evidence import check_money
from tests.faults import pictures

if TYPE_CHECKING:
    from tests.crash.actor import Asked
    from tests.crash.conftest import Stage

PRICED = {"price_per_image": 0.04}


@pytest.fixture
def asked(stage: Stage) -> Asked:
    return replace(stage.asked, settings=PRICED)


def lost(client: Client, prompt: str) -> str:
    """The id of a paid call whose picture did not come."""
    with pytest.raises(DownloadError) as caught:
        client.generate(prompt)
    assert caught.value.outcome == "billed"
    return client.archive.history(prompt)[0].id


def test_a_lost_picture_is_fetched_by_another_process_without_paying(stage: Stage, asked: Asked) -> None:
    prompt = "F:url-404-then-ok:4 #lost"
    with asked.client() as client:
        earlier = client.spend().spent_micro
        call = lost(client, prompt)
        before = client.spend()
    client.archive.close()
    with asked.client() as client:
        images = client.fetch(call[:8])
        entry = client.archive.entry(call)
        again = client.generate(prompt, reuse=True)
    client.archive.close()

    assert images.data == again.data == (pictures.picture(prompt),)
    assert stage.server.counts(prompt).posts == 1
    assert entry is not None
    assert (entry.outcome, entry.error, entry.cost_micro) == ("done", None, before.spent_micro - earlier)
    assert client.archive.spend(session=entry.session) == before
    assert images.cost == entry.cost
    check_money(Path(asked.folder))


def test_what_comes_neither_now_nor_then_may_come_the_third_time(stage: Stage, asked: Asked) -> None:
    prompt = "F:url-500-then-ok:8 #third"
    with asked.client() as client:
        call = lost(client, prompt)
        with pytest.raises(DownloadError):
            client.fetch(call)
        assert client.fetch(call).data == (pictures.picture(prompt),)
        with pytest.raises(InvalidRequestError, match="not a paid call with pictures still to be fetched"):
            client.fetch(call)
    client.archive.close()
    assert stage.server.counts(prompt).posts == 1


def test_only_the_missing_one_of_two_is_fetched(stage: Stage, asked: Asked) -> None:
    prompt = "F:url-one-gone #two"
    with asked.client() as client:
        with pytest.raises(PartialResultError) as caught:
            client.generate(prompt, n=2)
        gets = stage.server.counts(prompt).gets
        call = client.archive.history(prompt)[0].id
        with pytest.raises(DownloadError):
            client.fetch(call)
        (entry,) = client.archive.history(prompt)
    client.archive.close()

    assert len(caught.value.images) == len(entry.pictures) == 1
    assert stage.server.counts(prompt).gets == gets + 1
    assert stage.server.counts(prompt).posts == 1


def test_an_awaited_fetch_brings_the_picture_too(stage: Stage, asked: Asked) -> None:
    prompt = "F:url-close-then-ok:4 #awaited"

    async def fetch(call: str) -> tuple[bytes, ...]:
        arguments = {"base_url": asked.base_url, "api_key": asked.key, "archive": asked.folder}
        async with AsyncClient(**arguments) as client:  # type: ignore[arg-type]
            return (await client.fetch(call)).data

    with asked.client() as client:
        call = lost(client, prompt)
    client.archive.close()
    assert asyncio.run(fetch(call)) == (pictures.picture(prompt),)
    assert stage.server.counts(prompt).posts == 1


@pytest.mark.parametrize("call", ["", "0" * 32, "../x", "%"])
def test_what_is_no_call_cannot_be_fetched(asked: Asked, call: str) -> None:
    with asked.client() as client, pytest.raises(InvalidRequestError) as caught:
        client.fetch(call)
    client.archive.close()
    assert caught.value.outcome == "not_sent"


def test_nothing_is_left_in_the_spool_and_no_signature_after_the_fetch(stage: Stage, asked: Asked) -> None:
    prompt = "F:url-502-then-ok:4 #tidy"
    with asked.client() as client:
        call = lost(client, prompt)
        waiting = [path.name for path in Path(asked.folder, "spool").iterdir()]
        client.fetch(call)
        left = [path.name for path in Path(asked.folder, "spool").iterdir()]
    client.archive.close()
    assert (waiting, left) == ([], [])
