"""Runs contenders side by side: rounds interleaved, medians, one table of ratios. Nothing here asserts a time."""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Self

import certifi
import trustme

from tests.benchmarks.peers import PEERS

ROOT = Path(__file__).resolve().parents[2]
Sample = dict[str, float]
UNSET = (
    "COMETAPI",
    "COMETIMG",
    "OPENAI",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "PYTHONDONTWRITEBYTECODE",
)
COLUMNS = ("wall ms", "CPU ms", "peak MB")


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: of most work.
        slow_rounds: of what takes long.
        calls: in a round.
        streams: in a round.
        pictures: in a batch.
        steps: rows of a table and of a longer one after it.
        rows: that are there before, in steps.
        resumed: rows of the table whose process is killed.
    """

    rounds: int = 5
    slow_rounds: int = 3
    calls: int = 15
    streams: int = 4
    pictures: int = 400
    steps: tuple[int, int] = (1000, 3000)
    rows: tuple[int, ...] = (1_000, 10_000, 100_000)
    resumed: int = 200


QUICK = Scale(2, slow_rounds=1, calls=3, streams=2, pictures=128, steps=(64, 128), rows=(100, 1_000, 10_000))


@dataclass(frozen=True)
class Contender:
    """Someone who is measured; with `keeps` the pictures are saved and synced too."""

    label: str
    peer: str
    keeps: bool = False


US = Contender("comet_magic", "comet_magic")
US_ARCHIVED = Contender("comet_magic, archive on", "comet_magic", keeps=True)
OPENAI = Contender("openai", "openai")
PLAIN = (OPENAI, Contender("aiohttp", "aiohttp"), Contender("httpx", "httpx"))
SAVING = (US_ARCHIVED, *(replace(one, keeps=True) for one in PLAIN))


@dataclass(frozen=True)
class Aim:
    """A promise about one column: of `who` alone, or as a ratio to `against`."""

    work: str
    column: str
    most: float
    who: str = US.label
    against: str | None = None
    at_least: bool = False


@dataclass(frozen=True)
class Result:
    """The samples of every contender for one kind of work, round by round.

    Attributes:
        against: whose samples the ratios are to.
        grows: how the cost should grow, such as "O(n)", where numbers of rows are compared instead of contenders.
    """

    work: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    against: str = OPENAI.label
    grows: str = ""

    def add(self, label: str, sample: Sample) -> None:
        self.samples.setdefault(label, []).append(sample)

    def middle(self, label: str, column: str) -> float:
        """The median over the rounds; not a number where it was not measured."""
        return middle([sample.get(column, math.nan) for sample in self.samples.get(label, ())])

    def ratio(self, label: str, column: str, against: str) -> float:
        """The median of the ratios within each round."""
        pairs = zip(self.samples.get(label, ()), self.samples.get(against, ()), strict=False)
        return middle([mine.get(column, math.nan) / (other.get(column) or math.nan) for mine, other in pairs])


def middle(values: Iterable[float]) -> float:
    """The median of what is a number."""
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else math.nan


class Process:
    """A Python module in a process of its own that answers JSON lines; ends with its standard input."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", module, *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, cwd=ROOT, text=True)

    def ask(self, order: dict[str, Any]) -> Any:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._process.args[1:])} ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()


class Bench:
    """The endpoint, the temporary folders and the contenders' processes of one run."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._stack = ExitStack()
        self._numbers = count()
        self._workers: dict[Contender, Process] = {}

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        authority, chain = trustme.CA(), self.folder / "server.pem"
        # Beside the usual authorities, so that loading them costs everyone what it usually does.
        bundle = self.folder / "ca.pem"
        bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(chain)
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(UNSET)}
        # Imports are timed with compiled modules, as an installation has them.
        compiled = {"PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}
        self.env = {**kept, **compiled, "SSL_CERT_FILE": str(bundle), "PYTHONPATH": str(ROOT)}
        server = Process("tests.benchmarks.server", str(chain), env=self.env)
        self.server = self._stack.enter_context(server).hear()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def base_url(self, kind: str, *, delay: int = 0, tls: bool = False) -> str:
        """Where pictures of this kind are answered after `delay` ms."""
        scheme, port = ("https", self.server["tls"]) if tls else ("http", self.server["plain"])
        return f"{scheme}://127.0.0.1:{port}/{kind}/{delay}/v1"

    def new_folder(self) -> str:
        """A folder of its own, on the disk the temporary folder is on."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return str(folder)

    def compare(
        self,
        work: str,
        contenders: Sequence[Contender],
        task: str,
        *,
        fresh: bool = False,
        rounds: int | None = None,
        **order: Any,
    ) -> Result:
        """Every installed contender does the task once a round, in turning order.

        Args:
            work: What the table calls it.
            contenders: Who takes part; who is not installed is left out.
            task: A task of the worker.
            fresh: Each time in a new process with a fixed mmap threshold, for figures of memory.
            rounds: How many, if not as many as the scale says.
            **order: The arguments of the task.
        """
        result = Result(work)
        present = [contender for contender in contenders if PEERS[contender.peer].installed()]
        folders = {contender: self.new_folder() if contender.keeps else None for contender in present}
        print(f"{work} ...", file=sys.stderr, flush=True)
        for number in range(rounds or self.scale.rounds):
            turn = number % max(1, len(present))
            for contender in present[turn:] + present[:turn]:
                told = {"task": task, "name": contender.peer, "folder": folders[contender], **order}
                answer = self._ask_fresh(told) if fresh else self._worker(contender).ask(told)
                for part, sample in answer.items():
                    result.add(contender.label + part, sample)
        for folder in filter(None, folders.values()):
            shutil.rmtree(folder)
        return result

    def _worker(self, contender: Contender) -> Process:
        if contender not in self._workers:
            worker = Process("tests.benchmarks.worker", env=self.env)
            self._workers[contender] = self._stack.enter_context(worker)
        return self._workers[contender]

    def _ask_fresh(self, order: dict[str, Any]) -> Any:
        # glibc moves its threshold with use; fixed, the resident memory shows live bytes and not its habits.
        env = {**self.env, "MALLOC_MMAP_THRESHOLD_": "131072"}
        with Process("tests.benchmarks.worker", env=env) as worker:
            return worker.ask(order)


def timed(work: str, make: Callable[[], object], rounds: int) -> Result:
    """The CPU and wall time of some work, here; the first time, which imports, is not counted."""
    result = Result(work)
    make()
    for _ in range(rounds):
        wall, cpu = perf_counter(), process_time()
        make()
        spent = {"CPU ms": (process_time() - cpu) * 1e3, "wall ms": (perf_counter() - wall) * 1e3}
        result.add(US.label, spent)
    return result


def has(module: str) -> bool:
    """Whether the module can be imported; its packages are."""
    parts = module.split(".")
    return all(find_spec(".".join(parts[: end + 1])) for end in range(len(parts)))


def number(value: float) -> str:
    """Three significant figures, or a dash."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(result: Result, label: str) -> list[str]:
    """One row: each main column with its ratio, then whatever else was measured."""
    found = []
    for column in COLUMNS:
        ratio = result.ratio(label, column, result.against)
        found += [number(result.middle(label, column)), "" if math.isnan(ratio) else f"{ratio:.2f}"]
    others = {name: None for sample in result.samples[label] for name in sample if name not in COLUMNS}
    found.append(", ".join(f"{name} {number(result.middle(label, name))}" for name in others))
    return found


def table(results: Iterable[Result]) -> str:
    """All results as one Markdown table of medians and ratios."""
    lines = ["| work | who | wall ms | × | CPU ms | × | peak MB | × | besides |"]
    lines.append("|---|---|" + "---:|" * 6 + "---|")
    for result in results:
        for position, label in enumerate(result.samples):
            work = result.work if position == 0 else ""
            lines.append(f"| {' | '.join([work, label, *cells(result, label)])} |")
    return "\n".join(lines)


def growth(results: Iterable[Result]) -> str:
    """CPU milliseconds with each number of rows, and how often the first is in the last of them."""
    grown = [result for result in results if result.grows]
    sizes = list(grown[0].samples)
    lines = [f"| what | grows as | {' | '.join(sizes)} | × |", f"|---|---|{'---:|' * (len(sizes) + 1)}"]
    for result in grown:
        times = [result.middle(size, "CPU ms") for size in sizes]
        shown = [*(f"{number(time)} ms" for time in times), f"{times[-1] / times[0]:.1f}"]
        lines.append(f"| {result.work} | {result.grows} | {' | '.join(shown)} |")
    return "\n".join(lines)


def aims(promises: Iterable[Aim], results: Sequence[Result]) -> str:
    """Each aim beside what this run measured for it."""
    lines = ["| work | who | column | measured | aim | held |", "|---|---|---|---:|---|---|"]
    by_work = {result.work: result for result in results}
    for aim in promises:
        result = by_work.get(aim.work)
        if result is None or aim.who not in result.samples:
            continue
        sign, of = "≥" if aim.at_least else "≤", f" of {aim.against}" if aim.against else ""
        value = result.ratio(aim.who, aim.column, aim.against) if of else result.middle(aim.who, aim.column)
        held = value >= aim.most if aim.at_least else value <= aim.most
        told = f"{number(value)} | {sign} {aim.most:g}{of} | {'held' if held else 'not held'}"
        lines.append(f"| {aim.work} | {aim.who} | {aim.column} | {told} |")
    return "\n".join(lines)
