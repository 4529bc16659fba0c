"""`python -m comet_magic sandbox`: the sandbox as a server in a terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from ..explanations import quoted
from .fault_injection import NAMES
from .server import Sandbox

if TYPE_CHECKING:
    import argparse

    from .server import Served

BESIDE = {
    "--port": "0 for a free one (default 8000)",
    "--fail": f"500 (always), 429:2 (the first two), hang:1,500@0.2; statuses, or {', '.join(NAMES)}",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    for flag, more in (
        ("--port", {"type": int, "default": 8000, "metavar": "N"}),
        ("--delay", {"type": float, "default": 0.0, "metavar": "S"}),
        ("--rate", {"type": float, "metavar": "N"}),
        ("--fail", {"metavar": "WHAT[:N|@SHARE]"}),
        ("--url-lifetime", {"type": float, "default": 3600.0, "metavar": "S"}),
    ):
        name, beside = flag.strip("-").replace("-", "_"), BESIDE.get(flag, "")
        parser.add_argument(flag, help=quoted(Sandbox, name, beside), **more)


def run(arguments: argparse.Namespace) -> int:
    """Print the two export lines and serve until Ctrl-C; log one line per request to stderr."""
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
