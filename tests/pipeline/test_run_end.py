"""The end of a run: paid pictures that are still on their way are waited for, and looked up once more."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from anyio.to_thread import run_sync

from comet_magic import generate_one
from comet_magic.client.batch import BatchCore
from comet_magic.client.core import configure
from comet_magic.client.loop_thread import LoopHandle
from comet_magic.errors import AmbiguousError, CometError
from comet_magic.pipeline import dataset_run, generate_dataset, open_dataset
from comet_magic.pipeline.dataset import read_job
from comet_magic.pipeline.runner import Runner
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import kill, start_maker

if TYPE_CHECKING:
    from pathlib import Path

    from comet_magic.archive import Claim
    from comet_magic.client.job import RunningCall
    from comet_magic.request import ImageRequest


class GivesOutLate(Endpoint):
    """An endpoint that gives out no picture until it is told to."""

    def __init__(self) -> None:
        super().__init__(urls=True)
        self.late = threading.Event()

    async def _download(self, writer: asyncio.StreamWriter) -> None:
        self.downloading += 1
        while not self.late.is_set():
            await asyncio.sleep(0.01)
        self.downloading -= 1
        await super()._download(writer)


@pytest.mark.parametrize("rows", [["two"], []], ids=["beside another row", "alone"])
def test_a_run_waits_for_paid_pictures_that_are_still_fetched(
    rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, sleep = 0, dataset_run.time.sleep

    def look(seconds: float) -> None:
        """Let the picture come once the run has ended and is still waited for."""
        nonlocal looks
        looks += (tmp_path / "set/metadata.jsonl").exists()  # the last that a run writes
        if looks == 3:
            endpoint.late.set()
        sleep(seconds)

    with GivesOutLate() as endpoint:
        killed = start_maker(["one"], tmp_path / "set", endpoint)
        endpoint.until(lambda seen: seen.downloading == 1)
        kill(killed)
        endpoint.urls = False
        monkeypatch.setattr(dataset_run.time, "sleep", look)

        generate_dataset(rows, tmp_path / "set", replace=True, **settings(endpoint))
        made = len(list((tmp_path / "set").glob("images/*/*/*.png")))
        endpoint.late.set()

        assert made == endpoint.paid == 1 + len(rows)


class LosesWorkers(BatchCore):
    """Makes rows by workers; the one of the first row is taken for lost while it goes on working."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.options = {"base_url": endpoint.base_url, "api_key": "sandbox", "price_per_image": 0.04}
        super().__init__(configure({**self.options, "archive": folder}))  # type: ignore[typeddict-item]
        self.folder = folder
        self.lost: threading.Thread | None = None
        self.found = threading.Event()

    async def perform(
        self, request: ImageRequest, copy: int, *, redo: bool = False, call_id: str = ""
    ) -> RunningCall:
        return await self.delegate(request, copy, self, redo=redo)

    async def send(self, claim: Claim) -> CometError | None:
        if self.lost is None:
            self.lost = threading.Thread(target=self.work, args=(claim,))
            return AmbiguousError("the worker was lost")
        self.lost.start()
        await run_sync(self.lost.join)
        await run_sync(self.work, claim)
        return None

    def work(self, claim: Claim) -> None:
        assert claim.request is not None
        generate_one(claim.request, self.folder, copy=claim.copies[0], call_id=claim.id, **self.options)  # type: ignore[arg-type]


def test_a_row_that_its_lost_worker_has_finished_by_the_end_of_the_run_is_done(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    options = {**settings(endpoint), "max_in_flight": 1}
    del options["progress"]
    job = read_job(["one", "two"], folder, "prompt", options)
    core = LosesWorkers(endpoint, folder)
    run = Runner(job, core)
    run.rows.begin()
    loop = LoopHandle()
    try:
        loop.portal.call(run.run)
    finally:
        core.close()
        core.archive.close()
        loop.release()

    assert run.error is None
    assert run.counts["unknown"] == 1  # what it was when its worker was given up
    assert open_dataset(folder).counts["done"] == endpoint.paid == 2
