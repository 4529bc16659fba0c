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
AIMS = (Aim(LOAD, "wall ms", 10), Aim(COLD, "CPU ms", 0.33, against="openai"))
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
PROGRAM = """
import os, sys
from tests.benchmarks.peers import PEERS
peer = PEERS[sys.argv[1]](sys.argv[2])
peer.pixels()
peer.close()
"""
# Not the system's account: it counts what the parent had before the program was loaded.
SAY_PEAK = """
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
    for number in range(bench.scale.slow_rounds + 1):
        for name, module in names.items():
            if PEERS[name].installed():
                with Kernel(env, folder) as kernel:
                    sample = json.loads(kernel.run(TIMED_LOAD.format(name=module)).text)
                if number:  # the first time compiles what is imported
                    result.add(name, sample)
    return result


def cold(bench: Bench) -> Result:
    """A small program for each, with everything it imports."""
    result = Result(COLD)
    for number in range(bench.scale.rounds + 1):
        for name, peer in PEERS.items():
            if peer.installed():
                sample = whole_process(name, bench.base_url("large"), bench.env)
                if number:  # as above
                    result.add(name, sample)
    return result


def whole_process(name: str, base_url: str, env: dict[str, str]) -> dict[str, float]:
    """Wall, CPU and peak memory of the program from start to end, as the system accounts for them."""
    start, command = perf_counter(), [sys.executable, "-c", PROGRAM + SAY_PEAK, name, base_url]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}")
    wall, cpu = perf_counter() - start, usage.ru_utime + usage.ru_stime
    return {"wall ms": wall * 1e3, "CPU ms": cpu * 1e3, "peak MB": float(said or "nan") / 1024}
