"""What a machine may lack: a home, a working folder, a keyring that answers, a `.env` that can be read."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import comet_magic as cm
from comet_magic import machine, settings
from comet_magic.__main__ import main
from comet_magic.client import close_shared_client
from comet_magic.notebook import account
from comet_magic.sandbox import start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

KEY = "sk-" + "machine0123456789abcdef"
SMALL: Any = {"model": "dall-e-2", "size": "256x256"}


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    settings.logout()
    monkeypatch.setattr(settings, "_told", set())
    yield
    settings.logout()
    close_shared_client()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


class Keyring(ModuleType):
    """A keyring that counts how often it is asked."""

    def __init__(self, answer: Callable[[], str | None]) -> None:
        super().__init__("keyring")
        self.asked = 0
        self._answer = answer

    def get_password(self, service: str, user: str) -> str | None:
        self.asked += 1
        return self._answer()

    def set_password(self, service: str, user: str, password: str) -> None:
        self._answer()


class DBusErrorResponse(Exception):  # noqa: N818 - the backend's own name
    """What one backend raises; it is none of the keyring's own errors."""


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Ends the wait of a keyring that hangs."""
    event = threading.Event()
    yield event
    event.set()


def raising(fault: BaseException) -> Callable[[], str | None]:
    def answer() -> str | None:
        raise fault

    return answer


def install(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], str | None]) -> Keyring:
    keyring = Keyring(answer)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    return keyring


# --- a keyring


FAULTS = {
    "its own error": (DBusErrorResponse("NoReply"), "DBusErrorResponse NoReply"),
    "a system's error": (PermissionError(13, "Permission denied"), "Permission denied"),
    "the end of the process": (SystemExit(3), "SystemExit 3"),
    "an assertion": (AssertionError(), "AssertionError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_keyring_that_breaks_is_left_out_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    raised, words = FAULTS[fault]
    keyring = install(monkeypatch, raising(raised))
    Path(".env").write_text(f"COMETAPI_KEY={KEY}\nCOMETAPI_BASE_URL=x\n")
    Path(".env").chmod(0o600)
    monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
    for prompt in ("a boat", "a castle"):
        assert len(cm.generate(prompt, **SMALL)) == 1
    assert keyring.asked == 1
    assert [record.getMessage() for record in caplog.records] == [f"the keyring was left out: {words}"]


def test_a_keyring_that_hangs_is_asked_once_and_left_out(
    monkeypatch: pytest.MonkeyPatch, end: threading.Event
) -> None:
    monkeypatch.setattr(machine, "PATIENCE", 0.05)
    keyring = install(monkeypatch, lambda: str(end.wait()))
    threads = [threading.Thread(target=cm.AsyncClient, kwargs={"base_url": None}) for _ in range(3)]
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # they find no key
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(cm.MissingKeyError) as caught:
        cm.Client()
    assert keyring.asked == 1
    assert "The keyring was left out: it gave no answer in time." in caught.value.hint


def test_where_its_dialog_can_be_answered_a_keyring_may_take_longer(
    monkeypatch: pytest.MonkeyPatch, end: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def answer() -> str | None:
        end.wait()
        return KEY

    class WhenTold(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            end.set()  # somebody reads the line and answers the dialog

    monkeypatch.setattr(machine, "PATIENCE", 0.05)
    monkeypatch.setenv("DISPLAY", ":0")
    install(monkeypatch, answer)
    handler = WhenTold()
    logging.getLogger("comet_magic").addHandler(handler)
    try:
        assert settings.find_key(None, settings.resolve_base_url()).source == "keyring"
    finally:
        logging.getLogger("comet_magic").removeHandler(handler)
    assert "waiting for the keyring, which may show a dialog" in caplog.text


def test_an_answer_of_the_keyring_is_kept_until_the_logout(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = install(monkeypatch, lambda: KEY)
    base = settings.resolve_base_url()
    assert [settings.find_key(None, base).source for _ in range(3)] == ["keyring"] * 3
    assert keyring.asked == 1
    settings.logout()
    settings.find_key(None, base)
    assert keyring.asked == 2


def test_an_interrupt_of_a_source_stays_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        machine.ask("a file", raising(KeyboardInterrupt()))


# --- a home and a working folder


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without HOME and without an entry in the table of users, as in a container with a random id."""

    def getpwuid(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    with pytest.raises(RuntimeError):
        Path.home()


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder that was removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    yield
    os.chdir(tmp_path)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "comet_magic")
    yield shell
    shell.run_line_magic("unload_ext", "comet_magic")


def test_without_a_home_everything_works(
    shell: InteractiveShell, homeless: None, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(cm.generate("a boat", base_url=sandbox.base_url, api_key=KEY, **SMALL)) == 1
    Path("rows.csv").write_text("prompt\na boat\n")
    report = cm.generate_dataset(
        "rows.csv", "out", progress=False, base_url=sandbox.base_url, api_key=KEY, **SMALL
    )
    assert report.counts["done"] == 1
    assert len(shell.run_cell_magic("cometimg", "--model dall-e-2 --size 256x256 -q", "a boat")) == 1
    shell.run_line_magic("cometimg_status", "")
    assert main(["doctor"]) in (0, 1)
    cm.panel().close()
    assert "archive" in capsys.readouterr().out


HOMES: dict[str, Callable[[], Any]] = {
    "an archive": lambda: cm.Client(api_key=KEY, archive="~/pictures"),
    "a dataset": lambda: cm.generate_dataset(["a boat"], "~/out", api_key=KEY),
    "a report": lambda: cm.open_dataset("~/out"),
    "a store": lambda: cm.generate_one({"prompt": "a boat"}, "~/store", api_key=KEY),
}


@pytest.mark.parametrize("what", HOMES)
def test_without_a_home_a_path_that_begins_there_is_refused_in_a_sentence(homeless: None, what: str) -> None:
    with pytest.raises(cm.ConfigurationError, match="begins with ~, and this user has no home folder"):
        HOMES[what]()


def test_without_a_home_a_picture_is_not_lost_to_a_wrong_path(homeless: None, sandbox: Sandbox) -> None:
    images = cm.generate("a boat", base_url=sandbox.base_url, api_key=KEY, **SMALL)
    with pytest.raises(cm.SaveError, match="home"):
        images.save("~/boat.png")


FOLDERS: dict[str, Callable[[Any], Any]] = {
    "generate": lambda given: cm.generate("a boat", **given, **SMALL),
    "Client": lambda given: cm.Client(**given),
    "a dataset": lambda given: cm.generate_dataset(["a boat"], "out", progress=False, **given, **SMALL),
    "a report": lambda given: cm.open_dataset("out"),
    "a store": lambda given: cm.generate_one({"prompt": "a boat"}, "store", **given),
    "history": lambda given: cm.history(),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_a_working_folder_that_is_gone_is_told_as_such(lost: None, sandbox: Sandbox, what: str) -> None:
    with pytest.raises(cm.ConfigurationError, match="the working folder is gone") as caught:
        FOLDERS[what]({"base_url": sandbox.base_url, "api_key": KEY})
    assert "%cd" in caught.value.hint
    assert sandbox.log == []


def test_without_a_working_folder_a_whole_path_works(lost: None, sandbox: Sandbox, tmp_path: Path) -> None:
    with cm.Client(base_url=sandbox.base_url, api_key=KEY, archive=tmp_path / "pictures") as client:
        assert len(client.generate("a boat", **SMALL)) == 1


def test_a_notebook_says_that_its_folder_is_gone_and_its_status_works(
    shell: InteractiveShell, lost: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(cm.ConfigurationError, match="the working folder is gone") as caught:
        shell.run_cell_magic("cometimg", "", "a boat")
    assert len(caught.value.lines()) <= 6
    shell.run_line_magic("cometimg_status", "")
    out = capsys.readouterr().out
    assert "the working folder is gone" in out
    assert "base URL" in out


def test_the_doctor_looks_at_a_machine_that_lacks_all(homeless: None, lost: None, capsys: Any) -> None:
    main(["doctor"])
    assert "the working folder is gone" in capsys.readouterr().out


# --- a `.env`


@pytest.mark.parametrize("kind", ["a folder above it", "the file"])
def test_an_env_file_that_may_not_be_read_is_left_out(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, shell: InteractiveShell, kind: str, capsys: Any
) -> None:
    if kind == "the file":
        Path(".env").symlink_to("/proc/self/mem")
    else:
        refused = PermissionError(13, "Permission denied")
        monkeypatch.setattr("comet_magic.key_sources.find_dotenv", lambda _: raising(refused)())
    shell.run_cell_magic("cometimg", "--model dall-e-2 --size 256x256 -q", "a boat")
    assert "was left out: " in capsys.readouterr().out
    assert "was left out: " in account.heading()["notice"]
    with pytest.raises(cm.MissingKeyError) as caught:
        cm.generate("a boat")
    assert "was left out: " in caught.value.hint
    assert main(["doctor"]) in (0, 1)
    assert "was left out: " in capsys.readouterr().out


def test_a_command_goes_on_without_an_env_file_that_cannot_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"COMETAPI_KEY=\xff\xfe\n")
    Path("rows.csv").write_text("prompt\na boat\n")
    command = [sys.executable, "-m", "comet_magic", "dataset", "rows.csv", "out", "--model", "dall-e-2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    without = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert without.returncode != 0
    assert "no API key was found" in without.stderr
    assert "was left out: it is not UTF-8 text" in without.stderr
    assert "Traceback" not in without.stderr


# --- few open files

FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
import comet_magic as cm
report = cm.generate_dataset(
    [f"boat {number}" for number in range(20)], "out", base_url=sys.argv[1], api_key="x", max_in_flight=20,
    progress=False, model="dall-e-2", size="256x256",
)
print(report.counts["done"])
"""


def test_where_few_files_may_be_open_fewer_calls_are_in_flight_and_all_are_kept(sandbox: Sandbox) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", FEW_FILES, sandbox.base_url]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "20", ran.stderr
    assert [entry.method for entry in sandbox.log].count("POST") == 20
    assert "in flight instead of 20" in ran.stderr


# --- a clock far off

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long now(void) { return atol(getenv("NOW")); }
int clock_gettime(clockid_t id, struct timespec *t) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int ended = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec = now();
    return ended;
}
time_t time(time_t *p) { if (p) *p = now(); return now(); }
int gettimeofday(struct timeval *t, void *zone) { t->tv_sec = now(); t->tv_usec = 0; return 0; }
"""
AT_THAT_TIME = """
import datetime, sys
import comet_magic as cm
from comet_magic.__main__ import main
ways = {"base_url": sys.argv[1], "api_key": "x", "model": "dall-e-2", "size": "256x256"}
cm.generate("a boat", **ways)
assert len(cm.generate("a boat", reuse=True, **ways)) == 1
assert len(cm.history().to_frame()) == 1
report = cm.generate_dataset(["a boat", "a castle"], "out", progress=False, **ways)
report.to_frame()
report.export("tars", format="webdataset")
main(["doctor", "--repair"])
with cm.Client(base_url=sys.argv[1], api_key="x", max_cost_day=5) as client:
    client.generate("a bridge", model="dall-e-2", size="256x256")
print(datetime.datetime.now().year, report.counts["done"])
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc, for a shim of the clock"
)
@pytest.mark.parametrize(("now", "year"), [(5, 1970), (9_223_000_000, 2262)])
def test_a_clock_far_off_stops_nothing(sandbox: Sandbox, now: int, year: int) -> None:
    Path("clock.c").write_text(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"], check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(Path("clock.so").absolute()),
        "NOW": str(now),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, "-c", AT_THAT_TIME, sandbox.base_url]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1:] == [f"{year} 2"], ran.stderr


IN_A_BROWSER = """\
import sys
sys.platform = "emscripten"
sys.modules |= dict.fromkeys(("resource", "fcntl", "pwd", "PIL", "httpx"))  # importing them fails
import comet_magic as cm
for use in (lambda: cm.generate("a boat"), lambda: cm.Client(), cm.panel, lambda: cm.load_ipython_extension(None)):
    try:
        use()
    except cm.ConfigurationError as error:
        print(error)
"""


def test_in_jupyterlite_importing_says_in_a_sentence_what_does_not_work() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", IN_A_BROWSER],
        capture_output=True, text=True, check=True, cwd=Path(cm.__file__).parents[1],
    )  # fmt: skip

    said = ran.stdout.splitlines()
    assert len(said) == 4
    assert set(said) == {said[0]}
    assert "JupyterLite" in said[0]
    assert ran.stderr.count(f"UserWarning: {said[0]}") == 1
