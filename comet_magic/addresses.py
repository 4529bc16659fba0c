"""Which picture addresses may be fetched. Only decisions: nothing is looked up or connected to.

The server chooses the address, so it may point into the user's own network. First the text is checked
(`parse_picture_url`), then each IP address that its name resolves to (`check_ip`); the connection must be made to the
address that was checked. Every hop of a redirect is checked again. Only the origins that the user named, that of the
base URL and `picture_origins`, may be inside.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from .errors import ConfigurationError, UnsafeURLError
from .text import clean, clean_url

if TYPE_CHECKING:
    from collections.abc import Sequence

IPAddress = IPv4Address | IPv6Address

_LONGEST = 65_536
_LONGEST_NAME = 253
DEFAULT_PORTS: dict[str, int] = {"https": 443, "http": 80}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

_PARTS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:@%]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# Controls, backslashes and lone surrogates.
_UNFIT = re.compile(r"[\x00-\x1f\\\x7f-\x9f\ud800-\udfff]")
# https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Names inside a network, whatever they resolve to.
# https://www.iana.org/assignments/special-use-domain-names/
_INSIDE = (
    *(".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa", ".corp"),
    ".private",
)
# Services of a cloud that hand out credentials to whoever asks from inside.
_METADATA = frozenset(
    {
        *("metadata", "metadata.google.internal", "metadata.azure.internal", "instance-data"),
        *("instance-data.ec2.internal", "metadata.azure.com", "metadata.packet.net"),
        "metadata.tencentyun.com",
    }
)

_LOCALHOST = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_ONE_HOST = frozenset({"localhost", "127.0.0.1", "::1"})

# https://www.iana.org/assignments/iana-ipv4-special-registry/
_CLOSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        # The host agent of Azure: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "168.63.129.16/32",
    )
)
# https://datatracker.ietf.org/doc/html/rfc1918, https://datatracker.ietf.org/doc/html/rfc4193, and this machine.
_PRIVATE_V4 = tuple(map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_V6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7", "fe80::/10")))
# For benchmarks of networks; resolvers of Clash and other TUN proxies answer with it for every name.
_FAKE_IP = IPv4Network("198.18.0.0/15")
_FAKE_IP_HINT = (
    "The resolver here invents addresses (fake-ip, as Clash and other TUN proxies do): "
    "name that proxy, as in download_proxy=http://127.0.0.1:7890."
)
# https://www.iana.org/assignments/ipv6-unicast-address-assignments/
_OPEN_V6 = IPv6Network("2000::/3")
# Teredo and other protocol addresses, documentation, 6to4.
# https://www.iana.org/assignments/iana-ipv6-special-registry/
_CLOSED_V6 = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)


@dataclass(frozen=True)
class PictureURL:
    """A checked address, in the parts that a connection needs.

    Attributes:
        url: the address to request, without fragment.
        scheme: `https`, or `http` beside a sandbox and at a trusted origin.
        host: the name in ASCII, lower case, or the IP address without brackets.
        port: 1 to 65535.
        target: path and query, as they are sent.
        ip: the host as an IP address, or None if it is a name.
        trusted: of an address at a trusted origin, that origin's own host, which is connected to; else "".
    """

    url: str
    scheme: str
    host: str
    port: int
    target: str
    ip: IPAddress | None
    trusted: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port; the port is left out if it is the scheme's."""
        return self.url[: len(self.url) - len(self.target)]


def absolute_url(url: str, request_url: str) -> str:
    """An address as it is; one without a scheme is meant beside the address of the request that named it."""
    first = re.split("[/?#]", url.strip(" "), maxsplit=1)[0]
    if not url.strip(" ") or ":" in first or _UNFIT.search(url):
        return url
    try:
        return urljoin(request_url, url.strip(" "))
    except ValueError:  # no host, and refused as one
        return url


def parse_picture_url(
    url: str, *, base_url: str, origins: Sequence[str] = (), named_by_base: bool = True
) -> PictureURL:
    """The parts of an address, if it may be fetched.

    Args:
        url: the address, absolute.
        base_url: the API's; its own origin is trusted for what it names.
        origins: further trusted origins.
        named_by_base: False for the redirect of another host.

    Raises:
        UnsafeURLError: it may not; the address is in `urls`.
    """
    parsed = _parsed(url)
    named = (base_url, *origins) if named_by_base else origins
    for trusted in filter(None, map(_readable, named)):
        same_host = parsed.host == trusted.host or {parsed.host, trusted.host} <= _ONE_HOST
        if same_host and (parsed.scheme, parsed.port) == (trusted.scheme, trusted.port):
            return replace(parsed, trusted=trusted.host)
    own = _loopback(base_url)
    if parsed.scheme != "https" and (own is None or own.scheme != "http"):
        raise _refused(
            url, f"the scheme is {parsed.scheme}; it must be https", _origin_hint(parsed, parsed.ip)
        )
    name = parsed.host
    if parsed.ip is not None:
        check_ip(name, parsed)
    elif is_inside(name):
        reason = f"{name} is a name inside a network; it must be a public name"
        raise _refused(url, reason, _origin_hint(parsed, None))
    return parsed


def check_ip(ip: str, url: PictureURL) -> None:
    """Raise unless we may connect to this IP address.

    Raises:
        UnsafeURLError: the address is not public and its host not trusted; a name that resolves to it may resolve
            to anything the next time, and is refused.
    """
    address = _address(ip)
    if address is None:
        raise _refused(url.url, f"{url.host} does not resolve to an IP address")
    allowed = address in _LOCALHOST if url.trusted == "localhost" else url.trusted or is_public(address)
    if not allowed:
        reason = f"{url.host} is at {address}; it must be a public address"
        fake = url.ip is None and address.version == 4 and address in _FAKE_IP
        raise _refused(url.url, reason, _FAKE_IP_HINT if fake else _origin_hint(url, address))


def is_inside(name: str) -> bool:
    """Whether a name means something inside a network only, whatever it resolves to."""
    return "." not in name or name in _METADATA or name.endswith(_INSIDE)


def _origin_hint(url: PictureURL, ip: IPAddress | None) -> str:
    """How to trust an origin, where it may be the user's own."""
    if url.host in _METADATA:
        return ""
    if ip is None or ip.is_loopback or ip.is_unspecified or any(ip in network for network in _PRIVATE_V4):
        return f'If that server is yours, allow it: picture_origins=["{url.origin}"].'
    return ""


def origins_of(given: object) -> tuple[str, ...]:
    """Origins in one spelling, from a list of them or from a text with commas between.

    Raises:
        ConfigurationError: one is not an origin such as `http://127.0.0.1:9000`.
    """
    listed = given if isinstance(given, (list, tuple, set, frozenset)) else (given,)
    if isinstance(given, str):
        listed = [text for text in given.split(",") if text.strip()]
    origins = []
    for text in listed:
        parsed = _readable(text) if isinstance(text, str) else None
        if parsed is None or parsed.target != "/" or set("?#") & set(text):
            shown = clean_url(text) if isinstance(text, str) else clean(repr(text), limit=80)
            raise ConfigurationError(
                f"picture_origins is {shown or 'empty'}; it must be a list of origins such as http://127.0.0.1:9000"
            )
        origins.append(parsed.origin)
    return tuple(origins)


def is_public(address: IPAddress) -> bool:
    """Whether the address is an ordinary one of the open internet, by the registries of IANA.

    Addresses that hold another address (mapped, NAT64, 6to4, Teredo) are not. `ipaddress` of the standard
    library calls some of those and multicast global, and shared address space not private.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    if address.scope_id is not None:
        return False
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def is_private(ip: str) -> bool:
    """Whether this is an IP address of a private network or of this machine; False for what is no IP address."""
    address = _address(ip)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return any(address in network for network in _PRIVATE_V6)
        address = address.ipv4_mapped
    return address is not None and any(address in network for network in _PRIVATE_V4)


def is_loopback_url(url: str) -> bool:
    """Whether the address is http or https on this machine: 127.0.0.0/8, ::1 or localhost."""
    return _loopback(url) is not None


def is_this_machine(host: str) -> bool:
    """Whether a connection to this host ends on this machine, so that no proxy may stand between.

    True for localhost and names under it, 127.0.0.0/8, ::1, 0.0.0.0 and ::, also mapped into IPv6, in every
    spelling that a resolver reads (127.1, 0x7f000001). False for other names: nothing is looked up.
    """
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    ip = _address(name)
    if ip is None:
        try:
            ip = IPv4Address(socket.inet_aton(name))
        except (OSError, UnicodeError):
            return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified


def _loopback(url: str) -> PictureURL | None:
    """The parts of an address on this machine, None for any other."""
    parsed = _readable(url)
    return (
        parsed if parsed and (parsed.host == "localhost" or (parsed.ip and parsed.ip.is_loopback)) else None
    )


@lru_cache(maxsize=64)  # the base URL and the origins of a client are read for each picture
def _readable(url: str) -> PictureURL | None:
    """The parts of an http or https address, None for any other text."""
    try:
        return _parsed(url)
    except UnsafeURLError:
        return None


def _parsed(url: str) -> PictureURL:
    """The parts of an http or https address, wherever it leads.

    Raises:
        UnsafeURLError: it has no host, or other readers of it may see another one.
    """
    if len(url) > _LONGEST:
        raise _refused(url, f"the address has {len(url)} characters; it may have {_LONGEST}")
    if _UNFIT.search(url):
        raise _refused(url, "the address contains a backslash or a control character")
    parts = _PARTS.match(url.strip(" "))
    if parts is None:
        raise _refused(url, "the address has no scheme and host; it must begin with https://")
    scheme = parts["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise _refused(url, f"the scheme is {scheme[:20]}; it must be https")
    place = _AUTHORITY.fullmatch(parts["authority"])
    if place is None:
        raise _refused(
            url, "the address has credentials, an escape or no host; it must have a host or host:port"
        )
    port = int(place["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise _refused(url, f"the port is {port}; it must be 1 to 65535")
    host, ip = _host(url, place["host"])
    where = f"[{host}]" if ":" in host else host
    where += "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    target = quote(parts["target"], safe=_PRINTABLE)
    path = target if target.startswith("/") else f"/{target}"
    return PictureURL(f"{scheme}://{where}{path}", scheme, host, port, path, ip)


def _host(url: str, host: str) -> tuple[str, IPAddress | None]:
    """A host as a name in ASCII, or as an IP address."""
    bracketed = host.startswith("[")
    if bracketed:
        name = host.strip("[]")
    else:
        name = (host.lower() if host.isascii() else _in_ascii(host.lower())).removesuffix(".")
        if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
            raise _refused(url, "the host is not a valid name")
    ip = _address(name)
    numeric = bracketed or _NUMBER.fullmatch(name.rpartition(".")[2])
    if numeric and (ip is None or (ip.version == 6) != bracketed):
        raise _refused(url, "the host is an unusual spelling of an IP address")
    return str(ip or name), ip


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _in_ascii(name: str) -> str:
    """A name of another script as it is looked up; "" if it cannot be."""
    # Stricter than the codec of the standard library, which turns fullwidth digits into an address.
    import idna

    try:
        return ".".join(idna.alabel(label).decode("ascii") if label else "" for label in name.split("."))
    except (UnicodeError, IndexError):
        return ""


def _refused(url: str, reason: str, hint: str = "") -> UnsafeURLError:
    kept = quote(url[:_LONGEST], safe=_PRINTABLE, errors="replace")
    return UnsafeURLError(f"the picture was not fetched: {reason}", urls=(kept,), hint=hint)
