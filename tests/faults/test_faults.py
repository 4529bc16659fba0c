"""Every fault has one honest ending: the table, driven through `AsyncClient`."""

from __future__ import annotations

import asyncio
import pickle
import time
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from comet_magic import AsyncClient, CometError
from tests.faults.ending import Ending, Peak, differences, left_behind, marked, remembered, secrets_in
from tests.faults.expected import ROWS
from tests.faults.scenarios.payload import large_answer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.row import Row
    from tests.faults.server import FaultServer


def settings(row: Row, server: FaultServer, folder: Path) -> dict[str, Any]:
    """The client's arguments for a row."""
    if row.base.startswith("front:"):
        base = server.front(row.base.removeprefix("front:"))
    else:
        base = getattr(server, row.base, row.base)
    usual = {"timeout": 20, "retry_base_delay": 0.02, "archive": folder}
    return {"base_url": base, "api_key": server.key, **usual, **row.client}


async def attempted(row: Row, prompt: str, arguments: dict[str, Any]) -> tuple[Any, CometError | None]:
    """The pictures of a call through `AsyncClient`, or its error."""
    try:
        async with AsyncClient(**arguments) as client:
            return await client.generate(prompt, **row.arguments), None
    except CometError as error:
        return (), error


def ending_of(row: Row, prompt: str, arguments: dict[str, Any], connects: Counter[int]) -> Ending:
    port = urlsplit(arguments["base_url"]).port or 0
    before = connects[port]
    if row.prompt.startswith("F:image-27mb"):
        large_answer(row.n)
    with warnings.catch_warnings(record=True) as warned, Peak(watch=row.mib is not None) as peak:
        warnings.simplefilter("always")
        started = time.monotonic()
        images, error = asyncio.run(attempted(row, prompt, arguments))
        seconds = time.monotonic() - started
    said = tuple(str(each.message) for each in warned)
    return Ending(images, error, seconds, peak.growth, connects[port] - before, said)


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=() if row.core else pytest.mark.full, id=str(row)) for row in ROWS]
)
def test_every_fault_has_one_honest_ending(
    row: Row,
    server: FaultServer,
    connects: Counter[int],
    heard: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    prompt = marked(row)
    ending = ending_of(row, prompt, settings(row, server, tmp_path / "pictures"), connects)
    found = differences(row, ending, server.counts(prompt), prompt)
    if ending.error is not None:
        found += remembered(ending.error)
        found += [
            f"its pickle holds {form}" for form in secrets_in(pickle.dumps(ending.error).decode("latin-1"))
        ]
    found += left_behind(tmp_path / "pictures")
    found += [f"{path} was made" for path in tmp_path.iterdir() if path.name != "pictures"]
    found += heard()
    assert not found, "\n".join(found)
