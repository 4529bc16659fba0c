"""Pictures in: the CPU of an edit with a picture that needs no change, paste-back apart, and the memory of sixteen."""

from tests.benchmarks.harness import OPENAI, US, Aim, Bench, Result

FIRST, REPEATED = "an edit of a new PNG of 2 MB", "an edit of the same PNG of 2 MB again"
PASTED, SIXTEEN = "paste-back, a picture of 2 MB", "an edit of 16 PNG of 7 megapixels"
AIMS = (
    Aim(FIRST, "CPU ms", 3, against="openai"),
    Aim(REPEATED, "CPU ms", 1.5, against="openai"),
    Aim(SIXTEEN, "MB over the start", 80),
)


def run(bench: Bench) -> list[Result]:
    """Without an archive; the answer is a small picture, so that it is the way in that counts."""
    base_url, count = bench.base_url("jpeg"), bench.scale.calls
    both = (US, OPENAI)
    return [
        bench.compare(FIRST, both, "edits", base_url=base_url, count=count, fresh_pictures=True),
        bench.compare(REPEATED, both, "edits", base_url=base_url, count=count, fresh_pictures=False),
        bench.compare(PASTED, (US,), "paste", base_url=base_url, count=count),
        bench.compare(SIXTEEN, (US,), "sixteen", fresh=True, rounds=1, base_url=base_url),
    ]
