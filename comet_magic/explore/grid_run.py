"""`vary`: every combination as one grid, planned and priced first, then made side by side."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

from ..client import shared_client
from ..client.api import GenerateOptions, named
from ..client.job import STATE_WORDS, interrupted, progress_words, wait_for_all
from ..errors import CallAbandoned, CometError
from ..images import Images
from ..money import total
from ..outputs import running_shell
from ..settings import ConnectionOptions
from ..text import conceal_keys, concealed
from .grid import Grid, GridCell
from .grid_display import GridOutput
from .plan import plan_grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..client import Client, Job
    from .plan import GridPlan, PlannedCell


@overload
def vary(
    prompt: Any, *, words: Mapping[str, Any] | None = ..., n: int | None = ..., sample: int | None = ...,
    sample_seed: int | None = ..., reuse: bool = ..., max_cost: float | None = ...,
    dry_run: Literal[True], **options: Any,
) -> GridPlan: ...  # fmt: skip
@overload
def vary(
    prompt: Any, *, words: Mapping[str, Any] | None = ..., n: int | None = ..., sample: int | None = ...,
    sample_seed: int | None = ..., reuse: bool = ..., max_cost: float | None = ...,
    dry_run: Literal[False] = ..., **options: Any,
) -> Grid: ...  # fmt: skip
@named(GenerateOptions)
def vary(
    prompt: Any,
    *,
    words: Mapping[str, Any] | None = None,
    n: int | None = None,
    sample: int | None = None,
    sample_seed: int | None = None,
    reuse: bool = True,
    max_cost: float | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Grid | GridPlan:
    """Make pictures of every combination of values as one grid; takes what `generate` does, and lists of it.

    They are made side by side, and shown with the price and the seconds of each. A value that a model does not take
    becomes its nearest legal one, and combinations without one are left out, by name; those that become equal are one
    cell. What the archive has is reused, so a grid with one value more pays for that value only.

    Args:
        prompt: what the pictures show, or a list of prompts. Each `{red|blue}` in it is varied too; braces that are
            meant as such are doubled then.
        words: for `{names}` in the prompt, each a text or a list: `{"animal": ["cat", "dog"]}`.
        n: pictures for each combination, 1 by default.
        sample: draw so many combinations at random; None takes all, at most 200.
        sample_seed: a number for the drawing, with which it is the same again; the plan names it.
        reuse: False makes new pictures also of what the archive has.
        max_cost: USD; a grid that could cost more is refused before anything is sent.
        dry_run: True gives the plan, and sends nothing.
        **options: what `comet_magic.generate` takes; a list of values is varied: `model=["gpt-image-2", "dall-e-3"]`,
            `quality=["low", "high"]`. `image=[a, b]` are alternatives, `image=[[a, b]]` are two pictures at once.

    Returns:
        A `Grid`; with `dry_run` a `GridPlan` with `.price`, `.time`, `.cells` and `.left_out`. A cell that failed
        holds its error: `grid.errors`.

    Raises:
        InvalidRequestError: no combination can be sent, or there are too many; nothing was sent.
        BudgetExceededError: the grid could cost more than `max_cost`; nothing was sent.
        CallAbandoned: on an interrupt; `images` has what came, and the archive keeps it for the next time.
        CometError: all cells failed; `errors` has the error of each.

    Example:
        >>> import comet_magic as cm
        >>> grid = cm.vary("a {paper|wooden} boat", quality=["low", "high"], size="1024x1024")
        >>> [cell.name for cell in grid]
        ['quality low, paper', 'quality low, wooden', 'quality high, paper', 'quality high, wooden']
        >>> cm.vary("a {paper|wooden} boat", quality=["low", "high"], size="1024x1024", dry_run=True).pictures
        0
    """
    prompt, words = concealed(prompt), concealed(words)
    conceal_keys(options, GenerateOptions.__annotations__)
    where: Any = {name: options.pop(name) for name in ConnectionOptions.__annotations__ if name in options}
    client = shared_client(**where)
    call = {"n": n, "reuse": reuse, "max_cost": max_cost}
    plan = plan_grid(client, prompt, words, {**options, **call}, sample=sample, seed=sample_seed)
    if dry_run:
        return plan
    grid, error = make_grid(client, plan, GridOutput(running_shell()))
    if error is not None:
        raise error
    return grid


def make_grid(
    client: Client, plan: GridPlan, output: GridOutput, *, notice: str = ""
) -> tuple[Grid, CometError | None]:
    """Make the pictures of a plan side by side, and show the grid while it grows; each carries the notice.

    Returns:
        The grid, and an error if it was interrupted or all of its cells failed.
    """
    run = GridRun(client, plan, notice)
    output.begin(plan)
    stopped: CometError | None = None
    try:
        run.start()
        run.wait(output)
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, CallAbandoned) else run.interrupted()
    grid = run.grid()
    output.show(grid)
    images, errors = grid.images, tuple(grid.errors.values())
    if stopped is not None:
        return grid, stopped.with_facts(images=images)
    if images or not errors:
        return grid, None
    return grid, errors[0].with_facts(errors=errors if len(errors) > 1 else ())


class GridRun:
    """The calls of a grid under way."""

    def __init__(self, client: Client, plan: GridPlan, notice: str = "") -> None:
        self._client = client
        self._core = client._core  # noqa: SLF001 - our own
        self.plan = plan
        self._notice = notice
        self._jobs: list[Job | CometError] = []
        self._ended: dict[int, GridCell] = {}

    def start(self, **call: Any) -> None:
        """Start a call for each cell, with these further options; one limiter lets them run side by side."""
        for cell in self.plan.cells:
            try:
                job: Job | CometError = self._core.submit(cell.prompt, {**cell.options, **call})
            except CometError as error:
                job = error.bare()
            self._jobs.append(job)

    @property
    def started(self) -> list[tuple[PlannedCell, Job]]:
        """The cells whose calls were started, and their calls."""
        pairs = zip(self.plan.cells, self._jobs, strict=False)
        return [(cell, job) for cell, job in pairs if not isinstance(job, CometError)]

    @property
    def calls(self) -> list[Job]:
        """The calls that were started."""
        return [job for _, job in self.started]

    def interrupted(self) -> CallAbandoned:
        """Stop what was not sent, and say what runs on."""
        unsent = [CometError("stopped before it was sent") for _ in self.plan.cells[len(self._jobs) :]]
        self._jobs += unsent
        if not self.calls:
            return CallAbandoned("stopped before anything was sent")
        return interrupted(self.calls)

    def wait(self, output: GridOutput) -> None:
        """Wait until all have ended.

        Raises:
            CallAbandoned: on an interrupt; what was not sent is cancelled.
        """
        if self.calls:
            wait_for_all(self.calls, lambda: output.tick(self))

    @property
    def ended(self) -> int:
        """How many cells have ended."""
        return sum(isinstance(job, CometError) or job.done() for job in self._jobs)

    def grid(self) -> Grid:
        """The grid as far as it is made."""
        return Grid(self.plan, tuple(map(self._cell, range(len(self.plan.cells)))), self._notice)

    def _cell(self, number: int) -> GridCell:
        if number in self._ended:
            return self._ended[number]
        planned = self.plan.cells[number]
        cell = GridCell(planned, self.plan.name(planned))
        job = self._jobs[number] if number < len(self._jobs) else None
        if job is None:
            return replace(cell, state=STATE_WORDS["queued"])
        if isinstance(job, CometError):
            cell = replace(cell, error=job)
        elif job.done():
            cell = self._ended_cell(cell, job)
        elif job.abandoned:  # it runs on in the background, if it was sent
            sent = any(call.sent for call in job.calls)
            words = "stopped; its request runs on in the background" if sent else "stopped before it was sent"
            error = CometError(words, outcome="unknown" if sent else "not_sent")
            return replace(cell, error=error, cost_micro=None if sent else 0)
        else:
            return replace(cell, state=progress_words(job.calls))
        self._ended[number] = cell
        return cell

    def _ended_cell(self, cell: GridCell, job: Job) -> GridCell:
        error = job.exception()
        if error is not None and not isinstance(error, CometError):
            raise error
        images: Any = error.images if error is not None else job.result()
        if error is not None and not isinstance(images, Images):
            return replace(
                cell, error=error, cost_micro=0 if error.outcome in ("not_sent", "rejected") else None
            )
        price, seconds = _as_made(self._client, cell.planned, job, images)
        images = images.with_notice(self._notice) if self._notice else images
        images.maker = self._client.generate
        paid = total(call.cost for call in job.calls)
        return replace(cell, images=images, error=error, cost_micro=paid, price_micro=price, seconds=seconds)


def _as_made(
    client: Client, planned: PlannedCell, job: Job, images: Images
) -> tuple[int | None, float | None]:
    """What pictures cost in micro-USD, and the seconds of the longest call, when they were made."""
    archive, stored = client.archive, {}
    for one in archive.stored(planned.plan.first.key(client.vendor)):
        with suppress(OSError):
            stored[str(archive.path_of(one))] = one
    found = [stored.get(picture.path or "") for picture in images.pictures]
    if None in found:  # nothing is kept on disk
        costs, calls = [call.cost for call in job.calls], {call.call_id for call in job.calls if call.call_id}
    else:
        costs = [one.cost_micro for one in found if one is not None]
        calls = {one.call_id for one in found if one is not None}
    entries = [archive.entry(call_id) for call_id in calls]
    seconds = [entry.seconds for entry in entries if entry is not None and entry.seconds is not None]
    return total(costs), max(seconds, default=None)
