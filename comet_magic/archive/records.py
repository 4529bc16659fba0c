"""What goes into the archive and what comes out, as values. No I/O.

States: claimed → received → done; or rejected, unknown, cancelled. Amounts are micro-USD.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import CometError
from ..money import usd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from ..protocol import CallStatus
    from ..request import ImageRequest

Settled = Literal["done", "rejected", "unknown", "cancelled"]
State = Literal["claimed", "received", "done", "rejected", "unknown", "cancelled"]


class Measured(NamedTuple):
    """What the latest pictures of a model took: seconds of a call, and bytes of a picture if they are kept."""

    seconds: float
    bytes: float | None


@dataclass(frozen=True)
class Budget:
    """Limits on money in micro-USD, each for one vendor; None means no limit.

    Attributes:
        elsewhere: what the session has spent and has in flight in other archives.
        elsewhere_today: what all have spent today and have in flight in other archives.
    """

    session: int | None = None
    day: int | None = None
    archive: int | None = None
    elsewhere: int = 0
    elsewhere_today: int = 0


@dataclass(frozen=True)
class Claim:
    """A call that may be sent: its row, its copies and its money are on disk.

    Attributes:
        id: 32 hexadecimal digits; names the file of its raw answer.
        key: the hash of what was asked.
        copies: the copy index of each picture asked for.
        request: what was asked; None if prompts are not kept and the call was read back.
        vendor: whom the money is counted for.
        reserved: micro-USD set aside, None if the price is unknown.
    """

    id: str
    key: str
    copies: tuple[int, ...]
    request: ImageRequest | None
    vendor: str
    reserved: int | None


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the archive: where it is and what it should be.

    Attributes:
        path: relative to the archive's folder, with slashes.
        position: which picture of its call it was, from 0.
        size: bytes.
        unpasted: the file with the bytes that came, if the picture is a pasted one.
        cost_micro: the call's cost shared among its pictures, None if unknown.
        starred: a person marked it.
    """

    key: str
    copy: int
    call_id: str
    position: int
    path: str
    mime: str
    width: int
    height: int
    size: int
    sha256: str
    revised_prompt: str | None = None
    unpasted: str | None = None
    request_id: str | None = None
    cost_micro: int | None = None
    starred: bool = False

    @property
    def cost(self) -> float | None:
        """The call's cost shared among its pictures, in USD; None if unknown."""
        return usd(self.cost_micro)


class Held(NamedTuple):
    """A copy of a request that no new call may take.

    Attributes:
        call_id: of the call that has it.
        open: that call still makes it.
        here: its picture is here.
    """

    copy: int
    call_id: str
    open: bool
    here: bool


class Copy(NamedTuple):
    """One copy of one request: what became of it, and if that was asked for, the facts of its picture.

    Attributes:
        call_id: of the call that it was last claimed by.
        path: relative to the archive's folder, with slashes; None if the picture is not here.
        cost: micro-USD: the call's cost shared among its pictures, None if unknown.
        ended: seconds since 1970.
    """

    key: str
    copy: int
    outcome: CallStatus
    call_id: str
    path: str | None
    error: str | None
    code: str | None
    message: str | None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    revised_prompt: str | None = None
    request_id: str | None = None
    cost: int | None = None
    ended: float | None = None


@dataclass(frozen=True)
class Orphan:
    """A paid answer that a dead process left unfinished; it is now this process's to finish, free of charge.

    Attributes:
        raw_answer: the file of the whole raw answer, or None.
        urls: addresses of pictures still to be fetched, by position.
    """

    call: Claim
    raw_answer: Path | None
    urls: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Entry:
    """One call in the history.

    Attributes:
        seconds: from its claim to its end, None if it is unknown, or if its process died before its end.
        parents: the keys of the calls whose pictures went in.
        folder: of the archive that has it; None for this process's memory.
        timeout: seconds after its claim for which its answer is awaited; None if unknown.
        alive: it is open, and a living process is at it.
        cost_micro: None if unknown; `bound_micro` is then the most it can be.
        error: the name of the error's class, or None.
        urls: addresses, without their queries, of paid pictures that are not here, if the call has no end yet.
    """

    id: str
    key: str
    created: datetime
    ended: datetime | None
    vendor: str
    model: str
    prompt: str | None
    request: ImageRequest | None
    parameters: Mapping[str, Any]
    seconds: float | None
    timeout: float | None
    state: State
    outcome: CallStatus
    alive: bool
    cost_micro: int | None
    bound_micro: int | None
    request_id: str | None
    usage: Mapping[str, Any] | None
    attempts: int
    session: str
    error: str | None
    code: str | None
    message: str | None
    pictures: tuple[StoredPicture, ...]
    urls: tuple[str, ...]
    parents: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def starred(self) -> bool:
        """Whether a person marked one of its pictures."""
        return any(picture.starred for picture in self.pictures)

    @property
    def cost(self) -> float | None:
        """What it cost in USD; None if unknown."""
        return usd(self.cost_micro)

    @property
    def bound(self) -> float | None:
        """The most that it can have cost, in USD; None if unknown."""
        return usd(self.bound_micro)


@dataclass(frozen=True)
class Spend:
    """Money that calls cost.

    Attributes:
        spent_micro: settled calls; the bound, if only that is known.
        reserved_micro: calls in flight.
        uncertain_micro: the most that calls of unknown outcome can have cost; budgets count it as spent.
        calls: how many calls are counted.
        unpriced: how many of them may have cost something that no number here holds.
        unreadable: sentences on folders whose money is not counted.
    """

    spent_micro: int = 0
    reserved_micro: int = 0
    uncertain_micro: int = 0
    calls: int = 0
    unpriced: int = 0
    unreadable: tuple[str, ...] = ()

    def __add__(self, other: Spend) -> Spend:
        return Spend(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def bound_micro(self) -> int:
        """The most that can have been spent, with what is in flight."""
        return self.spent_micro + self.reserved_micro + self.uncertain_micro

    @property
    def spent(self) -> float:
        """USD of settled calls; the most that it can be, if only that is known."""
        return usd(self.spent_micro)

    @property
    def reserved(self) -> float:
        """USD of calls in flight."""
        return usd(self.reserved_micro)

    @property
    def uncertain(self) -> float:
        """The most that calls of unknown outcome can have cost, in USD."""
        return usd(self.uncertain_micro)

    @property
    def bound(self) -> float:
        """The most that can have been spent, with what is in flight, in USD."""
        return usd(self.bound_micro)


@dataclass(frozen=True)
class Repair:
    """What a repair did, as paths and call ids.

    Attributes:
        settled: calls found done by their receipt or their files.
        adopted: pictures on disk that no row knew.
        removed: temporary files of dead writers.
        missing: pictures with a row and without a file.
        damaged: pictures whose bytes are not those that were stored.
        unexplained: files that belong to nothing; they were left alone.
    """

    settled: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()


class CopyTaken(CometError):  # noqa: N818 - it is an answer to a claim, not a fault
    """A copy that was asked for by number exists, is being made, or is uncertain.

    Attributes:
        taken: what became of each such copy.
    """

    def __init__(self, message: str, *, taken: tuple[Copy, ...] = (), **evidence: Any) -> None:
        super().__init__(message, **evidence)
        self.taken = taken
