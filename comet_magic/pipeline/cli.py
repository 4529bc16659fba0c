"""The command `python -m comet_magic dataset`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import tell
from ..errors import CallAbandoned, ConfigurationError, InvalidRequestError
from ..money import parse_dollars
from ..request import WireOptions
from ..text import clean
from .dataset import REDO, generate_dataset, plan
from .expand import typed
from .failures import FailurePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_STATUS = (
    "Exit status: 0 every row is done; 1 stopped early, rows remain; 2 wrong usage, nothing was sent; 3 finished, and"
    " some rows are refused, failed or unknown (0 with --lenient); 130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP."
)
_OF_A_ROW = ("n", "extra")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.epilog = (
        "Ctrl-C, SIGTERM and SIGHUP let the calls in flight finish, a second one cancels them. docker stop kills"
        f" after 10 s, and a call may take minutes: docker run --stop-timeout 600. {EXIT_STATUS}"
    )
    _add_source_arguments(parser)
    parser.add_argument(
        "--plan", action="store_true", help="print what it would do and cost; nothing is sent"
    )
    parser.add_argument(
        "--max-cost", metavar="USD", help="the most that all runs of this dataset may cost together"
    )
    parser.add_argument("--max-in-flight", type=int, metavar="N", help="calls side by side (default 8)")
    parser.add_argument("--max-per-minute", type=float, metavar="N", help="at most so many pictures a minute")
    parser.add_argument(
        "--stop-after",
        metavar="N",
        type=_number_or_none,
        default=FailurePolicy.stop_after,
        help="end after so many failures of the same kind in a row (default 20), or none",
    )
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
    parser.add_argument("--lenient", action="store_true", help="exit with 0 also if some rows are not done")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    for name in WireOptions.__annotations__:
        if name not in _OF_A_ROW:
            flag = f"--{name.replace('_', '-')}"
            parser.add_argument(
                flag, metavar="VALUE", help=f"{name} of every row that does not say otherwise"
            )


def _number_or_none(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"it must be a whole number or none, not {clean(text, limit=40)}")
    return int(text)


def _add_source_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="a csv, tsv, jsonl, json, parquet or txt file, a glob, an address, or - for standard input",
    )
    parser.add_argument("out", help="the folder of the dataset; run it again to go on where it ended")
    parser.add_argument(
        "--prompt-column",
        default="prompt",
        metavar="NAME|TEMPLATE",
        help="the column of the prompts, or a template that uses columns: 'a {animal} in a {red|blue} hat'",
    )
    parser.add_argument(
        "--sample-seed", type=int, metavar="N", help="another number draws other words of {red|blue}"
    )
    for name in ("image", "mask"):
        parser.add_argument(
            f"--{name}-column",
            metavar="NAME",
            help=f"the column with the {name} of each row: a path beside the table",
        )
    parser.add_argument(
        "--preset", metavar="NAME", help="begin with the options and the template of a preset"
    )
    parser.add_argument(
        "--format", metavar="KIND", help="what the source is, if its name does not say it: csv…"
    )
    parser.add_argument("--encoding", metavar="NAME", help="of a text file that is neither UTF-8 nor UTF-16")
    parser.add_argument("--sep", metavar="CHARACTER", help="between two values of a csv file")
    parser.add_argument(
        "--parameters",
        metavar="A,B",
        type=lambda names: [name for name in names.split(",") if name],
        help="the columns that are parameters, where others are named like one; '' for none",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the dataset, or print the plan; gives the exit status that `--help` explains.

    After a signal the calls in flight are finished, and it gives 128 and the signal's number, as shells do.
    """
    try:
        options = _options(arguments)
        if arguments.plan:
            tell(str(plan(arguments.source, arguments.out, **options)))
            return 0
        report = generate_dataset(arguments.source, arguments.out, progress=not arguments.quiet, **options)
    except (CallAbandoned, ConfigurationError, InvalidRequestError) as error:
        tell("\n".join(error.lines()), error=True)
        if isinstance(error, CallAbandoned):
            return 128 + error.signal
        return 1 if error.run else 2
    tell(str(report))
    return exit_status(report.counts, lenient=arguments.lenient)


def exit_status(counts: Mapping[str, int], *, lenient: bool = False) -> int:
    """The exit status of a run that came to its end, by its rows; `EXIT_STATUS` explains it."""
    if counts["open"] or counts["over_budget"] or counts["cancelled"]:
        return 1
    return 0 if lenient or sum(counts.values()) == counts["done"] else 3


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    given = vars(arguments)
    wire = {name: typed(name, given.get(name)) for name in WireOptions.__annotations__}
    options = {name: value for name, value in wire.items() if value is not None}
    for name in ("max_cost", "price_per_image"):
        if given[name] is not None:
            options[name] = parse_dollars(given[name], name=name) / 1_000_000
    for name in (
        *("max_in_flight", "max_per_minute", "redo", "download_proxy"),
        *("format", "encoding", "sep", "parameters", "preset", "sample_seed"),
    ):
        if given[name] is not None:
            options[name] = given[name]
    switches = {name: given[name] for name in ("dedupe", "append", "replace", "stop_after")}
    for name in ("image", "mask"):
        if given[f"{name}_column"] is not None:
            options[name] = given[f"{name}_column"]
    return {**options, **switches, "prompt": arguments.prompt_column}
