"""`%load_ext` in a running kernel, and a whole process from its start to the first picture."""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from tests.benchmarks.harness import ROOT, Aim, Bench, Result
from tests.benchmarks.kernel import Kernel
from tests.benchmarks.peers import KEY, PEERS

LOAD, COLD = "%load_ext in a running kernel", "process from start to first picture, PNG of 2 MB"
AIMS = (Aim(LOAD, "wall ms", 10), Aim(COLD, "CPU ms", 0.25, against="openai"))
TIMED_LOAD = """
import json, sys, time
modules, wall, cpu = len(sys.modules), time.perf_counter(), time.process_time()
get_ipython().run_line_magic("load_ext", {name!r})
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({{"wall ms": wall * 1e3, "CPU ms": cpu * 1e3, "modules": len(sys.modules) - modules}}))
"""
# What an extension does that has its client ready.
EXTENSIONS = {
    "openai": f"from openai import OpenAI\nimages = OpenAI(api_key={KEY!r}).images\n",
    "httpx": "import httpx, ipywidgets, PIL.Image\nclient = httpx.Client()\n",
}
BY_JSON = """
import base64, io, sys
import {package}
from PIL import Image
{reply}
Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).load()
"""
POST = f"""(sys.argv[1] + "/images/generations", headers={{"Authorization": "Bearer {KEY}"}},
    json={{"model": "gpt-image-2", "prompt": "a paper boat"}})"""
PROGRAMS = {
    "comet_magic": f"""
import sys
import comet_magic as cm
with cm.Client(api_key={KEY!r}, base_url=sys.argv[1], archive=None) as client:
    client.generate("a paper boat").image.load()
""",
    "openai": f"""
import base64, io, sys
from openai import OpenAI
from PIL import Image
client = OpenAI(api_key={KEY!r}, base_url=sys.argv[1])
item = client.images.generate(model="gpt-image-2", prompt="a paper boat").data[0]
Image.open(io.BytesIO(base64.b64decode(item.b64_json))).load()
""",
    "httpx": BY_JSON.format(package="httpx", reply=f'item = httpx.post{POST}.json()["data"][0]'),
    "aiohttp": BY_JSON.format(
        package="aiohttp, asyncio",
        reply=f"""
async def get():
    async with aiohttp.ClientSession() as session, session.post{POST} as reply:
        return (await reply.json())["data"][0]
item = asyncio.run(get())
""",
    ),
}


# Not the system's account: it counts what the parent had before the program was loaded.
SAY_PEAK = """
import os
if os.path.exists("/proc/self/status"):
    print(next(line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line))
"""


def run(bench: Bench) -> list[Result]:
    """Both, each time in a new kernel and a new process."""
    return [loaded(bench), cold(bench)]


def loaded(bench: Bench) -> Result:
    """Ours beside an extension on the openai package, and one that imports what it will need."""
    result = Result(LOAD)
    folder = Path(bench.new_folder())
    for name, code in EXTENSIONS.items():
        (folder / f"on_{name}.py").write_text(f"{code}\ndef load_ipython_extension(ipython): ...\n")
    env = {**bench.env, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    names = {"comet_magic": "comet_magic"} | {name: f"on_{name}" for name in EXTENSIONS}
    for number in range(min(3, bench.scale.rounds) + 1):
        for name, module in names.items():
            if PEERS[name].installed():
                with Kernel(env, folder) as kernel:
                    sample = json.loads(kernel.run(TIMED_LOAD.format(name=module)).text)
                if number:  # the first time compiles what is imported
                    result.add(name, sample)
    return result


def cold(bench: Bench) -> Result:
    """A small program per contender, with everything it imports."""
    result = Result(COLD)
    for number in range(bench.scale.rounds + 1):
        for name, program in PROGRAMS.items():
            if PEERS[name].installed():
                sample = whole_process(program, bench.base_url("png"), bench.env)
                if number:  # as above
                    result.add(name, sample)
    return result


def whole_process(program: str, base_url: str, env: dict[str, str]) -> dict[str, float]:
    """Wall, CPU and peak memory of the program from start to end, as the system accounts for them."""
    start, command = perf_counter(), [sys.executable, "-c", program + SAY_PEAK, base_url]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"a program ended with {process.returncode}:\n{program}")
    wall, cpu = perf_counter() - start, usage.ru_utime + usage.ru_stime
    return {"wall ms": wall * 1e3, "CPU ms": cpu * 1e3, "peak MB": float(said or "nan") / 1024}
