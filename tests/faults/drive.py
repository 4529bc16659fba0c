"""A row of the table, sent through a client."""

from __future__ import annotations

import asyncio
import pickle
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from comet_magic import AsyncClient, Client, CometError
from tests.faults.ending import Ending, Peak, differences, left_behind, marked, remembered, secrets_in
from tests.faults.scenarios.payload import large_answer

if TYPE_CHECKING:
    from collections import Counter
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


def awaited(arguments: dict[str, Any], prompt: str, options: dict[str, Any]) -> Any:
    """A call through `AsyncClient`, on a loop of its own."""

    async def call() -> Any:
        async with AsyncClient(**arguments) as client:
            return await client.generate(prompt, **options)

    return asyncio.run(call())


def waited(arguments: dict[str, Any], prompt: str, options: dict[str, Any]) -> Any:
    """A call through `Client`."""
    with Client(**arguments) as client:
        return client.generate(prompt, **options)


def problems(row: Row, call: Any, server: FaultServer, connects: Counter[int], folder: Path) -> list[str]:
    """Everything that is wrong with how a row ends through a door."""
    prompt, arguments = marked(row), settings(row, server, folder)
    port = urlsplit(arguments["base_url"]).port or 0
    before = connects[port]
    if row.prompt.startswith("F:image-27mb"):
        large_answer(row.n)
    images, error = (), None
    with warnings.catch_warnings(record=True) as warned, Peak(watch=row.mib is not None) as peak:
        warnings.simplefilter("always")
        try:
            images = call(arguments, prompt, row.arguments)
        except CometError as caught:
            error = caught
        said = tuple(str(each.message) for each in warned)
    ending = Ending(images, error, peak.growth, connects[port] - before, said)
    found = differences(row, ending, server.counts(prompt), prompt)
    if error is not None:
        found += remembered(error)
        found += [f"its pickle holds {form}" for form in secrets_in(pickle.dumps(error).decode("latin-1"))]
    found += left_behind(folder)
    return found + [f"{path} was made" for path in folder.parent.iterdir() if path.name != folder.name]
