"""`python -m comet_magic`: runs one of the commands; each is a module with `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from .errors import CometError
from .outputs import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

# Name, module, what it does. A module is imported only when its command is given.
COMMANDS = (
    ("sandbox", ".sandbox.serve", "the offline endpoint as a server"),
    ("dataset", ".pipeline.cli", "a table of prompts to a folder of pictures"),
    ("doctor", ".doctor", "is everything in place?"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m comet_magic", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="command")
    for name, module, help_text in COMMANDS:
        command = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        if name in given[:1]:
            loaded = import_module(module, "comet_magic")
            loaded.add_arguments(command)
            command.set_defaults(run=loaded.run)
    parsed = parser.parse_args(given)
    if "run" not in parsed:
        parser.print_help(sys.stderr)
        return 2
    try:
        return int(parsed.run(parsed))
    except CometError as problem:
        tell("\n".join(problem.lines()), error=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
