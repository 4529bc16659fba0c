"""Real kernels, started once and given back clean after each test."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import coverage
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

import comet_magic
from comet_magic.sandbox import Sandbox, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXECUTABLES = [sys.executable, *filter(None, os.environ.get("COMET_TEST_KERNELS", "").split(os.pathsep))]
ROOT = Path(__file__).parent.parent.parent
PACKAGE = Path(comet_magic.__file__).parent.parent
KEY = "sk-" + "kernelTESTKEY0123456789abcdef"
# `%reset` collects garbage twice: what was imported is left out of that, which is most of the time of a short test.
FREEZE = "import gc; gc.freeze()"


@dataclass
class Output:
    """One output of a cell, as a notebook keeps it: an update replaces what its display id showed."""

    kind: str
    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str | None = None

    @property
    def is_caption(self) -> bool:
        return "comet-caption" in self.data.get("text/html", "")

    @property
    def pictures(self) -> list[str]:
        return [mime for mime in self.data if mime.startswith("image/")]


@dataclass
class Ran:
    """What came of a cell."""

    status: str
    outputs: list[Output] = field(default_factory=list)
    updates: list[Output] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    error: dict[str, Any] | None = None
    reply: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def traceback(self) -> list[str]:
        return list(self.error["traceback"]) if self.error else []

    @property
    def shown(self) -> list[Output]:
        """The outputs a person sees, without captions."""
        return [output for output in self.outputs if output.data and not output.is_caption]

    @property
    def captions(self) -> list[Output]:
        """What stands below pictures."""
        return [output for output in self.outputs if output.is_caption]


class Kernel:
    """A running kernel and a client of it."""

    def __init__(self, executable: str, folder: Path) -> None:
        spec = KernelSpec(
            argv=[executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], display_name="test"
        )
        self._manager = KernelManager(connection_file=str(folder / "kernel.json"))
        self._manager._kernel_spec = spec
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COMET")}
        environment |= {
            "PYTHONPATH": str(PACKAGE),
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"),
            "COVERAGE_FILE": str(ROOT / ".coverage"),
        }
        self._manager.start_kernel(env=environment, cwd=str(folder))
        self.client = self._manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        if coverage.Coverage.current() is not None:
            self.run("import coverage; coverage.process_startup()")
        self.run(FREEZE)

    def close(self) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel()

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._manager.signal_kernel(signal.SIGKILL)
        while self._manager.is_alive():
            time.sleep(0.01)

    def start(self, code: str, **options: Any) -> str:
        return str(self.client.execute(code, **options))

    def finish(
        self, message_id: str, *, timeout: float = 60, watch: Callable[[Output], None] | None = None
    ) -> Ran:
        """Collect what a cell says until the kernel is idle again."""
        ran, begun = Ran("?"), time.monotonic()
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, timeout - (time.monotonic() - begun)))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            ran.messages.append(message)
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
            _collect(ran, message["msg_type"], content)
            if watch is not None and message["msg_type"] in ("display_data", "update_display_data"):
                watch((ran.updates or ran.outputs)[-1])
        ran.seconds = time.monotonic() - begun
        ran.reply = self._reply(message_id, timeout)
        ran.status = ran.reply["status"]
        return ran

    def _reply(self, message_id: str, timeout: float) -> dict[str, Any]:
        while True:
            reply = self.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == message_id:
                return dict(reply["content"])

    def run(self, code: str, *, timeout: float = 60) -> Ran:
        return self.finish(self.start(code), timeout=timeout)

    def value(self, expression: str) -> Any:
        """The value of an expression, by its repr."""
        import ast

        message_id = self.client.execute("", user_expressions={"value": expression}, store_history=False)
        result = self.finish(message_id).reply["user_expressions"]["value"]
        assert result["status"] == "ok", result
        return ast.literal_eval(result["data"]["text/plain"])

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def complete(self, code: str) -> dict[str, Any]:
        message_id = self.client.complete(code, len(code))
        return self._reply(message_id, 30)

    def inspect(self, code: str) -> str:
        message_id = self.client.inspect(code, len(code))
        return str(self._reply(message_id, 30)["data"].get("text/plain", ""))


def _collect(ran: Ran, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
    elif kind == "error":
        ran.error = content
    elif kind in ("display_data", "execute_result", "update_display_data"):
        shown = content.get("transient", {}).get("display_id")
        output = Output(kind, content["data"], content["metadata"], shown)
        if kind != "update_display_data":
            ran.outputs.append(output)
            return
        ran.updates.append(output)
        for old in ran.outputs:
            if old.display_id == shown:
                old.data, old.metadata = output.data, output.metadata


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests the newest kernel; those of `every_kernel` the lowest supported one too.

    The mark is for what IPython and ipykernel do, each version in its way: loading, what a cell becomes before it
    runs, displays, tracebacks, interrupts, completion, input. What the package makes of it needs one kernel.
    """
    used = EXECUTABLES if metafunc.definition.get_closest_marker("every_kernel") else EXECUTABLES[:1]
    for name in {"running_kernel", "fresh_kernel"}.intersection(metafunc.fixturenames):
        scope = "session" if name == "running_kernel" else "function"
        ids = [Path(path).parent.parent.name for path in used]
        metafunc.parametrize(name, used, ids=ids, indirect=True, scope=scope)


@pytest.fixture(scope="session")
def running_kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    kernel = Kernel(request.param, tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def fresh_kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """A kernel of the test's own, in which nothing was ever imported."""
    kernel = Kernel(request.param, tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def bare_kernel(running_kernel: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in the test's folder, with nothing loaded."""
    while True:
        try:
            running_kernel.client.get_iopub_msg(timeout=0)
        except Empty:
            break
    state = os.environ["XDG_STATE_HOME"]
    running_kernel.run(f"import os; os.chdir({str(tmp_path)!r}); os.environ['XDG_STATE_HOME'] = {state!r}")
    yield running_kernel
    running_kernel.run(
        "%unload_ext comet_magic\n%reset -f\n"
        "import os, gc, sys\n"
        "for name in [name for name in os.environ if name.startswith('COMET')]: del os.environ[name]\n"
        "get_ipython().config.pop('CometMagics', None)\n"
        "if 'comet_magic.settings' in sys.modules: sys.modules['comet_magic.settings'].logout()\n"
        f"{FREEZE}\n"
    )


@pytest.fixture
def kernel(bare_kernel: Kernel) -> Kernel:
    """A kernel with the extension loaded and no key."""
    loaded = bare_kernel.run("%load_ext comet_magic")
    assert loaded.status == "ok", loaded.error
    return bare_kernel


@pytest.fixture
def sandbox(plain_pictures: None) -> Iterator[Sandbox]:
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def slow_sandbox() -> Iterator[Sandbox]:
    """One that takes a minute: whoever meets it has to be interrupted."""
    with start_sandbox(delay=60) as sandbox:
        yield sandbox


@pytest.fixture
def connect(kernel: Kernel) -> Callable[[Sandbox], Kernel]:
    """Give the kernel a key and the address of a sandbox, as a person's environment would."""

    def connect(sandbox: Sandbox) -> Kernel:
        kernel.run(
            f"import os; os.environ['COMETAPI_KEY'] = {KEY!r}; os.environ['COMETAPI_BASE_URL'] = {sandbox.base_url!r}"
        )
        return kernel

    return connect
