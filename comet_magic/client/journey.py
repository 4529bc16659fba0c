"""The way of one request: claimed on disk, sent, spooled, read, checked, stored, settled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import time
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from ..errors import CometError, DownloadError, SaveError, UnsafeURLError
from ..images import Picture, check_picture
from ..protocol import (
    Arrived,
    Attempt,
    Policy,
    Preview,
    Progress,
    RetryBudget,
    judge,
    read_reply,
    read_stream,
    request_id_of,
)
from ..protocol.encoding import decoded
from ..protocol.judge import counts
from ..request import cost_of, parse_dollars
from ..text import clean
from .attempt import Failed, Outgoing, Received, attempt
from .download import download
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..archive import Archive
    from ..archive import Call as Claim
    from ..archive.store import Settled
    from ..protocol import Item, Reply
    from ..settings import BaseURL, Settings
    from .http import APIDoor, PictureDoor
    from .job import Call, CallState, Job
    from .limiter import Limiter

T = TypeVar("T")
WORKERS = 8  # threads for the disk, the ledger and the decoders


@dataclass(frozen=True)
class Trip:
    """One claimed request under way: its job, its call, its claim in the ledger, its answer's body."""

    job: Job
    call: Call
    claim: Claim
    spool: Spool


@dataclass(frozen=True)
class Manners:
    """How a client behaves toward a server: what all its calls share, and how patient this one is."""

    limiter: Limiter
    budget: RetryBudget
    policy: Policy


class Journey:
    """Takes calls from claim to picture; lives on the engine's loop."""

    def __init__(
        self, *, base: BaseURL, api: APIDoor, pictures: PictureDoor, settings: Settings, archive: Archive
    ) -> None:
        self._base = base
        self._host = base.url.partition("://")[2].partition("/")[0]
        self._api = api
        self._pictures = pictures
        self._settings = settings
        self._archive = archive
        price = settings.price_per_image
        self._price_per_image = None if price is None else parse_dollars(price, name="price_per_image")
        self._threads = anyio.CapacityLimiter(WORKERS)

    async def _in_thread(self, act: Callable[..., T], *args: Any) -> T:
        return await run_sync(act, *args, limiter=self._threads)

    async def travel(self, job: Job, call: Call, claim: Callable[[], Claim], manners: Manners) -> None:
        """The whole way; what comes of it is in `call`, and an error that ends it is raised."""
        async with manners.limiter.admit():
            claimed = await self._in_thread(claim)
            call.call_id, call.reserved = claimed.id, claimed.reserved
            trip = Trip(job, call, claimed, await self._in_thread(self._spool, claimed))
            try:
                answer = await self._purchase(trip, manners)
                await self._in_thread(self._spooled, trip, answer)
                await self.deliver(trip, answer)
            except CometError as error:
                await self.give_up(trip, error)
                raise
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await self._in_thread(self._settle, trip, "unknown" if call.sent else "cancelled", None)
                    trip.spool.close()
                raise
            manners.limiter.succeeded()
            manners.budget.succeeded()

    def _spool(self, claim: Claim) -> Spool:
        try:
            return Spool(self._archive.spool(claim))
        except OSError:  # the folder went away after the claim: the answer is kept in memory
            return Spool(None)

    def _spooled(self, trip: Trip, answer: Received) -> None:
        """Note on disk that the answer is whole, so that a crash from here on loses nothing."""
        if trip.spool.on_disk:
            with contextlib.suppress(OSError):  # only a crash would have needed the note
                self._archive.spooled(trip.claim, {"status": answer.status, "headers": dict(answer.headers)})

    # --- sending

    async def _purchase(self, trip: Trip, manners: Manners) -> Received:
        call = trip.call
        timeout = trip.job.timeout or self._settings.timeout
        deadline = anyio.current_time() + timeout
        out = self._outgoing(trip, deadline, timeout)
        waited, counted = 0.0, 0
        for number in count(1):
            call.attempts, call.request_id = number, None
            self._tell(trip, "sending")
            answer = await attempt(self._api, out, trip.spool, self._host)
            if isinstance(answer, Received):
                return answer
            counted += counts(answer.error, manners.policy)
            verdict = judge(self._case(answer, number, counted, waited, deadline), manners.policy)
            if verdict.delay is None or not manners.budget.take():
                raise verdict.error
            call.sent = False
            if answer.error.status_code == 429:
                manners.limiter.too_much(verdict.delay)
            self._tell(trip, "retrying", f"{clean(answer.error, limit=80)}; again in {verdict.delay:.1f} s")
            await anyio.sleep(verdict.delay)
            await manners.limiter.pause()
            waited += verdict.delay
        raise AssertionError("unreachable")

    def _outgoing(self, trip: Trip, deadline: float, timeout: float) -> Outgoing:
        settings, job, call = self._settings, trip.job, trip.call
        numbers = count()

        def headers(names: Mapping[str, str]) -> None:
            call.request_id = request_id_of(names)

        def begun() -> None:
            call.sent = True
            self._tell(trip, "waiting")

        def preview(data: bytes) -> None:
            call.preview = data
            if job.on_event is not None:
                from ..files import sniff

                job.on_event(Preview(call.index, next(numbers), data, sniff(data) or "image/png"))

        return Outgoing(
            body=json.dumps(call.request.body(), ensure_ascii=False, separators=(",", ":")).encode(),
            stream=bool(call.request.stream),
            call_id=trip.claim.id,
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
    def _case(answer: Failed, number: int, counted: int, waited: float, deadline: float) -> Attempt:
        return Attempt(
            error=answer.error,
            number=number,
            counted=counted,
            vouched=answer.vouched,
            asked=answer.asked,
            permanent=answer.permanent,
            waited=waited,
            left=deadline - anyio.current_time(),
            chance=random.random(),  # noqa: S311 - jitter, not a secret
        )

    # --- receiving

    async def deliver(self, trip: Trip, answer: Received) -> None:
        """From the spooled answer to checked pictures on disk and a settled call."""
        call = trip.call
        self._tell(trip, "decoding")
        reply = await self._in_thread(self._read, answer, trip.spool)
        call.created, call.usage = reply.created, dict(reply.usage) if reply.usage else None
        call.cost = cost_of(call.request, reply.usage, len(reply.items), self._price_per_image)
        urls = [item.url for item in reply.items]
        if any(urls):
            await self._in_thread(self._received, trip, answer, urls)
        found: dict[int, Picture | CometError] = {}

        async def finish(index: int, item: Item) -> None:
            found[index] = await self._picture(trip, index, item)

        async with anyio.create_task_group() as group:
            for index, item in enumerate(reply.items):
                group.start_soon(finish, index, item)
        ended = [found[index] for index in sorted(found)]
        call.pictures = [one for one in ended if isinstance(one, Picture)]
        await self._finish(trip, [one for one in ended if isinstance(one, CometError)])
        self._tell(trip, "done")

    def _read(self, answer: Received, spool: Spool) -> Reply:
        settings = self._settings
        largest = settings.max_response_bytes * 10
        encoding = answer.headers.get("content-encoding", "")
        body = decoded(spool.pieces(), encoding=encoding, largest=largest)
        try:
            if answer.stream or _looks_like_a_stream(spool):
                return read_stream(body, largest=largest, largest_picture=settings.max_image_bytes)
            return read_reply(body, largest_picture=settings.max_image_bytes)
        except CometError as error:
            error.request_id = error.request_id or request_id_of(answer.headers)
            error.status_code = error.status_code or answer.status
            raise

    def _received(self, trip: Trip, answer: Received, urls: list[str | None]) -> None:
        call = trip.call
        with self._disk_faults(call):
            self._archive.received(
                trip.claim, request_id=call.request_id, urls=urls, usage=call.usage, status=answer.status
            )

    @contextlib.contextmanager
    def _disk_faults(self, call: Call) -> Iterator[None]:
        """What the disk refuses after the payment is told at the end; the pictures go on."""
        problem = None
        try:
            yield
        except OSError as fault:
            problem = clean(fault.strerror or fault, limit=120)
        if problem and not any(isinstance(error, SaveError) for error in call.errors):
            call.errors.append(
                SaveError(
                    f"the pictures could not be saved in the archive {self._archive.folder}: {problem}",
                    hint="They are in error.images: error.images.save(...) writes them elsewhere.",
                )
            )

    async def _picture(self, trip: Trip, index: int, item: Item) -> Picture | CometError:
        """One entry of the answer as a checked, stored picture, or the error that keeps it from being one."""
        if item.error is not None:
            return self._with_evidence(trip.call, item.error)
        try:
            data = item.data
            if data is None:
                self._tell(trip, "downloading")
                data = await self._download(item.url or "")
            picture = await self._in_thread(self._keep, trip, index, data, item)
        except CometError as error:
            return self._with_evidence(trip.call, error)
        if trip.job.on_event is not None:
            trip.job.on_event(Arrived(trip.call.index, picture))
        return picture

    @staticmethod
    def _with_evidence(call: Call, error: CometError) -> CometError:
        return error.bare().with_facts(
            attempts=call.attempts,
            partial=error.partial or call.preview,
            request_id=error.request_id or call.request_id,
        )

    async def _download(self, url: str) -> bytes:
        return await download(
            url,
            base_url=self._base.url,
            door=self._pictures,
            largest=self._settings.max_image_bytes,
            seconds=self._settings.download_timeout,
        )

    def _keep(self, trip: Trip, index: int, data: bytes, item: Item) -> Picture:
        call = trip.call
        mime, width, height = check_picture(data, max_pixels=self._settings.max_image_pixels)
        sha256 = hashlib.sha256(data).hexdigest()
        picture = Picture(
            data=data,
            mime=mime,
            width=width,
            height=height,
            sha256=sha256,
            revised_prompt=item.revised_prompt,
            request_id=call.request_id,
        )
        with self._disk_faults(call):
            path = self._archive.store(
                trip.claim,
                index,
                data,
                mime=mime,
                width=width,
                height=height,
                sha256=sha256,
                revised_prompt=item.revised_prompt,
            )
            return replace(picture, path=str(path) if path else None)
        return picture

    # --- the end

    async def _finish(self, trip: Trip, errors: list[CometError]) -> None:
        """Settle an answered call; the raw body stays only where it is still needed."""
        call = trip.call
        if any(not isinstance(error, (DownloadError, UnsafeURLError)) for error in errors) or call.errors:
            rescue = await self._in_thread(self._rescue, trip)
            for error in errors:
                error.rescue_path = rescue
        await self._in_thread(self._settle, trip, "done", errors[0] if errors else None)
        trip.spool.discard()
        call.errors += errors

    async def give_up(self, trip: Trip, error: CometError) -> None:
        """Settle a call that got no pictures."""
        self._with_evidence(trip.call, error)
        with anyio.CancelScope(shield=True):
            if error.outcome in ("unknown", "billed") and trip.spool.size:
                error.rescue_path = await self._in_thread(self._rescue, trip)
            words: dict[str, Settled] = {"unknown": "unknown", "billed": "done"}
            await self._in_thread(self._settle, trip, words.get(error.outcome, "rejected"), error)
            trip.spool.discard()

    def _settle(self, trip: Trip, state: Settled, error: CometError | None) -> None:
        call, answered = trip.call, state == "done"
        with self._disk_faults(call):
            self._archive.settle(
                trip.claim,
                state,
                cost=call.cost if answered else None,
                error=error,
                usage=call.usage if answered else None,
            )

    def _rescue(self, trip: Trip) -> str | None:
        """Keep the raw answer for good; where it is, or None where the disk refuses."""
        trip.spool.close()
        if not trip.spool.on_disk:
            return None
        trip.spool.redact()
        try:
            return str(self._archive.rescue(trip.claim))
        except OSError:
            return None

    def _tell(self, trip: Trip, state: CallState, note: str = "") -> None:
        trip.call.state = state
        job = trip.job
        if job.on_event is not None:
            elapsed = time.monotonic() - job.started
            job.on_event(Progress(trip.call.index, len(job.requests), state, elapsed, note))


def _looks_like_a_stream(spool: Spool) -> bool:
    return spool.head(16).lstrip(b"\xef\xbb\xbf \r\n").startswith((b"data:", b"event:", b":"))
