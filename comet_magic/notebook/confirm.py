"""When a person is asked before a call is paid: a guard against a mistyped n, for cells and the panel.

Only decisions: who asks, and how, is up to them. Python code is never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..money import dollars, parse_dollars
from ..text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..client import Plan
    from ..explore import GridPlan

MOST_UNPRICED = 4  # pictures whose price is unknown that are bought without a question
LIMITS = ("max_cost", "max_cost_session", "max_cost_day")


def never_asks(vendor: str, limits: Mapping[str, object]) -> bool:
    """Whether a purchase needs no word: play money, or a person who has set a limit."""
    return vendor == "sandbox" or any(limits.get(name) is not None for name in LIMITS)


def purchase_to_confirm(plan: Plan | GridPlan, above: float) -> str:
    """What a call would buy, in words, if a person should confirm it; "" if it is small, or only reuses pictures.

    Args:
        plan: what would be sent.
        above: USD; the most that is bought without a question.

    Raises:
        InvalidRequestError: `above` is not an amount of money.
    """
    most = parse_dollars(above, name="confirm_above")
    if not plan.requests:  # also where a call in flight is awaited
        return ""
    pictures = sum(request.most_pictures for request in plan.requests)
    if plan.price.high_micro is None:
        return purchase(plan) if pictures > MOST_UNPRICED else ""
    return purchase(plan) if plan.price.high_micro > most else ""


def purchase(plan: Plan | GridPlan) -> str:
    """What a call would buy, in words: "10 pictures for at most $1.69"."""
    pictures = counted(sum(request.most_pictures for request in plan.requests), "picture")
    price = plan.price.high_micro
    return f"{pictures} of unknown price" if price is None else f"{pictures} for at most {dollars(price)}"


def refusal(plan: Plan | GridPlan, above: float) -> str:
    """Why a cell is not sent before it says `--yes`, with the ways on; "" if it may be sent."""
    asked = purchase_to_confirm(plan, above)
    if not asked:
        return ""
    if plan.price.high_micro is None:
        why = f"more than {MOST_UNPRICED} pictures of unknown price need a yes"
        limit = "set %config CometMagics.price_per_image"
    else:
        cents = -(-plan.price.high_micro // 10_000)  # rounded up: with this limit the call is not refused
        why = f"more than {dollars(parse_dollars(above))} needs a yes"
        limit = f"set a limit: --max-cost {cents / 100:.2f}"
    return f"this would buy {asked}, and {why}, so nothing was sent; add --yes, or {limit}"
