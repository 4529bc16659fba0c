"""The command `python -m comet_magic dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..console import tell
from ..errors import CallAbandoned
from ..money import parse_dollars
from ..request import WireOptions
from .dataset import REDO, generate_dataset, plan
from .expand import typed

if TYPE_CHECKING:
    import argparse

_OF_A_ROW = ("n", "extra")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.epilog = (
        "Ctrl-C, SIGTERM and SIGHUP let the calls in flight finish, a second one cancels them; the exit code is then "
        "130, 143 or 129. docker stop kills after 10 s, and a call may take minutes: docker run --stop-timeout 600."
    )
    parser.add_argument("source", help="a .csv, .tsv, .jsonl or .parquet file")
    parser.add_argument("out", help="the folder of the dataset; run it again to go on where it ended")
    parser.add_argument("--prompt-column", default="prompt", metavar="NAME", help="the column of the prompts")
    parser.add_argument(
        "--plan", action="store_true", help="print what it would do and cost; nothing is sent"
    )
    parser.add_argument(
        "--max-cost", metavar="USD", help="the most that all runs of this dataset may cost together"
    )
    parser.add_argument("--max-in-flight", type=int, metavar="N", help="calls side by side (default 8)")
    parser.add_argument("--max-per-minute", type=float, metavar="N", help="at most so many pictures a minute")
    parser.add_argument("--price-per-image", metavar="USD", help="for a model whose price is not known")
    parser.add_argument("--download-proxy", metavar="URL", help="download pictures through this proxy")
    parser.add_argument("--dedupe", action="store_true", help="equal rows share one picture")
    parser.add_argument(
        "--redo", choices=REDO, help="send only the rows that ended so; unknown may be billed twice"
    )
    parser.add_argument("--append", action="store_true", help="add rows to those of the folder, remove none")
    parser.add_argument(
        "--replace", action="store_true", help="let rows go that the table does not have any more"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    for name in WireOptions.__annotations__:
        if name not in _OF_A_ROW:
            flag = f"--{name.replace('_', '-')}"
            parser.add_argument(
                flag, metavar="VALUE", help=f"{name} of every row that does not say otherwise"
            )


def run(arguments: argparse.Namespace) -> int:
    """Make the dataset, or print the plan; gives 0 if every row has ended, 1 if some remain.

    After a signal the calls in flight are finished, and it gives 128 and the signal's number, as shells do.
    """
    options = _options(arguments)
    if arguments.plan:
        tell(str(plan(arguments.source, arguments.out, **options)))
        return 0
    try:
        report = generate_dataset(arguments.source, arguments.out, progress=not arguments.quiet, **options)
    except CallAbandoned as stopped:
        tell("\n".join(stopped.lines()), error=True)
        return 128 + stopped.signal
    tell(str(report))
    counts = report.counts
    return int(bool(counts["open"] or counts["over_budget"] or counts["cancelled"]))


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    given = vars(arguments)
    wire = {name: typed(name, given.get(name)) for name in WireOptions.__annotations__}
    options = {name: value for name, value in wire.items() if value is not None}
    for name in ("max_cost", "price_per_image"):
        if given[name] is not None:
            options[name] = parse_dollars(given[name], name=name) / 1_000_000
    for name in ("max_in_flight", "max_per_minute", "redo", "download_proxy"):
        if given[name] is not None:
            options[name] = given[name]
    switches = {name: given[name] for name in ("dedupe", "append", "replace")}
    return {**options, **switches, "prompt": arguments.prompt_column}
