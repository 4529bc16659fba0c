"""From a prompt and options to checked, priced requests; what the archive already holds is not asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import BudgetExceededError
from ..request import ImageRequest, Price, dollars, parse_dollars, requests_of
from ..settings import check_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..archive import Archive, StoredPicture

FREE = Price(0, 0)


@dataclass(frozen=True)
class Plan:
    """What a call would send, and its price; nothing was sent.

    Attributes:
        first: the request as asked, also where nothing needs to be sent.
        requests: the requests it is made of.
        price: of all of them together.
        reused: pictures that the archive already holds.
    """

    first: ImageRequest
    requests: tuple[ImageRequest, ...]
    price: Price
    reused: tuple[StoredPicture, ...] = ()


@dataclass(frozen=True)
class Planner:
    """Plans the calls of one client; amounts are micro-USD, None for none."""

    vendor: str
    archive: Archive
    price_per_image: int | None
    max_cost: int | None

    def plan(self, prompt: str, options: Mapping[str, Any]) -> Plan:
        """Check and price a call; refuses what breaks a rule or the call's own limit on money."""
        if options.get("timeout") is not None:
            check_number("timeout", options["timeout"])
        requests = requests_of(prompt, options)
        first = requests[0]
        reused: tuple[StoredPicture, ...] = ()
        if options.get("reuse"):
            reused = self._stored(requests)
            missing = sum(request.n for request in requests) - len(reused)
            requests = requests_of(prompt, {**options, "n": missing}) if missing else ()
        price = self.price(requests)
        self._check_cost(price, options.get("max_cost"))
        return Plan(first, requests, price, reused)

    def price(self, requests: Sequence[ImageRequest]) -> Price:
        """What requests may cost together."""
        return sum((request.estimate(self.price_per_image) for request in requests), FREE)

    def _stored(self, requests: Sequence[ImageRequest]) -> tuple[StoredPicture, ...]:
        """The newest pictures of a request that the archive holds, in the order they were made.

        One whose file somebody removed is not held.
        """
        stored = self.archive.stored(requests[0].key(self.vendor))
        there = (picture for picture in stored if self.archive.is_there(picture))
        newest = islice(there, sum(request.n for request in requests))
        return tuple(sorted(newest, key=lambda stored: stored.copy))

    def _check_cost(self, price: Price, given: float | None) -> None:
        limit = self.max_cost if given is None else parse_dollars(given)
        if limit is None or (price.high is not None and price.high <= limit):
            return
        if price.high is None:
            raise BudgetExceededError(
                "max_cost is set and the price of this call is unknown",
                hint="Give price_per_image= (USD) to the client, or leave max_cost out.",
            )
        raise BudgetExceededError(
            f"the call may cost {price}; max_cost is {dollars(limit)}",
            hint="Ask for fewer or smaller pictures, name the quality and size, or raise --max-cost.",
        )
