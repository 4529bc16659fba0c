"""What is known of one model: a row of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from .prices import Tariff
    from .rules import Interval, Rule

Answers = Literal["b64_json", "url", "either"]


@dataclass(frozen=True)
class Model:
    """What one model takes, answers with and costs.

    Attributes:
        id: what goes on the wire.
        family: models of one family have the same rules but for the age.
        parameters: wire name to rule; what is not in it is not taken.
        prompt_limit: the most characters of a prompt.
        answers: how the picture comes back.
        source: the page the rules are from.
        snapshots: further ids of the same model.
        retired: the day the vendor switches it off, or None.
        transparent: whether it draws without a background.
        price: None where none is known.
        auto_sizes: what `auto` or no size can become, as far as it is known; the first is the default square.
        auto_qualities: the same for quality; () for a model without one.
        known: False for a model the table does not have: everything passes.
        assumed: the rules are those of a relative.
        notice: what a user should know about it, one sentence, or "".
    """

    id: str
    family: str
    parameters: Mapping[str, Rule] = field(hash=False, repr=False)
    prompt_limit: int
    answers: Answers
    source: str
    snapshots: tuple[str, ...] = ()
    retired: date | None = None
    transparent: Literal["", "yes", "preview"] = ""
    price: Tariff | None = None
    auto_sizes: tuple[str, ...] = ()
    auto_qualities: tuple[str, ...] = ()
    known: bool = True
    assumed: bool = False
    notice: str = ""

    @property
    def n(self) -> Interval:
        """How many pictures one request may ask for."""
        return cast("Interval", self.parameters["n"])

    @property
    def streams(self) -> bool:
        """Whether it sends previews while it works."""
        return "stream" in self.parameters
