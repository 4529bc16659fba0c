"""A stream of three partial pictures and the whole one: the first preview, all of it."""

from tests.benchmarks.harness import PLAIN, US, Aim, Bench, Result

PNG, LATER = "stream, four PNG events at once", "stream, four JPEG events at once"
AIMS = (
    Aim(PNG, "first preview ms", 0.3, against="openai"),
    Aim(PNG, "CPU ms", 0.25, against="openai"),
)


def run(bench: Bench) -> list[Result]:
    """The first preview, the whole and the CPU."""
    works = {PNG: "png-stream", LATER: "jpeg-stream"}
    return [
        bench.compare(
            work, (US, *PLAIN), "previews", base_url=bench.base_url(kind), count=bench.scale.streams
        )
        for work, kind in works.items()
    ]
