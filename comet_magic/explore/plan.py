"""The grid before anything is sent: which pictures it is made of, what they cost together, how long it may take."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..images import input_rules, prepare_inputs
from ..money import Price
from ..outputs import duration
from ..preset_files import with_preset
from ..request import INPUT_OPTIONS
from ..request.checks import check_names, check_no_key, shown
from ..text import clean, counted
from .variants import OPTIONS, Axis, adapted, axes_of, combinations, count_of, is_template, with_presets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..client import Client, Plan
    from ..client.core import Core
    from ..request import ImageRequest, Inputs
    from .variants import Combination

SLOWEST = 120  # seconds of a picture: https://developers.openai.com/api/docs/guides/image-generation
MOST_LINES = 40  # cells that a plan prints
OF_CALL = ("n", "timeout", "reuse", "on_event")  # options of every call, which do not vary
REMEMBERED = 30  # calls of each model whose seconds are looked at


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a grid before it is sent.

    Attributes:
        labels: its value on each axis, as a short text.
        places: which value of each axis it has; first its own, then those of combinations that come to the same.
        prompt: as it is sent.
        options: as they are sent.
        notes: in words, each value that was changed to the nearest that the model takes.
        plan: the requests and the price of what is lacking.
    """

    labels: Mapping[str, str]
    places: tuple[tuple[int, ...], ...]
    prompt: str
    options: Mapping[str, Any]
    notes: tuple[str, ...]
    plan: Plan

    @property
    def model(self) -> str:
        """Its model."""
        return self.plan.first.model


@dataclass(frozen=True)
class GridPlan:
    """What a grid would send and cost; nothing was sent.

    Attributes:
        prompt: as it was given.
        axes: what varies, and what has one value for all cells.
        cells: one for each picture or group of `n` pictures.
        left_out: combinations that a model does not take, each with the reason, in words.
        omitted: the same by the place on each axis.
        price: of all that is lacking, from the least to the most.
        seconds: that it may take, by what the archive knows of these models; None where it knows nothing.
        longest: seconds that it takes at most if each picture takes as long as the vendor says.
        sample: how the cells were drawn, in words, or "".
    """

    prompt: Any
    axes: tuple[Axis, ...]
    cells: tuple[PlannedCell, ...]
    left_out: tuple[str, ...]
    omitted: Mapping[tuple[int, ...], str]
    price: Price
    seconds: float | None
    longest: float
    sample: str = ""

    @property
    def requests(self) -> tuple[ImageRequest, ...]:
        """The requests that would be sent."""
        return tuple(request for cell in self.cells for request in cell.plan.requests)

    @property
    def pictures(self) -> int:
        """How many pictures would be paid for."""
        return sum(request.n for request in self.requests)

    @property
    def reused(self) -> int:
        """How many pictures the archive has, or another call is making."""
        plans = [cell.plan for cell in self.cells]
        return sum(len(plan.reused) + sum(request.n for request in plan.awaited) for plan in plans)

    @cached_property
    def varying(self) -> tuple[Axis, ...]:
        """The axes with more than one value."""
        return tuple(axis for axis in self.axes if len(axis.values) > 1)

    def name(self, cell: PlannedCell) -> str:
        """What tells a cell from the others, in words."""
        return named(cell.labels, self.varying) or clean(cell.prompt, limit=80)

    @property
    def repeated(self) -> list[str]:
        """In words, the combinations that come to the same request as a cell."""
        found = []
        for cell in self.cells:
            for place in cell.places[1:]:
                labels = {axis.name: axis.labels[at] for axis, at in zip(self.axes, place, strict=True)}
                found.append(f"{named(labels, self.varying)} is the same as {self.name(cell)}")
        return found

    @property
    def time(self) -> str:
        """The time that it may take, in words."""
        if not self.requests:
            return "none"
        if self.seconds is not None:
            return f"about {duration(max(1, self.seconds))}"
        return f"up to {ceil(self.longest / 60)} min, if each takes the {SLOWEST // 60} min that the vendor names"

    def __str__(self) -> str:
        reused = f", {self.reused} reused (free)" if self.reused else ""
        lines = [f"{counted(len(self.cells), 'cell')}: {counted(self.pictures, 'picture')} to make{reused}"]
        for cell in self.cells[:MOST_LINES]:
            price = str(cell.plan.price) if cell.plan.requests else "reused (free)"
            notes = f" ({'; '.join(cell.notes)})" if cell.notes else ""
            lines.append(f"  {self.name(cell)}: {price}{notes}")
        more = len(self.cells) - MOST_LINES
        lines += [f"  and {more} more"] if more > 0 else []
        lines += [f"left out  {reason}" for reason in self.left_out]
        lines += self.repeated
        lines += [f"sample    {self.sample}"] if self.sample else []
        return "\n".join([*lines, f"price     {self.price}", f"time      {self.time}"])

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:  # noqa: ARG002 - IPython's protocol
        printer.text(clean(str(self), limit=100_000))


def named(labels: Mapping[str, str], axes: Iterable[Axis]) -> str:
    """The values of some axes in words: "gpt-image-2, quality low, cat"."""
    words = [
        labels[axis.name]
        if axis.kind != "option" or axis.name == "model"
        else f"{axis.name} {labels[axis.name]}"
        for axis in axes
    ]
    return ", ".join(words)


def plan_grid(
    client: Client,
    prompt: Any,
    words: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    sample: int | None = None,
    seed: int | None = None,
) -> GridPlan:
    """Check and price every combination; nothing is sent.

    Args:
        client: whose archive, limits and vendor count.
        prompt: one, or a list.
        words: for `{names}` in it.
        options: as `generate` takes them, lists are alternatives; `max_cost` is of all together.
        sample: how many are drawn; None takes all.
        seed: of the drawing; None draws one too.

    Raises:
        InvalidRequestError: no combination is taken, or an input picture cannot be read.
        BudgetExceededError: together they could cost more.
    """
    call = {name: options[name] for name in OF_CALL if options.get(name) is not None}
    varied = {name: value for name, value in options.items() if name not in (*OF_CALL, "max_cost")}
    _check(prompt, words, varied, sample)
    core = client._core  # noqa: SLF001 - our own
    seed = secrets.randbelow(10_000) if seed is None else seed
    axes = axes_of(prompt, words, with_presets(varied))
    if isinstance(prompt, list | tuple) and all(axis.kind != "prompt" for axis in axes):
        prompt = prompt[0]  # the only one, perhaps more than once
    template = is_template(prompt, words)
    builder = _Builder(core, call, sample)
    for one in combinations(prompt, axes, template=template, sample=sample, seed=seed):
        if builder.is_full:
            break
        builder.add(one)
    cells = builder.in_order()
    price = sum((cell.plan.price for cell in cells), Price(0, 0))
    core.check_cost(price, options.get("max_cost"), f"the grid of {counted(len(cells), 'cell')}")
    seconds, longest = _time(core, cells)
    drawn = "" if sample is None else f"{len(cells)} of {count_of(axes):,} combinations, sample_seed={seed}"
    return GridPlan(
        prompt, axes, cells, builder.left_out(axes), builder.omitted, price, seconds, longest, drawn
    )


def plan_call(client: Client, prompt: str, options: Mapping[str, Any]) -> GridPlan:
    """A call as a grid of one cell, just as `generate` makes it: nothing varies, nothing is changed, no time is told.

    Raises:
        InvalidRequestError: a parameter breaks a rule.
        ConfigurationError: a file of presets, or the limit of time, cannot be used.
        BudgetExceededError: it could cost more than its limit.
    """
    core = client._core  # noqa: SLF001 - our own
    text, given = with_preset(prompt, options)
    plan = core.plan(text, given)
    cell = PlannedCell({}, ((),), text, given, (), plan)
    return GridPlan(prompt, (), (cell,), (), {}, plan.price, None, SLOWEST)


def _check(prompt: Any, words: Any, options: Mapping[str, Any], sample: Any) -> None:
    check_names(options, OPTIONS)
    check_no_key("prompt", prompt)
    check_no_key("words", words)
    if sample is not None and (type(sample) is not int or sample < 1):
        raise InvalidRequestError(f"sample is {shown(sample)}; it takes a number from 1 up", param="sample")


class _Builder:
    """Collects the cells of a plan: equal ones once, and why combinations are left out."""

    def __init__(self, core: Core, call: Mapping[str, Any], sample: int | None) -> None:
        self._core = core
        self._call = call
        self._sample = sample
        self._cells: dict[str, PlannedCell] = {}
        self._inputs: dict[Any, Inputs] = {}
        self._first: InvalidRequestError | None = None
        self._refused: list[tuple[Mapping[str, str], str]] = []
        self.omitted: dict[tuple[int, ...], str] = {}

    @property
    def is_full(self) -> bool:
        """Whether as many were drawn as were asked for."""
        return self._sample is not None and len(self._cells) >= self._sample

    def add(self, one: Combination) -> None:
        """Plan one more combination."""
        try:
            options, notes = adapted(one.options)
            input_rules(options)
        except InvalidRequestError as error:
            self._leave_out(one, error)
            return
        options = {**self._with_inputs(options), **self._call}  # a picture that cannot be read stops all
        try:
            plan = self._core.plan(one.prompt, options)
        except InvalidRequestError as error:
            self._leave_out(one, error)
            return
        key = plan.first.key(self._core.base.vendor)
        known = self._cells.get(key)
        cell = PlannedCell(one.labels, (one.places,), one.prompt, options, notes, plan)
        if known is None:
            self._cells[key] = cell
        elif known.notes and not notes:  # a cell is called what was asked for as it is sent
            self._cells[key] = replace(cell, places=(one.places, *known.places))
        else:
            self._cells[key] = replace(known, places=(*known.places, one.places))

    def _leave_out(self, one: Combination, error: InvalidRequestError) -> None:
        self._first = self._first or error
        self._refused.append((one.labels, str(error)))
        self.omitted[one.places] = str(error)

    def left_out(self, axes: Sequence[Axis]) -> tuple[str, ...]:
        """What was left out and why, in words: those with the same reason together, named by what they share."""
        found: dict[str, list[Mapping[str, str]]] = {}
        for labels, reason in self._refused:
            found.setdefault(reason, []).append(labels)
        said = []
        for reason, several in found.items():
            shared = [
                axis
                for axis in axes
                if len(axis.values) > 1 and len({labels[axis.name] for labels in several}) == 1
            ]
            count = f" ({len(several)} combinations)" if len(several) > 1 else ""
            said.append(f"{named(several[0], shared) or 'all'}{count}: {reason}")
        return tuple(said)

    def _with_inputs(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with their pictures prepared, once for each model."""
        given = {name: options.get(name) for name in INPUT_OPTIONS}
        rest = {name: value for name, value in options.items() if name not in INPUT_OPTIONS}
        if given["image"] is None:
            return rest
        name = (options.get("model"), *(id(value) for value in given.values()))
        if name not in self._inputs:
            self._inputs[name] = prepare_inputs(options)
        return {**rest, "image": self._inputs[name]}

    def in_order(self) -> tuple[PlannedCell, ...]:
        """The cells in the order of the axes.

        Raises:
            InvalidRequestError: there is none.
        """
        if not self._cells and self._first is not None:
            raise self._first
        return tuple(sorted(self._cells.values(), key=lambda cell: cell.places[0]))


# --- time


def usual_seconds(client: Client, plan: GridPlan) -> float | None:
    """Seconds that the calls of a plan may take, by what the archive knows of their models, or None."""
    return _time(client._core, plan.cells)[0]  # noqa: SLF001 - our own


def _time(core: Core, cells: Sequence[PlannedCell]) -> tuple[float | None, float]:
    """Seconds that the requests may take side by side: as earlier ones did, and at most."""
    requests = [request for cell in cells for request in cell.plan.requests]
    known: dict[tuple[str, str | None], float | None] = {}
    for request in requests:
        name = (request.model, request.quality)
        if name not in known:
            known[name] = _usual(core, *name)
    each = [known[request.model, request.quality] for request in requests]
    waves = -(-len(requests) // core.settings.max_in_flight)
    if None in each:
        return None, waves * SLOWEST
    seconds = [one for one in each if one is not None]
    return max([sum(seconds) / core.settings.max_in_flight, *seconds], default=0), waves * SLOWEST


def _usual(core: Core, model: str, quality: str | None) -> float | None:
    """The median of the seconds that calls of a model took, if there are any, of this quality."""
    calls = [
        entry
        for entry in core.archive.history(limit=REMEMBERED, model=model)
        if entry.seconds is not None and entry.outcome == "done" and entry.vendor == core.base.vendor
    ]
    same = [entry for entry in calls if entry.parameters.get("quality") == quality] or calls
    return median(entry.seconds for entry in same if entry.seconds is not None) if same else None
