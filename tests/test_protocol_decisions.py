"""The table that says what becomes of a call and of its row in a dataset: every row, every status, every error."""

from __future__ import annotations

import inspect
import pydoc
from dataclasses import replace
from typing import get_args

import pytest

from comet_magic import errors
from comet_magic.protocol import decisions
from comet_magic.protocol.decisions import (
    ENDS_RUN,
    TABLE,
    CallStatus,
    Decision,
    RowStatus,
    call_status,
    decide,
    row_after,
    row_status,
    table_text,
)

BY_NAME = {name: row for name, row in vars(decisions).items() if isinstance(row, Decision)}
NAMES = [next(name for name, other in BY_NAME.items() if other is row) for row in TABLE]
CODES = {code: row for row in TABLE for code in row.codes}
HEADERS = ({}, {"retry-after": "1"}, {"x-should-retry": "true"}, {"x-should-retry": "false"})
each_row = pytest.mark.parametrize("row", TABLE, ids=NAMES)


@each_row
def test_a_request_is_sent_again_only_where_no_work_began(row: Decision) -> None:
    assert not row.again or row.began == "no"


@each_row
def test_the_money_follows_from_what_was_sent_and_what_began(row: Decision) -> None:
    outcomes = {
        ("no", "no"): "not_sent",
        ("partly", "no"): "not_sent",
        ("yes", "no"): "rejected",
        ("yes", "perhaps"): "unknown",
        ("yes", "yes"): "billed",
    }
    assert row.outcome == outcomes[row.sent, row.began]


@each_row
def test_a_row_is_uncertain_where_the_money_is_and_open_only_where_no_work_began(row: Decision) -> None:
    assert (row.row == "unknown") == (row.outcome == "unknown")
    assert row.row not in ("open", "over_budget", "cancelled") or row.began == "no"
    assert not row.ends_run or row.row == "open"


@each_row
def test_the_error_of_a_row_says_what_the_row_says(row: Decision) -> None:
    error = row.error("so it was", request_id="req_1")

    assert type(error) is (row.kind or errors.CometError)
    assert (error.outcome, error.retryable, error.hint) == (row.outcome, row.again, row.hint)
    assert (str(error), error.request_id) == ("so it was", "req_1")


def test_the_own_outcome_of_an_error_is_that_of_one_of_its_rows() -> None:
    for kind in {row.kind for row in TABLE} - {None}:
        assert kind.outcome in {row.outcome for row in TABLE if row.kind is kind}


def test_every_row_is_in_the_table_once() -> None:
    assert sorted(NAMES) == sorted(BY_NAME)
    assert len(set(TABLE)) == len(TABLE)


def test_every_public_error_is_in_the_table() -> None:
    named = inspect.getmembers(errors, inspect.isclass)
    kinds = {kind for name, kind in named if issubclass(kind, Exception) and not name.startswith("_")}
    assert {row.kind for row in TABLE} - {None} == kinds - {errors.CometError, errors.APIStatusError}


def test_an_error_of_one_class_leaves_a_row_in_one_status() -> None:
    rows: dict[tuple[object, bool], set[tuple[str, bool]]] = {}
    for row in TABLE:
        rows.setdefault((row.kind, row.began == "no"), set()).add((row.row, row.ends_run))
    assert all(len(found) == 1 or key[0] is errors.AmbiguousError for key, found in rows.items())


def test_no_status_and_no_code_means_two_things() -> None:
    assert len(CODES) == sum(len(row.codes) for row in TABLE)
    for status in range(100, 600):
        rows = [row for row in TABLE if status in row.statuses]
        assert rows in ([], rows[:1]) or rows[1:] == [decisions.BAD_REQUEST]


@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_every_status_has_a_row(headers: dict[str, str]) -> None:
    vouched = headers.get("x-should-retry")
    for status in [*range(100, 600), 999]:
        row = decide(status, headers)

        assert row.kind is not None
        assert not row.again or row.began == "no"
        if 200 <= status < 300:
            assert (row.outcome, row.again) == ("unknown", False)
        elif vouched is not None:
            assert row.again is (vouched == "true")
        else:
            assert row in TABLE


NO_WORK = {*range(300, 500), 521, 523, 525, 526}
AGAIN = {408, 425, 429, 521, 523, 525, 526}


@pytest.mark.parametrize(
    ("headers", "no_work", "again"),
    [({}, NO_WORK, AGAIN), ({"retry-after": "1"}, NO_WORK | {503, 529}, AGAIN | {503, 529})],
)
def test_only_a_status_that_says_so_means_that_no_work_began(
    headers: dict[str, str], no_work: set[int], again: set[int]
) -> None:
    rows = {status: decide(status, headers) for status in range(100, 600)}

    assert {status for status, row in rows.items() if row.began == "no"} == no_work
    assert {status for status, row in rows.items() if row.again} == again


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_bare_fault_of_the_server_is_unknown(status: int) -> None:
    assert decide(status, {}) is decisions.FAULT


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 999])
@pytest.mark.parametrize("code", CODES)
def test_a_code_is_stronger_than_a_status_and_means_that_no_work_began(code: str, status: int) -> None:
    assert decide(status, {}, [code]) is CODES[code]
    assert CODES[code].began == "no"


@pytest.mark.parametrize("code", CODES)
def test_inside_an_answer_of_success_only_moderation_and_an_empty_account_are_a_refusal(code: str) -> None:
    row = decide(200, {"x-should-retry": "true"}, [code])

    assert (row.kind, row.again) == (CODES[code].kind, False)
    if CODES[code] in (decisions.QUOTA, decisions.POLICY):
        assert (row.outcome, row.row) == ("rejected", CODES[code].row)
    else:
        assert (row.outcome, row.row) == ("unknown", "unknown")


@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_counts_work_is_billed_whatever_it_says(status: int) -> None:
    row = decide(status, {"x-should-retry": "true"}, ["moderation_blocked"], worked=True)
    assert (row.kind, row.outcome, row.again) == (decisions.POLICY.kind, "billed", False)


def test_a_server_can_only_open_what_was_uncertain() -> None:
    assert decide(500, {"x-should-retry": "true"}) is decisions.SAYS_RETRY
    assert decide(400, {"x-should-retry": "true"}) == replace(decisions.BAD_REQUEST, again=True)
    assert decide(429, {"x-should-retry": "false"}) == replace(decisions.RATE_LIMIT, again=False)


# What a person sees


@pytest.mark.parametrize(
    ("state", "error", "picture", "status", "row"),
    [
        ("claimed", None, False, "open", "open"),
        ("received", None, False, "open", "open"),
        ("done", None, True, "done", "done"),
        ("done", "DownloadError", False, "failed", "failed"),
        ("done", "SaveError", False, "failed", "failed"),
        ("done", None, False, "failed", "failed"),
        ("unknown", "AmbiguousError", False, "unknown", "unknown"),
        ("unknown", None, False, "unknown", "unknown"),
        ("rejected", "ContentPolicyError", False, "refused", "refused"),
        ("rejected", "BadRequestError", False, "failed", "failed"),
        ("rejected", "NotFoundError", False, "failed", "failed"),
        ("rejected", "APIConnectionError", False, "failed", "open"),
        ("rejected", "APITimeoutError", False, "failed", "open"),
        ("rejected", "ServerError", False, "failed", "open"),
        ("rejected", "RateLimitError", False, "failed", "open"),
        ("rejected", "QuotaError", False, "failed", "open"),
        ("rejected", None, False, "failed", "failed"),
        ("rejected", "NoSuchError", False, "failed", "failed"),
        ("cancelled", None, False, "cancelled", "cancelled"),
    ],
)
def test_a_state_and_an_error_say_what_a_person_sees(
    state: str, error: str | None, picture: bool, status: CallStatus, row: RowStatus
) -> None:
    assert call_status(state, error, picture=picture) == status
    assert row_status(status, error) == row


@each_row
def test_a_call_of_the_ledger_leaves_its_row_as_the_table_says(row: Decision) -> None:
    ends = {"not_sent": "rejected", "rejected": "rejected", "unknown": "unknown", "billed": "done"}
    state = "cancelled" if row is decisions.STOPPED else ends[row.outcome]
    error = row.kind.__name__ if row.kind else None
    status = call_status(state, error, picture=row is decisions.DONE)

    assert status in get_args(CallStatus)
    assert row_status(status, error) == row.row
    assert row.kind is None or row_after(row.error("so it was")) == row.row


def test_what_ends_a_run_is_about_the_key_the_account_or_a_setting() -> None:
    assert {
        *("ConfigurationError", "MissingKeyError", "AuthenticationError", "PermissionDeniedError"),
        *("QuotaError", "RateLimitError"),
    } == ENDS_RUN


# For people


def test_the_table_is_printed_by_help() -> None:
    printed = pydoc.plain(pydoc.render_doc(decisions))
    assert all(line in printed for line in table_text().splitlines())
    assert decisions.__name__ in (errors.__doc__ or "")


def test_the_printed_table_has_a_line_for_each_row() -> None:
    lines = table_text().splitlines()
    assert sum(line.startswith("  ") for line in lines[1:]) == len(TABLE)
    assert max(map(len, lines)) <= 116
