"""The way of one request: claimed on disk, sent, spooled, read, checked, stored, settled."""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from ..errors import CometError, DownloadError, PartialResultError, SaveError, UnsafeURLError
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
    retry_after,
)
from ..protocol.encoding import decoded
from ..protocol.judge import counts
from ..request import cost_of, parse_dollars
from ..text import clean
from .attempt import Failed, Outgoing, Received, attempt
from .download import download
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..archive import Archive
    from ..archive import Call as Claim
    from ..protocol import Item, Reply
    from ..settings import BaseURL, Settings
    from .http import APIDoor, PictureDoor
    from .job import Call, CallState, Job
    from .limiter import Limiter

T = TypeVar("T")
WORKERS = 8  # threads for the disk, the ledger and the decoders


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

    async def travel(
        self,
        job: Job,
        call: Call,
        *,
        claim: Callable[[], Claim],
        limiter: Limiter,
        budget: RetryBudget,
        policy: Policy,
    ) -> None:
        """The whole way; what comes of it is in `call`, and an error that ends it is raised."""
        async with limiter.admit():
            claimed = await self._in_thread(claim)
            call.call_id, call.reserved = claimed.id, claimed.reserved
            spool = Spool(await self._in_thread(self._archive.spool, claimed))
            try:
                answer = await self._purchase(job, call, claimed, spool, limiter, budget, policy)
                await self.deliver(job, call, claimed, spool, answer)
            except CometError as error:
                await self.give_up(call, claimed, spool, error)
                raise
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    state = "unknown" if call.sent else "cancelled"
                    await self._in_thread(self._settle, claimed, state, None, None)
                    spool.close()
                raise
            limiter.succeeded()
            budget.succeeded()

    # --- sending

    async def _purchase(
        self,
        job: Job,
        call: Call,
        claimed: Claim,
        spool: Spool,
        limiter: Limiter,
        budget: RetryBudget,
        policy: Policy,
    ) -> Received:
        timeout = job.timeout or self._settings.timeout
        deadline = anyio.current_time() + timeout
        out = self._outgoing(job, call, claimed, deadline, timeout)
        waited, counted = 0.0, 0
        for number in count(1):
            self._tell(job, call, "sending")
            answer = await attempt(self._api, out, spool, self._host)
            if isinstance(answer, Received):
                call.request_id = request_id_of(answer.headers)
                return answer
            counted += counts(answer.error, policy)
            verdict = judge(self._case(answer, number, counted, waited, deadline), policy)
            call.request_id = answer.error.request_id
            if verdict.delay is None or not budget.take():
                raise verdict.error
            call.sent = False
            if answer.error.status_code == 429:
                limiter.too_much(verdict.delay)
            self._tell(
                job, call, "retrying", f"{clean(answer.error, limit=80)}; again in {verdict.delay:.1f} s"
            )
            await anyio.sleep(verdict.delay)
            await limiter.pause()
            waited += verdict.delay
        raise AssertionError("unreachable")

    def _outgoing(self, job: Job, call: Call, claimed: Claim, deadline: float, timeout: float) -> Outgoing:
        settings = self._settings
        numbers = count()

        def begun() -> None:
            call.sent = True
            self._tell(job, call, "waiting")

        def preview(data: bytes) -> None:
            if job.on_event is not None:
                from ..files import sniff

                job.on_event(Preview(call.index, next(numbers), data, sniff(data) or "image/png"))

        return Outgoing(
            body=json.dumps(call.request.body(), ensure_ascii=False, separators=(",", ":")).encode(),
            stream=bool(call.request.stream),
            call_id=claimed.id,
            deadline=deadline,
            timeout=timeout,
            idle=settings.stream_idle_timeout,
            largest=settings.max_response_bytes * max(1, call.request.n),
            largest_picture=settings.max_image_bytes,
            on_begun=begun,
            on_preview=preview,
        )

    @staticmethod
    def _case(answer: Failed, number: int, counted: int, waited: float, deadline: float) -> Attempt:
        return Attempt(
            error=answer.error,
            number=number,
            counted=counted,
            headers=answer.headers,
            asked=retry_after(answer.headers, now=time.time()),
            permanent=answer.permanent,
            waited=waited,
            left=deadline - anyio.current_time(),
            chance=random.random(),  # noqa: S311 - jitter, not a secret
        )

    # --- receiving

    async def deliver(self, job: Job, call: Call, claimed: Claim, spool: Spool, answer: Received) -> None:
        """From the spooled answer to checked pictures on disk and a settled call."""
        self._tell(job, call, "decoding")
        reply = await self._in_thread(self._read, answer, spool)
        call.created, call.usage = reply.created, dict(reply.usage) if reply.usage else None
        asked = len(reply.items)
        call.cost = cost_of(call.request, reply.usage, asked, self._price_per_image)
        urls = [item.url for item in reply.items]
        if any(urls):
            await self._in_thread(self._received, call, claimed, answer, urls)
        found: list[Picture | CometError] = [AssertionError()] * asked  # type: ignore[list-item]  # each is set below

        async def finish(index: int, item: Item) -> None:
            found[index] = await self._picture(job, call, claimed, index, item)

        if asked == 1:
            await finish(0, reply.items[0])
        else:
            async with anyio.create_task_group() as group:
                for index, item in enumerate(reply.items):
                    group.start_soon(finish, index, item)
        call.pictures = [one for one in found if isinstance(one, Picture)]
        errors = [one for one in found if isinstance(one, CometError)]
        await self._finish(call, claimed, spool, errors)
        self._tell(job, call, "done")

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

    def _received(self, call: Call, claimed: Claim, answer: Received, urls: list[str | None]) -> None:
        self._archive.received(
            claimed, request_id=call.request_id, urls=urls, usage=call.usage, status=answer.status
        )

    async def _picture(
        self, job: Job, call: Call, claimed: Claim, index: int, item: Item
    ) -> Picture | CometError:
        """One entry of the answer as a checked, stored picture, or the error that keeps it from being one."""
        if item.error is not None:
            return item.error.with_facts(request_id=call.request_id)
        try:
            data = item.data
            if data is None:
                self._tell(job, call, "downloading")
                data = await self._download(item.url or "")
            picture = await self._in_thread(self._keep, call, claimed, index, data, item)
        except CometError as error:
            return error.with_facts(request_id=error.request_id or call.request_id)
        if job.on_event is not None:
            job.on_event(Arrived(call.index, picture))
        return picture

    async def _download(self, url: str) -> bytes:
        return await download(
            url,
            base_url=self._base.url,
            door=self._pictures,
            largest=self._settings.max_image_bytes,
            timeout=self._settings.download_timeout,
        )

    def _keep(self, call: Call, claimed: Claim, index: int, data: bytes, item: Item) -> Picture:
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
        try:
            path = self._archive.store(
                claimed,
                index,
                data,
                mime=mime,
                width=width,
                height=height,
                sha256=sha256,
                revised_prompt=item.revised_prompt,
            )
        except OSError as fault:
            problem = _disk(fault)
        else:
            return replace(picture, path=str(path) if path else None)
        call.errors.append(SaveError(problem, hint="error.images.save(...) writes them elsewhere."))
        return picture

    # --- the end

    async def _finish(self, call: Call, claimed: Claim, spool: Spool, errors: list[CometError]) -> None:
        """Settle an answered call; the raw body stays only where it is still needed."""
        broken = [error for error in errors if not isinstance(error, (DownloadError, UnsafeURLError))]
        if broken or call.errors:
            rescue = await self._in_thread(self._rescue, claimed, spool)
            for error in errors:
                error.rescue_path = rescue
        else:
            await self._in_thread(self._discard, spool)
        state = "received" if any(error.urls for error in errors) else "done"
        await self._in_thread(self._settle, claimed, state, call, errors[0] if errors else None)
        call.errors += errors

    async def give_up(self, call: Call, claimed: Claim, spool: Spool, error: CometError) -> None:
        """Settle a call that got no pictures."""
        error.request_id = error.request_id or call.request_id
        with anyio.CancelScope(shield=True):
            if error.outcome in ("unknown", "billed") and spool.size:
                error.rescue_path = await self._in_thread(self._rescue, claimed, spool)
            else:
                await self._in_thread(self._discard, spool)
            state = {"unknown": "unknown", "billed": "done"}.get(error.outcome, "rejected")
            await self._in_thread(self._settle, claimed, state, call, error)

    def _settle(self, claimed: Claim, state: str, call: Call | None, error: CometError | None) -> None:
        self._archive.settle(
            claimed,
            state,  # type: ignore[arg-type]  # one of the archive's words
            cost=call.cost if call and state in ("done", "received") else None,
            error=error,
            usage=call.usage if call else None,
            created=call.created if call else None,
        )

    def _rescue(self, claimed: Claim, spool: Spool) -> str | None:
        spool.close()
        try:
            path = self._archive.rescue(claimed)
        except OSError:
            return None
        return str(path) if path else None

    @staticmethod
    def _discard(spool: Spool) -> None:
        spool.discard()
        if spool.path is not None:
            spool.path.with_suffix(".head").unlink(missing_ok=True)

    def _tell(self, job: Job, call: Call, state: CallState, note: str = "") -> None:
        call.state = state
        if job.on_event is not None:
            elapsed = time.monotonic() - job.started
            job.on_event(Progress(call.index, len(job.requests), state, elapsed, note))


def _looks_like_a_stream(spool: Spool) -> bool:
    return spool.head(16).lstrip(b"\xef\xbb\xbf \r\n").startswith((b"data:", b"event:", b":"))


def _disk(fault: OSError) -> str:
    return f"the pictures could not be saved in the archive: {clean(fault.strerror or fault, limit=120)}"


def together(call_errors: list[CometError], pictures: list[Picture], images: Any) -> CometError | None:
    """The one error that a call made of several parts ends with, or None.

    Args:
        call_errors: the errors of all parts.
        pictures: the pictures that exist all the same.
        images: those as `Images`.
    """
    if not call_errors:
        return None
    failures = [error for error in call_errors if not isinstance(error, SaveError)]
    if not failures:
        return call_errors[0].with_facts(images=images)
    if not pictures:
        return failures[0].with_facts(errors=tuple(failures) if len(failures) > 1 else ())
    first = failures[0]
    return PartialResultError(
        f"{len(pictures)} of {len(pictures) + len(failures)} pictures arrived; the first failure: {first}",
        hint=first.hint,
        request_id=first.request_id,
        images=images,
        errors=failures,
        urls=[url for error in failures for url in error.urls],
        rescue_path=first.rescue_path,
    )
