"""What a server says and sends is found wherever it stands: refusals, pictures, addresses and streams of any shape."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comet_magic import errors
from comet_magic.protocol import Reply, read_answer, refusal_of
from comet_magic.text import Secret

if TYPE_CHECKING:
    from collections.abc import Callable


def picture(kind: str = "PNG", **facts: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((16, 16), 90).save(out, kind, **facts)
    return out.getvalue()


PNG, JPEG, WEBP = map(picture, ("PNG", "JPEG", "WEBP"))
SMALL = io.BytesIO()
Image.new("1", (1, 1)).save(SMALL, "PNG")
TINY = SMALL.getvalue()
ADDRESS = "https://cdn.example.com/a/0.png?sig=x%2By&t=1"


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


B64 = coded(PNG)


def read(body: Any, *, cut: int = 0, **facts: Any) -> Reply:
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)] if cut else [whole]
    return read_answer(pieces, **{"largest": 1 << 26, "largest_picture": 1 << 22, **facts})


def refused(status: int, body: Any, **headers: str) -> errors.CometError:
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal_of(status, {name.replace("_", "-"): value for name, value in headers.items()}, whole)


def failed(body: Any, **facts: Any) -> errors.CometError:
    with pytest.raises(errors.CometError) as caught:
        read(body, **facts)
    return caught.value


# ── What the server said ───────────────────────────────────────────────────────────────────────────

WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "error": lambda error: {"error": error},
    "top level": lambda error: error,
    "list": lambda error: [{"error": error}],
    "errors": lambda error: {"errors": [error]},
    "json in message": lambda error: {
        "error": {"message": json.dumps({"error": error}), "code": "bad_status"}
    },
    "json behind words": lambda error: {"message": f"upstream 400: {json.dumps({'error': error})}"},
    "json in json": lambda error: {"error": {"message": json.dumps({"message": json.dumps(error)})}},
    "json text": lambda error: json.dumps({"error": error}),
    "inner error": lambda error: {"error": {"message": "", "innererror": error}},
    "inner_error": lambda error: {"error": {"code": None, "inner_error": error}},
    "data of entries": lambda error: {"created": 1, "data": [{"error": error}]},
    "success false": lambda error: {"success": False, **error},
    "frame": lambda error: f"event: error\ndata: {json.dumps({'error': error})}\n\n".encode(),
    "data-only frame": lambda error: f"data: {json.dumps({'error': error})}\n\ndata: [DONE]\n\n".encode(),
    "comments first": lambda error: f": keepalive\n\n{json.dumps({'error': error})}\n".encode(),
    "heartbeats first": lambda error: b" \n" * 4000 + json.dumps({"error": error}).encode(),
    "several documents": lambda error: b'{"progress": 1}\n' + json.dumps({"error": error}).encode(),
    "text before": lambda error: b"upstream said " + json.dumps({"error": error}).encode(),
    "packed": lambda error: gzip.compress(json.dumps({"error": error}).encode()),
}
MODERATION = [
    {"code": "moderation_blocked", "message": "blocked"},
    {"code": "contentFilter", "message": "Your task failed as a result of our safety system."},
    {"code": "content_filter", "message": "The response was filtered."},
    {"code": "ResponsibleAIPolicyViolation", "message": "no"},
    {"code": "OutputImageSensitiveContentDetected", "message": "The request failed."},
    {"code": "InputTextSensitiveContentDetected.PolicyViolation", "message": "no"},
    {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
    {"code": "DataInspectionFailed", "message": "no"},
    {"code": "sensitive_words_detected", "message": "no"},
    {"code": "400", "message": "Generated image rejected by content moderation."},
    {"code": "bad_response_status_code", "message": "Request was rejected as a result of our safety system."},
    {"code": "invalid_request_error", "message": "Your prompt may violate our usage policies."},
    {"code": 1301, "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"},
    {"code": 1301, "message": "内容安全审核未通过"},
    {"code": "PROHIBITED_CONTENT", "message": "no image"},
    {"code": "x", "message": "The prompt was flagged as unsafe by the provider."},
]
EMPTY = [
    {"code": "insufficient_quota", "message": "You exceeded your current quota"},
    {"code": "1113", "message": "余额不足或无可用资源包,请充值。"},
    {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
    {"code": "AccountOverdueError", "message": "no"},
    {"code": "InsufficientBalance", "message": "no"},
    {"code": "billing_error", "message": "no"},
    {"code": "x", "message": "Insufficient account balance"},
    {"code": "x", "message": "balance not enough"},
    {
        "code": "x",
        "message": "Your team has used all available credits or reached its monthly spending limit.",
    },
    {"code": "x", "message": "Your credit balance is too low"},
    {"code": "x", "message": "Please recharge your account"},
    {"code": "x", "message": "top up to go on"},
    {"code": "x", "message": "The account has bills overdue"},
    {"code": "rate_limit_error", "message": "Account balance: 0, please top-up"},
    {"code": "x", "message": "账户已欠费"},
    {"code": "x", "message": "用户额度不足, 剩余额度: $0.00"},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize(("said", "kind"), [(MODERATION[0], "ContentPolicyError"), (EMPTY[0], "QuotaError")])
def test_an_error_is_found_in_every_way_to_write_it(
    way: str, status: int, said: dict[str, Any], kind: str
) -> None:
    body = WAYS[way](said)
    if isinstance(body, dict) and status == 200 and way == "inner error":
        body["error"]["message"] = "failed"
    error = failed(body) if status == 200 else refused(status, body)

    assert (type(error).__name__, error.outcome, error.retryable) == (kind, "rejected", False)
    assert str(error).endswith(
        f": {said['message']}" if way != "inner error" or status != 200 else ": failed"
    )
    assert error.code == said["code"]


@pytest.mark.parametrize("status", [200, 400, 422, 451, 500, 502])
@pytest.mark.parametrize("said", MODERATION, ids=lambda said: f"{said['code']}")
def test_moderation_is_a_refusal_at_any_status(status: int, said: dict[str, Any]) -> None:
    error = failed({"error": said}) if status == 200 else refused(status, {"error": said})
    assert (type(error), error.outcome) == (errors.ContentPolicyError, "rejected")


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500, 503])
@pytest.mark.parametrize("said", EMPTY, ids=lambda said: f"{said['code']}: {said['message'][:12]}")
def test_an_empty_account_is_known_by_code_and_words_at_any_status(status: int, said: dict[str, Any]) -> None:
    error = failed({"error": said}) if status == 200 else refused(status, {"error": said})
    assert (type(error), error.outcome, error.retryable) == (errors.QuotaError, "rejected", False)


@pytest.mark.parametrize("word", ["credit", "balance"])
def test_a_word_of_money_is_enough_where_nothing_speaks_of_a_rate(word: str) -> None:
    assert type(refused(429, {"error": {"message": f"Check your {word}."}})) is errors.QuotaError
    assert type(refused(400, {"error": {"message": f"Check your {word}."}})) is errors.BadRequestError
    limited = refused(429, {"error": {"message": f"Too many requests for your {word} tier"}})
    assert type(limited) is errors.RateLimitError


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Unknown parameter: 'moderation'."),
        (400, "Invalid value for moderation: 'x'. Supported values are: 'low' and 'auto'."),
        (400, "Parameter names are case-sensitive."),
        (400, "A ballerina in perfect balance is not a size."),
        (429, "You exceeded your current quota. Please retry in 2.5s."),
        (429, "Rate limit reached for images per min: Limit 5, Used 5. Please try again in 12s."),
        (500, "internal error"),
    ],
)
def test_other_words_are_not_taken_for_moderation_or_an_empty_account(status: int, message: str) -> None:
    error = refused(status, {"error": {"message": message}})
    assert not isinstance(error, (errors.ContentPolicyError, errors.QuotaError))


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"respect_moderation": False, "revised_prompt": ""}]},
        {"predictions": [{"raiFilteredReason": "Unable to show generated images. Support codes: 58061214"}]},
        {"candidates": [{"finishReason": "IMAGE_SAFETY", "content": {"parts": [{"text": "no"}]}}]},
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
        {"data": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": True}}}]},
        {"images": [], "has_nsfw_concepts": [True]},
        {"data": [{"finish_reason": "content_filter"}]},
    ],
)
def test_moderation_is_read_from_what_an_answer_of_success_marks(body: Any) -> None:
    error = failed(body)
    assert (type(error), error.outcome) == (errors.ContentPolicyError, "rejected")


def test_a_refusal_that_counts_work_is_billed() -> None:
    said = {"error": MODERATION[0], "usage": {"output_tokens": 196}}
    for error in (failed(said), refused(400, said), refused(500, said)):
        assert (error.outcome, error.usage) == ("billed", {"output_tokens": 196})
    none = {**said, "usage": {"output_tokens": 0, "generated_images": 0}}
    assert [(error.outcome, error.usage) for error in (failed(none), refused(400, none))] == [
        ("rejected", None)
    ] * 2


def test_a_refusal_with_a_picture_in_it_is_billed() -> None:
    said = {"error": MODERATION[0], "data": [{"b64_json": B64}]}
    assert refused(400, said).outcome == "billed"
    assert refused(400, {**said, "data": [{"b64_json": "QUJD" * 100}]}).outcome == "rejected"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"code": 20012, "message": "Model does not exist.", "data": None}, "Model does not exist."),
        ({"code": -1, "msg": "the queue is full", "data": None}, "the queue is full"),
        ({"success": False, "message": "the key was disabled"}, "the key was disabled"),
        ({"detail": "CUDA out of memory"}, "CUDA out of memory"),
        ({"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, "field required"),
        ({"status": "failed", "failure_reason": "the worker died"}, "the worker died"),
        ({"error": "upstream failed"}, "upstream failed"),
        ({"errors": ["first", "second"]}, "first"),
        ({"message": "no channel"}, "no channel"),
        ({"error": {"description": "later", "message": "first"}}, "first"),
    ],
)
def test_an_answer_of_success_without_pictures_gives_the_servers_own_words(body: Any, words: str) -> None:
    error = failed(body)
    assert str(error) == f"the server reported an error in its answer: {words}"
    assert (error.outcome, error.retryable) == ("unknown", False)
    assert "filtered" not in error.hint


@pytest.mark.parametrize("nothing", [False, "", None, {}, [], 0, "none", {"code": None, "message": ""}])
def test_an_error_member_without_content_is_none(nothing: Any) -> None:
    assert read({"error": nothing, "data": [{"b64_json": B64}]}).items[0].data == PNG
    assert type(failed({"error": nothing, "data": []})) is errors.BadResponseError


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "data": [{"status": "submitted", "task_id": "task_01K8"}]},
        {
            "created": 1,
            "id": "task_01K8",
            "object": "image.generation.task",
            "progress": 0,
            "status": "pending",
        },
        {"request_id": "4909", "output": {"task_id": "task_01K8", "task_status": "PENDING"}},
        {
            "code": 200,
            "message": "success",
            "data": {"id": "task_01K8", "status": "processing", "outputs": []},
        },
        {"id": "task_01K8", "polling_url": "https://api.example.com/v1/get_result?id=task_01K8"},
        {"id": "task_01K8", "status": "IN_PROGRESS", "urls": {"get": "https://api.example.com/p/task_01K8"}},
    ],
)
def test_a_task_is_called_one_with_its_id(body: Any) -> None:
    error = failed(body)
    assert type(error) is errors.BadResponseError
    assert "a task instead of pictures (task task_01K8" in str(error)
    assert "filtered" not in error.hint


@pytest.mark.parametrize(
    ("body", "filtered"),
    [
        ({"data": []}, True),
        ([], True),
        ({"data": {}}, False),
        ({"created": 1}, False),
        ({"data": ["x"]}, False),
    ],
)
def test_a_filter_is_guessed_only_from_an_empty_list_with_nothing_beside_it(
    body: Any, filtered: bool
) -> None:
    error = failed(body)
    assert type(error) is errors.BadResponseError
    assert ("often means that the prompt was filtered" in error.hint) is filtered
    assert filtered is ("an empty list" in str(error))


@pytest.mark.parametrize(
    ("member", "seconds"),
    [
        ({"retryDelay": "2.5s"}, 2.5),
        ({"retry_after": 3}, 3.0),
        ({"retryAfter": "3"}, 3.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"retry_after_seconds": 4.5}, 4.5),
        ({"retryDelay": {"seconds": 2, "nanos": 500_000_000}}, 2.5),
        ({"retryDelay": "1m30s"}, 90.0),
        ({"message": "Please try again in 12s."}, 12.0),
        ({"message": "Please retry after 500 ms"}, 0.5),
        ({"retry_after": -1}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": True}, None),
    ],
)
def test_a_time_to_wait_in_the_body_is_obeyed(member: dict[str, Any], seconds: float | None) -> None:
    error = refused(429, [{"error": {"message": "slow down", "details": [{"@type": "RetryInfo"}], **member}}])
    assert (type(error), error.retry_after, error.retryable) == (errors.RateLimitError, seconds, True)


def test_a_header_is_stronger_than_the_body_and_a_member_means_that_no_work_began() -> None:
    body = {"error": {"message": "busy", "retryDelay": "2s"}}
    assert refused(429, body, retry_after="7").retry_after == 7.0
    assert (refused(503, body).retryable, refused(503, {"error": {"message": "retry in 2s"}}).retryable) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    "headers",
    [
        *("x_request_id", "x_oneapi_request_id", "request_id", "apim_request_id", "x_ms_request_id"),
        *("x_tt_logid", "cf_ray"),
    ],
)
def test_the_id_of_a_request_is_found_in_any_common_header(headers: str) -> None:
    assert refused(400, {"error": "no"}, **{headers: "8f1-abc"}).request_id == "8f1-abc"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "bad (request id: 20260205SIHC)"}},
        {"error": {"message": "The request failed. Request id: 20260205SIHC."}},
        {"error": {"message": "bad", "code": "x"}, "request_id": "20260205SIHC"},
        {"error": {"message": "bad"}, "requestId": "20260205SIHC"},
        {"error": {"message": "bad", "request_id": "20260205SIHC"}},
        {"error": {"message": json.dumps({"message": "bad", "RequestId": "20260205SIHC"})}},
        b"bad gateway, request_id=20260205SIHC",
    ],
)
def test_the_id_of_a_request_is_found_in_any_spelling_of_the_body(body: Any) -> None:
    assert refused(400, body).request_id == "20260205SIHC"


# ── Pictures in hand ───────────────────────────────────────────────────────────────────────────────

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "unpadded": lambda text: text.rstrip("="),
    "url-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "percent": lambda text: text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "lines": lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
    "data uri": lambda text: f"data:image/png;base64,{text}",
    "capitals": lambda text: f"DATA:IMAGE/PNG;BASE64,{text}",
    "charset": lambda text: f"data:image/png;charset=utf-8;base64,{text}",
    "long prefix": lambda text: f"data:image/png;name={'a' * 140}.png;base64,{text}",
    "blanks around": lambda text: f" {text}\n",
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "contract": lambda one: {"created": 1, "data": [{"b64_json": one}]},
    "url": lambda one: {"data": [{"url": one}]},
    "both": lambda one: {"data": [{"b64_json": one, "url": ADDRESS}]},
    "b64": lambda one: {"data": [{"b64": one}]},
    "image_base64": lambda one: {"data": [{"image_base64": one}]},
    "nested data": lambda one: {"code": 0, "data": {"created": 1, "data": [{"b64_json": one}]}},
    "data as object": lambda one: {"data": {"b64_json": one}},
    "keyed object": lambda one: {"data": {"0": {"b64_json": one}}},
    "top-level list": lambda one: [{"b64_json": one}],
    "list of texts": lambda one: {"images": [one]},
    "images": lambda one: {"images": [{"url": one}], "timings": {"inference": 1.2}},
    "result": lambda one: {"result": {"image": one}, "success": True, "errors": []},
    "outputs": lambda one: {"id": "x", "status": "succeeded", "outputs": [one]},
    "artifacts": lambda one: {"artifacts": [{"base64": one, "finishReason": "SUCCESS"}]},
    "predictions": lambda one: {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": one}]},
    "parts": lambda one: {
        "candidates": [
            {"content": {"parts": [{"text": "here"}, {"inlineData": {"data": one}}]}, "finishReason": "STOP"}
        ]
    },
    "chat": lambda one: {"choices": [{"message": {"content": "", "images": [{"image_url": {"url": one}}]}}]},
    "string of json": lambda one: {"data": [{"b64_json": one, "extra": json.dumps({"a": 1})}]},
}


@pytest.mark.parametrize("data", [PNG, JPEG, WEBP, TINY], ids=["png", "jpeg", "webp", "tiny"])
@pytest.mark.parametrize("place", PLACES)
def test_inline_bytes_are_found_wherever_they_stand(place: str, data: bytes) -> None:
    spellings = SPELLINGS
    if place in ("url", "images", "chat", "list of texts", "outputs", "result", "parts") and data is TINY:
        # a text this short is a picture under a name for base64, or as a data: URI
        spellings = {"data uri": SPELLINGS["data uri"]}
    for spelling, spell in spellings.items():
        body = json.dumps(PLACES[place](spell(coded(data)))).encode()
        for cut in (0, 1, 7, 4096):
            assert [item.data for item in read(body, cut=cut).items] == [data], (spelling, cut)


@pytest.mark.parametrize("place", [place for place in PLACES if place != "both"])
def test_an_address_is_found_wherever_it_stands(place: str) -> None:
    assert [item.url for item in read(PLACES[place](ADDRESS)).items] == [ADDRESS]


@pytest.mark.parametrize(
    "body",
    [
        [ADDRESS],
        {"data": [ADDRESS]},
        {"data": [{"url": [ADDRESS]}]},
        {"data": [{"image_url": {"url": ADDRESS}}]},
        {"output": {"results": [{"url": ADDRESS}], "task_status": "SUCCEEDED"}},
        {"output": {"choices": [{"message": {"content": [{"image": ADDRESS}]}}]}},
        {"id": "p", "status": "succeeded", "output": ADDRESS, "urls": {"get": "https://api.example.com/p/p"}},
        {"choices": [{"message": {"content": f"Here it is: ![boat]({ADDRESS})"}}]},
        {"images": [{"url": ADDRESS}], "data": [{"url": ADDRESS}]},
        {"data": [{"b64_json": "null", "url": ADDRESS}]},
        {"data": [{"b64_json": "!!!damaged!!!", "url": ADDRESS}]},
        {"data": [{"url": ADDRESS}], "input": {"image": coded(PNG)}, "docs_url": "https://example.com/docs"},
    ],
)
def test_one_address_is_one_picture(body: Any) -> None:
    assert [(item.url, item.error) for item in read(body).items] == [(ADDRESS, None)]


def test_several_pictures_keep_their_order_and_their_prompts() -> None:
    entries = [{"b64_json": B64, "revised_prompt": "a"}, {"url": ADDRESS}, {"b64_json": coded(JPEG)}]
    items = read({"data": entries}).items
    assert [(item.data, item.url, item.revised_prompt) for item in items] == [
        (PNG, None, "a"),
        (None, ADDRESS, None),
        (JPEG, None, None),
    ]
    assert len(read({"image1": B64, "image2": coded(JPEG)}).items) == 2
    assert len(read({"data": {"0": {"b64_json": B64}, "1": {"b64_json": coded(JPEG)}}}).items) == 2


def test_the_picture_itself_may_be_the_body() -> None:
    for data in (PNG, JPEG, WEBP):
        assert read(data).items[0].data == data
        assert read(gzip.compress(data), encoding="UTF-8", stream=True).items[0].data == data
    assert isinstance(read(PNG, largest_picture=100).items[0].error, errors.TooLargeError)


GOOD = json.dumps({"created": 1, "data": [{"b64_json": B64, "revised_prompt": "PLACE"}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        GOOD.replace(b"PLACE", b"a\nb"),
        GOOD.replace(b"PLACE", b"a\tb\x01"),
        GOOD.replace(b"PLACE", "红色方块".encode("gbk")),
        GOOD.replace(b"PLACE", b"caf\xe9"),
        GOOD + b";",
        GOOD + b"\0\0\0",
        GOOD + b"\n" + GOOD,
        b"\xef\xbb\xbf\r\n" + GOOD,
        b")]}',\n" + GOOD,
        b"callback(" + GOOD + b");",
        GOOD[:-2],
        GOOD[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        GOOD[:-1] + b', "huge": ' + b"9" * 100_000 + b"}",
        GOOD[:-1] + b', "content_filter": [{"role": "assistant", "level": 3}]}',
        GOOD[:-1] + b', "error": "a warning only"}',
        b"<pre>" + GOOD.replace(b'"data"', b'"d"'),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 100])
def test_damage_beside_a_whole_picture_does_not_lose_it(body: bytes, cut: int) -> None:
    assert [(item.data, item.error) for item in read(body, cut=cut).items] == [(PNG, None)]


def test_foreign_encodings_give_their_words() -> None:
    body = GOOD.replace(b"PLACE", "红色方块".encode("gbk"))
    assert read(body).items[0].revised_prompt == "红色方块"


def test_an_answer_that_is_cut_within_its_second_picture_gives_the_first() -> None:
    body = json.dumps({"data": [{"b64_json": B64}, {"b64_json": coded(JPEG)}]}).encode()
    first, second = read(body[:-200]).items
    assert first.data == PNG
    assert isinstance(second.error, errors.BadImageError)


def test_an_entry_that_failed_beside_a_picture_tells_its_reason() -> None:
    said = {
        "code": "OutputImageSensitiveContentDetected",
        "message": "The output may contain sensitive information.",
    }
    picture, error = read(
        {"data": [{"url": ADDRESS}, {"error": said}], "usage": {"generated_images": 1}}
    ).items
    assert picture.url == ADDRESS
    assert isinstance(error.error, errors.ContentPolicyError)
    assert "sensitive information" in str(error.error)


@pytest.mark.parametrize(
    "body",
    [
        {"created": 1, "note": f"see {ADDRESS} for it"},
        {"meta": {"thumb": ADDRESS}},
        f"plain words with {ADDRESS} in them".encode(),
    ],
)
def test_where_nothing_can_be_shown_all_addresses_are_kept(body: Any) -> None:
    assert failed(body).urls == (ADDRESS,)


@pytest.mark.parametrize(
    "body",
    [
        {"revised_prompt": B64},
        {"input": {"image": B64}},
        {"data": [{"mask_url": ADDRESS, "status_url": ADDRESS}]},
        {"token": coded(b"no picture at all" * 40)},
        {"model": "a" * 3000, "image": "b" * 3000},
        {"partial_image_b64": B64},
    ],
)
def test_nothing_else_is_called_a_picture(body: Any) -> None:
    assert isinstance(failed(body), errors.CometError)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
NAMES = st.sampled_from(
    [
        "data",
        "b64_json",
        "url",
        "error",
        "images",
        "result",
        "message",
        "code",
        "usage",
        "status",
        "id",
        "0",
        "x",
        "",
    ]
)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.integers(1, 60), st.sampled_from([200, 400, 429, 503]))
def test_any_document_is_a_reply_or_one_of_our_errors(document: Any, cut: int, status: int) -> None:
    body = json.dumps(document).encode()
    assert isinstance(refused(status if status != 200 else 500, body), errors.CometError)
    for stream in (body, b"data: " + body + b"\n\n", b": x\n\n" + body):
        try:
            reply = read(stream, cut=cut)
        except errors.CometError:
            continue
        assert reply.items
        assert all(
            (item.data is None) + (item.url is None) + (item.error is None) == 2 for item in reply.items
        )


@given(
    st.lists(st.sampled_from(["data", "images", "result", "output", "a", "0"]) | st.none(), max_size=5),
    st.sampled_from(["b64_json", "image", "url", "x"]),
    st.sampled_from(list(SPELLINGS)),
    st.integers(0, 300),
)
def test_a_picture_anywhere_plausible_is_found(
    path: list[str | None], name: str, spelling: str, cut: int
) -> None:
    document: Any = {name: SPELLINGS[spelling](coded(JPEG)), "usage": {"total_tokens": 3}}
    for step in path:
        document = [document] if step is None else {step: document, "id": "x"}
    assert [item.data for item in read(document, cut=cut).items] == [JPEG]


@pytest.mark.parametrize(
    "text", [b"Insufficient balance, please recharge", "余额不足".encode(), b"blocked by content moderation"]
)
def test_a_plain_text_is_weighed_by_its_words(text: bytes) -> None:
    assert failed(text).outcome == refused(400, text).outcome == "rejected"
    assert type(failed(text)) is type(refused(502, text))


def test_a_body_of_another_kind_is_that_file() -> None:
    for data in (b"\0\0\0 ftypavif\0\0\0\0avifmif1" + bytes(40), b"GIF89a" + bytes(40)):
        assert read(data).items[0].data == data


@pytest.mark.parametrize(
    "body", [{"data": ["/files/1.png"]}, {"images": [{"image_url": "/files/1.webp?x=1"}]}]
)
def test_a_relative_address_of_a_picture_is_an_address(body: Any) -> None:
    (item,) = read(body).items
    assert item.url in ("/files/1.png", "/files/1.webp?x=1")


# ── Streams ────────────────────────────────────────────────────────────────────────────────────────


def event(name: str, *, named: bool = True, **facts: Any) -> str:
    head = f"event: {name}\n" if named else ""
    return f"{head}data: {json.dumps({'type': name, **facts})}\n\n"


FAULT = {"code": "moderation_blocked", "message": "blocked"}
STREAMS = {
    "edit": event("image_edit.partial_image", b64_json=coded(JPEG))
    + event("image_edit.completed", b64_json=B64),
    "edit, data only": event("image_edit.completed", named=False, b64_json=B64, usage={}),
    "type far inside": "data: "
    + json.dumps({"b64_json": B64, "revised_prompt": "x" * 900, "z": "y" * 900})
    + "\n\n",
    "responses": event("response.image_generation_call.partial_image", partial_image_b64=coded(JPEG))
    + event("response.image_generation_call.completed", item_id="ig_1")
    + event("response.output_item.done", item={"type": "image_generation_call", "result": B64})
    + event("response.completed", response={"output": [{"type": "image_generation_call", "result": B64}]}),
    "completed without it first": event("x.completed", usage={"total_tokens": 5}) + event("y", image=B64),
    "error false": 'data: {"type":"keepalive","error":false}\n\n'
    + event("image_generation.completed", b64_json=B64),
    "error empty": "data: " + json.dumps({"error": "", "data": [{"b64_json": B64}]}) + "\n\ndata: [DONE]\n\n",
    "error event without content": "event: error\ndata: {}\n\n"
    + event("image_generation.completed", b64_json=B64),
    "ping": "event: ping\ndata: {}\n\n" + event("image_generation.completed", b64_json=B64),
    "retry and id first": "retry: 3000\nid: 1\n" + event("image_generation.completed", b64_json=B64),
    "comment, then plain JSON": ": keepalive\n\n"
    + json.dumps({"data": [{"b64_json": B64}]}, indent=1)
    + "\n",
    "bare lines": json.dumps({"type": "x.partial_image", "b64_json": coded(JPEG)})
    + "\n"
    + json.dumps({"type": "x.completed", "b64_json": B64})
    + "\n",
    "no end": event("image_generation.partial_succeeded", b64_json=B64),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("stream", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("cut", [0, 1, 500])
def test_the_picture_of_a_stream_is_found_in_events_of_any_name(name: str, stream: bool, cut: int) -> None:
    items = read(STREAMS[name].encode(), stream=stream, cut=cut).items
    assert [(item.data, item.error) for item in items] == [(PNG, None)]


def test_parts_of_a_stream_arrive_one_by_one_and_usage_at_the_end() -> None:
    stream = (
        event("image_generation.partial_succeeded", image_index=0, url=ADDRESS)
        + event("image_generation.partial_failed", image_index=1, error=FAULT)
        + event("image_generation.partial_succeeded", image_index=2, url=ADDRESS + "2")
        + event("image_generation.completed", usage={"generated_images": 2})
        + "data: [DONE]\n\n"
    )
    reply = read(stream.encode(), wanted=3)
    assert [item.url for item in reply.items] == [ADDRESS, ADDRESS + "2", None]
    assert isinstance(reply.items[2].error, errors.ContentPolicyError)
    assert reply.usage == {"generated_images": 2}


@pytest.mark.parametrize("name", ["error", "", "response.failed", "image_generation.failed"])
def test_an_error_with_content_ends_a_stream_and_keeps_the_pictures_before_it(name: str) -> None:
    ending = f"event: {name}\ndata: {json.dumps({'error': FAULT})}\n\n"
    assert type(failed(ending.encode())) is errors.ContentPolicyError
    picture, error = read((event("x.partial_succeeded", b64_json=B64) + ending).encode(), wanted=2).items
    assert (picture.data, type(error.error)) == (PNG, errors.ContentPolicyError)


def test_a_stream_of_plain_words_in_an_error_event_gives_them() -> None:
    error = failed(b"event: error\ndata: upstream failed\n\n")
    assert "upstream failed" in str(error)
    assert (type(error), error.outcome) == (errors.AmbiguousError, "unknown")


# ── Keys that a server repeats ─────────────────────────────────────────────────────────────────────


def test_a_key_that_the_server_repeats_stays_nowhere_in_what_is_read() -> None:
    key = "sk-live-9f8e7d6c5b4a3928171605f4e3d2c1b0"
    secret = Secret(key)
    entry = {"url": f"https://cdn.example.com/0.png?k={key}", "revised_prompt": f"a boat {key}"}
    reply = read({"data": [entry], "usage": {"total_tokens": 3, "note": key, key: 1}})

    error = failed({"created": 1, "note": f"https://x.example/{key}"})
    assert key not in f"{reply}{error.urls}{error}"
    assert secret.reveal() == key


# ── Texts of strangers ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "1" * 39 + "!",
        "retry in " + "1s" * 2000 + "!",
        "![" * 500_000,
        "data:;" * 200_000,
        "<" * 4000,
        "{" * 100_000,
    ],
    ids=lambda text: text[:10],
)
def test_no_text_of_a_server_takes_long_to_read(text: str) -> None:
    for body in (
        {"error": {"message": text, "retryDelay": text}},
        {"data": [{"url": "", "image": text}]},
        text,
    ):
        assert isinstance(refused(429, body), errors.CometError)
        with contextlib.suppress(errors.CometError):
            read(body)


def test_a_wide_document_is_walked_within_bounds() -> None:
    body = {"a": [[{"b": 1}] * 20_000] * 30}
    assert type(failed(body)) is errors.BadResponseError
