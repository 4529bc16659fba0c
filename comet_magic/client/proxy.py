"""The proxy that the environment or a setting names; this machine itself is never reached through one."""

from __future__ import annotations

import urllib.request
from importlib.util import find_spec
from urllib.parse import urlsplit

from ..addresses import is_this_machine
from ..errors import ConfigurationError
from ..text import clean


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
