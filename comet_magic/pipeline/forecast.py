"""What a run will take: hours, disk, and how far its budget goes. Pure, but for what was measured in archives."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ..archive import Reader
from ..catalog import find
from ..machine import archive_folder
from ..money import Price, dollars
from ..settings import Settings
from ..text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..archive import Measured
    from .parameters import RequestTemplate

# "Complex prompts may take up to 2 minutes": https://developers.openai.com/api/docs/guides/image-generation
LONGEST = 120.0  # seconds of a picture of which nothing was measured
BYTES = 2_000_000  # of one; what a PNG of 1024x1024 mostly has
WIDE = 2.0  # a price whose ends are farther apart has a warning


class PriceGroup(NamedTuple):
    """Pictures to be paid for that cost the same."""

    model: str
    parameters: str
    price: Price


def price_group(template: RequestTemplate, prompt: str) -> PriceGroup:
    """The group of a picture of this request."""
    return PriceGroup(template.model, template.parameters, template.estimate(prompt))


class Forecast(NamedTuple):
    """What a run will take.

    Attributes:
        seconds: from its first call to its last, at the concurrency and pace of the run.
        measured: whether the seconds of every model were measured, in calls of this dataset or of the archive.
        disk_bytes: of its pictures.
        affordable: how many rows the budget buys, at the least and at the most; None without a limit or a price.
        warnings: sentences that a person should read before the run.
    """

    seconds: float = 0
    measured: bool = True
    disk_bytes: int = 0
    affordable: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()


def measured_at(folder: Path, vendor: str) -> dict[str, Measured]:
    """What was measured of each model, in the archive of a dataset or else in that of single calls."""
    found = Reader(archive_folder(Settings.archive)).measured(vendor)
    return found | Reader(folder).measured(vendor)


def forecast(
    to_send: Counter[PriceGroup],
    known: Mapping[str, Measured],
    *,
    in_flight: int,
    per_minute: float | None,
    left: int | None,
    folder: Path,
) -> Forecast:
    """What paying for these pictures will take.

    Args:
        to_send: how many of each kind.
        known: what was measured, by model.
        in_flight: calls side by side.
        per_minute: pictures a minute at most, or None.
        left: micro-USD of the budget that are left, or None.
        folder: of the dataset, whose disk may be small.
    """
    many = to_send.total()
    busy = disk = 0.0
    for kind, count in to_send.items():
        model = known.get(kind.model)
        busy += count * (model.seconds if model else LONGEST)
        disk += count * (model.bytes if model and model.bytes else BYTES)
    seconds = busy / max(1, min(in_flight, many))
    if per_minute is not None:
        seconds = max(seconds, 60 * many / per_minute)
    affordable = _affordable(to_send, left)
    warnings = (*_of_prices(to_send), *_of_models(to_send), *_of_disk(folder, disk))
    return Forecast(seconds, all(kind.model in known for kind in to_send), round(disk), affordable, warnings)


def _affordable(to_send: Counter[PriceGroup], left: int | None) -> tuple[int, int] | None:
    """How many rows the money buys if each costs the most, and if each costs the least."""
    many = to_send.total()
    if left is None or not many or not all(kind.price.known for kind in to_send):
        return None
    most = sum(count * (kind.price.high_micro or 0) for kind, count in to_send.items())
    least = sum(count * (kind.price.low_micro or 0) for kind, count in to_send.items())
    few, more = (min(many, left * many // cost) if cost else many for cost in (most, least))
    return max(0, few), max(0, more)


def _of_prices(to_send: Counter[PriceGroup]) -> list[str]:
    """That a price is a wide range because a parameter is not set."""
    wide = [
        kind
        for kind in to_send
        if kind.price.low_micro and (kind.price.high_micro or 0) > WIDE * kind.price.low_micro
    ]
    if not wide:
        return []
    kind = max(wide, key=lambda kind: (kind.price.high_micro or 0) / (kind.price.low_micro or 1))
    low, high = kind.price.low_micro or 1, kind.price.high_micro or 0
    facts = json.loads(kind.parameters)
    open_ = [name for name in ("quality", "size") if facts.get(name) in (None, "auto")]
    why = f"{' and '.join(open_)} {'are' if len(open_) > 1 else 'is'} not set" if open_ else "it is a range"
    rows = counted(sum(to_send[one] for one in wide), "row")
    return [
        f"{why} in {rows}: a picture costs {dollars(low)} to {dollars(high)}, a {high / low:.0f}-fold range"
    ]


def _of_models(to_send: Counter[PriceGroup]) -> list[str]:
    rows = Counter[str]()
    for kind, count in to_send.items():
        rows[kind.model] += count
    today = datetime.now(UTC).date()
    unpriced = sum(count for kind, count in to_send.items() if not kind.price.known)
    retired = [
        f"{clean(name, limit=80)}, of {counted(count, 'row')}, was retired on {day}"
        for name, count in rows.items()
        if (day := find(name).retired) is not None and day <= today
    ]
    unknown = f"the price of {counted(unpriced, 'row')} is unknown; give price_per_image, in USD"
    return [*retired, *([unknown] if unpriced else [])]


def _of_disk(folder: Path, needed: float) -> list[str]:
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    free = shutil.disk_usage(there).free if there else needed
    return [f"the disk has {size_text(free)} left, and the pictures need {size_text(needed)}"] * (
        free < needed
    )


def size_text(size: float) -> str:
    """Bytes as a person reads them: "158 MB", "1.5 GB"."""
    mb = size / 1e6
    return f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB" if mb >= 10 else f"{mb:.1f} MB"


def time_text(seconds: float) -> str:
    """A span as a person reads it: "40 s", "12 minutes", "3.2 hours"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
