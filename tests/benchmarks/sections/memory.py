"""What stays: extra memory of one call, bodies alive without the collector, growth over a long batch."""

from tests.benchmarks.harness import OPENAI, PLAIN, US_ARCHIVED, Aim, Bench, Result, Scale

PEAK, ALIVE = "extra memory of one PNG of 2 MB", "{} PNG of 2 MB dropped, collector off"
LONG = "a long table and a longer one, 32 in flight"
AIMS = (
    Aim(PEAK, "peak MB", 0.4, who=US_ARCHIVED.label, against="openai"),
    Aim(ALIVE.format(2 * Scale().calls), "MB kept", 2, who=US_ARCHIVED.label),
    Aim(LONG, "MB between the two", 10, who=US_ARCHIVED.label),
    Aim(LONG, "MB over the start", 60, who=US_ARCHIVED.label),
)


def run(bench: Bench) -> list[Result]:
    """Each in a fresh process with the allocator's threshold fixed."""
    everyone, large = (US_ARCHIVED, *PLAIN), bench.base_url("large")
    dropped, once = 2 * bench.scale.calls, {"fresh": True, "rounds": 1}
    long = {"base_url": bench.base_url("jpeg"), "steps": bench.scale.steps, "in_flight": 32}
    return [
        bench.compare(PEAK, everyone, "peak", base_url=large, count=bench.scale.calls, **once),
        bench.compare(ALIVE.format(dropped), everyone, "alive", base_url=large, count=dropped, **once),
        bench.compare(LONG, (US_ARCHIVED, OPENAI), "table", **long, **once),
    ]
