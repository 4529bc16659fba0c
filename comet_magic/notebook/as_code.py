"""A request as code: the `%%cometimg` cell that makes it, or the Python call."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from .flags import wire_flags

if TYPE_CHECKING:
    from ..request import ImageRequest


def cell_text(request: ImageRequest) -> str:
    """The text of a `%%cometimg` cell that makes exactly this request."""
    words = ["%%cometimg"]
    body = request.body()
    for flag in wire_flags():
        value = body.get(flag.name)
        if value is not None and value is not False:
            words.append(flag.short or flag.spelling)
            words += [shlex.quote(str(value))] if flag.takes_value else []
    for name, value in request.extra.items():
        words += ["--raw", shlex.quote(f"{name}={json.dumps(value, ensure_ascii=False)}")]
    if re.search(r"\{[^\W\d]", request.prompt):
        words.append("--no-interpolate")
    return f"{' '.join(words)}\n{request.prompt}\n"
