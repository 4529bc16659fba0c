"""Which proxy leads to an address: what the environment and the settings name, and whom `NO_PROXY` excepts."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpcore

from ..addresses import DEFAULT_PORTS, is_this_machine
from ..errors import ConfigurationError
from ..text import clean

if TYPE_CHECKING:
    import ssl

    import httpx

SETTING = "download_proxy"
_SYSTEM_NAMES_PROXIES = sys.platform in ("darwin", "win32")
_ENTRY = re.compile(r"(?P<host>\[[^\]]*\](?:/\d+)?|[^:]*)(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Proxy:
    """A proxy; as a text it has no login.

    Attributes:
        url: its address, with the login that it may need.
        named_by: the variable or setting that names it.
    """

    url: httpx.URL
    named_by: str

    def __str__(self) -> str:
        return f"{self.url.scheme}://{clean(self.url.netloc)} ({self.named_by})"

    @property
    def has_login(self) -> bool:
        """Whether its address has a name or a password."""
        return bool(self.url.userinfo)

    @property
    def speaks_socks(self) -> bool:
        """Whether it is a SOCKS5 proxy."""
        return self.url.scheme.startswith("socks")

    def pool(self, context: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
        """A way through it for one request; a proxy that is reached by TLS is checked as a server is."""
        url = self.url
        login = (url.username.encode(), url.password.encode()) if url.username or url.password else None
        place = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        most: Any = {"max_connections": 1, "max_keepalive_connections": 0}
        if self.speaks_socks:
            return httpcore.AsyncSOCKSProxy(place, login, ssl_context=context, **most)
        encrypted = context if url.scheme == "https" else None
        return httpcore.AsyncHTTPProxy(place, login, proxy_ssl_context=encrypted, ssl_context=context, **most)


def environment_proxy(url: str) -> Proxy | None:
    """The proxy that the environment names for an address, or None; this machine is never reached through one.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if not (_SYSTEM_NAMES_PROXIES or any(name.lower().endswith("_proxy") for name in os.environ)):
        return None
    import urllib.request

    parts = urlsplit(url)
    host, named = parts.hostname or "", urllib.request.getproxies()
    kind = parts.scheme if named.get(parts.scheme) else "all"
    address = named.get(kind, "").strip()
    if not address or is_this_machine(host):
        return None
    if is_excepted(host, parts.port or DEFAULT_PORTS[parts.scheme], named.get("no", "")):
        return None
    if not urllib.request.getproxies_environment() and urllib.request.proxy_bypass(host):
        return None  # by the settings of macOS or Windows
    variables = sorted((name for name in os.environ if name.lower() == f"{kind}_proxy"), reverse=True)
    return parse_proxy(address, variables[0] if variables else "the system's settings")


def parse_proxy(address: str, named_by: str) -> Proxy:
    """A proxy from its address; one without a scheme speaks http.

    Raises:
        ConfigurationError: its kind is not supported, or it cannot be read.
    """
    text = address.strip()
    text = text if "://" in text else f"http://{text}"
    scheme = text.partition("://")[0].lower()
    source = named_by if named_by == SETTING else "the environment"
    known = scheme in ("http", "https") or (scheme in ("socks5", "socks5h") and find_spec("socksio"))
    if not known:
        raise ConfigurationError(
            f"the proxy of {source} is for {clean(scheme, limit=20)}; http and https are supported",
            hint=f"{named_by} names it. Name another proxy, list the host in NO_PROXY, or install socksio for socks5.",
        )
    from ._httpx import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    port_fits = url.port is None or 1 <= url.port <= 65535
    if not url.host or not port_fits or any(sign in url.host for sign in "% ") or not text.isprintable():
        # the address is not shown: what cannot be read may be a password
        raise ConfigurationError(
            f"the proxy of {source} cannot be read; it must be like http://host:3128, with a port of 1 to 65535",
            hint=f"{named_by} names it. In its name and password, write signs such as @ : / # as %40 %3A %2F %23.",
        )
    return Proxy(url, named_by)


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether `NO_PROXY` excepts a host, as curl reads it.

    Its entries have commas or blanks between: `*`; names, with all names below them, with or without a leading dot;
    IP addresses and networks; all of these also with a port. Case does not matter, and nothing is looked up.
    """
    entries = filter(None, re.split(r"[,\s]+", no_proxy.lower()))
    return any(_excepts(entry, host.strip("[]").rstrip(".").lower(), port) for entry in entries)


def _excepts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    parts = _ENTRY.fullmatch(entry)  # None for an IPv6 address without brackets
    if parts is not None and parts["port"] and int(parts["port"]) != port:
        return False
    place = (parts["host"] if parts else entry).replace("[", "").replace("]", "").strip(".")
    try:
        ip = ip_address(host)
    except ValueError:
        return bool(place) and f".{host}".endswith(f".{place}")
    try:
        return ip in ip_network(place, strict=False)
    except ValueError:
        return False
