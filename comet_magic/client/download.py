"""Fetching a paid picture by its address: checked at every hop, free to repeat, always from the beginning.

A host is asked directly, at an address that was checked; if it cannot be found or connected to, through the
environment's proxy. `download_proxy` is used for all of them.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import anyio

from ..addresses import PictureURL, check_ip, parse_picture_url
from ..errors import (
    BadResponseError,
    CometError,
    ConfigurationError,
    DownloadError,
    TooLargeError,
    UnsafeURLError,
)
from ..formats import foreign_kind, sniff
from ..protocol import decoded
from ..text import clean_url
from .transport import HTTPFault, SendProgress, announced, body_of, error_of, login_error, silent, unconnected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .core import Core
    from .proxy import Proxy
    from .transport import DownloadTransport, Response

AGAIN = "It is paid for: %cometimg_history --fetch ID tries again while its address lives."
OPENED = "image/png, image/jpeg, image/webp"
ACCEPTED = f"{OPENED}, */*;q=0.1"  # for image/* a server that chooses by it sends AVIF
MOST_TRIES = 4
MOST_HOPS = 5
MOST_SILENCES = 2  # of a host's addresses; the others are behind the same wall
_REDIRECTS = (301, 302, 303, 307, 308)
_FINAL = (400, 401, 403, 405, 410, 451)


class _Transient(Exception):  # noqa: N818 - a signal to try again, never seen outside
    """A fault that may pass."""


class _Unreachable(_Transient):
    """A host that was not found, or that no connection could be made to."""


async def download(core: Core, url: str) -> bytes:
    """Fetch a picture by its address; asked for again up to three times, because it may not be there yet.

    All tries together take at most the client's `download_timeout`.

    Raises:
        UnsafeURLError: the address, or one it leads to, must not be fetched.
        DownloadError: it does not give the picture; `urls` holds the address.
    """
    seconds = core.settings.download_timeout
    problem, body = f"took longer than {seconds:g} s", b""
    with anyio.move_on_after(seconds):
        for number in range(MOST_TRIES):
            if number:
                await anyio.sleep(core.settings.retry_base_delay / 4 * 2**number)
            accept = OPENED if body else ACCEPTED
            try:
                found = await _follow(core, url, accept)
                if body or foreign_kind(found) is None:
                    return found if sniff(found) or not body else body
                body = found  # of a kind that is not opened: ask once more, for the kinds that are
            except _Transient as fault:
                problem = str(fault)
            except ConfigurationError as error:  # of what only a picture needs: its certificate, its proxy
                problem = f"{error}. {error.hint}"
                break
            except CometError as error:
                if not body:
                    error.urls = (url,)
                    raise
            if body and accept == OPENED:
                break
    if body:
        return body
    raise DownloadError(
        f"the picture at {clean_url(url)} could not be fetched: {problem}", hint=AGAIN, urls=(url,)
    )


async def _follow(core: Core, url: str, accept: str) -> bytes:
    settings, address, named_by_base = core.settings, url, True
    for _ in range(MOST_HOPS + 1):
        try:
            target = parse_picture_url(
                address,
                base_url=core.base.url,
                origins=settings.picture_origins or (),
                named_by_base=named_by_base,
            )
            response = await _response(core.pictures, target, accept)
        except UnsafeURLError as error:
            if address != url:
                error.args = (f"{error}; {clean_url(url)} redirects to {clean_url(address)}",)
            raise
        named_by_base = named_by_base and bool(target.trusted)
        try:
            location = response.headers.get("location")
            if location is not None and response.status_code in _REDIRECTS:
                address = _joined(address, location, url)
                continue
            return await _body(response, url, settings.max_image_bytes)
        finally:
            await response.aclose()
    raise DownloadError(f"{clean_url(url)} redirects more than {MOST_HOPS} times")


async def _response(pictures: DownloadTransport, target: PictureURL, accept: str) -> Response:
    """The answer of a host, asked directly or through a proxy."""
    proxy = pictures.proxy_for(target)
    if proxy is not None:
        return await _proxied_response(pictures, target, accept, proxy)
    problem = _Unreachable("no connection")
    try:
        addresses = await _addresses(target)
        if target.host not in pictures.far:
            return await _direct_response(pictures, target, addresses, accept)
    except _Unreachable as fault:
        problem = fault
    proxy = pictures.way_out(target)
    if proxy is None:
        pictures.far.discard(target.host)
        raise problem
    return await _proxied_response(pictures, target, accept, proxy)


async def _direct_response(
    pictures: DownloadTransport, target: PictureURL, addresses: Sequence[str], accept: str
) -> Response:
    """The answer of the first of these addresses that gives one, tried in turn."""
    problem, connected, silences = "no such host", False, 0
    for ip in addresses:
        try:
            return await pictures.get(target, ip, accept)
        except HTTPFault as fault:
            problem = type(fault).__name__
            connected = connected or not unconnected(fault)
            silences += silent(fault)
        if silences == MOST_SILENCES:
            break
    raise _Transient(problem) if connected else _Unreachable(problem)


async def _proxied_response(
    pictures: DownloadTransport, target: PictureURL, accept: str, proxy: Proxy
) -> Response:
    """The answer of a host that a proxy looks up and connects to; what the proxy refuses is asked once."""
    try:
        response = await pictures.get(target, target.host, accept, proxy)
    except HTTPFault as fault:
        error = error_of(fault, SendProgress(), target.host)
    else:
        if target.scheme == "https" or response.status_code != 407:
            pictures.far.add(target.host)
            return response
        await response.aclose()
        error = login_error(proxy)
    pictures.far.discard(target.host)
    if error.retryable:
        raise _Transient(str(error))
    raise DownloadError(
        f"the picture at {clean_url(target.url)} could not be fetched: {error}", hint=f"{error.hint} {AGAIN}"
    )


def _joined(address: str, location: str, first: str) -> str:
    try:
        return urljoin(address, location)
    except ValueError:
        pass
    raise UnsafeURLError(f"{clean_url(first)} leads to an address that cannot be read")


async def _addresses(target: PictureURL) -> list[str]:
    """All addresses of the host, every one checked; connections go to these and to no other."""
    host = target.trusted or target.host
    try:
        addresses = [str(ipaddress.ip_address(host))]
    except ValueError:
        try:
            found = await anyio.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as fault:
            raise _Unreachable(f"no such host ({type(fault).__name__})") from None
        addresses = sorted({str(entry[4][0]) for entry in found}, key=_ipv4_first)
    for ip in addresses:
        check_ip(ip, target)
    return addresses


def _ipv4_first(ip: str) -> tuple[int, str]:
    return ipaddress.ip_address(ip.partition("%")[0]).version, ip


async def _body(response: Response, url: str, largest: int) -> bytes:
    status = response.status_code
    if status in _FINAL or 300 <= status < 400:
        expired = " (its address has expired or needs a login)" if status in (401, 403, 410) else ""
        raise DownloadError(
            f"the picture at {clean_url(url)} could not be fetched: HTTP {status}{expired}",
            hint=AGAIN,
            status_code=status,
        )
    if status != 200:
        raise _Transient(f"HTTP {status}")
    if announced(response.headers) <= largest:
        try:
            body = await body_of(response, largest)
        except HTTPFault as fault:
            raise _Transient(type(fault).__name__) from None
        if not body:
            raise _Transient("an answer without a byte")
        if len(body) <= largest:
            return (
                body
                if sniff(body)
                else _unpacked(body, response.headers.get("content-encoding", ""), largest)
            )
    raise DownloadError(f"the picture at {clean_url(url)} is larger than max_image_bytes, {largest}")


def _unpacked(body: bytes, encoding: str, largest: int) -> bytes:
    try:
        return b"".join(decoded([body], encoding=encoding, largest=largest))
    except TooLargeError:
        problem = f"it unpacks to more than max_image_bytes, {largest}"
    except BadResponseError as error:
        problem = str(error)
    raise DownloadError(f"the picture could not be read: {problem}")
