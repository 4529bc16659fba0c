"""A stream of three partial pictures and the whole one: the first preview, all of it."""

from tests.benchmarks.harness import PLAIN, US, Aim, Bench, Result

STREAM = "stream, four events with a PNG of 2 MB at once"
AIMS = (
    Aim(STREAM, "first preview ms", 0.22, against="openai"),
    Aim(STREAM, "CPU ms", 0.26, against="openai"),
)


def run(bench: Bench) -> list[Result]:
    """The first preview, the whole and the CPU."""
    url, count = bench.base_url("large-stream"), bench.scale.streams
    return [bench.compare(STREAM, (US, *PLAIN), "calls", base_url=url, count=count, stream=True)]
