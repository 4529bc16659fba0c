"""Which failed attempts may be sent again, after how long, and as which error the others end."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic import errors
from comet_magic.protocol import (
    Retries,
    RetryBudget,
    RetryPolicy,
    RetryVerdict,
    backoff,
    decisions,
    refusal_of,
    retry_after,
)

NOW = 1_795_348_800.0


def envelope(
    code: str = "", kind: str = "comet_api_error", message: str = "no (request id: 2026ABCdef)"
) -> bytes:
    return b'{"error": {"message": "%s", "type": "%s", "param": "size", "code": "%s"}}' % (
        message.encode(),
        kind.encode(),
        code.encode(),
    )


def after(
    error: errors.CometError, policy: RetryPolicy | None = None, *, left: float = 600.0, jitter: float = 0.0
) -> RetryVerdict:
    """What follows the first failure of a call."""
    return Retries(policy or RetryPolicy(), RetryBudget()).after(error, left=left, jitter=jitter)


def limited(asked: float | None = None) -> errors.CometError:
    """A limit of rate, with the wait that the server asks for."""
    return refusal_of(429, {}, b"").with_facts(retry_after=asked)


def verdict_of(
    status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[str, bool, str]:
    """Class, whether it is sent again, outcome."""
    error = refusal_of(status, headers or {}, body)
    return type(error).__name__, after(error).delay is not None, error.outcome


@pytest.mark.parametrize("status", [408, 425, 429, 521, 523, 525, 526])
def test_a_status_that_says_no_work_was_started_is_sent_again(status: int) -> None:
    assert verdict_of(status)[1:] == (True, "rejected")


@pytest.mark.parametrize("status", [503, 529])
def test_an_overload_is_sent_again_only_where_the_server_asks_for_it(status: int) -> None:
    assert verdict_of(status, {"retry-after": "1"}) == ("ServerError", True, "rejected")
    assert verdict_of(status) == ("AmbiguousError", False, "unknown")


@pytest.mark.parametrize("status", [500, 502, 504, 520, 522, 524, 527, 599, 999])
def test_a_fault_that_may_come_after_the_work_is_never_sent_again(status: int) -> None:
    assert verdict_of(status) == ("AmbiguousError", False, "unknown")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (402, "QuotaError"),
        (403, "PermissionDeniedError"),
        (404, "BadRequestError"),
        (405, "BadRequestError"),
        (409, "BadRequestError"),
        (413, "BadRequestError"),
        (415, "BadRequestError"),
        (422, "BadRequestError"),
        (451, "BadRequestError"),
        (301, "BadRequestError"),
        (307, "BadRequestError"),
    ],
)
def test_a_refusal_is_final(status: int, name: str) -> None:
    assert verdict_of(status) == (name, False, "rejected")


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (500, "invalid_request", "BadRequestError"),
        (503, "model_not_found", "NotFoundError"),
        (404, "model_not_found", "NotFoundError"),
        (429, "insufficient_quota", "QuotaError"),
        (429, "credit_balance_exhausted", "QuotaError"),
        (403, "insufficient_user_quota", "QuotaError"),
        (400, "billing_hard_limit_reached", "QuotaError"),
        (400, "moderation_blocked", "ContentPolicyError"),
        (400, "content_policy_violation", "ContentPolicyError"),
        (400, "unknown_parameter", "BadRequestError"),
        (500, "convert_request_failed", "BadRequestError"),
        (401, "invalid_api_key", "AuthenticationError"),
    ],
)
def test_the_code_decides_before_the_status(status: int, code: str, name: str) -> None:
    found, again, outcome = verdict_of(status, body=envelope(code))
    assert (found, again, outcome) == (name, False, "rejected")


def test_a_users_mistake_that_a_gateway_passes_on_as_500_is_a_bad_request() -> None:
    body = envelope("", "image_generation_user_error", "Transparent background is not supported")
    assert verdict_of(500, body=body) == ("BadRequestError", False, "rejected")


@pytest.mark.parametrize("word", ["true", "TRUE", " True "])
@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_vouches_is_sent_to_again(status: int, word: str) -> None:
    assert verdict_of(status, {"x-should-retry": word})[1:] == (True, "rejected")


def test_a_server_that_says_no_is_not_sent_to_again() -> None:
    assert verdict_of(429, {"x-should-retry": "false"})[1] is False


def test_an_error_envelope_inside_a_200_leaves_the_bill_open() -> None:
    error = refusal_of(200, {}, envelope("server_error", "server_error"))
    assert isinstance(error, errors.ServerError)
    assert error.outcome == "unknown"
    assert after(error).delay is None


def test_a_refusal_carries_the_servers_own_words_and_ids() -> None:
    error = refusal_of(400, {"x-request-id": "req_1"}, envelope("invalid_value"))
    assert (error.code, error.param, error.request_id, error.status_code) == (
        "invalid_value",
        "size",
        "req_1",
        400,
    )
    assert refusal_of(400, {}, envelope()).request_id == "2026ABCdef"


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"[" * 100_000, b'{"error": 5}', b'{"error": "so"}', b"\xff\xfe", b"null"]
)
def test_a_body_of_any_shape_becomes_an_error(body: bytes) -> None:
    assert isinstance(refusal_of(400, {}, body), errors.BadRequestError)


def test_a_web_page_is_named_and_not_repeated() -> None:
    page = b"<html><head><title>Just a moment</title></head><body>" + b"x" * 5000
    error = refusal_of(403, {"content-type": "text/html"}, page)
    assert "Just a moment" in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("status", [301, 404])
def test_a_wrong_address_gets_the_hint_about_the_base_url(status: int) -> None:
    assert "/v1" in refusal_of(status, {"content-type": "text/html"}, b"<html>").hint


def test_a_connection_that_never_was_is_tried_again_and_a_refused_certificate_is_not() -> None:
    assert after(decisions.NO_CONNECTION.error("no")).delay == 0.5
    assert after(decisions.NOT_WHOLE.error("no")).delay == 0.5
    assert after(decisions.NO_TRUST.error("no")).delay is None


@pytest.mark.parametrize("row", [row for row in decisions.TABLE if not row.again])
def test_only_what_the_table_lets_pass_is_sent_again(row: decisions.Decision) -> None:
    patient = RetryPolicy(max_attempts=10, free_rate_limits=True)
    assert after(row.error("no"), patient).delay is None


def test_attempts_are_limited_and_counted() -> None:
    retries = Retries(RetryPolicy(max_attempts=3), RetryBudget())
    found = [retries.after(limited(), left=600.0, jitter=0.0).delay for _ in range(3)]

    assert found == [0.5, 1.0, None]
    assert retries.attempts == 3


def test_the_servers_hint_is_a_floor_for_the_wait() -> None:
    assert after(limited(7.0)).delay == 7.0
    assert after(limited(0.1)).delay == 0.5


def test_a_long_wait_ends_at_once_and_is_told() -> None:
    verdict = after(limited(3600.0))
    assert verdict.delay is None
    assert "60 min" in verdict.hint


def test_a_decision_changes_nothing_about_the_error() -> None:
    error = limited(3600.0)
    before = dict(vars(error))
    after(error)
    assert vars(error) == before


def test_a_pipeline_waits_longer() -> None:
    assert after(limited(300.0), RetryPolicy(patience=600.0, free_rate_limits=True)).delay == 300.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True), "date": formatdate(NOW + 20, usegmt=True)}, 10.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-0.5"}, None),
        ({"retry-after": formatdate(NOW, usegmt=True)}, None),
        ({"retry-after": formatdate(NOW + 1, usegmt=True)}, 1.0),
        ({"retry-after": "Mon, 1 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "1e999"}, float("inf")),
        ({"retry-after": "Wed, 99 Foo 2026 99:99:99 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds


@given(st.text(), st.text(), st.text())
def test_any_retry_after_is_a_wait_or_nothing(ms: str, seconds: str, date: str) -> None:
    found = retry_after({"retry-after-ms": ms, "retry-after": seconds, "date": date}, now=NOW)
    assert found is None or found >= 0


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.01, 10))
def test_a_backoff_doubles_within_bounds(number: int, jitter: float, base: float) -> None:
    delay = backoff(number, base=base, jitter=jitter)
    assert 0.75 * min(8.0, base) <= delay <= 8.0
    assert backoff(1, base=0.5, jitter=0.0) * 2 == backoff(2, base=0.5, jitter=0.0)


def test_an_outage_cannot_multiply_the_load() -> None:
    budget = RetryBudget()
    assert [budget.take() for _ in range(21)].count(True) == 20
    for _ in range(5):
        budget.succeeded()
    assert budget.take()
    assert not budget.take()


@pytest.mark.parametrize(("asked", "again"), [(60.0, True), (60.5, False), (0.0, True), (None, True)])
def test_a_wait_up_to_the_policys_patience_is_waited(asked: float | None, again: bool) -> None:
    assert (after(limited(asked)).delay is not None) is again


@pytest.mark.parametrize(("left", "again"), [(7.0, False), (7.1, True)])
def test_no_wait_goes_past_the_deadline(left: float, again: bool) -> None:
    assert (after(limited(7.0), left=left).delay is not None) is again


@pytest.mark.parametrize(("waits", "again"), [((60.0, 60.0), True), ((60.0, 53.5, 7.0), False)])
def test_the_waits_of_a_call_have_a_limit_together(waits: tuple[float, ...], again: bool) -> None:
    retries = Retries(RetryPolicy(max_attempts=10), RetryBudget())
    found = [retries.after(limited(asked), left=600.0, jitter=0.0).delay for asked in waits]
    assert found[:-1] == list(waits[:-1])
    assert (found[-1] is not None) is again


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (599.0, "wait 599 s;"),
        (600.0, "wait 10 min;"),
        (365 * 86_400.0, "wait 525600 min;"),
        (365.5 * 86_400.0, "wait without end;"),
        (1e308, "wait without end;"),
        (float("inf"), "wait without end;"),
    ],
)
def test_a_wait_is_told_in_words_of_its_length(asked: float, told: str) -> None:
    assert told in after(limited(asked)).hint


def test_a_date_between_two_seconds_is_a_part_of_one() -> None:
    headers = {"retry-after": formatdate(NOW, usegmt=True)}
    assert retry_after(headers, now=NOW - 0.5) == 0.5
    assert retry_after(headers, now=NOW + 0.5) is None


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize(
    "form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]
)
def test_a_date_means_the_same_in_every_form_and_at_every_place(
    zone: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    found = retry_after({"retry-after": time.strftime(form, time.gmtime(NOW + 30))}, now=NOW)
    monkeypatch.undo()
    time.tzset()
    assert found == 30.0


def test_a_patient_policy_waits_out_limits_of_rate_at_no_cost() -> None:
    """Neither an attempt, nor a token, nor the time of the call."""
    retries = Retries(RetryPolicy(max_attempts=1, patience=600.0, free_rate_limits=True), RetryBudget())
    for _ in range(30):
        assert retries.after(limited(1.0), left=0.0, jitter=0.0).free
    assert retries.after(refusal_of(408, {}, b""), left=600.0, jitter=0.0) == RetryVerdict(None)


def test_others_cost_an_attempt_and_a_token() -> None:
    budget = RetryBudget()
    for _ in range(20):
        verdict = Retries(RetryPolicy(), budget).after(refusal_of(408, {}, b""), left=600.0, jitter=0.0)
        assert (verdict.delay, verdict.free) == (0.5, False)
    assert (
        Retries(RetryPolicy(), budget).after(refusal_of(408, {}, b""), left=600.0, jitter=0.0).delay is None
    )


def test_what_is_not_sent_again_costs_no_token() -> None:
    budget = RetryBudget()
    for _ in range(30):
        Retries(RetryPolicy(max_attempts=1), budget).after(limited(), left=600.0, jitter=0.0)
        Retries(RetryPolicy(), budget).after(limited(7.0), left=1.0, jitter=0.0)
    assert [budget.take() for _ in range(21)] == [True] * 20 + [False]


def test_an_empty_bucket_says_no() -> None:
    budget = RetryBudget()
    assert [budget.take() for _ in range(21)] == [True] * 20 + [False]
