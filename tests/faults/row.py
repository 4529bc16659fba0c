"""One line of the table: what is asked of the fault server, and how the call must end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Range = int | tuple[int, int]
MEBI = 1024 * 1024

# The usual outcome of each class; a row that differs says so.
OUTCOMES = {
    "ok": "",
    "APIConnectionError": "not_sent",
    "ConfigurationError": "not_sent",
    "APITimeoutError": "unknown",
    "AmbiguousError": "unknown",
    "BadRequestError": "rejected",
    "AuthenticationError": "rejected",
    "PermissionDeniedError": "rejected",
    "NotFoundError": "rejected",
    "QuotaError": "rejected",
    "ContentPolicyError": "rejected",
    "RateLimitError": "rejected",
    "ServerError": "rejected",
    "BadResponseError": "billed",
    "BadImageError": "billed",
    "TooLargeError": "billed",
    "UnsafeURLError": "billed",
    "DownloadError": "billed",
    "PartialResultError": "billed",
}


@dataclass(frozen=True)
class Row:
    """What is asked, and the one honest ending.

    Attributes:
        prompt: the scenario, with its arguments.
        ends: "ok" or the class of the error; alternatives are separated by `|`.
        outcome: as the class has it, or as stated here; alternatives are separated by `|`.
        posts: how many POSTs arrive. charged: how often work began ("" follows from the outcome).
        gets: how many GETs arrive at the picture host.
        images: how many pictures the caller holds in the end.
        n, stream, options: of the request. client: settings of the client.
        base: which address is the base URL: an attribute of the server, or `front:kind`.
        connects: how many connections are tried to the base URL's port.
        mib: growth of memory. sent_mib: what the server could send.
        gaps: the least seconds between two POSTs.
        says: words in the lines that a person reads; hides: words that are not there.
        code: the server's code on the error.
        keeps: `rescue`, `urls`, `partial`: evidence that the error holds.
        same_id: whether the request id is the one that the server sent.
        suffix: how the file's name ends.
        core: part of the short run. doors: also through the other doors.
    """

    prompt: str
    ends: str = "ok"
    outcome: str = ""
    posts: Range = 1
    charged: Range | None = None
    gets: Range = 0
    images: int | None = None
    n: int = 1
    stream: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    client: Mapping[str, Any] = field(default_factory=dict)
    base: str = "base_url"
    connects: Range | None = None
    mib: float | None = None
    sent_mib: float | None = None
    gaps: float | None = None
    says: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    code: str | None = None
    keeps: tuple[str, ...] = ()
    same_id: bool = True
    suffix: str = ""
    core: bool = True
    doors: bool = False

    @property
    def classes(self) -> list[str]:
        return self.ends.split("|")

    @property
    def outcomes(self) -> set[str]:
        if self.outcome:
            return {each.strip() for each in self.outcome.split("|")}
        return {OUTCOMES[each] for each in self.classes}

    @property
    def charges(self) -> Range:
        if self.charged is not None:
            return self.charged
        certain = self.outcomes <= {"", "unknown", "billed"}
        return 1 if certain else (0, 1) if self.outcomes & {"", "unknown", "billed"} else 0

    @property
    def arguments(self) -> dict[str, Any]:
        """What `generate` is called with, beside the prompt."""
        asked: dict[str, Any] = dict(self.options)
        if self.n != 1:
            asked["n"] = self.n
        if self.stream:
            asked |= {"stream": True, "partial_images": 2}
        return asked

    def __str__(self) -> str:
        mark = "" if self.base == "base_url" else f"@{self.base}"
        return self.prompt.removeprefix("F:") + mark + ("~stream" if self.stream else "")


def within(value: float, limits: Range) -> bool:
    """Whether a count is what was stated: a number, or a range with both ends."""
    low, high = limits if isinstance(limits, tuple) else (limits, limits)
    return low <= value <= high
