"""The client that the magic and the panel share, and what a person is asked before it buys.

The client is the real one, or one of a sandbox if no key is set. Sandbox and clients are made when they are first
needed; `close` closes them. The question guards against a mistyped n; who asks, and how, is up to cell and panel, and
Python code is never asked.
"""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MissingKeyError
from ..money import dollars, parse_dollars
from ..settings import SANDBOX, find_key, resolve_base_url, untold
from ..text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..client import Client, Job, Plan
    from ..explore import GridPlan
    from ..images import Images
    from ..settings import BaseURL

SANDBOX_NOTICE = "sandbox picture: set COMETAPI_KEY for real ones"
DISCARD_URL = "http://127.0.0.1:9/v1"  # the discard port, for a client that only reads the archive
MOST_UNPRICED = 4  # pictures whose price is unknown that are bought without a question
LIMITS = ("max_cost", "max_cost_session", "max_cost_day")


class Service(NamedTuple):
    """A client to send with.

    Attributes:
        client: the client.
        notice: the sentence that is shown with every picture it makes, "" for none.
        destination: the base URL that it sends to, "" for the sandbox.
    """

    client: Client
    notice: str
    destination: str


class Session:
    """Owns the sandbox and its client; the real client belongs to `comet_magic.client`.

    Attributes:
        newest: what the last cell made, for `--edit`.
        confirmed_click: whether a person has confirmed in a panel that it spends real money.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._client_settings: dict[str, Any] = {}
        self._jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        self.newest: Images | None = None
        self.confirmed_click = False
        self._used_before: dict[str, int] = {}  # micro-USD, by base URL

    def service(self, **settings: Any) -> Service:
        """The client to send with: the shared one, or one of the sandbox if neither key nor base URL is set.

        Raises:
            MissingKeyError: a base URL is set, but no key for it.
        """
        from ..client import shared_client

        destination = self.destination(settings.get("base_url"))
        if destination:
            return Service(shared_client(**settings), "", destination)
        return Service(self._sandbox_client(settings), SANDBOX_NOTICE, destination)

    def destination(self, base_url: str | None) -> str:
        """The base URL that `service` sends to now; "" for the sandbox: if nothing is set, or the key says so.

        Raises:
            ConfigurationError: the base URL cannot be used.
        """
        base = resolve_base_url(base_url)
        offline = base == SANDBOX or (base.source == "default" and find_key(None, base).secret is None)
        return "" if offline else base.url

    def base(self, base_url: str | None) -> BaseURL:
        """Where a cell's request will really be sent; starts the sandbox if that is it.

        Raises:
            ConfigurationError: the base URL cannot be used.
        """
        if self.destination(base_url):
            return resolve_base_url(base_url)
        from ..sandbox import process_sandbox

        return replace(resolve_base_url(process_sandbox().base_url), source="sandbox")

    def archive_client(self, **settings: Any) -> Client:
        """A client to read the archive with: the one in use, or else one that cannot send."""
        from ..client import Client, shared_client

        with suppress(MissingKeyError):
            return shared_client(**settings)
        with self._lock:
            client = self._client
        return client or Client(**{**settings, "base_url": DISCARD_URL, "api_key": "none"})

    def catalogue_client(self, **settings: Any) -> Client:
        """A client for questions that need no key; without a key it has none to send."""
        from ..client import Client, shared_client

        with suppress(MissingKeyError):
            return shared_client(**settings)
        return Client(api_key="none", **settings)

    def balance_before(self, base_url: str, used: int) -> int | None:
        """What the key had used when this was last called, in micro-USD, or None; remembers `used`."""
        before = self._used_before.get(base_url)
        self._used_before[base_url] = used
        return before

    def new_key_notices(self, base_url: str | None) -> tuple[str, ...]:
        """Notices about where the key was found; each sentence only once."""
        return untold(find_key(None, resolve_base_url(base_url)).notices)

    def track(self, job: Job) -> None:
        """Remember a job until it ends, also when its client is replaced."""
        self._jobs.add(job)

    def jobs(self, *clients: Client) -> tuple[Job, ...]:
        """The running jobs, oldest first: those the notebook started, and those of these clients."""
        running = {job for job in self._jobs if not job.done()}
        for client in (*clients, *((self._client,) if self._client else ())):
            running.update(client.jobs)
        return tuple(sorted(running, key=lambda job: job.started))

    def close(self) -> None:
        """Close the shared client, and the sandbox with its client; calls to the sandbox are cancelled."""
        with self._lock:
            client, self._client = self._client, None
        if "comet_magic.client" in sys.modules:
            sys.modules["comet_magic.client"].close_shared_client()
        if client is not None:
            for job in client.jobs:
                job.drop()
            client.close()
        if "comet_magic.sandbox" in sys.modules:
            sys.modules["comet_magic.sandbox"].close_process_sandbox()

    def _sandbox_client(self, settings: dict[str, Any]) -> Client:
        from ..client import Client
        from ..sandbox import process_sandbox

        with self._lock:
            if self._client is None or settings != self._client_settings:
                replaced = self._client
                self._client = Client(base_url=process_sandbox().base_url, api_key="sandbox", **settings)
                self._client_settings = settings
                if replaced is not None:
                    replaced.close()
            return self._client


session = Session()


# --- what a person is asked before it buys


def never_asks(vendor: str, limits: Mapping[str, object]) -> bool:
    """Whether a purchase needs no word: play money, or a person who has set a limit."""
    return vendor == "sandbox" or any(limits.get(name) is not None for name in LIMITS)


def purchase_to_confirm(plan: Plan | GridPlan, above: float) -> str:
    """What a call would buy, in words, if a person should confirm it; "" if it is small, or only reuses pictures.

    Args:
        plan: what would be sent.
        above: USD; the most that is bought without a question.

    Raises:
        InvalidRequestError: `above` is not an amount of money.
    """
    most = parse_dollars(above, name="confirm_above")
    if not plan.requests:  # also where a call in flight is awaited
        return ""
    pictures = sum(request.most_pictures for request in plan.requests)
    if plan.price.high_micro is None:
        return purchase(plan) if pictures > MOST_UNPRICED else ""
    return purchase(plan) if plan.price.high_micro > most else ""


def purchase(plan: Plan | GridPlan) -> str:
    """What a call would buy, in words: "10 pictures for at most $1.69"."""
    pictures = counted(sum(request.most_pictures for request in plan.requests), "picture")
    price = plan.price.high_micro
    return f"{pictures} of unknown price" if price is None else f"{pictures} for at most {dollars(price)}"


def refusal(plan: Plan | GridPlan, above: float) -> str:
    """Why a cell is not sent before it says `--yes`, with the ways on; "" if it may be sent."""
    asked = purchase_to_confirm(plan, above)
    if not asked:
        return ""
    if plan.price.high_micro is None:
        why = f"more than {MOST_UNPRICED} pictures of unknown price need a yes"
        limit = "set %config CometMagics.price_per_image"
    else:
        cents = -(-plan.price.high_micro // 10_000)  # rounded up: with this limit the call is not refused
        why = f"more than {dollars(parse_dollars(above))} needs a yes"
        limit = f"set a limit: --max-cost {cents / 100:.2f}"
    return f"this would buy {asked}, and {why}, so nothing was sent; add --yes, or {limit}"
