"""A row of the table: what is known of one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from .inputs import InputRules
    from .prices import Tariff
    from .rules import Interval, Rule

Answers = Literal["b64_json", "url", "either"]


@dataclass(frozen=True)
class Model:
    """What one model takes, answers with and costs.

    Attributes:
        id: the name that is sent.
        family: models of one family have nearly the same rules.
        parameters: wire name to rule; the model takes no others.
        prompt_limit: the most characters of a prompt.
        answers: how the picture comes back.
        source: the page the rules are from.
        snapshots: further ids of the same model.
        retired: the day the vendor retires it, or None.
        transparent: whether it can draw without a background; `preview`: it may refuse.
        price: None if unknown.
        auto_sizes: sizes that `auto` can become, as far as known; the first is the default square.
        auto_qualities: the same for quality; () for a model without one.
        inputs: which pictures it takes as input, or None for none.
        needs_input: whether it only edits.
        known: False for a model that is not in the table: nothing is checked.
        assumed: the rules are those of a related model.
        notice: what a user should know about it, one sentence, or "".
    """

    id: str
    family: str
    parameters: Mapping[str, Rule] = field(hash=False, repr=False)
    source: str
    prompt_limit: int = 32_000
    answers: Answers = "either"
    snapshots: tuple[str, ...] = ()
    retired: date | None = None
    transparent: Literal["", "yes", "preview"] = ""
    price: Tariff | None = None
    auto_sizes: tuple[str, ...] = ()
    auto_qualities: tuple[str, ...] = ()
    inputs: InputRules | None = None
    needs_input: bool = False
    known: bool = True
    assumed: bool = False
    notice: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(self.parameters))

    def rule(self, name: str) -> Rule | None:
        """The rule of a parameter, of one that only edits have too; None if the model does not take it."""
        if name == "input_fidelity" and self.inputs:
            return self.inputs.fidelity
        return self.parameters.get(name)

    @property
    def n(self) -> Interval:
        """How many pictures one request may ask for."""
        return cast("Interval", self.parameters["n"])

    @property
    def streams(self) -> bool:
        """Whether it sends previews while it works."""
        return "stream" in self.parameters
