"""What a table costs with large pictures in flight, and how well its pace is held over two workers.

Each figure comes from a process of its own: `python -m tests.benchmarks.pipeline` answers one order per line.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.harness import US, Aim, Bench, Process, Result
from tests.benchmarks.worker import Sample, answer, forget_peak, memory

LARGE, LARGE_URL = "64 pictures of 2 MB in flight", "64 addresses of 2 MB in flight"
PACED = "40 a second over two Dask workers"
IN_FLIGHT = 64
PACE = 40
AIMS = (
    Aim(LARGE, "MB grown", 100),
    Aim(LARGE_URL, "MB grown", 100),
    Aim(PACED, "most in a second", 45),
)
NOWHERE = "http://127.0.0.1:9/v1"


def run(bench: Bench) -> list[Result]:
    """Every figure."""
    large = {"rows": min(bench.scale.pictures, 4 * IN_FLIGHT), "base_url": bench.base_url("large", delay=500)}
    orders: dict[str, dict[str, Any]] = {
        LARGE: {"task": "made", **large},
        LARGE_URL: {"task": "made", **large, "base_url": bench.base_url("large-url", delay=500)},
        PACED: {"task": "paced", "seconds": bench.scale.rounds},
    }
    return [Result(work, {US.label: [asked(bench, order)]}) for work, order in orders.items()]


def asked(bench: Bench, order: dict[str, Any], module: str = __name__) -> Any:
    """What a process of its own measures."""
    print(f"{order} ...", file=sys.stderr, flush=True)
    with Process(module, env=bench.env) as process:
        return process.ask({"folder": bench.new_folder(), **order})


# --- in a process of its own


@contextmanager
def measured(sample: Sample) -> Iterator[None]:
    """Fills in what the work within takes, once what it needs is imported."""
    import comet_magic.dask
    import comet_magic.pipeline  # noqa: F401

    start = forget_peak()
    wall, cpu = perf_counter(), process_time()
    yield
    sample["wall ms"], sample["CPU ms"] = (perf_counter() - wall) * 1e3, (process_time() - cpu) * 1e3
    sample["peak MB"] = memory("VmHWM")
    sample["MB grown"] = memory("VmHWM") - start


def table(rows: int) -> list[dict[str, str]]:
    return [{"caption": f"prompt number {n} of a long table"} for n in range(rows)]


def made(folder: str, *, rows: int, base_url: str) -> Sample:
    """A table run with 64 in flight, after one of a few rows for warmth."""
    from comet_magic.pipeline import generate_dataset

    options = {"prompt": "caption", "base_url": base_url, "api_key": "sandbox", "progress": False}
    generate_dataset(table(4), f"{folder}/warm", **options)
    prompts, sample = table(rows), Sample()
    with measured(sample):
        generate_dataset(prompts, f"{folder}/set", max_in_flight=IN_FLIGHT, **options)
    sample["rows/s"] = rows / sample["wall ms"] * 1e3
    return {**sample, **{name: sample[name] / rows for name in ("wall ms", "CPU ms")}}


def paced(folder: str, *, seconds: int) -> Sample:
    """How well a pace is held where workers send."""
    from distributed import LocalCluster

    from comet_magic.pipeline import generate_dataset
    from tests.pipeline.endpoint import Endpoint

    with ExitStack() as stack:
        endpoint = stack.enter_context(Endpoint())
        os.environ |= {"COMETAPI_KEY": "sandbox", "COMETAPI_BASE_URL": endpoint.base_url}  # for the workers
        two = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=8, dashboard_address=None))
        options = {
            "base_url": endpoint.base_url,
            "api_key": "sandbox",
            "progress": False,
            "max_in_flight": 16,
        }
        rows = [f"row {number}" for number in range(PACE * seconds)]
        generate_dataset(rows, folder, cluster=two.scheduler_address, max_per_minute=60 * PACE, **options)
        times = sorted(one.at for one in endpoint.asked)
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    return {"most in a second": most, "calls/s": (len(times) - 1) / (times[-1] - times[0])}


if __name__ == "__main__":
    answer({task.__name__: task for task in (made, paced)})
