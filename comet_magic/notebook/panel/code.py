"""The form as code: the `%%cometimg` cell, the Python call and the body of the request. Pure text."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from ..as_code import cell_text, python_text

if TYPE_CHECKING:
    from .form import Order


def cell(order: Order, name: str = "") -> str:
    """The text of the cell that asks for exactly this, and assigns it to the name."""
    head, _, prompt = cell_text(order.requests[0]).partition("\n")
    words = []
    if len(order.requests) > 1:
        head = head.replace(f" -n {order.requests[0].n}", "", 1) if order.requests[0].n > 1 else head
        words += ["-n", str(order.count)]
    if "timeout" in order.options:
        words += ["--timeout", f"{order.options['timeout']:g}"]
    if "max_cost" in order.options:
        words += ["--max-cost", f"{order.options['max_cost']:.6f}".rstrip("0").rstrip(".")]
    if order.options.get("reuse"):
        words.append("--reuse")
    if name:
        words += ["-o", name]
    return (
        " ".join([head, *map(shlex.quote, words)])
        + "\n"
        + (prompt.removesuffix("\n") if order.prompt else "")
    )


def python(order: Order, name: str = "") -> str:
    """The call of `generate` that asks for exactly this."""
    first = order.requests[0].to_dict()
    arguments = {key: value for key, value in first.items() if key not in ("prompt", "n")}
    if order.count > 1:
        arguments["n"] = order.count
    arguments |= {key: order.options[key] for key in ("timeout", "max_cost", "reuse") if key in order.options}
    return python_text(order.prompt, arguments, name=name or "images")


def body(order: Order) -> str:
    """What goes on the wire, as JSON; and how often, where it goes more than once."""
    bodies = [{**request.body(), "prompt": order.prompt} for request in order.requests]
    texts = [json.dumps(each, ensure_ascii=False, indent=2) for each in bodies]
    return "\n".join(
        text + (f"\n({texts.count(text)} times)" if texts.count(text) > 1 else "")
        for text in dict.fromkeys(texts)
    )
