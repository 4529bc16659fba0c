"""Behind real software: nginx before the API, squid and tinyproxy before the user, TLS with a CA of its own.

Everything listens on loopback. The API and the picture host have names that squid alone can find.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from comet_magic.sandbox import Sandbox
from tests.loopback import until
from tests.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

API, PICTURES = "api.comet.test", "pictures.comet.test"
NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  server {{  # pictures are at the API's own origin
    listen 127.0.0.1:{own} ssl;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header Host $http_host;
    location / {{ proxy_pass http://127.0.0.1:{sandbox}; }}
  }}
  server {{  # pictures are at a host of their own
    listen 127.0.0.1:{other} ssl;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header Host {pictures}:{other};
    location / {{ proxy_pass http://127.0.0.1:{sandbox}; }}
  }}
}}
"""
SQUID = """
http_port 127.0.0.1:{port}
http_access allow all
hosts_file {folder}/hosts
pid_filename none
access_log none
cache_log {folder}/squid.log
netdb_filename none
cache deny all
cache_mem 1 MB
max_filedescriptors 256
pinger_enable off
shutdown_lifetime 0 seconds
coredump_dir {folder}
"""
TINYPROXY = """
Listen 127.0.0.1
Port {port}
Timeout 20
MaxClients 50
LogLevel Warning
LogFile "{folder}/tinyproxy.log"
Upstream http 127.0.0.1:{squid}
"""


def pictures_of(base_url: str, folder: str) -> list[int]:
    """Ask in four ways: in the answer, by an address, in a stream, for a table; the pictures that came of each."""
    import comet_magic as cm

    given: dict[str, Any] = {"base_url": base_url, "api_key": "sandbox", "retry_base_delay": 0.01}
    small: dict[str, Any] = {"model": "dall-e-2", "size": "256x256"}
    with cm.Client(archive=f"{folder}/one", **given) as client:
        inline = client.generate("in the answer", response_format="b64_json", **small)
        fetched = client.generate("by an address", response_format="url", **small)
        streamed = client.generate(
            "in a stream", stream=True, partial_images=1, quality="low", size="1024x1024"
        )
    rows = [f"row {number}" for number in range(20)]
    options = {"response_format": "url", "progress": False, **given, **small}
    report = cm.generate_dataset(rows, f"{folder}/many", **options)
    return [len(inline.data), len(fetched.data), len(streamed.data), report.counts["done"]]


def posts_of(log: list[Any]) -> list[int]:
    """How many POSTs arrived for each way to ask."""
    prompts = [entry.prompt or "" for entry in log if entry.method == "POST"]
    return [sum(way in prompt for prompt in prompts) for way in ("in the", "by an", "in a stream", "row ")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def installed(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextmanager
def serving(port: int, *command: str) -> Iterator[None]:
    """A server in the foreground that answers at its port; it is stopped for sure."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert until(lambda: answers(port) or process.poll() is not None, 20), "it does not answer"
        assert process.poll() is None, process.communicate()[0]
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in which servers can write that run as a user of their own."""
    with tempfile.TemporaryDirectory(prefix="proxies-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture(scope="module")
def nginx(folder: Path, sandbox: Sandbox) -> Iterator[dict[str, int]]:
    """The ports of a reverse proxy: `own` and `other`, for where pictures are."""
    program, ports = installed("nginx"), {"own": free_port(), "other": free_port()}
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("127.0.0.1", API, PICTURES).private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    port = sandbox.base_url.rpartition(":")[2].partition("/")[0]
    text = NGINX.format(folder=folder, sandbox=port, pictures=PICTURES, **ports)
    (folder / "nginx.conf").write_text(text)
    with serving(ports["own"], program, "-p", str(folder), "-c", str(folder / "nginx.conf")):
        yield ports


@pytest.fixture(scope="module")
def squid(folder: Path) -> Iterator[int]:
    """The port of a forward proxy that knows the names."""
    program, port = installed("squid"), free_port()
    (folder / "hosts").write_text(f"127.0.0.1 {API} {PICTURES}\n")
    (folder / "squid.conf").write_text(SQUID.format(folder=folder, port=port))
    with serving(port, program, "-N", "-f", str(folder / "squid.conf")):
        yield port


@pytest.fixture(scope="module")
def tinyproxy(folder: Path, squid: int) -> Iterator[int]:
    """The port of a forward proxy that asks another one."""
    program, port = installed("tinyproxy"), free_port()
    (folder / "tinyproxy.conf").write_text(TINYPROXY.format(folder=folder, port=port, squid=squid))
    with serving(port, program, "-d", "-c", str(folder / "tinyproxy.conf")):
        yield port


@pytest.fixture
def trusting(folder: Path, nginx: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The ports of the reverse proxy, whose authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    return nginx


EACH_ONCE = [1, 1, 1, 20]


def test_a_reverse_proxy_before_the_api(sandbox: Sandbox, trusting: dict[str, int], tmp_path: Path) -> None:
    seen = len(sandbox.log)
    assert pictures_of(f"https://127.0.0.1:{trusting['own']}/v1", str(tmp_path)) == EACH_ONCE
    assert posts_of(sandbox.log[seen:]) == EACH_ONCE


@pytest.mark.parametrize("kind", ["squid", "tinyproxy"])
def test_a_forward_proxy_before_the_user(
    *,
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    trusting: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: Any,
    kind: str,
) -> None:
    names |= {API: [[]], PICTURES: [[]]}
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{request.getfixturevalue(kind)}")
    seen = len(sandbox.log)
    assert pictures_of(f"https://{API}:{trusting['other']}/v1", str(tmp_path)) == EACH_ONCE
    assert posts_of(sandbox.log[seen:]) == EACH_ONCE


def relay(listener: socket.socket, connect: Any) -> None:
    """Hand on between whoever connects and a connection of one's own, until the listener is shut."""
    with suppress(OSError):
        while True:
            ends = listener.accept()[0], connect()
            threading.Thread(target=join, args=ends, daemon=True).start()


def join(inside: socket.socket, outside: socket.socket) -> None:
    with inside, outside:
        back = threading.Thread(target=hand_on, args=(outside, inside), daemon=True)
        back.start()
        hand_on(inside, outside)
        back.join()


def hand_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


# In a network without a way out: a proxy on loopback, which a socket of the file system leads to.
ALONE = """
import json, os, socket, subprocess, sys, threading
from contextlib import suppress
from typing import Any
{functions}
def to_the_proxy():
    outside = socket.socket(socket.AF_UNIX)
    outside.connect(way_out)
    return outside

way_out, base_url, folder = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with socket.create_server(("127.0.0.1", 0)) as listener:
    threading.Thread(target=relay, args=(listener, to_the_proxy)).start()
    os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    print(json.dumps(pictures_of(base_url, folder)))
    listener.shutdown(socket.SHUT_RDWR)
"""


@pytest.fixture
def way_out(squid: int, folder: Path) -> Iterator[str]:
    """A socket of the file system that leads to the forward proxy."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "way-out"))
        listener.listen()
        to_squid = partial(socket.create_connection, ("127.0.0.1", squid))
        thread = threading.Thread(target=relay, args=(listener, to_squid))
        thread.start()
        yield str(folder / "way-out")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_forward_proxy_as_the_only_way_out(
    sandbox: Sandbox, trusting: dict[str, int], tmp_path: Path, way_out: str
) -> None:
    alone = [installed("unshare"), "--net"]
    if subprocess.run([*alone, installed("ip"), "link"], check=False, capture_output=True).returncode:
        pytest.skip("a network namespace needs root, or is not permitted here")
    script = ALONE.replace(
        "{functions}", "".join(map(inspect.getsource, (relay, join, hand_on, pictures_of)))
    )
    seen = len(sandbox.log)
    output = run(script, way_out, f"https://{API}:{trusting['other']}/v1", tmp_path, under=alone)
    assert json.loads(output) == posts_of(sandbox.log[seen:]) == EACH_ONCE
