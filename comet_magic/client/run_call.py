"""The first half of a call's way: claimed on disk, sent, perhaps sent again, its raw answer on disk."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError
from ..formats import sniff
from ..protocol import Attempt, judge, request_id_of
from ..protocol.retry import counts
from ..text import clean
from .events import Preview
from .exchange import Failed, Outgoing, Received, attempt
from .in_flight import InFlight, Manners
from .results import ResultWriter
from .threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..archive import Archive, Claim, RawAnswer
    from ..settings import BaseURL, Settings
    from .job import Job, RunningCall
    from .transport import APITransport, DownloadTransport


class Journey:
    """Takes calls from claim to picture; lives on the engine's loop."""

    def __init__(
        self,
        *,
        base: BaseURL,
        api: APITransport,
        pictures: DownloadTransport,
        settings: Settings,
        archive: Archive,
    ) -> None:
        self._threads = Threads(disk=archive.folder is not None)
        self._host = base.url.partition("://")[2].partition("/")[0]
        self._api = api
        self._settings = settings
        self._archive = archive
        self.delivery = ResultWriter(
            base=base, pictures=pictures, settings=settings, archive=archive, threads=self._threads
        )

    async def travel(self, job: Job, call: RunningCall, claim: Callable[[], Claim], manners: Manners) -> None:
        """The whole way; what comes of it is in `call`, and an error that ends it is raised."""
        async with manners.limiter.admit():
            claimed, raw = await self._threads.write(self._claimed, claim)
            call.call_id, call.reserved = claimed.id, claimed.reserved
            trip = InFlight(job, call, claimed, raw)
            try:
                answer = await self._purchase(trip, manners)
                await self.delivery.deliver(trip, answer)
            except CometError as error:
                await self.delivery.give_up(trip, error)
                raise
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await self.delivery.settle(trip, "unknown" if call.sent else "cancelled", None)
                    trip.raw.close()
                raise
            manners.limiter.succeeded()
            manners.budget.succeeded()

    def _claimed(self, claim: Callable[[], Claim]) -> tuple[Claim, RawAnswer]:
        claimed = claim()
        return claimed, self._archive.raw_answer(claimed)

    # --- sending

    async def _purchase(self, trip: InFlight, manners: Manners) -> Received:
        call = trip.call
        timeout = trip.job.timeout or self._settings.timeout
        out = self._outgoing(trip, anyio.current_time() + timeout, timeout)
        waited, counted = 0.0, 0
        for number in count(1):
            call.attempts, call.request_id = number, None
            trip.tell("sending")
            answer = await attempt(self._api, out, trip.raw, self._host)
            if isinstance(answer, Received):
                return answer
            counted += counts(answer.error, manners.policy)
            free = not counts(answer.error, manners.policy)
            left = math.inf if free else out.deadline - anyio.current_time()
            verdict = judge(self._case(answer, number, counted, waited, left), manners.policy)
            if verdict.delay is None or not (free or manners.budget.take()):
                raise verdict.error
            call.sent = False
            waited += verdict.delay
            trip.tell("retrying", f"{clean(answer.error, limit=80)}; again in {verdict.delay:.1f} s")
            # others' refusals may have made the wait longer than this call has time
            with anyio.CancelScope(deadline=math.inf if free else out.deadline) as scope:
                await manners.limiter.wait(verdict.delay, crowded=answer.error.status_code == 429)
            if scope.cancelled_caught:
                raise verdict.error
            if free:  # the server's patience is not the call's
                out = replace(out, deadline=anyio.current_time() + timeout)
        raise AssertionError("unreachable")

    def _outgoing(self, trip: InFlight, deadline: float, timeout: float) -> Outgoing:
        settings, job, call = self._settings, trip.job, trip.call
        numbers = count()

        def headers(names: Mapping[str, str]) -> None:
            call.request_id = request_id_of(names)

        def begun() -> None:
            call.sent = True
            trip.tell("waiting")

        def preview(data: bytes) -> None:
            call.preview = data
            job.tell(Preview(call.index, next(numbers), data, sniff(data) or "image/png"))

        return Outgoing(
            body=json.dumps(call.request.body(), ensure_ascii=False, separators=(",", ":")).encode(),
            stream=bool(call.request.stream),
            # The number tells the parts of one call apart; the sandbox paints each another picture.
            call_id=f"{trip.claim.id}-{call.copies[0] if call.copies else call.index}",
            deadline=deadline,
            timeout=timeout,
            idle=settings.stream_idle_timeout,
            largest=settings.max_response_bytes * max(1, call.request.n),
            largest_picture=settings.max_image_bytes,
            on_headers=headers,
            on_begun=begun,
            on_preview=preview,
        )

    @staticmethod
    def _case(answer: Failed, number: int, counted: int, waited: float, left: float) -> Attempt:
        return Attempt(
            error=answer.error,
            number=number,
            counted=counted,
            should_retry=answer.should_retry,
            retry_after=answer.retry_after,
            permanent=answer.permanent,
            waited=waited,
            left=left,
            jitter=random.random(),  # noqa: S311 - jitter, not a secret
        )
