"""A process that is killed in the middle of a table and started again: the pictures paid for each one wanted."""

import subprocess
import sys

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.benchmarks.harness import ROOT, US, Aim, Bench, Result, has

WORK = "a table killed in the middle, and run again"
AIMS = (Aim(WORK, "paid per picture", 1.04),)
PEER = "Data Designer"
MODULES = {US.label: "comet_magic", PEER: "data_designer"}
DELAY = 0.1  # seconds until an answer


def run(bench: Bench) -> list[Result]:
    """Every installed contender once, with its defaults and four requests in flight."""
    result, rows = Result(WORK), bench.scale.resumed
    for who in (name for name, module in MODULES.items() if has(module)):
        with start_sandbox(delay=DELAY) as sandbox:
            folder = bench.new_folder()
            killed = _start(bench, who, sandbox, folder, rows)
            assert sandbox.until(lambda log: sum(one.charged for one in log) >= rows // 2, timeout=120)
            killed.kill()
            killed.wait()
            output, _ = _start(bench, who, sandbox, folder, rows).communicate()
            pictures, paid = int(output.split()[-1]), sum(served.charged for served in sandbox.log)
        result.add(who, {"paid per picture": paid / pictures, "pictures": pictures})
    return [result]


def _start(bench: Bench, who: str, sandbox: Sandbox, folder: str, rows: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.benchmarks.killed", who, sandbox.base_url, folder, str(rows)]
    quiet = {"NEMO_TELEMETRY_ENABLED": "false"}
    return subprocess.Popen(command, cwd=ROOT, env=bench.env | quiet, stdout=subprocess.PIPE)
