"""The progress of a run: a bar in a notebook or a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..money import dollars
from ..outputs import quietly, tell
from ..text import counted
from .rows import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..archive import Spend

EVERY_BAR = 0.25  # seconds between two movements of a bar
EVERY_LINE = 10.0  # seconds between two lines


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        counts: rows settled so far by status.
        total: rows that the source makes, None while unknown.
        spend: the dataset's money.
        awaited: rows that another process is making.
        waits: why nothing is sent right now, and for how long, or "".
        pace: requests a minute that are sent at most, None without such a limit.
    """

    counts: Mapping[str, int]
    total: int | None
    spend: Spend
    awaited: int = 0
    waits: str = ""
    pace: float | None = None

    @property
    def ended(self) -> int:
        """Rows that are settled and not open."""
        return sum(count for name, count in self.counts.items() if name != "open")

    def __str__(self) -> str:
        money = f"{dollars(self.spend.spent_micro)} spent"
        if self.spend.bound_micro != self.spend.spent_micro:
            money += f", at most {dollars(self.spend.bound_micro)}"
        first = f"{self.waits}; " if self.waits else ""  # a narrow terminal cuts the end off
        pace = f"; at most {self.pace:,.0f} a minute" if self.pace else ""
        waiting = f"; waiting for {self.awaited:,} that another process is making" if self.awaited else ""
        return f"{first}{in_words(self.counts)}; {money}{pace}{waiting}"


class Shown(Protocol):
    """What a bar shows, with words as a text."""

    @property
    def total(self) -> int | None:
        """How many rows there are."""

    @property
    def ended(self) -> int:
        """How many of them are done with."""


@dataclass
class Meter:
    """Shows how many rows of something long are done with, from two seconds after the first on.

    Attributes:
        total: how many rows there are.
        words: what is done with them.
    """

    total: int
    words: str
    ended: int = 0
    _next: float | None = None
    _display: Display | None = None

    def __str__(self) -> str:
        return self.words

    def step(self) -> None:
        """Note that one more row is done with."""
        self.ended += 1
        now = time.monotonic()
        if self._next is None:
            self._next = now + 2
        if now < self._next:
            return
        if self._display is None:
            self._display = Display(make_display)
        else:
            self._display.show(lambda: self)
        self._next = now + self._display.every

    def close(self) -> None:
        """Leave what was shown, if anything was, as it is at the end."""
        if self._display:
            self._display.show(lambda: self)
            self._display.close()


class Display:
    """Shows how far a run is while that can be shown; once it fails it shows nothing more, and the run goes on.

    Attributes:
        every: seconds between two looks.
    """

    def __init__(self, make: Callable[[], Lines | Bar]) -> None:
        self.every = math.inf
        self._shows: Lines | Bar | None = None
        self._try(lambda: self._use(make()))
        if self._shows is None:  # such as a kernel without widgets
            self._try(lambda: self._use(Lines()))

    def _use(self, shows: Lines | Bar) -> None:
        self._shows, self.every = shows, shows.every

    def _try(self, show: Callable[[], None]) -> None:
        if not quietly(show)():
            self._shows, self.every = None, math.inf

    def show(self, status: Callable[[], Shown]) -> None:
        """Show the status."""
        if (shows := self._shows) is not None:
            self._try(lambda: shows.show(status()))

    def say(self, text: str | Callable[[], str]) -> None:
        """Show a sentence, or the one that a function gives."""
        if (shows := self._shows) is not None:
            self._try(lambda: shows.say(text if isinstance(text, str) else text()))

    def close(self) -> None:
        """Leave what was shown as it is."""
        if (shows := self._shows) is not None:
            self._try(shows.close)


def make_display() -> Lines | Bar:
    """A bar for a notebook or a terminal, lines for a file or a pipe."""
    if _in_notebook():
        return NotebookBar()
    return Bar() if sys.stderr is not None and sys.stderr.isatty() else Lines()


def say(text: str) -> None:
    """Print a sentence; on stderr a notebook would paint it red."""
    tell(text, error=not _in_notebook())


def _in_notebook() -> bool:
    """Whether this process is a kernel; nothing is imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Lines:
    """A line every ten seconds, with rate and time left, and one at the end."""

    def __init__(self) -> None:
        self.every = EVERY_LINE
        self._began = time.monotonic()

    def show(self, status: Shown) -> None:
        """Print a line."""
        seconds = time.monotonic() - self._began
        rate = status.ended / seconds if seconds > 0 else 0.0
        rows, left = counted(status.ended, "row"), ""
        if status.total is not None:
            rows = f"{status.ended:,} of {counted(status.total, 'row')}"
            if rate and status.total > status.ended:
                left = f", {(status.total - status.ended) / rate:,.0f} s left"
        self.say(f"{rows}, {rate:.1f} a second{left}: {status}")

    def say(self, text: str) -> None:
        """Print the sentence."""
        say(text)

    def close(self) -> None:
        """Nothing; the last line is printed."""


class Bar:
    """The bar of tqdm in a terminal."""

    def __init__(self) -> None:
        from tqdm.std import tqdm

        self.every = EVERY_BAR
        self._bar = self._make(tqdm)

    @staticmethod
    def _make(kind: Any, **options: Any) -> Any:
        """A bar of a class of tqdm; which one is ours to say, as `tqdm.auto` takes some kernels for terminals."""

        class Unwatched(kind):  # type: ignore[misc]  # it is a value here
            monitor_interval = 0  # no thread of its own: it is moved often enough

        return Unwatched(unit="row", mininterval=0, miniters=0, dynamic_ncols=True, **options)

    def show(self, status: Shown) -> None:
        """Move the bar."""
        total = None if status.total is None else max(status.total, status.ended)
        if total != self._bar.total:
            self._bar.reset(total=total)
        self._bar.set_postfix_str(str(status), refresh=False)
        if status.ended > self._bar.n:  # an update by 0 would leave its time out of the rate
            self._bar.update(status.ended - self._bar.n)
        self._bar.refresh()

    def say(self, text: str) -> None:
        """Print the sentence above the bar."""
        self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class NotebookBar(Bar):
    """The bar of tqdm as a widget; a saved notebook keeps its last state as text."""

    def __init__(self) -> None:
        from tqdm.notebook import tqdm

        self.every = EVERY_BAR
        self._bar = self._make(tqdm, display=False)
        self._shown: Any = sys.modules["IPython.display"].display(self._bar.container, display_id=True)

    def say(self, text: str) -> None:
        """Print the sentence below the bar; on stderr a notebook would paint it red."""
        print(text)

    def close(self) -> None:
        """Leave the bar as it is."""
        super().close()
        self._shown.update(self._bar.container)
