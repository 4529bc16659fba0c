"""A call with `reuse`: pictures that calls in flight make are awaited and taken; only what nobody makes is bought.

The claim decides: each call names the copies that it lacks, and of those who name the same one the first claims it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count, filterfalse
from typing import TYPE_CHECKING

import anyio

from .. import errors
from ..archive import CopyTaken
from ..errors import AmbiguousError, APITimeoutError, CometError
from .job import Arrived
from .results import reused_picture
from .run_call import run_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Entry
    from ..settings import Settings
    from .core import Core
    from .job import Job, RunningCall

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0  # seconds between two looks at a call in flight
SETTLING = 5.0  # seconds after its deadline in which a call still checks and stores what arrived
LONGEST = 86_400.0  # seconds; a ledger that gives a call more is not believed
ERRORS: Mapping[str, type[CometError]] = {name: getattr(errors, name) for name in errors.__all__}


async def reuse_or_buy(core: Core, job: Job, call: RunningCall) -> None:
    """Take the pictures of a call's copies from the calls that make them; buy those that nobody makes.

    What was refused, cancelled, or left by a dead process is bought. A wait holds no slot of the limiter.

    Raises:
        CometError: as `run_call`; or a call that was awaited may be billed and brought no picture.
    """
    makers: Mapping[int, str] = {}  # by copy: the id of the call that has it
    while True:
        await _take(core, job, call, makers)
        if not call.copies:
            call.cost = 0
            job.progress(call, "done")
            return
        makers = await _makers(core, job, call, former=makers)
        if not makers:
            call.request = replace(call.request, n=len(call.copies))
            try:
                await run_call(core, job, call)
            except CopyTaken as error:  # another call was quicker
                makers = {copy.copy: copy.call_id for copy in error.taken}
            else:
                return


async def _take(core: Core, job: Job, call: RunningCall, makers: Mapping[int, str]) -> None:
    """Wait for the calls that make the call's copies, and take their pictures: the call lacks fewer copies then.

    Raises:
        CometError: one of them may be billed and has no picture for a copy; or it did not end in time.
    """
    for call_id in dict.fromkeys(makers.values()):
        entry = await _ended(core, job, call, call_id)
        if entry is None:
            continue
        for stored in entry.pictures:
            if stored.copy in (call.copies or ()) and core.archive.is_there(stored):
                inputs = call.request.inputs
                picture = await core.in_thread(reused_picture, core.archive, stored, inputs)
                call.pictures.append(picture)
                call.copies = tuple(copy for copy in call.copies or () if copy != stored.copy)
                job.tell(Arrived(call.index, picture))
        if any(makers.get(copy) == call_id for copy in call.copies or ()):
            _must_be_unpaid(entry)


async def _makers(core: Core, job: Job, call: RunningCall, *, former: Mapping[int, str]) -> Mapping[int, str]:
    """By copy, the call that has it. A copy that its former maker keeps without a picture is replaced by another one.

    All who replace it choose the same one, so that one of them buys it.
    """
    held = await core.in_thread(core.archive.held, call.request.key(core.base.vendor))
    has = {one.copy: one.call_id for one in held}
    lost = {one.copy for one in held if not (one.open or one.here)}
    others = filterfalse((job.copies | lost).__contains__, count())
    call.copies = tuple(
        next(others) if copy in former and has.get(copy) == former[copy] else copy
        for copy in call.copies or ()
    )
    job.copies.update(call.copies)
    return {copy: has[copy] for copy in call.copies if copy in has}


async def _ended(core: Core, job: Job, call: RunningCall, call_id: str) -> Entry | None:
    """A call once it has ended; None if its process died and left nothing to finish it from.

    Raises:
        APITimeoutError: it has not ended by its own deadline, or within the timeout that this call was given.
    """
    until, pause, dead = None, FIRST_PAUSE, False
    while (entry := await core.in_thread(core.archive.entry, call_id)) is not None:
        fetched_here = core.takeover.fetches(call_id)
        if entry.outcome != "open" and not fetched_here:
            # whoever claims a call notes how long it took
            return None if entry.state == "unknown" and entry.seconds is None else entry
        if not entry.alive and not fetched_here:
            if dead:
                return None
            await core.recover(again=True)
            dead = True
            continue
        dead = False
        until = until or anyio.current_time() + _patience(core.settings, job.timeout, entry)
        fetching = 0 if entry.state == "claimed" else core.settings.download_timeout
        if anyio.current_time() > until + fetching:
            raise APITimeoutError(
                "the same request still runs in another call, and did not end in time",
                outcome="unknown",
                hint="Run it again later: reuse takes its pictures then (free). %cometimg_status lists it.",
            )
        job.progress(call, "awaiting")
        await anyio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    return None


def _patience(settings: Settings, timeout: float | None, entry: Entry) -> float:
    """Seconds to wait for a call's answer: until its own deadline, or as long as this call may take.

    A clock that jumped, or is another machine's, tells nothing of its age.
    """
    whole = entry.timeout if entry.timeout and entry.timeout <= LONGEST else settings.timeout
    age = time.time() - entry.created.timestamp()
    left = SETTLING + (whole - age if 0 <= age <= whole else whole)
    return left if timeout is None else min(left, timeout)


def _must_be_unpaid(entry: Entry) -> None:
    """Raise the error of an ended call that may be billed; what cost nothing, or brought fewer, may be bought."""
    if entry.state in ("rejected", "cancelled") or (entry.state == "done" and entry.error is None):
        return
    kind: type[CometError] = ERRORS.get(entry.error or "", AmbiguousError)
    raise kind(
        f"the same request, sent by another call: {entry.message or 'it was cancelled after it was sent'}",
        outcome="unknown" if entry.state == "unknown" else "billed",
        code=entry.code,
        request_id=entry.request_id,
        hint="%cometimg_status lists it. Run it again to send it anew.",
    )
