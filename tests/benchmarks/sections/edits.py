"""Pictures in: an edit of a picture sent as it is, and of one that is prepared, saved; paste-back and memory apart.

The peers send the bytes, of a picture that is prepared what Pillow makes of them; we also know a picture by its pixels,
so a new one is decoded and hashed once, and its CPU stands apart too.
"""

from tests.benchmarks.harness import SAVING, US, US_ARCHIVED, Aim, Bench, Result

FIRST, REPEATED = "an edit of a new PNG of 2 MB, sent as it is", "an edit of the same PNG of 2 MB again"
PREPARED, HASHED = "an edit of a new PNG of 2 MB, prepared", "the pixels of a PNG of 2 MB, decoded and hashed"
PASTED, SIXTEEN = "paste-back, a picture of 2 MB", "an edit of 16 PNG of 7 megapixels"
AIMS = (
    Aim(FIRST, "CPU ms", 3, who=US_ARCHIVED.label, against="openai"),
    Aim(REPEATED, "CPU ms", 1.5, who=US_ARCHIVED.label, against="openai"),
    Aim(PREPARED, "CPU ms", 3, who=US_ARCHIVED.label, against="openai"),
    Aim(SIXTEEN, "MB over the start", 80),
)


def run(bench: Bench) -> list[Result]:
    """The answer is a small picture, so that it is the way in that counts."""
    base_url, count = bench.base_url("jpeg"), bench.scale.calls
    whoever = tuple(one for one in SAVING if one.peer != "aiohttp")
    edits = {FIRST: (True, False), REPEATED: (False, False), PREPARED: (True, True)}
    return [
        *(
            bench.compare(
                work,
                whoever,
                "edits",
                base_url=base_url,
                count=count,
                fresh_pictures=fresh,
                prepared=prepared,
            )
            for work, (fresh, prepared) in edits.items()
        ),
        bench.compare(HASHED, (US,), "hashed", base_url=base_url, count=count),
        bench.compare(PASTED, (US,), "paste", base_url=base_url, count=count),
        bench.compare(SIXTEEN, (US,), "sixteen", fresh=True, rounds=1, base_url=base_url),
    ]
