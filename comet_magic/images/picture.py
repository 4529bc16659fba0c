"""A picture as it arrived, and the facts of its call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import from_here

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Picture:
    """One picture, whose container was checked.

    Attributes:
        data: the provider's bytes, untouched.
        mime: `image/png`, `image/jpeg` or `image/webp`, by the bytes.
        width: in pixels.
        height: in pixels.
        path: its file in the archive, or None.
        revised_prompt: the prompt as the model rewrote it, as sent by the server.
        request_id: the server's id of the call.
        cost: micro-USD, or None if unknown.
        sha256: of the bytes, in hex; computed if it is not given.
        reused: it was in the archive already, so nothing was paid.
    """

    data: bytes = field(repr=False)
    mime: str
    width: int
    height: int
    path: str | None = None
    revised_prompt: str | None = None
    request_id: str | None = None
    cost: int | None = None
    sha256: str = ""
    reused: bool = False

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    @property
    def name(self) -> str:
        """Its file as one would type it here; "" if it has none."""
        return str(from_here(Path(self.path))) if self.path else ""


@dataclass(frozen=True)
class Facts:
    """The facts that all pictures of one call share.

    Attributes:
        prompt: as it was sent.
        model: as it was requested.
        created: when the server made them, seconds since 1970.
        usage: as the server counted it.
        cost: of all of them in micro-USD; None if any part is unknown.
        notice: one sentence for every caption, or "".
        pictures: how many the call brought.
    """

    prompt: str = ""
    model: str = ""
    created: int | None = None
    usage: Mapping[str, Any] | None = None
    cost: int | None = None
    notice: str = ""
    pictures: int = 1
