"""What both clients are made of: settings, doors, archive and limiter, and the way from a prompt to a job."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from ..archive import Archive, Budget
from ..errors import APIConnectionError, BudgetExceededError, CometError, ConfigurationError, SaveError
from ..images import Picture
from ..protocol import Policy, RetryBudget
from ..request import CALL_OPTIONS, ImageRequest, Price, dollars, parse_dollars, plan_requests
from ..settings import BaseURL, ClientOptions, Key, Settings, archive_folder, find_key, resolve_base_url
from ..text import clean
from .attempt import Received
from .engine import Lease
from .http import APIDoor, PictureDoor
from .job import Call, Job
from .journey import Journey, Manners, Trip
from .limiter import Limiter
from .outcome import outcome
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..archive import Call as Claim
    from ..archive import Orphan, StoredPicture


@dataclass(frozen=True)
class Plan:
    """What a call would send, and its price; nothing was sent.

    Attributes:
        requests: the requests it is made of.
        price: of all of them together.
        reused: pictures that the archive already holds.
    """

    requests: tuple[ImageRequest, ...]
    price: Price
    reused: tuple[StoredPicture, ...] = ()


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
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{name} is no setting of a client; it takes {', '.join(known)}")
    given = options.pop("api_key", None)
    problem: CometError | None = None
    try:
        base = resolve_base_url(options.pop("base_url", None))
        key = find_key(given, base)
        key.require(base)
        rest: dict[str, Any] = {**options}
        return Config(base, key, Settings(**rest))
    except CometError as error:
        problem = error.bare()  # no frame of ours may remember the key
    finally:
        del given
    raise problem


class Core:
    """The engine side of one client."""

    def __init__(self, config: Config) -> None:
        self.base, self.key, self.settings = config.base, config.key, config.settings
        secret = self.key.require(self.base)
        self._price_per_image = _micro(self.settings.price_per_image, "price_per_image")
        self._max_cost = _micro(self.settings.max_cost, "max_cost")
        self._budget = Budget(
            session=_micro(self.settings.max_cost_session, "max_cost_session"),
            day=_micro(self.settings.max_cost_day, "max_cost_day"),
        )
        self.archive = Archive(
            archive_folder(self.settings.archive), store_prompts=self.settings.store_prompts
        )
        self.session = uuid.uuid4().hex
        self.api = APIDoor(self.base, secret, connect_timeout=self.settings.connect_timeout)
        self._pictures = PictureDoor(
            proxy=self.settings.download_proxy, connect_timeout=self.settings.connect_timeout
        )
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._lease: Lease | None = None
        self._pid = os.getpid()
        self._closed = False
        self._recovered = False
        self._fresh()

    def _fresh(self) -> None:
        """What belongs to one process and one loop."""
        self._limiter = Limiter(self.settings.max_in_flight)
        self._retries = RetryBudget()
        self.journey = Journey(
            base=self.base,
            api=self.api,
            pictures=self._pictures,
            settings=self.settings,
            archive=self.archive,
        )

    def __repr__(self) -> str:
        return f"<{self.base.vendor} at {self.base.url}, key: {self.key.source}>"

    def __reduce__(self) -> Any:
        raise TypeError("a client is not pickled: it holds a key; make one where it is needed")

    # --- planning

    def plan(self, prompt: str, options: Mapping[str, Any]) -> Plan:
        """Check and price a call; refuses what breaks a rule or the call's own limit on money."""
        wire = {name: value for name, value in options.items() if name not in CALL_OPTIONS}
        requests = plan_requests(prompt, **wire)
        reused: tuple[StoredPicture, ...] = ()
        if options.get("reuse"):
            wanted = sum(request.n for request in requests)
            key = requests[0].key(self.base.vendor)
            reused = tuple(self.archive.stored(key)[:wanted])
            missing = wanted - len(reused)
            requests = plan_requests(prompt, **{**wire, "n": missing}) if missing else ()
        price = Price(0, 0)
        for request in requests:
            price += request.estimate(self._price_per_image)
        self._check_cost(price, options.get("max_cost"))
        return Plan(requests, price, reused)

    def _check_cost(self, price: Price, given: float | None) -> None:
        limit = self._max_cost if given is None else parse_dollars(given)
        if limit is None or (price.high is not None and price.high <= limit):
            return
        if price.high is None:
            raise BudgetExceededError(
                "max_cost is set and the price of this call is unknown",
                hint="Give price_per_image= (USD) to the client, or leave max_cost out.",
            )
        raise BudgetExceededError(
            f"the call may cost {price}; max_cost is {dollars(limit)}",
            hint="Ask for fewer or smaller pictures, name the quality and size, or raise --max-cost.",
        )

    # --- running

    def submit(self, prompt: str, options: Mapping[str, Any]) -> Job:
        """Check a call and start it; returns at once."""
        unknown = [name for name in options if options[name] is not None and name in ("api_key", "base_url")]
        if unknown:
            raise ConfigurationError(f"{unknown[0]} belongs to the client, not to a call")
        plan = self.plan(prompt, options)
        reused = [self.load(stored) for stored in plan.reused]
        first = plan.requests[0] if plan.requests else plan_requests(prompt, **_wire(options))[0]
        return self._start(plan.requests, plan.price, options, reused=reused, first=first)

    def submit_requests(
        self,
        requests: Sequence[ImageRequest],
        *,
        copies: Sequence[Sequence[int]] | None = None,
        run: str = "",
        policy: Policy | None = None,
        **options: Any,
    ) -> Job:
        """Start checked requests, each for given copies: the pipeline's door."""
        price = Price(0, 0)
        for request in requests:
            price += request.estimate(self._price_per_image)
        return self._start(requests, price, options, first=requests[0], copies=copies, run=run, policy=policy)

    def _start(
        self,
        requests: Sequence[ImageRequest],
        price: Price,
        options: Mapping[str, Any],
        *,
        first: ImageRequest,
        reused: Sequence[Picture] = (),
        copies: Sequence[Sequence[int]] | None = None,
        run: str = "",
        policy: Policy | None = None,
    ) -> Job:
        calls = [Call(index, request) for index, request in enumerate(requests)]
        for call, numbers in zip(calls, copies or (), strict=False):
            call.copies = numbers
        job = Job(
            calls,
            price=price,
            reused=reused,
            on_event=options.get("on_event"),
            folder=str(self.archive.folder) if self.archive.folder else None,
            timeout=options.get("timeout"),
        )
        lease = self._attach(job)
        job.call_on_engine = lease.portal.call
        lease.portal.start_task_soon(partial(self._run, job, first, run, policy or self._policy()))
        return job

    def _policy(self) -> Policy:
        return Policy(max_attempts=self.settings.max_attempts, base_delay=self.settings.retry_base_delay)

    def _attach(self, job: Job) -> Lease:
        with self._lock:
            if self._closed:
                raise ConfigurationError("this client is closed", hint="Make a new one.")
            if self._lease is None or not self._lease.usable:
                if self._pid != os.getpid():
                    self._pid, self._jobs = os.getpid(), set()
                    self._fresh()
                self._lease = Lease()
            self._jobs.add(job)
            return self._lease

    async def _run(self, job: Job, first: ImageRequest, run: str, policy: Policy) -> None:
        try:
            if not self._recovered:
                self._recovered = True
                await self.recover()
            async with anyio.create_task_group() as group:
                for call in job.parts:
                    group.start_soon(self._one, job, call, run, policy)
            images, error = outcome(job, first)
        except BaseException as fault:  # a fault of ours must reach the caller, who waits for it
            self._detach(job)
            job.set_exception(
                fault if isinstance(fault, Exception) else APIConnectionError("the engine was stopped")
            )
            raise
        self._detach(job)
        if error is not None:
            job.set_exception(error)
        else:
            job.set_result(images)

    async def _one(self, job: Job, call: Call, run: str, policy: Policy) -> None:
        with anyio.CancelScope() as scope:
            call.scope = scope
            try:
                manners = Manners(self._limiter, self._retries, policy)
                await self.journey.travel(job, call, partial(self._claim, call, run), manners)
            except CometError as error:
                call.errors.append(error.bare())
        if scope.cancelled_caught:
            call.errors.append(
                CometError("cancelled before it was answered", outcome="unknown" if call.sent else "not_sent")
            )
        call.state = "failed" if call.errors and not call.pictures else "done"

    def _claim(self, call: Call, run: str) -> Claim:
        return self.archive.claim(
            call.request,
            vendor=self.base.vendor,
            reserve=call.request.estimate(self._price_per_image).high,
            budget=self._budget,
            session=self.session,
            copies=call.copies,
            run=run,
        )

    def _detach(self, job: Job) -> None:
        with self._lock:
            self._jobs.discard(job)
            lease = self._lease if self._closed and not self._jobs else None
            if lease is not None:
                self._lease = None
        if lease is not None:
            lease.release_later()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs that still run, those in the background too."""
        with self._lock:
            return tuple(sorted(self._jobs, key=lambda job: job.started))

    def close(self) -> None:
        """Take no more calls; what was sent runs on, what was not is cancelled."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            jobs, lease = tuple(self._jobs), self._lease
            if not jobs:
                self._lease = None
        if lease is not None and not jobs:
            lease.release()
        for job in jobs:
            job.abandon()

    # --- what a crash left

    async def recover(self) -> None:
        """Finish paid answers that a dead process had received; nothing is sent."""
        for orphan in await anyio.to_thread.run_sync(self.archive.reconcile):
            if orphan.spool is None or orphan.call.request is None:
                continue
            call = Call(0, orphan.call.request, call_id=orphan.call.id)
            trip = Trip(Job([call], price=Price(0, 0)), call, orphan.call, Spool.left_behind(orphan.spool))
            try:
                await self.journey.deliver(trip, _answer_of(orphan))
            except CometError as error:
                await self.journey.give_up(trip, error)

    def load(self, stored: StoredPicture) -> Picture:
        """A picture of the archive, as it came.

        Raises:
            SaveError: its file is gone or damaged.
        """
        try:
            data = self.archive.load(stored)
        except OSError as fault:
            problem = SaveError(
                f"{stored.path} of the archive cannot be read: {clean(fault.strerror or fault)}",
                outcome="not_sent",
            )
        else:
            return Picture(
                data=data,
                mime=stored.mime,
                width=stored.width,
                height=stored.height,
                sha256=stored.sha256,
                path=str(self.archive.path_of(stored)),
                revised_prompt=stored.revised_prompt,
                request_id=stored.request_id,
                cost=0,
                reused=True,
            )
        raise problem


def _answer_of(orphan: Orphan) -> Received:
    headers = orphan.head.get("headers", {})
    return Received(
        orphan.head.get("status", 200), headers, "event-stream" in headers.get("content-type", "")
    )


def _wire(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in CALL_OPTIONS}


def _micro(amount: float | None, name: str) -> int | None:
    return None if amount is None else parse_dollars(amount, name=name)
