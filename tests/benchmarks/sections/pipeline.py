"""A table of prompts to a folder of pictures: ours durable and resumable, the peers' a loop that writes files."""

from tests.benchmarks.harness import PLAIN, US_ARCHIVED, Bench, Contender, Result

WRITING = tuple(Contender(f"{plain.label}, decoded and written", plain.peer, keeps=True) for plain in PLAIN)


def run(bench: Bench) -> list[Result]:
    """Rows a second, CPU of one, memory."""
    rows = bench.scale.rows
    return [
        bench.compare(
            f"table of {rows:,} prompts, 64 in flight, {delay} ms",
            (US_ARCHIVED, *WRITING, *PLAIN[:1]),
            "table",
            rounds=min(3, bench.scale.rounds),
            base_url=bench.base_url("jpeg", delay=delay),
            steps=[rows],
            in_flight=64,
        )
        for delay in (0, 50)
    ]
