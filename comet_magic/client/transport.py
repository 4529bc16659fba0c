"""HTTP itself: with `proxy`, what knows the library. `APITransport` has the key, `DownloadTransport` has not.

Every request gets a connection of its own: an answer on a kept connection may belong to somebody else's request,
and an idle one that was closed meanwhile would leave open whether a paid request arrived.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import socket
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import httpcore

from ..addresses import DEFAULT_PORTS, is_inside, is_private, is_this_machine
from ..errors import CometError, ConfigurationError
from ..protocol import decisions
from ..text import clean
from .form import form_of
from .http11 import HTTPExchange
from .proxy import SETTING, environment_proxy, parse_proxy
from .sockets import connect
from .tls import context_for_servers, tls_error, tls_fault

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from ..addresses import PictureURL
    from ..request import WireRequest
    from ..settings import BaseURL
    from ..text import Secret
    from .proxy import Proxy

USER_AGENT = "comet_magic"
PAGE_TIMEOUT = 30.0  # seconds of silence of a page that costs nothing
_HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}
# what needs no encoding, and has no step upwards in it
_PLAIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/(?!\.\.?(?:/|$))[A-Za-z0-9?=&%._~!$'()*+,;:@-]*)*")
log = logging.getLogger("comet_magic")


class _Clean(logging.Filter):
    """The library logs whole addresses, which may be signed, and headers, which may repeat a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage(), limit=2000), ()
        return True


for _name in ("connection", "http11", "proxy", "socks"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_Clean())


@dataclass(frozen=True)
class Response:
    """An answer, whose body is still unread.

    Attributes:
        headers: names in lower case.
        aiter_raw: gives the body as it arrives, not decoded.
        aclose: closes the connection.
    """

    status_code: int
    headers: Mapping[str, str]
    aiter_raw: Callable[[], AsyncIterator[bytes]]
    aclose: Callable[[], Awaitable[None]]


class Connection:
    """Sends each request on a connection of its own, closed with its answer, and adds nothing to it.

    No redirect is followed, no cookie kept, no `.netrc` read and no body decoded.
    """

    def __init__(self, url: str, proxy: Proxy | None, connect_timeout: float) -> None:
        encrypted = "https" in (url.partition(":")[0], proxy and proxy.url.scheme)
        self._context = context_for_servers() if encrypted else None
        self._proxy = proxy
        self._connect_timeout = connect_timeout

    async def send(
        self,
        method: str,
        url: httpcore.URL,
        headers: Mapping[str, str],
        *,
        content: bytes | AsyncIterable[bytes] | None = None,
        sign: Callable[[httpcore.Request], None] | None = None,
        silence: float | None = None,
        progress: SendProgress | None = None,
        server_name: str | None = None,
    ) -> Response:
        """Send once; the answer's body is still unread.

        `sign` puts the key into the request; `silence` is how many seconds the answer may be silent; `server_name` is
        the name on the certificate, if it is not the host.

        Raises:
            ProxyFault: the proxy did not lead to the server.
        """
        progress = progress or SendProgress()
        times = {"connect": self._connect_timeout, "read": silence, "write": None, "pool": None}
        extensions: dict[str, Any] = {"timeout": times, "trace": progress.trace}
        if server_name is not None:
            extensions["sni_hostname"] = server_name
        named: Mapping[Any, Any] = {"Host": netloc(url), **headers, **_HEADERS}
        request = httpcore.Request(method, url, headers=named, content=content, extensions=extensions)
        if sign is not None:
            sign(request)
        if self._proxy is not None:
            led = await self._through(self._proxy, request, progress)
            return Response(led.status, _texts(led.headers), led.aiter_stream, led.aclose)
        host = url.host.decode("ascii")
        context = (self._context or context_for_servers()) if url.scheme == b"https" else None
        stream = await connect(host, url.origin.port, self._connect_timeout, context, server_name or host)
        answer = HTTPExchange(stream, silence)
        try:
            await answer.send(request, content, progress)
        except BaseException:  # a call that is stopped before its first byte leaves too
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise
        return Response(answer.status, _texts(answer.headers), answer.aiter_stream, stream.aclose)

    async def _through(
        self, proxy: Proxy, request: httpcore.Request, progress: SendProgress
    ) -> httpcore.Response:
        try:
            with anyio.fail_after(self._connect_timeout) as progress.patience:
                return await proxy.pool(self._context).handle_async_request(request)
        except _proxy_faults(proxy) as fault:
            if progress.led_on:
                raise
            raise ProxyFault(proxy, fault) from fault
        finally:
            if progress.to_proxy is not None and not progress.led_on:
                with anyio.CancelScope(shield=True):
                    await progress.to_proxy.aclose()


def netloc(url: httpcore.URL) -> str:
    """Host and port as the header `Host` names them; the port is left out if it is the scheme's."""
    host = url.host.decode("ascii")
    shown = f"[{host}]" if ":" in host else host
    return shown if url.port in (None, DEFAULT_PORTS[url.scheme.decode()]) else f"{shown}:{url.port}"


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as texts, names in lower case; those of one name are joined."""
    texts: dict[str, str] = {}
    for name, value in headers:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        key = name.decode("latin-1").lower()
        texts[key] = f"{texts[key]}, {text}" if key in texts else text
    return texts


@lru_cache(maxsize=64)  # every call goes to the same few
def url_of(text: str) -> httpcore.URL:
    """An address in its parts; names of other scripts and unusual signs are encoded."""
    if _PLAIN.fullmatch(text):
        return httpcore.URL(text)
    from ._httpx import httpx

    url = httpx.URL(text)
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


class ProxyFault(httpcore.ProxyError):
    """A proxy did not lead to the server, so nothing of the request went there.

    Attributes:
        proxy: the proxy.
        wants_login: whether it wants a login, or another one.
        refuses: whether it would say the same again.
    """

    def __init__(self, proxy: Proxy, fault: BaseException) -> None:
        said = str(fault) if isinstance(fault, httpcore.ProxyError) else ""
        super().__init__(clean(said or type(fault).__name__, limit=120))
        self.proxy = proxy
        self.answered = bool(said)
        self.wants_login = said.startswith(("407", "Invalid username", "Requested "))  # of HTTP, of SOCKS
        self.refuses = bool(re.match("4(?!08|29)", said)) or "not allowed" in said


def _proxy_faults(proxy: Proxy) -> tuple[type[BaseException], ...]:
    """What the library raises while it asks a proxy."""
    if not proxy.speaks_socks:
        return HTTPFault
    from socksio.exceptions import SOCKSError

    # the second for an answer that is not the expected one, the third for a login that is too long
    return (*HTTPFault, SOCKSError, AssertionError, OverflowError)


@dataclass
class SendProgress:
    """How far a request went out.

    Attributes:
        on_begun: called once, when its first bytes may leave.
        begun: its first bytes may have left.
        whole: its last byte has left.
        led_on: a proxy, if there is one, has led to the server.
        patience: the scope that ends unless a proxy leads to the server in time.
        to_proxy: the connection to a proxy, which the library may leave open where that does not lead on.
    """

    on_begun: Callable[[], None] | None = None
    begun: bool = False
    whole: bool = False
    led_on: bool = False
    patience: anyio.CancelScope | None = None
    to_proxy: Any = None

    async def begin(self) -> None:
        """The first bytes may leave from here on; a call that was cancelled until now ends here, unsent."""
        # Its task may be due already, as its connection was made: then it would send, and only be cancelled after that.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.begun = True
        # let go of it: the library keeps its request in a cycle, and this leads to the pictures
        tell, self.on_begun = self.on_begun, None
        if tell is not None:
            tell()

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        """Follow the library's documented trace events of the request itself, not of a proxy's CONNECT."""
        request: Any = info.get("request")
        own = request is not None and request.method != b"CONNECT" and name.endswith(".started")
        if name.endswith("connect_tcp.complete"):
            self.to_proxy = info["return_value"]
        if not self.led_on and (own or name in ("proxy.start_tls.started", "socks.start_tls.started")):
            self.led_on = True
            if self.patience is not None:
                self.patience.deadline = math.inf
        if own and request.method == b"POST":
            if name.endswith("send_request_headers.started"):
                await self.begin()
        elif self.begun and name.endswith("send_request_body.complete"):
            self.whole = True


@cache
def _warn_of_clear_text(origin: str) -> None:
    """Say once for each origin that the key travels unencrypted; in the log, for a warning may be an error."""
    log.warning(
        "requests to %s, with the key, are not encrypted: whoever is in that network can read them", origin
    )


class APITransport:
    """Sends paid requests and reads free pages of the API's own origin, with the key."""

    def __init__(self, base: BaseURL, secret: Secret, *, connect_timeout: float) -> None:
        self._base = base
        self._secret = secret
        self._connection = Connection(base.url, proxy_to(base), connect_timeout)
        if base.in_clear:
            _warn_of_clear_text(base.origin)

    def __repr__(self) -> str:
        return f"APITransport({self._base.url})"

    def _sign(self, request: httpcore.Request, origin: str) -> None:
        """The one place where the key is revealed: to a request of its own origin, in no variable of ours."""
        if str(request.url.origin) != origin:
            raise httpcore.UnsupportedProtocol("the key belongs to another origin")
        if self._base.auth == "api-key":
            request.headers.append((b"api-key", self._secret.reveal().encode("ascii")))
        else:
            request.headers.append((b"Authorization", f"Bearer {self._secret.reveal()}".encode("ascii")))

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], *, with_key: bool, **more: Any
    ) -> Response:
        """Send once. In the clear the connection goes to an address that was seen to be private, and to no other.

        Raises:
            ConfigurationError: the base URL is http, and its name has an address outside of private networks.
        """
        place, origin = url_of(url), self._base.origin
        if self._base.in_clear:
            headers = {**headers, "Host": netloc(place)}
            host = await self._private_address(place.host.decode("ascii"))
            place = httpcore.URL(scheme=b"http", host=host, port=place.port, target=place.target)
            origin = str(place.origin)
        sign = partial(self._sign, origin=origin) if with_key else None
        return await self._connection.send(method, place, headers, sign=sign, **more)

    async def _private_address(self, host: str) -> str:
        found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for ip in addresses:
            if not is_private(ip):
                raise ConfigurationError(
                    f"{self._base.host} is at {ip}, which is not in a private network, so nothing goes there over http",
                    hint="Use https: over http the key would be readable on its way.",
                )
        return min(addresses, key=lambda ip: ":" in ip)

    async def send(
        self,
        wire: WireRequest,
        *,
        accept: str,
        idempotency_key: str,
        silence: float | None,
        progress: SendProgress,
    ) -> Response:
        """POST once; the answer's body is still unread."""
        headers: Mapping[str, str]
        content: bytes | AsyncIterable[bytes]
        with contextlib.ExitStack() as files:
            if wire.json is None:
                headers, content = form_of(wire, files)
            else:
                content = wire.json
                headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            return await self._send(
                "POST",
                self._base.endpoint(wire.path),
                {**headers, "Accept": accept, "Idempotency-Key": idempotency_key},
                with_key=True,
                content=content,
                silence=silence,
                progress=progress,
            )

    async def get(self, url: str, *, with_key: bool, largest: int) -> tuple[Response, bytes]:
        """GET a page of the API's own origin (a catalogue, a balance); at most `largest` bytes of it are read."""
        response = await self._send("GET", url, {"Accept": "*/*"}, with_key=with_key, silence=PAGE_TIMEOUT)
        try:
            return response, await body_of(response, largest)
        finally:
            await response.aclose()


def proxy_to(base: BaseURL) -> Proxy | None:
    """The proxy that requests to an API go through, or None; what is not encrypted goes through none.

    Raises:
        ConfigurationError: the environment names one that cannot be used.
    """
    return environment_proxy(base.url) if base.url.startswith("https:") else None


async def ask_without_key(base: BaseURL, path: str) -> int:
    """The status of a page, from a client without a key that follows nothing; its body is not read."""
    connection = Connection(base.url, proxy_to(base), 10.0)
    response = await connection.send("GET", url_of(f"{base.origin}{path}"), {"Accept": "*/*"}, silence=10.0)
    await response.aclose()
    return response.status_code


class DownloadTransport:
    """Fetches pictures: it never had the key, and connects to the address that was checked.

    Attributes:
        far: hosts that only a proxy could reach so far.
    """

    def __init__(self, *, proxy: str | None, connect_timeout: float) -> None:
        self._proxy = None if proxy is None else parse_proxy(proxy, SETTING)
        self._connect_timeout = connect_timeout
        self._direct = Connection("", None, connect_timeout)
        self.far: set[str] = set()

    def proxy_for(self, url: PictureURL) -> Proxy | None:
        """The proxy that is always used, of the setting `download_proxy`; this machine is not reached through it."""
        return self._proxy if self._proxy and not is_this_machine(url.trusted or url.host) else None

    @staticmethod
    def way_out(url: PictureURL) -> Proxy | None:
        """The environment's proxy, for a public name whose certificate will be checked.

        Raises:
            ConfigurationError: it cannot be used.
        """
        public = url.scheme == "https" and url.ip is None and not is_inside(url.host)
        return environment_proxy(url.url) if public else None

    async def get(self, url: PictureURL, host: str, accept: str, proxy: Proxy | None = None) -> Response:
        """GET once; the body is still unread.

        Args:
            url: the picture's checked address.
            host: a checked IP address of its host; the host itself, if a proxy asks for it.
            accept: the kinds of pictures.
            proxy: the proxy, if there is one.
        """
        connection = Connection(url.scheme, proxy, self._connect_timeout) if proxy else self._direct
        place = httpcore.URL(scheme=url.scheme, host=host, port=url.port, target=url.target)
        named = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port)
        return await connection.send(
            "GET",
            place,
            {"Host": netloc(named), "Accept": accept},
            # a tunnel's certificate is checked against the host that was asked for
            server_name=None if proxy else url.trusted or url.host,
        )


HTTPFault = (
    *(httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError),
    *(httpcore.ProxyError, httpcore.UnsupportedProtocol),
    OSError,  # of the system, where it is not mapped
)


def silent(fault: BaseException) -> bool:
    """Whether a fault is a silence that lasted too long."""
    return isinstance(fault, httpcore.TimeoutException)


def unconnected(fault: BaseException) -> bool:
    """Whether no connection was made at all."""
    return isinstance(fault, (httpcore.ConnectError, httpcore.ConnectTimeout))


def error_of(fault: BaseException, progress: SendProgress, host: str) -> CometError:
    """Our error for a transport fault: how far the request went decides, not the fault's name."""
    what = clean(f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__, limit=200)
    if progress.whole and silent(fault):
        return decisions.LATE.error(f"{host} was silent for too long ({what})", hint="")
    if progress.whole:
        return decisions.LOST.error(f"the answer of {host} was lost ({what})")
    if progress.begun:
        return decisions.NOT_WHOLE.error(f"the request to {host} never went out whole ({what})")
    tls = tls_fault(fault)
    if isinstance(fault, ProxyFault):
        return _proxy_error(fault, tls, host)
    if tls is not None:
        return tls_error(tls, host)
    return decisions.NO_CONNECTION.error(f"{host} cannot be reached ({what})")


def _proxy_error(fault: ProxyFault, tls: ssl.SSLError | None, host: str) -> CometError:
    """What is wrong with the way to a proxy, or what the proxy said."""
    if fault.wants_login:
        return login_error(fault.proxy)
    if tls is not None:
        return tls_error(tls, f"the proxy {fault.proxy}")
    if not fault.answered:
        return decisions.NO_CONNECTION.error(f"the proxy {fault.proxy} cannot be reached ({fault})")
    row = decisions.PROXY_REFUSES if fault.refuses else decisions.NO_CONNECTION
    return row.error(f"the proxy {fault.proxy} does not lead to {host} ({fault})")


def login_error(proxy: Proxy) -> CometError:
    """A proxy wants a login, or another one."""
    wants = "does not accept the name and password in its address" if proxy.has_login else "asks for a login"
    return decisions.PROXY_LOGIN.error(f"the proxy {proxy} {wants}")


def announced(headers: Mapping[str, str]) -> int:
    """The bytes of a body as its headers tell, 0 where they do not."""
    length = headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


async def body_of(response: Response, largest: int) -> bytes:
    """The raw body; of one that is longer than `largest` bytes, a piece more than that."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > largest:
            break
    return bytes(body)
