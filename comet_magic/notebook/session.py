"""The client that the magic and the panel share: the real one, or, with no key at all, one on the sandbox.

Nothing is made before it is asked for, and `close` takes everything down again.
"""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MissingKeyError
from ..settings import find_key, resolve_base_url

if TYPE_CHECKING:
    from ..client import Client, Job
    from ..sandbox import Sandbox

SANDBOX_NOTICE = "sandbox picture: set COMETAPI_KEY for real ones"
DISCARD_URL = "http://127.0.0.1:9/v1"  # the discard port: for a client that only looks into the archive


class Service(NamedTuple):
    """A client, the sentence that everything it makes is shown with, and the destination that it sends to."""

    client: Client
    notice: str
    destination: str


class Session:
    """Holds the sandbox and its client; the real client belongs to `comet_magic.client`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._client: Client | None = None
        self._client_settings: dict[str, Any] = {}
        self._jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        self._shown_notices: set[str] = set()
        self._used_before: dict[str, int] = {}  # micro-USD, by base URL

    def service(self, **settings: Any) -> Service:
        """The client to use now.

        Raises:
            MissingKeyError: when a base URL is set but no key for it; only who set nothing is offline.
        """
        from ..client import shared_client

        destination = self.destination(settings.get("base_url"))
        if destination:
            return Service(shared_client(**settings), "", destination)
        return Service(self._sandbox_client(_without_address(settings)), SANDBOX_NOTICE, destination)

    def destination(self, base_url: str | None) -> str:
        """The base URL that `service` sends to now, "" for the sandbox: there is no key, and nothing names an address.

        Raises:
            ConfigurationError: the base URL is none.
        """
        base = resolve_base_url(base_url)
        offline = base.source == "default" and find_key(None, base).secret is None
        return "" if offline else base.url

    def archive_client(self, **settings: Any) -> Client:
        """A client to look into the archive with: the one in use, else one that sends nothing."""
        from ..client import Client, shared_client

        with suppress(MissingKeyError):
            return shared_client(**settings)
        with self._lock:
            client = self._client
        return client or Client(base_url=DISCARD_URL, api_key="none", **_without_address(settings))

    def catalogue_client(self, **settings: Any) -> Client:
        """A client to ask the vendor what needs no key; without one it has none that could be sent."""
        from ..client import Client, shared_client

        with suppress(MissingKeyError):
            return shared_client(**settings)
        return Client(api_key="none", **settings)

    def balance_before(self, base_url: str, used: int) -> int | None:
        """What the key had used when its balance was last asked for; the new number is remembered."""
        before = self._used_before.get(base_url)
        self._used_before[base_url] = used
        return before

    def new_key_notices(self, base_url: str | None) -> tuple[str, ...]:
        """What is to be said about where the key was found; each sentence once."""
        notices = find_key(None, resolve_base_url(base_url)).notices
        fresh = tuple(notice for notice in notices if notice not in self._shown_notices)
        self._shown_notices.update(fresh)
        return fresh

    def track(self, job: Job) -> None:
        """Remember a job until it ends, also when its client is replaced."""
        self._jobs.add(job)

    def jobs(self, *clients: Client) -> tuple[Job, ...]:
        """What still runs, oldest first: what the notebook started, and what runs on these clients."""
        running = {job for job in self._jobs if not job.done()}
        for client in (*clients, *((self._client,) if self._client else ())):
            running.update(client.jobs)
        return tuple(sorted(running, key=lambda job: job.started))

    def close(self) -> None:
        """Stop the sandbox and its client; the shared client is closed too."""
        with self._lock:
            client, sandbox = self._client, self._sandbox
            self._client = self._sandbox = None
        if "comet_magic.client" in sys.modules:
            sys.modules["comet_magic.client"].close_shared_client()
        if client is not None:
            for job in client.jobs:
                job.drop()
            client.close()
        if sandbox is not None:
            sandbox.close()

    def _sandbox_client(self, settings: dict[str, Any]) -> Client:
        from ..client import Client
        from ..sandbox import start_sandbox

        with self._lock:
            if self._sandbox is None:
                self._sandbox = start_sandbox()
            if self._client is None or settings != self._client_settings:
                replaced = self._client
                self._client = Client(base_url=self._sandbox.base_url, api_key="sandbox", **settings)
                self._client_settings = settings
                if replaced is not None:
                    replaced.close()
            return self._client


def _without_address(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("base_url", "api_key")}


session = Session()
