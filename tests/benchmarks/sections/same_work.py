"""The same work: one request answered, the picture saved and synced, and an image object that opens.

One after the other through a kept client, and many at a time.
"""

from tests.benchmarks.harness import SAVING, US, US_ARCHIVED, Aim, Bench, Result

PNG, JPEG = "a PNG of 1.2 MB, saved", "a JPEG of 0.5 MB, saved"
URL, TLS = f"{PNG}, by URL", f"{PNG}, TLS"
PIXELS = "{}, pixels used"
MANY = "{}, 64 in flight"
SLOW = f"{JPEG}, 128 in flight, 1 s each"
ALONE = {
    PNG: ("png", False),
    PIXELS.format(PNG): ("png", True),
    JPEG: ("jpeg", False),
    PIXELS.format(JPEG): ("jpeg", True),
}
ME = US_ARCHIVED.label
AIMS = (
    Aim(PNG, "CPU ms", 0.7, who=ME, against="openai"),
    Aim(PIXELS.format(PNG), "CPU ms", 0.9, who=ME, against="openai"),
    Aim(JPEG, "CPU ms", 1.0, who=ME, against="openai"),
    Aim(PIXELS.format(JPEG), "CPU ms", 1.05, who=ME, against="openai"),
    Aim(MANY.format(PNG), "pictures/s", 2.6, who=ME, against="openai", at_least=True),
    Aim(MANY.format(PNG), "pictures/s", 130, who=ME, at_least=True),
    Aim(MANY.format(JPEG), "pictures/s", 1.8, who=ME, against="openai", at_least=True),
    Aim(MANY.format(JPEG), "pictures/s", 180, who=ME, at_least=True),
    Aim(SLOW, "pictures/s", 0.9, who=ME, against="aiohttp", at_least=True),
    Aim(SLOW, "p99/p50", 3, who=ME),
    Aim(SLOW, "stall ms", 30, who=ME),
)


def run(bench: Bench) -> list[Result]:
    """Wall and CPU of one picture, alone and in batches; in batches also without our archive."""
    return [*alone(bench), *many(bench)]


def alone(bench: Bench) -> list[Result]:
    """One picture after the other, in each form of answer."""
    count = bench.scale.calls
    results = [
        bench.compare(work, SAVING, "calls", base_url=bench.base_url(kind), count=count, pixels=pixels)
        for work, (kind, pixels) in ALONE.items()
    ]
    urls = {URL: bench.base_url("png-url"), TLS: bench.base_url("png", tls=True)}
    return results + [
        bench.compare(work, SAVING, "calls", base_url=url, count=count) for work, url in urls.items()
    ]


def many(bench: Bench) -> list[Result]:
    """Batches from a server that answers at once, and from one that takes as long as a quick model."""
    rounds, pictures = bench.scale.slow_rounds, bench.scale.pictures
    results = [
        bench.compare(
            MANY.format(work),
            (*SAVING, US),
            "batch",
            rounds=rounds,
            base_url=bench.base_url(kind),
            pictures=pictures,
            in_flight=64,
        )
        for work, kind in ((PNG, "png"), (JPEG, "jpeg"))
    ]
    url = bench.base_url("jpeg", delay=1000)
    slow = bench.compare(SLOW, SAVING, "batch", rounds=1, base_url=url, pictures=pictures, in_flight=128)
    return [*results, slow]
