"""What a person is shown by prints and displays: a fault of a terminal, a pipe or a notebook stops no work."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
log = logging.getLogger("comet_magic")


def quietly(show: Callable[P, None]) -> Callable[P, bool]:
    """Have a function that shows something raise nothing of its own; gives whether it could be shown.

    An interrupt, and what a handler of a signal raises meanwhile, is raised.
    """

    @wraps(show)
    def shown(*arguments: P.args, **options: P.kwargs) -> bool:
        try:
            show(*arguments, **options)
        except KeyboardInterrupt:
            raise
        except BaseException as fault:
            if _comes_from_signal(fault):
                raise
            log.debug("it could not be shown", exc_info=True)
            _drop_unread()
            return False
        return True

    return shown


@quietly
def tell(words: str, *, error: bool = False) -> None:
    """Print to stdout, or as an `error` to stderr, if anybody reads it."""
    stream: Any = sys.stderr if error else sys.stdout  # None in a process without a console
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(f"{words}\n".encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _comes_from_signal(fault: BaseException) -> bool:
    """Whether a handler of a signal raised it, which came while something was shown."""
    handlers = [getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()]
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(fault.__traceback__))


def _drop_unread() -> None:
    """Send a standard stream that takes nothing more to the null device.

    What is left in its buffer would end Python with status 120.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
