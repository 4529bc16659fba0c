"""An interpreter that ends, or forks, while a call is under way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

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
arguments = dict(base_url=base_url, api_key=key, archive=folder, timeout=60)
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
threading.Thread(target=client.generate, args=(prompt,), daemon=True).start()
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
def test_an_interpreter_ends_silently_with_a_call_under_way(stage: Stage, end: str) -> None:
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


FORK = (
    BEGIN
    + """
import json, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
client = Client(**arguments, max_in_flight=2)
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
