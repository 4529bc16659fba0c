"""What a person is shown: prints, which stop no work, and outputs of a notebook, not shown twice in their cell."""

from __future__ import annotations

import base64
import logging
import math
import os
import signal
import sys
import traceback
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

P = ParamSpec("P")
log = logging.getLogger("comet_magic")

# --- a fault of a terminal, a pipe or a notebook stops no work


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


# --- in a notebook


def running_shell() -> Any:
    """The shell of this process, or None; IPython is not imported for it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def can_update(shell: Any) -> bool:
    """Whether this shell can replace an output: a kernel can, unless `%%capture` records the cell."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return getattr(shell, "kernel", None) is not None and not isinstance(
        shell.display_pub, CapturingDisplayPublisher
    )


def display_bundle(
    data: dict[str, Any], metadata: dict[str, Any] | None = None, *, handle: Any = None
) -> Any:
    """Show a MIME bundle as a new output, or replace the handle's output; returns the handle."""
    from IPython.display import DisplayHandle

    if handle is None:
        make: Any = DisplayHandle  # partly typed
        handle = make()
        handle.display(data, raw=True, metadata=metadata or {})
    else:
        handle.update(data, raw=True, metadata=metadata or {})
    return handle


def data_url(data: bytes, mime: str) -> str:
    """The bytes as a `data:` URL."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def duration(seconds: float) -> str:
    """Seconds in words: "8 s", "2 min 5 s"."""
    minutes, rest = divmod(math.floor(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def file_address(name: str) -> str:
    """The address of a file in a page of the notebook; "" if it is not below the notebook's folder."""
    return "" if Path(name).is_absolute() else quote(name.replace(os.sep, "/"))


def shows_value(shell: Any) -> bool:
    """Whether the value of a cell is being shown now, and not what somebody gave to `display`."""
    hook = shell.displayhook
    return hook.msg is not None if hasattr(hook, "msg") else getattr(hook, "is_active", True)


def running_cell(shell: Any) -> object:
    """Something that names the cell that runs: its message, also if it is not in the history; else its number."""
    message = getattr(shell.displayhook, "parent_header", {}).get("msg_id")
    return message or shell.execution_count


class CellValue:
    """Pictures as the value of the cell that made them: not shown again there once they were shown.

    Args:
        shown: whether the magic has shown them.
    """

    def __init__(self, shell: Any, *, shown: bool) -> None:
        self._shell = shell
        self._cell = running_cell(shell)
        self._shown = shown

    def is_repeated(self) -> bool:
        """Whether what is about to be shown is the cell's value, and was shown or, with `-q`, is not to be."""
        if running_cell(self._shell) != self._cell:
            return False
        is_value = shows_value(self._shell)
        repeated = is_value and (self._shown or self._is_of_the_magic())
        self._shown = self._shown or not repeated
        return repeated

    def _is_of_the_magic(self) -> bool:
        """Whether the expression whose value is being shown is a call of the magic, and not a name for its pictures."""
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - only the frames know the expression
        while frame is not None and frame.f_locals.get("self") is not self._shell.displayhook:
            frame = frame.f_back
        while frame is not None and frame.f_locals.get("self") is self._shell.displayhook:
            frame = frame.f_back
        constants = frame.f_code.co_consts if frame is not None else ()
        return any("cometimg" in constant for constant in constants if isinstance(constant, str))
