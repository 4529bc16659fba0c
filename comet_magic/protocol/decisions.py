"""What becomes of a call, and of its row in a dataset: one table, and the functions that look things up in it.

    TABLE                                   all rows; `table_text()` is below
    NO_CONNECTION.error("host is down")     the error of a row: class, outcome, hint and `retryable` as the row says
    decide(503, headers, ["slow_down"])     the row of an answer that is not a picture: by code, else by status
    call_status(state, error, picture=...)  what a person sees of a call in the ledger
    row_status(status, error)               what the row of a dataset is, by its last call in the ledger
    row_after(error)                        what it becomes when a call ends with this error
    ENDS_RUN                                names of the errors that end a run: no row is at fault

A paid request is sent again only if there is positive reason to believe that no work began. The server can say so
itself: `x-should-retry: true` means that no work began, whatever the status (not for 2xx); `false` forbids a retry.
A code in the server's error is stronger than the status. `again`: the same request is sent again by itself, within the
limits of attempts and time. `row`: what the row of a dataset becomes; an `open` one is sent by the next run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal

from .. import errors
from ..errors import CometError, Outcome
from .wording import A_RATE, EMPTY_ACCOUNT, MAYBE_EMPTY_ACCOUNT, MODERATION, spoken

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

CallStatus = Literal["open", "done", "refused", "failed", "unknown", "cancelled", "forgotten", "rejected"]
RowStatus = Literal["done", "refused", "failed", "unknown", "over_budget", "cancelled", "rejected", "open"]


@dataclass(frozen=True)
class Decision:
    """One row of the table.

    Attributes:
        happened: what happened, in a few words.
        kind: the class of error it is raised as; None if nothing failed.
        row: what the row of a dataset becomes; the next run sends it if it is `open`, `over_budget` or `cancelled`:
            nothing was made, and the row is not at fault.
        sent: whether the request left: `no`, `partly` (never whole) or `yes`.
        began: whether the work began: `no`, `perhaps` or `yes`.
        again: whether the same request is sent again by itself, within the limits of attempts and time.
        hint: what a person can do about it, or "".
        ends_run: whether it ends the run of a dataset: the key, the account or a setting is at fault.
        codes: words in the `code` or `type` of the server's error; they are stronger than the status.
        says: what its codes and words say otherwise, at any status.
        statuses: HTTP statuses that mean this; the first row that has a status counts.
        with_retry_after: the statuses mean this only if the answer has a `Retry-After`.
    """

    happened: str
    kind: type[CometError] | None
    row: RowStatus
    sent: Literal["no", "partly", "yes"] = "yes"
    began: Literal["no", "perhaps", "yes"] = "no"
    again: bool = False
    hint: str = ""
    ends_run: bool = False
    codes: tuple[str, ...] = ()
    says: re.Pattern[str] | None = None
    statuses: frozenset[int] = frozenset()
    with_retry_after: bool = False

    @property
    def outcome(self) -> Outcome:
        """What is known of the money: `not_sent`, `rejected`, `unknown` or `billed`."""
        if self.sent != "yes":
            return "not_sent"
        ends: dict[str, Outcome] = {"no": "rejected", "perhaps": "unknown", "yes": "billed"}
        return ends[self.began]

    def error(self, message: str, **facts: Any) -> CometError:
        """The error to raise, with further facts that `CometError` takes."""
        own = {"outcome": self.outcome, "hint": self.hint, "retryable": self.again}
        return (self.kind or CometError)(message, **{**own, **facts})


BASE_URL_HINT = "Is the base URL right? It usually ends in /v1, as in https://api.cometapi.com/v1."
EDGE_TIMEOUT = (
    "The edge stopped waiting after about 100 s while the work went on: "
    "a lower quality or --stream with partial images keeps the line busy."
)
_PROXY_LOGIN = "Put name and password into the proxy's address, as in http://name:password@host:port."
_LATE_HINT = "A longer --timeout, a lower quality or --stream helps slow pictures."

# ── Before the request is whole ────────────────────────────────────────────────────────────────────

_unsent = partial(Decision, sent="no")
REFUSED_HERE = _unsent("a rule of the model or of the call is broken", errors.InvalidRequestError, "failed")
BAD_ROW = _unsent("a row of the table cannot be read", errors.SourceError, "failed")
OVER_LIMIT = _unsent("a limit on money", errors.BudgetExceededError, "over_budget")
NOT_READY = _unsent(
    "a setting or a folder that cannot be used", errors.ConfigurationError, "open", ends_run=True
)
NO_KEY = _unsent("no key was found", errors.MissingKeyError, "open", ends_run=True)
STOPPED = _unsent("stopped by the user before it was sent", errors.CallAbandoned, "cancelled")
NO_CONNECTION = _unsent(
    *("no connection, or a proxy refused to make one", errors.APIConnectionError, "open"),
    again=True,
    hint="Check the network, the base URL and the proxy settings.",
)
NO_TRUST = _unsent(
    *("the server's certificate is not trusted", errors.APIConnectionError, "open"),
    hint="If a company proxy re-signs traffic, name its certificate in SSL_CERT_FILE.",
)
PROXY_LOGIN = _unsent(
    *("the proxy asks for a name and a password", errors.APIConnectionError, "open"),
    hint=_PROXY_LOGIN,
    statuses=frozenset({407}),
)
PROXY_REFUSES = _unsent(
    *("the proxy refuses to lead to the server", errors.APIConnectionError, "open"),
    hint="Ask who runs the proxy to allow this host and port, or list the host in NO_PROXY.",
)
_cut_off = partial(Decision, sent="partly")
NOT_WHOLE = _cut_off(
    "the connection broke before the request was out", errors.APIConnectionError, "open", again=True
)
LATE_UNSENT = _cut_off(
    *("time ran out before the request was out", errors.APITimeoutError, "open"), hint=_LATE_HINT
)

# ── The server refuses ─────────────────────────────────────────────────────────────────────────────
# Codes: https://developers.openai.com/api/docs/guides/error-codes; insufficient_user_quota is the gateways' own.

QUOTA = Decision(
    *("no money or quota left", errors.QuotaError, "open"),
    hint="Top up the account or raise its limit, then run it again.",
    ends_run=True,
    codes=(
        *("insufficient_quota", "insufficient_user_quota", "credit_balance_exhausted"),
        *("organization_spend_limit_exceeded", "project_spend_limit_exceeded"),
        *("organization_usage_limit_exceeded", "billing_hard_limit_reached"),
    ),
    says=EMPTY_ACCOUNT,
    statuses=frozenset({402}),
)
POLICY = Decision(
    *("refused by moderation", errors.ContentPolicyError, "refused"),
    hint="Change the prompt; the same one will be refused again.",
    codes=("moderation_blocked", "content_policy_violation"),
    says=MODERATION,
)
RATE_LIMIT = Decision(
    *("too many requests", errors.RateLimitError, "open"),
    again=True,
    hint="Wait a little, or lower max_in_flight.",
    ends_run=True,
    codes=("rate_limit_exceeded", "slow_down", "rate_limit_error"),
    statuses=frozenset({429}),
)
BAD_KEY = Decision(
    *("the key is not accepted", errors.AuthenticationError, "open"),
    hint="Check the key: %cometimg_status, or python -m comet_magic doctor, shows where it came from.",
    ends_run=True,
    codes=("invalid_api_key",),
    statuses=frozenset({401}),
)
FORBIDDEN = Decision(
    *("the key may not do this", errors.PermissionDeniedError, "open"),
    hint="The key, the account or a firewall forbids this request.",
    ends_run=True,
    codes=("permission_denied",),
    statuses=frozenset({403}),
)
NO_MODEL = Decision(
    *("no such model", errors.NotFoundError, "failed"),
    hint="%cometimg_models lists the models.",
    codes=("model_not_found",),
)
WRONG_ADDRESS = Decision(
    *("no such route, or a redirect", errors.BadRequestError, "failed"),
    hint=BASE_URL_HINT,
    statuses=frozenset({*range(300, 400), 404, 405}),
)
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
_NOT_BEGUN = frozenset({408, 425, 521, 523, 525, 526})
OVERLOADED = Decision("the server did not begin", errors.ServerError, "open", again=True, statuses=_NOT_BEGUN)
TRY_LATER = Decision(
    *("the server says when to retry", errors.ServerError, "open"),
    again=True,
    statuses=frozenset({503, 529}),
    with_retry_after=True,
)
BAD_REQUEST = Decision(
    *("the server calls the request wrong; any other", errors.BadRequestError, "failed"),
    codes=(
        *("invalid_request", "invalid_value", "invalid_request_error", "unknown_parameter"),
        *("missing_required_parameter", "invalid_image_file", "image_generation_user_error"),
        "convert_request_failed",
    ),
    statuses=frozenset(range(400, 500)),
)
SAYS_RETRY = Decision("any other fault, with x-should-retry: true", errors.ServerError, "open", again=True)

# ── Sent, and no answer that says what happened ────────────────────────────────────────────────────

_uncertain = partial(Decision, row="unknown", began="perhaps")
LATE = _uncertain("time ran out, or the server fell silent", errors.APITimeoutError, hint=_LATE_HINT)
LOST = _uncertain("the connection broke before the answer", errors.AmbiguousError)
STREAM_CUT = _uncertain("a stream was cut", errors.AmbiguousError)
EDGE_GAVE_UP = _uncertain(
    *("the edge stopped waiting for the work", errors.AmbiguousError),
    hint=EDGE_TIMEOUT,
    statuses=frozenset({524}),
)
FAULT = _uncertain("any other fault, as a bare 500, 502, 503 or 504", errors.AmbiguousError)
ERROR_INSIDE = _uncertain(
    *("any other error inside an answer of success", errors.ServerError), statuses=frozenset(range(200, 300))
)

# ── An answer of success ───────────────────────────────────────────────────────────────────────────

_paid = partial(Decision, row="failed", began="yes")
ANSWER_CUT = _paid("an answer of success was cut", errors.AmbiguousError)
NO_PICTURES = _paid("a whole answer without usable pictures", errors.BadResponseError)
BAD_PICTURE = _paid("a picture that is broken", errors.BadImageError)
TOO_LARGE = _paid("an answer or a picture above a limit of size", errors.TooLargeError)
NOT_FETCHED = _paid("a picture that could not be fetched", errors.DownloadError)
UNSAFE_ADDRESS = _paid("a picture's address that must not be fetched", errors.UnsafeURLError)
PARTIAL = _paid("some pictures of several failed", errors.PartialResultError)
NOT_SAVED = _paid("the disk refused the pictures", errors.SaveError)
DONE = _paid("all pictures arrived", None, row="done")

TABLE: tuple[Decision, ...] = (
    *(REFUSED_HERE, BAD_ROW, OVER_LIMIT, NOT_READY, NO_KEY, STOPPED, NO_CONNECTION, NO_TRUST),
    *(PROXY_LOGIN, PROXY_REFUSES),
    *(NOT_WHOLE, LATE_UNSENT),
    *(QUOTA, POLICY, RATE_LIMIT, BAD_KEY, FORBIDDEN, NO_MODEL, WRONG_ADDRESS),
    *(OVERLOADED, TRY_LATER, BAD_REQUEST, SAYS_RETRY),
    *(LATE, LOST, STREAM_CUT, EDGE_GAVE_UP, FAULT, ERROR_INSIDE),
    *(ANSWER_CUT, NO_PICTURES, BAD_PICTURE, TOO_LARGE, NOT_FETCHED, UNSAFE_ADDRESS, PARTIAL, NOT_SAVED, DONE),
)

# Codes that many different faults have: what the words say plainly is stronger.
_VAGUE = frozenset(
    {
        *RATE_LIMIT.codes,
        *FORBIDDEN.codes,
        *("invalid_request", "invalid_request_error"),
        *("image_generation_user_error", "convert_request_failed"),
    }
)
_BY_CODE = {code: row for row in TABLE for code in row.codes}
_NO_WORK = {row.kind.__name__: row.row for row in TABLE if row.kind and row.began == "no"}
ENDS_RUN = frozenset(row.kind.__name__ for row in TABLE if row.kind and row.ends_run)


def decide(
    status: int,
    headers: Mapping[str, str],
    codes: Sequence[str] = (),
    text: str = "",
    *,
    wait: bool = False,
    worked: bool = False,
) -> Decision:
    """The row of an answer that is not a picture.

    Args:
        status: the HTTP status; a 2xx one means an error inside an answer of success.
        headers: names in lower case.
        codes: what the server's error says as `code` and `type`, the strongest first.
        text: all its words.
        wait: whether it names a time to wait.
        worked: whether it counts work, so that it is billed whatever it says.
    """
    wait = wait or bool(headers.get("retry-after"))
    by_words = _by_words(codes, text, guess=status == 429 and not wait)
    inside = 200 <= status < 300
    row = _inside(by_words) if inside else by_words or _by_status(status, asked_to_wait=wait)
    if worked:
        return replace(row, began="yes", again=False)
    told = None if inside else should_retry(headers)
    if told and row.outcome == "unknown":
        return SAYS_RETRY
    return row if told is None else replace(row, again=told)


def is_known(code: str) -> bool:
    """Whether the table has this code."""
    return code in _BY_CODE


def _inside(row: Decision | None) -> Decision:
    """A row inside an answer of success: an empty account and moderation refuse, of others nobody knows."""
    if row is None or row in (QUOTA, POLICY):
        return row or ERROR_INSIDE
    return replace(ERROR_INSIDE, kind=row.kind, hint=row.hint)


def _by_words(codes: Sequence[str], text: str, *, guess: bool) -> Decision | None:
    known = [code for code in codes if code in _BY_CODE]
    plain = next((code for code in known if code not in _VAGUE), None)
    if plain is not None:
        return _BY_CODE[plain]
    said = spoken(codes, text)
    for row in (POLICY, QUOTA):
        if row.says is not None and row.says.search(said):
            return row
    if guess and not known and MAYBE_EMPTY_ACCOUNT.search(said) and not A_RATE.search(said):
        return QUOTA
    return _BY_CODE[known[0]] if known else None


def _by_status(status: int, *, asked_to_wait: bool) -> Decision:
    rows = (row for row in TABLE if status in row.statuses and (asked_to_wait or not row.with_retry_after))
    return next(rows, FAULT)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What the server says of sending again (`x-should-retry`), or None if it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


FORGOTTEN = "Forgotten"  # the error of a call whose pictures were deleted on request
_STATES: dict[str, CallStatus] = {
    "claimed": "open",
    "received": "open",
    "unknown": "unknown",
    "cancelled": "cancelled",
}


def call_status(state: str, error: str | None, *, picture: bool) -> CallStatus:
    """What a person sees of a call, or of one picture of it.

    Args:
        state: the call's state in the ledger.
        error: the name of the class of its error, or None.
        picture: whether the picture is there.
    """
    if picture and state == "done":
        return "done"
    if state == "done" and error == FORGOTTEN:
        return "forgotten"
    if state == "rejected":
        return "refused" if _NO_WORK.get(error or "") == "refused" else "failed"
    return _STATES.get(state, "failed")


def row_status(status: CallStatus, error: str | None) -> RowStatus:
    """The status of a dataset's row, by the status and the error of its last call.

    A call that failed before any work began, by no fault of the row, leaves the row open.
    """
    if status == "forgotten":
        return "failed"
    return _NO_WORK.get(error or "", "failed") if status == "failed" else status


def row_after(error: CometError) -> RowStatus:
    """What a row of a dataset becomes if its call ends with this error."""
    if error.outcome == "unknown":
        return "unknown"
    return "failed" if error.outcome == "billed" else _NO_WORK.get(type(error).__name__, "failed")


def table_text() -> str:
    """The table as plain text: a line for each row, below a title for those with the same evidence."""
    parts = groupby(TABLE, key=lambda row: f"sent: {row.sent}; work began: {row.began}")
    lines: list[tuple[str, ...]] = [("", "outcome", "again", "row", "error")]
    for title, rows in parts:
        lines += [(title,), *map(_cells, rows)]
    widths = (60, 8, 5, 11, 0)
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cells(row: Decision) -> tuple[str, ...]:
    error = row.kind.__name__ if row.kind else ""
    return f"  {row.happened}{_statuses(row)}", row.outcome, "yes" if row.again else "no", row.row, error


def _statuses(row: Decision) -> str:
    whole = [
        hundred for hundred in range(100, 600, 100) if row.statuses.issuperset(range(hundred, hundred + 100))
    ]
    others = sorted(status for status in row.statuses if status // 100 * 100 not in whole)
    words = [f"{hundred // 100}xx" for hundred in whole] + [str(status) for status in others]
    end = " with Retry-After" if row.with_retry_after else ""
    return f" ({', '.join(words)}{end})" if words else ""


__doc__ = f"{__doc__}\n{indent(table_text(), '    ', bool)}\n"
