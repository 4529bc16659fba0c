"""A row of the table: what is known of one model, and which pictures it takes as input."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from .prices import Tariff
    from .rules import Interval, Rule

PATCH, MOST_PATCHES = 32, 1536  # pixels of an edge; the most of one picture


@dataclass(frozen=True)
class InputRules:
    """What a model takes as input.

    Attributes:
        route: `edits` is a form with files, `generations` is JSON with the pictures as data URIs.
        most: how many pictures.
        mask: whether a mask may say which part to change.
        markup: whether scribbles on the first picture may be sent.
        pixels: of a picture; more are no use to the model, so larger pictures are shrunk.
        largest: bytes of one file.
        flatten: transparent parts are filled with white, because the model sees the colours below them.
        fidelity: what `input_fidelity` may be, or None if the model does not take it.
        counted: how its tokens are counted: `patches`, `tiles`, at most as many as patches (`bound`), or unknown.
    """

    route: Literal["edits", "generations"] = "edits"
    most: int = 16
    mask: bool = True
    markup: bool = False
    pixels: int = 4_194_304
    largest: int = 50_000_000
    flatten: bool = False
    fidelity: Rule | None = None
    counted: Literal["patches", "bound", "tiles", "unknown"] = "unknown"

    def tokens(self, width: int, height: int, *, high_fidelity: bool = False) -> tuple[int, int] | None:
        """The fewest and the most input tokens of a picture; None if unknown."""
        if self.counted == "patches":
            return _patches(width, height)
        if self.counted == "bound":
            return 0, MOST_PATCHES
        if self.counted == "tiles":
            return _tiles(square=width == height, high_fidelity=high_fidelity)
        return None


def _patches(width: int, height: int) -> tuple[int, int]:
    """Patches of 32 pixels, after a small picture was enlarged and a large one shrunk.

    From about 100 paid calls: https://community.openai.com/t/1382940. How a picture is shrunk is a reading of them,
    so that is a range.
    """
    scale = min(2.0, max(1.0, 1024 / max(width, height)))
    short, long = sorted((width * scale, height * scale))
    long = min(long, 3 * short)
    if ceil(short / PATCH) * ceil(long / PATCH) <= MOST_PATCHES:
        count = ceil(short / PATCH) * ceil(long / PATCH)
        return count, count
    shrink = sqrt(MOST_PATCHES * PATCH * PATCH / (short * long))
    return int(short * shrink / PATCH) * int(long * shrink / PATCH), MOST_PATCHES


def _tiles(*, square: bool, high_fidelity: bool) -> tuple[int, int]:
    """A base and tiles of 512 pixels; other gateways print other numbers, so it is a range.

    https://community.openai.com/t/1281361, https://fal.ai/models/fal-ai/gpt-image-1.5
    """
    base = 194 if square else 323
    more = (4096 if square else 6144) if high_fidelity else 0
    return 129, base + more


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
