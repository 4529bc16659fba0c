"""Many JPEG pictures of 300 KB at several depths and delays; with the archive off and on."""

from tests.benchmarks.harness import PLAIN, US, US_ARCHIVED, Aim, Bench, Result

AIMS = (
    Aim("64 in flight, 50 ms", "pictures/s", 3, against="openai", at_least=True),
    Aim("64 in flight, 50 ms", "p99/p50", 3),
    Aim("64 in flight, 50 ms", "stall ms", 30),
    Aim("64 in flight, 0 ms", "pictures/s", 2.5, against="openai", at_least=True),
    Aim("64 in flight, 50 ms", "pictures/s", 1, who=US_ARCHIVED.label, against="openai", at_least=True),
    Aim("128 in flight, 1000 ms", "pictures/s", 0.9, who=US_ARCHIVED.label, against="aiohttp", at_least=True),
)
# What a quick run still looks at.
CORNERS = {(64, 0), (64, 50), (128, 1000)}


def run(bench: Bench) -> list[Result]:
    """The whole grid, or its telling corners."""
    grid = [(depth, delay) for delay in (0, 50, 1000) for depth in bench.scale.in_flight]
    chosen = [cell for cell in grid if bench.scale.whole_grid or cell in CORNERS]
    return [measured(bench, depth, delay) for depth, delay in chosen]


def measured(bench: Bench, in_flight: int, delay: int) -> Result:
    """One cell: enough pictures for some waves, and no more than a few seconds of waiting."""
    waves = bench.scale.waves if delay == 1000 else max(bench.scale.waves, 40)
    return bench.compare(
        f"{in_flight} in flight, {delay} ms",
        (US, US_ARCHIVED, *PLAIN),
        "batch",
        rounds=min(3, bench.scale.rounds) if delay < 1000 else bench.scale.slow_rounds,
        base_url=bench.base_url("jpeg", delay=delay),
        pictures=min(bench.scale.pictures, in_flight * waves),
        in_flight=in_flight,
    )
