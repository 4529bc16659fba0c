"""Proxies: whom they may stand before, what is asked of them, what is said when one is at fault."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic import APIConnectionError, Client, ConfigurationError, DownloadError, UnsafeURLError, doctor
from comet_magic.client.proxy import environment_proxy, is_excepted
from comet_magic.client.vendor import reachable
from comet_magic.sandbox import Sandbox
from comet_magic.settings import resolve_base_url
from tests.faults.ending import marked
from tests.faults.pictures import picture
from tests.faults.proxies import SILENCE
from tests.faults.row import Row
from tests.faults.server import PICTURES_NAME, TLS_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.proxies import ProxyServer
    from tests.faults.server import FaultServer

PUBLIC = "93.184.216.34"
FAKE = "198.18.0.77"
EVERY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets variables of proxies; one address for all of them by default."""

    def setting(address: str = "", **named: str) -> None:
        for name, value in (dict.fromkeys(EVERY, address) if address else named).items():
            monkeypatch.setenv(name, value)

    return setting


@pytest.fixture
def remote(arguments: dict[str, Any], server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments for the API at a name that only a proxy can find."""
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    return arguments | {"base_url": server.trusted_url}


def authority(url: str) -> str:
    return url.split("/")[2]


# --- this machine


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST"])
@pytest.mark.parametrize("kind", ["http", "https", "socks4", "socks", "socks5", "socks5h", "ftp"])
def test_this_machine_is_never_reached_by_a_proxy(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    environment: Any,
    host: str,
    kind: str,
) -> None:
    environment(proxy.url.replace("http", kind, 1))
    prompt = marked(Row("F:url-ok"))
    base_url = server.base_url.replace("127.0.0.1", host)
    with Client(**arguments | {"base_url": base_url}) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert proxy.asked == []


@pytest.mark.parametrize("name", EVERY)
def test_no_variable_puts_a_proxy_before_this_machine(
    arguments: dict[str, Any], proxy: ProxyServer, environment: Any, name: str
) -> None:
    environment(**{name: proxy.url})
    prompt = marked(Row("F:normal"))
    with Client(**arguments) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert proxy.asked == []


def test_free_pages_of_this_machine_are_read_without_a_proxy(proxy: ProxyServer, environment: Any) -> None:
    environment(proxy.url)
    with Sandbox() as sandbox:
        base = resolve_base_url(sandbox.base_url)
        with Client(base_url=sandbox.base_url, api_key="sandbox", archive=None) as client:
            assert client.catalogue()
            assert client.balance().used == 0
        assert reachable(base) is None
    assert proxy.asked == []


# --- which proxy


@pytest.mark.parametrize(
    ("entries", "host", "excepted"),
    [
        ("example.com", "example.com", True),
        ("example.com", "www.Example.COM.", True),
        ("EXAMPLE.com.", "api.example.com", True),
        (".example.com", "example.com", True),
        (" a.b ,, .example.com ", "x.y.example.com", True),
        ("a.b example.com", "example.com", True),
        ("example.com:8443", "example.com", True),
        ("example.com:443", "example.com", False),
        (".example.com:8443", "www.example.com", True),
        ("example.com", "notexample.com", False),
        ("www.example.com", "example.com", False),
        ("com", "example.com", True),
        ("*", "example.com", True),
        (" * ", "10.0.0.1", True),
        ("*.example.com", "www.example.com", False),
        (".", "example.com", False),
        ("", "example.com", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "10.200.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.1.2.3/8", "10.200.0.1", True),
        ("10.0.0.0/8:8443", "10.0.0.1", True),
        ("10.0.0.0/33,10.0.0.0/x,/8", "10.0.0.1", False),
        ("10.0.0.1:8443", "10.0.0.1", True),
        ("10.0.0.1:8444", "10.0.0.1", False),
        ("1", "10.0.0.1", False),
        ("0.0.1", "10.0.0.1", False),
        ("10.0.0.0/8", "10.example.com", False),
        ("0.0.0.0/0", "192.168.1.1", True),
        ("0.0.0.0/0", "fd00::1", False),
        ("fd00::1", "[fd00:0::1]", True),
        ("[fd00::1]", "fd00::1", True),
        ("[FD00::1]:8443", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", False),
        ("fd00::/8", "fd12::1", True),
        ("[fd00::]/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("[", "fd00::1", False),
    ],
)
def test_no_proxy_is_read_as_curl_reads_it(
    environment: Any, entries: str, host: str, *, excepted: bool
) -> None:
    assert is_excepted(host, 8443, entries) is excepted
    named = f"[{host.strip('[]')}]" if ":" in host else host
    for name in ("NO_PROXY", "no_proxy"):
        environment(**{"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "", name: entries})
        assert (environment_proxy(f"https://{named}:8443/v1") is None) is excepted


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ({"HTTPS_PROXY": "http://name:word@p.test:3128/path?x#y"}, "http://p.test:3128 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a.test", "https_proxy": "b.test:1"}, "http://b.test:1 (https_proxy)"),
        ({"ALL_PROXY": "socks5h://u@p.test"}, "socks5h://p.test (ALL_PROXY)"),
        ({"ALL_PROXY": "http://a.test", "https_proxy": "http://b.test"}, "http://b.test (https_proxy)"),
        ({"HTTPS_PROXY": " [::1]:3128 "}, "http://[::1]:3128 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "HTTPS://bücher.test:1"}, "https://xn--bcher-kva.test:1 (HTTPS_PROXY)"),
        ({"HTTP_PROXY": "http://a.test"}, "None"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "  "}, "None"),
        ({"HTTPS_PROXY": "http://a.test", "https_proxy": ""}, "None"),
    ],
)
def test_the_environment_names_a_proxy_which_is_shown_without_its_login(
    environment: Any, named: dict[str, str], shown: str
) -> None:
    environment(**named)
    assert str(environment_proxy("https://api.comet.test/v1")) == shown


@pytest.mark.parametrize("kind", ["socks4", "ftp", "gopher"])
def test_a_proxy_of_another_kind_is_told_before_anything_is_paid(
    arguments: dict[str, Any], environment: Any, kind: str
) -> None:
    address = f"{kind}://user:hunter2word@127.0.0.1:9"
    with pytest.raises(ConfigurationError, match=f"proxy of download_proxy is for {kind};"):
        Client(**arguments, download_proxy=address)
    environment(address)
    remote = arguments | {"base_url": "https://api.comet.test/v1"}
    with pytest.raises(ConfigurationError, match=f"proxy of the environment is for {kind};") as caught:
        Client(**remote)
    assert caught.value.outcome == "not_sent"
    assert "https_proxy names it" in caught.value.hint
    environment(NO_PROXY="api.comet.test")
    Client(**remote).close()


@pytest.mark.parametrize(
    "address",
    [
        *("http://p.test:0", "http://p.test:65536", "http://p.test:-1", "http://p.test:word", "http://:3128"),
        *("p.test:99999", "http://", "//p.test:1", "http://a b:1", "http://p.test:1\x00", "http://[::1:1"),
        *("http://u:hunter2#word@p.test:1", "http://u:hunter2/word@p.test:1", "http://u:hunter2@:1"),
    ],
)
def test_a_proxy_that_cannot_be_read_is_told_before_anything_is_paid(
    remote: dict[str, Any], environment: Any, address: str
) -> None:
    with pytest.raises(ConfigurationError, match="the proxy of download_proxy cannot be read") as caught:
        Client(**remote, download_proxy=address)
    if "\x00" not in address:  # no variable holds it
        environment(HTTPS_PROXY=address)
        with pytest.raises(ConfigurationError, match="the proxy of the environment cannot be read") as caught:
            Client(**remote)
        assert "HTTPS_PROXY" in caught.value.hint
    assert "port of 1 to 65535" in str(caught.value)
    assert "hunter2" not in "".join(caught.value.lines())


# --- the API behind a proxy


@pytest.mark.parametrize("kind", ["url", "six_url", "tls_url", "socks_url", "socks5h", "path", "bare"])
@pytest.mark.parametrize("login", ["", "na%40me:p%3Aw%2Fd"])
def test_the_api_is_reached_through_the_environments_proxy(
    *,
    remote: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    environment: Any,
    kind: str,
    login: str,
) -> None:
    address = getattr(proxy, kind, proxy.url)
    if kind == "socks5h":
        address = proxy.socks_url.replace("socks5", "socks5h")
    elif kind == "path":
        address += "/some/path?and=more#place"
    if login:
        proxy.login = "na@me:p:w/d"
        address = address.replace("://", f"://{login}@")
    environment(HTTPS_PROXY=address.removeprefix("http://") if kind == "bare" else address)
    prompt = marked(Row("F:normal"))
    with Client(**remote) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    (asked,) = proxy.asked
    assert asked == f"{'SOCKS' if 'socks' in kind else 'CONNECT'} {authority(server.trusted_url)}"
    assert reachable(resolve_base_url(server.trusted_url)) is None
    assert len(proxy.asked) == 2


@pytest.mark.parametrize(
    ("reply", "kind", "said", "tries"),
    [
        (403, "url", "does not lead to {host} (403 Forbidden)", 1),
        (404, "url", "does not lead to {host} (404 Not Found)", 1),
        (407, "url", "asks for a login", 1),
        (429, "url", "does not lead to {host} (429 Too Many Requests)", 3),
        (503, "url", "does not lead to {host} (503 Service Unavailable)", 3),
        (302, "url", "does not lead to {host} (302 Found)", 3),
        (b"", "url", "cannot be reached (RemoteProtocolError)", 3),
        (b"what is HTTP?\r\n\r\n", "url", "cannot be reached (RemoteProtocolError)", 3),
        (SILENCE, "url", "cannot be reached (TimeoutError)", 3),
        (b"", "tls_url", "cannot be reached (RemoteProtocolError)", 3),
        (b"HTTP/1.1 200 OK\r\n\r\n", "socks_url", "cannot be reached (", 3),
        (b"", "socks_url", "cannot be reached (", 3),
        (b"\x05\xff", "socks_url", "asks for a login", 1),
        (b"\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "socks_url", "cannot be reached (", 3),
        (SILENCE, "socks_url", "cannot be reached (TimeoutError)", 3),
    ],
)
def test_a_proxy_at_fault_is_named_and_nothing_is_sent(
    *,
    remote: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    environment: Any,
    reply: int | bytes,
    kind: str,
    said: str,
    tries: int,
) -> None:
    address = getattr(proxy, kind)
    environment(HTTPS_PROXY=address)
    if isinstance(reply, int):
        proxy.refuse(reply)
    else:
        proxy.reply = reply
    prompt = marked(Row("F:normal"))
    with Client(**remote, connect_timeout=0.2) as client, pytest.raises(APIConnectionError) as caught:
        client.generate(prompt)
    host = authority(server.trusted_url)
    assert f"the proxy {address} (HTTPS_PROXY) {said.format(host=host)}" in str(caught.value)
    assert (caught.value.outcome, len(proxy.asked), server.counts(prompt).posts) == ("not_sent", tries, 0)


@pytest.mark.parametrize("kind", ["url", "socks_url"])
def test_a_login_that_a_proxy_does_not_accept_is_told_and_tried_once(
    remote: dict[str, Any], proxy: ProxyServer, environment: Any, kind: str
) -> None:
    proxy.login = "name:word"
    address = getattr(proxy, kind)
    environment(HTTPS_PROXY=address.replace("://", "://name:hunter2@"))
    with Client(**remote) as client, pytest.raises(APIConnectionError) as caught:
        client.generate("never sent")
    assert f"the proxy {address} (HTTPS_PROXY) does not accept the name and password" in str(caught.value)
    assert "hunter2" not in "".join(caught.value.lines())
    assert len(proxy.asked) == (kind == "url")


def test_a_proxy_that_is_not_there_or_not_trusted_is_named(
    remote: dict[str, Any], server: FaultServer, proxy: ProxyServer, environment: Any
) -> None:
    dead = server.dead_url.removesuffix("/v1")
    untrusted = server.tls_url.removesuffix("/v1")
    plain = proxy.url.replace("http", "https")
    for address, said in (
        (dead, "cannot be reached (ConnectError)"),
        (untrusted, "has no certificate that this machine trusts"),
        (plain, "cannot be reached (TimeoutError)"),
        (f"http://{'x' * 300}:1", "cannot be reached"),
    ):
        environment(HTTPS_PROXY=address)
        with (
            Client(**remote, max_attempts=1, connect_timeout=0.3) as client,
            pytest.raises(APIConnectionError) as caught,
        ):
            client.generate("never sent")
        assert f"the proxy {address} (HTTPS_PROXY) {said}" in str(caught.value)
        assert caught.value.outcome == "not_sent"


def test_the_doctor_names_the_proxy_without_its_login(
    remote: dict[str, Any], proxy: ProxyServer, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(HTTPS_PROXY=proxy.url.replace("://", "://name:hunter2@"))
    monkeypatch.setenv("COMETAPI_BASE_URL", remote["base_url"])
    found = "".join(map(str, doctor.examine(str(remote["archive"]))))
    assert f"answers (COMETAPI_BASE_URL), through the proxy {proxy.url} (HTTPS_PROXY)" in found
    assert "hunter2" not in found


# --- pictures behind a proxy


@pytest.mark.parametrize("addresses", [[], [PUBLIC], [PUBLIC, "93.184.216.35"]], ids=str)
def test_a_picture_that_cannot_be_reached_directly_comes_through_the_environments_proxy(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    environment: Any,
    monkeypatch: pytest.MonkeyPatch,
    names: Any,
    reached: list[str],
    addresses: list[str],
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    names[PICTURES_NAME] = [addresses]
    environment(ALL_PROXY=proxy.url)
    prompts = [f"{marked(Row('F:url-secure'))}{number}" for number in range(3)]
    with Client(**arguments) as client:
        assert [client.generate(prompt).data for prompt in prompts] == [(picture(one),) for one in prompts]
    assert proxy.asked == [f"CONNECT {authority(server.secure_cdn_url)}"] * 3
    assert [host for host in reached if host != "127.0.0.1"] == addresses  # tried once, then known


@pytest.mark.parametrize(
    ("address", "resolved"),
    [
        ("https://pictures.test/0.png", ["10.0.0.7"]),
        ("https://pictures.test/0.png", [PUBLIC, "127.0.0.1"]),
        ("https://pictures.test/0.png", ["::ffff:127.0.0.1"]),
        ("https://pictures.test/0.png", [FAKE]),
        ("https://printer.local/0.png", []),
        ("https://nas.lan/0.png", []),
        ("https://metadata.google.internal/0.png", []),
        ("https://wiki.corp/0.png", []),
        ("https://intranet/0.png", []),
        ("https://10.0.0.7/0.png", []),
        ("https://user:word@pictures.test/0.png", []),
    ],
)
def test_a_picture_inside_the_network_is_never_asked_of_a_proxy(
    *,
    arguments: dict[str, Any],
    proxy: ProxyServer,
    environment: Any,
    names: Any,
    address: str,
    resolved: list[str],
) -> None:
    names["pictures.test"] = [resolved]
    environment(proxy.url)
    with Client(**arguments) as client, pytest.raises(UnsafeURLError) as caught:
        client.generate(marked(Row("F:url-given")), extra={"address": address})
    assert proxy.asked == []
    assert caught.value.urls == (address,)
    assert ("download_proxy" in caught.value.hint) == (resolved == [FAKE])


@pytest.mark.parametrize(
    ("address", "origins", "excepted"),
    [
        ("http://pictures.test/0.png", [], ""),  # not https
        ("https://93.184.216.34/0.png", [], ""),  # no name
        ("https://gw.corp/0.png", ["https://gw.corp"], ""),  # the user's own, inside
        ("https://gw/0.png", ["https://gw"], ""),
        ("https://pictures.test/0.png", [], "a.test, .pictures.test:443"),
    ],
)
def test_other_pictures_are_asked_for_directly_only(
    *,
    arguments: dict[str, Any],
    proxy: ProxyServer,
    environment: Any,
    names: Any,
    reached: list[str],
    address: str,
    origins: list[str],
    excepted: str,
) -> None:
    names |= {name: [[]] for name in ("pictures.test", "gw.corp", "gw")}
    environment(proxy.url)
    environment(NO_PROXY=excepted)
    with Client(**arguments | {"picture_origins": origins}) as client, pytest.raises(DownloadError):
        client.generate(marked(Row("F:url-given")), extra={"address": address})
    assert proxy.asked == []


@pytest.mark.parametrize("source", ["environment", "download_proxy"])
@pytest.mark.parametrize(
    ("status", "said", "tries"),
    [(403, "403 Forbidden", 1), (407, "asks for a login", 1), (502, "502 Bad", 4)],
)
def test_a_picture_that_a_proxy_refuses_is_asked_once_and_its_address_kept(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    environment: Any,
    names: Any,
    source: str,
    status: int,
    said: str,
    tries: int,
) -> None:
    names[PICTURES_NAME] = [[]]
    proxy.refuse(status)
    if source == "environment":
        environment(https_proxy=proxy.url)
    else:
        arguments["download_proxy"] = proxy.url
    named_by = "https_proxy" if source == "environment" else source
    with Client(**arguments) as client, pytest.raises(DownloadError) as caught:
        client.generate(marked(Row("F:url-secure")))
    assert f"the proxy {proxy.url} ({named_by}) " in str(caught.value)
    assert said in str(caught.value)
    assert (caught.value.outcome, len(proxy.asked)) == ("billed", tries)
    assert caught.value.urls[0].startswith(server.secure_cdn_url)


@pytest.mark.parametrize("kind", ["url", "tls_url", "socks_url"])
def test_a_pictures_certificate_is_checked_against_its_name_through_a_proxy_too(
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    good = marked(Row("F:url-secure"))
    other = server.secure_cdn_url.replace(PICTURES_NAME, "other.test")
    with Client(**arguments, download_proxy=getattr(proxy, kind)) as client:
        assert client.generate(good).data == (picture(good),)
        with pytest.raises(DownloadError, match=r"the certificate of other\.test is for another host"):
            client.generate(marked(Row("F:url-given")), extra={"address": f"{other}/0.png"})
    assert len(proxy.asked) == 2


def test_the_proxy_for_pictures_is_used_for_all_of_other_machines_whatever_their_names_resolve_to(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    names: Any,
    reached: list[str],
    environment: Any,
) -> None:
    names["pictures.test"] = [[FAKE]]
    environment(NO_PROXY="*")
    near, far = marked(Row("F:url-ok")), marked(Row("F:url-elsewhere"))
    with Client(**arguments, download_proxy=proxy.url) as client:
        assert client.generate(near).data == (picture(near),)
        assert proxy.asked == []
        assert client.generate(far).data == (picture(far),)
        for address in ("https://10.0.0.7/0.png", "https://intranet/0.png", server.trap_urls["two"]):
            with pytest.raises(UnsafeURLError):
                client.generate(marked(Row("F:url-given")), extra={"address": address})
    (line,) = proxy.asked
    assert line.startswith("GET http://pictures.test:")
    assert set(reached) == {"127.0.0.1"}


def test_the_environment_and_a_flag_name_the_proxy_for_pictures(
    arguments: dict[str, Any], proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMETIMG_DOWNLOAD_PROXY", proxy.url)
    prompt = marked(Row("F:url-elsewhere"))
    with Client(**arguments) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert len(proxy.asked) == 1
    monkeypatch.setenv("COMETIMG_DOWNLOAD_PROXY", "ftp://a.test")
    with pytest.raises(ConfigurationError, match="proxy of download_proxy is for ftp"):
        Client(**arguments)
    Client(**arguments, download_proxy=proxy.url).close()


@pytest.mark.parametrize("address", ["socks4://127.0.0.1:9", "http://127.0.0.1:99999"])
def test_a_proxy_that_cannot_be_used_costs_a_picture_and_not_the_truth_about_the_money(
    arguments: dict[str, Any], names: Any, environment: Any, address: str
) -> None:
    names[PICTURES_NAME] = [[]]
    environment(ALL_PROXY=address)
    with (
        Client(**arguments) as client,
        pytest.raises(DownloadError, match="the proxy of the environment") as caught,
    ):
        client.generate(marked(Row("F:url-secure")))
    assert caught.value.outcome == "billed"
    assert "ALL_PROXY" in str(caught.value)
    assert caught.value.urls


def test_a_picture_that_comes_directly_is_asked_of_no_proxy(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    names: Any,
    environment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    names[PICTURES_NAME] = [["127.0.0.1"]]
    environment(proxy.url)
    prompt = marked(Row("F:url-secure"))
    with Client(**arguments | {"picture_origins": [server.secure_cdn_url]}) as client:
        assert client.generate(prompt).data == (picture(prompt),)
    assert proxy.asked == []


def test_a_name_that_hangs_leaves_time_for_the_proxy(
    *,
    arguments: dict[str, Any],
    server: FaultServer,
    proxy: ProxyServer,
    names: Any,
    environment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Firewalls drop what they do not let out, so connecting ends by its time limit, at every address."""
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    hole = server.blackhole_url.removesuffix("/v1").rpartition(":")[2]
    connect = socket.socket.connect

    def dropped(self: socket.socket, address: Any) -> None:
        connect(self, ("127.0.0.1", int(hole)) if address[0].startswith("93.") else address)

    monkeypatch.setattr(socket.socket, "connect", dropped)
    names[PICTURES_NAME] = [[f"93.184.216.{number}" for number in range(1, 9)]]
    environment(https_proxy=proxy.url)
    prompt = marked(Row("F:url-secure"))
    with Client(**arguments, download_timeout=1.6) as client:
        assert client.generate(prompt).data == (picture(prompt),)


# --- the user's own origin


def test_another_hosts_redirect_does_not_lead_to_the_users_own_origin(
    arguments: dict[str, Any], server: FaultServer, proxy: ProxyServer
) -> None:
    own = f"{server.base_url.removesuffix('/v1')}/p"
    location = f"HTTP/1.1 302 Found\r\nLocation: {own}\r\nContent-Length: 0\r\n\r\n"
    proxy.reply = location.encode()
    with Client(**arguments, download_proxy=proxy.url) as client, pytest.raises(UnsafeURLError) as caught:
        client.generate(marked(Row("F:url-given")), extra={"address": "http://pictures.test/0.png?sig=1"})
    assert f"http://pictures.test/0.png redirects to {own}" in str(caught.value)
    assert caught.value.urls == ("http://pictures.test/0.png?sig=1",)


@pytest.mark.parametrize("name", ["trap", "metadata", "localhost", "userinfo", "file"])
def test_the_users_own_origin_does_not_lead_inside_by_a_redirect(
    arguments: dict[str, Any], server: FaultServer, name: str
) -> None:
    prompt = marked(Row(f"F:url-redirect-{name}"))
    address = f"{server.base_url.removesuffix('/v1')}/p/{server.token(prompt)}/url-redirect-{name}/0.png"
    with Client(**arguments) as client, pytest.raises(UnsafeURLError, match="redirects to"):
        client.generate(marked(Row("F:url-given")), extra={"address": address})
    assert server.counts(prompt).gets == 1


def test_an_internal_api_gives_its_own_pictures_also_by_relative_addresses(
    remote: dict[str, Any], server: FaultServer, names: Any
) -> None:
    names[TLS_NAME] = [["127.0.0.1"]]
    relative, missing = marked(Row("F:url-relative")), marked(Row("F:url-given"))
    with Client(**remote | {"picture_origins": [], "retry_base_delay": 0.001}) as client:
        assert client.generate(relative).data == (picture(relative),)
        with pytest.raises(DownloadError) as caught:
            client.generate(missing, extra={"address": "../missing.png?sig=1"})
        assert caught.value.urls == (f"{server.trusted_url}/missing.png?sig=1",)
    assert server.counts(relative).gets == 1


def test_where_the_api_redirects_is_told(arguments: dict[str, Any], server: FaultServer) -> None:
    with Client(**arguments) as client, pytest.raises(Exception, match="it redirects to") as caught:
        client.generate(marked(Row("F:redirect-cross-308")))
    assert f"{server.cdn_url}/steal" in str(caught.value)
    assert caught.value.outcome == "rejected"
