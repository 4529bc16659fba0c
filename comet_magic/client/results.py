"""The second half of a call's way: from a whole answer to checked pictures on disk and a settled row.

What the disk refuses after the payment is told at the end; the pictures go on to the caller.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import anyio

from ..errors import CometError, DownloadError, SaveError, UnsafeURLError
from ..images import Picture, check_picture
from ..protocol import ReplyItem, encoding_of, looks_like_a_stream, read_reply, read_stream, request_id_of
from ..protocol.content_encoding import decoded
from ..request import cost_of, parse_dollars
from ..text import clean
from .download import download
from .events import Arrived

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..archive import Archive, RawAnswer
    from ..archive.store import Settled
    from ..protocol import Reply
    from ..settings import BaseURL, Settings
    from .exchange import Received
    from .in_flight import InFlight
    from .job import RunningCall
    from .threads import Threads
    from .transport import DownloadTransport


AT_ONCE = 16  # pictures fetched and held side by side, however many calls are in flight and a server names


class ResultWriter:
    """Reads, checks, stores and settles; lives on the engine's loop, works in threads."""

    def __init__(
        self,
        *,
        base: BaseURL,
        pictures: DownloadTransport,
        settings: Settings,
        archive: Archive,
        threads: Threads,
    ) -> None:
        self._base = base
        self._pictures = pictures
        self._settings = settings
        self._archive = archive
        self._threads = threads
        self._places = anyio.CapacityLimiter(AT_ONCE)
        price = settings.price_per_image
        self._price_per_image = None if price is None else parse_dollars(price, name="price_per_image")

    async def deliver(self, trip: InFlight, answer: Received) -> None:
        """From the raw answer to checked pictures on disk and a settled call."""
        trip.tell("decoding")
        with anyio.CancelScope(shield=True):  # it is paid and nearly here
            items = await self._brought(trip, answer)
        if items:
            await self._collect(trip, items)
        trip.tell("done")

    async def _brought(self, trip: InFlight, answer: Received) -> Mapping[int, ReplyItem]:
        """What of the answer is still to be brought; a single picture that came with it is brought to the end."""
        found = await self._threads.decode(self._unpack, trip, answer)
        if isinstance(found, dict):
            return found
        await self._threads.write(self._finish, trip, found)
        for picture in trip.call.pictures:
            self._tell_arrival(trip, picture)
        return {}

    def _unpack(self, trip: InFlight, answer: Received) -> dict[int, ReplyItem] | Picture | CometError:
        """What the answer holds; one that holds a single picture gives that, checked."""
        call = trip.call
        reply = self._read(answer, trip.raw)
        call.created, call.usage = reply.created, dict(reply.usage) if reply.usage else None
        call.cost = cost_of(call.request, reply.usage, len(reply.items), self._price_per_image)
        urls = [item.url for item in reply.items]
        if any(urls):
            self._received(trip, answer, urls)
        elif len(reply.items) == 1:  # there is nothing to do beside it, and going to a thread twice costs
            return self._checked(trip, reply.items[0])
        return dict(enumerate(reply.items))

    async def resume(self, trip: InFlight, answer: Received | None, urls: Mapping[int, str]) -> None:
        """Finish a paid call from its raw answer, or from the addresses of its pictures; nothing is sent."""
        try:
            if answer is not None:
                await self.deliver(trip, answer)
            else:
                await self._collect(trip, {index: ReplyItem(url=url) for index, url in urls.items()})
                trip.tell("done")
        except CometError as error:
            await self.give_up(trip, error)
            raise

    async def _collect(self, trip: InFlight, items: Mapping[int, ReplyItem]) -> None:
        """The pictures of an answer, side by side, and the end of the call."""
        found: dict[int, Picture | CometError] = {}

        async def finish(index: int, item: ReplyItem) -> None:
            async with self._places:
                found[index] = await self._picture(trip, index, item)

        async with anyio.create_task_group() as group:
            for index, item in items.items():
                group.start_soon(finish, index, item)
        await self._threads.write(self._end, trip, [found[index] for index in sorted(found)])

    def _read(self, answer: Received, raw: RawAnswer) -> Reply:
        settings = self._settings
        largest = settings.max_response_bytes * 10
        pieces = raw.pieces(answer.begins)
        beginning = next(pieces, b"")
        encoding = answer.headers.get("content-encoding", "") or encoding_of(beginning)
        body = decoded(chain([beginning], pieces), encoding=encoding, largest=largest)
        try:
            beginning = next(body, b"")
            body = chain([beginning], body)
            if looks_like_a_stream(beginning, labelled=answer.stream):
                return read_stream(body, largest=largest, largest_picture=settings.max_image_bytes)
            return read_reply(body, largest_picture=settings.max_image_bytes)
        except CometError as error:
            error.request_id = error.request_id or request_id_of(answer.headers)
            error.status_code = error.status_code or answer.status
            raise

    def _received(self, trip: InFlight, answer: Received, urls: list[str | None]) -> None:
        call = trip.call
        with self._disk_faults(call):
            self._archive.received(
                trip.claim, request_id=call.request_id, urls=urls, usage=call.usage, status=answer.status
            )

    @contextlib.contextmanager
    def _disk_faults(self, call: RunningCall) -> Iterator[None]:
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

    async def _picture(self, trip: InFlight, index: int, item: ReplyItem) -> Picture | CometError:
        """One entry of the answer as a checked, stored picture, or the error that keeps it from being one."""
        if item.url is not None:
            trip.tell("downloading")
            try:
                item = replace(item, data=await self._download(item.url))
            except CometError as error:
                return self._with_evidence(trip.call, error)
        checked = await self._threads.decode(self._checked, trip, item)
        if isinstance(checked, CometError):
            return checked
        picture = await self._threads.write(self._stored, trip, index, checked)
        self._tell_arrival(trip, picture)
        return picture

    @staticmethod
    def _tell_arrival(trip: InFlight, picture: Picture) -> None:
        trip.job.tell(Arrived(trip.call.index, picture))

    @staticmethod
    def _with_evidence(call: RunningCall, error: CometError) -> CometError:
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
            pause=self._settings.retry_base_delay / 2,
        )

    def _checked(self, trip: InFlight, item: ReplyItem) -> Picture | CometError:
        data = item.data or b""
        try:
            if item.error is not None:
                raise item.error
            mime, width, height = check_picture(data, max_pixels=self._settings.max_image_pixels)
        except CometError as error:
            return self._with_evidence(trip.call, error)
        return Picture(
            data=data,
            mime=mime,
            width=width,
            height=height,
            revised_prompt=item.revised_prompt,
            request_id=trip.call.request_id,
        )

    def _stored(self, trip: InFlight, index: int, picture: Picture) -> Picture:
        with self._disk_faults(trip.call):
            path = self._archive.store(
                trip.claim,
                index,
                picture.data,
                mime=picture.mime,
                width=picture.width,
                height=picture.height,
                sha256=picture.sha256,
                revised_prompt=picture.revised_prompt,
            )
            return replace(picture, path=str(path) if path else None)
        return picture

    # --- the end

    def _finish(self, trip: InFlight, checked: Picture | CometError) -> None:
        """The end of a call with a single picture."""
        self._end(trip, [self._stored(trip, 0, checked) if isinstance(checked, Picture) else checked])

    def _end(self, trip: InFlight, ended: Sequence[Picture | CometError]) -> None:
        """Settle an answered call; the raw body stays only where it is still needed."""
        call = trip.call
        call.pictures = [one for one in ended if isinstance(one, Picture)]
        errors = [one for one in ended if isinstance(one, CometError)]
        needed = (
            any(not isinstance(error, (DownloadError, UnsafeURLError)) for error in errors) or call.errors
        )
        rescue = self._rescue(trip) if needed else None
        for error in errors:
            error.rescue_path = rescue
        self._settle(trip, "done", next(iter([*errors, *call.errors]), None))
        if errors and not needed:
            trip.raw.drop()
        call.errors += errors

    async def give_up(self, trip: InFlight, error: CometError) -> None:
        """Settle a call that got no pictures."""
        self._with_evidence(trip.call, error)
        with anyio.CancelScope(shield=True):
            await self._threads.write(self._given_up, trip, error)

    def _given_up(self, trip: InFlight, error: CometError) -> None:
        needed = error.outcome in ("unknown", "billed") and trip.raw.size > 0
        error.rescue_path = self._rescue(trip) if needed else None
        words: dict[str, Settled] = {"unknown": "unknown", "billed": "done"}
        self._settle(trip, words.get(error.outcome, "rejected"), error)

    async def settle(self, trip: InFlight, state: Settled, error: CometError | None) -> None:
        """The end of a call in the ledger."""
        await self._threads.write(self._settle, trip, state, error)

    def _settle(self, trip: InFlight, state: Settled, error: CometError | None) -> None:
        call, answered = trip.call, state == "done"
        with self._disk_faults(call):
            self._archive.settle(
                trip.claim,
                state,
                cost=call.cost if answered else None,
                error=error,
                usage=call.usage if answered else None,
                attempts=call.attempts or None,
                request_id=call.request_id,
            )

    @staticmethod
    def _rescue(trip: InFlight) -> str | None:
        """Keep the raw answer for good; where it is, or None where the disk refuses."""
        kept = trip.raw.keep()
        return str(kept) if kept else None
