"""What can go wrong, and what each failure means for your money.

    CometError
    ├── InvalidRequestError      refused here, before anything was sent
    ├── ConfigurationError       a setting or a folder cannot be used
    │   ├── MissingKeyError      no key was found anywhere
    │   └── SourceError          a table cannot be read or is ambiguous
    ├── BudgetExceededError      the call would pass a limit on money
    ├── APIConnectionError       no connection, or the request never went out whole
    ├── APITimeoutError          a time limit passed
    ├── AmbiguousError           sent, and the answer was lost: it may be billed
    ├── APIStatusError           the server refused
    │   ├── BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError
    │   └── QuotaError, ContentPolicyError, RateLimitError, ServerError
    ├── BadResponseError, BadImageError, TooLargeError      a paid answer that cannot be used
    ├── UnsafeURLError, DownloadError                       a paid picture that could not be fetched
    ├── PartialResultError       some pictures of several failed
    ├── SaveError                the disk refused; the pictures are in `images`
    └── CallAbandoned            the waiting was stopped by the user (also a KeyboardInterrupt)

`help(comet_magic.protocol.decisions)` prints what becomes of a call, and of its row in a dataset, with each of them.

Nothing here imports anything of ours, does I/O, or decides what happens next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["APIConnectionError", "APIStatusError", "APITimeoutError", "AmbiguousError"]
__all__ += ["AuthenticationError", "BadImageError", "BadRequestError", "BadResponseError"]
__all__ += ["BudgetExceededError", "CallAbandoned", "CometError", "ConfigurationError"]
__all__ += ["ContentPolicyError", "DownloadError", "InvalidRequestError", "MissingKeyError"]
__all__ += ["NotFoundError", "PartialResultError", "PermissionDeniedError", "QuotaError"]
__all__ += ["RateLimitError", "SaveError", "ServerError", "SourceError", "TooLargeError", "UnsafeURLError"]

Outcome = Literal["not_sent", "rejected", "unknown", "billed"]

MONEY: dict[Outcome, str] = {
    "not_sent": "Nothing was sent and nothing is billed.",
    "rejected": "The server refused before any work; nothing should be billed.",
    "unknown": "The request was sent and may be billed. It is listed as unknown and is not sent again by itself.",
    "billed": "The answer arrived, so this call is billed; nothing was sent again.",
}


class CometError(Exception):
    """Any failure of comet_magic; what is known about it is in its attributes.

    Attributes:
        outcome: `not_sent`, `rejected`, `unknown` (may be billed) or `billed`.
        hint: what to do about it, one sentence, or "".
        code: the server's own error code, or None.
        param: the parameter at fault, or None.
        request_id: the server's id of the request, or None.
        status_code: the HTTP status, or None.
        attempts: how often the request was sent.
        retry_after: seconds the server asked to wait, or None.
        retryable: whether the same request may be sent again: no work began, and it may succeed.
        usage: what the server counted as used by a request that failed, or None.
        images: the pictures that exist anyway (an `Images`), or an empty tuple.
        partial: the bytes of the last streamed preview, or None.
        errors: one error for each failed part of a call that had several.
        urls: addresses of paid pictures that were not fetched.
        rescue_path: the file with the raw answer, or None.
        run: what the run of a dataset that this ended has sent, spent and written, in sentences, or "".
        added_notes: those of `add_note`.
    """

    full_traceback: ClassVar[bool] = False
    outcome: Outcome = "not_sent"
    hint: str = ""
    code: str | None = None
    param: str | None = None
    request_id: str | None = None
    status_code: int | None = None
    attempts: int = 0
    retry_after: float | None = None
    retryable: bool = False
    usage: Mapping[str, Any] | None = None
    images: Sequence[Any] = ()
    partial: bytes | None = None
    errors: tuple[CometError, ...] = ()
    urls: tuple[str, ...] = ()
    rescue_path: str | None = None
    run: str = ""
    added_notes: tuple[str, ...] = ()

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.with_facts(**facts)

    def with_facts(self, **facts: Any) -> Self:
        """This error, with further attributes set.

        Raises:
            TypeError: errors have no such attribute.
        """
        unknown = facts.keys() - CometError.__annotations__.keys()
        if unknown:
            raise TypeError(f"an error has no {', '.join(sorted(unknown))}")
        self.__dict__.update(facts)
        return self

    @property
    def __notes__(self) -> list[str]:  # made of the attributes, whenever they are set
        """What Python's own traceback prints below the message, and so a script: the further lines, and added notes."""
        return [*self.lines()[1:], *self.added_notes]

    @__notes__.setter
    def __notes__(self, notes: Sequence[str]) -> None:  # Dask's pickles set them
        ours = self.lines()
        self.added_notes = tuple(note for note in notes if note not in ours)

    def add_note(self, note: str, /) -> None:
        """Add a note, as to any exception."""
        self.added_notes = (*self.added_notes, note)

    def bare(self) -> Self:
        """This error without its traceback and causes: their variables may contain a key."""
        self.__context__ = self.__cause__ = None
        return self.with_traceback(None)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**self.__dict__, "added_notes": self.added_notes}

    def lines(self) -> list[str]:
        """The lines that a person reads: what happened, what to do, whether it is billed, and the ids."""
        facts = [
            ("request id", self.request_id),
            ("HTTP status", self.status_code),
            ("attempts", self.attempts if self.attempts > 1 else None),
        ]
        evidence = ", ".join(f"{name} {value}" for name, value in facts if value)
        saved = f"The raw answer is saved in {self.rescue_path}" if self.rescue_path else ""
        head = f"{type(self).__name__}: {self}"
        return [line for line in (head, self.hint, self.run or self.money, saved, evidence) if line]

    @property
    def money(self) -> str:
        """Whether it is billed, in a sentence."""
        return MONEY[self.outcome]

    @property
    def sentence(self) -> str:
        """What happened and what to do, in one line."""
        return ". ".join(filter(None, (str(self), self.hint)))

    def __getattr__(self, name: str) -> Any:
        # IPython asks with hasattr for this hook in every xmode; without it the full traceback is shown.
        if name == "_render_traceback_" and not CometError.full_traceback:
            return self.lines
        raise AttributeError(name)


class InvalidRequestError(CometError):
    """The request breaks a rule of the model; `param` names the parameter."""


class ConfigurationError(CometError):
    """A setting, an address or a folder cannot be used."""


class MissingKeyError(ConfigurationError):
    """No API key was found."""


class SourceError(ConfigurationError):
    """A table cannot be read, is ambiguous, or is another one than its folder has; `run` tells what was paid before."""


class BudgetExceededError(CometError):
    """The call, together with those under way, would pass a limit on money."""


class APIConnectionError(CometError):
    """No connection, or the request was never sent whole."""


class APITimeoutError(CometError):
    """A time limit passed."""


class AmbiguousError(CometError):
    """The request was sent, and the answer was lost or does not say whether work was done."""

    outcome: Outcome = "unknown"


class APIStatusError(CometError):
    """The server refused."""

    outcome: Outcome = "rejected"


class BadRequestError(APIStatusError):
    """The server says that the request is wrong."""


class AuthenticationError(APIStatusError):
    """The server does not accept the key."""


class PermissionDeniedError(APIStatusError):
    """The key may not do this."""


class NotFoundError(APIStatusError):
    """No such model or route."""


class QuotaError(APIStatusError):
    """The account has no money or quota left."""


class ContentPolicyError(APIStatusError):
    """The prompt or the picture was refused by moderation."""

    @property
    def money(self) -> str:
        """Whether it is billed, in a sentence."""
        if self.outcome != "rejected":
            return super().money
        return "The server refused it; some providers bill that, so it may be billed."


class RateLimitError(APIStatusError):
    """Too many requests, and waiting did not help."""


class ServerError(APIStatusError):
    """The server says that it did not begin."""


class _BilledError(CometError):
    """The answer arrived, and what came after it failed."""

    outcome: Outcome = "billed"


class BadResponseError(_BilledError):
    """A whole answer without usable pictures."""


class BadImageError(_BilledError):
    """A picture that is broken, or not PNG, JPEG or WEBP."""


class TooLargeError(_BilledError):
    """An answer or a picture above a size limit."""


class UnsafeURLError(_BilledError):
    """The picture's address must not be fetched."""


class DownloadError(_BilledError):
    """The picture could not be fetched from its address."""


class PartialResultError(_BilledError):
    """Some pictures failed; the others are in `images`, the failures in `errors`."""


class SaveError(_BilledError):
    """The disk refused; the pictures are in `images` and can be saved elsewhere."""


class CallAbandoned(CometError, KeyboardInterrupt):  # noqa: N818 - it is an interrupt, not a fault
    """The user stopped waiting; what was already sent continues in the background.

    Attributes:
        signal: the number of the signal that asked for it; SIGINT, also where no signal did.
    """

    signal: int = 2

    @property
    def money(self) -> str:
        """Whether it is billed, in a sentence."""
        if self.outcome != "unknown":
            return super().money
        return "What was sent may be billed; see %cometimg_status."
