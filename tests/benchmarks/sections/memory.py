"""What stays: extra memory of one call, bodies alive without the collector, growth over a long batch."""

from tests.benchmarks.harness import PLAIN, US, US_ARCHIVED, Aim, Bench, Contender, Result, Scale

PEAK, ALIVE = "extra memory of one PNG of 2 MB", "{} PNG dropped, collector off"
LONG = "a long table and a longer one, 32 in flight"
CHECKED = Contender("openai, decoded and written", "openai", keeps=True)
AIMS = (
    Aim(PEAK, "peak MB", 0.4, against="openai"),
    Aim(ALIVE.format(2 * Scale().calls), "MB kept", 2),
    Aim(LONG, "MB between the two", 10, who=US_ARCHIVED.label),
    Aim(LONG, "MB over the start", 60, who=US_ARCHIVED.label),
)


def run(bench: Bench) -> list[Result]:
    """Each in a fresh process with the allocator's threshold fixed, but for the long batch."""
    everyone, png = (US, US_ARCHIVED, CHECKED, *PLAIN), bench.base_url("png")
    dropped = 2 * bench.scale.calls
    long = {"base_url": bench.base_url("jpeg"), "steps": bench.scale.steps, "in_flight": 32}
    return [
        bench.compare(PEAK, everyone, "peak", fresh=True, rounds=1, base_url=png, count=bench.scale.calls),
        bench.compare(
            ALIVE.format(dropped), everyone, "alive", fresh=True, rounds=1, base_url=png, count=dropped
        ),
        bench.compare(LONG, (US, US_ARCHIVED, *PLAIN), "table", fresh=True, rounds=1, **long),
    ]
