"""What every test has: a clean environment, a folder of its own, no way out but loopback; and a fault server."""

from __future__ import annotations

import compileall
import contextlib
import gc
import importlib
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.faults.server import FaultServer

ROOT = Path(__file__).parent.parent
MEMORY, ROOM = (
    "/dev/shm",
    8 << 30,
)  # a file system in memory, and the bytes it must have for the tests' folders

hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, database=None)
hypothesis.settings.register_profile("full", max_examples=10_000, deadline=None, database=None)
hypothesis.settings.register_profile("quick", max_examples=50, deadline=None, database=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the long forms too, by hand")


def pytest_configure(config: pytest.Config) -> None:
    profile = "full" if config.getoption("--full") else os.environ.get("HYPOTHESIS_PROFILE", "ci")
    hypothesis.settings.load_profile(profile)
    if not hasattr(config, "workerinput"):
        # Else each worker, and where nothing may be written each process that a test starts, compiles it again.
        compileall.compile_dir(ROOT / "comet_magic", quiet=1)
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _room_in(MEMORY) > ROOM:
        # Thousands of folders, and files that are synced: what they are on costs more than most tests.
        os.environ["PYTEST_DEBUG_TEMPROOT"] = MEMORY
    # Who starts the tests in the background of a shell hands on that interrupts are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _room_in(folder: str) -> int:
    """Bytes that may be written there."""
    return shutil.disk_usage(folder).free if os.access(folder, os.W_OK | os.X_OK) else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if "full" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="a long form: --full runs it"))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect no garbage while thousands of tests are made, and leave them out of every later collection.

    Each process would spend three seconds on it, and then half a second at a time.
    """
    gc.disable()
    try:
        _import_share(session.config)
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def _import_share(config: pytest.Config) -> None:
    """Where workers collect the whole suite, import this one's share of it first.

    Rewriting the assertions of a file takes longer than all else that collecting does. It is done once for all
    workers if each begins with other files, and finds the rest rewritten by the others.
    """
    worker: dict[str, int | str] | None = getattr(config, "workerinput", None)
    if worker is None or config.args != config.getini("testpaths"):
        return
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    first, step = int(str(worker["workerid"]).removeprefix("gw")), int(worker["workercount"])
    for path in files[first::step]:
        # What cannot be imported is told, or skipped, when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.fixture(autouse=True)
def _at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No key, setting, proxy or certificate of the person who runs the tests; a working folder of the test's own."""
    for name in list(os.environ):
        if name.startswith(("COMET", "OPENAI_", "SSL_CERT_")) or name.lower().endswith(
            ("_proxy", "_ca_bundle")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state" / tmp_path.name))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _a_session_of_its_own() -> None:
    """What a test spends counts in no other test."""
    from comet_magic.client.spending import spending_of

    spending_of.cache_clear()


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sandboxes of this process fill pictures with a colour: where nobody looks at one, painting costs the most.

    Another prompt or another position gives other bytes, as it does with the painter.
    """
    from PIL import Image

    from comet_magic.sandbox import painter

    def fill(
        prompt: str, *, width: int, height: int, position: int = 0, transparent: bool = False
    ) -> Image.Image:
        colour = sha256(f"{prompt} {position}".encode("utf-8", "surrogatepass")).digest()
        mode, shade = ("RGBA", (*colour[:3], 9)) if transparent else ("RGB", tuple(colour[:3]))
        return Image.new(mode, (width, height), shade)

    monkeypatch.setattr(painter, "paint", fill)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can read; those above `tmp_path` they cannot."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """A test that reaches beyond this machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if isinstance(host, str) and not _loopback(host):
            raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def faults() -> Iterator[FaultServer]:
    """The fault server, started once for all tests of a process."""
    from tests.faults.server import FaultServer

    with FaultServer() as server:
        yield server
    assert server.problems == []


@pytest.fixture
def server(faults: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """The fault server; a test with it fails when anything touched a trap or carried the key astray."""
    monkeypatch.setenv("COMETIMG_PICTURE_ORIGINS", faults.picture_origins)
    before = len(faults.problems)
    yield faults
    assert faults.problems[before:] == []
