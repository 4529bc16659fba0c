"""What a server's refusal becomes: the class, the words, the hint and the ids, at every border."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comet_magic import errors
from comet_magic.protocol import refusal_of, request_id_of
from comet_magic.protocol.decisions import BASE_URL_HINT, EDGE_TIMEOUT
from comet_magic.protocol.refusal import prose

CODES = {
    "insufficient_quota": errors.QuotaError,
    "insufficient_user_quota": errors.QuotaError,
    "credit_balance_exhausted": errors.QuotaError,
    "organization_spend_limit_exceeded": errors.QuotaError,
    "project_spend_limit_exceeded": errors.QuotaError,
    "organization_usage_limit_exceeded": errors.QuotaError,
    "billing_hard_limit_reached": errors.QuotaError,
    "moderation_blocked": errors.ContentPolicyError,
    "content_policy_violation": errors.ContentPolicyError,
    "rate_limit_exceeded": errors.RateLimitError,
    "slow_down": errors.RateLimitError,
    "rate_limit_error": errors.RateLimitError,
    "invalid_api_key": errors.AuthenticationError,
    "permission_denied": errors.PermissionDeniedError,
    "model_not_found": errors.NotFoundError,
    "invalid_request": errors.BadRequestError,
    "invalid_value": errors.BadRequestError,
    "invalid_request_error": errors.BadRequestError,
    "unknown_parameter": errors.BadRequestError,
    "missing_required_parameter": errors.BadRequestError,
    "invalid_image_file": errors.BadRequestError,
    "image_generation_user_error": errors.BadRequestError,
    "convert_request_failed": errors.BadRequestError,
}


def answered(status: int, document: Any = None, **headers: str) -> errors.CometError:
    """The error of an answer with a document in its body."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal_of(status, names, b"" if document is None else json.dumps(document).encode())


def envelope(**members: Any) -> dict[str, Any]:
    return {"error": {"message": "no", **members}}


@pytest.mark.parametrize("member", ["code", "type"])
@pytest.mark.parametrize("word", CODES)
def test_a_word_that_is_known_decides_whatever_the_status(word: str, member: str) -> None:
    assert type(answered(500, envelope(**{member: word}))) is CODES[word]


def test_the_code_is_stronger_than_the_type() -> None:
    assert isinstance(
        answered(400, envelope(code="insufficient_quota", type="invalid_request_error")), errors.QuotaError
    )


@pytest.mark.parametrize(
    ("status", "kind", "beginning"),
    [
        (199, errors.AmbiguousError, "the server answered 199: "),
        (200, errors.ServerError, "the server reported an error in its answer: "),
        (299, errors.ServerError, "the server reported an error in its answer: "),
        (300, errors.BadRequestError, "the server answered 300: "),
        (499, errors.BadRequestError, "the server answered 499: "),
        (500, errors.AmbiguousError, "the server answered 500: "),
    ],
)
def test_the_borders_between_the_kinds_of_status(
    status: int, kind: type[errors.CometError], beginning: str
) -> None:
    error = answered(status, envelope())

    assert type(error) is kind
    assert str(error) == f"{beginning}no"


@pytest.mark.parametrize(
    ("status", "outcome"), [(199, "rejected"), (200, "unknown"), (299, "unknown"), (300, "rejected")]
)
def test_a_refusal_inside_an_answer_of_success_leaves_the_bill_open(status: int, outcome: str) -> None:
    assert answered(status, envelope(code="invalid_value")).outcome == outcome


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (500, {"retry_after": "1"}, errors.AmbiguousError),
        (503, {"retry_after": ""}, errors.AmbiguousError),
        (500, {"x_should_retry": "true"}, errors.ServerError),
        (500, {"x_should_retry": "false"}, errors.AmbiguousError),
    ],
)
def test_only_the_servers_own_word_makes_a_fault_one_without_work(
    status: int, headers: dict[str, str], kind: type[errors.CometError]
) -> None:
    assert type(answered(status, envelope(), **headers)) is kind


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "Check the key: %cometimg_status, or python -m comet_magic doctor, shows where it came from."),
        (402, "Top up the account or raise its limit, then run it again."),
        (403, "The key, the account or a firewall forbids this request."),
        (429, "Wait a little, or lower max_in_flight."),
        (523, ""),
        (524, EDGE_TIMEOUT),
        (525, ""),
    ],
)
def test_a_status_has_its_hint(status: int, hint: str) -> None:
    assert "about 100 s" in EDGE_TIMEOUT
    assert answered(status, envelope()).hint == hint


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (
            "moderation_blocked",
            "Change the prompt; the same one will be refused again.",
        ),
        ("model_not_found", "%cometimg_models lists the models."),
        ("invalid_value", ""),
    ],
)
def test_a_code_has_its_hint(code: str, hint: str) -> None:
    assert answered(404, envelope(code=code)).hint == hint


@pytest.mark.parametrize("status", [300, 301, 399, 404, 405])
def test_a_page_where_the_api_should_be_asks_about_the_base_url(status: int) -> None:
    assert answered(status).hint == BASE_URL_HINT
    assert "usually ends in /v1" in BASE_URL_HINT
    assert answered(status, envelope()).hint == ""


@pytest.mark.parametrize("status", [299, 400, 403, 406])
def test_a_page_that_may_come_from_the_api_does_not(status: int) -> None:
    assert answered(status).hint != BASE_URL_HINT


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"error": {"message": "the size\n is  wrong"}}, "the size is wrong"),
        ({"error": "the size is wrong"}, "the size is wrong"),
        ({"message": "the size is wrong"}, "the size is wrong"),
        ({"message": 5}, '{"message": 5}'),
        ({"error": {"message": 5}}, '{"error": {"message": 5}}'),
        ({"error": None}, '{"error": null}'),
        ([1], "[1]"),
        (None, "no text"),
    ],
)
def test_what_the_server_says_is_repeated_wherever_it_stands(document: Any, said: str) -> None:
    assert str(answered(400, document)) == f"the server answered 400: {said}"


def test_a_document_that_is_its_own_envelope_gives_its_code_too() -> None:
    error = answered(400, {"message": "no", "code": "insufficient_quota", "param": "size"})
    assert (type(error), error.code, error.param) == (errors.QuotaError, "insufficient_quota", "size")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a", "a"),
        (40013, "40013"),
        ("", None),
        (None, None),
        ({"a": 1}, None),
        (["a"], None),
        ("x" * 101, "x" * 99 + "…"),
        ("x" * 100, "x" * 100),
    ],
)
def test_codes_and_names_of_parameters_are_short_words_or_nothing(given: Any, kept: str | None) -> None:
    error = answered(400, envelope(code=given, param=given))
    assert (error.code, error.param) == (kept, kept)


def test_words_of_any_length_become_a_short_sentence() -> None:
    error = answered(400, {"error": "a" * 301})
    assert str(error) == "the server answered 400: " + "a" * 299 + "…"
    assert str(answered(400, {"error": "a" * 300})).endswith("a" * 300)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html><title> Just\n a moment </title><p>x", "a web page instead of an answer: Just a moment"),
        (" <TITLE class='a'>Bad gateway</TITLE>", "a web page instead of an answer: Bad gateway"),
        ("<html><b>bad</b>gateway", "a web page instead of an answer: bad gateway"),
        ("<title></title><p>bad", "a web page instead of an answer: bad"),
        ("  upstream <gone>  ", "upstream <gone>"),
        ("  ", "no text"),
        ("\ufffd", "\ufffd"),
        ("a" * 5000, "a" * 4096),
    ],
)
def test_a_body_that_is_no_json_says_its_title_or_its_text(text: str, said: str) -> None:
    assert prose(text) == said


@pytest.mark.parametrize(
    ("headers", "message", "found"),
    [
        ({"x-request-id": "a", "x-oneapi-request-id": "b"}, "(request id: 20261122)", "a"),
        ({"x-oneapi-request-id": "b"}, "", "b"),
        ({"x-request-id": ""}, "no (Request ID:20261122)", "20261122"),
        ({}, "no (request id: 123)", None),
        ({"x-request-id": "x" * 101}, "", "x" * 99 + "…"),
        ({"x-request-id": "x" * 100}, "", "x" * 100),
        ({}, "", None),
    ],
)
def test_the_id_of_a_request_is_found_where_gateways_put_it(
    headers: dict[str, str], message: str, found: str | None
) -> None:
    assert request_id_of(headers, message) == found


def test_an_answer_without_an_id_has_none() -> None:
    assert answered(400, {"error": {"message": 5}}).request_id is None
    assert request_id_of({}) is None


def test_a_refused_prompt_is_not_called_free() -> None:
    refused, wrong = (answered(400, envelope(code=code)) for code in ("moderation_blocked", "invalid_value"))

    assert refused.lines()[-2] == "The server refused it; some providers bill that, so it may be billed."
    assert "nothing should be billed" in wrong.lines()[-2]
