"""One picture after the other through a kept client, in each form of answer; ours by part."""

from tests.benchmarks.harness import PLAIN, US, US_ARCHIVED, Aim, Bench, Contender, Result

PNG, TLS, URL = "one PNG of 2 MB, base64", "one PNG of 2 MB, base64, TLS", "one PNG of 2 MB by URL"
CLIENT = f"{US_ARCHIVED.label}: send, receive, base64"
AIMS = (
    Aim(PNG, "CPU ms", 0.25, who=CLIENT, against="openai"),
    Aim(TLS, "CPU ms", 0.45, who=CLIENT, against="openai"),
    Aim(URL, "CPU ms", 0.25, who=CLIENT, against="openai"),
)
EVERYONE = (
    US_ARCHIVED,
    US,
    *PLAIN,
    Contender("openai, decoded and written", "openai", keeps=True),
)


def run(bench: Bench) -> list[Result]:
    """Wall and CPU of one call; the peers end with the bytes, we with a checked picture on disk."""
    works = {
        PNG: bench.base_url("png"),
        "one JPEG of 300 KB, base64": bench.base_url("jpeg"),
        URL: bench.base_url("png-url"),
        TLS: bench.base_url("png", tls=True),
    }
    return [
        bench.compare(work, EVERYONE, "calls", base_url=base_url, count=bench.scale.calls)
        for work, base_url in works.items()
    ]
