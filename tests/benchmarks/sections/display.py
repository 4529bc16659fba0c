"""A picture from the result to the front end through a real kernel, beside `display(PIL)`."""

from tests.benchmarks.harness import ROOT, US, Aim, Bench, Result
from tests.benchmarks.kernel import Kernel
from tests.benchmarks.peers import KEY, PEERS

PNG, JPEG, PIL = "show a PNG of 2 MB", "show a JPEG of 0.5 MB", "display(PIL)"
AIMS = (
    Aim(PNG, "wall ms", 30),
    Aim(PNG, "CPU ms", 0.3, against=PIL),
    Aim(PNG, "MB to the front end", 0.45),
)
FETCH = "import httpx, io, PIL.Image\nfrom IPython.display import Image\ndata = httpx.get({url!r}).content\n"
CLIENT = """
import comet_magic as cm
client = cm.Client(api_key={key!r}, base_url={base_url!r}, archive={folder!r})
"""
# What is prepared before the clock starts, and what is shown.
WAYS = {
    PIL: ("picture = PIL.Image.open(io.BytesIO(data))", "display(picture)"),
    "IPython.display.Image": ("picture = Image(data=data)", "display(picture)"),
    US.label: ('images = client.generate("a paper boat")', "images"),
}


def run(bench: Bench) -> list[Result]:
    """Each format in one kernel, the ways interleaved."""
    return [shown(bench, PNG, "large"), shown(bench, JPEG, "jpeg")]


def shown(bench: Bench, work: str, kind: str) -> Result:
    """CPU of the kernel, arrival and bytes; the CPU of an empty cell is taken off."""
    result = Result(work, against=PIL)
    ways = {name: way for name, way in WAYS.items() if name != US.label or PEERS[US.peer].installed()}
    with Kernel(bench.env, ROOT) as kernel:
        kernel.run(FETCH.format(url=f"{bench.base_url(f'{kind}-file')}/file"))
        if US.label in ways:
            folder = bench.new_folder()
            kernel.run(CLIENT.format(key=KEY, base_url=bench.base_url(kind), folder=folder))
        for number in range(bench.scale.rounds + 1):
            for name, (before, cell) in ways.items():
                kernel.run(before)
                sample = measured(kernel, cell)
                if number:  # the first time imports what showing needs
                    result.add(name, sample)
    return result


def measured(kernel: Kernel, cell: str) -> dict[str, float]:
    """One showing."""
    start = kernel.cpu_ms()
    kernel.run("pass")
    middle = kernel.cpu_ms()
    ran = kernel.run(cell)
    return {
        "wall ms": ran.arrived_ms,
        "CPU ms": kernel.cpu_ms() - middle - (middle - start),
        "MB to the front end": ran.megabytes,
        "MB of the notebook": ran.notebook_megabytes,
    }
