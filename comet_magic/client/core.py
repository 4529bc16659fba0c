"""What both clients are made of: settings, doors, archive and limiter, and the way from a prompt to a job."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..archive import Archive, Budget
from ..archive.fork_hooks import ForkHooks, watch
from ..errors import CometError, ConfigurationError, SaveError
from ..images import Picture
from ..locations import archive_folder
from ..protocol import Policy, RetryBudget
from ..request import ImageRequest, Price, parse_dollars
from ..text import clean
from .in_flight import Manners
from .job import Job, RunningCall
from .limiter import Limiter
from .loop_thread import LoopHandle, ending, unwrapped
from .planning import FREE, Plan, Planner
from .run_call import Journey
from .takeover import Takeover
from .transport import APITransport, DownloadTransport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..archive import Claim, StoredPicture
    from ..settings import BaseURL
    from .config import Config


T = TypeVar("T")
Way = Callable[[Job, RunningCall], Awaitable[None]]


class Core(ForkHooks):
    """The engine side of one client."""

    def __init__(self, config: Config, *, archive: Archive | None = None) -> None:
        self.base, self.key, self.settings = config.base, config.key, config.settings
        secret = self.key.require(self.base)
        self._budget = Budget(
            session=_micro(self.settings.max_cost_session, "max_cost_session"),
            day=_micro(self.settings.max_cost_day, "max_cost_day"),
        )
        self.archive = archive or Archive(
            archive_folder(self.settings.archive), store_prompts=self.settings.store_prompts
        )
        self._planner = Planner(
            self.base.vendor,
            self.archive,
            _micro(self.settings.price_per_image, "price_per_image"),
            _micro(self.settings.max_cost, "max_cost"),
        )
        self.session = uuid.uuid4().hex
        self.api = APITransport(self.base, secret, connect_timeout=self.settings.connect_timeout)
        self._pictures = DownloadTransport(
            proxy=self.settings.download_proxy, connect_timeout=self.settings.connect_timeout
        )
        self._closed = False
        self.after_fork_in_child()
        watch(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing at work: loop, lock and calls in flight are of one process."""
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._loop: LoopHandle | None = None
        self._limiter = self._new_limiter()
        self._retries = RetryBudget()
        self.journey = Journey(
            base=self.base,
            api=self.api,
            pictures=self._pictures,
            settings=self.settings,
            archive=self.archive,
        )
        self._unfinished = Takeover(self.archive, self.journey.delivery, self._finish)

    def _new_limiter(self) -> Limiter:
        return Limiter(self.settings.max_in_flight)

    def __repr__(self) -> str:
        return f"<{self.base.vendor} at {self.base.url}, key: {self.key.source}>"

    def __reduce__(self) -> Any:
        raise TypeError("a client is not pickled: it holds a key; make one where it is needed")

    # --- running

    def plan(self, prompt: str, options: Mapping[str, Any]) -> Plan:
        """Check and price a call; nothing is sent."""
        return self._planner.plan(prompt, options)

    def submit(self, prompt: str, options: Mapping[str, Any]) -> Job:
        """Check a call and start it; returns at once."""
        plan = self.plan(prompt, options)
        if options.get("reuse") and plan.requests:
            self._bring_in(plan.first)
            plan = self.plan(prompt, options)
        reused = [self.load(stored) for stored in plan.reused]
        return self._start(plan.requests, plan.price, options, reused=reused, first=plan.first)

    def _bring_in(self, request: ImageRequest) -> None:
        """Wait for what a crash left of this request: paid, and not in the archive yet."""
        if not self._unfinished.looked:
            self._unfinished.take_over()
        self._unfinished.await_key(request.key(self.base.vendor), self.settings.download_timeout)

    def _start(
        self,
        requests: Sequence[ImageRequest],
        price: Price,
        options: Mapping[str, Any],
        *,
        first: ImageRequest,
        reused: Sequence[Picture] = (),
    ) -> Job:
        calls = [RunningCall(index, request) for index, request in enumerate(requests)]
        manners = Manners(self._limiter, self._retries, self._policy())

        async def way(job: Job, call: RunningCall) -> None:
            await self.journey.travel(job, call, partial(self._claim, call), manners)

        return self._launch(self._job(calls, first, price=price, reused=reused, options=options), way)

    def _job(
        self,
        calls: Sequence[RunningCall],
        first: ImageRequest,
        *,
        price: Price = FREE,
        options: Mapping[str, Any],
        **more: Any,
    ) -> Job:
        folder = str(self.archive.folder) if self.archive.folder else None
        return Job(
            calls,
            first=first,
            price=price,
            on_event=options.get("on_event"),
            folder=folder,
            timeout=options.get("timeout"),
            **more,
        )

    def _launch(self, job: Job, way: Way) -> Job:
        loop = self._attach(job)
        job.loop = loop
        loop.start(self._run, job, way)
        return job

    def _policy(self) -> Policy:
        return Policy(max_attempts=self.settings.max_attempts, base_delay=self.settings.retry_base_delay)

    def _attach(self, job: Job) -> LoopHandle:
        with self._lock:
            loop = self._engine()
            self._jobs.add(job)
            return loop

    def _engine(self) -> LoopHandle:
        """The engine, started if need be; the lock is held."""
        if self._closed:
            raise ConfigurationError("this client is closed", hint="Make a new one.")
        if self._loop is None or not self._loop.alive:
            self._loop = LoopHandle()
        return self._loop

    def ask(self, question: Callable[[APITransport, BaseURL], Awaitable[T]]) -> T:
        """The answer to a question that costs nothing; waits for it."""
        with self._lock:
            portal = self._engine().portal
        return portal.call(question, self.api, self.base)

    async def _run(self, job: Job, way: Way) -> None:
        try:
            await self.recover()
            async with anyio.create_task_group() as group:
                for call in job.parts:
                    group.start_soon(self._one, job, call, way)
        except BaseException as fault:
            self._detach(job)
            if not ending():  # a thread that waits would only print it
                job.fail(unwrapped(fault))
            if not isinstance(fault, Exception):
                raise
            return
        self._detach(job)
        job.finish()

    async def _one(self, job: Job, call: RunningCall, way: Way) -> None:
        with anyio.CancelScope() as scope:
            call.scope = scope
            if job.abandoned:  # before this call could begin
                scope.cancel()
            try:
                await way(job, call)
            except CometError as error:
                call.errors.append(error.bare())
        if scope.cancelled_caught:
            call.errors.append(call.stopped("cancelled before it was answered"))
        call.end()

    def _claim(self, call: RunningCall, *, redo: bool = False, call_id: str = "") -> Claim:
        return self.archive.claim(
            call.request,
            vendor=self.base.vendor,
            reserve=self._planner.price([call.request]).high,
            budget=self._budget,
            session=self.session,
            copies=call.copies,
            redo=redo,
            call_id=call_id,
        )

    def _detach(self, job: Job) -> None:
        with self._lock:
            self._jobs.discard(job)
            last = self._closed and not self._jobs
            loop = self._loop if last else None
            if loop is not None:
                self._loop = None
        if loop is not None:
            loop.release()
        if last:  # not on the engine's thread: it may take a while
            threading.Thread(target=self._put_away, name="comet_magic-close").start()

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
            jobs, loop = tuple(self._jobs), self._loop
            if not jobs:
                self._loop = None
        if loop is not None and not jobs:
            loop.release()
        for job in jobs:
            job.abandon()
        if not jobs:
            self._put_away()

    def _put_away(self) -> None:
        """Close the archive's files, which can be read again; what is in memory only stays."""
        if self.archive.folder is not None:
            self.archive.close()

    # --- what was paid and is not here

    async def recover(self, *, again: bool = False) -> None:
        """Take over what dead processes left; what can be finished for nothing is finished in the background.

        Done once, or `again` where others may have died meanwhile.
        """
        if again or not self._unfinished.looked:
            await anyio.to_thread.run_sync(self._unfinished.take_over)

    def fetch(self, call_id: str) -> Job:
        """Fetch the missing pictures of a paid call again; nothing is sent and nothing is paid.

        Raises:
            InvalidRequestError: there is no such call, or nothing of it can be fetched.
        """
        return self._unfinished.fetch(call_id)

    def _finish(self, call: RunningCall, way: Way) -> Job:
        return self._launch(self._job([call], call.request, options={}), way)

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


def _micro(amount: float | None, name: str) -> int | None:
    return None if amount is None else parse_dollars(amount, name=name)
