"""From a whole answer to checked pictures on disk and a settled call.

A disk that refuses after the payment is reported at the end; the pictures go on to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio

from ..addresses import absolute_url
from ..errors import CometError, DownloadError, SaveError, UnsafeURLError
from ..formats import kind_of, sniff
from ..images import Picture, check_picture, paste_back
from ..protocol import ReplyItem, read_answer, request_id_of
from ..request import cost_of
from ..text import clean
from .download import download
from .job import Arrived

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Reader, Settled, StoredPicture
    from ..protocol import Reply
    from ..request import Inputs
    from .core import Core
    from .run_call import InFlight, Received

AT_ONCE = 16  # pictures fetched and held side by side, however many calls are in flight and a server names


@dataclass(frozen=True)
class _Found:
    """What an answer holds.

    Attributes:
        cost: of it, in micro-USD.
        fault: of a disk that refused.
        picture: the only one, once it is stored.
        settled: the end of its call is in the ledger.
    """

    reply: Reply
    cost: int | None
    fault: OSError | None = None
    picture: Picture | None = None
    settled: bool = False


class ResultWriter:
    """Reads, fetches, checks, stores and settles. Calls are written on the loop; threads give values back."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._archive = core.archive
        self._settings = core.settings
        self._places = anyio.CapacityLimiter(AT_ONCE)

    # --- the answer

    async def read(self, flight: InFlight, answer: Received) -> Mapping[int, ReplyItem]:
        """The pictures and addresses of an answer that are still to be collected, by their position.

        Addresses are on disk before one is fetched. A single picture that came in the answer is stored here and its
        call settled, all in one thread, because each change of threads costs as much as a file.

        Raises:
            CometError: it holds nothing of the kind.
            FileNotFoundError: the raw answer is gone.
        """
        call = flight.call
        found = await self._core.in_thread(self._read, flight, answer)
        call.created, call.usage, call.cost = found.reply.created, found.reply.usage, found.cost
        call.settled = found.settled
        if found.fault is not None:
            self._note_disk_fault(flight, found.fault)
        if found.picture is None:
            return dict(enumerate(found.reply.items))
        call.pictures.append(found.picture)
        flight.job.tell(Arrived(call.index, found.picture))
        return {}

    def _read(self, flight: InFlight, answer: Received) -> _Found:
        call, fault = flight.call, None
        reply = self._parsed(flight, answer)
        if answer.cut is not None and reply.count < call.request.n:
            reply = replace(reply, items=(*reply.items, ReplyItem(error=answer.cut)))
        cost = cost_of(call.request, reply.usage, reply.count, self._core.price_per_image)
        asked = self._core.base.url + call.request.path
        urls = [item.url and absolute_url(item.url, asked) for item in reply.items]
        if any(urls):
            items = [replace(item, url=url) for item, url in zip(reply.items, urls, strict=True)]
            reply = replace(reply, items=tuple(items))
            try:
                self._archive.received(
                    flight.claim,
                    request_id=call.request_id,
                    urls=urls,
                    usage=reply.usage,
                    status=answer.status,
                )
            except OSError as refused:
                fault = refused
        found = _Found(reply, cost, fault)
        came = len(reply.items) == 1 and not any(urls)
        return self._finished(flight, found) if came and not call.errors else found

    def _finished(self, flight: InFlight, found: _Found) -> _Found:
        """Store the only picture and settle the call; one with a fault is left to `collect`."""
        try:
            picture, fault = self._keep(flight, 0, found.reply.items[0])
        except CometError:
            return found
        if fault is not None:
            return replace(found, picture=picture, fault=fault)
        fault = self._write_end(flight, "done", cost=found.cost, usage=found.reply.usage)
        return replace(found, picture=picture, fault=fault, settled=True)

    def _parsed(self, flight: InFlight, answer: Received) -> Reply:
        settings = self._settings
        try:
            return read_answer(
                flight.raw.pieces(answer.begins),
                encoding=answer.headers.get("content-encoding", ""),
                stream=answer.stream,
                largest=settings.max_response_bytes * 10,
                largest_picture=settings.max_image_bytes,
                wanted=max(1, flight.call.request.n),
            )
        except CometError as error:
            error.request_id = request_id_of(answer.headers) or error.request_id
            error.status_code = error.status_code or answer.status
            if answer.cut is None:
                raise
            problem: CometError = answer.cut
        except FileNotFoundError:
            raise
        except OSError as fault:
            problem = SaveError(f"the raw answer cannot be read: {clean(fault.strerror or fault, limit=120)}")
        raise problem

    # --- its pictures

    async def collect(self, flight: InFlight, items: Mapping[int, ReplyItem]) -> None:
        """Fetch, check and store what an answer holds, side by side; each is a picture or an error of the call."""
        found: dict[int, Picture | CometError] = {}
        async with anyio.create_task_group() as group:
            for index, item in items.items():
                group.start_soon(self._collect_one, flight, index, item, found)
        for index in sorted(found):
            one = found[index]
            if isinstance(one, Picture):
                flight.call.pictures.append(one)
            else:
                flight.note(one)

    async def _collect_one(
        self, flight: InFlight, index: int, item: ReplyItem, found: dict[int, Picture | CometError]
    ) -> None:
        async with self._places:
            try:
                if item.url is not None:
                    flight.job.progress(flight.call, "downloading")
                    item = replace(item, data=await download(self._core, item.url))
                picture, fault = await self._core.in_thread(self._keep, flight, index, item)
            except CometError as error:
                found[index] = error
                return
        found[index] = picture
        if fault is not None:
            self._note_disk_fault(flight, fault)
        flight.job.tell(Arrived(flight.call.index, picture))

    def _keep(self, flight: InFlight, index: int, item: ReplyItem) -> tuple[Picture, OSError | None]:
        """Check a picture and put it on disk; if the disk refuses, the picture has no path."""
        if item.error is not None:
            raise item.error
        data = item.data or b""
        try:
            mime, width, height = check_picture(data, max_pixels=self._settings.max_image_pixels)
        except CometError as error:
            kind = kind_of(data)
            kept = flight.raw.keep_part(index, data, kind.suffix) if kind else None
            error.rescue_path = str(kept) if kept else None
            raise
        picture = Picture(
            *(data, mime, width, height),
            revised_prompt=item.revised_prompt,
            request_id=flight.call.request_id,
        )
        if flight.call.request.inputs.images:
            picture = pasted(picture, flight.call.request.inputs)
        try:
            path = self._archive.store(
                flight.claim,
                index,
                picture.data,
                mime=picture.mime,
                width=width,
                height=height,
                sha256=picture.sha256,
                revised_prompt=item.revised_prompt,
                unpasted=picture.unpasted,
            )
        except OSError as fault:
            return picture, fault
        return replace(picture, path=str(path) if path else None), None

    # --- the end

    async def settle(self, flight: InFlight, state: Settled) -> None:
        """Write the end of a call to the ledger; its raw answer stays only where something else is lost."""
        fault = await self._core.in_thread(self._settle, flight, state)
        if fault is not None:
            self._note_disk_fault(flight, fault)

    def _settle(self, flight: InFlight, state: Settled) -> OSError | None:
        call, answered = flight.call, state == "done"
        error = self._rescue(flight, state) if call.errors else None
        if error is None and state == "unknown":
            error = call.stopped("cancelled before it was answered")
        if answered and call.usage is None and error is not None and error.usage:
            price = call.request.spec.price
            call.usage, call.cost = dict(error.usage), price.of_usage(error.usage) if price else None
        cost, usage = (call.cost, call.usage) if answered else (None, None)
        return self._write_end(flight, state, error=error, cost=cost, usage=usage)

    def _write_end(
        self,
        flight: InFlight,
        state: Settled,
        *,
        error: CometError | None = None,
        cost: int | None = None,
        usage: dict[str, Any] | None = None,
    ) -> OSError | None:
        """Settle a call in the ledger; gives what the disk refused."""
        call = flight.call
        flight.raw.close()
        try:
            self._archive.settle(
                flight.claim,
                state,
                cost=cost,
                error=error,
                usage=usage,
                attempts=call.attempts or None,
                request_id=call.request_id,
            )
        except OSError as fault:
            return fault
        return None

    @staticmethod
    def _rescue(flight: InFlight, state: Settled) -> CometError:
        """Keep a raw answer that holds what is nowhere else, drop any other; gives the main error of the call."""
        errors = flight.call.errors
        failures = [error for error in errors if not isinstance(error, SaveError)]
        # a picture with an address can be fetched again; anything else is in the raw answer only
        lost = any(not isinstance(error, (DownloadError, UnsafeURLError)) for error in errors)
        if lost and state in ("done", "unknown") and flight.raw.size:
            kept = flight.raw.keep()
            for error in failures:
                error.rescue_path = error.rescue_path or (str(kept) if kept else None)
        else:
            flight.raw.drop()
        return failures[0] if failures else errors[0]

    def _note_disk_fault(self, flight: InFlight, fault: OSError) -> None:
        """Have the call end with a `SaveError`, once, for what the disk refused after the payment."""
        if any(isinstance(error, SaveError) for error in flight.call.errors):
            return
        reason = clean(fault.strerror or fault, limit=120)
        flight.call.errors.append(
            SaveError(
                f"the pictures could not be saved in the archive {self._archive.folder}: {reason}",
                hint="They are in error.images: error.images.save(...) writes them elsewhere.",
            )
        )


def picture_of(archive: Reader, stored: StoredPicture, *, cost_micro: int | None) -> Picture:
    """A picture read from the archive, whole as it came, with this cost.

    Raises:
        SaveError: its file is gone or damaged.
    """
    try:
        data = archive.load(stored)
    except OSError as fault:
        reason = clean(fault.strerror or fault)
    else:
        return Picture(
            data=data,
            mime=stored.mime,
            width=stored.width,
            height=stored.height,
            sha256=stored.sha256,
            path=str(archive.path_of(stored)),
            revised_prompt=stored.revised_prompt,
            request_id=stored.request_id,
            cost_micro=cost_micro,
            reused=True,
            unpasted=archive.load_unpasted(stored),
        )
    raise SaveError(f"{stored.path} of the archive cannot be read: {reason}", outcome="not_sent")


def reused_picture(archive: Reader, stored: StoredPicture, inputs: Inputs) -> Picture:
    """A picture read from the archive, free of charge: pasted or as it came, as the inputs ask for it.

    Raises:
        SaveError: its file is gone or damaged.
    """
    picture = picture_of(archive, stored, cost_micro=0)
    if stored.unpasted is not None and picture.unpasted is None:  # it is pasted, and what came is gone
        return picture
    asked = pasted(picture, inputs)
    # its file holds what was stored
    return asked if asked.data is picture.data else replace(asked, path=None)


def pasted(picture: Picture, inputs: Inputs) -> Picture:
    """The picture as `paste_back` asks for it; its notice says what was done, or why not."""
    if not inputs.paste_back and picture.unpasted is not None:
        mime = sniff(picture.unpasted) or picture.mime
        return replace(picture, data=picture.unpasted, mime=mime, sha256="", unpasted=None)
    if inputs.mask is None or not inputs.paste_back or picture.unpasted is not None:
        return picture
    try:
        beside = paste_back(picture, inputs)
    except CometError as error:  # it is paid for, and shown as it came
        return replace(picture, notice=f"the original was not pasted back: {clean(error, limit=120)}")
    if beside.ignored:
        share = f"{beside.changed:.0%} of the picture outside the mask changed"
        return replace(
            picture, notice=f"the mask seems to have been ignored: {share}; images.paste_back() restores it"
        )
    scaled = ", scaled to the answer's size" if beside.scaled else ""
    return replace(beside.picture, notice=f"outside the mask: the original{scaled}")
