"""What each control may offer, given the model and the rest of the form: the catalog's rules decide alone.

Nothing here knows a widget, and nothing here knows a model by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...catalog import (
    RATIOS,
    SIZE_WORDS,
    WIRE_PARAMETERS,
    FreeSize,
    Interval,
    Rule,
    find,
    resolve_size,
)
from ...errors import InvalidRequestError
from ...request import requests_of

if TYPE_CHECKING:
    from collections.abc import Mapping


BLANK = "-"  # stands for a prompt where only the parameters are asked about
MOST = 10  # pictures of one click, also of models that make one per request


@dataclass(frozen=True)
class Offer:
    """What the control of one parameter offers now.

    Attributes:
        model: whose control it is.
        name: the parameter's name on the wire.
        rule: what the model takes.
        words: the values to choose from that go with those before it; () where they are open.
        withheld: why a value that the model takes is not among them, or "".
    """

    model: str
    name: str
    rule: Rule
    words: tuple[str, ...] = ()
    withheld: str = ""


def problem(model: str, values: Mapping[str, Any]) -> str:
    """Why these values cannot be sent together, or ""."""
    try:
        requests_of(BLANK, {"model": model, **values})
    except InvalidRequestError as error:
        return str(error)
    return ""


def legal(model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that this model takes together; of two that exclude each other the first of the wire stays."""
    kept: dict[str, Any] = {}
    for name in WIRE_PARAMETERS:
        if values.get(name) is not None and not problem(model, {**kept, name: values[name]}):
            kept[name] = values[name]
    return kept


def offers(model: str, values: Mapping[str, Any]) -> dict[str, Offer]:
    """One offer per parameter that can be set now, in the order of the wire."""
    parameters = find(model).parameters
    kept = legal(model, values)
    found = (_offer(model, name, parameters[name], kept) for name in WIRE_PARAMETERS if name in parameters)
    return {offer.name: offer for offer in found if offer is not None}


def _offer(model: str, name: str, rule: Rule, kept: Mapping[str, Any]) -> Offer | None:
    # Those before it on the wire limit it, those behind it give way: no value can lock another one out.
    before = WIRE_PARAMETERS[: WIRE_PARAMETERS.index(name)]
    others = {other: value for other, value in kept.items() if other in before}
    words = size_words(model, rule) if rule.kind == "size" else rule.choices()
    if not words:
        return None if problem(model, {**others, name: _sample(rule)}) else Offer(model, name, rule)
    reasons = {word: problem(model, {**others, name: word}) for word in words}
    good = tuple(word for word in words if not reasons[word])
    withheld = next((reason for reason in reasons.values() if reason), "")
    return Offer(model, name, rule, good, withheld) if good else None


def _sample(rule: Rule) -> Any:
    if isinstance(rule, Interval):
        return rule.high
    return True if rule.kind == "boolean" else "x"


def size_words(model: str, rule: Rule) -> tuple[str, ...]:
    """Sizes to offer: where any size is taken, words and ratios come first."""
    if not isinstance(rule, FreeSize):
        return rule.choices()
    own = [word for word in rule.words if word not in SIZE_WORDS]
    return tuple(dict.fromkeys((*own, *(word for word in (*SIZE_WORDS, *RATIOS) if _fits(model, word)),
                                *rule.usual, *rule.common)))  # fmt: skip


def _fits(model: str, word: str) -> bool:
    return not problem(model, {"size": word})


def settled_size(model: str, text: str) -> tuple[str | None, str]:
    """A size as it may stand in the form, and what to say where that is not what was typed.

    Words and ratios stay words; what the model does not take becomes the nearest that it takes, or nothing.
    """
    typed = text.strip()
    if not typed:
        return None, ""
    reason = problem(model, {"size": typed})
    if not reason:
        return typed, ""
    rule = find(model).parameters.get("size")
    near = rule.nearest(_plain(model, typed)) if rule else None
    return (str(near), f"{reason}: taken") if near else (None, reason)


def _plain(model: str, typed: str) -> str:
    try:
        return resolve_size(find(model), typed)
    except InvalidRequestError:
        return typed


def most_pictures(rule: Interval) -> int:
    """How many pictures one click may ask for; a model that takes fewer at once gets several requests."""
    return max(rule.high if rule.high < 100 else 0, MOST)
