"""What both clients are made of: settings, transports, archive and limiter; plans calls and runs them as jobs."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from dataclasses import dataclass
from itertools import count, filterfalse, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..archive import Budget
from ..archive.process_lock import ForkHooks, watch
from ..catalog import suggest
from ..errors import BudgetExceededError, CometError, ConfigurationError
from ..images import prepare_inputs
from ..machine import archive_folder, spare_files
from ..money import Price, dollars, optional_dollars, parse_dollars
from ..protocol import RetryBudget, RetryPolicy
from ..request import NO_INPUTS, ImageRequest, has_pictures, requests_of
from ..settings import (
    SANDBOX,
    BaseURL,
    ClientOptions,
    ConnectionOptions,
    Key,
    Settings,
    base_url_of,
    check_number,
    find_key,
    resolve_base_url,
    untold,
)
from ..text import conceal_keys, counted
from .job import FREE, Job, RunningCall
from .limiter import Limiter
from .loop_thread import LoopHandle, WorkerThreads, ending, unwrapped
from .process_exit import too_late, wait_at_exit
from .results import ResultWriter, reused_picture
from .reuse import reuse_or_buy
from .run_call import InFlight, run_call
from .spending import process_spending
from .takeover import Takeover, resume_call
from .transport import APITransport, DownloadTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from ..archive import Archive, StoredPicture

T = TypeVar("T")
# Settings that the environment may name too.
VARIABLES = {"download_proxy": "COMETIMG_DOWNLOAD_PROXY", "picture_origins": "COMETIMG_PICTURE_ORIGINS"}
log = logging.getLogger("comet_magic")
WORKERS = 4  # threads that read, check and write; more of them would only take turns with the interpreter


@dataclass(frozen=True)
class Config:
    """What a client is made from; equal ones make the same client."""

    base: BaseURL
    key: Key
    settings: Settings


def configure(options: ClientOptions) -> Config:
    """Look up key and base URL, check every setting.

    Raises:
        MissingKeyError: no key was found.
        ConfigurationError: a setting is unknown or cannot be used.
    """
    known = ClientOptions.__annotations__
    conceal_keys(options, known)
    for name in options:
        if name not in known:
            meant = suggest(name, known)
            raise ConfigurationError(
                f"{name} is not a setting of a client; they are {', '.join(known)}",
                hint=f"Did you mean {meant}?" if meant else "",
            )
    base = base_url_of(options)
    given: Any = options.pop("api_key", None)
    key = find_key(given, base)
    key.require(base)
    for notice in untold(key.notices):
        log.warning("%s", notice)
    rest: dict[str, Any] = {
        name: value for name, value in options.items() if name not in ConnectionOptions.__annotations__
    }
    named = {name: os.environ.get(variable, "").strip() for name, variable in VARIABLES.items()}
    rest |= {name: value for name, value in named.items() if value and rest.get(name) is None}
    return Config(base, key, Settings(**rest))


@dataclass(frozen=True)
class Plan:
    """What a call would send, and its price; nothing was sent.

    Attributes:
        first: the request as asked, also where nothing needs to be sent.
        requests: the requests that would be sent.
        price: of all of them together; its upper end holds also if nothing comes of what is awaited.
        reused: pictures that the archive already holds.
        awaited: requests for pictures that calls in flight make.
        copies: the numbers of the pictures that are awaited and sent for; None without `reuse`.
    """

    first: ImageRequest
    requests: tuple[ImageRequest, ...]
    price: Price
    reused: tuple[StoredPicture, ...] = ()
    awaited: tuple[ImageRequest, ...] = ()
    copies: tuple[int, ...] | None = None


def served(base: BaseURL) -> BaseURL:
    """A base URL that answers: for the key `sandbox`, that of this process's sandbox."""
    if base != SANDBOX:
        return base
    from ..sandbox import process_sandbox

    return resolve_base_url(process_sandbox().base_url)


class Core(ForkHooks):
    """The working part of one client; made for any thread, and again by each forked child.

    Attributes:
        limiter: how many calls are in flight, and how fast they follow each other.
        policy: how often and how patiently a call is sent again.
        retry_budget: how many repeats all calls together may still make.
        results: reads, fetches, checks and stores pictures.
        takeover: finishes paid calls whose pictures are not all here.
        in_thread: gives the result of what would stop the loop: reading, checking, writing to disk.
    """

    def __init__(
        self, config: Config, *, archive: Archive | None = None, per_minute: float | None = None
    ) -> None:
        settings = self.settings = config.settings
        self.base, self.key = served(config.base), config.key
        secret = self.key.require(self.base)
        self.budget = Budget(
            session=optional_dollars(settings.max_cost_session, name="max_cost_session"),
            day=optional_dollars(settings.max_cost_day, name="max_cost_day"),
        )
        self.archive = archive or process_spending().archive(
            archive_folder(settings.archive), store_prompts=settings.store_prompts
        )
        self.price_per_image = optional_dollars(settings.price_per_image, name="price_per_image")
        self._max_cost = optional_dollars(settings.max_cost, name="max_cost")
        self.policy = RetryPolicy(max_attempts=settings.max_attempts, base_delay=settings.retry_base_delay)
        self.api = APITransport(self.base, secret, connect_timeout=settings.connect_timeout)
        self.pictures = DownloadTransport(
            proxy=settings.download_proxy,
            # so that a way that drops what it is sent leaves time for another one
            connect_timeout=min(settings.connect_timeout, settings.download_timeout / 4),
        )
        self._per_minute = per_minute
        self._closed = False
        self.after_fork_in_child()
        watch(self)
        wait_at_exit(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing at work: loop, locks and calls in flight belong to one process."""
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._begun: weakref.WeakSet[Job] = weakref.WeakSet()
        self._loop: LoopHandle | None = None
        self._workers = WorkerThreads(WORKERS)
        self.in_thread = self._workers.run
        self.limiter = Limiter(_side_by_side(self.settings.max_in_flight), per_minute=self._per_minute)
        self.retry_budget = RetryBudget()
        self.results = ResultWriter(self)
        self.takeover = Takeover(self)

    @property
    def session(self) -> str:
        """The id under which the ledger counts what this process spends, whatever clients it makes."""
        return process_spending().session

    def __repr__(self) -> str:
        return f"<{self.base.vendor} at {self.base.url}, key: {self.key.source}>"

    def __reduce__(self) -> Any:
        raise TypeError("a client is not pickled: it holds a key; make one where it is needed")

    # --- planning

    def plan(self, prompt: str, options: Mapping[str, Any]) -> Plan:
        """Check and price a call; nothing is sent.

        Raises:
            InvalidRequestError: a parameter breaks a rule.
            BudgetExceededError: the call could cost more than its own limit.
        """
        if options.get("preset") is not None:
            from ..preset_files import with_preset

            prompt, options = with_preset(prompt, options)
        if options.get("timeout") is not None:
            check_number("timeout", options["timeout"])
        inputs = prepare_inputs(options) if has_pictures(options) else NO_INPUTS
        requests = requests_of(prompt, options, inputs)
        first = requests[0]
        reused: tuple[StoredPicture, ...] = ()
        awaited: tuple[ImageRequest, ...] = ()
        copies: tuple[int, ...] | None = None
        if options.get("reuse") and self.archive.folder is not None:
            wanted = sum(request.n for request in requests)
            reused, open_copies, free = self._existing(first.key(self.base.vendor), wanted)
            missing = wanted - len(reused) - len(open_copies)
            awaited = requests_of(prompt, {**options, "n": len(open_copies)}, inputs) if open_copies else ()
            requests = requests_of(prompt, {**options, "n": missing}, inputs) if missing else ()
            copies = (*open_copies, *islice(free, missing))
        price = self._price(requests)
        most = price + self._price(awaited)  # what is awaited is bought if nothing comes of it
        if options.get("max_cost") is not None or self._max_cost is not None:
            self.check_cost(most, options.get("max_cost"))
        return Plan(first, requests, Price(price.low_micro, most.high_micro), reused, awaited, copies)

    def _price(self, requests: Sequence[ImageRequest]) -> Price:
        price = FREE
        for request in requests:
            price += request.estimate(self.price_per_image)
        return price

    def _existing(
        self, key: str, wanted: int
    ) -> tuple[tuple[StoredPicture, ...], tuple[int, ...], Iterator[int]]:
        """What there is of a request, at most as many as are wanted; and the copies that may be bought.

        The newest pictures whose files are here, in the order they were made; then copies that calls in flight make.
        """
        held = self.archive.held(key)  # before the pictures: what ends between is one of them
        there = (picture for picture in self.archive.stored(key) if self.archive.is_there(picture))
        newest = sorted(islice(there, wanted), key=lambda stored: stored.copy)
        gone = {one.copy for one in held} | {stored.copy for stored in newest}
        open_copies = [
            one.copy
            for one in held
            if (one.open or self.takeover.fetches(one.call_id))
            and one.copy not in {stored.copy for stored in newest}
        ]
        free = filterfalse(gone.__contains__, count())
        return tuple(newest), tuple(open_copies[: wanted - len(newest)]), free

    def check_cost(self, price: Price, given: float | None, what: str = "") -> None:
        """Refuse a price above the limit that was given, or else above that of every call.

        Raises:
            BudgetExceededError: it is above, or unknown.
        """
        limit = self._max_cost if given is None else parse_dollars(given)
        if limit is None or (price.high_micro is not None and price.high_micro <= limit):
            return
        if price.high_micro is None:
            raise BudgetExceededError(
                f"max_cost is set and the price of {what or 'this call'} is unknown",
                hint="Give price_per_image= (USD) to the client, or leave max_cost out.",
            )
        raise BudgetExceededError(
            f"{what or 'the call'} may cost {price}; max_cost is {dollars(limit)}",
            hint="Ask for fewer or smaller pictures, name the quality and size, or raise --max-cost.",
        )

    # --- running

    def submit(self, prompt: str, options: Mapping[str, Any]) -> Job:
        """Check a call and start it; returns at once, with `reuse` after a look into the archive."""
        plan = self.plan(prompt, options)
        inputs = plan.first.inputs
        reused = [reused_picture(self.archive, stored, inputs) for stored in plan.reused]
        reuse, numbers = plan.copies is not None, iter(plan.copies or ())
        calls = []
        for index, request in enumerate((*plan.awaited, *plan.requests)):
            copies = tuple(islice(numbers, request.n)) if reuse else None
            calls.append(RunningCall(index, request, copies=copies, reuse=reuse))
        job = Job(
            calls,
            first=plan.first,
            price=plan.price,
            reused=reused,
            copies={*map(attrgetter("copy"), plan.reused), *(plan.copies or ())},
            on_event=options.get("on_event"),
            folder=self.archive.folder,
            timeout=options.get("timeout"),
            parents=self.archive.parents(inputs) if inputs.images else (),
        )
        return self.launch(job)

    def launch(self, job: Job) -> Job:
        """Start a job in the background.

        Raises:
            ConfigurationError: the client is closed.
        """
        job.abandoned = too_late()
        with self._lock:
            job.loop = self._open_loop().thread
            self._jobs.add(job)
            self._begun.add(job)
        job.loop.start(self._run, job)
        return job

    def _open_loop(self) -> LoopHandle:
        """The handle of the loop, made if need be; the lock is held."""
        if self._closed:
            raise ConfigurationError("this client is closed", hint="Make a new one.")
        if self._loop is None or not self._loop.thread.alive:
            self._loop = LoopHandle()
        return self._loop

    def start(self, act: Callable[..., Awaitable[T]], *arguments: object) -> Future[T]:
        """Start something beside the calls on the loop, such as a free question to the vendor."""
        with self._lock:
            portal = self._open_loop().portal
        return portal.start_task_soon(act, *arguments)

    async def _run(self, job: Job) -> None:
        try:
            await self.recover()
            if len(job.calls) == 1:  # most are, and need no group of tasks
                await self.run_part(job, job.calls[0])
            else:
                async with anyio.create_task_group() as group:
                    for call in job.calls:
                        group.start_soon(self.run_part, job, call)
        except BaseException as fault:
            self._detach(job)
            if not ending():  # a thread that waits would only print it
                job.fail(unwrapped(fault))
            if not isinstance(fault, Exception):
                raise
            return
        self._detach(job)
        job.finish()

    async def run_part(self, job: Job, call: RunningCall) -> None:
        """Run one request of a job; pictures and errors are in `call` afterwards."""
        with anyio.CancelScope() as scope:
            call.scope = scope
            if job.abandoned:  # before this call could begin
                scope.cancel()
            try:
                run = resume_call if call.orphan else reuse_or_buy if call.reuse else run_call
                await run(self, job, call)
            except CometError as error:  # it could not be claimed
                call.errors.append(error.bare())
        if scope.cancelled_caught:
            call.errors.append(call.stopped("cancelled before it was answered"))
        call.end()

    def claim(self, job: Job, call: RunningCall) -> InFlight:
        """The call with its row, copies and money on disk: from here on it may be sent.

        Raises:
            CopyTaken, BudgetExceededError, ConfigurationError: as `Archive.claim`.
        """
        spending = process_spending()
        with spending.claiming(self.archive, self.base.vendor, self.budget) as budget:
            claim = self.archive.claim(
                call.request,
                vendor=self.base.vendor,
                reserve=call.request.estimate(self.price_per_image).high_micro,
                budget=budget,
                session=spending.session,
                copies=call.copies,
                redo=call.redo,
                call_id=call.call_id,
                timeout=job.timeout or self.settings.timeout,
                parents=job.parents,
            )
        return InFlight(job, call, claim, self.archive.raw_answer(claim))

    def _detach(self, job: Job) -> None:
        with self._lock:
            self._jobs.discard(job)
            last = self._closed and not self._jobs
        if last and not ending():  # in a thread, for the loop's own cannot wait for its end
            threading.Thread(target=self._wind_up, name="comet_magic-close").start()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs that still run, also in the background."""
        with self._lock:
            return tuple(sorted(self._jobs, key=lambda job: job.started))

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Jobs whose result is not there yet."""
        with self._lock:
            begun = tuple(self._begun)
        return tuple(job for job in begun if not job.done())

    def close(self) -> None:
        """Take no more calls; what was sent runs on, what was not is cancelled."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            jobs = tuple(self._jobs)
        for job in jobs:
            job.abandon()
        if not jobs:
            self._wind_up()

    def _wind_up(self) -> None:
        """Let go of the loop's thread and close the archive, which can be read again; one in memory stays as it is."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.release()
        self._workers.end()
        if self.archive.folder is not None:
            self.archive.close()

    # --- what was paid and is not here

    async def recover(self, *, again: bool = False) -> None:
        """Take over the calls of dead processes; what can be finished free of charge is, in the background.

        Done once, or `again` where others may have died meanwhile.
        """
        if again or not self.takeover.looked:
            await anyio.to_thread.run_sync(self.takeover.take_over)


FILES_OF_A_CALL = 3  # its connection, its raw answer, and the picture that is written
FILES_OF_A_CLIENT = 20  # ledger and index with their side files, the loop, and what is opened for a moment


def _side_by_side(most: int) -> int:
    """How many calls may be in flight so that no paid answer finds that this process may open no more files."""
    fitting = (spare_files() - FILES_OF_A_CLIENT) / FILES_OF_A_CALL
    if most <= fitting:
        return most
    fewer = max(1, int(fitting))
    log.warning(
        "%s in flight instead of %s: this process may open few files (see ulimit -n)",
        counted(fewer, "call"),
        most,
    )
    return fewer
