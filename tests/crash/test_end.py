"""An interpreter that ends, or forks, while a call is under way."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from comet_magic import AsyncClient
from comet_magic.archive import Archive
from tests.crash import actor
from tests.faults import pictures
from tests.processes import run, start

if TYPE_CHECKING:
    from tests.crash.conftest import Stage

BEGIN = """
import sys, threading, time
from comet_magic import AsyncClient, Client
base_url, key, folder, prompt = sys.argv[1:]
arguments = dict(base_url=base_url, api_key=key, archive=folder, timeout=1)
def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
def told():
    print("sent", flush=True)
"""
ENDS = {
    "the call is forgotten": """
arguments["base_url"] = base_url.replace("127.0.0.1", "localhost")  # a name is looked up in a thread
client = Client(**arguments)
job = client.submit(prompt)
until(lambda: job.calls[0].state == "waiting")
told()
""",
    "the client was closed": """
with Client(**arguments) as client:
    job = client.submit(prompt)
    until(lambda: job.calls[0].state == "waiting")
told()
""",
    "a thread waits for it": """
client = Client(**arguments)
threading.Thread(target=client.submit(prompt).exception, daemon=True).start()
until(lambda: client.jobs and client.jobs[0].calls[0].state == "waiting")
told()
sys.exit()
""",
    "an awaited call is cancelled": """
import asyncio
async def main():
    async with AsyncClient(**arguments) as client:
        task = asyncio.create_task(client.generate(prompt))
        while not (client.jobs and client.jobs[0].calls[0].state == "waiting"):
            await asyncio.sleep(0.01)
        task.cancel()
        told()
asyncio.run(main())
""",
    "two clients are at it": """
for client in (Client(**arguments), Client(**arguments)):
    job = client.submit(prompt)
    until(lambda: job.calls[0].state == "waiting")
told()
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_interpreter_waits_silently_for_a_call_under_way_until_its_deadline(
    stage: Stage, end: str
) -> None:
    prompt = f"F:hang #{end}"
    asked = replace(stage.asked, prompt=prompt)
    process = start(BEGIN + ENDS[end], asked.base_url, asked.key, asked.folder, prompt)
    assert process.stdout is not None
    assert process.stdout.readline() == "sent\n"
    output, noise = process.communicate(timeout=30)

    assert (process.returncode, output, noise) == (0, "", "")
    posts = stage.server.counts(prompt).posts
    assert posts == (2 if "two" in end else 1)
    talk = stage.begin(actor.restarted, replace(asked, prompt=actor.WARM))
    _, uncertain = talk.hear()
    assert len(uncertain) == posts
    assert stage.server.counts(prompt).posts == posts


SENT_AND_QUEUED = """
client = Client(**{**arguments, "timeout": 60}, max_in_flight=1)
sent = client.submit(prompt)
until(lambda: sent.calls[0].state == "waiting")
queued = [client.submit(f"{prompt} queued {number}") for number in range(2)]
told()
"""
LAST_LINES = {
    "it falls off the end": "",
    "sys.exit": "sys.exit(3)",
    "an exception": "raise ValueError",
    "a closed client": "client.close()",
}


@pytest.mark.parametrize("end", LAST_LINES)
def test_a_script_that_ends_waits_for_what_was_sent_and_cancels_what_queues(stage: Stage, end: str) -> None:
    asked, prompt = stage.asked, f"F:slow-ok:0.5 #{end}"
    script = BEGIN + SENT_AND_QUEUED + LAST_LINES[end]
    process = start(script, asked.base_url, asked.key, asked.folder, prompt)
    output, noise = process.communicate(timeout=30)

    archive = Archive(asked.folder)
    assert [(one.prompt, one.outcome) for one in archive.history(prompt)] == [(prompt, "done")]
    assert stage.server.counts(prompt).posts == 1
    assert process.returncode == {"sys.exit": 3, "an exception": 1}.get(end, 0)
    assert output == "sent\n"
    assert noise == "" or end == "an exception"
    archive.close()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=str)
def test_a_script_that_waits_at_its_end_says_so_and_is_left_by_an_interrupt(
    stage: Stage, signals: list[signal.Signals]
) -> None:
    asked, prompt = stage.asked, f"F:hang #{signals}"
    script = f"import comet_magic.client.process_exit as it\nit.SILENT = 0.1\n{BEGIN}{SENT_AND_QUEUED}"
    process = start(script, asked.base_url, asked.key, asked.folder, prompt)
    assert process.stderr is not None
    line = process.stderr.readline()
    for number in signals:
        process.send_signal(number)
        stage.until(lambda: process.poll() is not None, 0.3)
    _, noise = process.communicate(timeout=30)

    assert line == (
        "waiting for 1 request that was sent; 2 that were not sent are cancelled; interrupt to leave without waiting\n"
    )
    archive = Archive(asked.folder)
    (call,) = archive.uncertain()
    first, listed = noise.splitlines()
    assert "1 request was sent and not answered; unknown, and may be billed (at most $" in first
    assert call.id in listed
    assert (process.returncode, stage.server.counts(prompt).posts) == (0, 1)
    archive.close()


def test_a_refused_request_is_not_sent_again_by_a_script_that_has_ended(stage: Stage) -> None:
    asked, prompt = stage.asked, "F:429 #the end"
    script = f"{BEGIN}client = Client(**{{**arguments, 'timeout': 60}})\nclient.submit(prompt)\n"
    script += "until(lambda: client.jobs[0].calls[0].state == 'retrying')"
    process = start(script, asked.base_url, asked.key, asked.folder, prompt)
    output, noise = process.communicate(timeout=30)

    assert (process.returncode, output, noise) == (0, "", "")
    assert stage.server.counts(prompt).posts == 1


def test_threads_that_python_waits_for_go_on_when_the_script_has_ended(stage: Stage) -> None:
    asked, prompt = stage.asked, "F:slow-ok:0.2 #threads"
    script = f"""{BEGIN}
client = Client(**{{**arguments, "timeout": 60}}, max_in_flight=1)
for number in range(3):
    threading.Thread(target=client.generate, args=(f"{{prompt}} {{number}}",)).start()
"""
    process = start(script, asked.base_url, asked.key, asked.folder, prompt)
    output, noise = process.communicate(timeout=30)

    assert (process.returncode, output, noise) == (0, "", "")
    assert [stage.server.counts(f"{prompt} {number}").posts for number in range(3)] == [1, 1, 1]


def test_a_client_waits_for_all_its_calls(stage: Stage) -> None:
    with stage.asked.client() as client:
        jobs = [client.submit(f"F:{fault} #all") for fault in ("slow-ok:0.2", "400", "slow-ok:0.1")]
        client.wait()

        assert [job.done() for job in jobs] == [True, True, True]
        assert type(jobs[1].exception()).__name__ == "BadRequestError"
        client.wait()
    client.archive.close()


def test_an_async_client_waits_for_all_its_calls(stage: Stage) -> None:
    async def main() -> list[bool]:
        async with AsyncClient(
            base_url=stage.asked.base_url, api_key=stage.asked.key, archive=None
        ) as client:
            jobs = [client.submit(f"F:slow-ok:{seconds} #awaited") for seconds in (0.2, 0.1)]
            await client.wait()
            return [job.done() for job in jobs]

    assert asyncio.run(main()) == [True, True]


FORK = (
    BEGIN
    + """
import json, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
client = Client(**{**arguments, "timeout": 60}, max_in_flight=2)
client.generate(prompt + " before")
stop = threading.Event()
made = []
def work():
    while not stop.is_set():
        made.append(client.generate(f"{prompt} parent {len(made)}").image.size)
worker = threading.Thread(target=work)
worker.start()
hanging = client.submit("F:hang " + prompt)
children = {}
for number in range(20):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert client.jobs == ()
            with client:
                images = client.generate(f"{prompt} child {number}")
            code = 0 if images.paths[0] else 2
        finally:
            os._exit(code)
    children[child] = None
    time.sleep(0.02)
def ended():
    for child, code in children.items():
        if code is None:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                children[child] = os.waitstatus_to_exitcode(status)
    return None not in children.values()
until(ended, 60)
stop.set()
worker.join()
client.generate(prompt + " after")
hanging.drop()
assert hanging.exception(30)
client.close()
print(json.dumps([list(children.values()), len(made)]))
"""
)


def test_a_client_used_before_a_fork_works_in_the_child_and_beside_it(stage: Stage) -> None:
    asked, server = stage.asked, stage.server
    codes, made = json.loads(run(FORK, asked.base_url, asked.key, asked.folder, "forked"))

    assert codes == [0] * 20
    wanted = ["before", "after"]
    wanted += [f"child {number}" for number in range(20)] + [f"parent {number}" for number in range(made)]
    archive = Archive(asked.folder)
    for name in wanted:
        (entry,) = [one for one in archive.history(f"forked {name}") if one.prompt == f"forked {name}"]
        assert [archive.load(one) for one in entry.pictures] == [pictures.picture(f"forked {name}")]
        assert server.seen(f"forked {name}").posts == 1
    assert [call.prompt for call in archive.uncertain()] == ["F:hang forked"]
    archive.close()
