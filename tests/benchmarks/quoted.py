"""The figures of the first pages that are quoted from a run: in cells of their tables, before "ms", "MB" or "×"."""

import re
from collections.abc import Iterator

from tests.benchmarks.harness import OPENAI, ROOT, US, US_ARCHIVED
from tests.benchmarks.sections import display, load, resume, same_work

PAGES = (ROOT / "README.md", ROOT / "README.zh.md")
FIGURE = re.compile(r"[\d.]+(?= (?:ms|MB|×))")


def figures(results: str) -> list[str]:
    """The figures that a page quotes, in its order, from the text of RESULTS.md."""
    loaded, shown = measured(results, load.LOAD), measured(results, display.PNG)
    saved = measured(results, same_work.JPEG)
    paid = measured(results, resume.WORK)
    megabytes = [shown[who][-1].split()[-1] for who in (display.PIL, US.label)]
    return [
        *(f"{float(loaded[who][2].replace(',', '')):.0f}" for who in (OPENAI.label, US.label)),
        *(f"{float(amount):.1f}" for amount in megabytes),
        *(f"{float(saved[who][2]):.0f}" for who in (OPENAI.label, US_ARCHIVED.label)),
        *(f"{float(paid[who][-1].split()[3].rstrip(',')):.2f}" for who in (resume.PEER, US.label)),
    ]


def measured(results: str, work: str) -> dict[str, list[str]]:
    """What was printed for a piece of work: the cells behind each contender."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in results.splitlines():
        if line.startswith("|"):
            first, who, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            current = first or current
            if current == work:
                found.setdefault(who, cells)
    return found


def quoted(page: str) -> list[str]:
    """The figures that stand in the cells of a page, but for the first cell of a row."""
    return [figure for line in page.splitlines() for figure in FIGURE.findall(_told(line))]


def requoted(page: str, results: str) -> str:
    """The page with the figures of these results in place of those that it has."""
    new = iter(figures(results))
    return "\n".join(line.removesuffix(_told(line)) + _renewed(_told(line), new) for line in page.split("\n"))


def _renewed(cells: str, new: Iterator[str]) -> str:
    return FIGURE.sub(lambda _: next(new), cells)


def _told(line: str) -> str:
    """A row of a table behind its first cell; "" for any other line."""
    return line.split("|", 2)[2] if line.startswith("| ") else ""


def write(results: str) -> None:
    """Put the figures of a run where they are quoted."""
    for path in PAGES:
        path.write_text(requoted(path.read_text("utf-8"), results), "utf-8")
