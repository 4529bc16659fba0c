"""The sandbox answers, refuses, delays and breaks off like the endpoint it stands for."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

import comet_magic
from comet_magic.__main__ import COMMANDS, main
from comet_magic.errors import ConfigurationError
from comet_magic.sandbox import Sandbox, start_sandbox
from comet_magic.sandbox.app import HTTPResponse
from comet_magic.sandbox.fault_injection import RateGate, faults

KEY = {"authorization": "Bearer sandbox"}
SMALL = {"model": "dall-e-2", "prompt": "a paper boat", "size": "256x256", "response_format": "b64_json"}
# Answered with an address, so nothing is painted and the answer is there at once.
QUICK = {"model": "dall-e-2", "prompt": "a paper boat", "size": "256x256"}
SETTLED = {"background", "output_format", "quality", "size"}
# A process of its own finds the package wherever this one did.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(comet_magic.__file__).parents[1]),
    "PYTHONUNBUFFERED": "1",
}
USAGE = {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details"}


@pytest.fixture
def sandbox():
    with start_sandbox() as running:
        yield running


@pytest.fixture
def http():
    with httpx.Client(headers=KEY, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def ask(sandbox, http):
    """Asks the sandbox for pictures and gives the HTTP answer."""

    def post(**fields):
        return http.post(f"{sandbox.base_url}/images/generations", json=fields)

    return post


def post(sandbox, http, fields=QUICK, **options):
    return http.post(f"{sandbox.base_url}/images/generations", json=fields, **options)


def opened(item):
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"])))


def events(text):
    return [
        (head.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for head, data in (block.split("\n") for block in text.split("\n\n") if block.startswith("event"))
    ]


def open_raw(sandbox):
    return closing(socket.create_connection(("127.0.0.1", urlsplit(sandbox.base_url).port), timeout=10))


def raw_post(fields=QUICK, extra=""):
    body = json.dumps(fields)
    return (
        "POST /v1/images/generations HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer x\r\n"
        f"{extra}content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


# What is answered


def test_a_generation_answers_with_the_picture(ask):
    answer = ask(**SMALL)

    assert answer.status_code == 200
    assert opened(answer.json()["data"][0]).size == (256, 256)


def test_the_same_request_gives_the_same_pictures_and_they_differ_from_each_other(ask):
    first, second = (ask(**SMALL, n=2).json()["data"] for _ in range(2))

    assert first == second
    assert first[0] != first[1]


def test_the_answer_of_a_gpt_image_model_tells_what_was_chosen_and_used(ask):
    answer = ask(model="gpt-image-2", prompt="A paper boat floating on calm water at sunrise.", quality="low")

    told = answer.json()
    assert set(told) == {"created", "data", "usage", *SETTLED}
    assert {name: told[name] for name in SETTLED} == {
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
    }
    assert set(told["usage"]) == {*USAGE, "output_tokens_details"}
    # The vendor's own page shows 13, 196 and 209 for this request.
    assert [told["usage"][name] for name in ("input_tokens", "output_tokens", "total_tokens")] == [
        13,
        196,
        209,
    ]


def test_what_is_left_to_auto_is_told(ask):
    told = ask(model="gpt-image-1", prompt="boat", size="auto", quality="auto", background="auto").json()

    assert (told["size"], told["quality"], told["background"]) == ("1024x1024", "medium", "opaque")
    assert told["usage"]["output_tokens"] == 1056


@pytest.mark.parametrize("model", ["gpt-image-1-mini", "gpt-image-2.6-flare", "chatgpt-image-latest"])
def test_usage_is_whole_where_no_count_is_published(ask, model):
    usage = ask(model=model, prompt="boat", size="1024x1024", output_format="jpeg").json()["usage"]

    assert usage["output_tokens"] > 0


def test_every_answer_bears_an_id_of_its_own(ask, sandbox):
    ids = [ask(**QUICK).headers["x-request-id"], ask(model="gpt-image-2").headers["x-request-id"]]

    assert ids == [entry.request_id for entry in sandbox.log]
    assert len(set(ids)) == 2


def test_dall_e_3_tells_the_prompt_it_painted(ask):
    assert "a paper boat" in ask(model="dall-e-3", prompt="a paper boat").json()["data"][0]["revised_prompt"]


def test_qwen_sends_empty_texts_for_what_is_absent(ask):
    item = ask(model="qwen-image", prompt="boat", output_format="jpeg").json()["data"][0]

    assert (item["url"], item["revised_prompt"]) == ("", "")
    assert opened(item).size == (1328, 1328)


def test_seedream_answers_in_its_own_shape(ask):
    told = ask(model="doubao-seedream-4-5-251128", prompt="船", size="2K").json()

    assert set(told) == {"model", "created", "data", "usage"}
    assert set(told["data"][0]) == {"url", "size"}
    assert told["data"][0]["size"] == "2048x2048"
    assert set(told["usage"]) == {"generated_images", "output_tokens", "total_tokens"}


def test_null_counts_as_absent_and_unknown_parameters_are_dropped(ask):
    assert ask(**QUICK, user=None, quality=None, watermark=False, negative_prompt="rain").status_code == 200


# Streams


def test_a_stream_sends_previews_and_then_the_picture(ask):
    fields = {"size": "1024x1024", "output_format": "jpeg", "stream": True, "partial_images": 2}
    answer = ask(model="gpt-image-2", prompt="boat", **fields)

    assert answer.headers["content-type"] == "text/event-stream"
    names, told = zip(*events(answer.text), strict=True)
    kinds = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert list(names) == [event["type"] for event in told] == kinds
    shared = {"type", "b64_json", "created_at", *SETTLED}
    assert [set(event) for event in told] == [shared | {"partial_image_index"}] * 2 + [shared | {"usage"}]
    assert [event["partial_image_index"] for event in told[:2]] == [0, 1]
    assert set(told[-1]["usage"]) == USAGE
    assert told[-1]["usage"]["output_tokens"] == 1756 + 200
    assert all(opened(event).size == (1024, 1024) for event in told)


def test_a_stream_without_previews_is_one_event(ask):
    answer = ask(model="gpt-image-2", prompt="boat", stream=True, output_format="jpeg")

    assert [name for name, _ in events(answer.text)] == ["image_generation.completed"]


def test_a_silent_stream_shows_that_it_lives(http):
    with start_sandbox(delay=1.1) as sandbox:
        answer = post(sandbox, http, {"model": "gpt-image-2", "prompt": "boat", "stream": True})

    assert answer.text.startswith(": keepalive\n\n")


# Addresses of pictures


def test_an_address_gives_the_picture_without_a_key(ask):
    url = ask(model="dall-e-2", prompt="boat", size="256x256").json()["data"][0]["url"]
    answer = httpx.get(url, trust_env=False)

    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


def test_an_address_gives_the_picture_that_base64_gives(ask, http):
    url = ask(**{**SMALL, "response_format": "url"}).json()["data"][0]["url"]

    assert http.get(url).content == base64.b64decode(ask(**SMALL).json()["data"][0]["b64_json"])


def test_an_expired_address_is_forbidden(http):
    with start_sandbox(url_lifetime=0) as sandbox:
        url = post(sandbox, http).json()["data"][0]["url"]
        answer = http.get(url)

    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "This address has expired")


@pytest.mark.parametrize("change", [("expires=1", "expires=2"), ("/pictures/e", "/pictures/f"), ("?", "?x=")])
def test_a_changed_address_is_forbidden(ask, http, change):
    url = ask(**QUICK).json()["data"][0]["url"]

    assert http.get(url.replace(*change)).status_code == 403


def test_another_server_does_not_know_the_address(ask, http):
    target = urlsplit(ask(**QUICK).json()["data"][0]["url"])
    with start_sandbox() as other:
        answer = http.get(other.base_url.removesuffix("/v1") + f"{target.path}?{target.query}")

    assert answer.status_code == 403


def test_the_address_of_a_long_prompt_stays_short(ask):
    prompt = "".join(chr(0x1F300 + (7919 * i) % 700) for i in range(4000))

    assert len(ask(model="dall-e-3", prompt=prompt).json()["data"][0]["url"]) < 8192


def test_long_prompts_that_begin_alike_give_different_pictures(ask):
    one, other = (
        ask(model="dall-e-2", prompt="boat " * 190 + end).json()["data"][0]["url"] for end in ("red", "blue")
    )

    assert urlsplit(one).path != urlsplit(other).path


# The other routes


def test_the_models_are_listed_for_a_key(sandbox, http):
    listed = http.get(f"{sandbox.base_url}/models").json()

    assert listed["object"] == "list"
    rows = {row["id"]: row for row in listed["data"]}
    assert rows["dall-e-3"]["shutdown_date"] == "2026-05-12"
    assert "shutdown_date" not in rows["gpt-image-2"]


def test_the_catalogue_needs_no_key(sandbox):
    told = httpx.get(f"{sandbox.base_url.removesuffix('/v1')}/api/models", trust_env=False).json()

    rows = {row["id"]: row for row in told["data"]}
    assert (told["success"], told["total"]) == (True, len(rows))
    assert rows["gpt-image-2.5-flare"]["code"] == "gpt-image-2-5-flare"
    assert rows["gpt-image-2"]["model_type"] == "image"
    assert (rows["gpt-image-2"]["pricing"]["input"], rows["gpt-image-2"]["pricing"]["output"]) == (4.0, 24.0)
    assert rows["qwen-image"]["pricing"]["per_request"] == 0.04
    assert rows["doubao-seedream-4-5-251128"]["pricing"] is None


def test_the_balance_moves_by_what_was_charged(sandbox, http):
    post(sandbox, http)
    limit = http.get(f"{sandbox.base_url}/dashboard/billing/subscription").json()["hard_limit_usd"]
    used = http.get(f"{sandbox.base_url}/dashboard/billing/usage?start_date=2026-01-01").json()["total_usage"]

    # USD 0.016 is the printed price of a dall-e-2 picture of 256 pixels.
    assert (limit, used, sandbox.spent) == (10.0, 1.6, 0.016)


# Refusals


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"response_format": "url"}, ("response_format", "unknown_parameter", "invalid_request_error")),
        ({"style": "vivid"}, ("style", "unknown_parameter", "invalid_request_error")),
        ({"size": "4096x4096"}, ("size", "invalid_value", "image_generation_user_error")),
        ({"size": "1920x1080"}, ("size", "invalid_value", "image_generation_user_error")),
        ({"size": "16:9"}, ("size", "invalid_value", "image_generation_user_error")),
        ({"size": 1024}, ("size", "invalid_value", "image_generation_user_error")),
        ({"quality": "ultra"}, ("quality", "invalid_value", "invalid_request_error")),
        ({"n": 11}, ("n", "invalid_value", "invalid_request_error")),
        ({"n": True}, ("n", "invalid_value", "invalid_request_error")),
        ({"output_format": "gif"}, ("output_format", "invalid_value", "invalid_request_error")),
        ({"prompt": ""}, ("prompt", "invalid_value", "invalid_request_error")),
        ({"prompt": "x" * 32_001}, ("prompt", "invalid_value", "invalid_request_error")),
        ({"prompt": 7}, ("prompt", "invalid_type", "invalid_request_error")),
        ({"prompt": None}, ("prompt", "missing_required_parameter", "invalid_request_error")),
        ({"model": None}, ("model", "missing_required_parameter", "invalid_request_error")),
        (
            {"background": "transparent", "output_format": "jpeg"},
            ("background", "invalid_value", "image_generation_user_error"),
        ),
        ({"svg": {"model": "x"}}, ("svg", "invalid_value", "invalid_request_error")),
    ],
)
def test_what_the_catalog_refuses_is_refused_as_the_vendor_does(ask, sandbox, fields, told):
    answer = ask(**{"model": "gpt-image-2", "prompt": "boat", **fields})

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"], error["type"]) == told
    assert not sandbox.log[0].charged


def test_a_stream_of_several_is_refused_in_the_vendors_words(ask):
    error = ask(model="gpt-image-2", prompt="boat", stream=True, n=2).json()["error"]

    assert error["message"] == "Streaming is only supported with n=1."


def test_a_parameter_of_another_model_is_refused_in_the_vendors_words(ask):
    error = ask(model="gpt-image-2", prompt="boat", response_format="url").json()["error"]

    assert error["message"] == "Unknown parameter: 'response_format'."


def test_an_unknown_model_has_no_channel(ask, sandbox):
    answer = ask(model="stable-diffusion-1", prompt="boat")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (503, "model_not_found", "comet_api_error")
    assert error["message"].endswith(f"(request id: {answer.headers['x-request-id']})")
    assert sandbox.log[0].model == "stable-diffusion-1"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_500_as_at_the_gateway(sandbox, http, body):
    answer = http.post(f"{sandbox.base_url}/images/generations", content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "invalid_request")


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer"}, {"authorization": "Basic eDp5"}])
@pytest.mark.parametrize("path", ["/models", "/dashboard/billing/usage"])
def test_without_a_bearer_key_nothing_is_told(sandbox, header, path):
    answer = httpx.get(sandbox.base_url + path, headers=header, trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_an_unknown_path_is_not_found(sandbox, http):
    answer = http.get(f"{sandbox.base_url}/images/upscale")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Invalid URL (GET /v1/images/upscale)"


def test_the_wrong_method_is_told_the_right_one(sandbox, http):
    answer = http.get(f"{sandbox.base_url}/images/generations")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["type"] == "comet_api_error"


def test_a_method_nobody_has_is_refused_in_the_envelope(sandbox, http):
    answer = http.request("BREW", f"{sandbox.base_url}/models")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["error"]["type"] == "comet_api_error"


@pytest.mark.parametrize(("path", "status"), [("/models", 200), ("/images/generations", 405)])
def test_head_answers_as_get_without_the_body(sandbox, http, path, status):
    answers = [http.request(method, sandbox.base_url + path) for method in ("HEAD", "GET")]

    assert [answer.status_code for answer in answers] == [status] * 2
    assert answers[0].content == b""
    assert answers[0].headers["content-type"] == answers[1].headers["content-type"]


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(sandbox):
    head = raw_post().partition(b"content-length")[0]
    with open_raw(sandbox) as connection:
        connection.sendall(head + b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % (512 * 2**20 + 1))
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_body_may_come_in_chunks(sandbox, http):
    body = json.dumps(QUICK).encode()
    answer = http.post(f"{sandbox.base_url}/images/generations", content=iter([body[:9], body[9:]]))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "head", ["content-length: \xb2", "content-length: -1", f"content-length: {'9' * 5000}"]
)
def test_a_length_that_is_none_is_refused(sandbox, head):
    with open_raw(sandbox) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nhost: sandbox\r\n{head}\r\n\r\n".encode("latin-1"))
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "invalid_request"' in answer


def test_a_chunk_that_is_none_is_refused_and_logged(sandbox):
    head = raw_post().partition(b"content-length")[0]
    with open_raw(sandbox) as connection:
        connection.sendall(head + b"transfer-encoding: chunked\r\n\r\nbanana\r\n")
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert sandbox.log[0].status == 400


def test_a_client_that_asks_first_is_told_to_send_its_body(sandbox):
    head, _, body = raw_post(extra="expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with open_raw(sandbox) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 100"
        connection.sendall(body)

        assert sandbox.until(lambda log: log[0].status == 200)


def test_a_stream_to_http_1_0_ends_with_the_connection_and_has_no_chunks(sandbox):
    fields = {"model": "gpt-image-2", "prompt": "boat", "stream": True, "output_format": "jpeg"}
    with open_raw(sandbox) as connection:
        connection.sendall(raw_post(fields).replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head.lower()
    assert [name for name, _ in events(body.decode())] == ["image_generation.completed"]


def test_noise_on_the_port_is_answered_in_the_envelope(sandbox):
    with open_raw(sandbox) as connection:
        connection.sendall(b"GET / HTTP/banana\r\n\r\n")
        answer = connection.makefile("rb").read()

    assert b'"code": "invalid_request"' in answer


# The log


def test_the_log_tells_what_was_served(ask, sandbox):
    ask(**QUICK)
    assert sandbox.until(lambda log: log[0].seconds is not None)

    entry = sandbox.log[0]
    assert (entry.method, entry.path, entry.status) == ("POST", "/v1/images/generations", 200)
    assert (entry.prompt, entry.model) == ("a paper boat", "dall-e-2")
    assert (entry.charged, entry.disconnected, entry.idempotency_key) == (True, False, None)
    assert str(entry).startswith("POST '/v1/images/generations' 200 'dall-e-2' ")
    assert repr(sandbox) == f"<Sandbox {sandbox.base_url}, 1 served>"


def test_an_idempotency_key_is_noted_and_not_obeyed(sandbox, http):
    for _ in range(2):
        post(sandbox, http, headers={"idempotency-key": "one"})

    assert [(entry.idempotency_key, entry.charged) for entry in sandbox.log] == [("one", True)] * 2


def test_control_characters_from_outside_do_not_reach_the_terminal(ask, sandbox):
    ask(model="\x1b[2Jdall-e-2", prompt="boat")

    assert "\x1b" not in str(sandbox.log[0])


def test_a_request_is_in_the_log_while_it_is_worked_on():
    with start_sandbox(fail="hang") as sandbox, open_raw(sandbox) as connection:
        connection.sendall(raw_post())

        assert sandbox.until(lambda log: log and log[0].charged)
        assert (sandbox.log[0].status, sandbox.log[0].seconds) == (0, None)


@pytest.mark.parametrize("options", [{"delay": 60.0}, {"fail": "hang"}])
def test_a_client_that_leaves_is_noticed(options):
    with start_sandbox(**options) as sandbox:
        with open_raw(sandbox) as connection:
            connection.sendall(raw_post())
            assert sandbox.until(lambda log: log and log[0].charged)

        assert sandbox.until(lambda log: log[0].disconnected)
        assert (sandbox.log[0].status, sandbox.log[0].charged) == (0, True)
        assert "client left" in str(sandbox.log[0])


def test_a_client_that_leaves_a_stream_is_noticed():
    with start_sandbox(delay=60) as sandbox:
        with open_raw(sandbox) as connection:
            connection.sendall(raw_post({"model": "gpt-image-2", "prompt": "boat", "stream": True}))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"

        assert sandbox.until(lambda log: log[0].disconnected)


def test_a_client_that_leaves_with_a_reset_is_noticed():
    with start_sandbox(delay=60) as sandbox:
        with open_raw(sandbox) as connection:
            connection.sendall(raw_post())
            assert sandbox.until(lambda log: log and log[0].charged)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        assert sandbox.until(lambda log: log[0].disconnected)


def test_a_client_that_leaves_before_its_body_is_whole_is_not_charged(sandbox):
    with open_raw(sandbox) as connection:
        connection.sendall(raw_post()[:-5])

    assert sandbox.until(lambda log: log and log[0].disconnected)
    assert not sandbox.log[0].charged


def test_a_client_that_leaves_while_its_picture_is_painted_is_noticed(sandbox):
    with open_raw(sandbox) as connection:
        connection.sendall(raw_post({"model": "gpt-image-2", "prompt": "boat", "size": "2048x2048"}))
        assert sandbox.until(lambda log: log and log[0].charged)

    assert sandbox.until(lambda log: log[0].disconnected, timeout=30)


def test_a_client_that_leaves_the_queue_for_a_render_slot_is_noticed(sandbox):
    with sandbox._render_slots, sandbox._render_slots:
        with open_raw(sandbox) as connection:
            connection.sendall(raw_post(SMALL))
            assert sandbox.until(lambda log: log and log[0].charged)

        assert sandbox.until(lambda log: log[0].disconnected)


# Connections


def test_one_connection_serves_several_requests_also_when_they_are_sent_at_once():
    with start_sandbox(delay=0.05) as sandbox, open_raw(sandbox) as connection:
        connection.sendall(raw_post() + raw_post(extra="connection: close\r\n"))
        answers = connection.makefile("rb").read()

    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_the_delay_is_for_generations_only(http):
    with start_sandbox(delay=60) as sandbox:
        assert http.get(f"{sandbox.base_url}/models").status_code == 200
        assert post(sandbox, http, {"model": "gpt-image-2"}).status_code == 400


def test_at_most_two_pictures_are_painted_at_once(sandbox):
    class Waiting:
        def wait(self, seconds):
            assert seconds == 0

    pair, lock, now, most = threading.Barrier(2, timeout=10), threading.Lock(), set(), []

    def paint(name):
        with lock:
            now.add(name)
            most.append(len(now))
        pair.wait()
        with lock:
            now.discard(name)
        yield b""

    threads = [
        threading.Thread(
            target=sandbox._painted, args=(Waiting(), HTTPResponse(200, paint(name), paints=True))
        )
        for name in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 6
    assert max(most) == 2


def test_closing_is_quick_ends_every_connection_and_may_be_repeated():
    before = threading.active_count()
    sandbox = start_sandbox(fail="hang")
    with open_raw(sandbox) as connection:
        connection.sendall(raw_post())
        assert sandbox.until(lambda log: log and log[0].charged)
        sandbox.close()
        sandbox.close()

        assert connection.recv(1) == b""
    assert not sandbox.log[0].disconnected
    assert threading.active_count() == before


def test_a_fault_of_the_sandbox_itself_comes_out_when_it_is_closed(http, capsys):
    def broken(served):
        raise LookupError(served.path)

    sandbox = Sandbox(report=broken)
    post(sandbox, http)
    assert sandbox.until(lambda log: log[0].seconds is not None)

    with pytest.raises(LookupError, match="generations"):
        sandbox.close()
    assert "LookupError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"port": 70_000},
        {"delay": -1},
        {"delay": float("nan")},
        {"url_lifetime": float("inf")},
        {"rate": 0},
        {"fail": "often"},
        {"fail": 200},
        {"fail": ["429:many"]},
        {"fail": ["429:2"]},
        {"fail": ["500@0.2"]},
        {"fail": "500@2"},
    ],
)
def test_a_value_that_cannot_be_used_is_told(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        start_sandbox(**options)


def test_a_port_that_is_taken_is_told(sandbox):
    with pytest.raises(ConfigurationError, match="cannot be used"):
        start_sandbox(port=urlsplit(sandbox.base_url).port)


# Rehearsals


def test_what_comes_too_fast_is_told_when_to_come_again(http):
    with start_sandbox(rate=1) as sandbox:
        answers = [post(sandbox, http) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["error"]["code"] == "rate_limit_exceeded"
    assert answers[1].headers["retry-after"] == "1"
    assert 0 < int(answers[1].headers["retry-after-ms"]) <= 1001
    assert [entry.charged for entry in sandbox.log] == [True, False]


def test_a_pace_admits_a_second_s_worth_at_once_and_then_its_rate():
    pace = RateGate(4)

    assert [pace.wait(100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0, 0.25])
    assert pace.wait(100.25) == 0
    assert pace.wait(100.25) > 0


def test_faults_come_in_their_order():
    plan = faults("429:2,hang:1")
    assert [next(plan) for _ in range(5)] == ["429", "429", "hang", "", ""]

    plan = faults(["cut", 503])
    assert [next(plan) for _ in range(3)] == ["cut", "503", ""]

    plan = faults(500)
    assert [next(plan) for _ in range(3)] == ["500"] * 3


def test_a_share_of_failures_repeats_itself():
    one, other = ([next(plan) for _ in range(200)] for plan in (faults("500@0.2"), faults("500@0.2")))

    assert one == other
    assert 20 < one.count("500") < 60


@pytest.mark.parametrize(
    ("fail", "status", "code"),
    [
        ("400", 400, "invalid_request"),
        ("429", 429, "rate_limit_exceeded"),
        ("quota", 429, "credit_balance_exhausted"),
        ("moderation", 400, "moderation_blocked"),
        ("500", 500, None),
        ("502", 502, ""),
        ("503", 503, "server_is_overloaded"),
    ],
)
def test_a_simulated_error_looks_like_the_real_one_and_costs_nothing(http, fail, status, code):
    with start_sandbox(fail=fail) as sandbox:
        answer = post(sandbox, http)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not sandbox.log[0].charged


def test_the_edge_s_own_timeout_is_a_page_and_is_charged(http):
    with start_sandbox(fail="524") as sandbox:
        answer = post(sandbox, http)

    assert (answer.status_code, answer.headers["content-type"]) == (524, "text/html")
    assert sandbox.log[0].charged


def test_a_simulated_failure_waits_for_a_request_that_would_have_succeeded(http):
    with start_sandbox(fail=["500"]) as sandbox:
        wrong, failed, fine = (
            post(sandbox, http, fields) for fields in ({**QUICK, "size": "1x1"}, QUICK, QUICK)
        )

    assert [answer.status_code for answer in (wrong, failed, fine)] == [400, 500, 200]


def test_a_success_without_pictures_is_charged(http):
    with start_sandbox(fail=["empty"]) as sandbox:
        assert post(sandbox, http).json()["data"] == []
    assert sandbox.log[0].charged


@pytest.mark.parametrize("fail", ["cut", "drop"])
def test_an_answer_that_breaks_off_is_charged(http, fail):
    with start_sandbox(fail=fail) as sandbox:
        with pytest.raises(httpx.RemoteProtocolError):
            post(sandbox, http)
        assert sandbox.log[0].charged


def test_a_stream_can_break_off_too(http):
    fields = {"model": "gpt-image-2", "prompt": "boat", "stream": True, "output_format": "jpeg"}
    with start_sandbox(fail="cut") as sandbox, pytest.raises(httpx.RemoteProtocolError):
        post(sandbox, http, fields)


# The command


def test_the_command_prints_two_lines_to_paste_and_serves_until_it_is_interrupted(http):
    command = [sys.executable, "-m", "comet_magic", "sandbox", "--port", "0", "--fail", "429:1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        address, key = process.stdout.readline(), process.stdout.readline()
        url = address.strip().removeprefix("export COMETAPI_BASE_URL=")
        statuses = [http.post(f"{url}/images/generations", json=QUICK).status_code for _ in range(2)]
        lines = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=10)

    assert key == "export COMETAPI_KEY=sandbox\n"
    assert statuses == [429, 200]
    assert [line[:33] for line in lines] == [
        "POST '/v1/images/generations' 429",
        "POST '/v1/images/generations' 200",
    ]
    assert (process.returncode, rest) == (0, ("", ""))


def test_a_flag_that_cannot_be_used_ends_the_command_with_a_sentence(capsys):
    assert main(["sandbox", "--port", "0", "--fail", "often"]) == 1
    assert "it takes a status from 400 to 599" in capsys.readouterr().err


def test_the_command_tells_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "sandbox" in capsys.readouterr().out


def test_without_a_command_the_commands_are_listed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["comet_magic"])

    assert main() == 2

    listed = capsys.readouterr().err
    assert "usage" in listed
    assert all(f"    {name} " in listed for name, *_ in COMMANDS)
