"""Processes that die in the middle: whatever they leave, nothing is lost, hidden, or paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from PIL import Image

from comet_magic.archive import Archive, CopyTaken, Orphan
from comet_magic.request import ImageRequest

from . import archive_actor
from .archive_actor import PICTURES, WORDS, receipts
from .processes import run, start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes that die are forked")

# Forks at every step from one warm interpreter: an interpreter of its own for each would take minutes.
EVERY_STEP = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from tests import archive_actor as actor
root, way, stride = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
step = 1 - stride
while True:
    step += stride
    folder = root / str(step)
    child = os.fork()
    if child == 0:
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        actor.main(folder, way, step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        break
    assert os.waitstatus_to_exitcode(status) == -9, status
print(step)
"""


def charged(folder: Path) -> set[str]:
    log = Path(f"{folder}.server")
    return set(log.read_text().split()) if log.exists() else set()


def check_pictures(folder: Path) -> None:
    """Every file under its final name is whole and one of those that were made."""
    for path in (folder / "images").glob("*/[!.]*"):
        assert path.read_bytes() in PICTURES
        with Image.open(path) as image:
            image.load()


def check_money(folder: Path) -> None:
    """The sums are those of the rows."""
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = connection.execute("SELECT SUM(spent), SUM(reserved), SUM(uncertain) FROM money").fetchone()
        rows = connection.execute("SELECT state, reserved, cost FROM calls").fetchall()
    connection.close()
    spent = sum(reserved if cost is None else cost for state, reserved, cost in rows if state == "done")
    in_flight = sum(reserved for state, reserved, _ in rows if state in {"claimed", "received"})
    uncertain = sum(reserved for state, reserved, _ in rows if state == "unknown")
    assert tuple(value or 0 for value in kept) == (spent, in_flight, uncertain)


def finish(archive: Archive, orphan: Orphan) -> None:
    """What the client does with what a dead process left: no server is asked for it."""
    if orphan.raw_answer:
        assert json.loads(orphan.raw_answer.read_bytes()) == [0, 1]
        archive_actor.finish(archive, orphan.call, [0, 1])
    else:
        assert all(url.endswith("?sig=X") for _, url in orphan.urls)
        archive_actor.finish(archive, orphan.call, [position for position, _ in orphan.urls])


@pytest.mark.parametrize("way", ["body", "addresses"])
def test_killed_at_any_step_nothing_is_lost_or_hidden(
    tmp_path: Path, request: pytest.FixtureRequest, way: str
) -> None:
    stride = 1 if request.config.getoption("--full") else 6
    steps = int(run(EVERY_STEP, tmp_path, way, stride))
    assert steps > 100
    outcomes = set()

    for step in range(1, steps, stride):
        folder = tmp_path / str(step)
        check_pictures(folder)
        archive = Archive(folder)
        orphans = archive.reconcile()
        for orphan in orphans:
            finish(archive, orphan)

        entries = archive.history()
        paid = charged(folder)
        assert paid <= {entry.id for entry in entries}
        assert {entry.outcome for entry in entries} <= {"done", "unknown"}
        assert archive.open_calls() == archive.reconcile() == []
        for entry in entries:
            outcomes.add((entry.outcome, bool(orphans)))
            if entry.outcome == "done":
                assert [archive.load(picture) for picture in entry.pictures] == PICTURES
        if entries:
            check_money(folder)
            assert [call.id for call in archive.uncertain()] == [
                e.id for e in entries if e.outcome == "unknown"
            ]
        report = archive.repair()
        assert (report.settled, report.adopted, report.missing, report.damaged) == ((), (), (), ())
        assert not list(folder.rglob("*.part"))
        check_pictures(folder)
        archive.close()

    assert outcomes == {("unknown", False), ("done", False), ("done", True)}


def test_killed_at_random_while_many_calls_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rounds = 40 if request.config.getoption("--full") else 3
    dice = random.Random(7)
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from threading import Thread
from tests import archive_actor as actor
def work():
    while True:
        actor.journey(Path(sys.argv[1]), "body")
threads = [Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
print("started", flush=True)
"""
    folder = tmp_path / "cometimg"
    for _ in range(rounds):
        process = start(script, folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(dice.uniform(0.02, 0.4))  # a random moment is what is tested
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL

        check_pictures(folder)
        archive = Archive(folder)
        orphans = archive.reconcile()
        assert len(orphans) <= 4
        for orphan in orphans:
            finish(archive, orphan)
        assert archive.open_calls() == []
        archive.close()

    archive = Archive(folder)
    entries = archive.history(limit=None)
    assert charged(folder) <= {entry.id for entry in entries}
    assert len(archive.uncertain()) <= 4 * rounds
    for entry in entries:
        if entry.outcome == "done":
            assert [archive.load(picture) for picture in entry.pictures] == PICTURES
    check_money(folder)
    assert archive.repair().damaged == archive.repair().missing == ()
    archive.close()


# --- several at once ----------------------------------------------------------------------------------


def test_four_processes_share_an_archive_without_a_double_claim(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count, calls = (8, 100) if request.config.getoption("--full") else (4, 25)
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from tests import archive_actor as actor
sys.stdin.readline()
for _ in range({calls}):
    actor.journey(Path(sys.argv[1]), "body")
"""
    folder = tmp_path / "cometimg"
    processes = [start(script, folder) for _ in range(count)]
    ends = [process.communicate("go\n", timeout=100) for process in processes]

    assert ends == [("", "")] * count
    archive = Archive(folder)
    entries = archive.history(limit=None)
    pictures = archive.stored(entries[0].key)
    assert len(entries) == count * calls
    assert {entry.outcome for entry in entries} == {"done"}
    assert sorted(picture.copy for picture in pictures) == list(range(2 * count * calls))
    assert len({picture.path for picture in pictures}) == 2 * count * calls
    assert all(archive.load(picture) in PICTURES for picture in pictures)
    assert len(receipts(folder)) == count * calls
    assert archive.repair().unexplained == ()
    check_money(folder)
    archive.close()


def test_money_for_ten_shared_by_four_processes_makes_ten(tmp_path: Path) -> None:
    script = f"""
import sys
from comet_magic.archive import Archive, Budget
from comet_magic.errors import BudgetExceededError
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
sys.stdin.readline()
made = 0
for _ in range(30):
    try:
        call = archive.claim(ImageRequest("boat"), vendor="v", reserve=40_000, budget=Budget(archive=400_000))
        archive.settle(call, "done", cost=40_000)
        made += 1
    except BudgetExceededError:
        pass
archive.close()
print(made)
"""
    processes = [start(script) for _ in range(4)]
    made = [int(process.communicate("go\n", timeout=100)[0]) for process in processes]

    assert sum(made) == 10
    assert Archive(tmp_path / "cometimg").spend().spent_micro == 400_000


def test_a_named_copy_is_claimed_by_one_of_two_processes(tmp_path: Path) -> None:
    script = f"""
import sys
from comet_magic.archive import Archive, CopyTaken
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
sys.stdin.readline()
got = []
for copy in range(50):
    try:
        archive.claim(ImageRequest("boat"), vendor="v", reserve=1, copies=[copy])
        got.append(copy)
    except CopyTaken as error:
        assert [slot.outcome for slot in error.taken] == ["open"]
print(got, flush=True)
sys.stdin.readline()
"""
    processes = [start(script) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    got = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    for process in processes:
        process.communicate("end\n")

    assert sorted(got[0] + got[1]) == list(range(50))


def test_a_dead_process_is_told_from_a_living_one(tmp_path: Path) -> None:
    script = f"""
import sys
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
archive.claim(ImageRequest(sys.argv[1]), vendor="v", reserve=1)
print("claimed", flush=True)
sys.stdin.readline()
"""
    living, dying = start(script, "living"), start(script, "dying")
    for process in (living, dying):
        assert process.stdout is not None
        process.stdout.readline()
    dying.kill()
    dying.communicate()
    archive = Archive(tmp_path / "cometimg")

    assert {call.prompt: call.alive for call in archive.open_calls()} == {"living": True, "dying": False}
    assert archive.reconcile() == []
    assert [call.prompt for call in archive.uncertain()] == ["dying"]
    assert [call.prompt for call in archive.open_calls()] == ["living"]
    with pytest.raises(CopyTaken):
        archive.claim(ImageRequest("living"), vendor="v", reserve=1, copies=[0])
    living.communicate("end\n")
    archive.close()


def test_with_no_descriptor_left_a_living_process_is_not_taken_for_dead(tmp_path: Path) -> None:
    living = start(
        f"""
import sys
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
archive.claim(ImageRequest("living"), vendor="v", reserve=1)
print("claimed", flush=True)
sys.stdin.readline()
"""
    )
    assert living.stdout is not None
    living.stdout.readline()
    script = f"""
import os, resource
from comet_magic.archive import Archive
from comet_magic.errors import ConfigurationError
archive = Archive({str(tmp_path / "cometimg")!r})
print([call.alive for call in archive.open_calls()], end=" ")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
print([call.alive for call in archive.open_calls()], end=" ")
try:
    print(archive.reconcile(), end=" ")
except ConfigurationError:
    print("refused", end=" ")
for descriptor in held:
    os.close(descriptor)
print(archive.uncertain(), [call.alive for call in archive.open_calls()])
archive.close()
"""

    assert run(script) == "[True] [True] [] [] [True]\n"
    living.communicate("end\n")


@pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become somebody else"
)
def test_the_sign_of_life_of_somebody_else_is_one(public: Path) -> None:
    folder = public / "cometimg"
    archive = Archive(folder)
    archive.claim(ImageRequest("boat"), vendor="v", reserve=1)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o600 if path.suffix == ".lock" else 0o666)

    script = f"""
import os
from comet_magic.archive import Reader
os.setgid(65534); os.setuid(65534)
print([call.alive for call in Reader({str(folder)!r}).open_calls()])
"""

    assert run(script) == "[True]\n"
    archive.close()


def test_two_who_clean_up_at_once_do_not_finish_the_same_call(tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    dead = start(
        f"""
import os, signal
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(folder)!r})
for n in range(20):
    call = archive.claim(ImageRequest("boat"), vendor="v", reserve=1)
    archive.received(call, urls=["https://cdn.example/x.png"])
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    dead.communicate()
    script = f"""
import sys
from comet_magic.archive import Archive
archive = Archive({str(folder)!r})
sys.stdin.readline()
print([orphan.call.id for orphan in archive.reconcile()], flush=True)
sys.stdin.readline()
"""
    cleaners = [start(script) for _ in range(2)]
    for cleaner in cleaners:
        assert cleaner.stdin is not None
        cleaner.stdin.write("go\n")
        cleaner.stdin.flush()
    found = [json.loads(c.stdout.readline().replace("'", '"')) for c in cleaners if c.stdout]
    for cleaner in cleaners:
        cleaner.communicate("end\n")

    assert len(found[0]) + len(found[1]) == 20
    assert len({*found[0], *found[1]}) == 20


def test_a_fork_has_an_archive_of_its_own(tmp_path: Path) -> None:
    script = f"""
import os, sys, threading
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive, memory = Archive({str(tmp_path / "cometimg")!r}), Archive(None)
memory.claim(ImageRequest("boat"), vendor="v", reserve=1)
parent = archive.claim(ImageRequest("parent"), vendor="v", reserve=1)
stop = threading.Event()
def work():
    while not stop.is_set():
        archive.settle(archive.claim(ImageRequest("boat"), vendor="v", reserve=1), "done", cost=1)
worker = threading.Thread(target=work)
worker.start()
children = []
for n in range(20):
    child = os.fork()
    if child == 0:
        call = archive.claim(ImageRequest("child"), vendor="v", reserve=1)
        archive.settle(call, "done", cost=1)
        assert [c.alive for c in archive.open_calls() if c.id == parent.id] == [True]
        assert memory.history() == []
        archive.close()
        os._exit(0)
    children.append(child)
ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
stop.set()
worker.join()
print(ends == [0] * 20, len(archive.history("child", limit=None)), [c.id == parent.id for c in archive.open_calls()])
archive.close()
"""
    script = "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n" + script

    assert run(script) == "True 20 [True]\n"


def test_a_child_that_outlives_its_parent_does_not_keep_its_calls_alive(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
archive.claim(ImageRequest("boat"), vendor="v", reserve=1)
born, birth = os.pipe()
if os.fork() == 0:
    os.write(birth, b"!")
    sys.stdin.readline()
    os._exit(0)
os.read(born, 1)
print("forked", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = start(script)
    assert process.stdout is not None
    process.stdout.readline()
    process.wait()
    archive = Archive(tmp_path / "cometimg")

    assert [call.alive for call in archive.open_calls()] == [False]
    process.communicate("end\n")
    archive.close()


# --- the disk -----------------------------------------------------------------------------------------


def test_a_disk_that_is_full_for_the_picture_settles_the_money_all_the_same(tmp_path: Path) -> None:
    script = f"""
import hashlib, resource
from comet_magic.archive import Archive
from comet_magic.errors import SaveError
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
call = archive.claim(ImageRequest("boat"), vendor="v", reserve=9)
size = 2_000_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
data = bytes(size + 1)
try:
    archive.store(call, 0, data, mime="image/png", width=1, height=1, sha256=hashlib.sha256(data).hexdigest())
except OSError as error:
    archive.settle(call, "done", cost=5, error=SaveError(str(error)))
entry = archive.history()[0]
print(entry.outcome, entry.error, archive.spend().spent_micro)
archive.close()
"""

    assert run(script) == "failed SaveError 5\n"
    assert [path.name for path in (tmp_path / "cometimg").rglob("*") if "part" in path.name] == []


def test_a_disk_that_is_full_for_the_ledger_is_found_before_paying(tmp_path: Path) -> None:
    script = f"""
import resource
from comet_magic.archive import Archive
from comet_magic.errors import ConfigurationError
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
archive.settle(archive.claim(ImageRequest("boat"), vendor="v", reserve=9), "done", cost=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    archive.claim(ImageRequest("boat"), vendor="v", reserve=9)
except ConfigurationError as error:
    print(error.outcome)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
archive.close()
"""

    assert run(script) == "not_sent\n"
    assert Archive(tmp_path / "cometimg").spend().bound_micro == 1


def test_a_disk_that_fills_up_after_paying_is_an_os_error(tmp_path: Path) -> None:
    script = f"""
import resource
from comet_magic.archive import Archive
from comet_magic.request import ImageRequest
archive = Archive({str(tmp_path / "cometimg")!r})
call = archive.claim(ImageRequest("boat"), vendor="v", reserve=9)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for step in (lambda: archive.received(call, status=200), lambda: archive.settle(call, "done")):
    try:
        step()
    except OSError as error:
        print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
archive.settle(call, "done", cost=4)
print(archive.spend().spent_micro)
archive.close()
"""

    assert run(script) == "OSError\nOSError\n4\n"


def test_a_locale_that_cannot_spell_the_prompt_keeps_it_all_the_same(tmp_path: Path) -> None:
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from comet_magic.archive import Archive
assert sys.getfilesystemencoding() == "ascii"
from tests import archive_actor as actor
folder = Path({str(tmp_path)!r}) / "b\\xf6t"
actor.journey(folder, "body")
archive = Archive(folder)
print([archive.load(picture) == data for picture, data in zip(archive.history()[0].pictures, actor.PICTURES)])
print(archive.path_of(archive.history()[0].pictures[0]).is_file(), archive.repair().unexplained)
archive.close()
"""

    assert run(script, env=plain) == "[True, True]\nTrue ()\n"
    archive = Archive(tmp_path / "böt")
    (entry,) = archive.history("über")
    assert entry.prompt == WORDS
    assert "über-alles-漢" in entry.pictures[0].path
    assert [archive.load(picture) for picture in entry.pictures] == PICTURES
    archive.close()
