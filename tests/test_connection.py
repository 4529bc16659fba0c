"""Where a call goes and with which key: base URLs as people have them, over real sockets; keys in the wrong places."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic.client import api, close_shared_client, shared_client
from comet_magic.remote import generate_one
from comet_magic.sandbox import start_sandbox
from comet_magic.settings import logout
from comet_magic.text import Secret
from tests.images_made import made
from tests.key_forms import found
from tests.loopback import Head, LoopbackServer, header_block, read_head
from tests.test_secrets import our_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

KEY = "sk-" + "Connection0123456789abcdef"
PLAIN = "9f86d081884c7d659a2feaa0c55ad015"  # a key without a form that could be recognised, as Azure's are
SMALL: Any = {"model": "dall-e-2", "size": "256x256"}
ANSWER = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(made()).decode()}]}).encode()
AZURE = "/openai/deployments/pictures/images/generations?api-version=2025-04-01-preview"


class Gateway(LoopbackServer):
    """Answers every request with the same picture, and remembers the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[Head] = []

    async def opened(self) -> None:
        self.port = await self.listen(self._answer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is not None:
            await reader.readexactly(head.length)
            self.heads.append(head)
            writer.write(header_block(200, [("content-length", str(len(ANSWER)))]) + ANSWER)
            await writer.drain()


@pytest.fixture(scope="module")
def running() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    running.heads.clear()
    yield running
    assert running.crashes == []


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    logout()
    yield
    close_shared_client()


def sent_to(gateway: Gateway, path: str, **options: Any) -> Head:
    """The head of a request that a client of this base URL sends."""
    base = f"http://127.0.0.1:{gateway.port}{path}"
    with cm.Client(base_url=base, api_key=KEY, archive=None, **options) as client:
        assert len(client.generate("a boat", **SMALL)) == 1
    (head,) = gateway.heads
    return head


# --- base URLs


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/v1/images/generations"),
        ("/v1/", "/v1/images/generations"),
        ("/api/paas/v4", "/api/paas/v4/images/generations"),
        ("/v1/images", "/v1/images/generations"),
        ("/v1/images/generations/", "/v1/images/generations"),
        ("/v1/images/edits", "/v1/images/generations"),
        ("/v1/Images/Variations", "/v1/images/generations"),
        ("/v1/chat/completions", "/v1/images/generations"),
        ("/v1/responses/", "/v1/images/generations"),
        ("/images/generations", "/v1/images/generations"),
        ("/my-images", "/my-images/images/generations"),
    ],
)
def test_the_name_of_a_route_is_cut_from_a_base_url(gateway: Gateway, path: str, asked: str) -> None:
    head = sent_to(gateway, path)
    assert head.target == asked
    assert head.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (AZURE, AZURE),
        (
            "/openai/deployments/pictures?api-version=preview",
            "/openai/deployments/pictures/images/generations?api-version=preview",
        ),
        ("/openai/v1/", "/openai/v1/images/generations"),
    ],
)
def test_azures_form_is_asked_with_its_own_header(gateway: Gateway, path: str, asked: str) -> None:
    head = sent_to(gateway, path, auth="api-key")
    assert head.target == asked
    assert head.headers["api-key"] == KEY
    assert "authorization" not in head.headers


def test_hosts_of_azure_need_no_further_word() -> None:
    with cm.Client(base_url=f"https://me.openai.azure.com{AZURE}", api_key=KEY, archive=None) as client:
        assert client.vendor == "me.openai.azure.com"
    with pytest.raises(cm.ConfigurationError, match="with the query"):
        cm.Client(base_url=f"https://openai.azure.com.evil.example{AZURE}", api_key=KEY, archive=None)


REFUSED = {
    "?key=1": r"a query",
    "?api-version=": r"a query",
    "?api-version=1&key=2": r"a query",
    "?api-version=2025-04-01": r"with the query \?api-version=2025-04-01",
    "#part": r"a fragment",
    "/\u200b": "it must be an address",
}


@pytest.mark.parametrize("end", REFUSED)
def test_what_does_not_belong_into_a_base_url_is_named(end: str) -> None:
    with pytest.raises(cm.ConfigurationError, match=REFUSED[end]):
        cm.Client(base_url=f"https://gateway.example/v1{end}", api_key=KEY)


@pytest.mark.parametrize("base", ['"https://gateway.example/v1"', "'https://gateway.example/v1'"])
def test_a_quoted_base_url_is_told_as_such(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("COMETAPI_BASE_URL", base)
    with pytest.raises(cm.ConfigurationError, match="in quotes") as caught:
        cm.Client(api_key=KEY)
    assert "--env-file" in caught.value.hint


# --- http inside a private network


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and the addresses that they resolve to."""
    table: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        found = [resolve(ip, port, *more, **options) for ip in table.get(name, [host])]
        return [entry for entries in found for entry in entries]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


def in_network(gateway: Gateway, name: str, **options: Any) -> cm.Images:
    base = f"http://{name}:{gateway.port}/v1"
    with cm.Client(base_url=base, api_key=KEY, archive=None, max_attempts=1, **options) as client:
        return client.generate("a boat", **SMALL)


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_http_into_a_private_network_works_where_it_was_allowed(
    gateway: Gateway, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    names["litellm"] = ["127.0.0.1"]
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    if way == "environment":
        monkeypatch.setenv("COMETIMG_ALLOW_INSECURE", "1")
    in_network(gateway, "litellm", **({"allow_insecure": True} if way == "argument" else {}))
    (head,) = gateway.heads
    assert head.headers["host"] == f"litellm:{gateway.port}"
    assert head.headers["authorization"] == f"Bearer {KEY}"


def test_a_server_in_the_network_names_its_own_pictures(names: dict[str, list[str]]) -> None:
    names["litellm"] = ["127.0.0.1"]
    with start_sandbox() as sandbox:
        base = sandbox.base_url.replace("127.0.0.1", "litellm")
        images = cm.generate("a boat", base_url=base, api_key=KEY, allow_insecure=True, **SMALL)
        assert images.image.size == (256, 256)
        with cm.Client(base_url=base, api_key=KEY, archive=None, allow_insecure=True) as client:
            assert client.balance().used == 0.016
            assert client.catalogue()
        assert [entry.method for entry in sandbox.log].count("POST") == 1


@pytest.mark.parametrize(
    "addresses",
    [
        ["93.184.216.34"],
        ["127.0.0.1", "93.184.216.34"],
        ["2606:2800:220:1:248:1893:25c8:1946", "127.0.0.1"],
        ["198.18.0.7"],
        ["169.254.169.254"],
        ["0.0.0.0"],
    ],
)
def test_a_name_with_any_address_outside_gets_nothing(
    gateway: Gateway, names: dict[str, list[str]], addresses: list[str]
) -> None:
    names["litellm"] = addresses
    with pytest.raises(cm.ConfigurationError, match="which is not in a private network") as caught:
        in_network(gateway, "litellm", allow_insecure=True)
    assert caught.value.outcome == "not_sent"
    assert gateway.heads == []


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1:248:1893:25c8:1946]", "8.8.8.8"])
def test_a_public_address_is_refused_at_once(host: str) -> None:
    with pytest.raises(cm.ConfigurationError, match="not an address of a private network"):
        cm.Client(base_url=f"http://{host}/v1", api_key=KEY, allow_insecure=True)


@pytest.mark.parametrize("said", [None, "0", "false"])
def test_http_is_refused_where_nobody_allowed_it(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    if said is not None:
        monkeypatch.setenv("COMETIMG_ALLOW_INSECURE", said)
    with pytest.raises(cm.ConfigurationError, match="must be https") as caught:
        cm.Client(base_url="http://litellm:4000", api_key=KEY)
    assert "COMETIMG_ALLOW_INSECURE=1" in caught.value.hint


@pytest.mark.parametrize("host", ["0.0.0.0:8000", "127.1:8000", "[::]:8000"])
def test_an_odd_spelling_of_this_machine_is_told_the_usual_one(host: str) -> None:
    for allowed in (True, False):
        with pytest.raises(cm.ConfigurationError, match="must be https") as caught:
            cm.Client(base_url=f"http://{host}/v1", api_key=KEY, allow_insecure=allowed)
        assert "127.0.0.1" in caught.value.hint


def test_no_setting_of_a_notebook_allows_it() -> None:
    from comet_magic.notebook.magic import CometMagics

    assert not {"allow_insecure", "auth", "api_key"} & set(CometMagics.class_trait_names())


def test_unencrypted_requests_are_told_once(
    gateway: Gateway, names: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    names["told-once"] = ["127.0.0.1"]
    with caplog.at_level(logging.WARNING, "comet_magic"):
        for _ in range(2):
            in_network(gateway, "told-once", allow_insecure=True)
    assert [record.getMessage().count("not encrypted") for record in caplog.records] == [1]


# --- a key and an address beside a prompt


def test_generate_takes_an_address_and_a_key_as_every_library_does(gateway: Gateway) -> None:
    base = f"http://127.0.0.1:{gateway.port}/v1"
    cm.generate("a boat", base_url=base, api_key=KEY, **SMALL)
    asyncio.run(cm.agenerate("a boat", base_url=base, api_key=PLAIN, auth="api-key", **SMALL))
    first, second = gateway.heads
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert second.headers["api-key"] == PLAIN


def test_a_key_alone_goes_to_the_usual_address(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_BASE_URL", f"http://127.0.0.1:{gateway.port}")
    cm.generate("a boat", api_key=KEY, **SMALL)
    assert gateway.heads[0].headers["authorization"] == f"Bearer {KEY}"


def test_eight_clients_are_kept_and_an_older_one_is_closed(gateway: Gateway) -> None:
    def client(number: int) -> cm.Client:
        return shared_client(base_url=f"http://127.0.0.1:{gateway.port}/{number}", api_key=KEY, archive=None)

    oldest = client(0)
    kept = [client(number) for number in range(1, api.MOST_KEPT + 1)]
    assert [client(number) for number in range(1, api.MOST_KEPT + 1)] == kept
    assert client(0) is not oldest
    oldest.generate("a boat", **SMALL)  # whoever holds it may use it
    assert KEY not in repr(kept)


def test_many_threads_with_many_keys_all_get_their_pictures(gateway: Gateway) -> None:
    def call(number: int) -> None:
        base = f"http://127.0.0.1:{gateway.port}/{number % 12}"
        made.append(cm.generate("a boat", base_url=base, api_key=f"{KEY}{number}", **SMALL))

    made: list[cm.Images] = []
    threads = [threading.Thread(target=call, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 24


def test_a_sessions_limit_holds_over_clients_of_all_keys() -> None:
    with start_sandbox() as sandbox:
        images = cm.generate("a boat", base_url=sandbox.base_url, api_key=KEY, **SMALL)
        limited = {"base_url": sandbox.base_url, "max_cost_session": images.cost}
        with cm.Client(api_key=PLAIN, **limited) as client, pytest.raises(cm.BudgetExceededError):
            client.generate("another boat", **SMALL)


# --- keys are looked for after the arguments were read


@pytest.mark.parametrize(
    ("prompt", "options", "param"),
    [("", {}, "prompt"), ("a boat", {"size": "7x7"}, "size"), ("a boat", {"colour": "red"}, "colour")],
)
def test_what_is_wrong_with_a_call_is_said_before_a_key_is_missed(
    prompt: str, options: dict[str, Any], param: str
) -> None:
    for call in (cm.generate, lambda *args, **more: asyncio.run(cm.agenerate(*args, **more))):
        with pytest.raises(cm.InvalidRequestError) as caught:
            call(prompt, **options)
        assert caught.value.param == param
    with pytest.raises(cm.MissingKeyError):
        cm.generate("a boat")


# --- keys in the wrong places


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with start_sandbox() as sandbox:
        monkeypatch.setenv("COMETAPI_KEY", PLAIN)
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        yield sandbox


def waited(prompt: str, **options: Any) -> cm.Images:
    with cm.Client() as client:
        return client.generate(prompt, **options)


def submitted(prompt: str, **options: Any) -> cm.Images:
    with cm.Client() as client:
        return client.submit(prompt, **options).result()


def planned(prompt: str, **options: Any) -> Any:
    with cm.Client() as client:
        return client.plan(prompt, **options)


def awaited(prompt: str, **options: Any) -> cm.Images:
    async def call() -> cm.Images:
        async with cm.AsyncClient() as client:
            return await client.generate(prompt, **options)

    return asyncio.run(call())


DOORS: dict[str, Callable[..., Any]] = {
    "generate": cm.generate,
    "agenerate": lambda prompt, **options: asyncio.run(cm.agenerate(prompt, **options)),
    "Client": waited,
    "submit": submitted,
    "plan": planned,
    "AsyncClient": awaited,
}
PLACES: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": f"a boat with {PLAIN} on its sail"},
    "prompt, spaced and in capitals": {"prompt": " ".join(PLAIN.upper())},
    "user": {"user": PLAIN},
    "model": {"model": PLAIN},
    "quality": {"quality": KEY},
    "extra": {"extra": {"token": PLAIN}},
    "the name of an extra": {"extra": {PLAIN: 1}},
    "deep in extra": {"extra": {"a": [{"b": ("c", f"Bearer {PLAIN}")}]}},
}


@pytest.mark.parametrize("door", DOORS)
def test_a_key_in_a_call_is_refused_before_anything_is_stored(
    sandbox: Sandbox, door: str, tmp_path: Any
) -> None:
    for place, given in PLACES.items():
        with pytest.raises(cm.InvalidRequestError, match="contains what looks like an API key") as caught:
            DOORS[door](**{"prompt": "a boat", **SMALL, **given})
        for key in (PLAIN, KEY):
            assert not found(key, "\n".join(caught.value.lines())), place
            frames = [line for line in our_frames(caught.value) if "test_connection" not in line]
            assert [line for line in frames if found(key, line)] == [], place
    assert sandbox.log == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and found(PLAIN, path.read_bytes())] == []


def test_a_key_in_a_tables_row_fails_that_row_and_is_not_stored(sandbox: Sandbox, tmp_path: Any) -> None:
    rows = [
        {"prompt": "a boat", "note": "fine"},
        {"prompt": f"a castle {PLAIN}", "note": "fine"},
        {"prompt": "a bridge", "note": f"made with {PLAIN}"},
        {"prompt": "a tower", "note": {"nested": [PLAIN]}},
    ]
    report = cm.generate_dataset(rows, "out", progress=False, **SMALL)
    assert report.counts["done"] == 1
    assert report.counts["failed"] == 3
    (reason,) = {record["message"] for record in report.records() if record["message"]}
    assert "API key" in reason
    assert [entry.method for entry in sandbox.log].count("POST") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file() and found(PLAIN, path.read_bytes())] == []


def test_a_key_in_a_column_of_a_parameter_refuses_the_table(sandbox: Sandbox, tmp_path: Any) -> None:
    rows = [{"prompt": "a boat", "user": "me"}, {"prompt": "a tower", "user": PLAIN}]
    with pytest.raises(cm.CometError, match="user contains what looks like an API key") as caught:
        cm.generate_dataset(rows, "out", progress=False, **SMALL)
    assert not found(PLAIN, "\n".join(caught.value.lines()))
    assert sandbox.log == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and found(PLAIN, path.read_bytes())] == []


@pytest.mark.parametrize("word", ["whatever", "not-needed", "sandbox", "lm-studio"])
def test_a_word_that_stands_for_a_key_may_be_in_a_prompt(gateway: Gateway, word: str) -> None:
    base = f"http://127.0.0.1:{gateway.port}"
    assert len(cm.generate(f"a boat or {word} floats", base_url=base, api_key=word, **SMALL)) == 1


def test_a_key_for_a_worker_in_its_request_is_refused(sandbox: Sandbox) -> None:
    for request in ({"prompt": "a boat", "api_key": PLAIN}, {"prompt": f"a boat {KEY}", **SMALL}):
        with pytest.raises(cm.InvalidRequestError) as caught:
            generate_one(request, "store")
        frames = [line for line in our_frames(caught.value) if found(PLAIN, line) or found(KEY, line)]
        assert frames == []


WRONG: dict[str, dict[str, Any]] = {
    "token": {"token": PLAIN},
    "headers": {"headers": {"Authorization": f"Bearer {PLAIN}"}},
    "default_headers": {"default_headers": {"api-key": PLAIN}},
    "organization": {"organization": PLAIN},
    "a user name": {"base_url": f"https://u:{PLAIN}@gateway.example/v1"},
    "a user name in place of a host": {"base_url": f"https://{PLAIN}@gateway.example/v1"},
    "a query": {"base_url": f"https://gateway.example/v1?key={PLAIN}"},
    "auth": {"auth": ("user", PLAIN)},
    "bytes": {"api_key": PLAIN.encode()},
    "a list": {"api_key": [PLAIN]},
    "a mapping": {"api_key": {"key": PLAIN}},
    "a function": {"api_key": lambda key=PLAIN: key},
    "100 KB": {"api_key": PLAIN * 3200},
    "quotes": {"api_key": f'"{PLAIN}"'},
    "half quotes": {"api_key": f"'{PLAIN}"},
    "an address of bytes": {"base_url": f"https://u:{PLAIN}@gateway.example/v1".encode()},
}
CLIENTS: dict[str, Callable[..., Any]] = {
    "Client": cm.Client,
    "AsyncClient": cm.AsyncClient,
    "generate": lambda **options: cm.generate("a boat", **options),
    "generate_dataset": lambda **options: cm.generate_dataset(["a boat"], "out", progress=False, **options),
    "generate_one": lambda **options: generate_one({"prompt": "a boat"}, "store", **options),
}


@pytest.mark.parametrize("door", CLIENTS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_key_under_a_wrong_name_or_of_a_wrong_kind_stays_in_no_frame(wrong: str, door: str) -> None:
    kept = Secret(PLAIN)
    with pytest.raises(cm.CometError) as caught:
        CLIENTS[door](**WRONG[wrong])
    error = caught.value
    assert isinstance(error, cm.ConfigurationError | cm.InvalidRequestError)
    assert error.__cause__ is error.__context__ is None
    assert not found(PLAIN, "\n".join(error.lines()))
    assert [line for line in our_frames(error) if found(PLAIN, line)] == []
    assert kept.reveal() == PLAIN


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f'"{KEY}"', "is in quotes"),
        (f"'{KEY}", "is in quotes"),
        (f"`{KEY}`", "is in quotes"),
        ("k" * 8_001, "has 8,001 characters; a key has at most 8,000"),
    ],
)
def test_a_key_of_the_environment_that_cannot_be_one_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("COMETAPI_KEY", value)
    with pytest.raises(cm.ConfigurationError, match=f"the key from COMETAPI_KEY {said}") as caught:
        cm.Client()
    assert not found(KEY, repr(list(our_frames(caught.value))))
