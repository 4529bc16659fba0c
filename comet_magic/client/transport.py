"""HTTP itself: the only module that knows the library. `APITransport` has the key, `DownloadTransport` has not.

Every request gets a connection of its own: an answer on a kept connection may belong to somebody else's request,
and an idle one that was closed meanwhile would leave open whether a paid request arrived.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from ..addresses import DEFAULT_PORTS, is_private, is_this_machine
from ..errors import CometError, ConfigurationError
from ..protocol import decisions
from ..text import clean
from ._httpx import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..addresses import PictureURL
    from ..settings import BaseURL
    from ..text import Secret

USER_AGENT = "comet_magic"
PAGE_TIMEOUT = 30.0  # seconds of silence of a page that costs nothing
_HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}


log = logging.getLogger("comet_magic")


class _Clean(logging.Filter):
    """The library logs whole addresses, which may be signed, and headers, which may repeat a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage(), limit=2000), ()
        return True


for _name in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks"))):
    logging.getLogger(_name).addFilter(_Clean())


class Connection:
    """Sends each request on a connection of its own, closed with its answer, and adds nothing to it.

    No redirect is followed, no cookie kept, no `.netrc` read and no body decoded.
    """

    def __init__(self, url: str, proxy: str | None, connect_timeout: float) -> None:
        self._context = _context_for(url, proxy)
        self._proxy = proxy
        self._connect_timeout = connect_timeout

    async def send(
        self,
        method: str,
        url: httpx.URL | str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        sign: Callable[[httpx.Request], None] | None = None,
        silence: float | None = None,
        **extensions: Any,
    ) -> httpx.Response:
        """Send once; the answer's body is still unread.

        `sign` puts the key into the request; `silence` is how many seconds the answer may be silent.
        """
        times = {"connect": self._connect_timeout, "read": silence, "write": None, "pool": None}
        request = httpx.Request(
            method,
            url,
            headers={**headers, **_HEADERS},
            content=content,
            extensions={"timeout": times, **extensions},
        )
        if sign is not None:
            sign(request)
        transport = httpx.AsyncHTTPTransport(
            verify=self._context,
            trust_env=False,
            proxy=self._proxy,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )
        return await transport.handle_async_request(request)


_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def _context_for(url: str, proxy: str | None) -> ssl.SSLContext:
    """One context for each set of trusted certificates: reading them costs 20 ms, and http needs none.

    Raises:
        ConfigurationError: those that the environment names cannot be read.
    """
    if "https:" not in (url[:6], (proxy or "")[:6]):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate, reads none
    trusted = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if trusted not in _contexts:
            _contexts[trusted] = httpx.create_ssl_context()
        return _contexts[trusted]
    except OSError as fault:
        reason = clean(fault, limit=120)
    named = " or ".join(clean(path) for path in trusted if path)
    raise ConfigurationError(f"the trusted certificates in {named} cannot be read: {reason}")


@dataclass
class SendProgress:
    """How far a request went out.

    Attributes:
        on_begun: called once, when its first bytes may leave.
        begun: its first bytes may have left.
        whole: its last byte has left.
    """

    on_begun: Callable[[], None] | None = None
    begun: bool = False
    whole: bool = False

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        """Follow the library's documented trace events of the request itself, not of a proxy's CONNECT."""
        request = info.get("request")
        if request is not None and request.method == b"POST" and name.endswith(".started"):
            if name.endswith("send_request_headers.started"):
                self.begun = True
                # let go of it: the library keeps its request in a cycle, and this leads to the pictures
                tell, self.on_begun = self.on_begun, None
                if tell is not None:
                    tell()
        elif self.begun and name.endswith("send_request_body.complete"):
            self.whole = True


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for an address, or None; this machine is never reached through one.

    Raises:
        ConfigurationError: its kind is not supported.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return usable_proxy(proxies.get(parts.scheme) or proxies.get("all"), "the environment")


def usable_proxy(proxy: str | None, source: str) -> str | None:
    """The address of a proxy as it was named; one without a scheme speaks http.

    Raises:
        ConfigurationError: its kind is not supported.
    """
    if proxy is None:
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    scheme = address.partition("://")[0].lower()
    if scheme in ("http", "https") or (scheme in ("socks5", "socks5h") and find_spec("socksio")):
        return address
    raise ConfigurationError(
        f"the proxy of {source} is for {clean(scheme, limit=20)}; http and https are supported",
        hint="Name another proxy, list the host in NO_PROXY, or install socksio for socks5.",
    )


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
        proxy = None if base.in_clear else environment_proxy(base.url)
        self._connection = Connection(base.url, proxy, connect_timeout)
        if base.in_clear:
            _warn_of_clear_text(base.origin)

    def __repr__(self) -> str:
        return f"APITransport({self._base.url})"

    def _sign(self, request: httpx.Request, origin: str) -> None:
        """The one place where the key is revealed: to a request of its own origin, in no variable of ours."""
        url = request.url
        port = url.port or DEFAULT_PORTS[url.scheme]
        if f"{url.scheme}://{url.host}:{port}" != origin:
            raise httpx.UnsupportedProtocol("the key belongs to another origin")
        if self._base.auth == "api-key":
            request.headers["api-key"] = self._secret.reveal()
        else:
            request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], *, with_key: bool, **more: Any
    ) -> httpx.Response:
        """Send once. In the clear the connection goes to an address that was seen to be private, and to no other.

        Raises:
            ConfigurationError: the base URL is http, and its name has an address outside of private networks.
        """
        place, origin = httpx.URL(url), self._base.origin
        if self._base.in_clear:
            headers = {**headers, "Host": place.netloc.decode("ascii")}
            place = place.copy_with(host=await self._private_address(place.host))
            origin = f"http://{place.host}:{place.port or 80}"
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
        path: str,
        body: bytes,
        *,
        accept: str,
        idempotency_key: str,
        silence: float | None,
        progress: SendProgress,
    ) -> httpx.Response:
        """POST once; the answer's body is still unread."""
        return await self._send(
            "POST",
            self._base.endpoint(path),
            {"Content-Type": "application/json", "Accept": accept, "Idempotency-Key": idempotency_key},
            with_key=True,
            content=body,
            silence=silence,
            trace=progress.trace,
        )

    async def get(self, url: str, *, with_key: bool, largest: int) -> tuple[httpx.Response, bytes]:
        """GET a page of the API's own origin (a catalogue, a balance); at most `largest` bytes of it are read."""
        response = await self._send("GET", url, {"Accept": "*/*"}, with_key=with_key, silence=PAGE_TIMEOUT)
        try:
            return response, await body_of(response, largest)
        finally:
            await response.aclose()


def ask_without_key(url: str) -> int:
    """The status of a page, from a client without a key that follows nothing; its body is not read."""
    proxy = environment_proxy(url)
    with (
        httpx.Client(verify=_context_for(url, proxy), proxy=proxy, trust_env=False, timeout=10.0) as client,
        client.stream("GET", url, headers={"User-Agent": USER_AGENT}) as response,
    ):
        return response.status_code


class DownloadTransport:
    """Fetches pictures: it never had the key, and connects to the address that was checked."""

    def __init__(self, *, proxy: str | None, connect_timeout: float) -> None:
        self._proxy = usable_proxy(proxy, "download_proxy")
        self._connect_timeout = connect_timeout

    async def get(self, url: PictureURL, ip: str, accept: str) -> httpx.Response:
        """GET once from a checked address of the host; the body is still unread."""
        proxy = None if self._proxy is None or is_this_machine(ip) else self._proxy
        connection = Connection(f"{url.scheme}:", proxy, self._connect_timeout)
        host = f"[{url.host}]" if ":" in url.host else url.host
        default_port = DEFAULT_PORTS[url.scheme]
        literal = f"[{ip}]" if ":" in ip else ip
        return await connection.send(
            "GET",
            httpx.URL(scheme=url.scheme, host=literal, port=url.port, raw_path=url.target.encode("ascii")),
            {"Host": host if url.port == default_port else f"{host}:{url.port}", "Accept": accept},
            sni_hostname=url.host,
        )


HTTPFault = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
)  # of the system, where it is not mapped


def silent(fault: BaseException) -> bool:
    """Whether a fault is a silence that lasted too long."""
    return isinstance(fault, httpx.TimeoutException)


def error_of(fault: BaseException, progress: SendProgress, host: str) -> CometError:
    """Our error for a transport fault: how far the request went decides, not the fault's name."""
    what = clean(f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__, limit=200)
    if progress.whole and silent(fault):
        return decisions.LATE.error(f"{host} was silent for too long ({what})", hint="")
    if progress.whole:
        return decisions.LOST.error(f"the answer of {host} was lost ({what})")
    if progress.begun:
        return decisions.NOT_WHOLE.error(f"the request to {host} never went out whole ({what})")
    if isinstance(fault, httpx.ProxyError) and str(fault).startswith("407"):
        return decisions.PROXY_LOGIN.error(f"the proxy on the way to {host} asks for a login")
    tls = _tls_fault(fault)
    if tls is not None:
        return _tls_error(tls, host)
    return decisions.NO_CONNECTION.error(f"{host} cannot be reached ({what})")


# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/#error-codes
_CLOCK = "Is this machine's clock right? If so, the server's owner has to renew it."
_NAME = "Is the host in the address right, and does no proxy or router answer in its place?"
_CERTIFICATES = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    62: ("is for another host", _NAME),
    64: ("is for another host", _NAME),
}
_NO_TLS = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"),
    "PACKET_LENGTH_TOO_LONG",
}
_OTHER_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}


def _tls_fault(fault: BaseException) -> ssl.SSLError | None:
    """The fault of the TLS library that led to this one, or None."""
    seen: BaseException | None = fault
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _tls_error(fault: ssl.SSLError, host: str) -> CometError:
    """What is wrong with the certificate, or with the way to an encrypted connection."""
    reason, what = fault.reason or "", clean(fault.reason or fault, limit=120)
    if isinstance(fault, ssl.SSLCertVerificationError):
        what = clean(fault.verify_message, limit=120)
        if fault.verify_code in _CERTIFICATES:
            problem, hint = _CERTIFICATES[fault.verify_code]
            return decisions.NO_TRUST.error(f"the certificate of {host} {problem} ({what})", hint=hint)
        return decisions.NO_TRUST.error(f"{host} has no certificate that this machine trusts ({what})")
    if reason in _NO_TLS:
        return decisions.NO_CONNECTION.error(
            f"{host} speaks no TLS at this port ({what})",
            hint="Is the base URL right? An encrypted server may have another port.",
            retryable=False,
        )
    if reason in _OTHER_TLS:
        return decisions.NO_CONNECTION.error(
            f"{host} and this machine speak no common version of TLS ({what})",
            hint="The server, or a proxy in front of it, is too old.",
            retryable=False,
        )
    return decisions.NO_CONNECTION.error(f"the TLS handshake with {host} failed ({what})")


def announced(headers: Mapping[str, str]) -> int:
    """The bytes of a body as its headers tell, 0 where they do not."""
    length = headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


async def body_of(response: httpx.Response, largest: int) -> bytes:
    """The raw body; of one that is longer than `largest` bytes, a piece more than that."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > largest:
            break
    return bytes(body)
