"""The pictures that a cell names: variables of the notebook, with or without an index, or paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..machine import expanded
from .arguments import usage_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..images import Images

_NAME = re.compile(r"([^\W\d]\w*)((?:\[-?\d{1,9}\])*)")
_INDEX = re.compile(r"\[(-?\d+)\]")
BOX = re.compile(r"\d+(?:\.\d+)?(?:\s*,\s*\d+(?:\.\d+)?){3}")
_MISSING = object()


def input_options(
    values: Mapping[str, Any], namespaces: Sequence[Mapping[str, Any]], newest: Images | None
) -> dict[str, Any]:
    """The options `image`, `mask`, `markup`, `resize` and `paste_back` as `generate` takes them.

    Args:
        values: the value of each flag of the cell.
        namespaces: where variables are looked up, in this order.
        newest: what the last cell made, for `--edit`.

    Raises:
        UsageError: a name or a path leads to nothing.
    """
    options: dict[str, Any] = {}
    named = [found_picture(text, "--image", namespaces) for text in values["image"] or ()]
    if values["edit"]:
        named = [_newest(newest, others=bool(named))]
    if named:
        options["image"] = named
    if values["mask"] is not None:
        box = BOX.fullmatch(values["mask"].strip())
        sides = tuple(float(side) for side in values["mask"].split(",")) if box else ()
        options["mask"] = sides or found_picture(values["mask"], "--mask", namespaces)
    if values["markup"] is not None:
        options["markup"] = found_picture(values["markup"], "--markup", namespaces)
    if values["no_resize"]:
        options["resize"] = False
    if values["no_paste_back"]:
        options["paste_back"] = False
    return options


def _newest(newest: Images | None, *, others: bool) -> Images:
    if others:
        raise usage_error("--edit takes the last picture; with --image, leave --edit out")
    if newest is None or not newest:
        raise usage_error(
            "there is no picture to edit yet; make one, or name one: --image boats[0], --image boat.png"
        )
    if len(newest) > 1:
        raise usage_error(
            f"the last cell made {len(newest)} pictures; name the one to edit: --image boats[1]"
        )
    return newest


def found_picture(text: str, flag: str, namespaces: Sequence[Mapping[str, Any]]) -> Any:
    """The variable of this name, an element of it, or the path."""
    match = _NAME.fullmatch(text.strip())
    value: Any = next((space[match[1]] for space in namespaces if match and match[1] in space), _MISSING)
    if match and value is not _MISSING:
        for index in _INDEX.findall(match[2]):
            try:
                value = value[int(index)]
            except (LookupError, TypeError):
                raise usage_error(f"{flag} is {text}; {match[1]} has no element [{index}]") from None
        return value
    if match and not expanded(text).exists():
        raise usage_error(f"{flag} is {text}; there is no variable and no file of this name")
    return text
