"""Interrupts of a run, by real signals to real processes."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import TYPE_CHECKING

from comet_magic.pipeline import generate_dataset, open_dataset
from comet_magic.pipeline.row_index import RowIndex
from tests.pipeline.conftest import settings
from tests.pipeline.maker import kill, rows_of, start_maker, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint


def test_an_interrupt_finishes_the_calls_in_flight_and_begins_no_other(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.delay = 0.5
    process = start_maker(rows_of(100), tmp_path / "set", endpoint, max_in_flight=4)
    endpoint.until(lambda seen: seen.paid >= 6 and seen.running == 4)

    process.send_signal(signal.SIGINT)
    end = told(process)

    counts = open_dataset(tmp_path / "set").counts
    assert (end["error"], end["outcome"]) == ("CallAbandoned", "billed")
    assert any("Run it again" in line for line in end["lines"])
    assert endpoint.paid <= 8
    assert counts["done"] == endpoint.paid
    assert counts["open"] == 100 - endpoint.paid


def test_a_second_interrupt_cancels_and_tells_what_is_unknown(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 600
    process = start_maker(rows_of(20), tmp_path / "set", endpoint, max_in_flight=3, progress=True)
    endpoint.until(lambda seen: seen.running == 3)
    assert process.stderr is not None

    process.send_signal(signal.SIGINT)
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    output, noise = process.communicate(timeout=60)
    end = json.loads(output)

    counts = open_dataset(tmp_path / "set").counts
    assert (end["error"], end["outcome"]) == ("CallAbandoned", "unknown")
    assert (counts["unknown"], counts["open"]) == (3, 17)
    assert endpoint.paid == 3
    assert "interrupt again to cancel them" in first
    assert "of 20 rows" in noise


def test_a_run_goes_on_where_it_was_interrupted(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.1
    process = start_maker(rows_of(40), tmp_path / "set", endpoint, max_in_flight=4)
    endpoint.until(lambda seen: seen.paid >= 10)
    process.send_signal(signal.SIGINT)
    told(process)

    report = generate_dataset(rows_of(40), tmp_path / "set", **settings(endpoint))

    assert report.counts["done"] == 40
    assert max(Counter(one.prompt for one in endpoint.asked).values()) == 1


def test_a_second_interrupt_is_heard_while_a_paid_picture_is_fetched(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.urls, endpoint.hold = True, 600
    killed = start_maker(["one"], tmp_path / "set", endpoint)
    endpoint.until(lambda seen: seen.downloading == 1)
    kill(killed)
    process = start_maker(["one"], tmp_path / "set", endpoint, progress=True)
    endpoint.until(lambda seen: seen.downloading == 2)
    assert process.stderr is not None

    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    with RowIndex(tmp_path / "set") as index:
        endpoint.until(lambda _: index.latest().state == "stopped")  # type: ignore[union-attr]  # there is one
    metadata = tmp_path / "set" / "metadata.jsonl"  # the last that a run writes; it waits for the picture now
    endpoint.until(lambda _: metadata.exists())
    process.send_signal(signal.SIGINT)
    output, noise = process.communicate(timeout=30)

    assert json.loads(output)["error"] == "CallAbandoned", noise
    assert endpoint.paid == 1
