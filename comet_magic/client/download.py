"""Fetching a paid picture by its address: checked at every hop, free to repeat, always from the beginning."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import anyio

from ..addresses import PictureURL, check_ip, parse_picture_url
from ..errors import BadResponseError, CometError, DownloadError, TooLargeError, UnsafeURLError
from ..formats import foreign_kind, sniff
from ..protocol import decoded
from ..text import clean_url
from .transport import HTTPFault, announced, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from .core import Core
    from .transport import DownloadTransport

AGAIN = "It is paid for: %cometimg_history --fetch ID tries again while its address lives."
OPENED = "image/png, image/jpeg, image/webp"
ACCEPTED = f"{OPENED}, */*;q=0.1"  # for image/* a server that chooses by it sends AVIF
MOST_TRIES = 4
MOST_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_FINAL = (400, 401, 403, 405, 410, 451)


class _Transient(Exception):  # noqa: N818 - a signal to try again, never seen outside
    """A fault that may pass."""


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
    largest, base_url = core.settings.max_image_bytes, core.base.url
    address = url
    for _ in range(MOST_HOPS + 1):
        target = parse_picture_url(address, base_url=base_url)
        response = await _first_answer(target, await _addresses(target, base_url), core.pictures, accept)
        try:
            location = response.headers.get("location")
            if location is not None and response.status_code in _REDIRECTS:
                address = _joined(address, location, url)
                continue
            return await _body(response, url, largest)
        finally:
            await response.aclose()
    raise DownloadError(f"{clean_url(url)} redirects more than {MOST_HOPS} times")


async def _first_answer(
    target: PictureURL, addresses: Sequence[str], transport: DownloadTransport, accept: str
) -> httpx.Response:
    """The answer of the first of these addresses that gives one, tried in turn."""
    problem = "no such host"
    for ip in addresses:
        try:
            return await transport.get(target, ip, accept)
        except HTTPFault as fault:
            problem = type(fault).__name__
    raise _Transient(problem)


def _joined(address: str, location: str, first: str) -> str:
    try:
        return urljoin(address, location)
    except ValueError:
        pass
    raise UnsafeURLError(f"{clean_url(first)} leads to an address that cannot be read")


async def _addresses(target: PictureURL, base_url: str) -> list[str]:
    """All addresses of the host, every one checked; connections go to these and to no other."""
    if target.ip is not None:
        addresses = [str(target.ip)]
    else:
        try:
            found = await anyio.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as fault:
            raise _Transient(f"no such host ({type(fault).__name__})") from None
        addresses = sorted({str(entry[4][0]) for entry in found}, key=_ipv4_first)
    for ip in addresses:
        check_ip(ip, target, base_url=base_url)
    return addresses


def _ipv4_first(ip: str) -> tuple[int, str]:
    return ipaddress.ip_address(ip.partition("%")[0]).version, ip


async def _body(response: httpx.Response, url: str, largest: int) -> bytes:
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
            return _unpacked(body, response.headers.get("content-encoding", ""), largest)
    raise DownloadError(f"the picture at {clean_url(url)} is larger than max_image_bytes, {largest}")


def _unpacked(body: bytes, encoding: str, largest: int) -> bytes:
    try:
        return b"".join(decoded([body], encoding=encoding, largest=largest))
    except TooLargeError:
        problem = f"it unpacks to more than max_image_bytes, {largest}"
    except BadResponseError as error:
        problem = str(error)
    raise DownloadError(f"the picture could not be read: {problem}")
