"""The table of models as Markdown, for the README and `%cometimg_models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..money import Price
from .rules import FreeSize
from .table import MODELS

if TYPE_CHECKING:
    from .model import Model

_HEAD = (
    *("model", "sizes", "quality", "formats", "transparent", "streams", "pictures in", "one square picture"),
    "retired on",
)


def square_price(model: Model) -> Price:
    """What a picture of the default size costs without its prompt, from lowest to highest quality."""
    rule, size = model.parameters.get("quality"), model.auto_sizes[0] if model.auto_sizes else ""
    words = [word for word in rule.choices() if word != "auto"] if rule else [""]
    costs = [model.price.picture(size, word) if model.price else None for word in words]
    known = [cost for cost in costs if cost is not None]
    return Price(min(known), max(known)) if known else Price(None, None)


def size_words(model: Model) -> str:
    """The sizes that a model takes, in short: "auto, any up to 3:1"; "" if it takes none."""
    rule = model.parameters.get("size")
    if rule is None:
        return ""
    if isinstance(rule, FreeSize):
        return ", ".join((*rule.words, f"any up to {rule.ratio}:1"))
    return ", ".join(rule.choices())


def _words(model: Model, name: str) -> str:
    rule = model.parameters.get(name)
    return ", ".join(rule.choices()) if rule else ""


def _row(model: Model) -> tuple[str, ...]:
    return (
        size_words(model),
        _words(model, "quality"),
        _words(model, "output_format"),
        model.transparent,
        "yes" if model.streams else "",
        f"up to {model.inputs.most}" if model.inputs else "",
        str(square_price(model)),
        model.retired.isoformat() if model.retired else "",
    )


def model_table() -> str:
    """The table of models as Markdown; models with equal rows share one."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for model in MODELS:
        rows.setdefault(_row(model), []).append(f"`{model.id}`")
    lines = [_HEAD, ("---",) * len(_HEAD), *((", ".join(ids), *row) for row, ids in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
