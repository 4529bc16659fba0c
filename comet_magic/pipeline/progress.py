"""How a run tells that it lives: a bar in a notebook or a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..request import dollars
from ..text import counted
from .row_status import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive import Spend

EVERY_BAR = 0.25  # seconds between two looks of a bar
EVERY_LINE = 10.0  # seconds between two lines


@dataclass(frozen=True)
class Status:
    """How far a run is: rows by outcome, rows in all (None while unknown), the dataset's money, rows of others."""

    counts: Mapping[str, int]
    total: int | None
    spend: Spend
    awaited: int = 0

    @property
    def ended(self) -> int:
        """Rows that the run is through with; those that it leaves open are not."""
        return sum(count for name, count in self.counts.items() if name != "open")

    def __str__(self) -> str:
        money = f"{dollars(self.spend.spent)} spent"
        if self.spend.bound != self.spend.spent:
            money += f", at most {dollars(self.spend.bound)}"
        waiting = f"; waiting for {self.awaited:,} that another process makes" if self.awaited else ""
        return f"{in_words(self.counts)}; {money}{waiting}"


class Display(Protocol):
    """What a run is shown on; used from the thread that waits for it."""

    def due(self) -> bool:
        """Whether it is time for another look."""

    def show(self, status: Status) -> None:
        """How the run stands."""

    def say(self, text: str) -> None:
        """One sentence beside it."""

    def close(self) -> None:
        """The run has ended."""


def make_display(*, shown: bool) -> Display:
    """A bar where there is someone to see it move, lines where the output is kept, or nothing."""
    if not shown:
        return Silence()
    if _in_notebook():
        return NotebookBar()
    return Bar() if sys.stderr.isatty() else Lines()


def _in_notebook() -> bool:
    """Whether this very process is a kernel; nothing is imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Silence:
    """Shows nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def show(self, status: Status) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """One line every ten seconds, with rate and time left, and one at the end."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = self._began + EVERY_LINE
        self._last: Status | None = None

    def due(self) -> bool:
        """Whether ten seconds have passed."""
        return time.monotonic() >= self._next

    def show(self, status: Status) -> None:
        """A line of it."""
        self._last = status
        if self.due():
            self._next = time.monotonic() + EVERY_LINE
            self.say(self._line(status))

    def _line(self, status: Status) -> str:
        seconds = time.monotonic() - self._began
        rate = status.ended / seconds if seconds > 0 else 0.0
        rows, left = counted(status.ended, "row"), ""
        if status.total is not None:
            rows = f"{status.ended:,} of {counted(status.total, 'row')}"
            if rate and status.total > status.ended:
                left = f", {(status.total - status.ended) / rate:,.0f} s left"
        return f"{rows}, {rate:.1f} a second{left}: {status}"

    def say(self, text: str) -> None:
        """The sentence as a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """The last line."""
        if self._last is not None:
            self.say(self._line(self._last))


class Bar:
    """The bar of tqdm in a terminal."""

    def __init__(self, **options: Any) -> None:
        from tqdm.auto import tqdm

        class Ours(tqdm):  # type: ignore[type-arg]  # it is generic for type checkers only
            monitor_interval = 0  # no thread of its own: this one is fed often enough

        self._bar: Any = Ours(unit="row", mininterval=0, miniters=0, dynamic_ncols=True, **options)
        self._next = 0.0

    def due(self) -> bool:
        """A few times a second."""
        return time.monotonic() >= self._next

    def show(self, status: Status) -> None:
        """Move the bar."""
        self._next = time.monotonic() + EVERY_BAR
        total = None if status.total is None else max(status.total, status.ended)
        if total != self._bar.total:
            self._bar.reset(total=total)
        self._bar.set_postfix_str(str(status), refresh=False)
        if status.ended > self._bar.n:  # an update by nothing would leave its time out of the rate
            self._bar.update(status.ended - self._bar.n)
        self._bar.refresh()

    def say(self, text: str) -> None:
        """The sentence above the bar."""
        self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class NotebookBar(Bar):
    """The bar of tqdm as a widget; its last state is text too, for who only looks at the saved notebook."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self._shown: Any = sys.modules["IPython.display"].display(self._bar.container, display_id=True)

    def say(self, text: str) -> None:
        """The sentence below the bar; a notebook paints what goes to stderr red."""
        print(text)

    def close(self) -> None:
        """Leave the bar as it is."""
        super().close()
        self._shown.update(self._bar.container)
