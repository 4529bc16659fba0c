"""`python -m tests.benchmarks [--quick] [--section NAME] [--write]` prints one table of medians and ratios."""

import argparse
import importlib
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tests.benchmarks import quoted
from tests.benchmarks.harness import QUICK, Aim, Bench, Result, Scale, aims, growth, has, table

SECTIONS = {
    "load": "tests.benchmarks.sections.load",
    "same work": "tests.benchmarks.sections.same_work",
    "stream": "tests.benchmarks.sections.stream",
    "edits": "tests.benchmarks.sections.edits",
    "memory": "tests.benchmarks.sections.memory",
    "display": "tests.benchmarks.sections.display",
    "dataset": "tests.benchmarks.pipeline",
    "export": "tests.benchmarks.export",
    "resume": "tests.benchmarks.sections.resume",
    "growth": "tests.benchmarks.growth",
    "painter": "tests.benchmarks.painter",
}
PACKAGES = (
    "httpx",
    "pybase64",
    "pillow",
    "openai",
    "httpx2",
    "aiohttp",
    "orjson",
    "data-designer",
    "ipykernel",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
NOTES = """\
Medians of interleaved rounds, each contender in a process of its own, the endpoint in another one on the same
machine. × is the median, round by round, of the ratio to `openai` (`display(PIL)` where pictures are shown).
Times depend on the machine and on what else it does: compare the ratios, and those within one run only."""

GROWTH = """\
CPU of the same work with more rows that are there already, all of them done, or with more rows in the table. × is
how many times as long it takes with the most rows as with the fewest: 1 is O(1), a little more O(log n), as many as
the rows O(n)."""


def versions() -> str:
    """What was measured, where and when."""
    found = [f"Python {platform.python_version()}", f"{os.cpu_count()} CPUs", platform.platform()]
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} -")
    return f"{datetime.now(UTC):%Y-%m-%d}: {', '.join(found)}"


def report(scale: Scale, sections: Sequence[str]) -> str:
    """Measures the sections and says what was found, in Markdown."""
    results: list[Result] = []
    promises: list[Aim] = []
    with Bench(scale) as bench:
        for name in sections:
            if has(SECTIONS[name]):
                section = importlib.import_module(SECTIONS[name])
                results += section.run(bench)
                promises += getattr(section, "AIMS", ())
        sizes = ", ".join(f"{kind} {size:,} bytes" for kind, size in bench.server["bytes"].items())
    parts = [
        "# Results",
        f"{versions()}; {sizes}; {scale.rounds} rounds.",
        NOTES,
        table(result for result in results if not result.grows),
    ]
    if any(result.grows for result in results):
        parts += ["## How the cost grows", GROWTH, growth(results)]
    parts += ["## Aims", aims(promises, results)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all sections, small, in about two minutes")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this one; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} and what quotes it")
    given = parser.parse_args()
    if given.write and given.section:
        parser.error("--write needs all sections")
    text = report(QUICK if given.quick else Scale(), given.section or list(SECTIONS))
    print(text)
    if given.write:
        RESULTS.write_text(text, "utf-8")
        quoted.write(text)


if __name__ == "__main__":
    main()
