"""Requests that differ in their prompt only: everything else is checked, hashed and priced once."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from .checks import check_prompt

if TYPE_CHECKING:
    from ..money import Price
    from .image_request import ImageRequest

_MARK = "\N{OBJECT REPLACEMENT CHARACTER}the prompt goes here\N{OBJECT REPLACEMENT CHARACTER}"


class RequestTemplate:
    """Checks, keys and prices for many prompts with the same parameters; much faster than a request for each.

    Args:
        template: a request with these parameters; its prompt does not matter.
        vendor: the vendor they are sent to.
        price_per_image: micro-USD, used if the table has no price.
    """

    def __init__(self, template: ImageRequest, vendor: str, price_per_image: int | None = None) -> None:
        self._template = template
        self._spec = template.spec
        self._price_per_image = price_per_image
        self._prices: dict[int, Price] = {}
        quoted = json.dumps(_MARK)
        # After the prompt come only vendor and version, so the last match is the prompt.
        before, _, after = template.with_prompt(_MARK).key_text(vendor).rpartition(quoted)
        self._before, self._after = hashlib.sha256(before.encode()), after.encode()
        facts = template.to_dict()
        self.model = template.model
        self.parameters = json.dumps(
            {name: value for name, value in facts.items() if name not in ("prompt", "model")}
        )

    def check(self, prompt: object, *, keys: bool = True) -> None:
        """Check that the model takes this prompt; without `keys` it was looked through for API keys before.

        Raises:
            InvalidRequestError: it does not.
        """
        check_prompt(self._spec, prompt, keys=keys)

    def request(self, prompt: str) -> ImageRequest:
        """The request for a prompt."""
        return self._template.with_prompt(prompt)

    def key(self, prompt: str) -> str:
        """The key of that request."""
        name = self._before.copy()
        name.update(json.dumps(prompt).encode())
        name.update(self._after)
        return name.hexdigest()

    def estimate(self, prompt: str) -> Price:
        """The price of that request; it depends on the length of the prompt only."""
        length = len(prompt)
        if length not in self._prices:
            self._prices[length] = self.request(prompt).estimate(self._price_per_image)
        return self._prices[length]
