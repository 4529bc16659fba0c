"""A stream of three partial pictures and the whole one: the first preview, all of it."""

from tests.benchmarks.harness import PLAIN, US, Aim, Bench, Result

PNG, JPEG = "stream, four PNG events at once", "stream, four JPEG events at once"
AIMS = (
    Aim(PNG, "first preview ms", 0.3, against="openai"),
    Aim(PNG, "CPU ms", 0.25, against="openai"),
)


def run(bench: Bench) -> list[Result]:
    """The first preview, the whole and the CPU."""
    how = {"task": "calls", "stream": True, "count": bench.scale.streams}
    works = {PNG: "png-stream", JPEG: "jpeg-stream"}
    return [
        bench.compare(work, (US, *PLAIN), base_url=bench.base_url(kind), **how)
        for work, kind in works.items()
    ]
