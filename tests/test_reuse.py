"""With `reuse`, what the archive holds costs nothing; only what is missing is paid for."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic import AsyncClient, BudgetExceededError, Client, DownloadError, PartialResultError, SaveError
from tests.faults.server import FaultServer
from tests.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comet_magic.images import Images


@pytest.fixture
def arguments(server: FaultServer, tmp_path: Path) -> dict[str, Any]:
    return {"base_url": server.base_url, "api_key": server.key, "archive": tmp_path / "cometimg"}


@pytest.fixture
def client(arguments: dict[str, Any]) -> Iterator[Client]:
    with Client(**arguments) as client:
        yield client
    client.archive.close()


def copies(images: Images) -> list[str]:
    """Which pictures they are; equal bytes of two copies are two pictures."""
    return [Path(path or "").name for path in images.paths]


def test_the_same_call_again_costs_nothing_and_gives_the_same_bytes(
    server: FaultServer, client: Client
) -> None:
    first = client.generate("again", n=3, reuse=True)
    spent, rows = client.spend(), client.archive.history(limit=None)
    for _ in range(3):
        images = client.generate("again", n=3, reuse=True)
        assert (images.data, images.paths, images.request_ids) == (first.data, first.paths, first.request_ids)
        assert images.cost == 0
        assert all(picture.reused for picture in images.pictures)

    assert server.counts("again").posts == 1
    assert client.spend() == spent
    assert client.archive.history(limit=None) == rows


def test_more_pictures_than_there_are_pay_for_the_rest(server: FaultServer, client: Client) -> None:
    two = client.generate("more", n=2, reuse=True)
    four = client.generate("more", n=4, reuse=True)
    again = client.generate("more", n=4, reuse=True)

    assert [body.get("n", 1) for body in server.counts("more").bodies] == [2, 2]
    assert copies(four)[:2] == copies(two)
    assert len(set(copies(four))) == 4
    assert copies(again) == copies(four)
    assert [picture.reused for picture in four.pictures] == [True, True, False, False]
    assert four.cost == two.cost


def test_fewer_pictures_than_there_are_are_the_newest(server: FaultServer, client: Client) -> None:
    client.generate("fewer")
    newest = client.generate("fewer")
    assert copies(client.generate("fewer", reuse=True)) == copies(newest)
    assert server.counts("fewer").posts == 2


def test_a_model_that_makes_one_at_a_time_pays_for_the_rest_too(server: FaultServer, client: Client) -> None:
    asked: dict[str, Any] = {"model": "dall-e-3", "response_format": "url", "reuse": True}
    one = client.generate("one at a time", **asked)
    three = client.generate("one at a time", n=3, **asked)

    assert server.counts("one at a time").posts == 3
    assert copies(three)[0] == copies(one)[0]
    assert len(set(copies(three))) == 3
    client.generate("one at a time", n=3, **asked)
    assert server.counts("one at a time").posts == 3


def test_without_reuse_the_same_call_is_another_picture(server: FaultServer, client: Client) -> None:
    first, second = client.generate("fresh"), client.generate("fresh")
    assert copies(first) != copies(second)
    assert server.counts("fresh").posts == 2


@pytest.mark.parametrize(
    "other",
    [{"quality": "high"}, {"size": "1536x1024"}, {"model": "gpt-image-1"}, {"output_format": "jpeg"},
     {"extra": {"seed": 1}}],
    ids=str,
)  # fmt: skip
def test_other_parameters_are_another_picture(
    server: FaultServer, client: Client, other: dict[str, Any]
) -> None:
    prompt = f"other {other}"
    client.generate(prompt, reuse=True)
    client.generate(prompt, reuse=True, **other)
    assert server.counts(prompt).posts == 2


def test_what_does_not_change_the_picture_does_not_matter(server: FaultServer, client: Client) -> None:
    client.generate("the same", user="a", timeout=20, reuse=True)
    client.generate("the same", user="b", timeout=30, stream=True, partial_images=2, reuse=True)
    assert server.counts("the same").posts == 1


PROCESS = """
import json, sys
from comet_magic import Client
base_url, key, folder = sys.argv[1:]
with Client(base_url=base_url, api_key=key, archive=folder) as client:
    images = client.generate("by another process", n=2, reuse=True)
    print(json.dumps([[picture.sha256, picture.reused] for picture in images.pictures]))
client.archive.close()
"""


def test_another_process_reuses_what_this_one_paid(
    server: FaultServer, client: Client, arguments: dict[str, Any]
) -> None:
    images = client.generate("by another process", n=2)
    seen = json.loads(run(PROCESS, arguments["base_url"], arguments["api_key"], arguments["archive"]))
    assert seen == [[picture.sha256, True] for picture in images.pictures]
    assert server.counts("by another process").posts == 1


def test_limits_on_money_count_only_what_is_missing(
    server: FaultServer, client: Client, arguments: dict[str, Any]
) -> None:
    small: dict[str, Any] = {"model": "dall-e-2", "size": "256x256", "reuse": True}  # 1.6 cents each
    client.generate("poor", n=2, **small)
    with Client(**arguments, max_cost_session=0.001, max_cost=0.05) as poor:
        assert len(poor.generate("poor", n=2, max_cost=0.000001, **small)) == 2
        with pytest.raises(BudgetExceededError):
            poor.generate("poor", n=2, max_cost=0.01, **small | {"size": "512x512"})
        with pytest.raises(PartialResultError) as caught:
            poor.generate("poor", n=3, **small)
    poor.archive.close()
    assert isinstance(caught.value.errors[0], BudgetExceededError)
    assert (len(caught.value.images), caught.value.outcome) == (2, "not_sent")
    assert server.counts("poor").posts == 1


def test_a_picture_whose_file_was_removed_is_paid_for_again(server: FaultServer, client: Client) -> None:
    images = client.generate("removed", n=3)
    Path(images.paths[1] or "").unlink()
    again = client.generate("removed", n=3, reuse=True)

    assert [body.get("n", 1) for body in server.counts("removed").bodies] == [3, 1]
    assert copies(again)[:2] == [copies(images)[0], copies(images)[2]]


def test_a_damaged_picture_is_never_shown_as_the_one_that_was_paid(
    server: FaultServer, client: Client
) -> None:
    images = client.generate("damaged")
    Path(images.paths[0] or "").write_bytes(b"damaged")
    with pytest.raises(SaveError, match="cannot be read") as caught:
        client.generate("damaged", reuse=True)
    assert caught.value.outcome == "not_sent"
    assert server.counts("damaged").posts == 1


def test_without_an_archive_there_is_nothing_to_reuse(server: FaultServer, arguments: dict[str, Any]) -> None:
    with Client(**arguments | {"archive": None}) as client:
        for _ in range(2):
            assert client.generate("nowhere", reuse=True).cost != 0
    assert server.counts("nowhere").posts == 2


def test_an_awaited_call_reuses_too(server: FaultServer, arguments: dict[str, Any]) -> None:
    async def twice() -> list[Images]:
        async with AsyncClient(**arguments) as client:
            images = [await client.generate("awaited", n=2, reuse=True) for _ in range(2)]
        client.archive.close()
        return images

    first, second = asyncio.run(twice())
    assert (second.data, second.cost) == (first.data, 0)
    assert server.counts("awaited").posts == 1


def test_a_call_made_as_another_one_ends_may_reuse_it(server: FaultServer, client: Client) -> None:
    ended: Future[Images] = Future()

    def go_on(_: object) -> None:
        try:
            ended.set_result(client.submit("chained", reuse=True))  # type: ignore[arg-type]  # a job is one
        except BaseException as fault:
            ended.set_exception(fault)

    client.submit("chained").add_done_callback(go_on)
    assert ended.result(30).result(30).cost == 0  # type: ignore[attr-defined]
    assert server.counts("chained").posts == 1


def test_an_awaited_call_that_waits_for_a_paid_picture_leaves_the_loop_to_others(
    server: FaultServer, arguments: dict[str, Any]
) -> None:
    prompt = "F:url-hang #reused"

    async def reuse() -> int:
        turns = 0
        async with AsyncClient(**arguments, download_timeout=0.6) as client:
            with pytest.raises(DownloadError):
                await client.generate(prompt)
            (entry,) = client.archive.history(prompt)
            fetching = asyncio.create_task(client.fetch(entry.id))
            while server.seen(prompt).gets < 2:
                await asyncio.sleep(0.01)
            reusing = asyncio.create_task(client.generate(prompt, reuse=True))
            while not fetching.done():
                turns += not reusing.done()
                await asyncio.sleep(0.01)
            with pytest.raises(DownloadError):
                await fetching
            with pytest.raises(DownloadError):
                await reusing
        client.archive.close()
        return turns

    assert asyncio.run(reuse()) > 2
