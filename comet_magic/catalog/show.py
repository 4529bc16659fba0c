"""The table as Markdown, for the README and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sizes import SizeList
from .table import MODELS

if TYPE_CHECKING:
    from .model import Model

_HEAD = ("model", "sizes", "quality", "formats", "transparent", "streams", "one square picture", "until")


def dollars(micro: int | None) -> str:
    """An amount as people write it: "$0.0047", "$1.50"; "unknown" for None."""
    if micro is None:
        return "unknown"
    places = 2 if abs(micro) >= 1_000_000 else 4 if abs(micro) >= 100 else 6
    whole, _, part = f"{micro / 1_000_000:.{places}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def square_price(model: Model) -> str:
    """What a picture of the default size costs, from the lowest to the highest quality."""
    sizes, qualities = model.auto_sizes[:1], model.auto_qualities or ("",)
    costs = [model.price.picture(size, word) if model.price else None for size in sizes for word in qualities]
    known = sorted(cost for cost in costs if cost is not None)
    if not known or len(known) < len(costs):
        return "unknown"
    ends = dict.fromkeys((dollars(known[0]), dollars(known[-1])))
    return " to ".join(ends)


def _row(model: Model) -> tuple[str, ...]:
    takes = model.parameters
    size = takes["size"]
    words = [word for word in size.choices() if word == "auto" or word.endswith("K")]
    sizes = ", ".join(size.choices()) if isinstance(size, SizeList) else ", ".join([*words, "free"])
    return (
        sizes,
        ", ".join(takes["quality"].choices()) if "quality" in takes else "",
        ", ".join(takes["output_format"].choices()) if "output_format" in takes else "",
        model.transparent,
        "yes" if model.streams else "",
        square_price(model),
        model.retired.isoformat() if model.retired else "",
    )


def model_table() -> str:
    """The table as Markdown: models with equal rows share one."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for model in MODELS:
        rows.setdefault(_row(model), []).append(f"`{model.id}`")
    lines = [_HEAD, ("---",) * len(_HEAD), *((", ".join(ids), *row) for row, ids in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
