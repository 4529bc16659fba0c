"""The command `python -m comet_magic dataset`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..client import generate
from ..errors import CallAbandoned, ConfigurationError, InvalidRequestError
from ..explanations import quoted
from ..money import parse_dollars
from ..outputs import tell
from ..request import WireOptions
from ..settings import Settings
from ..text import clean
from .choice import REDO
from .dataset import generate_dataset, plan
from .failures import FailurePolicy
from .parameters import typed

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_STATUS = (
    "Exit status: 0 every row is done; 1 stopped early, rows remain; 2 wrong usage, nothing was sent; 3 finished, and"
    " some rows are refused, failed or unknown (0 with --lenient); 130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP."
)
_OF_A_ROW = ("n", "extra")
SWITCH: dict[str, Any] = {"action": "store_true"}


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
    for flag, more in (
        *(("--max-cost", {"metavar": "USD"}), ("--max-in-flight", {"type": int, "metavar": "N"})),
        ("--max-per-minute", {"type": float, "metavar": "N"}),
        ("--stop-after", {"type": _number_or_none, "metavar": "N|none", "default": FailurePolicy.stop_after}),
        *(("--dedupe", SWITCH), ("--redo", {"choices": REDO}), ("--append", SWITCH), ("--replace", SWITCH)),
    ):
        _quoting(parser, flag, generate_dataset, **more)
    _quoting(parser, "--price-per-image", Settings, metavar="USD")
    _quoting(parser, "--download-proxy", Settings, metavar="URL")
    _quoting(
        parser, "--check", generate_dataset, metavar="default|NAME,…", type=lambda names: names.split(",")
    )
    parser.add_argument("--lenient", action="store_true", help="exit with 0 also if some rows are not done")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    of_rows = parser.add_argument_group("parameters of every row that does not say otherwise")
    for name in WireOptions.__annotations__:
        if name not in _OF_A_ROW:
            _quoting(of_rows, f"--{name.replace('_', '-')}", generate, metavar="VALUE")


def _quoting(parser: Any, flag: str, thing: Any, **more: Any) -> None:
    """Add a flag whose help is what a docstring says of the option of its name."""
    name = flag.strip("-").replace("-", "_")
    parser.add_argument(flag, help=quoted(thing, name.removesuffix("_column")).replace("%", "%%"), **more)


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
    for flag, more in (
        ("--sample-seed", {"type": int, "metavar": "N"}),
        *(("--image-column", {"metavar": "NAME"}), ("--mask-column", {"metavar": "NAME"})),
        *(("--preset", {"metavar": "NAME"}), ("--format", {"metavar": "KIND"})),
        *(("--encoding", {"metavar": "NAME"}), ("--sep", {"metavar": "CHARACTER"})),
    ):
        _quoting(parser, flag, generate_dataset, **more)
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
        *("max_in_flight", "max_per_minute", "redo", "download_proxy", "check"),
        *("format", "encoding", "sep", "parameters", "preset", "sample_seed"),
    ):
        if given[name] is not None:
            options[name] = given[name]
    switches = {name: given[name] for name in ("dedupe", "append", "replace", "stop_after")}
    for name in ("image", "mask"):
        if given[f"{name}_column"] is not None:
            options[name] = given[f"{name}_column"]
    return {**options, **switches, "prompt": arguments.prompt_column}
