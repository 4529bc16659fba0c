"""A training set of pictures made small: our export beside `datasets` and its `map(num_proc=2)`, on two cores.

`datasets` is given the same rows and does what its users write: open, cut to 512, save as webp of quality 90. Both read
files and write one parquet file; both webp methods of Pillow are measured, for ours is the quicker one.
"""

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.harness import QUICK, US, Aim, Bench, Process, Result, Scale, has
from tests.benchmarks.worker import Sample, answer, forget_peak, memory

EDGE, QUALITY = 512, 90
PICTURES = (Scale().pictures, QUICK.pictures)
THEIRS, THEIRS_QUICK = "datasets map(num_proc=2)", "the same, webp method 2"
WORK = "{:,} pictures of 2 MB exported as webp of 512 pixels"
AIMS = (
    *(Aim(WORK.format(rows), "wall ms", 1.0, against=THEIRS) for rows in PICTURES),
    *(Aim(WORK.format(rows), "MB grown", 200) for rows in PICTURES),
)


def run(bench: Bench) -> list[Result]:
    """Every figure."""
    if not has("datasets"):
        return []
    folder, result = bench.new_folder(), Result(WORK.format(bench.scale.pictures), against=THEIRS)
    order = {"folder": folder, "rows": bench.scale.pictures, "base_url": bench.base_url("large")}
    with Process("tests.benchmarks.export", env=bench.env) as process:
        process.ask({"task": "filled", **order})
    contenders = ((US.label, "ours", None), (THEIRS, "theirs", 4), (THEIRS_QUICK, "theirs", 2))
    for number in range(bench.scale.slow_rounds):
        for label, task, method in contenders[number % 3 :] + contenders[: number % 3]:
            told = {"task": task, "folder": folder, "out": bench.new_folder(), "method": method}
            with Process("tests.benchmarks.export", env={**bench.env, "HF_HUB_OFFLINE": "1"}) as process:
                result.add(label, process.ask(told))
    return [result]


# --- in a process of its own


@contextmanager
def measured(sample: Sample) -> Iterator[None]:
    """Fills in what the work within takes, that of its child processes too."""
    start, wall, cpu = forget_peak(), perf_counter(), process_time()
    yield
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    sample["wall ms"] = (perf_counter() - wall) * 1e3
    sample["CPU ms"] = (process_time() - cpu + children.ru_utime + children.ru_stime) * 1e3
    sample["peak MB"] = memory("VmHWM")
    sample["MB grown"] = memory("VmHWM") - start


def filled(folder: str, *, rows: int, base_url: str) -> Sample:
    """A dataset of large pictures; nothing is measured."""
    from comet_magic.pipeline import generate_dataset

    prompts = [f"picture {number}" for number in range(rows)]
    generate_dataset(prompts, folder, base_url=base_url, api_key="sandbox", progress=False)
    return {}


def ours(folder: str, *, out: str, method: int | None) -> Sample:
    """The export."""
    from comet_magic.pipeline import export_rows, exports, open_dataset, parquet  # noqa: F401 - not measured

    sample, report = Sample(), open_dataset(folder)
    with measured(sample):
        names = report.export(out, format="parquet", size=EDGE, image_format="webp", quality=QUALITY)
    return {**sample, "MB written": sum(Path(out, name).stat().st_size for name in names) / 1e6}


def theirs(folder: str, *, out: str, method: int) -> Sample:
    """What a user of `datasets` writes for the same."""
    import datasets
    from PIL import Image, ImageOps

    datasets.disable_progress_bars()

    def small(row: dict[str, Any]) -> dict[str, Any]:
        image = ImageOps.fit(row["image"].convert("RGB"), (EDGE, EDGE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "WEBP", quality=QUALITY, method=method)
        return {"image": {"bytes": file.getvalue(), "path": None}}

    sample = Sample()
    loaded = datasets.load_dataset("imagefolder", data_dir=folder, split="train", cache_dir=f"{out}/cache")
    with measured(sample):
        loaded.map(small, num_proc=2).to_parquet(f"{out}/data.parquet")
    return {**sample, "MB written": Path(out, "data.parquet").stat().st_size / 1e6}


if __name__ == "__main__":
    answer({task.__name__: task for task in (filled, ours, theirs)})
