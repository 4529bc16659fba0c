"""The key, its parts and its encodings stand in nothing that a program shows, keeps or hands on."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import os
import pickle
import pprint
import re
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import psutil
import pytest
from IPython.lib.pretty import pretty

import comet_magic as cm
from comet_magic import settings
from comet_magic.__main__ import main
from comet_magic.client.core import configure
from comet_magic.doctor import examine
from comet_magic.pipeline import generate_dataset
from comet_magic.remote import generate_one
from comet_magic.sandbox import start_sandbox
from tests import processes
from tests.key_forms import attributes, found, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("plain_pictures")

KEY = "sk-" + "T3st+Qw9/eRt=Yu5IoP7zXc1VbN"
BROKEN = KEY + "\nX-Evil: 1"
SMALL: Any = {"model": "dall-e-2", "size": "256x256"}
ROOT = Path(__file__).parent.parent


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def named(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the environment names, with a key for it."""
    monkeypatch.setenv("COMETAPI_KEY", KEY)
    monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
    return sandbox


WAYS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": format,
    "dir": dir,
    "pprint": pprint.pformat,
    "pretty": pretty,
    "vars": lambda thing: [repr(each) for each in attributes(thing)],
    "asdict": lambda thing: repr(dataclasses.asdict(thing)),
    "json of its text": lambda thing: json.dumps(thing, default=str),
    "json of its variables": lambda thing: json.dumps(thing, default=vars),
    "pickle": lambda thing: pickle.dumps(thing).decode("latin-1"),
    "cloudpickle": lambda thing: cloudpickle.dumps(thing).decode("latin-1"),
    "copy": lambda thing: repr(vars(copy.copy(thing))),
    "deepcopy": lambda thing: repr(vars(copy.deepcopy(thing))),
    "mimebundle": lambda thing: repr(thing._repr_mimebundle_()),
}


def shown(thing: Any, way: str) -> str:
    """What a thing shows of itself; a refusal is what it says."""
    try:
        return str(WAYS[way](thing))
    except (TypeError, ValueError, AttributeError, RecursionError, pickle.PicklingError) as refusal:
        return "".join(traceback.format_exception(refusal))


@pytest.fixture
def holders(named: Sandbox) -> Iterator[dict[str, Any]]:
    """Everything that has to do with a key: at rest, at work, and after a failure."""
    argument = cm.Client(base_url=named.base_url, api_key=KEY, archive=None)
    with argument as client, cm.Client(archive=None) as other, start_sandbox(delay=30) as slow:
        with cm.Client(base_url=slow.base_url, api_key=KEY, archive=None) as busy:
            job = busy.submit("a boat", **SMALL)
            assert slow.until(bool)
            with pytest.raises(cm.InvalidRequestError) as refused:
                client.generate("a boat", model="dall-e-2", size="7x7")
            base = settings.resolve_base_url()
            key = settings.find_key(None, base)
            yield {
                "a client": client,
                "a client of the environment": other,
                "an awaited client": cm.AsyncClient(base_url=named.base_url, api_key=KEY, archive=None),
                "its core": client._core,
                "its transport": client._core.api,
                "its connections": client._core.api._connection,
                "the transport's key": client._core.api._secret,
                "its settings": client._core.settings,
                "what it is made from": configure({"api_key": KEY, "base_url": named.base_url}),
                "a key": key,
                "a secret": key.secret,
                "a plan": client.plan("a boat", **SMALL),
                "a job at work": job,
                "its client": busy,
                "a finished job": finished(client),
                "pictures": client.generate("a boat", **SMALL),
                "an archive": client.archive,
                "an error": refused.value,
                "a method": client.generate,
            }
            job.drop()


def finished(client: cm.Client) -> Any:
    job = client.submit("a boat", **SMALL)
    job.result(timeout=30)
    return job


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_looking_at_anything_shows_the_key(holders: dict[str, Any], way: str) -> None:
    assert {name: hits for name, thing in holders.items() if (hits := found(KEY, shown(thing, way)))} == {}


def test_nothing_that_can_be_reached_from_anything_is_the_key(holders: dict[str, Any]) -> None:
    for name, thing in holders.items():
        for each in reached(thing):
            text = each if isinstance(each, (str, bytes)) else repr(each)[:100_000]
            assert not found(KEY, text), f"{name} leads to a {type(each).__name__} that shows it"


def test_no_variable_of_ours_holds_the_key_while_it_is_sent(named: Sandbox) -> None:
    frames: dict[str, str] = {}

    def look(event: Any) -> None:
        frame = sys._getframe()
        while frame is not None and getattr(event, "state", "") == "waiting":
            if "comet_magic" in frame.f_code.co_filename:
                frames[frame.f_code.co_qualname] = repr(frame.f_locals)
            frame = frame.f_back

    with cm.Client(archive=None) as client:
        client.generate("a boat", **SMALL, on_event=look)

    assert "APITransport.send" in frames
    assert [name for name, shown in frames.items() if found(KEY, shown)] == []


def test_a_key_does_not_travel_to_another_process(named: Sandbox) -> None:
    with cm.Client(archive=None) as client:
        for thing in (client, client.generate, client.submit):
            with pytest.raises(TypeError, match="it holds a key; make one where it is needed"):
                cloudpickle.dumps(thing)


# --- failures


def constructed(options: dict[str, Any]) -> None:
    with cm.Client(**options):
        pass


def awaited(options: dict[str, Any]) -> None:
    async def call() -> None:
        async with cm.AsyncClient(**options) as client:
            await client.generate("a boat", **SMALL)

    asyncio.run(call())


def waited(options: dict[str, Any], **more: Any) -> None:
    with cm.Client(**options) as client:
        client.generate("a boat", **SMALL, **more)


def dataset(options: dict[str, Any], **more: Any) -> None:
    generate_dataset(["a boat"], "dataset", progress=False, **options, **SMALL, **more)


def on_a_worker(options: dict[str, Any]) -> None:
    generate_one({"prompt": "a boat", **SMALL}, "store", **options)


def named_key(value: str, look: Callable[[], Any]) -> None:
    os.environ["COMETAPI_KEY"] = value
    look()


MISTAKES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a key that is none": lambda given: constructed({**given, "api_key": BROKEN}),
    "a setting beside it that is none": lambda given: constructed({**given, "timeout": -1}),
    "a misspelled setting beside it": lambda given: constructed({**given, "max_inflight": 3}),
    "a misspelled name of the key": lambda given: constructed({"base_url": given["base_url"], "apikey": KEY}),
    "an address in the clear": lambda given: constructed({**given, "base_url": "http://api.example/v1"}),
    "a refused call": waited,
    "a refused call that is awaited": awaited,
    "a key given to the call": lambda given: waited(given, api_key=KEY),
    "a key given to the shared client's call": lambda given: cm.generate("a boat", api_key=KEY),  # type: ignore[call-arg]
    "an awaited one": lambda given: asyncio.run(cm.agenerate("a boat", api_key=KEY)),  # type: ignore[call-arg]
    "a key given to a shared client": lambda given: cm.client.shared_client(**{**given, "timeout": -1}),
    "a refused dataset": dataset,
    "a dataset with a setting that is none": lambda given: dataset(given, timeout=-1),
    "a dataset with a misspelled parameter": lambda given: dataset(given, sise="1x1"),
    "a refused worker": on_a_worker,
    "a worker with a setting that is none": lambda given: on_a_worker({**given, "timeout": -1}),
    "a key of the environment that is none": lambda given: named_key(BROKEN, cm.Client),
    "a status that meets one": lambda given: named_key(
        BROKEN, lambda: settings.find_key(None, settings.resolve_base_url())
    ),
    "a login that is none": lambda given: settings.check_key(BROKEN, "the prompt"),
}


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A client's arguments for a server that refuses, which the environment names too."""
    with start_sandbox(fail="401") as sandbox:
        monkeypatch.setenv("COMETAPI_KEY", KEY)
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        yield {"base_url": sandbox.base_url, "api_key": KEY}
        cm.client.close_shared_client()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_failure_remembers_the_key(mistake: str, refusing: dict[str, Any]) -> None:
    with pytest.raises(cm.CometError) as caught:
        MISTAKES[mistake](refusing)

    error = caught.value
    assert error.__cause__ is error.__context__ is None
    assert {way: hits for way in WAYS if (hits := found(KEY, shown(error, way)))} == {}
    assert found(KEY, "\n".join(error.lines())) == []
    assert [line for line in our_frames(error) if found(KEY, line)] == []


def our_frames(error: BaseException) -> Iterator[str]:
    """Each frame of a traceback with its variables, as a debugger or a report of errors shows it."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    for frame in whole.stack:
        if str(Path(cm.__file__).parent) in frame.filename:
            yield f"{frame.name}: {frame.locals}"


# --- what is written


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def betraying(folder: Path) -> list[str]:
    """Files under a folder that hold the key, or bear it in their name."""
    return [
        str(path) for path in files(folder) if found(KEY, path.read_bytes()) or found(KEY, str(path.name))
    ]


@pytest.fixture
def generous() -> Iterator[None]:
    """A person whose new files everybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_ledger_receipts_and_rescued_answers_are_for_their_owner_and_hold_no_key(
    generous: None, tmp_path: Path
) -> None:
    folder = tmp_path / "cometimg"
    for fail in (None, "empty", "cut", "401", "drop"):
        with start_sandbox(fail=fail) as sandbox:
            with cm.Client(base_url=sandbox.base_url, api_key=KEY, archive=folder) as client:
                with contextlib.suppress(cm.CometError):
                    client.generate("a boat", **SMALL)

    there = (folder, *folder.rglob("*"))
    open_to_others = [str(path) for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []
    assert {"images", "receipts.jsonl", "rescue", "ledger.sqlite"} <= {path.name for path in folder.iterdir()}
    assert betraying(tmp_path) == []


ROWS = "prompt,name\na boat,one\na castle,two\n"


def test_a_dataset_made_in_a_terminal_shows_and_keeps_no_key(named: Sandbox, tmp_path: Path) -> None:
    Path("rows.csv").write_text(ROWS)
    command = [sys.executable, "-m", "comet_magic", "dataset", "rows.csv", "out", "--model", "dall-e-2"]
    environment = {**os.environ, "PYTHONPATH": processes.HOME}
    with psutil.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        lines = commands_of(process)
        output, _ = process.communicate(timeout=100)

    assert process.returncode == 0, output
    assert len(list(tmp_path.glob("out/images/*/*/*.png"))) == 2
    assert lines
    assert found(KEY, repr(lines)) == []
    assert found(KEY, output) == []
    assert betraying(tmp_path) == []


def commands_of(process: psutil.Process) -> list[list[str]]:
    """The command lines of a process and its children, as everybody on the machine may list them."""
    lines = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for _ in range(20):
            lines += [one.cmdline() for one in (process, *process.children(recursive=True))]
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(0.05)
    return lines


def test_no_command_takes_a_key_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("sandbox", "dataset", "doctor"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    assert not re.search(r"--[\w-]*(key|token|secret)", capsys.readouterr().out)


def test_the_doctor_tells_the_source_of_a_key_and_never_the_key(
    named: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = repr(list(examine()))
    monkeypatch.setenv("COMETAPI_KEY", BROKEN)
    broken = repr(list(examine()))

    assert "API key from COMETAPI_KEY" in sound
    assert "the key from COMETAPI_KEY contains a space" in broken
    assert found(KEY, sound + broken) == []


# --- what is taught

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("comet_magic/**/*.py")])
# A recommendation, not a warning: `%env` prints what it sets, and a cell is kept with its notebook.
TAUGHT = re.compile(
    r"(?<!never )%(?:set_)?env\b|\bsk-[A-Za-z0-9_-]{8,}|api_key\s*=\s*[\"'](?!sandbox|none)"
    r"|environ\[[^]]*KEY[^]]*\]\s*=(?!\s*[\"']+sandbox)|(?:export|set)\s+COMETAPI_KEY=(?!sandbox)",
    re.IGNORECASE,
)


def test_no_page_teaches_to_write_a_key_into_a_cell() -> None:
    lines = [(page.name, line) for page in PAGES for line in page.read_text("utf-8").splitlines()]
    assert [where for where in lines if TAUGHT.search(where[1].replace('\\"', '"'))] == []
