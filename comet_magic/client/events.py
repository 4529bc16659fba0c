"""The events of a call while it runs: values that are handed to `on_event`, on the thread that runs all calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

CallState = Literal["queued", "sending", "waiting", "retrying", "downloading", "decoding", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """A step of one request of a call.

    Attributes:
        index: which request of the call, from 0.
        total: how many requests the call is made of.
        state: what it does now.
        elapsed: seconds since the call was asked for.
        note: a few words for a person, or "".
    """

    index: int
    total: int
    state: CallState
    elapsed: float
    note: str = ""


@dataclass(frozen=True)
class Preview:
    """A streamed partial picture: `data` holds its encoded bytes, `number` counts from 0."""

    index: int
    number: int
    data: bytes
    mime: str


@dataclass(frozen=True)
class Arrived:
    """A finished picture (an `images.Picture`): checked, and on disk where there is an archive."""

    index: int
    picture: Any


Event = Progress | Preview | Arrived
