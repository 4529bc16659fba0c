"""A table of prompts to a folder of pictures: ours durable and resumable, the peers' a loop that writes files."""

from tests.benchmarks.harness import OPENAI, US_ARCHIVED, Bench, Contender, Result

EVERYONE = (
    US_ARCHIVED,
    OPENAI,
    *(Contender(f"{peer}, decoded and written", peer, keeps=True) for peer in ("openai", "aiohttp")),
)


def run(bench: Bench) -> list[Result]:
    """Rows a second, CPU of one, memory; 50 ms a picture, 64 in flight."""
    rows = bench.scale.rows
    work = f"table of {rows:,} prompts, 64 in flight, 50 ms"
    url = bench.base_url("jpeg", delay=50)
    how = {"task": "table", "fresh": True, "steps": [rows], "in_flight": 64}
    # Once: a second round would find all of it done.
    return [bench.compare(work, EVERYONE, rounds=1, base_url=url, **how)]
