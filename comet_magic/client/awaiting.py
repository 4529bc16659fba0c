"""Calls that are awaited from an asyncio loop, whichever it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent import futures

    from ..images import Images
    from .core import Core
    from .job import Job

HEARTBEAT = 0.2  # seconds; an interrupt of an awaited call acts when the loop next wakes


async def started(core: Core, start: Callable[[], Job]) -> Job:
    """The job that a blocking function starts, in a thread; abandoned if the await is cancelled meanwhile."""
    starting = core.start(anyio.to_thread.run_sync, start)
    waiting = asyncio.wrap_future(starting)
    waiting.add_done_callback(_retrieve)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        starting.add_done_callback(_abandon_started)
        raise


def _abandon_started(starting: futures.Future[Job]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().abandon()


async def finished(job: Job) -> Images:
    """A job's result, awaited while the loop wakes often enough that an interrupt acts within 0.2 s."""
    future = asyncio.wrap_future(job)
    future.add_done_callback(_retrieve)
    _beat(future)
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.to_thread(job.abandon))
        raise
    return future.result()


async def all_finished(jobs: Sequence[Job]) -> None:
    """Wait until jobs have ended, however they ended."""
    ends = [asyncio.wrap_future(job) for job in jobs]
    for end in ends:
        end.add_done_callback(_retrieve)
        _beat(end)
    await asyncio.wait(ends)


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve how a future ended: asyncio would warn about an error that is never looked at."""
    if not future.cancelled():
        future.exception()


def _beat(future: asyncio.Future[Any]) -> None:
    """Wake the loop of a future every 0.2 s until it is done."""
    if not future.done():
        future.get_loop().call_later(HEARTBEAT, _beat, future)
