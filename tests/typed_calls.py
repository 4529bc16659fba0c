"""What editors and type checkers see of the public calls. Nothing here is run: `mypy` reads it with the package."""

from collections.abc import Coroutine
from typing import Any, Literal, assert_type

from PIL.Image import Image

import comet_magic as cm
from comet_magic.client import Job
from comet_magic.explore import Grid, GridPlan
from comet_magic.pipeline.dataset_plan import DatasetPlan
from comet_magic.pipeline.report import Dataset


def pictures_of_a_prompt() -> None:
    images = cm.generate("a boat", model="gpt-image-2", size="16:9", quality="low", n=2)
    assert_type(images, cm.Images)
    assert_type(images[0], Image)
    assert_type(images[:1], cm.Images)
    assert_type(images.image, Image)
    assert_type(images.cost, float | None)
    assert_type(images.edit("make it night", quality="low"), cm.Images)
    assert_type(images.more(2), cm.Images)
    assert_type(images.upgrade("high"), cm.Images)
    assert_type(cm.edit(images, "make it night"), cm.Images)
    cm.generate("a boat", model="a model that is not in the table", size="1008x1008", n=None, quality=None)
    cm.generate("a boat", n="four")  # type: ignore[arg-type]
    cm.generate("a boat", qualty="low")  # type: ignore[call-arg]


def clients(client: cm.Client) -> None:
    assert_type(client.generate("a boat"), cm.Images)
    assert_type(client.submit("a boat"), Job)
    assert_type(client.submit("a boat").result(), cm.Images)
    cm.Client(max_in_flight="8")  # type: ignore[arg-type]


async def awaited() -> None:
    unfinished: Coroutine[Any, Any, cm.Images] = cm.agenerate("a boat")
    assert_type(await unfinished, cm.Images)
    assert_type(await cm.agenerate("a boat"), cm.Images)
    async with cm.AsyncClient() as client:
        assert_type(await client.generate("a boat", output_format="webp"), cm.Images)
        assert_type(client.submit("a boat"), Job)
    assert_type(await cm.agenerate_dataset(["a boat"], "dataset/"), Dataset)


def grids() -> None:
    assert_type(cm.vary("a {paper|wooden} boat", quality=["low", "high"]), Grid)
    assert_type(cm.vary("a {paper|wooden} boat", dry_run=True), GridPlan)


def datasets() -> None:
    report = cm.generate_dataset(["a boat"], "dataset/", model=["gpt-image-2", "dall-e-3"], max_cost=5.0)
    assert_type(report, Dataset)
    assert_type(report.counts, dict[str, int])
    assert_type(cm.open_dataset("dataset/"), Dataset)
    assert_type(cm.plan(["a boat"], "dataset/"), DatasetPlan)
    cm.generate_dataset(["a boat"], "dataset/", redo="all")  # type: ignore[arg-type]


def failures(error: cm.CometError) -> None:
    assert_type(error.outcome, Literal["not_sent", "rejected", "unknown", "billed"])
