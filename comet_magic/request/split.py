"""Split a call into requests."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING, Any

from ..catalog import DEFAULT_MODEL, WIRE_PARAMETERS, FreeSize, SizeList, edges, find
from ..errors import InvalidRequestError
from .checks import check_call, check_names, shown
from .image_request import ImageRequest
from .inputs import NO_INPUTS
from .options import CALL_OPTIONS, INPUT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .inputs import Inputs

_SAME_SHAPE = 0.03  # of the logarithm of a ratio
MOST_PICTURES = 100  # of one call with all its requests; for more there are datasets


def requests_of(
    prompt: str | ImageRequest, options: Mapping[str, Any], inputs: Inputs = NO_INPUTS
) -> tuple[ImageRequest, ...]:
    """Split a call into checked requests that together ask for `n` pictures: several if the model takes fewer at once.

    Args:
        prompt: what the pictures show; or a request, which is made again with what the options say otherwise.
        options: what `ImageRequest` takes; None means not set. Those about the call (`CALL_OPTIONS`) are left out.
        inputs: the prepared pictures of `INPUT_OPTIONS`. Without a size, the pictures keep the first one's shape.

    Raises:
        InvalidRequestError: a rule is broken, or `n` is not 1 to 100.
    """
    check_call(options)
    ours = CALL_OPTIONS | INPUT_OPTIONS | {"asked"}
    given = {name: value for name, value in options.items() if value is not None and name not in ours}
    check_names(given, (*WIRE_PARAMETERS, "extra"))
    count = given.pop("n", 1)
    if type(count) is not int or not 1 <= count <= MOST_PICTURES:
        found = shown(count, text_expected=False)
        raise InvalidRequestError(f"n is {found}; a call takes 1 to {MOST_PICTURES}", param="n")
    if isinstance(prompt, ImageRequest):
        one = replace(prompt, **{"n": 1, "inputs": inputs if inputs.images else prompt.inputs, **given})
    else:
        if inputs.images and "size" not in given:
            inputs = _keep_shape(given, inputs)
        one = ImageRequest(prompt, **given, inputs=inputs)
    size = {"size": given["size"]} if given.get("size", one.size) != one.size else {}
    asked = {**(one.asked or {}), **size, **(options.get("asked") or {})}
    one = replace(one, asked=asked) if asked else one
    if count == 1:
        return (one,)
    most = 1 if one.stream else one.spec.n.high
    whole, rest = divmod(count, most)
    parts = [most] * whole + [rest] * bool(rest)
    return tuple(one if part == 1 else replace(one, n=part) for part in parts)


def _keep_shape(given: dict[str, Any], inputs: Inputs) -> Inputs:
    """Set the size that the model takes nearest to the first picture's; the inputs say so if it is another."""
    first = inputs.images[0]
    size, nearest = f"{first.width}x{first.height}", None
    rule = find(given.get("model", DEFAULT_MODEL)).parameters.get("size")
    if isinstance(rule, SizeList | FreeSize):
        nearest = size if rule.admits(size) else rule.nearest(size)
        ratio = first.width / first.height
        width, height = edges(nearest) or (first.width, first.height)
        if abs(log(width / height / ratio)) > _SAME_SHAPE:  # a small picture is enlarged, not stretched
            nearest = rule.of_ratio(ratio) or nearest
    if nearest is None:
        return inputs
    given["size"] = nearest
    notice = f"size {nearest} is the nearest to the picture's {size}"
    return inputs if nearest == size else replace(inputs, notices=(*inputs.notices, notice))
