"""An endpoint for each test, and a dataset made with it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import CallAbandoned
from comet_magic.pipeline import Dataset, generate_dataset
from comet_magic.pipeline.dataset import read_job
from comet_magic.pipeline.dataset_run import DatasetRun
from tests.loopback import until
from tests.pipeline.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        yield server


@pytest.fixture
def make(endpoint: Endpoint, tmp_path: Path) -> Callable[..., Dataset]:
    """`generate_dataset` into the test's folder, at the test's endpoint."""

    def make(source: Any, out: str = "dataset", **options: Any) -> Dataset:
        return generate_dataset(source, tmp_path / out, **{**settings(endpoint), **options})

    return make


def settings(endpoint: Endpoint) -> dict[str, Any]:
    """What a run at an endpoint needs: a model that nobody knows, at four cents a picture."""
    return {
        "base_url": endpoint.base_url,
        "api_key": "sandbox",
        "model": "test-model",
        "price_per_image": 0.04,
        "progress": False,
    }


def impatient(
    source: Any,
    out: Path,
    *,
    pauses: tuple[float, ...] = (0.05,) * 4,
    cluster: str | None = None,
    **options: Any,
) -> DatasetRun:
    """A run as `generate_dataset` makes it, whose pauses are short."""
    job = read_job(source, out, "prompt", {name: options[name] for name in options if name != "progress"})
    job = replace(job, policy=replace(job.policy, pauses=pauses))
    return DatasetRun(job, cluster=cluster, progress=options.get("progress", False))


def name_what_is_no_text(database: Path) -> None:
    """Damage a database so that SQLite's error about it quotes bytes that are no UTF-8."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET name = CAST(x'72a2' AS TEXT), sql = 'CREATE'")


def interrupt(run: DatasetRun, *, when: Callable[[], object]) -> None:
    """Interrupt a run as Ctrl-C would, once something is true; it ends soon."""
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            run.report()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert until(when)
    run.interrupt(signal.SIGINT)
    thread.join(60)
    assert isinstance(ended[0], CallAbandoned)
