"""`python -m comet_magic sandbox`: the sandbox as a server in a terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from .fault_injection import NAMES

if TYPE_CHECKING:
    import argparse

    from .server import Served


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    names = ", ".join(NAMES)
    parser.add_argument(
        "--port", type=int, default=8000, help="port on 127.0.0.1, 0 for a free one (default 8000)"
    )
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="S", help="seconds that each generation takes"
    )
    parser.add_argument("--rate", type=float, metavar="N", help="requests per second; faster ones get 429")
    parser.add_argument(
        "--fail",
        metavar="WHAT[:N|@SHARE]",
        help=f"simulate failures: 500 (always), 429:2 (the first two), hang:1,500@0.2; statuses, or {names}",
    )
    parser.add_argument(
        "--url-lifetime", type=float, default=3600.0, metavar="S", help="seconds a picture's URL lives"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the two export lines and serve until Ctrl-C; log one line per request to stderr."""
    from .server import Sandbox

    with Sandbox(
        port=arguments.port,
        delay=arguments.delay,
        rate=arguments.rate,
        fail=arguments.fail,
        url_lifetime=arguments.url_lifetime,
        report=_report,
    ) as sandbox:
        print(f"export COMETAPI_BASE_URL={sandbox.base_url}\nexport COMETAPI_KEY=sandbox", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _report(served: Served) -> None:
    sys.stderr.write(f"{served}\n")  # one write: several connections report at once
